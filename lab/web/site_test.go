package web

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/shelf"
	"github.com/assay-lab/assay/lab/store"
)

// toy is an experiment of the catalogue's first built paper that takes no time, or as
// long as its parameter says.
func toy() *lab.Experiment {
	return &lab.Experiment{
		Name: "pndm/toy", Title: "A toy: error over steps", Help: "Nothing & <nobody>.",
		Cost: lab.Axis{Name: "NFE"}, Quality: lab.Axis{Name: "error", Log: true},
		Params: []lab.Param{
			{Name: "wait", Help: "milliseconds a cell", Kind: lab.Int, Default: "0", Min: 0, Max: 10000},
			{Name: "cells", Help: "how many", Kind: lab.Int, Default: "4", Min: 1, Max: 1000000},
			{Name: "model", Help: "a model", Kind: lab.Input, Default: "builtin:one", Choices: []string{"builtin:one"}, Accept: []string{".csv"}},
			{Name: "fail", Help: "fails", Kind: lab.Bool, Default: "false"},
		},
		Grid: func(v lab.Values) (cs []lab.Cell, err error) {
			for i := range v.Int("cells") {
				cs = append(cs, lab.Cell{Method: "<b>bold</b>", Budget: float64(i + 1), Values: v})
			}
			return cs, nil
		},
		Run: func(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
			select {
			case <-time.After(time.Duration(c.Values.Int("wait")) * time.Millisecond):
			case <-ctx.Done():
				return lab.Outcome{}, ctx.Err()
			}
			if c.Values.Bool("fail") {
				return lab.Outcome{}, errors.New("on purpose")
			}
			return lab.Outcome{Cost: c.Budget, Quality: 1 / c.Budget}, nil
		},
		Claims: []lab.Claim{{Name: "it falls", Text: "The error falls.", Judge: lab.All(lab.Less(lab.At("", "<b>bold</b>", 2), lab.At("", "<b>bold</b>", 1)))}},
	}
}

// A site is a running server with one reader.
type site struct {
	*testing.T
	*Server
	url    string
	client *http.Client
	stop   func()
}

// stocked is a shelf with the catalogue, which is made once: it takes longer than most
// tests.
var stocked = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "stocked")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	st, _, err := store.Open(ctx, filepath.Join(dir, "runs.db"))
	if err != nil {
		return nil, err
	}
	defer st.Close()
	path := filepath.Join(dir, "papers.db")
	sh, err := shelf.Open(ctx, path)
	if err != nil {
		return nil, err
	}
	nothing := func(string) []*lab.Experiment { return nil }
	_, err = New(ctx, Config{Store: st, Shelf: sh, Uploads: dir, Experiments: nothing})
	if err = errors.Join(err, sh.Close()); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

func configIn(t testing.TB, dir string) Config {
	st, _, err := store.Open(t.Context(), filepath.Join(dir, "runs.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	papers := filepath.Join(dir, "papers.db")
	if _, err := os.Stat(papers); err != nil {
		b, err := stocked()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(papers, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sh, err := shelf.Open(t.Context(), papers)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sh.Close() })
	return Config{Store: st, Shelf: sh, Uploads: filepath.Join(dir, "uploads"), Upper: 1 << 20, Drain: 200 * time.Millisecond,
		Experiments: func(slug string) []*lab.Experiment {
			switch slug {
			case "pndm":
				return []*lab.Experiment{toy()}
			case comparisons:
				e := toy()
				e.Name, e.Claims = "compare/toy", nil
				e.Advise = func(v lab.Values, _ lab.Curves) lab.Advice {
					return lab.Advice{Lines: []string{"Take the <bold> one."}, Commands: []string{"assay sample --model " + v.Text("model")}}
				}
				return []*lab.Experiment{e}
			}
			return nil
		}}
}

func serve(t *testing.T, cfg Config) *site {
	t.Helper()
	s, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	}
	t.Cleanup(stop)
	jar, _ := cookiejar.New(nil)
	return &site{t, s, "http://" + l.Addr().String(), &http.Client{Jar: jar, Timeout: 20 * time.Second}, stop}
}

func (s *site) get(path string) (int, string) {
	s.Helper()
	r, err := s.client.Get(s.url + path)
	if err != nil {
		s.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		s.Fatal(err)
	}
	return r.StatusCode, string(b)
}

var tokenField = regexp.MustCompile(`name="token" value="([^"]+)"`)

func (s *site) token() string {
	s.Helper()
	_, page := s.get("/papers/pndm")
	m := tokenField.FindStringSubmatch(page)
	if m == nil {
		s.Fatalf("no token in the page:\n%s", page)
	}
	return m[1]
}

// post sends a form, with the files if any, and returns the answer's status, place
// and text.
func (s *site) post(path string, fields map[string]string, files map[string][2]string) (int, string, string) {
	s.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for k, v := range fields {
		w.WriteField(k, v)
	}
	for k, f := range files {
		p, err := w.CreateFormFile(k, f[0])
		if err != nil {
			s.Fatal(err)
		}
		io.WriteString(p, f[1])
	}
	w.Close()
	c := *s.client
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	r, err := c.Post(s.url+path, w.FormDataContentType(), &b)
	if err != nil {
		s.Fatal(err)
	}
	defer r.Body.Close()
	text, _ := io.ReadAll(r.Body)
	return r.StatusCode, r.Header.Get("Location"), string(text)
}

func (s *site) begin(fields map[string]string, files map[string][2]string) string {
	s.Helper()
	all := map[string]string{"token": s.token(), "experiment": "pndm/toy", "size": "quick"}
	for k, v := range fields {
		all[k] = v
	}
	status, to, text := s.post("/papers/pndm/runs", all, files)
	if status != http.StatusSeeOther {
		s.Fatalf("status %d:\n%s", status, text)
	}
	return to
}

// wait follows a job to its run's page.
func (s *site) wait(job string) (run, page string) {
	s.Helper()
	for range 400 {
		r, err := s.client.Get(s.url + job)
		if err != nil {
			s.Fatal(err)
		}
		b, _ := io.ReadAll(r.Body)
		r.Body.Close()
		if p := r.Request.URL.Path; strings.HasPrefix(p, "/runs/") {
			return p, string(b)
		}
		if strings.Contains(string(b), `role="alert"`) {
			s.Fatalf("failed:\n%s", b)
		}
		time.Sleep(25 * time.Millisecond)
	}
	s.Fatal("the run does not end")
	return "", ""
}
