package main

import (
	"errors"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/assay-lab/assay/lab/mail"
)

// mailFlags say how the Daily Papers page sends mail.
type mailFlags struct {
	server, user, passwordFile, security, from, site string
}

func addMail(all *pflag.FlagSet, f *mailFlags) {
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.SortFlags = false
	flags.StringVar(&f.server, "smtp", "", "mail server that sends the digests: `HOST:PORT`")
	flags.StringVar(&f.user, "smtp-user", "", "log in there as `NAME`")
	flags.StringVar(&f.passwordFile, "smtp-password-file", "", "with the password in this `FILE` (or in $ASSAY_SMTP_PASSWORD)")
	flags.StringVar(&f.security, "smtp-tls", "", "`MODE`: starttls, tls or none; default starttls, and tls at port 465")
	flags.StringVar(&f.from, "mail-from", "", "write as this `ADDRESS`, with a name or without (default: that of --smtp-user)")
	flags.StringVar(&f.site, "url", "", "public `URL` of the page, for links in mails (default: http:// and --addr)")
	group(all, flags, "For digests by e-mail")
}

// sender makes of the flags what sends mail; nil without --smtp. Site is the public
// address of the page, or "".
func (f mailFlags) sender() (s *mail.Sender, site string, err error) {
	if f.site != "" {
		if site, err = mail.ParseSite(f.site); err != nil {
			return nil, "", usagef("", "--url %v", err)
		}
	}
	if f.server == "" {
		if f != (mailFlags{site: f.site}) {
			return nil, "", usagef("", "--smtp-... or --mail-from without --smtp: give the mail server's HOST:PORT")
		}
		return nil, site, nil
	}
	s = &mail.Sender{Server: f.server, User: f.user, Security: mail.Security(f.security)}
	switch s.Security {
	case mail.StartTLS, mail.TLS, mail.None:
	case "":
		if strings.HasSuffix(f.server, ":465") {
			s.Security = mail.TLS
		}
	default:
		return nil, "", usagef("", "--smtp-tls = %q: must be starttls, tls or none", f.security)
	}
	if s.Password, err = f.password(); err != nil {
		return nil, "", err
	}
	from := f.from
	if from == "" {
		if from = f.user; !strings.Contains(from, "@") {
			return nil, "", usagef("Such as: --mail-from papers@example.org", "--mail-from is missing: who writes the mails?")
		}
	}
	if s.From, err = mail.ParseSender(from); err != nil {
		return nil, "", usagef("", "--mail-from: %v", err)
	}
	if err := s.Check(); err != nil {
		return nil, "", usagef("", "--smtp: %v", err)
	}
	return s, site, nil
}

// password of the mail server: secrets on a command line can be seen by others on the
// machine.
func (f mailFlags) password() (string, error) {
	switch {
	case f.user == "" && f.passwordFile == "":
		return "", nil
	case f.user == "":
		return "", usagef("", "--smtp-password-file without --smtp-user: who logs in?")
	case f.passwordFile == "":
		if p := os.Getenv("ASSAY_SMTP_PASSWORD"); p != "" {
			return p, nil
		}
		return "", usagef("", "--smtp-user without a password: give --smtp-password-file FILE, or set ASSAY_SMTP_PASSWORD")
	}
	in, err := os.Open(f.passwordFile)
	if err != nil {
		var path *os.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return "", usagef("", "--smtp-password-file %q: %v", f.passwordFile, err)
	}
	defer in.Close()
	const most = 1 << 10
	b, err := io.ReadAll(io.LimitReader(in, most+1))
	if err != nil {
		return "", usagef("", "--smtp-password-file %q: %v", f.passwordFile, err)
	}
	p := strings.TrimRight(string(b), "\r\n")
	if p == "" || len(b) > most || strings.ContainsAny(p, "\r\n\x00") {
		return "", usagef("", "--smtp-password-file %q: must be one line, the password, of at most %d bytes", f.passwordFile, most)
	}
	return p, nil
}
