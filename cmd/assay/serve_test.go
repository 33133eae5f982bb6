package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
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
	cmd := d.command("serve", "--addr", "127.0.0.1:0")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	line, err := bufio.NewReader(stderr).ReadString('\n')
	url := regexp.MustCompile(`http://\S+`).FindString(line)
	if err != nil || url == "" || !strings.Contains(line, "this machine only") {
		t.Fatalf("%q, %v", line, err)
	}
	r, err := http.Get(url + "?q=nowhere+else")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if page, _ := io.ReadAll(r.Body); !strings.Contains(string(page), "A Paper from a Feed") {
		t.Errorf("the page lacks the paper:\n%s", page)
	}
	cmd.Process.Signal(os.Interrupt)
	if err := cmd.Wait(); err != nil {
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
	set := func(password string) error {
		cmd := d.command("serve", "password", "users", "ada")
		cmd.Stdin = strings.NewReader(password + "\n")
		return cmd.Run()
	}
	if r := d.assay("serve", "--auth", "file:users", "--addr", "127.0.0.1:0"); r.status != statusFailed || !strings.Contains(r.stderr, "users") {
		t.Errorf("without a file: status %d, %s", r.status, r.stderr)
	}
	if set("short") == nil || set("") == nil {
		t.Error("a short password is taken")
	}
	if err := set("correct horse"); err != nil {
		t.Fatal(err)
	}
	cmd := d.command("serve", "--addr", "127.0.0.1:0", "--auth", "file:users")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	line, err := bufio.NewReader(stderr).ReadString('\n')
	url := regexp.MustCompile(`http://\S+`).FindString(line)
	if err != nil || url == "" || strings.Contains(line, "this machine only") {
		t.Fatalf("%q, %v", line, err)
	}
	r, err := http.Get(url + "login")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if page, _ := io.ReadAll(r.Body); r.StatusCode != 200 || !strings.Contains(string(page), `type="password"`) {
		t.Errorf("status %d:\n%s", r.StatusCode, page)
	}
}
