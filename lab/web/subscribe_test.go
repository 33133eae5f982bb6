package web

import (
	"context"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	ourmail "github.com/assay-lab/assay/lab/mail"
)

func TestProbe(t *testing.T) {
	p := posted(t)
	p.join("known@example.org", "daily")
	if status, _ := p.subscribe("asked@example.org", "daily"); status != 200 {
		t.Fatal(status)
	}
	p.later(30 * time.Minute)
	if n := p.quiet(); n != 2 {
		t.Fatalf("%d mails", n)
	}
	var first string
	for _, name := range []string{"known", "asked", "fresh"} {
		status, page := p.subscribe(name+"@example.org", "daily")
		page = strings.ReplaceAll(page, name, "x")
		if first == "" {
			first = page
		}
		if status != 200 || page != first {
			t.Errorf("%s: status %d, another page:\n%s", name, status, page)
		}
	}
	if n := p.quiet(); n != 3 {
		t.Errorf("%d mails: within an hour, only the fresh address gets one", n)
	}
}

func TestAskLimits(t *testing.T) {
	p := posted(t)
	for i := range 7 {
		status, _ := p.subscribe("reader@example.org", "daily")
		if want := map[bool]int{true: 200, false: 429}[i < mostAsks]; status != want {
			t.Errorf("wish %d: status %d, want %d", i+1, status, want)
		}
	}
	if n := p.quiet(); n != 1 {
		t.Errorf("%d mails to one address", n)
	}
	p.later(61 * time.Minute)
	if status, _ := p.subscribe("reader@example.org", "daily"); status != 200 {
		t.Errorf("an hour later: status %d", status)
	}
	if mails := p.server.Wait(t, 2); link(t, mails[0]) != link(t, mails[1]) {
		t.Error("the first mail's link is no longer good")
	}
	for _, tt := range []struct {
		name, first, second string
		one                 bool
	}{
		{"two of one network", "[2001:db8:1:2::1]:5", "[2001:db8:1:2::9]:6", true},
		{"two networks", "[2001:db8:1:3::1]:5", "[2001:db8:1:4::1]:5", false},
		{"two ports", "203.0.113.1:5", "203.0.113.1:6", true},
		{"two addresses", "203.0.113.1:5", "203.0.113.2:5", false},
		{"an address in two forms", "203.0.113.1:5", "[::ffff:203.0.113.1]:5", true},
		{"this machine", "127.0.0.1:5", "[::1]:7", true},
	} {
		a, b := from(&Server{}, tt.first, ""), from(&Server{}, tt.second, "")
		if (a == b) != tt.one {
			t.Errorf("%s: %q and %q", tt.name, a, b)
		}
	}
	proxied := &Server{cfg: Config{Auth: &Auth{Header: "X-Remote-User", Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}}}
	for _, tt := range []struct{ name, peer, forwarded, want string }{
		{"a proxy on this machine", "127.0.0.1:5", "203.0.113.7", "203.0.113.7"},
		{"a proxy elsewhere", "10.0.0.1:5", "203.0.113.7", "203.0.113.7"},
		{"a proxy that tells nothing", "127.0.0.1:5", "", ""},
		{"who is no proxy", "203.0.113.9:5", "203.0.113.7", "203.0.113.9"},
	} {
		if got := from(proxied, tt.peer, tt.forwarded); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	var a asks
	at := time.Now()
	for i := range mostAsks + 1 {
		if got := a.allow(fmt.Sprint("visitor", i), "203.0.113.1", at); got != (i < mostAsks) {
			t.Errorf("visitor %d of one origin: %v", i, got)
		}
	}
	if !a.allow("other", "203.0.113.2", at) || !a.allow("visitor0", "203.0.113.1", at.Add(time.Hour)) {
		t.Error("another origin, or an hour later, is refused")
	}
}

// from is the origin of a request, as the guard finds it.
func from(s *Server, peer, forwarded string) string {
	r := httptest.NewRequest("POST", "/subscribe", nil)
	if r.RemoteAddr = peer; forwarded != "" {
		r.Header.Set("X-Forwarded-For", forwarded)
	}
	return origin(r.WithContext(context.WithValue(r.Context(), callerKey{}, s.identify(r))))
}

func TestSubscribeRequests(t *testing.T) {
	p := posted(t)
	token := p.token()
	p.join("reader@example.org", "weekly")
	for _, tt := range []struct {
		name, method, path string
		fields             map[string]string
		status             int
		want               string
	}{
		{"the page", "GET", "/subscribe", nil, 200, `name="address"`},
		{"no address", "POST", "/subscribe", map[string]string{"token": token}, 400, "The address is missing"},
		{"no such address", "POST", "/subscribe", map[string]string{"token": token, "address": `"><script>alert(1)</script>`}, 400, "&lt;script&gt;"},
		{"a header in the address", "POST", "/subscribe", map[string]string{"token": token, "address": "a@b.org\r\nBcc: c@d.org"}, 400, "control characters"},
		{"two addresses", "POST", "/subscribe", map[string]string{"token": token, "address": "a@b.org,c@d.org"}, 400, "must be one"},
		{"period", "POST", "/subscribe", map[string]string{"token": token, "address": "a@b.org", "period": "hourly"}, 400, "daily or weekly"},
		{"another site's form", "POST", "/subscribe", map[string]string{"address": "a@b.org"}, 403, "reload"},
		{"no token", "GET", "/subscribe/confirm", nil, 404, "three days"},
		{"a wrong token", "GET", "/subscribe/confirm?token=x", nil, 404, "three days"},
		{"confirming a wrong token", "POST", "/subscribe/confirm?token=x", map[string]string{"token": token}, 404, "three days"},
		{"confirming without a form's token", "POST", "/subscribe/confirm?token=x", map[string]string{"List-Unsubscribe": "One-Click"}, 403, "reload"},
		{"ending by a wrong token", "GET", "/unsubscribe?token=x", nil, 404, "no subscription"},
		{"ending by a wrong token, with one click", "POST", "/unsubscribe?token=x", map[string]string{"List-Unsubscribe": "One-Click"}, 404, "no subscription"},
		{"ending without a form's token", "POST", "/unsubscribe?token=x", map[string]string{"x": "y"}, 403, "reload"},
		{"one click with something else", "POST", "/unsubscribe?token=x", map[string]string{"List-Unsubscribe": "One-Click", "x": "y"}, 403, "reload"},
		{"one click elsewhere", "POST", "/papers/pndm/vote", map[string]string{"List-Unsubscribe": "One-Click"}, 403, "reload"},
	} {
		var status int
		var page string
		if tt.method == "GET" {
			status, page = p.get(tt.path)
		} else {
			status, _, page = p.post(tt.path, tt.fields, nil)
		}
		if status != tt.status || !strings.Contains(page, tt.want) || strings.Contains(page, "<script>alert") {
			t.Errorf("%s: status %d, want %d and %q in\n%s", tt.name, status, tt.status, tt.want, page)
		}
	}
	if n := p.quiet(); n != 1 {
		t.Errorf("%d mails", n)
	}
}

func TestMailedPages(t *testing.T) {
	p := posted(t)
	ask := p.join("reader@example.org", "weekly")
	p.put("alpha")
	p.later(8 * 24 * time.Hour)
	leave := link(t, p.server.Wait(t, 2)[1])
	jar, _ := cookiejar.New(nil)
	client := &http.Client{Jar: jar}
	for _, path := range []string{link(t, ask), leave} {
		a, err := client.Get(p.url + path)
		if err != nil {
			t.Fatal(err)
		}
		a.Body.Close()
		if a.Header.Get("Referrer-Policy") != "no-referrer" || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: headers %v", path, a.Header)
		}
	}
	status, page := p.get(leave)
	if status != 200 || !strings.Contains(page, "reader@example.org") || !strings.Contains(page, `action="`+leave+`"`) {
		t.Fatalf("status %d:\n%s", status, page)
	}
	for _, tt := range []struct {
		origin, path string
		status       int
	}{
		{"https://evil.example", leave, 403}, {"null", "/subscribe", 403}, {"null", leave, 200},
	} {
		r, _ := http.NewRequest("POST", p.url+tt.path, strings.NewReader(url.Values{"token": {p.token()}}.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", tt.origin)
		a, err := p.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		a.Body.Close()
		if a.StatusCode != tt.status {
			t.Errorf("%s from %s: status %d, want %d", tt.path, tt.origin, a.StatusCode, tt.status)
		}
	}
	if status, page := p.get(leave); status != 404 || !strings.Contains(page, "no longer") {
		t.Errorf("afterwards: status %d:\n%s", status, page)
	}
}

func TestWithoutMail(t *testing.T) {
	s := serve(t, configIn(t, t.TempDir()))
	if _, page := s.get("/"); !strings.Contains(page, `href="/subscribe"`) || strings.Contains(page, `action="/subscribe"`) {
		t.Errorf("the feed:\n%s", page)
	}
	if _, page := s.get("/subscribe"); !strings.Contains(page, "--smtp") || strings.Contains(page, `name="address"`) {
		t.Errorf("the page:\n%s", page)
	}
	if status, _, _ := s.post("/subscribe", map[string]string{"token": s.token(), "address": "a@b.org"}, nil); status != 503 {
		t.Errorf("status %d", status)
	}
	cfg := configIn(t, t.TempDir())
	cfg.Mail = &ourmail.Sender{Server: "nowhere"}
	if _, err := New(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "HOST:PORT") {
		t.Errorf("%v", err)
	}
}

func FuzzOneClick(f *testing.F) {
	f.Add("application/x-www-form-urlencoded", "List-Unsubscribe=One-Click")
	f.Add("multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--x--\r\n")
	f.Fuzz(func(t *testing.T, kind, body string) {
		r := httptest.NewRequest("POST", "/unsubscribe?token=x", strings.NewReader(body))
		r.Header.Set("Content-Type", kind)
		if oneClick(httptest.NewRecorder(), r) && !strings.Contains(body, "One-Click") && !strings.Contains(body, "%") {
			t.Fatalf("%q %q", kind, body)
		}
	})
}
