package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-lab/assay/lab/mail"
)

// TestMailFlags has the command lines that name a mail server, and those that cannot be
// meant so.
func TestMailFlags(t *testing.T) {
	file := func(text string) string {
		path := filepath.Join(t.TempDir(), "password")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := file("p w\n")
	for _, tt := range []struct {
		name     string
		f        mailFlags
		env      string
		want     string // user, password, security, sender and site
		err      string
		sendsNot bool
	}{
		{name: "no mail", sendsNot: true},
		{name: "no mail, and an address", f: mailFlags{site: "https://x.org"}, sendsNot: true},
		{name: "the least", f: mailFlags{server: "x.org:25", from: "a@b.org"}, want: `"" ""  <a@b.org> `},
		{name: "whole", f: mailFlags{"x.org:587", "u", good, "tls", "Papers <a@b.org>", "https://x.org"}, want: `"u" "p w" tls "Papers" <a@b.org> https://x.org/`},
		{name: "the user is who writes", f: mailFlags{server: "x.org:465", user: "a@b.org", passwordFile: good}, want: `"a@b.org" "p w" tls <a@b.org> `},
		{name: "password in the environment", f: mailFlags{server: "x.org:25", user: "a@b.org", security: "none"}, env: "e", want: `"a@b.org" "e" none <a@b.org> `},
		{name: "the file goes before", f: mailFlags{server: "x.org:25", user: "a@b.org", passwordFile: good}, env: "e", want: `"a@b.org" "p w"  <a@b.org> `},
		{name: "no server", f: mailFlags{user: "u"}, err: "without --smtp"},
		{name: "server", f: mailFlags{server: "x.org", from: "a@b.org"}, err: "HOST:PORT"},
		{name: "nobody writes", f: mailFlags{server: "x.org:25"}, err: "--mail-from is missing"},
		{name: "who writes", f: mailFlags{server: "x.org:25", from: "a@b.org\r\nBcc: c@d.org"}, err: "control characters"},
		{name: "two write", f: mailFlags{server: "x.org:25", from: "a@b.org, c@d.org"}, err: "--mail-from"},
		{name: "no password", f: mailFlags{server: "x.org:25", user: "a@b.org"}, err: "ASSAY_SMTP_PASSWORD"},
		{name: "no user", f: mailFlags{server: "x.org:25", from: "a@b.org", passwordFile: good}, err: "without --smtp-user"},
		{name: "no file", f: mailFlags{server: "x.org:25", user: "a@b.org", passwordFile: good + "x"}, err: "no such file"},
		{name: "a folder", f: mailFlags{server: "x.org:25", user: "a@b.org", passwordFile: t.TempDir()}, err: "--smtp-password-file"},
		{name: "empty file", f: mailFlags{server: "x.org:25", user: "a@b.org", passwordFile: file("\n")}, err: "must be one line"},
		{name: "two lines", f: mailFlags{server: "x.org:25", user: "a@b.org", passwordFile: file("a\nb\n")}, err: "must be one line"},
		{name: "large file", f: mailFlags{server: "x.org:25", user: "a@b.org", passwordFile: file(strings.Repeat("x", 2000))}, err: "at most 1024"},
		{name: "mode", f: mailFlags{server: "x.org:25", from: "a@b.org", security: "ssl"}, err: "starttls, tls or none"},
		{name: "address", f: mailFlags{site: "x.org"}, err: "--url"},
		{name: "address of a part", f: mailFlags{site: "https://x.org/papers"}, err: "front page"},
	} {
		t.Setenv("ASSAY_SMTP_PASSWORD", tt.env)
		s, site, err := tt.f.sender()
		switch {
		case tt.err != "":
			if _, ok := err.(*usageError); !ok || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: %v, want %q", tt.name, err, tt.err)
			}
		case err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case tt.sendsNot:
			if s != nil {
				t.Errorf("%s: %+v", tt.name, s)
			}
		default:
			if got := describe(s, site); got != tt.want {
				t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
			}
		}
	}
}

func describe(s *mail.Sender, site string) string {
	return strings.Join([]string{`"` + s.User + `"`, `"` + s.Password + `"`, string(s.Security), s.From.String(), site}, " ")
}
