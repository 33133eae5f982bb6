// Package mailtest is a mail server in the process of a test: it takes mails over SMTP,
// and keeps them.
package mailtest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"math/big"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// A Server takes mails. Set its fields, then call [Server.Start].
type Server struct {
	TLS            *tls.Config // offers STARTTLS
	Implicit       bool        // TLS from the first byte
	User, Password string      // must log in
	Clear          bool        // offers to log in without TLS

	// Answer says what an address is answered; nil: all are taken. For another answer
	// than 250 it returns a *smtp.SMTPError.
	Answer func(to string) error
	Take   func(Mail) error // the same about a whole mail

	Addr string // where it listens, once started; it is there again after Stop and Start

	mu     sync.Mutex
	mails  []Mail
	tried  int
	server *smtp.Server
}

// A Mail is one that was taken.
type Mail struct {
	From, To string // of the envelope
	Raw      string
	Header   mail.Header
	Subject  string // decoded
	Text     string
	HTML     string
}

// Refuse is an answer of a server, such as 550.
func Refuse(code int, text string) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 1, 1}, Message: text}
}

// Start begins to listen, until the test ends.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	if s.Addr == "" {
		s.Addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	s.Addr = l.Addr().String()
	s.server = smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{server: s}, nil }))
	s.server.Domain, s.server.TLSConfig, s.server.AllowInsecureAuth = "localhost", s.TLS, s.Clear
	s.server.ReadTimeout, s.server.WriteTimeout, s.server.MaxMessageBytes = time.Minute, time.Minute, 4<<20
	s.server.ErrorLog = log.New(io.Discard, "", 0)
	if s.Implicit {
		l = tls.NewListener(l, s.TLS)
	}
	server := s.server
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
}

// Stop ends it and all its connections.
func (s *Server) Stop() { s.server.Close() }

// Mails are those that were taken so far.
func (s *Server) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Mail(nil), s.mails...)
}

// Tried is how many times an address was named, to be taken or refused.
func (s *Server) Tried() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tried
}

// Wait waits until there are so many mails, and returns them.
func (s *Server) Wait(t testing.TB, n int) []Mail {
	t.Helper()
	for range 1500 {
		if m := s.Mails(); len(m) >= n {
			return m
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("%d mails came, want %d", len(s.Mails()), n)
	return nil
}

type session struct {
	server   *Server
	known    bool
	from, to string
}

func (s *session) AuthMechanisms() []string {
	if s.server.User == "" {
		return nil
	}
	return []string{sasl.Plain}
}

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != s.server.User || password != s.server.Password {
			return smtp.ErrAuthFailed
		}
		s.known = true
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if s.server.User != "" && !s.known {
		return smtp.ErrAuthRequired
	}
	s.from = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.tried++
	if s.to != "" {
		return errors.New("a mail to two addresses")
	}
	s.to = to
	if s.server.Answer != nil {
		return s.server.Answer(to)
	}
	return nil
}

func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	m, err := Parse(raw)
	if err != nil {
		return err
	}
	m.From, m.To = s.from, s.to
	if s.server.Take != nil {
		if err := s.server.Take(m); err != nil {
			return err
		}
	}
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.mails = append(s.server.mails, m)
	return nil
}

func (s *session) Reset()        { s.from, s.to = "", "" }
func (s *session) Logout() error { return nil }

// Parse reads a mail of two parts, text and HTML.
func Parse(raw []byte) (m Mail, err error) {
	m.Raw = string(raw)
	msg, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return m, err
	}
	m.Header = msg.Header
	if m.Subject, err = new(mime.WordDecoder).DecodeHeader(msg.Header.Get("Subject")); err != nil {
		return m, err
	}
	kind, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		return m, errors.Join(errors.New("the mail is not multipart/alternative: "+kind), err)
	}
	parts := multipart.NewReader(msg.Body, params["boundary"])
	for _, part := range []struct {
		kind string
		text *string
	}{{"text/plain", &m.Text}, {"text/html", &m.HTML}} { // the best one is the last
		p, err := parts.NextRawPart()
		if err != nil {
			return m, err
		}
		if kind, _, err := mime.ParseMediaType(p.Header.Get("Content-Type")); err != nil || kind != part.kind {
			return m, errors.Join(errors.New(kind+" where "+part.kind+" belongs"), err)
		}
		if how := p.Header.Get("Content-Transfer-Encoding"); how != "quoted-printable" {
			return m, errors.New("a part is " + how)
		}
		b, err := io.ReadAll(quotedprintable.NewReader(p))
		if err != nil {
			return m, err
		}
		*part.text = string(b)
	}
	if _, err := parts.NextRawPart(); err != io.EOF {
		return m, errors.New("the mail has more than two parts")
	}
	return m, nil
}

// Certificate makes a certificate for 127.0.0.1, and the pool that trusts it.
func Certificate(t testing.TB) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(c)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, pool
}
