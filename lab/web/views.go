package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/assay-lab/assay/lab"
)

// assetVersion changes with the assets, so that browsers can keep them.
var assetVersion = func() string {
	sum := sha256.New()
	for _, f := range []string{"style.css", "app.js", "htmx.min.js", "uplot.min.js", "uplot.min.css"} {
		b, err := assetFiles.ReadFile("assets/" + f)
		if err != nil {
			panic(err) // it is embedded
		}
		sum.Write(b)
	}
	return hex.EncodeToString(sum.Sum(nil)[:6])
}()

var functions = template.FuncMap{
	"asset":  func(name string) string { return "/assets/" + name + "?v=" + assetVersion },
	"count":  count,
	"join":   strings.Join,
	"digits": lab.Digits,
	"day":    func(t time.Time) string { return t.Format("2 Jan 2006") },
	"iso":    func(t time.Time) string { return t.Format(time.RFC3339) },
	"class":  func(s any) string { return "verdict-" + strings.ReplaceAll(fmt.Sprint(s), " ", "-") },
	"mark":   func(s any) string { return marks[lab.Status(fmt.Sprint(s))] },
	"change": withQuery,
	"dataURL": func(b []byte) template.URL {
		return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(b))
	},
	"base":     filepath.Base,
	"clock":    func(t time.Time) string { return t.Format("2 Jan 2006, 15:04") },
	"json":     func(v any) (string, error) { b, err := json.Marshal(v); return string(b), err },
	"crumb":    crumb,
	"appeared": appeared,
}

var marks = map[lab.Status]string{lab.Holds: "✓", lab.HoldsInPart: "◐", lab.Fails: "✗", lab.Undecided: "?"}

// crumb names the page that a run was started from.
func crumb(slug string) string {
	if slug == comparisons {
		return "Compare samplers"
	}
	return slug
}

// withQuery is the front page's address with one thing of its query changed, on the
// first page.
func withQuery(v url.Values, name, value string) string {
	next := url.Values{}
	for k, x := range v {
		if k != "after" {
			next[k] = x
		}
	}
	if value == "" {
		next.Del(name)
	} else {
		next.Set(name, value)
	}
	if len(next) == 0 {
		return "/"
	}
	return "/?" + next.Encode()
}

// parseViews reads the pages: every one is layout.html with its own parts.
func parseViews() (map[string]*template.Template, error) {
	layout, err := template.New("layout.html").Funcs(functions).ParseFS(templateFiles, "templates/layout.html")
	if err != nil {
		return nil, err
	}
	views := map[string]*template.Template{}
	for _, name := range []string{"feed", "paper", "compare", "job", "run", "diff", "login", "error", "subscribe"} {
		t, err := layout.Clone()
		if err != nil {
			return nil, err
		}
		if views[name], err = t.ParseFS(templateFiles, "templates/form.html", "templates/usage.html", "templates/vote.html", "templates/"+name+".html"); err != nil {
			return nil, err
		}
	}
	return views, nil
}

// A frame is what layout.html shows a view in.
type frame struct {
	Token   string
	Account *account // nil where there are no logins
	View    any
}

// show writes a page.
func (s *Server) show(w http.ResponseWriter, r *http.Request, status int, view string, data any) error {
	return s.write(w, r, status, view, "layout.html", frame{s.token(visitorOf(r)), s.accountOf(r), data})
}

// part writes a part of a page, for htmx.
func (s *Server) part(w http.ResponseWriter, r *http.Request, view, name string, data any) error {
	return s.write(w, r, http.StatusOK, view, name, data)
}

func (s *Server) write(w http.ResponseWriter, r *http.Request, status int, view, name string, data any) error {
	var b bytes.Buffer // a page is whole or an error
	if err := s.views[view].ExecuteTemplate(&b, name, data); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "HX-Request")
	w.WriteHeader(status)
	_, err := w.Write(b.Bytes())
	return err
}
