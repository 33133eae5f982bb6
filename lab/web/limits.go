package web

import (
	"cmp"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Limits bound what readers can take of a server. The default of each is 0's meaning.
type Limits struct {
	Header time.Duration // to send a request's head; 0: 5 s
	Form   time.Duration // to send a form; 0: 15 s
	Upload time.Duration // to send a form with files; 0: 5 min
	Answer time.Duration // to take an answer; 0: 1 min. Streams take longer, but not over a piece

	Connections int   // open at once; 0: 1000
	PerAddress  int   // of these, of one address that is not a proxy's; 0: 250
	Uploads     int   // forms with files that come in at once; 0: 8
	Space       int64 // bytes of readers' files on disk; 0: 2 GB
}

func (l *Limits) setDefaults() {
	l.Header, l.Form = cmp.Or(l.Header, 5*time.Second), cmp.Or(l.Form, 15*time.Second)
	l.Upload, l.Answer = cmp.Or(l.Upload, 5*time.Minute), cmp.Or(l.Answer, time.Minute)
	l.Connections, l.PerAddress = cmp.Or(l.Connections, 1000), cmp.Or(l.PerAddress, 250)
	l.Uploads, l.Space = cmp.Or(l.Uploads, 8), cmp.Or(l.Space, 2<<30)
}

const mostForm = 64 << 10 // bytes of a form without files

// uploads are the forms that may bring files.
var uploads = []string{"POST /papers/{slug}/runs", "POST /compare/runs", "POST /api/runs"}

// patternOf is the route that a request will take.
func (s *Server) patternOf(r *http.Request) string {
	_, pattern := s.routed.Handler(r)
	return pattern
}

// setDeadlines gives a request its time. It is enough for a form without files.
func (s *Server) setDeadlines(w http.ResponseWriter, r *http.Request) {
	c, now := http.NewResponseController(w), time.Now()
	c.SetWriteDeadline(now.Add(s.cfg.Limits.Answer))
	if r.ContentLength != 0 {
		c.SetReadDeadline(now.Add(s.cfg.Limits.Form))
	}
}

func unpacked(r *http.Request) error {
	if r.Header.Get("Content-Encoding") != "" {
		return &problem{http.StatusUnsupportedMediaType, "A compressed form is not taken."}
	}
	return nil
}

// receive reads all of a form, within its limits of time and size. It is over when
// release is called.
func (s *Server) receive(w http.ResponseWriter, r *http.Request) (release func(), err error) {
	release = func() {}
	if err := unpacked(r); err != nil {
		return release, err
	}
	c, most := http.NewResponseController(w), int64(mostForm)
	if slices.Contains(uploads, s.patternOf(r)) {
		select {
		case s.uploading <- struct{}{}:
			release = func() {
				if r.MultipartForm != nil {
					r.MultipartForm.RemoveAll() // the server does so with requests of its own alone
				}
				<-s.uploading
			}
		default:
			return release, &problem{http.StatusServiceUnavailable, "Too many files are being sent. Try again in a moment."}
		}
		now := time.Now()
		c.SetReadDeadline(now.Add(s.cfg.Limits.Upload))
		c.SetWriteDeadline(now.Add(s.cfg.Limits.Upload + s.cfg.Limits.Answer))
		most = s.cfg.Upper + 1<<20
	}
	r.Body = http.MaxBytesReader(w, r.Body, most)
	const memory = 1 << 20 // the rest of an upload is on disk
	if err := r.ParseMultipartForm(memory); err != nil && !errors.Is(err, http.ErrNotMultipart) {
		return release, bodyProblem(err)
	}
	if _, err := io.Copy(io.Discard, r.Body); err != nil { // what is after the form, or no form
		return release, bodyProblem(err)
	}
	c.SetReadDeadline(time.Time{}) // or the server would take the reader for gone then
	return release, nil
}

// bounded is a listener with so many connections at once, and so many of one address.
// It closes what is more. Those of exempt addresses, of proxies, count as all readers'.
type bounded struct {
	net.Listener
	most, each int
	exempt     func(netip.Addr) bool

	mu   sync.Mutex
	open int
	by   map[string]int
}

func (l *bounded) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		a := addressOf(c.RemoteAddr().String())
		from := network(a, c.RemoteAddr().Network())
		if l.exempt(a) {
			from = ""
		}
		if l.take(from) {
			return &countedConn{Conn: c, release: sync.OnceFunc(func() { l.give(from) })}, nil
		}
		c.Close()
	}
}

func (l *bounded) take(from string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open >= l.most || from != "" && l.by[from] >= l.each {
		return false
	}
	l.open++
	l.by[from]++
	return true
}

func (l *bounded) give(from string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if l.by[from]--; l.by[from] == 0 {
		delete(l.by, from)
	}
}

// A countedConn is a connection whose end is noticed.
type countedConn struct {
	net.Conn
	release func()
}

func (c *countedConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}

// CloseWrite lets the server end an answer before what the reader still sends.
func (c *countedConn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return errors.ErrUnsupported
}
