package runner

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/store"
)

// A helper is what the test binary does when it is started as a process of its
// own, told by the environment.
type helper struct {
	Mode        string // "run", "work" or "serve"
	Dir         string // of the store
	Experiment  string
	Values      lab.Values
	Remote      *Remote
	Jobs        int
	Listen      string
	RetryFailed bool
	AckWait     time.Duration
	Code        string // of a worker: another version of the program
}

const helperEnv = "ASSAY_RUNNER_TEST_HELPER"

func TestMain(m *testing.M) {
	conf := os.Getenv(helperEnv)
	if conf == "" {
		os.Exit(m.Run())
	}
	var h helper
	err := json.Unmarshal([]byte(conf), &h)
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		defer stop()
		switch h.Mode {
		case "run":
			err = h.run(ctx)
		case "work":
			err = h.work(ctx)
		case "serve":
			err = h.serve(ctx)
		}
	}
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// A report is a line of a "run" helper's output.
type report struct {
	Note    string
	Done    int
	Curves  *lab.Curves
	Sockets []string
}

func (h helper) run(ctx context.Context) error {
	s, damaged, err := store.Open(ctx, filepath.Join(h.Dir, "runs.db"))
	if err != nil {
		return err
	}
	defer s.Close()
	if damaged != nil {
		return errors.New(damaged.String())
	}
	out := json.NewEncoder(os.Stdout)
	r := &Runner{Store: s, Jobs: h.Jobs, Remote: h.Remote, Listen: h.Listen, RetryFailed: h.RetryFailed, ackWait: h.AckWait, code: "test"}
	r.Progress = func(p Progress) {
		if p.Note != "" || p.Last != nil {
			out.Encode(report{Note: p.Note, Done: p.Done, Sockets: sockets()})
		}
	}
	run, err := r.Run(ctx, experiments[h.Experiment], lab.Quick, h.Values)
	if err != nil {
		return err
	}
	return out.Encode(report{Curves: &run.Curves})
}

func (h helper) work(ctx context.Context) error {
	w := &worker{remote: *h.Remote, jobs: h.Jobs, code: h.Code, progress: func(e Event) {
		if e.Note != "" {
			fmt.Println(e.Note)
		}
	}}
	if w.code == "" {
		w.code = "test"
	}
	w.lookup = func(name string) (*lab.Experiment, bool) { e, ok := experiments[name]; return e, ok }
	return w.work(ctx)
}

// serve is a NATS server as a user would run it, keeping its streams in Dir.
func (h helper) serve(ctx context.Context) error {
	host, port, _ := strings.Cut(h.Listen, ":")
	n, err := strconv.Atoi(port)
	if err != nil {
		return err
	}
	srv, err := server.NewServer(&server.Options{Host: host, Port: n, JetStream: true, StoreDir: h.Dir, NoSigs: true})
	if err != nil {
		return err
	}
	srv.Start()
	if !srv.ReadyForConnections(20 * time.Second) {
		return errors.New("server not ready")
	}
	fmt.Println(srv.ClientURL())
	<-ctx.Done()
	srv.Shutdown()
	return nil
}

// sockets lists the network sockets that this process has open.
func sockets() []string {
	var found []string
	fds, _ := filepath.Glob("/proc/self/fd/*")
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && strings.HasPrefix(to, "socket:") {
			found = append(found, to)
		}
	}
	return found
}

// A process is a helper that was started.
type process struct {
	t        *testing.T
	cmd      *exec.Cmd
	out, err lockedBuffer
	done     chan struct{}
	waitErr  error
}

func start(t *testing.T, h helper) *process {
	t.Helper()
	conf, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, done: make(chan struct{})}
	p.cmd = exec.Command(os.Args[0])
	p.cmd.Env = append(os.Environ(), helperEnv+"="+string(conf))
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.err
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.waitErr = p.cmd.Wait(); close(p.done) }()
	t.Cleanup(func() { p.kill() })
	return p
}

func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.done
}

// patience is far beyond what anything here takes on an idle machine.
const patience = 60 * time.Second

func (p *process) wait() error {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatalf("the process does not end; it said:\n%s%s", p.out.String(), p.err.String())
	}
	if s := p.err.String(); s != "" {
		p.t.Errorf("the process wrote to standard error:\n%s", s)
	}
	return p.waitErr
}

// curves waits for a "run" helper to finish and returns its curves.
func (p *process) curves() lab.Curves {
	p.t.Helper()
	if err := p.wait(); err != nil {
		p.t.Fatalf("%v: %s", err, p.out.String())
	}
	for _, r := range p.reports() {
		if r.Curves != nil {
			return *r.Curves
		}
	}
	p.t.Fatalf("no curves in the output:\n%s", p.out.String())
	panic("unreachable")
}

func (p *process) reports() []report {
	var rs []report
	d := json.NewDecoder(strings.NewReader(p.out.String()))
	for {
		var r report
		if err := d.Decode(&r); err != nil {
			return rs
		}
		rs = append(rs, r)
	}
}

// reaches waits until a number of cells is done, or the process has ended.
func (p *process) reaches(done int) {
	p.t.Helper()
	eventually(p.t, fmt.Sprint(done, " cells"), func() bool {
		select {
		case <-p.done:
			return true
		default:
		}
		return slices.ContainsFunc(p.reports(), func(r report) bool { return r.Done >= done })
	})
}

// said waits until the output has the text.
func (p *process) said(text string) {
	p.t.Helper()
	eventually(p.t, "output with "+text, func() bool { return strings.Contains(p.out.String(), text) })
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// lockedBuffer is read while a process still writes to it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// experiments are known to every helper. All are one experiment whose values
// say how many cells it has ("n"), how long each takes ("sleep"), where each
// leaves a line when it is run ("log"), and how single ones behave ("cell 7").
var experiments = map[string]*lab.Experiment{
	"test/a": {Name: "test/a", Grid: testGrid, Run: testRun, Claims: testClaims,
		Params: []lab.Param{{Name: "input", Kind: lab.Input, Default: "builtin:none", Choices: []string{"builtin:none"}}}},
	"test/b": {Name: "test/b", Grid: testGrid, Run: testRun, Version: 2},
}

var testClaims = []lab.Claim{{Name: "below", Text: "the paper's method is below its rival", Judge: func(cs lab.Curves) lab.Verdict {
	p, _ := cs.Curve("", "paper's")
	r, _ := cs.Curve("", "rival")
	if len(p.Points) == 0 || len(r.Points) == 0 {
		return lab.Verdict{Status: lab.Undecided, Reason: "no points"}
	}
	a, b := p.Points[0].Mean(), r.Points[0].Mean()
	v := lab.Verdict{Status: lab.Fails, Reason: "means of the first points", Figures: []lab.Figure{{Name: "ratio", Value: a / b, Want: "< 1", OK: a < b}}}
	if a < b {
		v.Status = lab.Holds
	}
	return v
}}}

func testGrid(v lab.Values) ([]lab.Cell, error) {
	n, err := strconv.Atoi(v["n"])
	cells := grid(n)
	for i := range cells {
		cells[i].Values = v
	}
	return cells, err
}

// index is a cell's place in the grid.
func index(c lab.Cell) int {
	return int(c.Budget)*20 + int(c.Seed)*2 + slices.Index(methods, c.Method)
}

func testRun(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
	i := index(c)
	nth, err := logRun(c.Values["log"], i)
	if err != nil {
		return lab.Outcome{}, err
	}
	sleep, _ := time.ParseDuration(c.Values["sleep"])
	select {
	case <-time.After(sleep):
	case <-ctx.Done():
		return lab.Outcome{}, ctx.Err()
	}
	what, arg, _ := strings.Cut(c.Values[fmt.Sprint("cell ", i)], " ")
	n, _ := strconv.Atoi(arg)
	o := outcome(c)
	switch what {
	case "error":
		if n == 0 || nth <= n {
			return lab.Outcome{}, fmt.Errorf("diverged at try %d", nth)
		}
	case "panic":
		var m map[string]int
		//lint:ignore SA5000 the panic is wanted
		m["nil"] = 1
	case "goexit":
		runtime.Goexit()
	case "infinite":
		o.Quality, o.Metrics["nan"] = math.Inf(1), math.NaN()
	case "files":
		o.Files = []lab.File{{Name: "big.bin", Type: "application/octet-stream", Data: noise(n, i)}, {Name: "empty.txt", Type: "text/plain"}}
	case "die": // takes its process along, n times
		if nth <= n {
			self, _ := os.FindProcess(os.Getpid())
			self.Kill()
			select {}
		}
	case "deaf":
		if _, err := os.Stat(arg); err != nil {
			select {}
		}
	case "wait":
		for _, err := os.Stat(arg); err != nil; _, err = os.Stat(arg) {
			select {
			case <-ctx.Done():
				return lab.Outcome{}, ctx.Err()
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
	return o, nil
}

func noise(n, seed int) []byte {
	b := make([]byte, n)
	x := uint32(seed) + 1
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

// logRun adds a line for a cell to a file and counts the cell's lines.
func logRun(path string, i int) (int, error) {
	if path == "" {
		return 1, nil
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if _, err := fmt.Fprintf(f, "%d\n", i); err != nil {
		return 0, err
	}
	b, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<30))
	return count(string(b), i), err
}

func count(log string, i int) int {
	n := 0
	for line := range strings.Lines(log) {
		if strings.TrimSpace(line) == strconv.Itoa(i) {
			n++
		}
	}
	return n
}

func readLog(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(b)
}
