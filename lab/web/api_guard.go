package web

import (
	"bytes"
	"context"
	"io"
	"mime"
	"net/http"
	"slices"
	"time"
)

// guardAPI lets through what a program sends to write.
//
// A browser must not be made to send it in a reader's name. Pages of other sites are
// refused where the browser tells where a request comes from. What is more, they cannot
// send JSON, PUT or DELETE without asking first, which is never answered, and a form with
// files, which they can send, needs the visitor's token in its head, or the user's
// password: a cookie is not enough.
func (s *Server) guardAPI(w http.ResponseWriter, r *http.Request, c caller, next http.Handler) {
	release, err := func() {}, s.admit(w, r, &c)
	r = r.WithContext(context.WithValue(r.Context(), callerKey{}, c))
	if err == nil && s.isRouted(r) {
		release, err = s.receiveAPI(w, r)
	}
	defer release()
	if err != nil {
		w.Header().Set("Connection", "close") // not all of the body may have been read
		s.page(func(http.ResponseWriter, *http.Request) error { return err }).ServeHTTP(w, r)
		return
	}
	next.ServeHTTP(w, r)
}

// admit finds out who asks, and whether they may.
func (s *Server) admit(w http.ResponseWriter, r *http.Request, c *caller) error {
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		return &problem{http.StatusForbidden, "This request comes from another site."}
	}
	if !s.isRouted(r) {
		return nil
	}
	withPassword := s.passwords != nil && r.Header.Get("Authorization") != "" // else it is for a proxy
	if withPassword {
		name, password, ok := r.BasicAuth()
		if ok {
			var err error
			if ok, err = s.authenticate(w, r, *c, name, password); err != nil {
				return err
			}
		}
		if !ok {
			return unauthorized(w, "The name or the password is wrong. They are taken as HTTP Basic authentication.")
		}
		c.user = name
	}
	c.visitor = s.visitor(w, r, *c)
	switch {
	case s.cfg.Auth == nil || c.user != "" || !slices.Contains(members, s.patternOf(r)):
	case s.passwords == nil:
		return unauthorized(w, "This needs a login. "+proxysBusiness)
	default:
		return unauthorized(w, "This needs a login: send name and password as HTTP Basic authentication.")
	}
	if kind, _ := kindOf(r); kind == "multipart/form-data" && !withPassword && !s.owns(c.visitor, r.Header.Get("X-CSRF-Token")) {
		return &problem{http.StatusForbidden, "A form needs the header X-CSRF-Token with the token of GET /api/visitor, or a login with HTTP Basic authentication."}
	}
	return nil
}

func unauthorized(w http.ResponseWriter, text string) error {
	w.Header().Set("WWW-Authenticate", `Basic realm="assay", charset="UTF-8"`)
	return &problem{http.StatusUnauthorized, text}
}

// kindOf is the type of a request's body, if it is given once and well.
func kindOf(r *http.Request) (kind string, params map[string]string) {
	if given := r.Header.Values("Content-Type"); len(given) == 1 {
		if kind, params, err := mime.ParseMediaType(given[0]); err == nil {
			return kind, params
		}
	}
	return "", nil
}

// receiveAPI reads all that a request brings, which must be JSON, or a form where files
// are taken.
func (s *Server) receiveAPI(w http.ResponseWriter, r *http.Request) (release func(), err error) {
	release = func() {}
	if r.Method != http.MethodPost {
		if r.ContentLength != 0 {
			return release, bad("A request of this kind has no body.")
		}
		return release, nil
	}
	const utf8 = "utf-8"
	kind, params := kindOf(r)
	takesFiles := slices.Contains(uploads, s.patternOf(r))
	switch charset, given := params["charset"]; {
	case takesFiles && kind == "multipart/form-data":
		return s.receive(w, r)
	case kind != "application/json" || given && charset != utf8 && charset != "UTF-8":
		want := "application/json"
		if takesFiles {
			want += ", or multipart/form-data with files"
		}
		return release, &problem{http.StatusUnsupportedMediaType, "The Content-Type must be " + want + "."}
	}
	if err := unpacked(r); err != nil {
		return release, err
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostForm))
	if err != nil {
		return release, bodyProblem(err)
	}
	http.NewResponseController(w).SetReadDeadline(time.Time{}) // or the server would take the reader for gone then
	r.Body = io.NopCloser(bytes.NewReader(text))
	return release, nil
}
