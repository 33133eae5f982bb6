package web

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/assay-lab/assay/lab/shelf"
)

// TestRunInPlace: a paper is found, run, and its verdict shown, on its page and in the
// feed; the run can be had in all formats.
func TestRunInPlace(t *testing.T) {
	s := serve(t, configIn(t, t.TempDir()))
	if _, page := s.get("/?q=pseudo+numerical"); !strings.Contains(page, `href="/papers/pndm"`) {
		t.Errorf("the search does not find it:\n%s", page)
	}
	run, page := s.wait(s.begin(nil, nil))
	for _, want := range []string{"verdict-holds", "it falls", "&lt;b&gt;bold", "assay run pndm/toy --size quick", "0.500"} {
		if !strings.Contains(page, want) {
			t.Errorf("the run's page lacks %q", want)
		}
	}
	if strings.Contains(page, "<b>bold") {
		t.Error("a method's name is not escaped")
	}
	for file, begins := range map[string]string{"curve.png": "\x89PNG", "curve.svg": "<?xml", "curve.pdf": "%PDF", "results.csv": "panel,", "results.json": "{", "report.md": "#"} {
		if status, text := s.get(run + "/" + file); status != 200 || !strings.HasPrefix(text, begins) {
			t.Errorf("%s: status %d, %.20q", file, status, text)
		}
	}
	if _, feed := s.get("/?verdict=holds"); !strings.Contains(feed, "/papers/pndm") {
		t.Error("the feed does not know the verdict")
	}
	var got struct{ Verdicts []struct{ Claim string } }
	if _, text := s.get("/api" + run); json.Unmarshal([]byte(text), &got) != nil || len(got.Verdicts) != 1 {
		t.Errorf("API: %s", text)
	}
}

// TestCompare: a comparison is run on a file of one's own, and ends with advice; where
// the file lies is told nobody.
func TestCompare(t *testing.T) {
	cfg := configIn(t, t.TempDir())
	s := serve(t, cfg)
	if _, page := s.get("/compare/toy"); !strings.Contains(page, `action="/compare/runs"`) {
		t.Fatalf("no form:\n%s", page)
	}
	status, job, text := s.post("/compare/runs", map[string]string{"token": s.token(), "experiment": "compare/toy", "size": "quick"},
		map[string][2]string{"file.model": {"mine.csv", "1\n"}})
	if status != http.StatusSeeOther {
		t.Fatalf("status %d:\n%s", status, text)
	}
	run, page := s.wait(job)
	for _, want := range []string{"Take the &lt;bold&gt; one.", "assay compare toy --size quick", "--model FILE", "assay sample --model mine.csv", `href="/compare/toy"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the run's page lacks %q", want)
		}
	}
	for _, path := range []string{run, "/api" + run, run + "/results.json", run + "/report.md", run + "/results.csv", "/compare/toy"} {
		if _, text := s.get(path); strings.Contains(text, cfg.Uploads) {
			t.Errorf("%s tells where uploads lie", path)
		}
	}
	if _, page := s.get("/compare/toy"); !strings.Contains(page, "mine.csv") {
		t.Error("past comparisons are not listed")
	}
	status, _, text = s.post("/compare/runs", map[string]string{"token": s.token(), "experiment": "compare/toy", "size": "quick", "set.wait": "x"}, nil)
	if status != 400 || !strings.Contains(text, `role="alert"`) {
		t.Errorf("bad settings: status %d\n%s", status, text)
	}
	if status, _, _ := s.post("/compare/runs", map[string]string{"token": s.token(), "experiment": "pndm/toy", "size": "quick"}, nil); status != 400 {
		t.Errorf("an experiment of a paper: status %d", status)
	}
}

// TestEvents: the page is told of every cell and of the end.
func TestEvents(t *testing.T) {
	s := serve(t, configIn(t, t.TempDir()))
	job := s.begin(map[string]string{"set.wait": "100", "set.cells": "20"}, nil)
	r, err := s.client.Get(s.url + job + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, _ := io.ReadAll(r.Body)
	text := string(b)
	if !strings.HasSuffix(text, "event: end\ndata: \"done\"\n\n") || !strings.Contains(text, `"done":20,"total":20`) || strings.Count(text, "event: progress") < 2 {
		t.Errorf("%s", text)
	}
}

// TestGoesOn: a run that the server's end interrupts goes on at the next start.
func TestGoesOn(t *testing.T) {
	dir := t.TempDir()
	first := serve(t, configIn(t, dir))
	job := first.begin(map[string]string{"set.wait": "60", "set.cells": "30"}, nil)
	for range 200 {
		if r, err := first.cfg.Store.Runs(t.Context()); err == nil && len(r) == 1 && r[0].Done > 2 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	first.stop()
	second := serve(t, configIn(t, dir))
	run, _ := second.wait(job)
	r, err := second.cfg.Store.Run(t.Context(), strings.TrimPrefix(run, "/runs/"))
	if err != nil || r.Done != 30 || r.Failed != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestStop: only who began a run stops it.
func TestStop(t *testing.T) {
	s := serve(t, configIn(t, t.TempDir()))
	job := s.begin(map[string]string{"set.wait": "5000"}, nil)
	other := *s
	jar, _ := cookiejar.New(nil)
	other.client = &http.Client{Jar: jar}
	if status, _, _ := other.post(job+"/stop", map[string]string{"token": other.token()}, nil); status != http.StatusForbidden {
		t.Errorf("another reader: status %d", status)
	}
	if status, _, _ := s.post(job+"/stop", map[string]string{"token": s.token()}, nil); status != http.StatusSeeOther {
		t.Errorf("status %d", status)
	}
	for range 200 {
		if _, page := s.get(job); strings.Contains(page, "was stopped") {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Error("it goes on")
}

// TestUploads: files of the right kind are taken under a name that cannot leave their
// folder; a reader never names a path.
func TestUploads(t *testing.T) {
	cfg := configIn(t, t.TempDir())
	s := serve(t, cfg)
	upload := map[string][2]string{"file.model": {`..\../../x/<script>.csv`, "1,2\n"}}
	first, _ := s.wait(s.begin(nil, upload))
	if again, _ := s.wait(s.begin(nil, upload)); again != first {
		t.Errorf("the same file again is another run: %s and %s", first, again)
	}
	kept, _ := filepath.Glob(filepath.Join(cfg.Uploads, "*", "*"))
	if len(kept) != 1 || filepath.Base(kept[0]) != "_script_.csv" {
		t.Errorf("kept %q", kept)
	}
	for _, tt := range []struct {
		name   string
		fields map[string]string
		files  map[string][2]string
		status int
		want   string
	}{
		{"kind", nil, map[string][2]string{"file.model": {"x.exe", "MZ"}}, 400, "want .csv"},
		{"path", map[string]string{"set.model": "/etc/passwd"}, nil, 400, "upload a file"},
		{"too large", nil, map[string][2]string{"file.model": {"x.csv", strings.Repeat("x", 3<<20)}}, 413, "at most"},
		{"bound", map[string]string{"set.wait": "-1"}, nil, 400, "wait"},
		{"grid", map[string]string{"set.cells": "1000000"}, nil, 400, "cells"},
		{"script", map[string]string{"set.wait": "<script>alert(1)</script>"}, nil, 400, "&lt;script&gt;"},
		{"experiment", map[string]string{"experiment": "deis/x"}, nil, 400, "no experiment"},
		{"size", map[string]string{"size": "huge"}, nil, 400, "huge"},
	} {
		all := map[string]string{"token": s.token(), "experiment": "pndm/toy", "size": "quick"}
		for k, v := range tt.fields {
			all[k] = v
		}
		status, _, text := s.post("/papers/pndm/runs", all, tt.files)
		if status != tt.status || !strings.Contains(text, tt.want) || strings.Contains(text, "<script>alert") {
			t.Errorf("%s: status %d, want %d and %q in\n%s", tt.name, status, tt.status, tt.want, text)
		}
	}
}

// TestForgery: forms of other sites and without a token of the reader's own do nothing.
func TestForgery(t *testing.T) {
	s := serve(t, configIn(t, t.TempDir()))
	token := s.token()
	if status, _, _ := s.post("/papers/pndm/vote", map[string]string{"up": "1"}, nil); status != http.StatusForbidden {
		t.Errorf("no token: %d", status)
	}
	if status, _, _ := s.post("/papers/pndm/vote", map[string]string{"up": "1", "token": strings.Repeat("A", len(token))}, nil); status != http.StatusForbidden {
		t.Errorf("false token: %d", status)
	}
	r, _ := http.NewRequest("POST", s.url+"/papers/pndm/vote", strings.NewReader(url.Values{"up": {"1"}, "token": {token}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", "https://evil.example")
	if a, err := s.client.Do(r); err != nil || a.StatusCode != http.StatusForbidden {
		t.Errorf("another site: %v, %v", a, err)
	}
	for range 2 { // one vote a reader
		if status, _, _ := s.post("/papers/pndm/vote", map[string]string{"up": "1", "token": token}, nil); status != http.StatusSeeOther {
			t.Errorf("status %d", status)
		}
	}
	if p, _ := s.cfg.Shelf.Paper(t.Context(), "pndm", ""); p.Votes != 1 {
		t.Errorf("%d votes", p.Votes)
	}
	s.client.Jar.SetCookies(mustURL(s.url), []*http.Cookie{{Name: cookieName, Value: "ADMIN.forged", Path: "/"}})
	if _, page := s.get("/papers/pndm"); tokenField.FindStringSubmatch(page)[1] == token {
		t.Error("a forged cookie keeps its token")
	}
}

func mustURL(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic(err)
	}
	return u
}

// TestHostilePapers: what feeds bring is shown as text.
func TestHostilePapers(t *testing.T) {
	s := serve(t, configIn(t, t.TempDir()))
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(1)>`
	if _, err := s.cfg.Shelf.Put(t.Context(), []shelf.Paper{{Slug: "evil", Title: evil, Summary: evil, Authors: []string{evil}, Topics: []string{evil},
		URL: "javascript:alert(1)", Source: "feed", Published: time.Now()}}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/", "/papers/evil", "/?q=" + url.QueryEscape(evil), "/?topic=" + url.QueryEscape(evil)} {
		_, page := s.get(path)
		for _, bad := range []string{"<script>alert", "<img src=x", `href="javascript:`} {
			if strings.Contains(page, bad) {
				t.Errorf("%s has %s", path, bad)
			}
		}
	}
}

// lookup knows of one paper.
func lookup(_ context.Context, id string) (shelf.Paper, error) {
	if id != "2601.00001" {
		return shelf.Paper{}, fmt.Errorf("arXiv has no paper %s", id)
	}
	return shelf.Paper{Slug: "arxiv-2601.00001", Title: "New", URL: "https://arxiv.org/abs/2601.00001", Source: "arxiv", Published: time.Now()}, nil
}

// TestSubmit: a paper that is named is on its page; one that is not there is said so.
func TestSubmit(t *testing.T) {
	cfg := configIn(t, t.TempDir())
	cfg.Lookup = lookup
	s := serve(t, cfg)
	if status, to, _ := s.post("/papers", map[string]string{"token": s.token(), "id": " 2601.00001 "}, nil); status != http.StatusSeeOther || to != "/papers/arxiv-2601.00001" {
		t.Errorf("status %d, %q", status, to)
	}
	if _, page := s.get("/papers/arxiv-2601.00001"); !strings.Contains(page, "cannot run it") {
		t.Error("it is not said that it cannot be run")
	}
	for id, want := range map[string]string{"": "Which paper?", "<script>": "no paper &lt;script&gt;"} {
		if status, _, text := s.post("/papers", map[string]string{"token": s.token(), "id": id}, nil); status != 400 || !strings.Contains(text, want) {
			t.Errorf("%q: status %d, want %q in\n%s", id, status, want, text)
		}
	}
}

func TestRequests(t *testing.T) {
	s := serve(t, configIn(t, t.TempDir()))
	for _, tt := range []struct {
		path   string
		status int
		want   string
	}{
		{"/healthz", 200, "ok"},
		{"/nowhere", 404, "Not here"},
		{"/papers/nobody", 404, "no such paper"},
		{"/runs/nothing", 404, "no such run"},
		{"/jobs/nothing", 404, "no such"},
		{"/papers/..%2f..%2fetc%2fpasswd", 404, "no such paper"},
		{"/assets/../web.go", 404, ""},
		{"/assets/style.css", 200, "--paper"},
		{"/?order=sideways", 400, "must be date or trend"},
		{"/?since=year", 400, "day, week or month"},
		{"/?after=!!", 400, "no page ended there"},
		{"/?limit=x", 400, "must be a number"},
		{"/?q=" + strings.Repeat("x", 300), 400, "at most 200"},
		{"/api/papers?limit=2", 200, `"next"`},
		{"/api/papers?limit=1000", 400, `"error"`},
		{"/api/papers/deis", 200, `"slug":"deis"`},
		{"/api/papers/nobody", 404, `"error"`},
	} {
		status, text := s.get(tt.path)
		if status != tt.status || !strings.Contains(text, tt.want) {
			t.Errorf("%s: status %d, want %d and %q in %.300s", tt.path, status, tt.status, tt.want, text)
		}
	}
	r, err := s.client.Get(s.url + "/")
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if p := r.Header.Get("Content-Security-Policy"); strings.Contains(p, "unsafe") || !strings.Contains(p, "default-src 'none'") {
		t.Errorf("policy %q", p)
	}
}

// TestPagesHoldThePolicy: no page has a script or a style of its own.
func TestPagesHoldThePolicy(t *testing.T) {
	s := serve(t, configIn(t, t.TempDir()))
	run, _ := s.wait(s.begin(nil, nil))
	inline := regexp.MustCompile(`(?i)<script(?:\s+[^>]*)?>[^<]|<style|\sstyle=|\son[a-z]+=`)
	for _, path := range []string{"/", "/papers/pndm", run, "/nowhere", "/subscribe"} {
		if _, page := s.get(path); inline.MatchString(page) {
			t.Errorf("%s: %s", path, inline.FindString(page))
		}
	}
}

// TestLimits: an address that asks too much is told to wait.
func TestLimits(t *testing.T) {
	cfg := configIn(t, t.TempDir())
	s, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	last := 0
	for range readBurst + 50 {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/healthz", nil)
		r.RemoteAddr = "203.0.113.9:1234"
		s.ServeHTTP(w, r)
		last = w.Code
	}
	if last != http.StatusTooManyRequests {
		t.Errorf("status %d", last)
	}
}

// TestQueueIsBounded: more than so many runs do not wait.
func TestQueueIsBounded(t *testing.T) {
	cfg := configIn(t, t.TempDir())
	cfg.Queue = 2
	s := serve(t, cfg)
	refused := 0
	for i := range 5 {
		status, _, _ := s.post("/papers/pndm/runs", map[string]string{"token": s.token(), "experiment": "pndm/toy", "size": "quick", "set.wait": fmt.Sprint(5000 + i)}, nil)
		if status == 503 {
			refused++
		}
	}
	if refused != 2 {
		t.Errorf("%d of 5 are refused, want 2", refused)
	}
	os.RemoveAll(cfg.Uploads)
}
