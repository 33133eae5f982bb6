package main

import (
	"io"
	"net"
	"net/mail"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// A mailbox is a mail server that keeps what it is sent.
type mailbox struct {
	addr string

	mu    sync.Mutex
	mails []string
}

func receiveMail(t testing.TB) *mailbox {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &mailbox{addr: l.Addr().String()}
	s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return letter{m}, nil }))
	s.Domain = "localhost"
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return m
}

// A letter is on its way into the mailbox.
type letter struct{ *mailbox }

func (letter) Mail(string, *smtp.MailOptions) error { return nil }
func (letter) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (letter) Reset()                               {}
func (letter) Logout() error                        { return nil }
func (l letter) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mails = append(l.mails, string(b))
	return nil
}

// link waits for a mail with a link to that path, and returns it.
func (m *mailbox) link(t testing.TB, path string) string {
	t.Helper()
	link := regexp.MustCompile(`https?://[^\s"<>]*` + regexp.QuoteMeta(path) + `[^\s"<>]*`)
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		m.mu.Lock()
		mails := m.mails
		m.mu.Unlock()
		for _, text := range mails {
			if _, err := mail.ReadMessage(strings.NewReader(text)); err != nil {
				t.Fatalf("%v in\n%s", err, text)
			}
			text = strings.NewReplacer("=\r\n", "", "=3D", "=").Replace(text) // quoted-printable
			if l := link.FindString(text); l != "" {
				return l
			}
		}
	}
	t.Fatalf("no mail has a link to %s", path)
	return ""
}
