// Package mail makes the mails of the Daily Papers page, and hands them to a mail
// server. What papers say is hostile input: it is bounded, in one line, and text.
package mail

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
)

// A Security is how the way to the mail server is kept secret.
type Security string

const (
	StartTLS Security = "starttls" // begins in the clear and must turn to TLS before anything is said
	TLS      Security = "tls"      // from the first byte
	None     Security = "none"     // in the clear, with the password if there is one
)

// A Sender hands mails to one mail server.
type Sender struct {
	Server   string         // HOST:PORT
	User     string         // "" for no login
	Password string         //
	Security Security       // "": [StartTLS]
	Roots    *x509.CertPool // who may vouch for the server; nil: whom the system trusts
	From     *mail.Address  // who writes, as [ParseSender] makes it
	Timeout  time.Duration  // for one mail; 0: 30 s
}

// A Message is a mail to one address.
type Message struct {
	To          string // as [ParseAddress] makes it
	Subject     string
	Text, HTML  string
	Date        time.Time
	ID          string // unique, letters and digits
	List        bool   // it is one of many, to subscribers
	Unsubscribe string // web address that a POST to ends them (RFC 8058); only with List
}

var (
	// ErrUnavailable is wrapped by the error of a server that takes no mail at all for now.
	ErrUnavailable = errors.New("the mail server takes no mail")
	// ErrRefused is wrapped by the error of a server that says there is no such address.
	ErrRefused = errors.New("the address is refused")
)

// Check says whether the fields make sense.
func (s *Sender) Check() error {
	host, port, err := net.SplitHostPort(s.Server)
	if n, bad := strconv.Atoi(port); err != nil || bad != nil || host == "" || n < 1 || n > 65535 {
		return fmt.Errorf("mail server %q: must be HOST:PORT, such as smtp.example.org:587", s.Server)
	}
	switch s.Security {
	case "", StartTLS, TLS, None:
	default:
		return fmt.Errorf("security = %q: must be starttls, tls or none", s.Security)
	}
	if (s.User == "") != (s.Password == "") {
		return errors.New("user and password of the mail server: both must be given, or neither")
	}
	if s.From == nil {
		return errors.New("the sender's address is missing")
	}
	if _, err := ParseSender(s.From.String()); err != nil {
		return fmt.Errorf("sender: %w", err)
	}
	return nil
}

// Send hands over a mail. It returns nil when the server has taken it.
func (s *Sender) Send(ctx context.Context, m Message) error {
	msg, err := s.compose(m)
	if err != nil {
		return fmt.Errorf("mail: %w", err)
	}
	whole := ctx
	ctx, cancel := context.WithTimeout(whole, s.timeout())
	defer cancel()
	// The library heeds ctx until there is a connection, and leaves it open after an error.
	hangUp := func() {}
	defer func() { hangUp() }()
	client, err := s.client(func(c net.Conn) {
		stop := context.AfterFunc(ctx, func() { c.Close() })
		hangUp = func() { stop(); c.Close() }
	})
	if err != nil {
		return fmt.Errorf("mail: %w", err)
	}
	session, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return fmt.Errorf("mail: %s: %w: %w", s.Server, ErrUnavailable, err)
	}
	err = client.SendWithSMTPClient(session, msg)
	if msg.IsDelivered() { // what went wrong after that is no matter
		client.CloseWithSMTPClient(session)
		return nil
	}
	if whole.Err() != nil {
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return fmt.Errorf("mail: %s: %w", s.Server, classify(err))
}

func (s *Sender) timeout() time.Duration { return cmp.Or(s.Timeout, 30*time.Second) }

// classify tells what an error of a server means for other mails and for the address.
// Once a server knows the address, what it says is held to be about that mail alone:
// else one bad address could stand in the way of all.
func classify(err error) error {
	var e *gomail.SendError
	if !errors.As(err, &e) {
		return err
	}
	code := e.ErrorCode()
	switch {
	case e.Reason == gomail.ErrSMTPMailFrom, e.Reason == gomail.ErrConnCheck:
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	// Not 5.7.x, nor other codes: those are what a server says that will not relay for
	// us, which is not the reader's fault.
	case e.Reason == gomail.ErrSMTPRcptTo && (code >= 550 && code <= 553 || code == 556) && !strings.HasPrefix(e.EnhancedStatusCode(), "5.7."):
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return err
}

// client is a client of the server, which tells of the connection that it makes.
func (s *Sender) client(made func(net.Conn)) (*gomail.Client, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	host, port, _ := net.SplitHostPort(s.Server)
	n, _ := strconv.Atoi(port)
	secret := &tls.Config{ServerName: host, RootCAs: s.Roots, MinVersion: tls.VersionTLS12}
	policy := gomail.TLSMandatory
	if s.Security == TLS || s.Security == None {
		policy = gomail.NoTLS // of what STARTTLS is to do
	}
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, address)
		if err == nil && s.Security == TLS {
			t := tls.Client(c, secret)
			if err = t.HandshakeContext(ctx); err != nil {
				c.Close()
			}
			c = t
		}
		if err != nil {
			return nil, err
		}
		made(c)
		return c, nil
	}
	options := []gomail.Option{
		gomail.WithPort(n), gomail.WithTimeout(s.timeout()), gomail.WithTLSConfig(secret), gomail.WithTLSPolicy(policy),
		gomail.WithDialContextFunc(dial), gomail.WithoutNoop(),
	}
	if s.User != "" {
		login := []gomail.SMTPAuthType{gomail.SMTPAuthPlain, gomail.SMTPAuthLogin, gomail.SMTPAuthSCRAMSHA256}
		if s.Security == None { // as was asked
			login = []gomail.SMTPAuthType{gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthPlainNoEnc, gomail.SMTPAuthLoginNoEnc}
		}
		options = append(options, gomail.WithOpportunisticSMTPAuth(login...), gomail.WithUsername(s.User), gomail.WithPassword(s.Password))
	}
	return gomail.NewClient(host, options...)
}

// compose makes the library's message of ours. All that came from others passes
// through ParseAddress or line, which leave nothing that ends a header.
func (s *Sender) compose(m Message) (*gomail.Msg, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	to, err := ParseAddress(m.To)
	if err != nil {
		return nil, err
	}
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.FromMailAddress(s.From)
	msg.ToMailAddress(&mail.Address{Address: to})
	// "=?" would begin what a mail program decodes.
	msg.Subject(cut(strings.ReplaceAll(line(m.Subject), "=?", "= ?"), 150))
	msg.SetDateWithValue(m.Date)
	domain := s.From.Address[strings.LastIndexByte(s.From.Address, '@')+1:]
	msg.SetMessageIDWithValue(line(m.ID) + "@" + domain)
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	if m.List {
		msg.SetGenHeader("List-Id", "Daily Papers <daily-papers."+domain+">")
		if strings.ContainsFunc(m.Unsubscribe, func(r rune) bool { return r <= ' ' || r > '~' || r == '<' || r == '>' }) || m.Unsubscribe == "" {
			return nil, errors.New("the address that ends a subscription is none of the web")
		}
		msg.SetListUnsubscribe(m.Unsubscribe)
		msg.SetListUnsubscribePost()
	}
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	return msg, nil
}
