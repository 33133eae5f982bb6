package web

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/shelf"
)

// TestClaimsBeside: a paper's page has its claims, and after a run what came of them.
func TestClaimsBeside(t *testing.T) {
	cfg := configIn(t, t.TempDir())
	s := serve(t, cfg)
	if _, page := s.get("/papers/pndm"); !strings.Contains(page, "it falls") || !strings.Contains(page, "Not run yet") {
		t.Errorf("no claim before a run:\n%s", page)
	}
	run, _ := s.wait(s.begin(map[string]string{"set.cells": "6"}, nil))
	_, page := s.get("/papers/pndm")
	for _, want := range []string{"is 0.500, &lt; 1", `<a href="` + run + `">quick run`, "quick · cells 6 · 6 cells"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
}

// TestFilledForm: an address fills in a form; what is wrong in it is said and escaped.
func TestFilledForm(t *testing.T) {
	s := serve(t, configIn(t, t.TempDir()))
	for _, tt := range []struct{ name, query, want string }{
		{"value", "set.wait=7", `name="set.wait" value="7"`},
		{"size", "size=full", `value="full" checked`},
		{"settings are shown", "set.wait=7", `<details class="params" open>`},
		{"bound", "set.wait=-1", `role="alert"`},
		{"kind", "set.cells=x", `role="alert"`},
		{"size that is none", "size=huge", "must be quick, desk or full"},
		{"path", "set.model=/etc/passwd", "or upload a file"},
		{"script", "set.wait=" + url.QueryEscape(`"><script>alert(1)</script>`), "&lt;script&gt;"},
		{"another setting", "set.nothing=1&set.wait=3", `value="3"`},
		{"experiment that is not there", "experiment=none&set.wait=7", `name="set.wait" value=""`},
	} {
		for _, path := range []string{"/papers/pndm?", "/compare/toy?"} {
			status, page := s.get(path + tt.query)
			if status != 200 || !strings.Contains(page, tt.want) || strings.Contains(page, "<script>alert") {
				t.Errorf("%s, %s: status %d, want %q in\n%s", tt.name, path, status, tt.want, page)
			}
		}
	}
}

// TestAgain: a run leads back to its form, filled in as it was, without the files.
func TestAgain(t *testing.T) {
	s := serve(t, configIn(t, t.TempDir()))
	run, page := s.wait(s.begin(map[string]string{"set.cells": "3"}, map[string][2]string{"file.model": {"mine.csv", "1"}}))
	want := "/papers/pndm?experiment=pndm%2Ftoy&amp;set.cells=3&amp;size=quick#try"
	if !strings.Contains(page, want) {
		t.Errorf("%s lacks %q:\n%s", run, want, page)
	}
}

// TestPagesOfTheFeed: one can go on and back; the answer to a script is the list and
// what is found, and the whole page when a browser goes back in its history.
func TestPagesOfTheFeed(t *testing.T) {
	cfg := configIn(t, t.TempDir())
	s := serve(t, cfg)
	if _, err := s.cfg.Shelf.Put(t.Context(), []shelf.Paper{{Slug: "new", Title: "New", URL: "https://example.org/new", Source: "feed", Published: time.Now()}}); err != nil {
		t.Fatal(err)
	}
	_, page := s.get("/?limit=5")
	if !strings.Contains(page, "Older papers") || !strings.Contains(page, ">Today, ") || strings.Contains(page, "Back to the beginning") {
		t.Errorf("first page:\n%s", page)
	}
	next := strings.Split(strings.Split(page, `<a class="button" href="/?`)[1], `"`)[0]
	if _, page = s.get("/?" + strings.ReplaceAll(next, "&amp;", "&")); !strings.Contains(page, `href="/?limit=5">Back to the beginning`) {
		t.Errorf("second page:\n%s", page)
	}
	for restore, whole := range map[string]bool{"": false, "true": true} {
		r, _ := http.NewRequest("GET", s.url+"/?q=numerical", nil)
		r.Header.Set("HX-Request", "true")
		if restore != "" {
			r.Header.Set("HX-History-Restore-Request", restore)
		}
		a, err := s.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(a.Body)
		a.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		text := string(b)
		if strings.Contains(text, "<html") != whole || !strings.Contains(text, "for “numerical”") || !strings.Contains(text, "/papers/pndm") {
			t.Errorf("restore %q:\n%s", restore, text)
		}
	}
}

// TestUsage: the page says how to call the method, and leads to its rivals.
func TestUsage(t *testing.T) {
	s := serve(t, configIn(t, t.TempDir()))
	_, page := s.get("/papers/pndm")
	for _, want := range []string{`import "github.com/assay-lab/assay/diffusion"`, `diffusion.MethodNamed(&#34;pndm&#34;)`, "/compare/diffusion?set.methods=pndm"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if u := rivalry("adahessian"); u != "" {
		t.Errorf("a match of an optimizer: %q", u)
	}
	if b := formAddress("a/b", string(lab.Quick), map[string]string{"x": "&#<"}); b != "/papers/a?experiment=a%2Fb&set.x=%26%23%3C&size=quick#try" {
		t.Errorf("%q", b)
	}
}

// TestCardVerdict: a claim that fails is not hidden by a later run of another experiment,
// and a server where nothing was run says what to begin with.
func TestCardVerdict(t *testing.T) {
	dir := t.TempDir()
	experiments := func(slug string) []*lab.Experiment {
		if slug != "pndm" && slug != firstPaper {
			return nil
		}
		bad := toy()
		bad.Name = "pndm/bad"
		bad.Claims = []lab.Claim{{Name: "it rises", Judge: lab.All(lab.Less(lab.At("", "<b>bold</b>", 1), lab.At("", "<b>bold</b>", 2)))}}
		return []*lab.Experiment{toy(), bad}
	}
	start := func() *site {
		cfg := configIn(t, dir)
		cfg.Experiments = experiments
		return serve(t, cfg)
	}
	s := start()
	const hint = "Nothing has been run here yet"
	if _, page := s.get("/"); !strings.Contains(page, hint) {
		t.Error("it is not said what to begin with")
	}
	status := func() string {
		p, err := s.cfg.Shelf.Paper(t.Context(), "pndm", "")
		if err != nil {
			t.Fatal(err)
		}
		return p.Status
	}
	for _, run := range []struct{ experiment, want string }{{"pndm/bad", "fails"}, {"pndm/toy", "holds in part"}} {
		s.wait(s.begin(map[string]string{"experiment": run.experiment}, nil))
		if got := status(); got != run.want {
			t.Errorf("after %s: %q, want %q", run.experiment, got, run.want)
		}
	}
	if _, page := s.get("/"); strings.Contains(page, hint) {
		t.Error("it still says that nothing was run")
	}
	if err := s.cfg.Shelf.SetStatus(t.Context(), "pndm", ""); err != nil {
		t.Fatal(err)
	}
	s.stop()
	s = start()
	if got := status(); got != "holds in part" {
		t.Errorf("after a start: %q", got)
	}
}
