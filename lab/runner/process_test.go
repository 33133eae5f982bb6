package runner

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/store"
)

// recorded returns the places of the cells that a dead process has recorded.
func recorded(t *testing.T, dir string) map[int]string {
	t.Helper()
	s, damaged, err := store.Open(t.Context(), filepath.Join(dir, "runs.db"))
	if err != nil || damaged != nil {
		t.Fatal(err, damaged)
	}
	defer s.Close()
	places := map[int]string{}
	runs, err := s.Runs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range runs {
		os, err := s.Outcomes(t.Context(), r.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range os {
			places[o.Place] = fmt.Sprint(o)
		}
	}
	return places
}

func TestKilledRunGoesOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	const n = 80
	v := values("n", fmt.Sprint(n), "log", log, "sleep", "10ms", "cell 9", "error 1")
	h := helper{Mode: "run", Dir: dir, Experiment: "test/a", Values: v, Jobs: 2}
	rnd := rand.New(rand.NewPCG(1, 2))
	kills := 0
	for before := map[int]string{}; ; kills++ {
		logged := len(readLog(t, log))
		p := start(t, h)
		// Somewhere between its start and its end, mostly with cells under way.
		goal := len(before) + 1 + rnd.IntN(14)
		if kills < 3 {
			time.Sleep(time.Duration(rnd.IntN(100)) * time.Millisecond)
		} else {
			p.reaches(goal)
		}
		select {
		case <-p.done:
			same(t, p.curves(), want(t, "test/a", n, v))
		default:
			p.kill()
		}
		after := recorded(t, dir)
		for place, o := range before {
			if after[place] != o {
				t.Fatalf("kill %d: the outcome of cell %d was %s and is %s", kills, place, o, after[place])
			}
			if count(readLog(t, log)[logged:], place) > 0 {
				t.Fatalf("kill %d: cell %d was recorded and run again", kills, place)
			}
		}
		if before = after; len(before) == n {
			break
		}
	}
	same(t, start(t, h).curves(), want(t, "test/a", n, v))
	t.Logf("%d kills, %d runs of %d cells", kills, strings.Count(readLog(t, log), "\n"), n)
	if kills < 5 {
		t.Errorf("the run ended after %d kills: the test did not test", kills)
	}
}

func TestInterruptStopsWithinASecond(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no interrupts between processes")
	}
	for name, row := range map[string]struct {
		sleep, cell7 string
		jobs         int
	}{
		"cells heed their context":         {"50ms", "", 2},
		"a cell does not heed its context": {"5ms", "deaf", 2},
		"all are deaf":                     {"5ms", "deaf", 1},
	} {
		t.Run(name, func(t *testing.T) {
			// On a busy machine a second may pass without anything running.
			var took time.Duration
			for range 3 {
				if took = interrupt(t, row.sleep, row.cell7, row.jobs); took < time.Second {
					return
				}
			}
			t.Errorf("stopped %v after the interrupt", took)
		})
	}
}

// interrupt stops a run when some cells are done, and finishes it.
func interrupt(t *testing.T, sleep, cell7 string, jobs int) time.Duration {
	dir := t.TempDir()
	open := filepath.Join(dir, "open")
	v := values("n", "60", "log", filepath.Join(dir, "log"), "sleep", sleep)
	if cell7 != "" {
		v["cell 7"] = cell7 + " " + open
	}
	h := helper{Mode: "run", Dir: dir, Experiment: "test/a", Values: v, Jobs: jobs}
	p := start(t, h)
	p.said(`"Done":6`)
	eventually(t, "cell 7", func() bool { return cell7 == "" || count(readLog(t, v["log"]), 7) > 0 })
	begin := time.Now()
	p.cmd.Process.Signal(os.Interrupt)
	err := p.wait()
	took := time.Since(begin)
	if err == nil {
		t.Fatalf("the run went on to its end:\n%s", p.out.String())
	}
	done := len(recorded(t, dir))
	for _, text := range []string{fmt.Sprintf("stopped with %d of 60 cells done", done), "the same command goes on"} {
		if !strings.Contains(p.out.String(), text) {
			t.Errorf("the error lacks %q:\n%s", text, p.out.String())
		}
	}
	if err := os.WriteFile(open, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	same(t, start(t, h).curves(), want(t, "test/a", 60, v))
	return took
}

func TestCanceledBeforeItBegins(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the user changed her mind"))
	r := &Runner{Store: openStore(t, t.TempDir()), code: "test"}
	if _, err := r.Run(ctx, experiments["test/a"], lab.Quick, values("n", "3")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestTwoProcessesAtOneRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	v := values("n", "40", "log", log, "sleep", "10ms")
	h := helper{Mode: "run", Dir: dir, Experiment: "test/a", Values: v, Jobs: 1}
	a := start(t, h)
	a.said(`"Done":2`)
	b := start(t, h)
	w := want(t, "test/a", 40, v)
	same(t, a.curves(), w)
	same(t, b.curves(), w)
	b.said("another process is running this")
	if n := strings.Count(readLog(t, log), "\n"); n != 40 {
		t.Errorf("%d cells were run, want 40", n)
	}
}

func TestSecondProcessTakesOver(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	v := values("n", "40", "sleep", "10ms")
	h := helper{Mode: "run", Dir: dir, Experiment: "test/a", Values: v, Jobs: 1}
	a := start(t, h)
	a.said(`"Done":2`)
	b := start(t, h)
	b.said("another process is running this")
	a.kill()
	same(t, b.curves(), want(t, "test/a", 40, v))
}

func TestTwoRunsAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	va, vb := values("n", "60", "sleep", "3ms"), values("n", "50", "sleep", "3ms", "log", filepath.Join(dir, "log"), "cell 6", "error 1")
	a := start(t, helper{Mode: "run", Dir: dir, Experiment: "test/a", Values: va, Jobs: 2})
	b := start(t, helper{Mode: "run", Dir: dir, Experiment: "test/b", Values: vb, Jobs: 2})
	same(t, a.curves(), want(t, "test/a", 60, va))
	same(t, b.curves(), want(t, "test/b", 50, vb))
}

func TestNoSocketUnlessItListens(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("no /proc")
	}
	for name, row := range map[string]struct {
		listen string
		want   bool
	}{"by itself": {"", false}, "listening": {"127.0.0.1:0", true}} {
		t.Run(name, func(t *testing.T) {
			p := start(t, helper{Mode: "run", Dir: t.TempDir(), Experiment: "test/a", Values: values("n", "5"), Listen: row.listen})
			p.curves()
			for _, r := range p.reports() {
				if r.Curves == nil && r.Note == "" && (len(r.Sockets) > 0) != row.want {
					t.Errorf("open sockets: %q", r.Sockets)
				}
			}
		})
	}
}

func TestListen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	v := values("n", "30", "sleep", "2ms")
	p := start(t, helper{Mode: "run", Dir: dir, Experiment: "test/a", Values: v, Jobs: -1, Listen: "127.0.0.1:0"})
	p.said("workers may join at nats://")
	_, rest, _ := strings.Cut(p.out.String(), "workers may join at ")
	url, _, _ := strings.Cut(rest, " ")
	secret := filepath.Join(dir, "secret")
	for what, r := range map[string]Remote{
		"no secret":      {URL: url},
		"a wrong secret": {URL: url, Token: "0123456789abcdef"},
	} {
		if err := start(t, helper{Mode: "work", Remote: &r}).wait(); err == nil {
			t.Errorf("a worker with %s was let in", what)
		}
	}
	start(t, helper{Mode: "work", Remote: &Remote{URL: url, SecretFile: secret}, Jobs: 2})
	same(t, p.curves(), want(t, "test/a", 30, v))
}

func TestSecretFile(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("no modes of files")
	}
	path := filepath.Join(t.TempDir(), "sub", "secret")
	secret, err := makeSecret(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 || len(secret) < 20 {
		t.Errorf("%v, %v, %d characters", st.Mode(), err, len(secret))
	}
	if again, err := makeSecret(t.Context(), path); err != nil || again != secret {
		t.Errorf("the second time it is %q, %v, want %q", again, err, secret)
	}
	for _, row := range []struct {
		what string
		do   func() error
		want string
	}{
		{"the group may read it", func() error { return os.Chmod(path, 0o640) }, "0640"},
		{"all may read it", func() error { return os.Chmod(path, 0o604) }, "0604"},
		{"it is empty", func() error { return errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, nil, 0o600)) }, "at least 16"},
	} {
		if err := row.do(); err != nil {
			t.Fatal(err)
		}
		if _, err := makeSecret(t.Context(), path); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: got %v, want an error with %q", row.what, err, row.want)
		}
		r := Remote{URL: "nats://127.0.0.1:1", SecretFile: path}
		if _, err := r.connect(t.Context(), func(string) {}); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: a worker got %v, want an error with %q", row.what, err, row.want)
		}
	}
}
