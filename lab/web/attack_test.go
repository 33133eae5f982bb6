package web

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/assay-lab/assay/data"
	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/shelf"
	"github.com/assay-lab/assay/onnx"
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

func packedBytes(t *testing.T, of []byte, times int) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	for range times {
		if _, err := z.Write(of); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestBombs: a compressed file is taken by its whole suffix, and by what it unpacks to.
func TestBombs(t *testing.T) {
	cfg := configIn(t, t.TempDir())
	cfg.Experiments = func(slug string) []*lab.Experiment {
		if slug != "pndm" {
			return nil
		}
		e := toy()
		e.Params[2].Accept = []string{".csv", ".csv.gz"}
		return []*lab.Experiment{e}
	}
	s := serve(t, cfg)
	bomb := packedBytes(t, make([]byte, 1<<20), 64)
	for _, tt := range []struct {
		name, file, text string
		status           int
		want             string
	}{
		{"compressed numbers", "x.csv.gz", packedBytes(t, []byte("1,2\n"), 3), 303, ""},
		{"the suffix is not by case", "x.CSV.GZ", packedBytes(t, []byte("1,2\n"), 4), 303, ""},
		{"half a suffix", "x.gz", packedBytes(t, []byte("1,2\n"), 3), 400, "want .csv, .csv.gz"},
		{"a bomb", "x.csv.gz", bomb, 413, "unpacks to more than the 1 MB"},
		{"a bomb by another name", "x.csv", bomb, 413, "unpacks to more than the 1 MB"},
		{"a bomb in a bomb", "x.csv.gz", packedBytes(t, []byte(packedBytes(t, make([]byte, 1<<20), 200)), 1), 400, "compressed twice"},
		{"bombs in a row", "x.csv.gz", strings.Repeat(packedBytes(t, make([]byte, 1<<10), 900), 2), 413, "unpacks to more"},
		{"a cut one", "x.csv.gz", bomb[:len(bomb)/2], 413, "unpacks to more"},
		{"a cut small one", "x.csv.gz", packedBytes(t, []byte("1,2\n"), 3)[:20], 400, "not a whole gzip file"},
		{"no header", "x.csv.gz", "\x1f\x8b", 400, "not a whole gzip file"},
	} {
		status, _, page := s.post("/papers/pndm/runs", map[string]string{"token": s.token(), "experiment": "pndm/toy", "size": "quick"}, map[string][2]string{"file.model": {tt.file, tt.text}})
		if status != tt.status || !strings.Contains(page, tt.want) {
			t.Errorf("%s: status %d, want %d and %q in\n%s", tt.name, status, tt.status, tt.want, page)
		}
	}
}

// TestClaims: what the head of a file claims takes no memory; what is in it does.
func TestClaims(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	npy := func(shape string) string {
		h := "{'descr': '<f8', 'fortran_order': False, 'shape': " + shape + ", }\n"
		return "\x93NUMPY\x01\x00" + string(binary.LittleEndian.AppendUint16(nil, uint16(len(h)))) + h + "12345678"
	}
	table := func(p string) error { _, err := data.OpenTable(p); return err }
	tensors := func(p string) error {
		f, err := data.Open(p)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = data.ReadSafetensors(f)
		return err
	}
	model := func(p string) error { _, err := onnx.Read(p); return err }
	safe := func(n uint64, text string) string { return string(binary.LittleEndian.AppendUint64(nil, n)) + text }
	huge := `{"a":{"dtype":"F64","shape":[100000,1000],"data_offsets":[0,800000000]}}`
	for _, tt := range []struct {
		name, path string
		read       func(string) error
	}{
		{"npy: 8 GB", file("a.npy", npy("(1000000, 1000)")), table},
		{"npy: a product that overflows", file("b.npy", npy("(4294967296, 4294967296)")), table},
		{"npy: a header of 4 GB", file("c.npy", "\x93NUMPY\x02\x00\xff\xff\xff\xff{"), table},
		{"safetensors: a header of 2^63 bytes", file("a.safetensors", safe(1<<63, "{")), tensors},
		{"safetensors: a header of 99 MB", file("b.safetensors", safe(99_000_000, "{")), tensors},
		{"safetensors: a tensor of 800 MB", file("c.safetensors", safe(uint64(len(huge)), huge)), tensors},
		{"onnx: a tensor of 32 GB", file("a.onnx", onnxOf([]uint64{1 << 16, 1 << 17}, "")), model},
		{"onnx: a product that overflows", file("b.onnx", onnxOf([]uint64{1 << 40, 1 << 40}, "")), model},
		{"onnx: weights in its own bytes", file("c.onnx", onnxOf([]uint64{4}, "c.onnx")), model},
		{"onnx: weights elsewhere", file("d.onnx", onnxOf([]uint64{4}, "../../etc/passwd")), model},
		{"onnx: weights at a path from the root", file("e.onnx", onnxOf([]uint64{4}, "/etc/passwd")), model},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := tt.read(tt.path)
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; err == nil || took > 16<<20 {
			t.Errorf("%s: takes %d MB, %v", tt.name, took>>20, err)
		}
	}
}

// onnxOf is a model with one tensor of float32 of that shape; its data is in the file of
// that name, or missing.
func onnxOf(shape []uint64, elsewhere string) string {
	field := func(b []byte, n protowire.Number, v []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), v)
	}
	number := func(b []byte, n protowire.Number, v uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), v)
	}
	var tensor, graph, model []byte
	for _, d := range shape {
		tensor = number(tensor, 1, d)
	}
	tensor = field(number(tensor, 2, 1), 8, []byte("w"))
	if elsewhere != "" {
		entry := field(field(nil, 1, []byte("location")), 2, []byte(elsewhere))
		tensor = number(field(tensor, 13, entry), 14, 1)
	}
	graph = field(field(nil, 2, []byte("g")), 5, tensor)
	model = number(nil, 1, 8)
	model = field(model, 7, graph)
	return string(field(model, 8, number(nil, 2, 17)))
}

// TestSpace: the oldest files that no run has make room; those of runs stay.
func TestSpace(t *testing.T) {
	cfg := configIn(t, t.TempDir())
	cfg.Limits.Space = 50 << 10
	s := serve(t, cfg)
	text := func(i int) string { return strings.Repeat(fmt.Sprint(i%10), 10<<10) }
	send := func(i int, settings string) (int, string) {
		status, _, page := s.post("/papers/pndm/runs", map[string]string{"token": s.token(), "experiment": "pndm/toy", "size": "quick", "set.wait": settings},
			map[string][2]string{"file.model": {fmt.Sprint("f", i, ".csv"), text(i)}})
		return status, page
	}
	kept := func() string {
		files, _ := filepath.Glob(filepath.Join(cfg.Uploads, "*", "*"))
		for i, f := range files {
			files[i] = filepath.Base(f)
		}
		slices.Sort(files)
		return strings.Join(files, " ")
	}
	age := func() {
		dirs, _ := filepath.Glob(filepath.Join(cfg.Uploads, "*"))
		for _, d := range dirs {
			files, _ := os.ReadDir(d)
			n, _ := strconv.Atoi(strings.Trim(files[0].Name(), "f.csv"))
			at := time.Now().Add(time.Duration(n)*time.Minute - 2*fresh)
			os.Chtimes(d, at, at)
		}
	}
	s.wait(s.begin(nil, map[string][2]string{"file.model": {"f0.csv", text(0)}})) // a run has it
	for i := 1; i < 5; i++ {
		if status, page := send(i, "-1"); status != 400 { // refused, its file is there
			t.Fatalf("status %d:\n%s", status, page)
		}
	}
	if status, page := send(5, "-1"); status != http.StatusInsufficientStorage || !strings.Contains(page, "no room") {
		t.Errorf("fresh files make room: status %d\n%s", status, page)
	}
	age()
	send(5, "-1")
	if got, want := kept(), "f0.csv f2.csv f3.csv f4.csv f5.csv"; got != want {
		t.Errorf("kept %s, want %s", got, want)
	}
	age()
	for i := 6; i < 10; i++ {
		s.begin(map[string]string{"set.wait": "3000"}, map[string][2]string{"file.model": {fmt.Sprint("f", i, ".csv"), text(i)}})
	}
	age()
	if status, _ := send(11, "-1"); status != http.StatusInsufficientStorage || kept() != "f0.csv f6.csv f7.csv f8.csv f9.csv" {
		t.Errorf("files of open runs: status %d, kept %s", status, kept())
	}
}

// hungry takes memory until it is told to stop.
func hungry(name string) *lab.Experiment {
	e := toy()
	e.Name, e.Claims = name, nil
	e.Run = func(ctx context.Context, _ lab.Cell) (lab.Outcome, error) {
		var all [][]byte
		for len(all) < 4000 && ctx.Err() == nil {
			b := make([]byte, 1<<20)
			b[len(all)] = 1
			all = append(all, b)
			time.Sleep(time.Millisecond)
		}
		runtime.KeepAlive(all)
		return lab.Outcome{}, errors.New("it had all it wanted")
	}
	return e
}

// TestMemory: a run that takes too much is stopped and says why; the next one is not.
func TestMemory(t *testing.T) {
	cfg := configIn(t, t.TempDir())
	cfg.Limits.Memory = heapBytes() + 200<<20
	cfg.Experiments = func(slug string) []*lab.Experiment {
		if slug != "pndm" {
			return nil
		}
		return []*lab.Experiment{toy(), hungry("pndm/hungry")}
	}
	cfg.Jobs = 1
	s := serve(t, cfg)
	status, job, text := s.post("/papers/pndm/runs", map[string]string{"token": s.token(), "experiment": "pndm/hungry", "size": "quick", "set.cells": "1"}, nil)
	if status != http.StatusSeeOther {
		t.Fatalf("status %d:\n%s", status, text)
	}
	page := ""
	for end := time.Now().Add(30 * time.Second); !strings.Contains(page, `role="alert"`) && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		_, page = s.get(job)
	}
	if !strings.Contains(page, "more memory than runs may take") {
		t.Errorf("%s", page)
	}
	s.wait(s.begin(nil, nil))
}

// TestGrids: settings that would make a grid too large for memory are refused before it
// is made.
func TestGrids(t *testing.T) {
	made := 0
	e := toy()
	e.Params = append(e.Params, lab.Param{Name: "nfe", Kind: lab.Ints, Default: "1", Min: 1, Max: 1e6}, lab.Param{Name: "scale", Kind: lab.Floats, Default: "1"},
		lab.Param{Name: "seeds", Kind: lab.Int, Default: "1"}, lab.Param{Name: "note", Kind: lab.Text})
	grid := e.Grid
	e.Grid = func(v lab.Values) ([]lab.Cell, error) { made++; return grid(v) }
	list := func(n int) string { return strings.TrimSuffix(strings.Repeat("1,", n), ",") }
	for _, tt := range []struct {
		name string
		set  map[string]string
		want string
	}{
		{"two lists", map[string]string{"nfe": list(500), "scale": list(500)}, "more than 20000 cells"},
		{"seeds", map[string]string{"seeds": "1000000000"}, "more than 20000 cells"},
		{"seeds below 0", map[string]string{"seeds": "-1000000000", "nfe": list(500), "scale": list(500)}, "more than 20000 cells"},
		{"a list without end", map[string]string{"nfe": list(100000)}, "at most 2000"},
		{"a long text", map[string]string{"note": strings.Repeat("x", 3000)}, "at most 2000"},
	} {
		if err := plan(e, lab.Quick, tt.set); err == nil || !strings.Contains(err.Error(), tt.want) || made != 0 {
			t.Errorf("%s: %v, %d grids made", tt.name, err, made)
		}
	}
	if err := plan(e, lab.Quick, map[string]string{"nfe": "1,2,3", "seeds": "100"}); err != nil || made != 1 {
		t.Errorf("%v", err)
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
			"/assets/" + evil, "/api/papers/" + evil, "/api/runs/" + evil, "/" + evil} {
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
