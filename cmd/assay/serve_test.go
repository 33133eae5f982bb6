package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

const smallFeed = `<feed xmlns="http://www.w3.org/2005/Atom"><title>t</title><entry><title>A Paper from a Feed</title><id>1</id>
<link href="https://arxiv.org/abs/2601.00001"/><summary>Found nowhere else.</summary><updated>2026-01-02T05:00:00Z</updated></entry></feed>`

// TestServe: the page is there, with what a feed brought, until it is told to stop.
func TestServe(t *testing.T) {
	d := newDesk(t)
	feed := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, smallFeed) }))
	defer feed.Close()
	for _, want := range []string{"1 papers, 1 of them new", "1 papers, 0 of them new"} {
		if r := d.assay("papers", "sync", "--source", feed.URL); r.status != 0 || !strings.Contains(r.stderr, want) {
			t.Fatalf("status %d: %s", r.status, r.stderr)
		}
	}
	page := d.serve()
	if !strings.Contains(page.said, "this machine only") {
		t.Errorf("it says %q", page.said)
	}
	if _, text := page.get("/?q=nowhere+else"); !strings.Contains(text, "A Paper from a Feed") {
		t.Errorf("the page lacks the paper:\n%s", text)
	}
	page.cmd.Process.Signal(os.Interrupt)
	if err := page.cmd.Wait(); err != nil {
		t.Errorf("after an interrupt: %v", err)
	}
}

func TestServeErrors(t *testing.T) {
	d := newDesk(t)
	for _, tt := range []struct{ args, want string }{
		{"serve --addr 0.0.0.0:80", "loopback"},
		{"serve --addr example.org:80", "loopback"},
		{"serve --addr 8080", "HOST:PORT"},
		{"serve --addr 0.0.0.0:80 --auth file:users", "in the clear"},
		{"serve --addr :80 --auth header:X-User", "in the clear"},
		{"serve --addr 0.0.0.0:80 --proxy 10.0.0.1/32", "without --auth"},
		{"serve --auth users", "file:PATH or header:NAME"},
		{"serve --auth file:", "file:PATH or header:NAME"},
		{"serve --auth header:X-User --proxy 10.0.0.1", "must be a network"},
		{"serve --tls-cert cert.pem", "both or none"},
		{"serve --memory -1", "at least 256"},
		{"serve --space 0", "at least 1"},
		{"serve password users", "FILE NAME"},
		{"serve --runs 0", "at least 1"},
		{"serve --jobs -1", "negative"},
		{"serve --smtp example.org:25", "--mail-from"},
		{"serve now", "now"},
		{"papers sync", "--source"},
		{"papers sync --source file:///etc/passwd", "http or https"},
		{"papers sync --source arxiv:x/y", "category"},
	} {
		if r := d.assay(strings.Fields(tt.args)...); r.status != statusUsage || !strings.Contains(r.stderr, tt.want) {
			t.Errorf("%s: status %d, want %q in\n%s", tt.args, r.status, tt.want, r.stderr)
		}
	}
}

// TestServeLogins: a password is set, and a server that asks for it notices the next one.
func TestServeLogins(t *testing.T) {
	d := newDesk(t)
	if r := d.assay("serve", "--auth", "file:users", "--addr", "127.0.0.1:0"); r.status != statusFailed || !strings.Contains(r.stderr, "users") {
		t.Errorf("without a file: status %d, %s", r.status, r.stderr)
	}
	if d.setPassword("users", "ada", "short") == nil || d.setPassword("users", "ada", "") == nil {
		t.Error("a short password is taken")
	}
	if err := d.setPassword("users", "ada", "correct horse"); err != nil {
		t.Fatal(err)
	}
	page := d.serve("--auth", "file:users")
	if strings.Contains(page.said, "this machine only") {
		t.Errorf("it says %q", page.said)
	}
	if status, text := page.get("/login"); status != 200 || !strings.Contains(text, `type="password"`) {
		t.Errorf("status %d:\n%s", status, text)
	}
}

// A served is assay serve in a process of its own.
type served struct {
	t    testing.TB
	d    *desk
	args []string
	said string // the line with its address
	url  string // without a slash at its end
	cmd  *exec.Cmd
}

// serve starts assay serve with further arguments.
func (d *desk) serve(args ...string) *served {
	d.t.Helper()
	s := &served{t: d.t, d: d, args: args}
	s.start("127.0.0.1:0")
	d.t.Cleanup(s.kill)
	return s
}

func (s *served) start(addr string) {
	s.t.Helper()
	s.cmd = s.d.command(append([]string{"serve", "--addr", addr}, s.args...)...)
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	lines := bufio.NewReader(stderr)
	for s.url = ""; s.url == ""; {
		if s.said, err = lines.ReadString('\n'); err != nil {
			s.t.Fatalf("the server says %q and no address: %v", s.said, err)
		}
		s.url = regexp.MustCompile(`https?://[0-9.:]+`).FindString(s.said)
	}
	go io.Copy(io.Discard, lines)
}

// kill ends the server at once, as a crash does.
func (s *served) kill() {
	s.cmd.Process.Kill()
	s.cmd.Wait()
}

// again starts it at the address that it had.
func (s *served) again() {
	s.t.Helper()
	s.start(strings.TrimPrefix(s.url, "http://"))
}

// get asks for a page.
func (s *served) get(path string) (status int, page string) {
	s.t.Helper()
	r, err := http.Get(s.url + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return r.StatusCode, string(b)
}

// setPassword gives a user of --auth file:FILE a password.
func (d *desk) setPassword(file, name, password string) error {
	cmd := d.command("serve", "password", file, name)
	cmd.Stdin = strings.NewReader(password + "\n")
	return cmd.Run()
}
