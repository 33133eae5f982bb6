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
			p = &problem{http.StatusRequestEntityTooLarge, fmt.Sprintf("That is too large: at most %d MB are taken.", tooLarge.Limit>>20)}
		case errors.Is(err, shelf.ErrNotFound):
			p = notFound("page").(*problem)
		case errors.Is(err, shelf.ErrQuery):
			p = &problem{http.StatusBadRequest, err.Error()}
		default:
			s.cfg.Log.Error("request", "path", r.URL.Path, "err", err)
		}
		if strings.HasPrefix(r.URL.Path, "/api/") {
			writeJSON(w, p.status, map[string]string{"error": p.text})
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

type visitorKey struct{}

// guard wraps all answers: headers, rates, the visitor, and forms' tokens.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		if err != nil {
			host = r.RemoteAddr
		}
		write := r.Method != http.MethodGet && r.Method != http.MethodHead
		if !s.limits.allow(host, write) {
			h.Set("Retry-After", "10")
			http.Error(w, "Too many requests from your address: wait some seconds.", http.StatusTooManyRequests)
			return
		}
		if write && oneClick(w, r) {
			next.ServeHTTP(w, r)
			return
		}
		visitor := s.visitor(w, r)
		r = r.WithContext(context.WithValue(r.Context(), visitorKey{}, visitor))
		if write {
			r.Body = http.MaxBytesReader(w, r.Body, s.cfg.Upper+(1<<20))
			if err := s.checkToken(r, visitor); err != nil {
				s.page(func(http.ResponseWriter, *http.Request) error { return err }).ServeHTTP(w, r)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

func visitorOf(r *http.Request) string {
	v, _ := r.Context().Value(visitorKey{}).(string)
	return v
}

const cookieName = "assay_visitor"

// visitor is who asks, by a signed cookie that is given to newcomers.
func (s *Server) visitor(w http.ResponseWriter, r *http.Request) string {
	if c, err := r.Cookie(cookieName); err == nil {
		if id, sign, ok := strings.Cut(c.Value, "."); ok && hmac.Equal([]byte(sign), []byte(s.sign("visitor", id))) {
			return id
		}
	}
	id := rand.Text()
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: id + "." + s.sign("visitor", id), Path: "/", MaxAge: 365 * 24 * 3600,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: r.TLS != nil,
	})
	return id
}

func (s *Server) sign(purpose, text string) string {
	m := hmac.New(sha256.New, s.key)
	m.Write([]byte(purpose + "\x00" + text))
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

// token goes into the forms of a visitor.
func (s *Server) token(visitor string) string { return s.sign("form", visitor) }

// checkToken refuses forms that other sites send in a reader's name. The token comes in
// a header, or in the form, which then has been parsed.
func (s *Server) checkToken(r *http.Request, visitor string) error {
	if err := http.NewCrossOriginProtection().Check(r); err != nil && !unreferred(r) {
		return &problem{http.StatusForbidden, "This form comes from another site."}
	}
	token := r.Header.Get("X-CSRF-Token")
	if token == "" {
		const memory = 1 << 20 // the rest of an upload is on disk
		if err := r.ParseMultipartForm(memory); err != nil && !errors.Is(err, http.ErrNotMultipart) {
			return bodyProblem(err)
		}
		token = r.PostForm.Get("token")
	}
	if !hmac.Equal([]byte(token), []byte(s.token(visitor))) {
		return &problem{http.StatusForbidden, "This form is too old or not from here: reload the page and send it again."}
	}
	return nil
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

type bucket struct {
	reads, writes float64
	at            time.Time
}

const (
	readRate, readBurst   = 100, 400 // a second
	writeRate, writeBurst = 2, 40
	mostAddresses         = 100000
)

func newLimiter() *limiter { return &limiter{buckets: map[string]*bucket{}} }

func (l *limiter) allow(address string, write bool) bool {
	if ip := net.ParseIP(address); ip != nil && ip.IsLoopback() && !write {
		return true // the reader at this machine
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	b := l.buckets[address]
	if b == nil {
		l.sweep(now)
		b = &bucket{readBurst, writeBurst, now}
		l.buckets[address] = b
	}
	s := now.Sub(b.at).Seconds()
	b.at = now
	b.reads, b.writes = min(readBurst, b.reads+s*readRate), min(writeBurst, b.writes+s*writeRate)
	have := &b.reads
	if write {
		have = &b.writes
	}
	if *have < 1 {
		return false
	}
	*have--
	return true
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
