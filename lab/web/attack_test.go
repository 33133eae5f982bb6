package web

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/shelf"
)

// dial opens a connection to a site.
func (s *site) dial() net.Conn {
	s.Helper()
	c, err := net.Dial("tcp", s.host())
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { c.Close() })
	return c
}

func (s *site) host() string { return strings.TrimPrefix(s.url, "http://") }

// raw sends bytes as they are, and returns the head and the body of the answer.
func (s *site) raw(request string) (status int, head http.Header, body string) {
	s.Helper()
	c := s.dial()
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	go io.WriteString(c, request) // which a server that answers early does not read to its end
	a, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		s.Fatalf("%.100q: %v", request, err)
	}
	defer a.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(a.Body, 1<<20))
	return a.StatusCode, a.Header, string(text)
}

// TestSlowLoris: who sends slowly is cut off when the time is over, however much it has
// sent, and others are answered meanwhile.
func TestSlowLoris(t *testing.T) {
	cfg := configIn(t, t.TempDir())
	cfg.Limits = Limits{Header: 400 * time.Millisecond, Form: 400 * time.Millisecond, Upload: 800 * time.Millisecond}
	s := serve(t, cfg)
	head := " HTTP/1.1\r\nHost: " + s.host() + "\r\n"
	form := "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 60000\r\n\r\n"
	for _, tt := range []struct{ name, first, drop string }{
		{"a head that does not end", "GET /" + head, "X-A: b\r\n"},
		{"a request line that does not end", "GET /", "x"},
		{"nothing at all", "", ""},
		{"a form", "POST /papers/pndm/vote" + head + form, "x"},
		{"JSON", "POST /api/runs" + head + "Content-Type: application/json\r\nContent-Length: 60000\r\n\r\n", " "},
		{"a form in chunks", "POST /papers/pndm/vote" + head + "Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n"},
		{"a form with a token in its head", "POST /papers/pndm/vote" + head + "X-CSRF-Token: x\r\n" + form, "x"},
		{"an upload", "POST /papers/pndm/runs" + head + "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 900000\r\n\r\n--b\r\nContent-Disposition: form-data; name=\"file.model\"; filename=\"a.csv\"\r\n\r\n", "1"},
		{"the body of what has none", "GET /" + head + "Content-Length: 60000\r\n\r\n", "x"},
		{"a form for nobody", "PUT /nowhere" + head + "Content-Length: 60000\r\n\r\n", "x"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			const attackers = 12
			ended := make(chan error, attackers)
			for range attackers {
				go func() { ended <- drip(s.host(), tt.first, tt.drop) }()
			}
			for range 5 {
				if status, _ := s.get("/healthz"); status != 200 {
					t.Errorf("others: status %d", status)
				}
				if status, _ := s.get("/papers/pndm"); status != 200 {
					t.Errorf("others: status %d", status)
				}
			}
			for range attackers {
				if err := <-ended; err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// drip sends a beginning and then drops, until the other side ends it. That it does not
// is an error.
func drip(host, first, drop string) error {
	c, err := net.Dial("tcp", host)
	if err != nil {
		return err
	}
	defer c.Close()
	end := time.Now().Add(20 * time.Second)
	c.SetDeadline(end)
	io.WriteString(c, first)
	closed := make(chan struct{})
	go func() { io.Copy(io.Discard, c); close(closed) }()
	for time.Now().Before(end) {
		select {
		case <-closed:
			return nil
		case <-time.After(20 * time.Millisecond):
			io.WriteString(c, drop)
		}
	}
	return errors.New("it is listened to without end")
}

// TestSlowReader: who does not take an answer is cut off.
func TestSlowReader(t *testing.T) {
	cfg := configIn(t, t.TempDir())
	cfg.Limits = Limits{Answer: 300 * time.Millisecond}
	s := serve(t, cfg)
	const asked = 400
	for wait := time.Second; wait < 20*time.Second; wait *= 2 { // more on a busy machine
		c := s.dial()
		c.SetDeadline(time.Now().Add(30 * time.Second))
		go io.WriteString(c, strings.Repeat("GET /assets/uplot.min.js HTTP/1.1\r\nHost: localhost\r\n\r\n", asked)) // some 20 MB
		time.Sleep(wait)
		b, answers := bufio.NewReader(c), 0
		for ; answers < asked; answers++ {
			a, err := http.ReadResponse(b, nil)
			if err != nil {
				break
			}
			if _, err := io.Copy(io.Discard, a.Body); err != nil {
				break
			}
		}
		if answers < asked {
			return
		}
	}
	t.Error("the answers are kept for it")
}

// TestConnections: one address has so many, all together so many, and a closed one is
// free again.
func TestConnections(t *testing.T) {
	for _, tt := range []struct {
		name   string
		limits Limits
	}{
		{"one address", Limits{PerAddress: 3}},
		{"all together", Limits{Connections: 3}},
	} {
		cfg := configIn(t, t.TempDir())
		cfg.Limits = tt.limits
		s := serve(t, cfg)
		open := func(c net.Conn) bool { // is it answered?
			c.SetDeadline(time.Now().Add(10 * time.Second))
			io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
			a, err := http.ReadResponse(bufio.NewReader(c), nil)
			return err == nil && a.StatusCode == 200
		}
		var cs []net.Conn
		answered := 0
		for range 6 {
			cs = append(cs, s.dial())
			if open(cs[len(cs)-1]) {
				answered++
			}
		}
		if answered != 3 {
			t.Errorf("%s: %d of 6 connections are answered, want 3", tt.name, answered)
		}
		for _, c := range cs {
			c.Close()
		}
		again := false
		for end := time.Now().Add(10 * time.Second); !again && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			again = open(s.dial())
		}
		if !again {
			t.Errorf("%s: closed connections still count", tt.name)
		}
	}
}

// TestHosts: without logins a site of another name, that leads here, is not answered.
func TestHosts(t *testing.T) {
	s := serve(t, configIn(t, t.TempDir()))
	for host, want := range map[string]int{
		"localhost": 200, "LOCALHOST:80": 200, "127.0.0.1": 200, "127.0.0.1:8080": 200, "[::1]:8080": 200, "[::1]": 200, "127.8.8.8": 200, "assay.localhost:1": 200,
		"evil.example": 421, "localhost.evil.example": 421, "127.0.0.1.evil.example": 421, "192.168.1.1:8080": 421, "0.0.0.0": 421, "notlocalhost": 421, "": 421,
	} {
		status, _, _ := s.raw("GET / HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n")
		if status != want {
			t.Errorf("%q: status %d, want %d", host, status, want)
		}
	}
	if s := withLogins(t); s != nil {
		if status, _, _ := s.raw("GET / HTTP/1.1\r\nHost: papers.example\r\nConnection: close\r\n\r\n"); status != 200 {
			t.Errorf("with logins: status %d", status)
		}
	}
}

// TestOversized: what is too large is refused before it takes memory or disk.
func TestOversized(t *testing.T) {
	s := serve(t, configIn(t, t.TempDir()))
	head := func(method, path string) string { return method + " " + path + " HTTP/1.1\r\nHost: localhost\r\n" }
	form := func(path, body string) string {
		return head("POST", path) + "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
	}
	parts := func(path string, n int, part string) string {
		body := strings.Repeat("--b\r\n"+part+"\r\n", n) + "--b--\r\n"
		return head("POST", path) + "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
	}
	for _, tt := range []struct {
		name, request string
		status        int
	}{
		{"a header of 64 KB", head("GET", "/") + "X: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", 431},
		{"10,000 headers", head("GET", "/") + strings.Repeat("X: y\r\n", 10000) + "\r\n", 431},
		{"an address of 64 KB", head("GET", "/?q="+strings.Repeat("x", 64<<10)) + "\r\n", 431},
		{"a form of 1 MB", form("/papers/pndm/vote", strings.Repeat("a", 1<<20)), 413},
		{"100,000 fields", form("/papers/pndm/vote", strings.Repeat("a=&", 100000)), 413},
		{"20,000 fields", form("/papers/pndm/vote", strings.Repeat("a=&", 20000)), 403},
		{"5000 parts", parts("/papers/pndm/runs", 5000, "Content-Disposition: form-data; name=\"a\"\r\n\r\nx"), 400},
		{"5000 files", parts("/papers/pndm/runs", 5000, "Content-Disposition: form-data; name=\"a\"; filename=\"a\"\r\n\r\nx"), 400},
		{"a part with 20,000 headers", parts("/papers/pndm/runs", 1, strings.Repeat("X: y\r\n", 20000)+"Content-Disposition: form-data; name=\"a\"\r\n\r\nx"), 400},
		{"a file of 3 MB", parts("/papers/pndm/runs", 1, "Content-Disposition: form-data; name=\"file.model\"; filename=\"a.csv\"\r\n\r\n"+strings.Repeat("x", 3<<20)), 413},
		{"a length that is a lie", head("POST", "/papers/pndm/vote") + "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 999999999999\r\n\r\n" + strings.Repeat("x", 70<<10), 413},
		{"a length below 0", head("POST", "/papers/pndm/vote") + "Content-Length: -1\r\n\r\n", 400},
		{"two lengths", head("POST", "/papers/pndm/vote") + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 400},
		{"a compressed form", head("POST", "/papers/pndm/vote") + "Content-Encoding: gzip\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 2\r\n\r\n\x1f\x8b", 415},
		{"a form that is none", head("POST", "/papers/pndm/vote") + "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}", 403},
		{"a multipart form without a boundary", head("POST", "/papers/pndm/runs") + "Content-Type: multipart/form-data\r\nContent-Length: 2\r\n\r\n{}", 400},
		{"a body where there is none", head("GET", "/") + "Content-Length: 2\r\n\r\n{}", 400},
	} {
		if status, _, body := s.raw(tt.request); status != tt.status {
			t.Errorf("%s: status %d, want %d: %.300s", tt.name, status, tt.status, body)
		}
	}
	if kept, _ := os.ReadDir(s.cfg.Uploads); len(kept) != 0 {
		t.Errorf("%d files are kept", len(kept))
	}
}

// TestScriptInSettings: what readers set is text on every page that shows it.
func TestScriptInSettings(t *testing.T) {
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(1)>'`
	cfg := configIn(t, t.TempDir())
	cfg.Experiments = func(slug string) []*lab.Experiment {
		if slug != "pndm" {
			return nil
		}
		e := toy()
		e.Params = append(e.Params, lab.Param{Name: "note", Help: evil, Kind: lab.Text})
		run := e.Run
		e.Run = func(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
			o, err := run(ctx, c)
			if err != nil {
				err = errors.New(c.Values.Text("note"))
			}
			return o, err
		}
		broken := toy()
		broken.Name = "pndm/broken"
		broken.Params = e.Params
		made := 0
		broken.Grid = func(v lab.Values) ([]lab.Cell, error) { // fails when it is run, not when it is asked for
			if made++; made > 1 {
				return nil, errors.New(v.Text("note"))
			}
			return toy().Grid(v)
		}
		return []*lab.Experiment{e, broken}
	}
	experiments := cfg.Experiments("pndm") // one set, for its count of grids
	all := cfg.Experiments
	cfg.Experiments = func(slug string) []*lab.Experiment {
		if slug == "pndm" {
			return experiments
		}
		return all(slug)
	}
	s := serve(t, cfg)
	settings := map[string]string{"set.note": evil, "set.fail": "true"}
	upload := map[string][2]string{"file.model": {`"><script>alert(1)</script>.csv`, "1\n"}}
	run, page := s.wait(s.begin(settings, upload))
	if !strings.Contains(page, "&lt;script&gt;") {
		t.Errorf("the run's page does not show the setting:\n%s", page)
	}
	all2 := map[string]string{"token": s.token(), "experiment": "pndm/broken", "size": "quick", "set.note": evil}
	_, job, _ := s.post("/papers/pndm/runs", all2, nil)
	failed := ""
	for end := time.Now().Add(20 * time.Second); !strings.Contains(failed, `role="alert"`) && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		_, failed = s.get(job)
	}
	if !strings.Contains(failed, "&lt;script&gt;") {
		t.Errorf("the job's page does not show the error:\n%s", failed)
	}
	_, refused := s.get("/papers/pndm")
	for name, text := range map[string]string{"run": page, "job": failed, "form": refused} {
		if strings.Contains(text, "<script>alert") || strings.Contains(text, "<img src=x") {
			t.Errorf("%s: a script is on the page", name)
		}
	}
	if _, text := s.get("/api" + run); strings.Contains(text, "<script>") {
		t.Error("a script is in the JSON")
	}
}

// TestTraversal: no part of an address leads to a file.
func TestTraversal(t *testing.T) {
	cfg := configIn(t, t.TempDir())
	s := serve(t, cfg)
	run, _ := s.wait(s.begin(nil, nil))
	for _, evil := range []string{"..%2f..%2f..%2fetc%2fpasswd", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "..%5c..%5cwindows%5cwin.ini", "%2fetc%2fpasswd", "....%2f%2fetc", "a%00b", "%25%32%65", "..;%2fetc%2fpasswd"} {
		for _, path := range []string{"/papers/" + evil, "/compare/" + evil, "/jobs/" + evil, "/jobs/" + evil + "/events", "/runs/" + evil, "/runs/" + evil + "/curve.png", run + "/" + evil,
			"/assets/" + evil, "/api/papers/" + evil, "/api/runs/" + evil, "/api/jobs/" + evil, "/api/compare/" + evil, "/" + evil} {
			status, _, text := s.raw("GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
			if status != 404 && status != 400 || strings.Contains(text, "root:") {
				t.Errorf("%s: status %d: %.100s", path, status, text)
			}
		}
		for _, path := range []string{"/papers/" + evil + "/vote", "/papers/" + evil + "/runs", "/jobs/" + evil + "/stop"} {
			body := url.Values{"token": {s.token0()}, "experiment": {"../" + evil}}.Encode()
			status, _, text := s.raw("POST " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nCookie: " + s.cookie0().String() +
				"\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body)
			if status != 404 && status != 400 {
				t.Errorf("%s: status %d: %.100s", path, status, text)
			}
		}
	}
	for _, path := range []string{"/../../etc/passwd", "/assets/../../web.go", "//evil.example/%2e%2e", "/assets//etc/passwd", "/assets/"} {
		status, head, text := s.raw("GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		if to := head.Get("Location"); status == 200 && path != "/assets/" || strings.Contains(text, "package web") || strings.HasPrefix(to, "//") || strings.Contains(to, "evil.example") && !strings.HasPrefix(to, "/evil") {
			t.Errorf("%s: status %d to %q: %.100s", path, status, to, text)
		}
	}
}

// TestSplitting: no line end that a reader writes ends a line of an answer's head.
func TestSplitting(t *testing.T) {
	s := withLogins(t)
	const evil = "%0d%0aSet-Cookie:%20evil=1%0d%0a%0d%0a<script>"
	for _, request := range []string{
		"GET /login?next=" + evil, "GET /login?next=/" + evil, "GET /papers/" + evil, "GET /runs/" + evil + "/curve.png?download", "GET /?order=" + evil, "GET /" + evil,
		"GET //" + evil, "GET /assets/" + evil, "POST /papers/" + evil + "/vote", "POST /jobs/" + evil + "/stop", "GET /compare/" + evil,
	} {
		_, head, _ := s.raw(request + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nReferer: http://localhost/" + evil + "\r\nContent-Length: 0\r\n\r\n")
		for _, c := range head.Values("Set-Cookie") {
			if !strings.HasPrefix(c, cookieName+"=") {
				t.Errorf("%s: cookie %q", request, c)
			}
		}
		if to := head.Get("Location"); to != "" && !strings.HasPrefix(to, "/") {
			t.Errorf("%s: to %q", request, to)
		}
	}
}

// TestMethods: a form is not sent by another method, nor by one that claims to be another.
func TestMethods(t *testing.T) {
	s := serve(t, configIn(t, t.TempDir()))
	s.wait(s.begin(nil, nil))
	for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "post", "FOO"} {
		for _, path := range []string{"/papers/pndm/vote", "/papers/pndm/runs", "/papers", "/compare/runs", "/jobs/x/stop", "/login", "/logout"} {
			status, _, text := s.raw(method + " " + path + "?up=1&token=" + s.token0() + " HTTP/1.1\r\nHost: localhost\r\nCookie: " + s.cookie0().String() +
				"\r\nX-CSRF-Token: " + s.token0() + "\r\nX-HTTP-Method-Override: POST\r\nConnection: close\r\n\r\n")
			if status < 400 && !(method == "HEAD" && status == 404) {
				t.Errorf("%s %s: status %d: %.100s", method, path, status, text)
			}
		}
	}
	if p, err := s.cfg.Shelf.Paper(t.Context(), "pndm", ""); err != nil || p.Votes != 0 {
		t.Errorf("%d votes, %v", p.Votes, err)
	}
	if open, err := s.cfg.Shelf.OpenJobs(t.Context()); err != nil || len(open) != 0 {
		t.Errorf("%d jobs, %v", len(open), err)
	}
}

// TestUploadsAtOnce: more forms with files than so many are not taken in together.
func TestUploadsAtOnce(t *testing.T) {
	cfg := configIn(t, t.TempDir())
	cfg.Limits.Uploads = 2
	s := serve(t, cfg)
	for range 2 {
		c := s.dial()
		io.WriteString(c, "POST /papers/pndm/runs HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000\r\n\r\n--b")
	}
	for end := time.Now().Add(10 * time.Second); len(s.uploading) < 2 && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
	}
	status, _, text := s.post("/papers/pndm/runs", map[string]string{"token": s.token()}, nil)
	if status != http.StatusServiceUnavailable || !strings.Contains(text, "Too many files") {
		t.Errorf("status %d:\n%s", status, text)
	}
	if status, _, _ := s.post("/papers/pndm/vote", map[string]string{"token": s.token(), "up": "1"}, nil); status != http.StatusSeeOther {
		t.Errorf("a vote: status %d", status)
	}
}

// TestSubmitSecret: what cannot be fetched is told to the log, not to the reader.
func TestSubmitSecret(t *testing.T) {
	asked := false
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer inside.Close()
	cfg := configIn(t, t.TempDir())
	s := serve(t, cfg) // with the server's own look-up
	for _, address := range []string{inside.URL, "http://169.254.169.254/latest/meta-data/", "http://[::1]:80/", "http://localhost/"} {
		status, _, text := s.post("/papers", map[string]string{"token": s.token(), "id": address}, nil)
		if status != 400 || !strings.Contains(text, "cannot be read from here") || strings.Contains(text, "public internet") || strings.Contains(text, "refused") {
			t.Errorf("%s: status %d:\n%s", address, status, text)
		}
	}
	if asked {
		t.Error("a server of this machine was asked")
	}
	if _, err := s.cfg.Shelf.Find(t.Context(), shelf.Query{Text: "meta-data"}); err != nil {
		t.Error(err)
	}
}
