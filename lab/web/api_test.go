package web

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/assay-lab/assay/lab"
)

// ask sends a request with headers such as "Accept: text/html".
func (s *site) ask(method, path, body string, headers ...string) (status int, head http.Header, text string) {
	s.Helper()
	r, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	c := *s.client
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	a, err := c.Do(r)
	if err != nil {
		s.Fatal(err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		s.Fatal(err)
	}
	return a.StatusCode, a.Header, string(b)
}

const isJSON = "Content-Type: application/json"

// parts is a body of parts, and its type. A part whose name begins with "file." is a file.
func parts(all ...[2]string) (kind, body string) {
	for _, p := range all {
		body += "--b\r\nContent-Disposition: form-data; name=\"" + p[0] + `"`
		if strings.HasPrefix(p[0], "file.") {
			body += `; filename="mine.csv"`
		}
		body += "\r\n\r\n" + p[1] + "\r\n"
	}
	return "Content-Type: multipart/form-data; boundary=b", body + "--b--\r\n"
}

// follow asks for a job until it has ended.
func (s *site) follow(at string) (j apiJob) {
	s.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		status, _, text := s.ask("GET", at, "")
		if err := json.Unmarshal([]byte(text), &j); err != nil || status != 200 {
			s.Fatalf("status %d, %v: %s", status, err, text)
		}
		if j.State != "queued" && j.State != "running" {
			return j
		}
	}
	s.Fatalf("the job does not end: %+v", j)
	return j
}

// TestAPIRun: a program starts a run, follows it to its end and has its files, without
// any cookie.
func TestAPIRun(t *testing.T) {
	s := serve(t, configIn(t, t.TempDir()))
	s.client.Jar = nil
	status, head, text := s.ask("POST", "/api/runs", `{"experiment": "pndm/toy", "size": "quick", "settings": {"cells": 3, "fail": false, "wait": "0", "model": ""}}`, isJSON)
	if at := head.Get("Location"); status != http.StatusAccepted || !strings.HasPrefix(at, "/api/jobs/") {
		t.Fatalf("status %d, %q: %s", status, at, text)
	}
	j := s.follow(head.Get("Location"))
	if j.State != "done" || j.Done != 3 || j.Total != 3 || j.Failed != 0 || j.Left != 0 || !reflect.DeepEqual(j.Settings, map[string]string{"cells": "3", "fail": "false", "wait": "0"}) {
		t.Errorf("%+v", j)
	}
	if status, head, text := s.ask("GET", "/runs/"+j.Run+"/curve.png", ""); status != 200 || head.Get("Content-Type") != "image/png" || !strings.HasPrefix(text, "\x89PNG") {
		t.Errorf("the picture: status %d", status)
	}
	for path, want := range map[string]string{
		"/api/runs": j.Run, "/api/runs?experiment=pndm/toy&limit=1": j.Run, "/api/runs?experiment=pndm": j.Run, "/api/runs?experiment=pndm/to": `{"runs":[]}`,
		"/api/papers/pndm":           `"status":"holds","reason":"`,
		"/api/papers/pndm?x":         `{"name":"wait","help":"milliseconds a cell","kind":"int","default":"0","min":0,"max":10000}`,
		"/api/papers/deis":           `"experiments":[],"runs":[]`,
		"/api/compare/toy":           `"name":"compare/toy"`,
		"/api/runs/" + j.Run:         `"verdicts":[{"claim":"it falls"`,
		"/api/papers/pndm?runs":      `"runs":[{"id":"` + j.Run,
		"/api/papers?q=pseudo&run=1": `"slug":"pndm"`,
	} {
		if status, text := s.get(path); status != 200 || !strings.Contains(text, want) {
			t.Errorf("%s: status %d, no %s in %s", path, status, want, text)
		}
	}
}

// TestAPIUpload: a file comes with the token of the visitor; where it lies nobody is told,
// also where it is the cause of an error.
func TestAPIUpload(t *testing.T) {
	cfg := configIn(t, t.TempDir())
	cfg.Upper = 4 << 20 // more than forms have in memory
	experiments := cfg.Experiments
	cfg.Experiments = func(slug string) []*lab.Experiment {
		es := experiments(slug)
		for _, e := range es {
			grid := e.Grid
			e.Grid = func(v lab.Values) ([]lab.Cell, error) {
				if b, err := os.ReadFile(v.Text("model")); err == nil && string(b) == "bad" {
					return nil, fmt.Errorf("%s: line 1: bad", v.Text("model"))
				}
				return grid(v)
			}
		}
		return es
	}
	t.Setenv("TMPDIR", t.TempDir())
	s := serve(t, cfg)
	var who struct{ Token string }
	if _, _, text := s.ask("GET", "/api/visitor", ""); json.Unmarshal([]byte(text), &who) != nil || who.Token == "" {
		t.Fatal(text)
	}
	token := "X-CSRF-Token: " + who.Token
	kind, body := parts([2]string{"experiment", "pndm/toy"}, [2]string{"size", "quick"}, [2]string{"settings", `{"fail": true}`}, [2]string{"file.model", strings.Repeat("1", 2<<20)})
	status, head, text := s.ask("POST", "/api/runs", body, kind, token)
	if status != http.StatusAccepted {
		t.Fatalf("status %d: %s", status, text)
	}
	j := s.follow(head.Get("Location"))
	if j.State != "done" || j.Failed != 4 || j.Settings["model"] != "mine.csv" {
		t.Errorf("%+v", j)
	}
	for _, path := range []string{"/jobs/" + j.ID, "/api/jobs/" + j.ID, "/runs/" + j.Run, "/api/runs/" + j.Run, "/runs/" + j.Run + "/results.json", "/runs/" + j.Run + "/report.md", "/api/papers/pndm"} {
		if status, text := s.get(path); status != 200 || strings.Contains(text, cfg.Uploads) {
			t.Errorf("%s: status %d, tells where files lie: %v", path, status, strings.Contains(text, cfg.Uploads))
		}
	}
	kind, body = parts([2]string{"experiment", "pndm/toy"}, [2]string{"size", "quick"}, [2]string{"file.model", "bad"})
	if status, _, text := s.ask("POST", "/api/runs", body, kind, token); status != 400 || text != `{"error":"mine.csv: line 1: bad"}`+"\n" {
		t.Errorf("status %d: %s", status, text)
	}
	if left, _ := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "multipart-*")); len(left) != 0 {
		t.Errorf("files of forms are left: %q", left)
	}
}

// TestAPIStop: only who began a job stops it, by cookie or by login.
func TestAPIStop(t *testing.T) {
	s := serve(t, configIn(t, t.TempDir()))
	start := func() string {
		_, head, text := s.ask("POST", "/api/runs", `{"experiment":"pndm/toy","size":"quick","settings":{"wait":5000}}`, isJSON)
		if head.Get("Location") == "" {
			t.Fatal(text)
		}
		return head.Get("Location")
	}
	first, second := start(), start()
	if status, _, _ := s.another().ask("DELETE", first, ""); status != http.StatusForbidden {
		t.Errorf("another: status %d", status)
	}
	var j apiJob
	if status, _, text := s.ask("GET", second, ""); json.Unmarshal([]byte(text), &j) != nil || status != 200 || j.State != "queued" || j.Ahead != 1 {
		t.Errorf("status %d: %s", status, text)
	}
	for _, at := range []string{second, first} {
		if status, _, text := s.ask("DELETE", at, ""); status != http.StatusAccepted {
			t.Errorf("status %d: %s", status, text)
		}
		if j := s.follow(at); j.State != "stopped" {
			t.Errorf("%+v", j)
		}
	}
}

// TestAPIVote: one vote a visitor, given and taken back as often as one likes.
func TestAPIVote(t *testing.T) {
	s := serve(t, configIn(t, t.TempDir()))
	for i, method := range []string{"PUT", "PUT", "DELETE", "DELETE", "PUT"} {
		want := fmt.Sprintf("{\"votes\":%d}\n", map[string]int{"PUT": 1}[method])
		if status, _, text := s.ask(method, "/api/papers/pndm/vote", ""); status != 200 || text != want {
			t.Errorf("%d, %s: status %d: %s", i, method, status, text)
		}
	}
	if status, _, text := s.another().ask("PUT", "/api/papers/pndm/vote", ""); status != 200 || text != "{\"votes\":2}\n" {
		t.Errorf("another: status %d: %s", status, text)
	}
	if _, text := s.get("/api/papers/pndm"); !strings.Contains(text, `"votes":2,"voted":true`) {
		t.Error(text)
	}
}

// TestAPISubscribe: the answer tells nobody who has a digest.
func TestAPISubscribe(t *testing.T) {
	p := posted(t)
	p.join("known@example.org", "daily")
	var first string
	for _, address := range []string{"known@example.org", "fresh@example.org", "fresh@example.org"} {
		status, _, text := p.ask("POST", "/api/subscriptions", `{"address":"`+address+`"}`, isJSON)
		if first == "" {
			first = text
		}
		if status != http.StatusAccepted || text != first {
			t.Errorf("%s: status %d: %s", address, status, text)
		}
	}
	if n := p.quiet(); n != 2 {
		t.Errorf("%d mails", n)
	}
}

// TestAPILogin: what needs a login takes one with the request, and never leads to a page.
func TestAPILogin(t *testing.T) {
	s := withLogins(t)
	s.cfg.Lookup = lookup
	s.client.Jar = nil
	run := `{"experiment":"pndm/toy","size":"quick","settings":{"wait":5000}}`
	ada := "Authorization: " + basic("ada", secret)
	for _, tt := range []struct{ method, path, body string }{{"POST", "/api/runs", run}, {"POST", "/api/papers", `{"id":"2601.00001"}`}, {"DELETE", "/api/jobs/x", ""}} {
		status, head, text := s.ask(tt.method, tt.path, tt.body, isJSON)
		if status != http.StatusUnauthorized || !strings.HasPrefix(head.Get("WWW-Authenticate"), "Basic ") || !strings.HasPrefix(text, `{"error":"This needs a login`) || head.Get("Location") != "" {
			t.Errorf("%s %s: status %d, %v: %s", tt.method, tt.path, status, head, text)
		}
	}
	status, head, text := s.ask("POST", "/api/runs", run, isJSON, ada)
	if status != http.StatusAccepted || head.Get("Set-Cookie") != "" {
		t.Fatalf("status %d, %v: %s", status, head, text)
	}
	at := head.Get("Location")
	if status, _, _ := s.ask("DELETE", at, "", "Authorization: "+basic("bob", secret+"2")); status != http.StatusForbidden {
		t.Errorf("bob stops it: status %d", status)
	}
	if status, _, text := s.ask("DELETE", at, "", ada); status != http.StatusAccepted {
		t.Errorf("ada: status %d: %s", status, text)
	}
	if status, _, text := s.ask("POST", "/api/papers", `{"id":"2601.00001"}`, isJSON, ada); status != http.StatusCreated {
		t.Errorf("a paper: status %d: %s", status, text)
	}
	for range 2 { // one vote a user
		s.ask("PUT", "/api/papers/pndm/vote", "", ada)
	}
	if p, err := s.cfg.Shelf.Paper(t.Context(), "pndm", "user:ada"); err != nil || p.Votes != 1 || !p.Voted {
		t.Errorf("%+v, %v", p, err)
	}
	kind, body := parts([2]string{"experiment", "pndm/toy"}, [2]string{"size", "quick"}, [2]string{"file.model", "1\n"})
	if status, _, text := s.ask("POST", "/api/runs", body, kind, ada); status != http.StatusAccepted {
		t.Errorf("a file: status %d: %s", status, text)
	}
	for range 2 * loginBurst { // no login that succeeds is counted
		if status, _, text := s.ask("DELETE", "/api/papers/pndm/vote", "", ada); status != 200 {
			t.Fatalf("status %d: %s", status, text)
		}
	}
}

// TestAPIProxy: with a proxy's header, what comes as Authorization is for the proxy.
func TestAPIProxy(t *testing.T) {
	cfg := configIn(t, t.TempDir())
	cfg.Auth = &Auth{Header: "X-Remote-User"}
	s := serve(t, cfg)
	s.client.Jar = nil
	run, user, password := `{"experiment":"pndm/toy","size":"quick"}`, "X-Remote-User: ada", "Authorization: "+basic("ada", "x")
	if status, _, text := s.ask("POST", "/api/runs", run, isJSON, user, password); status != http.StatusAccepted {
		t.Errorf("status %d: %s", status, text)
	}
	if status, _, text := s.ask("POST", "/api/runs", run, isJSON, password); status != http.StatusUnauthorized || !strings.Contains(text, "proxy") {
		t.Errorf("nobody: status %d: %s", status, text)
	}
	kind, body := parts([2]string{"experiment", "pndm/toy"}, [2]string{"size", "quick"})
	if status, _, _ := s.ask("POST", "/api/runs", body, kind, user, password); status != http.StatusForbidden {
		t.Errorf("a form without a token: status %d", status)
	}
	if status, _, text := s.ask("POST", "/api/runs", body, kind, user, "X-CSRF-Token: "+s.Server.token("user:ada")); status != http.StatusAccepted {
		t.Errorf("a form: status %d: %s", status, text)
	}
}

func basic(name, password string) string {
	r := &http.Request{Header: http.Header{}}
	r.SetBasicAuth(name, password)
	return r.Header.Get("Authorization")
}
