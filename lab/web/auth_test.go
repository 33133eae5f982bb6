package web

import (
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// passwords writes a file of users and passwords that are quick to check.
func passwords(t testing.TB, file string, users map[string]string) string {
	t.Helper()
	text := "# users\n\n"
	for name, password := range users {
		h, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		text += name + ":" + strings.Replace(string(h), "$2a$", "$2y$", 1) + "\r\n"
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Duration(len(text)) * time.Second) // a file of the same length is another all the same
	if err := os.Chtimes(file, later, later); err != nil {
		t.Fatal(err)
	}
	return file
}

const secret = "correct horse"

func withLogins(t *testing.T) *site {
	cfg := configIn(t, t.TempDir())
	cfg.Auth = &Auth{Passwords: passwords(t, filepath.Join(t.TempDir(), "users"), map[string]string{"ada": secret, "bob": secret + "2"})}
	return serve(t, cfg)
}

// another is a reader on another device.
func (s *site) another() *site {
	other := *s
	jar, _ := cookiejar.New(nil)
	other.client = &http.Client{Jar: jar, Timeout: 20 * time.Second}
	return &other
}

func (s *site) login(name, password, next string) (status int, to, text string) {
	s.Helper()
	_, page := s.get("/login")
	m := tokenField.FindStringSubmatch(page)
	if m == nil {
		s.Fatalf("no token:\n%s", page)
	}
	return s.post("/login", map[string]string{"token": m[1], "name": name, "password": password, "next": next}, nil)
}

// TestLogin: what needs a login leads there and then works, on every device of the user.
func TestLogin(t *testing.T) {
	s := withLogins(t)
	run := map[string]string{"experiment": "pndm/toy", "size": "quick", "set.wait": "5000"}
	if _, page := s.get("/papers/pndm"); !strings.Contains(page, `href="/login?next=%2Fpapers%2Fpndm"`) || !strings.Contains(page, "Log in to run this") || strings.Contains(page, ">Run</button>") {
		t.Errorf("the page does not ask for a login:\n%s", page)
	}
	if _, page := s.get("/"); !strings.Contains(page, "Log in to add it") || strings.Contains(page, `action="/papers"`) {
		t.Error("the feed has a form to add papers")
	}
	for _, path := range []string{"/papers/pndm/runs", "/compare/runs", "/papers", "/jobs/x/stop"} {
		if status, to, _ := s.post(path, run, nil); status != http.StatusSeeOther || to != "/login?next=%2F" {
			t.Errorf("%s: status %d, %q", path, status, to)
		}
	}
	if status, _, _ := s.post("/papers/pndm/vote", map[string]string{"token": s.token(), "up": "1"}, nil); status != http.StatusSeeOther {
		t.Errorf("a vote: status %d", status)
	}
	for name, password := range map[string]string{"ada": secret + "x", "eve": secret, "": "", "bob": strings.Repeat("x", 100)} {
		if status, _, text := s.login(name, password, "/"); status != http.StatusForbidden || !strings.Contains(text, "The name or the password is wrong.") {
			t.Errorf("%q: status %d:\n%s", name, status, text)
		}
	}
	if status, to, _ := s.login("ada", secret, "/papers/pndm"); status != http.StatusSeeOther || to != "/papers/pndm" {
		t.Fatalf("status %d, %q", status, to)
	}
	_, page := s.get("/papers/pndm")
	if !strings.Contains(page, ">ada<") || !strings.Contains(page, "Log out") || !strings.Contains(page, ">Run</button>") {
		t.Errorf("the page does not know the user:\n%s", page)
	}
	job := s.begin(run, nil)
	phone := s.another()
	if status, _, _ := phone.login("ada", secret, ""); status != http.StatusSeeOther {
		t.Fatalf("status %d", status)
	}
	bob := s.another()
	bob.login("bob", secret+"2", "")
	if status, _, _ := bob.post(job+"/stop", map[string]string{"token": bob.token()}, nil); status != http.StatusForbidden {
		t.Errorf("another user stops it: %d", status)
	}
	for _, device := range []*site{s, phone} { // one vote a user
		if status, _, _ := device.post("/papers/deis/vote", map[string]string{"token": device.token(), "up": "1"}, nil); status != http.StatusSeeOther {
			t.Errorf("status %d", status)
		}
	}
	if p, _ := s.cfg.Shelf.Paper(t.Context(), "deis", "user:ada"); p.Votes != 1 || !p.Voted {
		t.Errorf("%+v", p)
	}
	if status, _, _ := phone.post(job+"/stop", map[string]string{"token": phone.token()}, nil); status != http.StatusSeeOther {
		t.Errorf("the other device: status %d", status)
	}
	if status, to, _ := s.post("/logout", map[string]string{"token": s.token()}, nil); status != http.StatusSeeOther || to != "/" {
		t.Errorf("status %d, %q", status, to)
	}
	if _, page := s.get("/"); strings.Contains(page, ">ada<") {
		t.Error("still logged in")
	}
	if _, page := phone.get("/"); !strings.Contains(page, ">ada<") {
		t.Error("the other device is logged out too")
	}
}

// TestNewPassword: a new password ends the sessions that the old one began; a broken file
// changes nothing.
func TestNewPassword(t *testing.T) {
	s := withLogins(t)
	s.login("ada", secret, "")
	in := func() bool { _, page := s.get("/"); return strings.Contains(page, ">ada<") }
	file := s.cfg.Auth.Passwords
	if err := os.WriteFile(file, []byte("ada"), 0o600); err != nil {
		t.Fatal(err)
	}
	if !in() {
		t.Error("a broken file logs out")
	}
	os.Remove(file)
	if !in() {
		t.Error("a file that is gone logs out")
	}
	passwords(t, file, map[string]string{"ada": secret + "new", "carol": secret})
	if in() {
		t.Error("the old password's session goes on")
	}
	if status, _, _ := s.login("ada", secret, ""); status != http.StatusForbidden {
		t.Errorf("the old password: status %d", status)
	}
	if status, _, _ := s.login("carol", secret, ""); status != http.StatusSeeOther {
		t.Errorf("a new user: status %d", status)
	}
}

func TestForgedSessions(t *testing.T) {
	s := withLogins(t)
	hash, _ := s.passwords.hash("ada")
	bob, _ := s.passwords.hash("bob")
	later := time.Now().Add(time.Hour)
	good := s.session("ada", hash, later)
	parts := strings.Split(good, ".")
	b64 := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	for _, tt := range []struct{ name, value, want string }{
		{"ours", good, "ada"},
		{"over", s.session("ada", hash, time.Now().Add(-time.Second)), ""},
		{"another user", b64("bob") + "." + parts[1] + "." + parts[2], ""},
		{"another end", parts[0] + ".99999999999." + parts[2], ""},
		{"another's hash", s.session("ada", bob, later), ""},
		{"nobody", s.session("eve", "", later), ""},
		{"no signature", parts[0] + "." + parts[1] + ".", ""},
		{"two parts", parts[0] + "." + parts[1], ""},
		{"a visitor's signature", parts[0] + "." + parts[1] + "." + s.sign("visitor", parts[0]+"."+parts[1]+"."+hash), ""},
		{"end of no number", parts[0] + ".x." + parts[2], ""},
		{"name of no base64", "!." + parts[1] + "." + parts[2], ""},
		{"empty", "", ""},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.AddCookie(&http.Cookie{Name: sessionCookie, Value: tt.value})
		if got := s.sessionOf(r); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	// A visitor's cookie cannot say that it is a user.
	r := httptest.NewRequest("GET", "/", nil)
	r.AddCookie(&http.Cookie{Name: cookieName, Value: "user:ada." + strings.Repeat("A", 43)})
	if v := s.visitor(httptest.NewRecorder(), r, caller{}); strings.HasPrefix(v, "user:") {
		t.Errorf("visitor %q", v)
	}
}

// TestLocalPath: a login leads to pages of ours only.
func TestLocalPath(t *testing.T) {
	for _, next := range []string{
		"https://evil.example/", "//evil.example", `/\evil.example`, `\\evil.example`, "/\t/evil.example", "\t//evil.example", "/\n/evil.example", "evil.example",
		"javascript:alert(1)", "///evil.example", " /x", "/a\r\nSet-Cookie: x=y", "/\u2215evil", "http:/x", "", "/login?next=/", "/logout", "/%zz", "/" + strings.Repeat("x", 3000),
	} {
		if got := localPath(next); got != "/" {
			t.Errorf("%q leads to %q", next, got)
		}
	}
	for _, next := range []string{"/", "/papers/pndm", "/?q=a+b&order=trend", "/runs/x#y", "/?q=https://example.org//x"} {
		if got := localPath(next); got != next {
			t.Errorf("%q leads to %q", next, got)
		}
	}
	s := withLogins(t)
	if status, to, _ := s.login("ada", secret, "//evil.example"); status != http.StatusSeeOther || to != "/" {
		t.Errorf("status %d, %q", status, to)
	}
}

// TestToLogin: after the login the page is there again that the form was on.
func TestToLogin(t *testing.T) {
	for referer, want := range map[string]string{
		"http://localhost/papers/pndm?x=1": "/login?next=%2Fpapers%2Fpndm%3Fx%3D1",
		"":                                 "/login?next=%2F", "http://localhost//evil.example": "/login?next=%2F", "javascript:alert(1)": "/login?next=%2F", "\x00": "/login?next=%2F",
	} {
		r, w := httptest.NewRequest("POST", "/papers/pndm/runs", nil), httptest.NewRecorder()
		r.Header.Set("Referer", referer)
		if toLogin(w, r); w.Code != http.StatusSeeOther || w.Header().Get("Location") != want {
			t.Errorf("%q: status %d, %q", referer, w.Code, w.Header().Get("Location"))
		}
	}
}

// TestIdentify: a proxy is believed, nobody else.
func TestIdentify(t *testing.T) {
	header := &Auth{Header: "X-Remote-User", Proxies: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::/8")}}
	for _, tt := range []struct {
		name    string
		auth    *Auth
		peer    string
		headers map[string][]string
		want    caller
	}{
		{"without logins no header is believed", nil, "127.0.0.1:1", map[string][]string{"X-Remote-User": {"ada"}, "X-Forwarded-For": {"8.8.8.8"}, "X-Forwarded-Proto": {"https"}}, caller{address: "127.0.0.1"}},
		{"a proxy on this machine", header, "127.0.0.1:1", map[string][]string{"X-Remote-User": {"ada"}, "X-Forwarded-For": {"8.8.8.8"}, "X-Forwarded-Proto": {"https"}}, caller{user: "ada", address: "8.8.8.8", secure: true}},
		{"a named proxy", header, "10.1.2.3:1", map[string][]string{"X-Remote-User": {"ada"}, "X-Forwarded-For": {"8.8.8.8"}}, caller{user: "ada", address: "8.8.8.8"}},
		{"a named proxy over IPv6", header, "[fd00::1]:1", map[string][]string{"X-Remote-User": {"ada"}}, caller{user: "ada", address: "fd00::/64"}},
		{"a client that says it is a proxy", header, "10.2.0.1:1", map[string][]string{"X-Remote-User": {"ada"}, "X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Proto": {"https"}}, caller{address: "10.2.0.1"}},
		{"a client on the internet", header, "203.0.113.9:1", map[string][]string{"X-Remote-User": {"ada"}}, caller{address: "203.0.113.9"}},
		{"a client's own hops before the proxy's", header, "10.1.2.3:1", map[string][]string{"X-Forwarded-For": {"1.1.1.1, 2.2.2.2", "8.8.8.8, 10.1.9.9"}}, caller{address: "8.8.8.8"}},
		{"a hop that is no address", header, "10.1.2.3:1", map[string][]string{"X-Forwarded-For": {"8.8.8.8, nobody"}}, caller{address: "10.1.2.3"}},
		{"two users", header, "10.1.2.3:1", map[string][]string{"X-Remote-User": {"ada", "root"}}, caller{address: "10.1.2.3"}},
		{"a user of control characters", header, "10.1.2.3:1", map[string][]string{"X-Remote-User": {"a\x00b"}}, caller{address: "10.1.2.3"}},
		{"no user", header, "10.1.2.3:1", map[string][]string{"X-Remote-User": {""}}, caller{address: "10.1.2.3"}},
		{"IPv4 in IPv6", header, "[::ffff:10.1.2.3]:1", map[string][]string{"X-Remote-User": {"ada"}}, caller{user: "ada", address: "10.1.2.3"}},
		{"a /64 is one reader", nil, "[2001:db8:1:2:3:4:5:6]:1", nil, caller{address: "2001:db8:1:2::/64"}},
	} {
		s := &Server{cfg: Config{Auth: tt.auth}}
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = tt.peer
		for k, v := range tt.headers {
			r.Header[k] = v
		}
		if got := s.identify(r); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

// TestHeader: with a proxy's header a user has no password to give and none to take back.
func TestHeader(t *testing.T) {
	cfg := configIn(t, t.TempDir())
	cfg.Auth = &Auth{Header: "x-remote-user"}
	s := serve(t, cfg)
	ask := func(method, path, user string, form url.Values) (int, string, string) {
		r, err := http.NewRequest(method, s.url+path, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if user != "" {
			r.Header.Set("X-Remote-User", user)
		}
		a, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Body.Close()
		text, err := io.ReadAll(a.Body)
		if err != nil {
			t.Fatal(err)
		}
		return a.StatusCode, a.Header.Get("Location"), string(text)
	}
	_, _, page := ask("GET", "/papers/pndm", "<b>ada", nil)
	if !strings.Contains(page, "&lt;b&gt;ada") || strings.Contains(page, "Log out") || !strings.Contains(page, ">Run</button>") {
		t.Errorf("the page does not know the user:\n%s", page)
	}
	form := url.Values{"experiment": {"pndm/toy"}, "size": {"quick"}, "token": {tokenField.FindStringSubmatch(page)[1]}}
	if status, to, text := ask("POST", "/papers/pndm/runs", "<b>ada", form); status != http.StatusSeeOther || !strings.HasPrefix(to, "/jobs/") {
		t.Errorf("status %d, %q:\n%s", status, to, text)
	}
	if status, to, _ := ask("POST", "/papers/pndm/runs", "", form); status != http.StatusSeeOther || !strings.HasPrefix(to, "/login?") {
		t.Errorf("without a user: status %d, %q", status, to)
	}
	if _, _, page := ask("GET", "/login", "", nil); !strings.Contains(page, "it has named no user") || strings.Contains(page, `type="password"`) {
		t.Errorf("%s", page)
	}
}

// TestLoginLimits: passwords cannot be tried out, from one address or for one name.
func TestLoginLimits(t *testing.T) {
	s := withLogins(t)
	s.cfg.Auth.Proxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	try := func(from, name string) int {
		form := url.Values{"token": {s.token0()}, "name": {name}, "password": {"wrong password"}}
		r := httptest.NewRequest("POST", "/login", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("X-Forwarded-For", from)
		r.AddCookie(s.cookie0())
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w.Code
	}
	var last int
	for i := range loginBurst + 3 {
		last = try("198.51.100.1", fmt.Sprint("user", i))
	}
	if last != http.StatusTooManyRequests {
		t.Errorf("one address: status %d", last)
	}
	for i := range nameBurst + 8 {
		last = try(fmt.Sprint("198.51.100.", i+2), "ada")
	}
	if last != http.StatusTooManyRequests {
		t.Errorf("one name: status %d", last)
	}
	if got := try("198.51.100.200", "bob"); got != http.StatusForbidden {
		t.Errorf("another: status %d", got)
	}
}

// token0 is the token of a visitor whose cookie is cookie0.
func (s *site) token0() string { return s.Server.token("ZERO") }
func (s *site) cookie0() *http.Cookie {
	return &http.Cookie{Name: cookieName, Value: "ZERO." + s.sign("visitor", "ZERO")}
}

// TestTLS: over HTTPS cookies are for HTTPS only; without it, from beyond this machine, no
// password is taken.
func TestTLS(t *testing.T) {
	certified := httptest.NewTLSServer(nil)
	certified.Close()
	cfg := configIn(t, t.TempDir())
	cfg.Auth = &Auth{Passwords: passwords(t, filepath.Join(t.TempDir(), "users"), map[string]string{"ada": secret})}
	cfg.TLS = &tls.Config{Certificates: certified.TLS.Certificates}
	s := serve(t, cfg)
	s.url = strings.Replace(s.url, "http:", "https:", 1)
	var given []string
	s.client.Transport = transport(func(r *http.Request) (*http.Response, error) {
		a, err := (&http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}).RoundTrip(r)
		if err == nil {
			given = append(given, a.Header.Values("Set-Cookie")...)
		}
		return a, err
	})
	if status, _, text := s.login("ada", secret, ""); status != http.StatusSeeOther {
		t.Fatalf("status %d:\n%s", status, text)
	}
	if len(given) != 2 {
		t.Errorf("cookies %q", given)
	}
	for _, c := range given {
		if !strings.Contains(c, "; Secure") || !strings.Contains(c, "; HttpOnly") || !strings.Contains(c, "; SameSite=Lax") {
			t.Errorf("cookie %q", c)
		}
	}
	r := httptest.NewRequest("POST", "/login", strings.NewReader(url.Values{"token": {s.token0()}, "name": {"ada"}, "password": {secret}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.AddCookie(s.cookie0())
	w := httptest.NewRecorder()
	if s.ServeHTTP(w, r); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "HTTPS only") {
		t.Errorf("in the clear: status %d", w.Code)
	}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

const someHash = "$2y$05$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234"

func TestParsePasswords(t *testing.T) {
	got, err := ParsePasswords([]byte("# c\n\r\n  \nada:" + someHash + "\r\nÅsa L.:" + someHash))
	if err != nil || len(got) != 2 || got["Åsa L."] != someHash {
		t.Errorf("%q, %v", got, err)
	}
	for _, tt := range []struct{ name, text, want string }{
		{"no colon", "\nada", "line 2 has no colon"},
		{"no name", ":" + someHash, "line 1: name"},
		{"blank around a name", "ada :" + someHash, "line 1: name"},
		{"control character", "a\x07:" + someHash, "line 1: name"},
		{"long name", strings.Repeat("x", 65) + ":" + someHash, "line 1: name"},
		{"no hash", "ada:", "not bcrypt's"},
		{"a password in the clear", "ada:secret", "not bcrypt's"},
		{"MD5", "ada:$apr1$abcdefgh$abcdefghijklmnopqrstuv", "not bcrypt's"},
		{"cut", "ada:" + someHash[:59], "not bcrypt's"},
		{"longer", "ada:" + someHash + "x", "not bcrypt's"},
		{"another field", "ada:" + someHash[:50] + ":123456789", "not bcrypt's"},
		{"$2x$", "ada:" + strings.Replace(someHash, "2y", "2x", 1), "not bcrypt's"},
		{"too dear", "ada:" + strings.Replace(someHash, "$05$", "$31$", 1), "cost 31: at most 16"},
		{"cheaper than there is", "ada:" + strings.Replace(someHash, "$05$", "$01$", 1), "not bcrypt's"},
		{"twice", "ada:" + someHash + "\nada:" + someHash, `line 2: "ada" is there already`},
		{"too long", strings.Repeat("#", mostPasswords+1), "at most"},
	} {
		if _, err := ParsePasswords([]byte(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func FuzzParsePasswords(f *testing.F) {
	f.Add([]byte("# c\nada:" + someHash + "\n"))
	f.Add([]byte("ada:$2a$\n:"))
	f.Fuzz(func(t *testing.T, text []byte) {
		users, err := ParsePasswords(text)
		if err != nil {
			return
		}
		for name, hash := range users {
			if checkName(name) != nil || checkHash(hash) != nil {
				t.Fatalf("%q: %q", name, hash)
			}
		}
	})
}

func TestSetPassword(t *testing.T) {
	was := passwordCost
	passwordCost = bcrypt.MinCost
	t.Cleanup(func() { passwordCost = was })
	file := filepath.Join(t.TempDir(), "new", "users")
	for _, tt := range []struct{ name, password, want string }{
		{"ada", "short", "from 8 to 72"}, {"ada", strings.Repeat("x", 73), "from 8 to 72"}, {"a:b", secret, "name"}, {"", secret, "name"}, {"#a", secret, "name"},
	} {
		if err := SetPassword(file, tt.name, tt.password); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q, %q: %v", tt.name, tt.password, err)
		}
	}
	if err := SetPassword(file, "ada", secret); err != nil {
		t.Fatal(err)
	}
	old, _ := os.ReadFile(file)
	before := "# mine\nadam:" + someHash + "\n" + string(old) + "bob:" + someHash // without a last newline
	if err := os.WriteFile(file, []byte(before), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := SetPassword(file, "ada", secret+"!"); err != nil {
		t.Fatal(err)
	}
	if err := SetPassword(file, "carol", secret); err != nil {
		t.Fatal(err)
	}
	p, err := openPasswords(file, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if p.check("ada", secret) || !p.check("ada", secret+"!") || !p.check("carol", secret) || p.check("nobody", secret) || len(p.hashes) != 4 || p.hashes["adam"] != someHash {
		t.Errorf("%q", p.hashes)
	}
	info, err := os.Stat(file)
	if text, _ := os.ReadFile(file); err != nil || info.Mode().Perm() != 0o600 || !strings.HasPrefix(string(text), "# mine\nadam:") {
		t.Errorf("%v, %s", info.Mode(), text)
	}
	os.WriteFile(file, []byte("broken"), 0o600)
	if err := SetPassword(file, "ada", secret); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("a broken file: %v", err)
	}
}

func TestAuthErrors(t *testing.T) {
	for _, tt := range []struct {
		name string
		auth Auth
		want string
	}{
		{"nothing", Auth{}, "must be set"},
		{"both", Auth{Passwords: "x", Header: "y"}, "not both"},
		{"no header's name", Auth{Header: "X User"}, "name of an HTTP header"},
		{"no file", Auth{Passwords: filepath.Join(t.TempDir(), "none")}, "no such file"},
		{"nobody", Auth{Passwords: passwords(t, filepath.Join(t.TempDir(), "users"), nil)}, "no user"},
	} {
		cfg := configIn(t, t.TempDir())
		cfg.Auth = &tt.auth
		if _, err := New(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
