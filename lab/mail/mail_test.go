package mail

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"golang.org/x/net/html"

	"github.com/assay-lab/assay/lab/mail/mailtest"
	"github.com/assay-lab/assay/lab/shelf"
)

func TestParseAddress(t *testing.T) {
	long := strings.Repeat("a", 60) + "@" + strings.Repeat(strings.Repeat("b", 50)+".", 4) + "org"
	for _, tt := range []struct{ name, in, want, err string }{
		{"plain", "Ann.O'Neil+papers@Example.ORG", "Ann.O'Neil+papers@example.org", ""},
		{"blanks around", "  a@b.org ", "a@b.org", ""},
		{"in angles", "<a@b.org>", "a@b.org", ""},
		{"international domain", "a@Bücher.example", "a@xn--bcher-kva.example", ""},
		{"empty", " ", "", "missing"},
		{"no @", "example.org", "", "must be one such as"},
		{"two", "a@b.org, c@d.org", "", "must be one such as"},
		{"a group", "x: a@b.org;", "", "without a name"},
		{"with a name", "Ann <a@b.org>", "", "without a name"},
		{"with a comment that is a name", "a@b.org (Ann)", "", "without a name"},
		{"a header more", "a@b.org\r\nBcc: c@d.org", "", "control"},
		{"a line feed", "a@b.org\n", "", "control"},
		{"a null", "a\x00@b.org", "", "control"},
		{"a line feed in quotes", "\"a\n\"@b.org", "", "control"},
		{"turned around", "a\u202e@b.org", "", "control"},
		{"quoted", `"a b"@b.org`, "", "quotes"},
		{"quoted with an address", `"a@b.org>,<c"@d.org`, "", "quotes"},
		{"not ASCII before the @", "ä@b.org", "", "ASCII"},
		{"one machine", "root@localhost", "", "no domain of the internet"},
		{"an IP address", "a@127.0.0.1", "", "no domain of the internet"},
		{"an IP address in brackets", "a@[127.0.0.1]", "", "domain"},
		{"an underscore", "a@b_c.org", "", "no domain"},
		{"an empty label", "a@b..org", "", "such as"},
		{"a dot at the end", "a@b.org.", "", ""},
		{"long before the @", strings.Repeat("a", 65) + "@b.org", "", "up to 64"},
		{"long", long, "", "at most 254"},
		{"very long", strings.Repeat("a", 1e6), "", "bytes long"},
	} {
		got, err := ParseAddress(tt.in)
		switch {
		case tt.want != "" && (err != nil || got != tt.want):
			t.Errorf("%s: %q, %v: want %q", tt.name, got, err, tt.want)
		case tt.want == "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
			t.Errorf("%s: %q, %v: want an error with %q", tt.name, got, err, tt.err)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"a@b.org", "Ann <a@b.org>", "\"a\r\n\"@b.org", "a@Bücher.example", "=?utf-8?q?=0d=0a?= <a@b.org>"} {
		f.Add(s)
	}
	plain := regexp.MustCompile(`^[!-~]+@[a-z0-9.-]+\.[a-z0-9-]+$`)
	f.Fuzz(func(t *testing.T, s string) {
		if a, err := ParseAddress(s); err == nil {
			if again, err := ParseAddress(a); err != nil || again != a || !plain.MatchString(a) || strings.ContainsAny(a, `"<>(), `) || len(a) > mostAddress {
				t.Fatalf("%q: %q, then %q, %v", s, a, again, err)
			}
		}
		if a, err := ParseSender(s); err == nil && strings.ContainsAny(a.String(), "\r\n\x00") {
			t.Fatalf("%q: sender %q", s, a)
		}
		if strings.ContainsAny(line(s), "\r\n\x00\u202e\u2028") {
			t.Fatalf("%q: line %q", s, line(s))
		}
	})
}

func TestParseSite(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"https://papers.example.org", "https://papers.example.org/"},
		{"http://127.0.0.1:8080/", "http://127.0.0.1:8080/"},
		{"http://[::1]:8080", "http://[::1]:8080/"},
		{"papers.example.org", ""}, {"ftp://x.org/", ""}, {"javascript:alert(1)", ""}, {"https://", ""}, {"https://u:p@x.org/", ""},
		{"https://x.org/papers/", ""}, {"https://x.org/?a=b", ""}, {"https://x.org/#a", ""}, {"https://x.org\r\nBcc: a@b.org", ""}, {"https://x.org>/", ""}, {"", ""},
	} {
		got, err := ParseSite(tt.in)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%q: %q, %v", tt.in, got, err)
		}
	}
}

func FuzzParseSite(f *testing.F) {
	f.Add("https://papers.example.org/")
	f.Fuzz(func(t *testing.T, s string) {
		if site, err := ParseSite(s); err == nil {
			if again, err := ParseSite(site); err != nil || again != site || strings.ContainsAny(site, "\r\n<> \"") {
				t.Fatalf("%q: %q, then %q, %v", s, site, again, err)
			}
		}
	})
}

func sender(s *mailtest.Server) *Sender {
	return &Sender{Server: s.Addr, Security: None, From: &mail.Address{Name: "Daily Papers", Address: "papers@example.org"}, Timeout: 20 * time.Second}
}

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

func message(to string) Message {
	return Message{To: to, Subject: "Hello", Text: "text", HTML: "<p>html</p>", Date: noon, ID: "1"}
}

// TestSecurity has the ways to reach a server, and what may not be said in the clear.
func TestSecurity(t *testing.T) {
	secret, roots := mailtest.Certificate(t)
	for _, tt := range []struct {
		name   string
		server *mailtest.Server
		change func(*Sender)
		err    string
	}{
		{"in the clear, as asked", &mailtest.Server{}, func(s *Sender) {}, ""},
		{"a password in the clear, as asked", &mailtest.Server{User: "u", Password: "secret", Clear: true}, func(s *Sender) {}, ""},
		{"STARTTLS", &mailtest.Server{TLS: secret, User: "u", Password: "secret"}, func(s *Sender) { s.Security = StartTLS }, ""},
		{"STARTTLS is the default", &mailtest.Server{TLS: secret, User: "u", Password: "secret"}, func(s *Sender) { s.Security = "" }, ""},
		{"TLS", &mailtest.Server{TLS: secret, Implicit: true, User: "u", Password: "secret"}, func(s *Sender) { s.Security = TLS }, ""},
		{"TLS is not offered", &mailtest.Server{User: "u", Password: "secret", Clear: true}, func(s *Sender) { s.Security = StartTLS }, "STARTTLS"},
		{"TLS is not offered, and no password", &mailtest.Server{}, func(s *Sender) { s.Security = "" }, "STARTTLS"},
		{"TLS to a server without", &mailtest.Server{}, func(s *Sender) { s.Security, s.Timeout = TLS, 2*time.Second }, "tls"},
		{"unknown certificate", &mailtest.Server{TLS: secret}, func(s *Sender) { s.Security, s.Roots = StartTLS, nil }, "certificate"},
		{"wrong password", &mailtest.Server{TLS: secret, User: "u", Password: "other"}, func(s *Sender) { s.Security = StartTLS }, "Authentication failed"},
		{"no server", &mailtest.Server{}, func(s *Sender) { s.Server = "127.0.0.1:1" }, "refused"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := tt.server
			server.Start(t)
			s := sender(server)
			s.Roots, s.User, s.Password = roots, server.User, ""
			if server.User != "" {
				s.Password = "secret"
			}
			tt.change(s)
			err := s.Send(t.Context(), message("reader@example.org"))
			switch {
			case tt.err == "" && (err != nil || len(server.Mails()) != 1):
				t.Errorf("%v, %d mails", err, len(server.Mails()))
			case tt.err != "" && (err == nil || !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), tt.err)):
				t.Errorf("error %v: want %q", err, tt.err)
			}
		})
	}
}

// TestNoPasswordInTheClear listens as a server that offers no TLS would: nothing of the
// password is said.
func TestNoPasswordInTheClear(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	heard := make(chan string, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		fmt.Fprint(c, "220 x\r\n")
		var all []byte
		b := make([]byte, 1024)
		for {
			n, err := c.Read(b)
			if all = append(all, b[:n]...); err != nil {
				heard <- string(all)
				return
			}
			fmt.Fprint(c, "250-x\r\n250 AUTH PLAIN LOGIN\r\n")
		}
	}()
	s := &Sender{Server: l.Addr().String(), User: "u", Password: "secret", From: &mail.Address{Address: "papers@example.org"}, Timeout: 20 * time.Second}
	if err := s.Send(t.Context(), message("reader@example.org")); err == nil {
		t.Error("no error")
	}
	if said := <-heard; strings.Contains(said, "AUTH") || !strings.HasPrefix(said, "EHLO") {
		t.Errorf("it says %q", said)
	}
}

// TestAnswers has what a server's answers about an address mean.
func TestAnswers(t *testing.T) {
	answer := func(code, class, detail int) error {
		return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, class, detail}, Message: "no"}
	}
	for _, tt := range []struct {
		name        string
		answer      error
		refused     bool
		unavailable bool
	}{
		{"nobody of that name", answer(550, 1, 1), true, false},
		{"a closed mailbox", answer(551, 1, 6), true, false},
		{"no mail to that domain", answer(556, 1, 10), true, false},
		{"it does not relay for us", answer(550, 7, 1), false, false},
		{"it does not relay, in another way", answer(554, 7, 1), false, false},
		{"not now", answer(451, 3, 0), false, false},
		{"not now, and goodbye", answer(421, 3, 0), false, false},
	} {
		server := &mailtest.Server{Answer: func(string) error { return tt.answer }}
		server.Start(t)
		err := sender(server).Send(t.Context(), message("reader@example.org"))
		if err == nil || errors.Is(err, ErrRefused) != tt.refused || errors.Is(err, ErrUnavailable) != tt.unavailable {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	server := &mailtest.Server{User: "u", Password: "p"}
	server.Start(t)
	if err := sender(server).Send(t.Context(), message("reader@example.org")); !errors.Is(err, ErrUnavailable) {
		t.Errorf("who may not write at all: %v", err)
	}
}

// TestStops: a server that says nothing is left when the mail is no longer wanted.
func TestStops(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		if c, err := l.Accept(); err == nil {
			fmt.Fprint(c, "220 x\r\n")
			c.Read(make([]byte, 1024))
			cancel()
		}
	}()
	s := &Sender{Server: l.Addr().String(), Security: None, From: &mail.Address{Address: "papers@example.org"}, Timeout: time.Hour}
	if err := s.Send(ctx, message("reader@example.org")); !errors.Is(err, ErrUnavailable) {
		t.Errorf("%v", err)
	}
}

// hostile is a text that wants to be a header, a script and another's name.
const hostile = "Evil\r\nBcc: victim@example.org\r\n\r\n<script>alert(1)</script> <img src=x onerror=alert(1)> \u202egnp.exe\u2066 =?utf-8?q?=0D=0ABcc:_x@example.org?= {{.}}\x00"

// TestHostile: what papers say is text, in both parts and in the subject, and no header
// of a mail is of their making.
func TestHostile(t *testing.T) {
	server := &mailtest.Server{}
	server.Start(t)
	p := shelf.Paper{Slug: `x"><script>`, Title: hostile, Authors: []string{hostile, "javascript:alert(1)"}, Summary: hostile, Topics: []string{hostile},
		URL: "javascript:alert(1)", Status: hostile, Runnable: true, Votes: 3}
	d := shelf.Digest{New: []shelf.Paper{p}, More: 2, Trending: []shelf.Paper{p}, Changed: []shelf.Change{{Paper: p, Was: hostile}}}
	sub := shelf.Subscriber{Address: "reader@example.org", Period: shelf.Daily, Token: "TOKEN"}
	m, err := News("https://papers.example.org", sub, d, noon, noon)
	if err != nil {
		t.Fatal(err)
	}
	s := sender(server)
	if err := s.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	got := server.Wait(t, 1)[0]
	for name := range got.Header {
		switch name {
		case "Subject", "From", "To", "Date", "Message-Id", "Mime-Version", "Content-Type", "Auto-Submitted", "List-Id", "List-Unsubscribe", "List-Unsubscribe-Post":
		default:
			t.Errorf("header %s: %q", name, got.Header[name])
		}
	}
	if !strings.HasPrefix(got.Subject, "Evil Bcc: victim@example.org <script>") || strings.ContainsAny(got.Subject, "\r\n\u202e\u2066\x00") {
		t.Errorf("subject %q", got.Subject)
	}
	for _, part := range []string{got.Text, got.HTML} {
		if strings.ContainsAny(part, "\u202e\u2066\x00") {
			t.Errorf("invisible characters in %q", part)
		}
	}
	if !strings.Contains(got.Text, "\n* Evil Bcc: victim@example.org <script>alert(1)</script> <img src=x onerror=alert(1)> gnp.exe") {
		t.Errorf("text:\n%s", got.Text)
	}
	onlyHarmless(t, got.HTML, "https://papers.example.org/")
}

// onlyHarmless wants a page without scripts, whose links all lead to the site.
func onlyHarmless(t *testing.T, page, site string) {
	t.Helper()
	z := html.NewTokenizer(strings.NewReader(page))
	links := 0
	for {
		switch z.Next() {
		case html.ErrorToken:
			if links == 0 {
				t.Errorf("no link in\n%s", page)
			}
			return
		case html.StartTagToken, html.SelfClosingTagToken:
			tag := z.Token()
			if tag.Data == "script" || tag.Data == "img" {
				t.Errorf("<%s> in the mail", tag.Data)
			}
			for _, a := range tag.Attr {
				if a.Key == "href" {
					links++
				}
				if strings.HasPrefix(a.Key, "on") || a.Key == "href" && !strings.HasPrefix(a.Val, site) {
					t.Errorf("<%s %s=%q>", tag.Data, a.Key, a.Val)
				}
			}
		}
	}
}

// TestInjection: no field of a mail or of the sender makes a header.
func TestInjection(t *testing.T) {
	server := &mailtest.Server{}
	server.Start(t)
	for _, tt := range []struct {
		name   string
		change func(*Sender, *Message)
		taken  bool
	}{
		{"subject", func(_ *Sender, m *Message) { m.Subject = hostile }, true},
		{"ID", func(_ *Sender, m *Message) { m.ID = "1\r\nBcc: x@example.org" }, true},
		{"sender's name", func(s *Sender, _ *Message) { s.From.Name = "x\r\nBcc: x@example.org" }, true},
		{"address", func(_ *Sender, m *Message) { m.To = "a@b.org\r\nBcc: x@example.org" }, false},
		{"two addresses", func(_ *Sender, m *Message) { m.To = "a@b.org,x@example.org" }, false},
		{"sender", func(s *Sender, _ *Message) { s.From.Address = "a@b.org>\r\nBcc: x@example.org" }, false},
		{"link", func(_ *Sender, m *Message) { m.List, m.Unsubscribe = true, "https://x.org/\r\nBcc: x@example.org" }, false},
		{"two links", func(_ *Sender, m *Message) { m.List, m.Unsubscribe = true, "https://x.org/>, <mailto:x@example.org" }, false},
		{"no link", func(_ *Sender, m *Message) { m.List = true }, false},
	} {
		s, m, before := sender(server), message("reader@example.org"), len(server.Mails())
		tt.change(s, &m)
		err := s.Send(t.Context(), m)
		mails := server.Mails()[before:]
		if (err == nil) != tt.taken || (len(mails) == 1) != tt.taken {
			t.Errorf("%s: %v, %d mails", tt.name, err, len(mails))
		}
		for _, m := range mails {
			if m.Header.Get("Bcc") != "" || m.To != "reader@example.org" || m.Text != "text" {
				t.Errorf("%s:\n%s", tt.name, m.Raw)
			}
		}
	}
}

func TestCheck(t *testing.T) {
	from := &mail.Address{Address: "papers@example.org"}
	for _, tt := range []struct {
		name string
		s    Sender
		err  string
	}{
		{"whole", Sender{Server: "smtp.example.org:587", From: from}, ""},
		{"no server", Sender{From: from}, "HOST:PORT"},
		{"no port", Sender{Server: "smtp.example.org", From: from}, "HOST:PORT"},
		{"port", Sender{Server: "smtp.example.org:99999", From: from}, "HOST:PORT"},
		{"no sender", Sender{Server: "x:25"}, "sender"},
		{"sender", Sender{Server: "x:25", From: &mail.Address{Address: "root@localhost"}}, "no domain"},
		{"security", Sender{Server: "x:25", From: from, Security: "ssl"}, "starttls, tls or none"},
		{"user without password", Sender{Server: "x:25", From: from, User: "u"}, "both"},
	} {
		if err := tt.s.Check(); (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.err)
		}
	}
}

// TestSubjects: the subject names what comes first, and counts the rest.
func TestSubjects(t *testing.T) {
	a, b := shelf.Paper{Title: "One"}, shelf.Paper{Title: "\u202e"}
	for _, tt := range []struct {
		d    shelf.Digest
		want string
	}{
		{shelf.Digest{New: []shelf.Paper{a}}, "One"},
		{shelf.Digest{New: []shelf.Paper{a, b}, More: 5, Trending: []shelf.Paper{a}}, "One, and 7 more"},
		{shelf.Digest{Changed: []shelf.Change{{Paper: a}}, Trending: []shelf.Paper{a}}, "Verdict changed: One, and 1 more"},
		{shelf.Digest{Trending: []shelf.Paper{b}}, "Trending: Untitled"},
	} {
		if got := subject(tt.d); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

// TestLetters shows the mails as readers see them: MAIL_SHOW names a folder for their
// HTML parts.
func TestLetters(t *testing.T) {
	runs := shelf.Paper{Slug: "dpm-solver-pp", Title: "DPM-Solver++: Fast Solver for Guided Sampling of Diffusion Probabilistic Models",
		Authors: []string{"C. Lu", "Y. Zhou", "F. Bao", "J. Chen"}, Summary: strings.Repeat("A solver of high order that stays stable under large guidance. ", 9), Runnable: true, Status: "holds", Votes: 1}
	fed := shelf.Paper{Slug: "arxiv-2601.00001", Title: "Ünïcode & <b>bold</b>", Authors: []string{"A. Author"}, Votes: 2}
	d := shelf.Digest{New: []shelf.Paper{runs, fed}, More: 1, Trending: []shelf.Paper{fed}, Changed: []shelf.Change{{Paper: runs}, {Paper: runs, Was: "fails"}}}
	news, err := News("http://127.0.0.1:8080", shelf.Subscriber{Address: "a@b.org", Period: shelf.Weekly, Token: "ABC"}, d, noon, noon)
	if err != nil {
		t.Fatal(err)
	}
	ask, err := Confirmation("http://127.0.0.1:8080/", shelf.Request{Address: "a@b.org", Period: shelf.Daily, Token: "DEF"}, noon)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []struct{ text, want string }{
		{news.Text, "your weekly digest"}, {news.Text, "* DPM-Solver++: Fast"}, {news.Text, "C. Lu, Y. Zhou, F. Bao and others · can be run · holds"}, {news.Text, "* Ünïcode & <b>bold</b>"},
		{news.Text, "and 1 more paper: http://127.0.0.1:8080/\n"}, {news.Text, "no verdict -> holds"}, {news.Text, "fails -> holds"}, {news.Text, "2 votes"},
		{news.Text, "http://127.0.0.1:8080/unsubscribe?token=ABC"}, {news.Text, "http://127.0.0.1:8080/papers/arxiv-2601.00001\n"},
		{news.HTML, "Ünïcode &amp; &lt;b&gt;bold"}, {news.HTML, `href="http://127.0.0.1:8080/unsubscribe?token=ABC"`}, {news.HTML, "and 1 more paper"},
		{ask.Text, "\nhttp://127.0.0.1:8080/subscribe/confirm?token=DEF\n"}, {ask.Text, "daily"}, {ask.HTML, `href="http://127.0.0.1:8080/subscribe/confirm?token=DEF"`},
	} {
		if !strings.Contains(part.text, part.want) {
			t.Errorf("no %q in\n%s", part.want, part.text)
		}
	}
	again, _ := News("http://127.0.0.1:8080", shelf.Subscriber{Address: "a@b.org", Period: shelf.Weekly, Token: "ABC"}, d, noon, noon.Add(time.Minute))
	other, _ := News("http://127.0.0.1:8080", shelf.Subscriber{Address: "a@b.org", Period: shelf.Weekly, Token: "ABC"}, d, noon.Add(time.Hour), noon)
	if again.ID != news.ID || other.ID == news.ID {
		t.Errorf("IDs %s, again %s, another digest %s", news.ID, again.ID, other.ID)
	}
	if dir := os.Getenv("MAIL_SHOW"); dir != "" {
		for name, text := range map[string]string{"news.html": news.HTML, "ask.html": ask.HTML, "news.txt": news.Text, "ask.txt": ask.Text} {
			if err := os.WriteFile(dir+"/"+name, []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
}
