package web

import (
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/assay-lab/assay/lab/mail"
	"github.com/assay-lab/assay/lab/shelf"
)

// subscribeView is every page about the digest.
type subscribeView struct {
	Step    string // form, asked, confirm, confirmed, leave or left
	Enabled bool   // there is a mail server
	Address string
	Period  shelf.Period
	Error   string
	Link    string // where the button leads, with the mail's token
	Token   string // of the form
}

func (s *Server) subscribePage(w http.ResponseWriter, r *http.Request) error {
	return s.showSubscribe(w, r, http.StatusOK, subscribeView{Step: "form", Period: shelf.Weekly})
}

func (s *Server) showSubscribe(w http.ResponseWriter, r *http.Request, status int, v subscribeView) error {
	v.Enabled, v.Token = s.cfg.Mail != nil, s.token(visitorOf(r))
	return s.show(w, r, status, "subscribe", v)
}

// subscribe takes the wish for a digest. What it answers does not depend on who has
// one, and mails are sent later, so that time does not tell either.
func (s *Server) subscribe(w http.ResponseWriter, r *http.Request) error {
	v := subscribeView{Step: "form", Address: strings.TrimSpace(r.PostFormValue("address")), Period: shelf.Weekly}
	address, period, err := s.wish(r, v.Address, r.PostFormValue("period"))
	if p := (*problem)(nil); errors.As(err, &p) && p.status == http.StatusBadRequest {
		v.Error = p.text
		return s.showSubscribe(w, r, p.status, v)
	}
	if err != nil {
		return err
	}
	v.Step, v.Address, v.Period = "asked", address, period
	return s.showSubscribe(w, r, http.StatusOK, v)
}

// wish notes that somebody wants a digest, and returns the address as it is written to.
func (s *Server) wish(r *http.Request, address, period string) (string, shelf.Period, error) {
	if s.cfg.Mail == nil {
		return "", "", &problem{http.StatusServiceUnavailable, "This server sends no mail."}
	}
	p, err := shelf.ParsePeriod(period)
	if err != nil {
		return "", "", bad("%s.", sentence(err.Error()))
	}
	if address, err = mail.ParseAddress(address); err != nil {
		return "", "", bad("%s.", sentence(err.Error()))
	}
	if !s.asks.allow(visitorOf(r), origin(r), s.cfg.Shelf.Now()) {
		return "", "", &problem{http.StatusTooManyRequests, "That is too many subscriptions from here: try again in an hour."}
	}
	if err := s.cfg.Shelf.Subscribe(r.Context(), address, p); err != nil {
		return "", "", err
	}
	s.postman.poke()
	return address, p, nil
}

// secretly keeps the token in the address of a page from other servers.
func secretly(w http.ResponseWriter) { w.Header().Set("Referrer-Policy", "no-referrer") }

// mailToken is the token of a link that was mailed. A form's own token has the same
// name, in the body.
func mailToken(r *http.Request) string { return r.URL.Query().Get("token") }

// stale says that a link of a mail is no longer good.
func stale(err error, text string) error {
	if errors.Is(err, shelf.ErrNotFound) {
		return &problem{http.StatusNotFound, text}
	}
	return err
}

const oldRequest = "This link is too old or not whole: it is good for three days. Subscribe again to get another."
const noSubscriber = "There is no subscription of this link, or no longer: by it, no mail is sent."

// confirmPage has the button that confirms: a link that is only opened, as programs that
// look through mail do, confirms nothing.
func (s *Server) confirmPage(w http.ResponseWriter, r *http.Request) error {
	secretly(w)
	q, err := s.cfg.Shelf.Request(r.Context(), mailToken(r))
	if err != nil {
		return stale(err, oldRequest)
	}
	return s.showSubscribe(w, r, http.StatusOK, subscribeView{Step: "confirm", Address: q.Address, Period: q.Period, Link: r.URL.RequestURI()})
}

func (s *Server) confirm(w http.ResponseWriter, r *http.Request) error {
	secretly(w)
	sub, err := s.cfg.Shelf.Confirm(r.Context(), mailToken(r))
	if err != nil {
		return stale(err, oldRequest)
	}
	return s.showSubscribe(w, r, http.StatusOK, subscribeView{Step: "confirmed", Address: sub.Address, Period: sub.Period})
}

func (s *Server) leavePage(w http.ResponseWriter, r *http.Request) error {
	secretly(w)
	sub, err := s.cfg.Shelf.Subscriber(r.Context(), mailToken(r))
	if err != nil {
		return stale(err, noSubscriber)
	}
	return s.showSubscribe(w, r, http.StatusOK, subscribeView{Step: "leave", Address: sub.Address, Period: sub.Period, Link: r.URL.RequestURI()})
}

// leave ends a subscription: by the page's button, or by a program of the reader's mail
// provider (RFC 8058).
func (s *Server) leave(w http.ResponseWriter, r *http.Request) error {
	secretly(w)
	if err := s.cfg.Shelf.Unsubscribe(r.Context(), mailToken(r)); err != nil {
		return stale(err, noSubscriber)
	}
	return s.showSubscribe(w, r, http.StatusOK, subscribeView{Step: "left"})
}

// oneClick says whether a request is that of a mail provider that ends a subscription in
// a reader's name. It has no cookie and no form's token: the token of its address is all
// it needs, and nobody can guess it.
func oneClick(w http.ResponseWriter, r *http.Request) bool {
	if r.Method != http.MethodPost || r.URL.Path != "/unsubscribe" {
		return false
	}
	const most = 4 << 10
	r.Body = http.MaxBytesReader(w, r.Body, most)
	if err := r.ParseMultipartForm(most); err != nil && !errors.Is(err, http.ErrNotMultipart) {
		return false
	}
	return len(r.PostForm) == 1 && r.PostForm.Get("List-Unsubscribe") == "One-Click"
}

// unreferred says whether a request can have come from a page of ours that names no
// origin, because it does not tell its address. Such a form still has its tokens.
func unreferred(r *http.Request) bool {
	return r.Header.Get("Origin") == "null" && r.Header.Get("Sec-Fetch-Site") == "" &&
		(r.URL.Path == "/subscribe/confirm" || r.URL.Path == "/unsubscribe")
}

// origin is the address that a request comes from. It is "" for this machine, which may
// be a proxy in front of everyone that tells nothing of them.
func origin(r *http.Request) string {
	from := callerOf(r).address
	if a, err := netip.ParseAddr(from); err == nil && a.IsLoopback() {
		return ""
	}
	return from
}

// asks counts who asked for digests in the last hour.
type asks struct {
	mu   sync.Mutex
	from time.Time // when the hour began
	of   map[string]int
}

const (
	mostAsks      = 5  // an hour, of a visitor and of an address
	mostAsksLocal = 60 // from this machine
)

// allow counts a request of a visitor from an origin. It heeds not what came of it.
func (a *asks) allow(visitor, origin string, at time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.of == nil || at.Sub(a.from) >= time.Hour || len(a.of) > mostAddresses {
		a.from, a.of = at, map[string]int{}
	}
	most := mostAsks
	if origin == "" {
		most = mostAsksLocal
	}
	v, o := "visitor "+visitor, "origin "+origin
	if a.of[v] >= mostAsks || a.of[o] >= most {
		return false
	}
	a.of[v]++
	a.of[o]++
	return true
}
