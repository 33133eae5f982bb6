package main

import (
	"context"
	"encoding/json"
	"fmt"
	"image/png"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	downloads "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/assay-lab/assay/lab/mail/mailtest"
	"github.com/assay-lab/assay/onnx"
)

// TestPage uses the Daily Papers page as a reader does.
func TestPage(t *testing.T) {
	if testing.Short() {
		t.Skip("runs experiments in a browser")
	}
	d := newDesk(t)
	var mails mailtest.Server
	mails.Start(t)
	s := d.serve("--smtp", mails.Addr, "--smtp-tls", "none", "--mail-from", "papers@example.org")
	b := openBrowser(t)
	for _, part := range []struct {
		name string
		test func(*testing.T, *browser, *served)
	}{
		{"find, run, and take the picture", findAndRun},
		{"an own model and a bad file", ownModel},
		{"vote", voteFor},
		{"subscribe", func(t *testing.T, b *browser, s *served) { subscribe(t, b, s, &mails) }},
		{"keyboard alone", keyboardAlone},
		{"killed and resumed", killedAndResumed},
		{"two runs side by side", sideBySide},
		{"log in", logIn},
		{"every page, narrow and dark", everyPage},
	} {
		if !t.Run(part.name, func(t *testing.T) {
			b.t, s.t = t, t
			part.test(t, b, s)
			b.quiet()
		}) {
			break // the browser is where it went wrong
		}
	}
	b.t, s.t = t, t
}

// findAndRun looks for a paper, runs it at quick size, sees its curve grow, and
// downloads the picture.
func findAndRun(t *testing.T, b *browser, s *served) {
	b.open(s.url)
	b.do("search", chromedp.SendKeys(chromedp.CSS("#q"), "unified sampling"))
	b.until(`document.querySelectorAll("#list article").length === 1 && document.querySelector('#list a[href="/papers/usf-s3"]')`)
	if at := b.text("location.search"); at != "?q=unified%20sampling" {
		t.Errorf("the search is at %q", at)
	}
	b.click(`#list h3 a`)
	b.until(`location.pathname === "/papers/usf-s3"`)
	b.click(`details[open] button.go`)
	b.until(`document.querySelector(".live progress")?.value > 0 || location.pathname.startsWith("/runs/")`)
	grown := map[string]bool{}
	for end := time.Now().Add(patience); time.Now().Before(end) && !strings.HasPrefix(b.text("location.pathname"), "/runs/"); {
		grown[b.text(`document.querySelector(".live .charts")?.dataset.points`)] = true
		time.Sleep(10 * time.Millisecond)
	}
	delete(grown, "undefined")
	if len(grown) < 3 {
		t.Errorf("while it runs the curve has these numbers of points: %v", grown)
	}
	b.until(`document.querySelector("main .badge") && document.querySelector(".charts canvas")`)

	dir := t.TempDir()
	if _, err := chromedp.CallBrowser(b.ctx, downloads.SetDownloadBehavior, downloads.SetDownloadBehaviorParams{Behavior: "allow", DownloadPath: dir}); err != nil {
		t.Fatal(err)
	}
	b.click(`.downloads a[href*="curve.png"]`)
	file := filepath.Join(dir, strings.TrimPrefix(b.text("location.pathname"), "/runs/")+"-curve.png")
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		if f, err := os.Open(file); err == nil {
			img, err := png.Decode(f)
			f.Close()
			if err == nil && img.Bounds().Dx() > 300 {
				return
			}
		}
		if time.Now().After(end) {
			t.Fatalf("no picture at %s", file)
		}
	}
}

// halfNetwork writes an ONNX file whose prediction of the noise is half the sample.
func halfNetwork(t *testing.T, path string) {
	sample := []int{-1, 1, 2, 2}
	m := onnx.Model{Graph: onnx.Graph{
		Nodes: []onnx.Node{
			{Op: "Mul", In: []string{"sample", "half"}, Out: []string{"scaled"}},
			{Op: "Reshape", In: []string{"timestep", "column"}, Out: []string{"t"}},
			{Op: "Mul", In: []string{"t", "none"}, Out: []string{"nothing"}},
			{Op: "Add", In: []string{"scaled", "nothing"}, Out: []string{"noise"}},
		},
		Initializers: []onnx.Initializer{
			{Name: "half", Tensor: onnx.Tensor{Data: []float32{0.5}}},
			{Name: "none", Tensor: onnx.Tensor{Data: []float32{0}}},
			{Name: "column", Tensor: onnx.Tensor{Shape: []int{4}, Data: []int64{-1, 1, 1, 1}}},
		},
		Inputs:  []onnx.ValueInfo{{Name: "sample", Type: onnx.Float32, Shape: sample}, {Name: "timestep", Type: onnx.Float32, Shape: []int{-1}}},
		Outputs: []onnx.ValueInfo{{Name: "noise", Type: onnx.Float32, Shape: sample}},
	}}
	if err := m.Write(path); err != nil {
		t.Fatal(err)
	}
}

// ownModel compares samplers on a network that is uploaded, after a file that is none
// and one of another kind.
func ownModel(t *testing.T, b *browser, s *served) {
	dir := t.TempDir()
	good, bad, kind := filepath.Join(dir, "half.onnx"), filepath.Join(dir, "bad.onnx"), filepath.Join(dir, "notes.txt")
	halfNetwork(t, good)
	for _, path := range []string{bad, kind} {
		if err := os.WriteFile(path, []byte("this is no network"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	send := func(path string, settings ...string) {
		b.open(s.url + "/compare/diffusion")
		b.text(`document.querySelectorAll("details").forEach((d) => d.open = true)`)
		for i := 0; i < len(settings); i += 2 {
			b.fill(fmt.Sprintf(`[name="set.%s"]`, settings[i]), settings[i+1])
		}
		b.do("file", chromedp.SetUploadFiles(chromedp.CSS(`[name="file.model"]`), []string{path}))
		b.click(`button.go`)
	}
	send(kind)
	b.until(`document.querySelector("[role=alert]")?.innerText.includes("notes.txt")`)
	b.quiet("400")
	send(bad, "predict", "noise", "schedule", "ddpm-linear")
	b.until(`document.querySelector("[role=alert]")?.innerText.includes("bad.onnx")`)
	b.quiet("400")
	send(good, "predict", "noise", "schedule", "ddpm-linear", "methods", "ddim,dpmpp-2m", "truth", "40")
	b.until(`location.pathname.startsWith("/runs/") && document.body.innerText.includes("Recommendation")`)
	if text := b.text("document.body.innerText"); !strings.Contains(text, "--model FILE") {
		t.Errorf("the command does not say where the model goes:\n%s", text)
	}
}

// voteFor votes, which stays, and takes the vote back.
func voteFor(t *testing.T, b *browser, s *served) {
	b.open(s.url + "/?q=pseudo")
	const button = `article .vote button`
	for _, want := range []string{"1", "0", "1"} {
		b.click(button)
		b.until(fmt.Sprintf(`document.querySelector("%s b")?.innerText === %q`, button, want))
	}
	b.open(s.url + "/?order=trend")
	if got := b.text(fmt.Sprintf(`document.querySelector("%s").getAttribute("aria-pressed")`, button)); got != "true" {
		t.Errorf("the paper with a vote is not the first of the trend: aria-pressed %s", got)
	}
}

// subscribe asks for the digest and confirms by the mail that comes.
func subscribe(t *testing.T, b *browser, s *served, mails *mailtest.Server) {
	b.open(s.url)
	b.fill(`form[action="/subscribe"] [name=address]`, "reader@example.org")
	b.click(`form[action="/subscribe"] button`)
	b.until(`document.body.innerText.includes("reader@example.org")`)
	text := mails.Wait(t, 1)[0].Text
	link := regexp.MustCompile(regexp.QuoteMeta(s.url) + `/subscribe/confirm\S+`).FindString(text)
	if link == "" {
		t.Fatalf("the mail has no link:\n%s", text)
	}
	b.open(link)
	b.click(`main form button`)
	b.until(`document.body.innerText.includes("You are subscribed")`)
}

// keyboardAlone finds a paper and runs it without a mouse.
func keyboardAlone(t *testing.T, b *browser, s *served) {
	b.open(s.url)
	tabTo := func(selector string) {
		t.Helper()
		for range 80 {
			b.press(kb.Tab)
			if b.text(fmt.Sprintf(`document.activeElement.matches(%q)`, selector)) == "true" {
				if b.text(`getComputedStyle(document.activeElement).outlineStyle`) == "none" {
					t.Errorf("%s: it is not seen that it has the focus", selector)
				}
				return
			}
		}
		t.Fatalf("%s cannot be reached by Tab", selector)
	}
	b.press(kb.Tab)
	if b.text(`document.activeElement.getAttribute("href")`) != "#main" {
		t.Error("the first thing is not the way to the content")
	}
	tabTo("#q")
	b.press("two-pass softmax")
	b.until(`document.querySelector('#list article a[href="/papers/two-pass-softmax"]') && document.querySelectorAll("#list article").length < 4`)
	tabTo(`a[href="/papers/two-pass-softmax"]`)
	b.press(kb.Enter)
	b.until(`location.pathname === "/papers/two-pass-softmax" && document.readyState === "complete"`)
	tabTo("button.go")
	b.press(kb.Enter)
	b.until(`location.pathname.startsWith("/runs/")`)
}

// killedAndResumed ends the server while it runs something; the page goes on by itself
// when there is a server again.
func killedAndResumed(t *testing.T, b *browser, s *served) {
	b.open(s.url + "/papers/pndm")
	b.click(`details[open] input[value=desk]`)
	b.text(`document.querySelector("details[open] details").open = true`)
	b.fill(`details[open] [name="set.seeds"]`, "1")
	b.click(`details[open] button.go`)
	b.until(`document.querySelector(".live progress")?.value > 3`)
	b.picture("job")
	job := b.text("location.pathname")
	s.kill()
	before := b.text(`document.querySelector(".live progress").value`)
	time.Sleep(time.Second)
	s.again()
	b.until(`location.pathname.startsWith("/runs/") || location.pathname === "` + job + `" && document.querySelector(".live progress")?.value > ` + before)
	b.until(`location.pathname.startsWith("/runs/")`)
	if text := b.text(`document.querySelector("main").innerText`); strings.Contains(text, "failed") || strings.Contains(text, "not finished") {
		t.Errorf("the run is not whole:\n%s", text)
	}
	b.quiet("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE")
}

// sideBySide compares a run with another of the same experiment.
func sideBySide(t *testing.T, b *browser, s *served) {
	b.open(s.url + "/papers/pndm")
	b.click(`details[open] button.go`) // quick; what was resumed is of desk size
	b.until(`location.pathname.startsWith("/runs/") && document.querySelector("select[name=against]")`)
	b.click(`form:has(select[name=against]) button`)
	b.until(`location.search.startsWith("?against=") && document.querySelector(".charts canvas")`)
	if text := b.text(`document.querySelector("main").innerText`); !strings.Contains(text, "quick") || !strings.Contains(text, "desk") {
		t.Errorf("it is not said in what they differ:\n%s", text)
	}
}

// logIn meets a server with logins: reading needs none, running does.
func logIn(t *testing.T, b *browser, s *served) {
	d := newDesk(t)
	users := filepath.Join(t.TempDir(), "users")
	if err := d.setPassword(users, "ada", "correct horse"); err != nil {
		t.Fatal(err)
	}
	guarded := d.serve("--auth", "file:"+users)
	b.open(guarded.url + "/papers/two-pass-softmax")
	b.click(`details[open] a[href^="/login"]`)
	b.until(`document.querySelector("[name=password]")`)
	for _, v := range axe(b) {
		t.Error(v)
	}
	b.fill("[name=name]", "ada")
	b.fill("[name=password]", "wrong horse")
	b.click("main form button")
	b.until(`document.querySelector("[role=alert]")`)
	b.quiet("401", "403", "400")
	b.fill("[name=password]", "correct horse")
	b.click("main form button")
	b.until(`location.pathname === "/papers/two-pass-softmax" && document.querySelector("header").innerText.includes("ada")`)
	b.click(`details[open] button.go`)
	b.until(`location.pathname.startsWith("/runs/")`)
}

// everyPage looks at all pages at two widths and in two schemes: nothing is cut off,
// dark is dark, and axe-core finds no serious violation.
func everyPage(t *testing.T, b *browser, s *served) {
	b.open(s.url + "/papers/pndm")
	runs := strings.Fields(b.text(`[...document.querySelectorAll('ul.runs a')].map((a) => a.getAttribute("href")).join(" ")`))
	run, other := runs[0], strings.TrimPrefix(runs[1], "/runs/")
	compared := func() string {
		b.open(s.url + "/compare/diffusion")
		return b.text(`document.querySelector('a[href^="/runs/"]').getAttribute("href")`)
	}()
	for _, page := range []struct{ name, path string }{
		{"feed", "/"}, {"trend", "/?order=trend"}, {"search", "/?q=diffusion"}, {"nothing", "/?q=xyzzy"}, {"paper", "/papers/pndm"},
		{"plain-paper", "/papers/two-pass-softmax"}, {"run", run}, {"compare", "/compare/diffusion"}, {"compared", compared},
		{"subscribe", "/subscribe"}, {"against", run + "?against=" + other}, {"error", "/nowhere"},
	} {
		for _, screen := range []struct {
			width  int64
			scheme string
		}{{1200, "light"}, {1200, "dark"}, {375, "light"}, {375, "dark"}} {
			where := fmt.Sprintf("%s at %d pixels, %s", page.name, screen.width, screen.scheme)
			b.screen(screen.width, screen.scheme)
			b.open(s.url + page.path)
			if wide := b.text(`document.documentElement.scrollWidth - innerWidth`); wide != "0" && !strings.HasPrefix(wide, "-") {
				t.Errorf("%s: %s pixels too wide", where, wide)
			}
			if dark := b.text(`getComputedStyle(document.documentElement).backgroundColor.match(/\d+/g).slice(0, 3).every((c) => c < 64)`); dark != fmt.Sprint(screen.scheme == "dark") {
				t.Errorf("%s: a dark background: %s", where, dark)
			}
			for _, v := range axe(b) {
				t.Errorf("%s: %s", where, v)
			}
			b.picture(fmt.Sprintf("%s-%d-%s", page.name, screen.width, screen.scheme))
		}
	}
	b.quiet("404") // of the page that is nowhere
}

// axe lists what axe-core finds to be serious or worse on a page.
func axe(b *browser) (found []string) {
	b.t.Helper()
	source, err := os.ReadFile("../../lab/web/testdata/axe.min.js")
	if err != nil {
		b.t.Fatal(err)
	}
	var violations []struct {
		ID, Impact, Help string
		Nodes            []struct{ HTML, FailureSummary string }
	}
	b.text("(() => {" + string(source) + "; window.axe = axe })()")
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`axe.run(document, {resultTypes: ["violations"]}).then((r) => JSON.stringify(r.violations))`, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(text), &violations); err != nil {
		b.t.Fatal(err)
	}
	for _, v := range violations {
		if v.Impact == "serious" || v.Impact == "critical" {
			for _, n := range v.Nodes {
				found = append(found, fmt.Sprintf("%s (%s): %s: %s: %s", v.ID, v.Impact, v.Help, n.HTML, n.FailureSummary))
			}
		}
	}
	return found
}
