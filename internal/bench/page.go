package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/assay-lab/assay/lab/shelf"
	"github.com/assay-lab/assay/lab/shelf/shelftest"
)

const (
	pagePapers = 100000
	pageRate   = 200              // requests a second
	pageTime   = 20 * time.Second // for each kind of request
	pageRun    = "dpm-solver-pp/denoiser"
)

// page is the Daily Papers page under load: a server in a process of its own, with many
// papers, asked at a fixed rate whether or not it keeps up, first at rest and then while
// it runs an experiment on all cores. The one who asks uses the same cores.
func page(s *session) error {
	dir, err := os.MkdirTemp(s.dir, "page")
	if err != nil {
		return err
	}
	binary := filepath.Join(dir, "assay")
	if out, err := exec.Command("go", "build", "-trimpath", "-o", binary, "./cmd/assay").CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	site, err := openSite(binary, dir)
	if err != nil {
		return err
	}
	defer site.close()
	sh, err := shelf.Open(context.Background(), filepath.Join(dir, "papers.db"))
	if err != nil {
		return err
	}
	defer sh.Close()
	if err := shelftest.Fill(context.Background(), sh, pagePapers); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "\n## The Daily Papers page with %d papers, %d requests/s\n\nTimes from when a request was due to the end of its answer, over %v for each mix.\n\n", pagePapers, pageRate, pageTime)
	fmt.Fprint(s.out, "| | requests | answer | median | p99 | longest | failed |\n|---|---|---|---|---|---|---|\n")
	for _, busy := range []bool{false, true} {
		when := "at rest"
		if busy {
			when = "while " + pageRun + " runs"
			if err := site.begin(pageRun); err != nil {
				return err
			}
		}
		for _, m := range mixes {
			for kind, t := range site.load(m.searches) {
				if len(t.times) > 0 {
					fmt.Fprintf(s.out, "| %s | %s | %s | %s | %s | %s | %d |\n", when, m.name, kinds[kind], short(t.at(0.5)), short(t.at(0.99)), short(t.at(1)), t.failed)
				}
			}
		}
		if busy && !site.running() {
			return fmt.Errorf("%s ended before the load did", pageRun)
		}
	}
	return nil
}

// kinds of pages that are asked for, and mixes of them: of ten requests, so many are
// searches.
var (
	kinds = []string{"feed", "search"}
	mixes = []struct {
		name     string
		searches int
	}{{"feed", 0}, {"a tenth searches", 1}, {"searches", 10}}
)

// feedPath asks for the feed in all its orders.
func feedPath(i int) string {
	switch i % 5 {
	case 1:
		return "/?order=trend"
	case 2:
		return fmt.Sprint("/?topic=topic", i%shelftest.Topics)
	case 3:
		return "/?since=week"
	}
	return "/"
}

// searchPath asks for one to three words, as common as they are in the papers, the last
// sometimes only begun.
func searchPath() func(int) string {
	w := shelftest.NewWriter(7)
	return func(i int) string {
		q := w.Words(1 + i%3)
		if i%4 == 0 && len(q) > 2 {
			q = q[:len(q)-2]
		}
		return "/?q=" + url.QueryEscape(q)
	}
}

// A site is a server of pages in a process of its own.
type site struct {
	cmd    *exec.Cmd
	url    string
	client *http.Client
	job    string
}

func openSite(binary, dir string) (*site, error) {
	cmd := exec.Command(binary, "serve", "--addr", "127.0.0.1:0")
	cmd.Env = append(os.Environ(), "ASSAY_CACHE="+dir)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	st := &site{cmd: cmd, client: &http.Client{Jar: jar, Transport: &http.Transport{MaxIdleConnsPerHost: 100}, Timeout: 30 * time.Second}}
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if st.url = regexp.MustCompile(`http://[0-9.:]+`).FindString(lines.Text()); st.url != "" {
			go io.Copy(io.Discard, stderr)
			return st, nil
		}
	}
	return nil, errors.Join(errors.New("the server tells no address"), cmd.Wait())
}

func (st *site) close() {
	st.cmd.Process.Kill()
	st.cmd.Wait()
}

// begin starts an experiment of full size as a reader does.
func (st *site) begin(experiment string) error {
	slug, _, _ := strings.Cut(experiment, "/")
	form, err := st.get("/papers/" + slug)
	if err != nil {
		return err
	}
	token := regexp.MustCompile(`name="token" value="([^"]+)"`).FindStringSubmatch(form)
	if token == nil {
		return errors.New("the paper's page has no form")
	}
	a, err := st.client.PostForm(st.url+"/papers/"+slug+"/runs", url.Values{"token": token[1:], "experiment": {experiment}, "size": {"full"}})
	if err != nil {
		return err
	}
	a.Body.Close()
	st.job = a.Request.URL.Path
	time.Sleep(3 * time.Second) // until cells are under way
	if !st.running() {
		return fmt.Errorf("%s does not run: status %s", experiment, a.Status)
	}
	return nil
}

func (st *site) running() bool {
	text, err := st.get(st.job)
	return err == nil && strings.Contains(text, `class="live"`)
}

func (st *site) get(path string) (string, error) {
	a, err := st.client.Get(st.url + path)
	if err != nil {
		return "", err
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err == nil && a.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, a.Status)
	}
	return string(b), err
}

// latencies are the times of answers, sorted.
type latencies struct {
	times  []time.Duration
	failed int
}

func (l latencies) at(q float64) time.Duration {
	if len(l.times) == 0 {
		return 0
	}
	return l.times[min(int(q*float64(len(l.times))), len(l.times)-1)]
}

// load asks at pageRate for pageTime, and times the answers by kind. A request that is
// sent late because the one who asks was held up counts from when it was due.
func (st *site) load(searches int) []latencies {
	var (
		mu sync.Mutex
		wg sync.WaitGroup
	)
	ls := make([]latencies, len(kinds))
	search := searchPath()
	start := time.Now()
	for i := range int(pageTime.Seconds() * pageRate) {
		due := start.Add(time.Duration(i) * time.Second / pageRate)
		time.Sleep(time.Until(due))
		l, p := &ls[0], feedPath(i)
		if i%10 < searches {
			l, p = &ls[1], search(i)
		}
		wg.Go(func() {
			_, err := st.get(p)
			took := time.Since(due)
			mu.Lock()
			defer mu.Unlock()
			if l.times = append(l.times, took); err != nil {
				l.failed++
			}
		})
	}
	wg.Wait()
	for i := range ls {
		slices.Sort(ls[i].times)
	}
	return ls
}
