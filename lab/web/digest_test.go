package web

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/mail"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	ourmail "github.com/assay-lab/assay/lab/mail"
	"github.com/assay-lab/assay/lab/mail/mailtest"
	"github.com/assay-lab/assay/lab/shelf"
)

// A post is a site that sends mail, with a clock of its own and a log.
type post struct {
	*site
	server *mailtest.Server
	ahead  atomic.Int64 // of the true time
	log    syncBuffer
}

// syncBuffer is a log that is read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// posted is a site whose mail server wants TLS and a password.
func posted(t *testing.T) *post {
	t.Helper()
	secret, roots := mailtest.Certificate(t)
	p := &post{server: &mailtest.Server{TLS: secret, User: "papers", Password: "secret"}}
	p.server.Start(t)
	cfg := configIn(t, t.TempDir())
	cfg.Mail = &ourmail.Sender{Server: p.server.Addr, User: "papers", Password: "secret", Roots: roots, Timeout: 20 * time.Second,
		From: &mail.Address{Name: "Daily Papers", Address: "papers@example.org"}}
	cfg.Log = slog.New(slog.NewTextHandler(&p.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	cfg.Shelf.Now = func() time.Time { return time.Now().Add(time.Duration(p.ahead.Load())) }
	p.site = serve(t, cfg)
	return p
}

// later lets time pass.
func (p *post) later(d time.Duration) {
	p.ahead.Add(int64(d))
	p.Server.postman.poke()
}

// until waits for something to come true.
func (p *post) until(what string, true func() bool) {
	p.Helper()
	for range 1500 {
		if true() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	p.Fatalf("%s does not come true; log:\n%s", what, p.log.String())
}

// quiet waits until everything that is due has been tried, and says how many mails
// there were.
func (p *post) quiet() int {
	p.Helper()
	p.Server.postman.round(p.Context(), p.Context())
	return len(p.server.Mails())
}

func (p *post) subscribe(address, period string) (int, string) {
	p.Helper()
	status, _, page := p.post("/subscribe", map[string]string{"token": p.token(), "address": address, "period": period}, nil)
	return status, page
}

var linkInMail = regexp.MustCompile(`http://[0-9.:]+(/(?:subscribe/confirm|unsubscribe)\?token=\w+)`)

// link is the path of the link in a mail.
func link(t testing.TB, m mailtest.Mail) string {
	t.Helper()
	a, b := linkInMail.FindStringSubmatch(m.Text), linkInMail.FindStringSubmatch(m.HTML)
	if a == nil || b == nil || a[1] != b[1] {
		t.Fatalf("links %q and %q in\n%s", a, b, m.Raw)
	}
	return a[1]
}

// join subscribes and confirms, and gives the mail that asked.
func (p *post) join(address, period string) mailtest.Mail {
	p.Helper()
	n := len(p.server.Mails())
	if status, page := p.subscribe(address, period); status != 200 {
		p.Fatalf("status %d:\n%s", status, page)
	}
	m := p.server.Wait(p, n+1)[n]
	if status, _, page := p.post(link(p, m), map[string]string{"token": p.token()}, nil); status != 200 || !strings.Contains(page, "You are subscribed") {
		p.Fatalf("status %d:\n%s", status, page)
	}
	return m
}

func (p *post) put(slugs ...string) {
	p.Helper()
	for _, slug := range slugs {
		if _, err := p.cfg.Shelf.Put(p.Context(), []shelf.Paper{{Slug: slug, Title: "On " + slug, URL: "https://example.org/" + slug, Published: time.Now()}}); err != nil {
			p.Fatal(err)
		}
	}
}

// TestDigestByMail goes the whole way: a reader subscribes, confirms by the link of the
// mail, gets a digest, and ends it as a mail provider does in a reader's name.
func TestDigestByMail(t *testing.T) {
	p := posted(t)
	if status, page := p.subscribe("Reader@Example.org", "daily"); status != 200 || !strings.Contains(page, "Reader@example.org") {
		t.Fatalf("status %d:\n%s", status, page)
	}
	ask := p.server.Wait(t, 1)[0]
	if ask.To != "Reader@example.org" || ask.From != "papers@example.org" || ask.Header.Get("List-Unsubscribe") != "" || ask.Header.Get("Auto-Submitted") != "auto-generated" {
		t.Errorf("the mail that asks:\n%s", ask.Raw)
	}
	path := link(t, ask)
	for range 2 { // as programs that look through mails do
		if status, page := p.get(path); status != 200 || !strings.Contains(page, "Yes, send it") {
			t.Fatalf("status %d:\n%s", status, page)
		}
	}
	p.put("alpha")
	p.later(25 * time.Hour)
	if n := p.quiet(); n != 1 {
		t.Fatalf("%d mails without a confirmation", n)
	}
	if status, _, page := p.post(path, map[string]string{"token": p.token()}, nil); status != 200 || !strings.Contains(page, "You are subscribed") {
		t.Fatalf("status %d:\n%s", status, page)
	}
	p.put("beta", "gamma")
	p.later(25 * time.Hour)
	news := p.server.Wait(t, 2)[1]
	checkDigest(t, p, news)

	action := strings.Trim(news.Header.Get("List-Unsubscribe"), "<>")
	if status := p.oneClick(action, "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--x--\r\n"); status != 200 {
		t.Errorf("one click: status %d", status)
	}
	if status := p.oneClick(action, "application/x-www-form-urlencoded", "List-Unsubscribe=One-Click"); status != 404 {
		t.Errorf("again: status %d", status)
	}
	p.put("delta")
	p.later(25 * time.Hour)
	if n := p.quiet(); n != 2 {
		t.Errorf("%d mails: it goes on", n)
	}
	if log := p.log.String(); strings.Contains(log, "token") || strings.Contains(log, path[strings.Index(path, "=")+1:]) {
		t.Errorf("the log tells tokens:\n%s", log)
	}
	if _, text := p.get("/metrics"); !strings.Contains(text, `assay_mails_total{kind="digest",state="sent"} 1`) || !strings.Contains(text, `assay_mails_total{kind="confirmation",state="sent"} 1`) {
		t.Error("the meters do not count mails")
	}
}

// oneClick sends what a mail provider does, without a cookie.
func (p *post) oneClick(action, kind, body string) int {
	p.Helper()
	r, _ := http.NewRequest("POST", action, strings.NewReader(body))
	r.Header.Set("Content-Type", kind)
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		p.Fatal(err)
	}
	a.Body.Close()
	if len(a.Cookies()) > 0 {
		p.Errorf("it is given a cookie: %v", a.Cookies())
	}
	return a.StatusCode
}

func checkDigest(t *testing.T, p *post, m mailtest.Mail) {
	t.Helper()
	h := m.Header
	leave := link(t, m)
	for name, want := range map[string]string{
		"List-Unsubscribe": "<" + p.url + leave + ">", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
		"List-Id": "Daily Papers <daily-papers.example.org>", "Auto-Submitted": "auto-generated", "To": "<Reader@example.org>", "From": `"Daily Papers" <papers@example.org>`,
	} {
		if h.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, h.Get(name), want)
		}
	}
	if at, err := h.Date(); err != nil || time.Since(at).Abs() < 24*time.Hour || !strings.HasSuffix(h.Get("Message-Id"), "@example.org>") {
		t.Errorf("Date %v, %v; Message-ID %q", at, err, h.Get("Message-Id"))
	}
	if !strings.HasPrefix(m.Subject, "On ") || !strings.HasSuffix(m.Subject, ", and 1 more") {
		t.Errorf("subject %q", m.Subject)
	}
	for _, part := range []string{m.Text, m.HTML} {
		for _, slug := range []string{"beta", "gamma"} {
			if !strings.Contains(part, p.url+"/papers/"+slug) || !strings.Contains(part, "On "+slug) {
				t.Errorf("%s is not in\n%s", slug, part)
			}
		}
		if strings.Contains(part, "On alpha") {
			t.Errorf("what was there before is told:\n%s", part)
		}
	}
}

// TestPeriods: the daily and the weekly digest come at their time, not for nothing, and
// tell everything once.
func TestPeriods(t *testing.T) {
	p := posted(t)
	p.later(time.Minute) // the catalogue was there before
	p.join("daily@example.org", "daily")
	p.join("weekly@example.org", "weekly")
	p.later(time.Hour)
	sent := p.quiet()
	for day := 1; day <= 9; day++ {
		if day == 2 || day == 4 {
			p.put(fmt.Sprint("day", day))
		}
		p.later(24 * time.Hour)
		p.quiet()
	}
	var got []string
	for _, m := range p.server.Mails()[sent:] {
		got = append(got, fmt.Sprint(m.To, ": ", m.Subject))
	}
	const want = "daily@example.org: On day2\ndaily@example.org: On day4\nweekly@example.org: On day4, and 1 more"
	if text := strings.Join(got, "\n"); text != want {
		t.Errorf("%s\nwant\n%s", text, want)
	}
}

// TestMailServerIsDown: nothing is lost when there is no mail server for a while.
func TestMailServerIsDown(t *testing.T) {
	p := posted(t)
	p.join("reader@example.org", "daily")
	p.server.Stop()
	p.put("alpha")
	if status, _ := p.subscribe("other@example.org", "daily"); status != 200 {
		t.Errorf("status %d", status)
	}
	p.later(25 * time.Hour)
	failed := func() bool {
		_, text := p.get("/metrics")
		return strings.Contains(text, `kind="digest",state="failed"`) && strings.Contains(text, `kind="confirmation",state="failed"`)
	}
	p.until("failing", func() bool { p.later(0); return failed() })
	p.server.Start(t)
	p.until("sending", func() bool { p.later(0); return len(p.server.Mails()) == 3 })
	to := map[string]int{}
	for _, m := range p.server.Mails() {
		to[m.To]++
	}
	if p.quiet() != 3 || to["other@example.org"] != 1 || to["reader@example.org"] != 2 {
		t.Errorf("mails to %v", to)
	}
}

// TestRefused: an address that is refused three times gets nothing more; others do.
func TestRefused(t *testing.T) {
	p := posted(t)
	p.join("gone@example.org", "daily")
	p.join("here@example.org", "daily")
	p.server.Stop()
	p.server.Answer = func(to string) error {
		if to == "gone@example.org" {
			return mailtest.Refuse(550, "no such mailbox")
		}
		return nil
	}
	p.server.Start(t)
	for day := range 5 {
		p.put(fmt.Sprint("day", day))
		p.later(25 * time.Hour)
		p.quiet()
	}
	if tried, mails := p.server.Tried(), len(p.server.Mails()); tried != 2+3+5 || mails != 2+5 {
		t.Errorf("%d tried and %d sent, want 10 and 7", tried, mails)
	}
}

// TestLogHasNoTokens: also not where a mail server repeats what it does not like.
func TestLogHasNoTokens(t *testing.T) {
	p := posted(t)
	p.server.Stop()
	said := make(chan string, 100)
	p.server.Take = func(m mailtest.Mail) error {
		path := link(t, m)
		said <- path[strings.Index(path, "=")+1:]
		return mailtest.Refuse(554, "we do not like http://x.org"+path)
	}
	p.server.Start(t)
	p.subscribe("reader@example.org", "daily")
	token := <-said
	p.until("logging", func() bool { return strings.Contains(p.log.String(), "we do not like") })
	if log := p.log.String(); strings.Contains(log, token) {
		t.Errorf("%s is in\n%s", token, log)
	}
}

// TestProbe: nobody learns who subscribes.
// TestAskLimits: one mail an hour to an address, five wishes an hour of one visitor and
// of one address of origin.
// TestSubscribeRequests has what is refused, and with what words.
// TestMailedPages: pages behind the links of mails tell their address to nobody, and
// work from a page that names no origin; the button ends a subscription too.
// TestManySubscribers: subscribers who know the same share one look at the shelf.
func TestManySubscribers(t *testing.T) {
	p := posted(t)
	for i := range 12 {
		address := fmt.Sprintf("reader%d@example.org", i)
		if err := p.cfg.Shelf.Subscribe(t.Context(), address, shelf.Daily); err != nil {
			t.Fatal(err)
		}
	}
	p.Server.postman.poke()
	for _, m := range p.server.Wait(t, 12) {
		path := link(t, m)
		if _, err := p.cfg.Shelf.Confirm(t.Context(), path[strings.Index(path, "=")+1:]); err != nil {
			t.Fatal(err)
		}
	}
	p.put("alpha")
	p.later(25 * time.Hour) // a first digest is of the time since the confirmation
	p.server.Wait(t, 24)
	p.quiet()
	p.put("beta")
	p.later(25 * time.Hour)
	p.server.Wait(t, 36)
	p.Server.postman.mu.Lock()
	defer p.Server.postman.mu.Unlock()
	if n := len(p.Server.postman.digests); n < 1 || n > 2 { // two, if the hour ended meanwhile
		t.Errorf("%d looks at the shelf for 12 subscribers", n)
	}
}

// TestWithoutMail: a server without mail says so, and how to have it.
// TestPostEnds: the server's end waits for a mail on its way, not for the others.
func TestPostEnds(t *testing.T) {
	p := posted(t)
	begun, go_on := make(chan struct{}, 100), make(chan struct{})
	p.server.Stop()
	p.server.Answer = func(string) error { begun <- struct{}{}; <-go_on; return nil }
	p.server.Start(t)
	for i := range 20 {
		if err := p.cfg.Shelf.Subscribe(t.Context(), fmt.Sprintf("reader%d@example.org", i), shelf.Daily); err != nil {
			t.Fatal(err)
		}
	}
	p.Server.postman.poke()
	<-begun
	close(go_on)
	p.stop()
	taken := len(p.server.Mails())
	rs, err := p.cfg.Shelf.Waiting(t.Context(), 100)
	if err != nil || taken < 1 || taken+len(rs) != 20 {
		t.Errorf("%d sent and %d wait of 20, %v", taken, len(rs), err)
	}
}

// FuzzOneClick: no body of a request makes trouble, and few are that of a mail provider.
