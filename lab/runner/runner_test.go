package runner

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/store"
)

// openStore opens a store in the folder; a damaged one fails the test.
func openStore(t testing.TB, dir string) *store.Store {
	t.Helper()
	s, damaged, err := store.Open(context.Background(), filepath.Join(dir, "runs.db"))
	if err != nil {
		t.Fatal(err)
	}
	if damaged != nil {
		t.Fatal(damaged)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

var methods = []string{"paper's", "rival"}

// grid is a grid of n cells of two methods.
func grid(n int) []lab.Cell {
	cells := make([]lab.Cell, n)
	for i := range cells {
		cells[i] = lab.Cell{Method: methods[i%2], Budget: float64(i / 20), Seed: uint64(i / 2 % 10)}
	}
	return cells
}

// outcome is what the test experiments give for a cell: a pure function of it.
func outcome(c lab.Cell) lab.Outcome {
	q := 1 / (1 + c.Budget) / float64(len(c.Method)) * (1 + 0.01*float64(c.Seed))
	return lab.Outcome{Cost: c.Budget, Quality: q, Metrics: map[string]float64{"seed": float64(c.Seed)}}
}

// values merges settings of the test experiments.
func values(kv ...string) lab.Values {
	v := lab.Values{"input": "builtin:none"}
	for i := 0; i < len(kv); i += 2 {
		v[kv[i]] = kv[i+1]
	}
	return v
}

// want is the curves of a run that nothing disturbs.
func want(t *testing.T, name string, n int, v lab.Values) lab.Curves {
	t.Helper()
	e := experiments[name]
	cells, err := testGrid(v)
	if err != nil || len(cells) != n {
		t.Fatalf("%d cells, %v, want %d", len(cells), err, n)
	}
	return e.Gather(cells, func(c lab.Cell) (lab.Result, bool) { return lab.Result{Cell: c, Outcome: outcome(c)}, true })
}

// same compares figures, not axes or the cells' values.
func same(t *testing.T, got, want lab.Curves) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("curves differ\ngot  %+v\nwant %+v", got, want)
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	var notes []string
	var last Progress
	calls := 0
	r := &Runner{Store: openStore(t, dir), code: "test", Progress: func(p Progress) {
		if p.Note != "" {
			notes = append(notes, p.Note)
		}
		if p.Last != nil {
			calls++
			if p.Done != calls {
				t.Errorf("progress says %d done after %d cells", p.Done, calls)
			}
			last = p
		}
	}}
	v := values("n", "50", "log", log, "cell 4", "infinite", "cell 5", "files 1000")
	run, err := r.Run(t.Context(), experiments["test/a"], lab.Quick, v)
	if err != nil {
		t.Fatal(err)
	}
	if last.Done != 50 || last.Total != 50 || last.Failed != 0 || last.Left != 0 || len(notes) > 0 {
		t.Errorf("last progress %+v, notes %q", last, notes)
	}
	for i, res := range run.Results {
		if index(res.Cell) != i {
			t.Fatalf("result %d is of cell %d: not in the grid's order", i, index(res.Cell))
		}
	}
	if o := run.Results[4].Outcome; !math.IsInf(o.Quality, 1) || !math.IsNaN(o.Metrics["nan"]) {
		t.Errorf("infinite outcome became %+v", o)
	}
	if f := run.Results[5].Outcome.Files; len(f) != 2 || !bytes.Equal(f[0].Data, noise(1000, 5)) || f[1].Name != "empty.txt" || len(f[1].Data) != 0 {
		t.Errorf("files became %v", f)
	}
	if len(run.Verdicts) != 1 || run.Verdicts[0].Claim != "below" || run.Verdicts[0].Verdict.Status == lab.Undecided {
		t.Errorf("verdicts %+v", run.Verdicts)
	}
	if run.Size != lab.Quick || run.Resumed != 0 || run.Finished.IsZero() || run.Done != 50 || run.ID == "" {
		t.Errorf("run %+v", run.Run)
	}

	again, err := r.Run(t.Context(), experiments["test/a"], lab.Quick, v)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(readLog(t, log), "\n"); n != 50 || again.Resumed != 50 {
		t.Errorf("repeating a finished run ran %d cells again, resumed %d", n-50, again.Resumed)
	}
	run.Resumed = 50
	if got, want := fmt.Sprint(again), fmt.Sprint(run); got != want { // DeepEqual has no NaN
		t.Errorf("the stored run differs\ngot  %s\nwant %s", got, want)
	}
	byID, err := Load(t.Context(), r.Store, run.ID[:6], nil)
	if err != nil || len(byID.Results) != 50 || fmt.Sprint(byID.Curves.Curves) != fmt.Sprint(run.Curves.Curves) {
		t.Errorf("loaded without its experiment: %v, %v", byID, err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "queue", "*")); len(left) > 0 {
		t.Errorf("the queue left %v behind", left)
	}
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "model.onnx")
	write := func(s string) {
		if err := os.WriteFile(file, []byte(s), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	id := func(name string, code string, v lab.Values) string {
		p, err := newPlan(experiments[name], lab.Quick, v, code)
		if err != nil {
			t.Fatal(err)
		}
		return p.run.ID
	}
	write("weights")
	base := id("test/a", "code", values("n", "4", "input", file))
	changed := map[string]func() string{
		"another experiment": func() string { return id("test/b", "code", values("n", "4", "input", file)) },
		"another value":      func() string { return id("test/a", "code", values("n", "5", "input", file)) },
		"another program":    func() string { return id("test/a", "other", values("n", "4", "input", file)) },
		"another version": func() string {
			e := *experiments["test/a"]
			e.Version++
			p, err := newPlan(&e, lab.Quick, values("n", "4", "input", file), "code")
			if err != nil {
				t.Fatal(err)
			}
			return p.run.ID
		},
		"changed input file": func() string {
			write("other weights")
			defer write("weights")
			return id("test/a", "code", values("n", "4", "input", file))
		},
	}
	for what, f := range changed {
		if f() == base {
			t.Errorf("%s gives the same run", what)
		}
	}
	if id("test/a", "code", values("input", file, "n", "4")) != base {
		t.Error("the same setting gives another run")
	}
	if code, err := Code(); err != nil || len(code) < 40 {
		t.Errorf("code version %q, %v", code, err)
	}
}

func TestArguments(t *testing.T) {
	t.Parallel()
	nan := &lab.Experiment{Name: "test/nan", Grid: func(lab.Values) ([]lab.Cell, error) {
		return []lab.Cell{{Method: "m", Budget: math.NaN()}}, nil
	}}
	twice := &lab.Experiment{Name: "test/twice", Grid: func(lab.Values) ([]lab.Cell, error) { return make([]lab.Cell, 2), nil }}
	empty := &lab.Experiment{Name: "test/empty", Grid: func(lab.Values) ([]lab.Cell, error) { return nil, nil }}
	for _, row := range []struct {
		what string
		r    Runner
		e    *lab.Experiment
		v    lab.Values
		want string
	}{
		{"a budget that is no number is queued", Runner{}, nan, nil, "NaN"},
		{"a cell that is there twice is run once and counted twice", Runner{}, twice, nil, "twice"},
		{"an empty grid finishes", Runner{}, empty, nil, "empty"},
		{"a missing input file is found by the first cell", Runner{}, experiments["test/a"], values("n", "1", "input", "/no/such.onnx"), "such.onnx"},
		{"nobody is there to run cells", Runner{Jobs: -1}, experiments["test/a"], values("n", "1"), "jobs"},
		{"an address to listen at is ignored", Runner{Listen: ":0", Remote: &Remote{URL: "x"}}, experiments["test/a"], values("n", "1"), "listen"},
		{"a port that is a word", Runner{Listen: "localhost:nats"}, experiments["test/a"], values("n", "1"), "port"},
		{"an address without a port", Runner{Listen: "localhost"}, experiments["test/a"], values("n", "1"), "host:port"},
		{"an address of another machine", Runner{Listen: "192.0.2.1:0"}, experiments["test/a"], values("n", "1"), "192.0.2.1"},
	} {
		row.r.Store = openStore(t, t.TempDir())
		if _, err := row.r.Run(t.Context(), row.e, lab.Quick, row.v); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: got %v, want an error with %q", row.what, err, row.want)
		}
	}
}

func TestFailingCells(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	v := values("n", "30", "log", log, "cell 3", "error", "cell 4", "error 2", "cell 5", "panic", "cell 6", "goexit")
	r := &Runner{Store: openStore(t, dir), code: "test"}
	run, err := r.Run(t.Context(), experiments["test/a"], lab.Quick, v)
	if err != nil {
		t.Fatal(err)
	}
	lines := readLog(t, log)
	for _, row := range []struct {
		what string
		cell int
		runs int
		err  string
	}{
		{"an error is not the last one met", 3, 3, "diverged at try 3"},
		{"a cell that works at the third try is given up", 4, 3, ""},
		{"a panic has no message and place", 5, 3, "panic: assignment to entry in nil map"},
		{"a panic does not say where", 5, 3, "testRun"},
		{"a cell that ends its goroutine hangs the run", 6, 3, "Goexit"},
		{"a good cell is run again", 7, 1, ""},
	} {
		if n := count(lines, row.cell); n != row.runs {
			t.Errorf("%s: cell %d was run %d times, want %d", row.what, row.cell, n, row.runs)
		}
		if got := run.Results[row.cell].Err; (got == "") != (row.err == "") || !strings.Contains(got, row.err) {
			t.Errorf("%s: cell %d has the error %q, want %q", row.what, row.cell, got, row.err)
		}
	}
	if run.Failed != 3 || len(run.Curves.Missing) != 3 || len(run.Verdicts[0].Verdict.Missing) != 3 {
		t.Errorf("%d failed, %d missing in curves, verdict misses %q: want 3", run.Failed, len(run.Curves.Missing), run.Verdicts[0].Verdict.Missing)
	}

	// The figures that do come out are those of a run without failures.
	again, err := r.Run(t.Context(), experiments["test/a"], lab.Quick, v)
	if err != nil || readLog(t, log) != lines {
		t.Errorf("repeating the run ran failed cells again, %v", err)
	}
	if again.Failed != 3 {
		t.Errorf("%d failed", again.Failed)
	}
}

func TestRetryFailed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	v := values("n", "20", "log", log, "cell 3", "error 4", "cell 4", "error")
	r := &Runner{Store: openStore(t, dir), code: "test"}
	run, err := r.Run(t.Context(), experiments["test/a"], lab.Quick, v)
	if err != nil || run.Failed != 2 {
		t.Fatalf("%v, %v: want 2 failed", run, err)
	}
	r.RetryFailed = true
	run, err = r.Run(t.Context(), experiments["test/a"], lab.Quick, v)
	if err != nil {
		t.Fatal(err)
	}
	lines := readLog(t, log)
	if run.Failed != 1 || run.Results[3].Err != "" || run.Results[4].Err != "diverged at try 6" || run.Resumed != 18 {
		t.Errorf("%d failed (%q), %d resumed", run.Failed, run.Results[4].Err, run.Resumed)
	}
	if a, b, c := count(lines, 3), count(lines, 4), count(lines, 5); a != 5 || b != 6 || c != 1 {
		t.Errorf("cells 3, 4, 5 were run %d, %d, %d times, want 5, 6, 1", a, b, c)
	}
}

func TestLargeOutcome(t *testing.T) {
	t.Parallel()
	r := &Runner{Store: openStore(t, t.TempDir()), code: "test"}
	const size = 9 << 20 // more than a message of the server inside may have
	run, err := r.Run(t.Context(), experiments["test/a"], lab.Quick, values("n", "4", "cell 2", fmt.Sprint("files ", size)))
	if err != nil {
		t.Fatal(err)
	}
	if f := run.Results[2].Outcome.Files; len(f) != 2 || !bytes.Equal(f[0].Data, noise(size, 2)) {
		t.Errorf("the file of %d bytes did not arrive whole", size)
	}
}

// BenchmarkOverhead is what the queue and the store cost for each of 10,000
// cells that do nothing.
func BenchmarkOverhead(b *testing.B) {
	const cells = 10_000
	e := &lab.Experiment{
		Name: "test/overhead",
		Grid: func(lab.Values) ([]lab.Cell, error) { return grid(cells), nil },
		Run:  func(_ context.Context, c lab.Cell) (lab.Outcome, error) { return outcome(c), nil },
	}
	for b.Loop() {
		b.StopTimer()
		r := &Runner{Store: openStore(b, b.TempDir())}
		b.StartTimer()
		run, err := r.Run(b.Context(), e, lab.Quick, nil)
		if err != nil || len(run.Results) != cells {
			b.Fatal(run, err)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()*1e6/float64(b.N)/cells, "µs/cell")
}
