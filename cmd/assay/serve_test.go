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
	if err != nil || url == "" {
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
