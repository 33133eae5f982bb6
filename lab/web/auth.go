package web

import (
	"cmp"
	"context"
	"crypto/hmac"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Auth says how users log in: by one of Passwords and Header.
type Auth struct {
	Passwords string // a file of names and hashes, see [ParsePasswords]
	Header    string // where a reverse proxy names the user that it knows

	// Proxies are networks, beside this machine, whose word is taken: in Header, in
	// X-Forwarded-For for the address, and in X-Forwarded-Proto for HTTPS.
	Proxies []netip.Prefix
}

var headerName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,63}$`)

func (a *Auth) check() error {
	switch {
	case (a.Passwords == "") == (a.Header == ""):
		return errors.New("web: a file of passwords or a header must be set, not both")
	case a.Header != "" && !headerName.MatchString(a.Header):
		return fmt.Errorf("web: header %.80q: must be the name of an HTTP header, such as X-Remote-User", a.Header)
	}
	return nil
}

// openAuth reads the file of passwords, if that is how users log in.
func (s *Server) openAuth() (err error) {
	if s.cfg.Auth == nil {
		return nil
	}
	if err := s.cfg.Auth.check(); err != nil {
		return err
	}
	if s.cfg.Auth.Passwords != "" {
		s.passwords, err = openPasswords(s.cfg.Auth.Passwords, s.cfg.Log)
	}
	return err
}

// believes reports whether what an address says of others is taken.
func (a *Auth) believes(from netip.Addr) bool {
	return a != nil && (from.IsLoopback() || slices.ContainsFunc(a.Proxies, func(n netip.Prefix) bool { return n.Contains(from) }))
}

// members are what needs a login where there are logins. Reading, searching,
// voting and what is confirmed by mail need none.
var members = []string{"POST /papers", "POST /papers/{slug}/runs", "POST /compare/runs", "POST /jobs/{id}/stop",
	"POST /api/papers", "POST /api/runs", "DELETE /api/jobs/{id}"}

// A caller is who sends a request.
type caller struct {
	visitor string // who votes and owns runs: a signed cookie's, or "user:" and the name
	user    string // "" for who has not logged in
	address string // of the reader, not of a proxy; a whole /64 of IPv6 is one
	secure  bool   // the reader's connection is HTTPS
}

type callerKey struct{}

func callerOf(r *http.Request) caller {
	c, _ := r.Context().Value(callerKey{}).(caller)
	return c
}

func visitorOf(r *http.Request) string { return callerOf(r).visitor }

// identify fills in who sends a request, but for the visitor.
func (s *Server) identify(r *http.Request) caller {
	peer := addressOf(r.RemoteAddr)
	c := caller{address: network(peer, r.RemoteAddr), secure: r.TLS != nil}
	a := s.cfg.Auth
	if a.believes(peer) {
		c.address = network(a.origin(peer, r.Header.Values("X-Forwarded-For")), r.RemoteAddr)
		c.secure = c.secure || r.Header.Get("X-Forwarded-Proto") == "https"
	}
	switch {
	case a == nil:
	case a.Header != "":
		// Two values: the proxy has not taken away what the reader sent.
		if names := r.Header.Values(a.Header); a.believes(peer) && len(names) == 1 && checkName(names[0]) == nil {
			c.user = names[0]
		}
	default:
		c.user = s.sessionOf(r)
	}
	return c
}

func addressOf(hostPort string) netip.Addr {
	a, err := netip.ParseAddrPort(hostPort)
	if err != nil {
		return netip.Addr{}
	}
	return a.Addr().Unmap()
}

// network is what counts as one reader: an address, or a /64 of IPv6, of which anyone
// has all.
func network(a netip.Addr, otherwise string) string {
	switch {
	case !a.IsValid():
		return otherwise
	case a.Is6() && !a.IsLoopback():
		return netip.PrefixFrom(a.WithZone(""), 64).Masked().String()
	}
	return a.String()
}

// origin is the last address of a chain of proxies that is not one of ours: what comes
// before it in X-Forwarded-For, anyone can write.
func (a *Auth) origin(peer netip.Addr, forwarded []string) netip.Addr {
	hops := strings.Split(strings.Join(forwarded, ","), ",")
	for _, hop := range slices.Backward(hops) {
		at, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil {
			break
		}
		if peer = at.Unmap(); !a.believes(peer) {
			break
		}
	}
	return peer
}

// loopbackHost reports whether a Host header names this machine to itself. Without
// logins no other is answered: a site whose name is made to lead to 127.0.0.1 could
// else use the page in its visitors' name.
func loopbackHost(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	a, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && a.Unmap().IsLoopback()
}

const (
	sessionCookie = "assay_session"
	sessionTime   = 30 * 24 * time.Hour
)

// session is a cookie's value: the user, when it ends, and our word for both. The hash
// of the password is in the word, so that a new password ends all sessions.
func (s *Server) session(user, hash string, ends time.Time) string {
	text := base64.RawURLEncoding.EncodeToString([]byte(user)) + "." + strconv.FormatInt(ends.Unix(), 10)
	return text + "." + s.sign("session", text+"."+hash)
}

// sessionOf is the user whose session a request belongs to; "" for nobody's.
func (s *Server) sessionOf(r *http.Request) string {
	c, err := r.Cookie(sessionCookie)
	if err != nil {
		return ""
	}
	parts := strings.Split(c.Value, ".")
	if len(parts) != 3 {
		return ""
	}
	user, err1 := base64.RawURLEncoding.DecodeString(parts[0])
	ends, err2 := strconv.ParseInt(parts[1], 10, 64)
	if err1 != nil || err2 != nil || !time.Now().Before(time.Unix(ends, 0)) {
		return ""
	}
	hash, _ := s.passwords.hash(string(user))
	if hash == "" || !hmac.Equal([]byte(c.Value), []byte(s.session(string(user), hash, time.Unix(ends, 0)))) {
		return ""
	}
	return string(user)
}

// localPath is where to go next, if that is a page of ours, or else the front page.
// Browsers read a backslash as a slash and leave out tabs and line ends.
func localPath(next string) string {
	u, err := url.Parse(next)
	if err != nil || len(next) > 2000 || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || u.Scheme != "" || u.Host != "" ||
		strings.ContainsFunc(next, func(r rune) bool { return r == '\\' || r > unicode.MaxASCII || !unicode.IsPrint(r) }) ||
		u.Path == "/login" || u.Path == "/logout" {
		return "/"
	}
	return next
}

// loginPath is the address of the login that leads to next.
func loginPath(next string) string { return "/login?" + url.Values{"next": {localPath(next)}}.Encode() }

// toLogin answers a form that needs a login: after it, the page is there again that
// the form was on.
func toLogin(w http.ResponseWriter, r *http.Request) {
	next := "/"
	if u, err := url.Parse(r.Referer()); err == nil {
		next = u.RequestURI()
	}
	http.Redirect(w, r, loginPath(next), http.StatusSeeOther)
}

// An account is what the head of a page says of the reader.
type account struct {
	Name  string
	Login string // address, for who has not logged in and is not about to
	Out   bool   // can log out
}

// accountOf is nil where there are no logins.
func (s *Server) accountOf(r *http.Request) *account {
	if s.cfg.Auth == nil {
		return nil
	}
	a := &account{Name: callerOf(r).user, Out: s.passwords != nil}
	switch {
	case r.URL.Path == "/login": // which has the form
	case r.Method == http.MethodGet:
		a.Login = loginPath(r.URL.RequestURI())
	default:
		a.Login = loginPath("/")
	}
	return a
}

// loginFirst is the address of the login where a form needs one; "" where it does not.
func (s *Server) loginFirst(r *http.Request) string {
	if a := s.accountOf(r); a != nil && a.Name == "" {
		return a.Login
	}
	return ""
}

// loginView is the page to log in on.
type loginView struct {
	Next, Name, Error string
	Proxy             bool // logins are the proxy's
}

func (s *Server) loginPage(w http.ResponseWriter, r *http.Request) error {
	next := localPath(cmp.Or(r.URL.Query().Get("next"), "/"))
	if callerOf(r).user != "" {
		http.Redirect(w, r, next, http.StatusSeeOther)
		return nil
	}
	return s.show(w, r, http.StatusOK, "login", loginView{Next: next, Proxy: s.passwords == nil})
}

// login checks a password. What it says does not tell whether there is such a user.
func (s *Server) login(w http.ResponseWriter, r *http.Request) error {
	c, name, password := callerOf(r), r.PostFormValue("name"), r.PostFormValue("password")
	if s.passwords == nil {
		return bad("%s", proxysBusiness)
	}
	ok, err := s.authenticate(w, r, c, name, password)
	if err != nil {
		return err
	}
	if !ok {
		return s.show(w, r, http.StatusForbidden, "login", loginView{Next: localPath(r.PostFormValue("next")), Name: name, Error: "The name or the password is wrong."})
	}
	hash, _ := s.passwords.hash(name)
	ends := time.Now().Add(sessionTime)
	s.setCookie(w, c, sessionCookie, s.session(name, hash, ends), sessionTime)
	http.Redirect(w, r, localPath(r.PostFormValue("next")), http.StatusSeeOther)
	return nil
}

const proxysBusiness = "Logins are the business of the proxy in front of this server."

// authenticate checks a password at the rates of logins, of which one that succeeds
// takes nothing.
func (s *Server) authenticate(w http.ResponseWriter, r *http.Request, c caller, name, password string) (ok bool, err error) {
	if peer := addressOf(r.RemoteAddr); r.TLS == nil && !s.cfg.Auth.believes(peer) {
		return false, &problem{http.StatusForbidden, "Passwords are taken over HTTPS only: use the address that begins with https."}
	}
	counted := "name " + name[:min(len(name), mostName)]
	if !s.limits.allow(c.address, logins) || !s.limits.allow(counted, names) {
		w.Header().Set("Retry-After", "60")
		return false, &problem{http.StatusTooManyRequests, "Too many logins were tried: wait a minute."}
	}
	switch ok, err = s.checkPassword(r.Context(), name, password); {
	case ok:
		s.limits.refund(c.address, logins)
		s.limits.refund(counted, names)
	case err == nil:
		s.cfg.Log.Warn("login refused", "name", name[:min(len(name), mostName)], "address", c.address)
	}
	return ok, err
}

// checkPassword checks few passwords at once, for each takes a core some time.
func (s *Server) checkPassword(ctx context.Context, name, password string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	select {
	case s.checks <- struct{}{}:
		defer func() { <-s.checks }()
		return s.passwords.check(name, password), nil
	case <-ctx.Done():
		return false, &problem{http.StatusServiceUnavailable, "Too many people are logging in. Try again in a moment."}
	}
}

func (s *Server) logout(w http.ResponseWriter, r *http.Request) error {
	s.setCookie(w, callerOf(r), sessionCookie, "", -time.Second)
	http.Redirect(w, r, "/", http.StatusSeeOther)
	return nil
}

// setCookie gives a cookie that no script and no other site's form can use.
func (s *Server) setCookie(w http.ResponseWriter, c caller, name, value string, keep time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: int(keep.Seconds()),
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: c.secure,
	})
}
