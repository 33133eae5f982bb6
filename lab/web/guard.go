package web

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/assay-lab/assay/lab/shelf"
)

// A problem is an error that a reader may see, with its status.
type problem struct {
	status int
	text   string
}

func (p *problem) Error() string { return p.text }

func bad(format string, args ...any) error {
	return &problem{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

func notFound(what string) error {
	return &problem{http.StatusNotFound, "There is no such " + what + "."}
}

// page makes a handler of a function whose error becomes a page.
func (s *Server) page(h func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := h(w, r)
		if err == nil || r.Context().Err() != nil {
			return
		}
		p := &problem{http.StatusInternalServerError, "Something went wrong here. It has been noted."}
		var tooLarge *http.MaxBytesError
		switch {
		case errors.As(err, &p):
		case errors.As(err, &tooLarge):
			p = &problem{http.StatusRequestEntityTooLarge, fmt.Sprintf("That is too large: at most %s are taken.", size(tooLarge.Limit))}
		case errors.Is(err, shelf.ErrNotFound):
			p = notFound("page").(*problem)
		case errors.Is(err, shelf.ErrQuery):
			p = &problem{http.StatusBadRequest, err.Error()}
		default:
			s.cfg.Log.Error("request", "path", r.URL.Path, "err", err)
		}
		if isAPI(r) {
			writeJSON(w, p.status, apiError{p.text})
			return
		}
		s.show(w, r, p.status, "error", struct {
			Status int
			Text   string
		}{p.status, p.text})
	})
}

// policy lets pages load what this server has and nothing else. uPlot and htmx set
// styles through the DOM, which it allows.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// guard wraps all answers: headers, rates, who asks, and forms' tokens.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		s.setDeadlines(w, r)
		c := s.identify(r)
		write := r.Method != http.MethodGet && r.Method != http.MethodHead
		if s.denied(w, r, c, write) {
			return
		}
		if write && oneClick(w, r) {
			next.ServeHTTP(w, r)
			return
		}
		if write && isAPI(r) {
			s.guardAPI(w, r, c, next)
			return
		}
		c.visitor = s.visitor(w, r, c)
		r = r.WithContext(context.WithValue(r.Context(), callerKey{}, c))
		fail := func(err error) {
			h.Set("Connection", "close") // not all of the body may have been read
			s.page(func(http.ResponseWriter, *http.Request) error { return err }).ServeHTTP(w, r)
		}
		if !write {
			if r.ContentLength != 0 {
				fail(bad("A request of this kind has no body."))
				return
			}
			next.ServeHTTP(w, r)
			return
		}
		if s.cfg.Auth != nil && c.user == "" && slices.Contains(members, s.patternOf(r)) {
			toLogin(w, r)
			return
		}
		release, err := s.receive(w, r)
		defer release()
		if err == nil {
			err = s.checkToken(r, c.visitor)
		}
		if err != nil {
			fail(err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

const cookieName = "assay_visitor"

// visitor is who asks: a user who has logged in, or else who has a signed cookie, which
// newcomers are given. No cookie can begin like a user.
func (s *Server) visitor(w http.ResponseWriter, r *http.Request, c caller) string {
	if c.user != "" {
		return "user:" + c.user
	}
	if c, err := r.Cookie(cookieName); err == nil {
		if id, sign, ok := strings.Cut(c.Value, "."); ok && hmac.Equal([]byte(sign), []byte(s.sign("visitor", id))) {
			return id
		}
	}
	id := rand.Text()
	s.setCookie(w, c, cookieName, id+"."+s.sign("visitor", id), 365*24*time.Hour)
	return id
}

func (s *Server) sign(purpose, text string) string {
	m := hmac.New(sha256.New, s.key)
	m.Write([]byte(purpose + "\x00" + text))
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

// token goes into the forms of a visitor.
func (s *Server) token(visitor string) string { return s.sign("form", visitor) }

func (s *Server) owns(visitor, token string) bool {
	return hmac.Equal([]byte(token), []byte(s.token(visitor)))
}

// checkToken refuses forms that other sites send in a reader's name. The token comes in
// a header or in the form, which has been parsed.
func (s *Server) checkToken(r *http.Request, visitor string) error {
	if err := http.NewCrossOriginProtection().Check(r); err != nil && !unreferred(r) {
		return &problem{http.StatusForbidden, "This form comes from another site."}
	}
	token := r.Header.Get("X-CSRF-Token")
	if token == "" {
		token = r.PostForm.Get("token")
	}
	if !s.owns(visitor, token) {
		return &problem{http.StatusForbidden, "This form is too old or not from here: reload the page and send it again."}
	}
	return nil
}

// denied answers in a few words who asks too much, or at a wrong name.
func (s *Server) denied(w http.ResponseWriter, r *http.Request, c caller, write bool) bool {
	status, text, kind := 0, "", reads
	if write {
		kind = writes
	}
	switch {
	case !s.limits.allow(c.address, kind):
		w.Header().Set("Retry-After", "10")
		status, text = http.StatusTooManyRequests, "Too many requests from your address: wait some seconds."
	case s.cfg.Auth == nil && !loopbackHost(r.Host):
		status, text = http.StatusMisdirectedRequest, "This server answers on this machine only, as localhost or 127.0.0.1."
	default:
		return false
	}
	if isAPI(r) {
		writeJSON(w, status, apiError{text})
	} else {
		http.Error(w, text, status)
	}
	return true
}

// size is a number of bytes for people.
func size(n int64) string {
	if n < 1<<20 {
		return fmt.Sprint(n>>10, " KB")
	}
	return fmt.Sprint(n>>20, " MB")
}

func bodyProblem(err error) error {
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return err
	}
	return bad("The form could not be read.")
}

// A limiter counts requests by address in a bucket that refills.
type limiter struct {
	mu      sync.Mutex
	buckets map[string]*bucket
	swept   time.Time
}

// A kind is what is counted.
type kind int

const (
	reads  kind = iota
	writes      // all but GET and HEAD
	logins      // by address
	names       // logins, by the user's name
	kinds
)

type bucket struct {
	left [kinds]float64
	at   time.Time
}

const (
	readRate, readBurst   = 100, 400 // a second
	writeRate, writeBurst = 2, 40
	loginRate, loginBurst = 1.0 / 6, 10
	nameRate, nameBurst   = 0.5, 30
	mostAddresses         = 100000
)

// rates fill a bucket in a minute at most, after which it may be forgotten.
var rates, bursts = [kinds]float64{readRate, writeRate, loginRate, nameRate}, [kinds]float64{readBurst, writeBurst, loginBurst, nameBurst}

func newLimiter() *limiter { return &limiter{buckets: map[string]*bucket{}} }

func (l *limiter) allow(address string, k kind) bool {
	if ip := net.ParseIP(address); ip != nil && ip.IsLoopback() && k == reads {
		return true // the reader at this machine
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	b := l.buckets[address]
	if b == nil {
		l.sweep(now)
		b = &bucket{bursts, now}
		l.buckets[address] = b
	}
	s := now.Sub(b.at).Seconds()
	b.at = now
	for i := range b.left {
		b.left[i] = min(bursts[i], b.left[i]+s*rates[i])
	}
	if b.left[k] < 1 {
		return false
	}
	b.left[k]--
	return true
}

// refund gives back what was counted.
func (l *limiter) refund(address string, k kind) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b := l.buckets[address]; b != nil {
		b.left[k] = min(bursts[k], b.left[k]+1)
	}
}

// sweep forgets addresses that have been quiet, once a minute or when there are many.
func (l *limiter) sweep(now time.Time) {
	if now.Sub(l.swept) < time.Minute && len(l.buckets) < mostAddresses {
		return
	}
	l.swept = now
	for a, b := range l.buckets {
		if now.Sub(b.at) > time.Minute || len(l.buckets) > mostAddresses {
			delete(l.buckets, a)
		}
	}
}

// cached lets browsers keep what has the version in its address.
func cached(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=3600")
		next.ServeHTTP(w, r)
	})
}
