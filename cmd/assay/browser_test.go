package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// patience is how long a browser waits for what a page should show: long, since
// machines that test are busy.
const patience = 90 * time.Second

// A browser is a headless Chromium with one page open, which notes what goes wrong in it.
type browser struct {
	t   testing.TB
	ctx context.Context

	mu     sync.Mutex
	wrongs []string
}

// chromium is the path of a Chromium or Chrome. Tests that need one are skipped where
// there is none, unless ASSAY_BROWSER is set: to "required", or to its path.
func chromium(t testing.TB) string {
	t.Helper()
	want := os.Getenv("ASSAY_BROWSER")
	names := []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}
	if want != "" && want != "required" {
		names = []string{want}
	}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if want != "" {
		t.Fatalf("ASSAY_BROWSER = %s, and there is no %s", want, strings.Join(names, ", "))
	}
	t.Skip("there is no Chromium")
	return ""
}

// openBrowser starts a browser of 1200 × 900 pixels with a profile of its own.
func openBrowser(t testing.TB) *browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium(t)), chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1200, 900),
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WSURLReadTimeout(patience),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-background-networking", true))
	all, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, closePage := chromedp.NewContext(all)
	t.Cleanup(func() { closePage(); stop() })
	b := &browser{t: t, ctx: ctx}
	if err := chromedp.Do(ctx); err != nil { // which starts it, for as long as ctx lasts
		t.Fatal(err)
	}
	messages := chromedp.Console(ctx)
	go func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			if m.IsException() || m.Type == "error" || m.Type == "warning" {
				b.wrong(fmt.Sprint(m))
			}
		}
	}()
	return b
}

func (b *browser) wrong(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wrongs = append(b.wrongs, text)
}

// quiet fails the test if anything went wrong since it was last asked, but for what has
// one of the words.
func (b *browser) quiet(but ...string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
next:
	for _, w := range b.wrongs {
		for _, ok := range but {
			if strings.Contains(w, ok) {
				continue next
			}
		}
		b.t.Errorf("the page says: %s", w)
	}
	b.wrongs = nil
}

// do does things with the page; what is one that takes too long told by its name.
func (b *browser) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.picture("failed")
		b.t.Fatalf("%s: %v, at %s", what, err, b.text("location.href"))
	}
}

// text is the value of a JavaScript expression, as text, of the next page if this one is
// just going.
func (b *browser) text(expression string) string {
	b.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(b.ctx, patience)
		s, err := chromedp.Run(ctx, chromedp.Evaluate[string]("String("+expression+")"))
		cancel()
		if err == nil {
			return s
		}
		if time.Now().After(end) || !strings.Contains(err.Error(), "navigated") {
			b.t.Errorf("%s: %v", expression, err)
			return ""
		}
	}
}

// until waits for a JavaScript expression to be true, over the loading of pages too.
func (b *browser) until(expression string) {
	b.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("Boolean("+expression+")"))
		cancel()
		if err == nil && ok {
			return
		}
	}
	b.picture("failed")
	b.t.Fatalf("never true: %s, at %s:\n%s", expression, b.text("location.href"), b.text("document.body.innerText"))
}

// open goes to an address.
func (b *browser) open(url string) {
	b.t.Helper()
	b.do("open "+url, chromedp.Navigate(url))
	b.until("document.readyState === 'complete'")
}

// click clicks the first thing that the CSS selector finds, and fills in a field.
func (b *browser) click(selector string) {
	b.t.Helper()
	css := chromedp.CSS(selector)
	b.do("click "+selector, chromedp.ScrollIntoView(css), chromedp.Click(css, chromedp.NodeVisible))
}

func (b *browser) fill(selector, text string) {
	b.t.Helper()
	css := chromedp.CSS(selector)
	b.do("fill "+selector, chromedp.WaitVisible(css), chromedp.SetValue(css, text))
}

// press types keys, such as kb.Tab.
func (b *browser) press(keys string) {
	b.t.Helper()
	b.do("type", chromedp.KeyEvent(keys))
}

// screen makes the page so many pixels wide, and its colours light or dark.
func (b *browser) screen(width int64, scheme string) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 900, DeviceScaleFactor: 1, Mobile: width < 600}); err != nil {
		b.t.Fatal(err)
	}
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}); err != nil {
		b.t.Fatal(err)
	}
}

// picture keeps what the page looks like, if ASSAY_PICTURES names a folder for it.
func (b *browser) picture(name string) {
	dir := os.Getenv("ASSAY_PICTURES")
	if dir == "" {
		return
	}
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Logf("picture of %s: %v", name, err)
		return
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o666); err != nil {
		b.t.Error(err)
	}
}
