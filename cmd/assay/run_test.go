package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// slow is a run of 60 cells that takes six seconds.
var slow = []string{"run", "trial", "--set", "wait=100", "--seeds", "10", "--jobs", "1"}

// undisturbed is what slow writes when nothing happens to it.
var undisturbed = sync.OnceValue(func() string {
	dir, _ := os.MkdirTemp(scratch, "")
	cmd := exec.Command(binary, slow...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "ASSAY_CACHE="+filepath.Join(dir, "cache"))
	cmd.Run()
	b, _ := os.ReadFile(filepath.Join(dir, "out", "trial", "steady", "results.csv"))
	return string(b)
})

// finishes runs slow to its end and holds its figures against those of a run
// that was left alone. It wants some cells to be from earlier.
func (d *desk) finishes() {
	d.t.Helper()
	r := d.assay(slow...)
	if r.status != statusDone {
		d.t.Fatalf("status %d\n%s", r.status, r.stderr)
	}
	if !strings.Contains(r.stderr, "from earlier") {
		d.t.Errorf("nothing was kept:\n%s", r.stderr)
	}
	if got := d.read("out", "trial", "steady", "results.csv"); got != undisturbed() || !strings.Contains(got, "\n,b,1000,9,") {
		d.t.Errorf("figures differ from an undisturbed run's:\n%s\nwant\n%s", got, undisturbed())
	}
}

// begin starts a run and waits until it has finished a few cells more than it had.
func (d *desk) begin(args ...string) (*exec.Cmd, *bytes.Buffer) {
	d.t.Helper()
	had := d.finishedCells()
	cmd := d.command(args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { cmd.Process.Kill() })
	for range 200 {
		if d.finishedCells() >= had+3 {
			return cmd, &stderr
		}
		time.Sleep(50 * time.Millisecond)
	}
	d.t.Fatalf("no cells are finished:\n%s", &stderr)
	return nil, nil
}

// finishedCells is how many cells the store has of all runs.
func (d *desk) finishedCells() int {
	d.t.Helper()
	var runs []struct{ Done int }
	if err := json.Unmarshal([]byte(d.must("runs", "--json")), &runs); err != nil {
		d.t.Fatal(err)
	}
	n := 0
	for _, r := range runs {
		n += r.Done
	}
	return n
}

func TestRunWritesEverything(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	out := d.must("run", "trial", "--size", "quick")
	for _, want := range []string{"a-wins", "holds", "half the error", "out/trial/steady/curve.png", "papers"} {
		if !strings.Contains(filepath.ToSlash(out), want) {
			t.Errorf("standard output lacks %q:\n%s", want, out)
		}
	}
	for file, begins := range map[string]string{
		"curve.png": "\x89PNG", "curve.svg": "<?xml", "curve.pdf": "%PDF", "results.csv": "panel,", "results.json": "{", "report.md": "# ",
		"cells/a-at-1000_seed-0/note.txt": "a at 1000, seed 0\n",
	} {
		if got := d.read("out", "trial", "steady", filepath.FromSlash(file)); !strings.HasPrefix(got, begins) {
			t.Errorf("%s begins with %.10q: want %q", file, got, begins)
		}
	}
	d.must("run", "trial/steady", "--size", "quick", "--out", "there")
	d.read("there", "curve.png")
	d.must("run", "trial", "--size", "quick", "--out", "whole")
	d.read("whole", "steady", "curve.png")
}

func TestRunJSON(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	var doc struct {
		Experiments []struct {
			Run struct {
				ID    string
				Cells int
			}
			Files  []string
			Report struct {
				Claims []struct{ Verdict struct{ Status string } }
			}
		}
	}
	r := d.assay("run", "trial", "--size", "quick", "--json")
	if err := json.Unmarshal([]byte(r.stdout), &doc); err != nil || r.status != statusDone {
		t.Fatalf("status %d: %v\n%s", r.status, err, r.stdout)
	}
	if e := doc.Experiments; len(e) != 1 || e[0].Run.ID == "" || e[0].Run.Cells != 18 || len(e[0].Files) != 8 ||
		len(e[0].Report.Claims) != 1 || e[0].Report.Claims[0].Verdict.Status != "holds" {
		t.Errorf("%+v", doc)
	}
	if r = d.assay("run", "nonsense", "--json"); r.stdout != "" {
		t.Errorf("an error is printed on standard output: %s", r.stdout)
	}
}

func TestOutputIsPlainInPipes(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	r := d.assay("run", "trial", "--set", "wait=100", "--seeds", "8")
	if strings.ContainsAny(r.stdout+r.stderr, "\x1b\r") {
		t.Errorf("escape sequences in a pipe:\n%q\n%q", r.stdout, r.stderr)
	}
	if !strings.Contains(r.stderr, "of 48 cells (") || !strings.Contains(r.stderr, "trial/steady: 48 cells in ") {
		t.Errorf("progress is not told:\n%s", r.stderr)
	}
	for line := range strings.Lines(r.stdout) {
		line = strings.ReplaceAll(line, binary, "assay")
		if n := len([]rune(strings.TrimRight(line, "\n"))); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

func TestCtrlCStopsAndResumes(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("no signals between processes")
	}
	d := newDesk(t)
	var stderr *bytes.Buffer
	took := promptly(func() time.Duration {
		var cmd *exec.Cmd
		cmd, stderr = d.begin(slow...)
		took := d.interrupt(cmd)
		if code := cmd.ProcessState.ExitCode(); code != statusStopped {
			t.Errorf("stopped with status %d: want %d", code, statusStopped)
		}
		return took
	})
	if took > time.Second {
		t.Errorf("took %v to stop", took)
	}
	if want := "\n  " + binary + " run trial --set wait=100 --seeds 10 --jobs 1\n"; !strings.Contains(stderr.String(), want) {
		t.Errorf("does not say how to go on, %q:\n%s", want, stderr)
	}
	if runs := d.must("runs"); !strings.Contains(runs, "stopped at ") {
		t.Errorf("assay runs does not show that it was stopped:\n%s", runs)
	}
	d.finishes()
}

func TestCtrlCDoesNotWaitForADeafCell(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("no signals between processes")
	}
	took := promptly(func() time.Duration {
		d := newDesk(t)
		cmd, stderr := d.begin("run", "trial", "--set", "mood=deaf", "--set", "wait=10")
		took := d.interrupt(cmd)
		if !strings.Contains(stderr.String(), "to go on from there") {
			t.Errorf("does not say how to go on:\n%s", stderr)
		}
		return took
	})
	if took > time.Second+grace/2 { // the grace and starting to stop
		t.Errorf("took %v to stop", took)
	}
}

// promptly gives the best time of three tries: a busy machine may delay one.
func promptly(stop func() time.Duration) time.Duration {
	took := stop()
	for range 2 {
		if took <= time.Second {
			break
		}
		took = min(took, stop())
	}
	return took
}

// interrupt presses Ctrl-C and says how long the command took to stop.
func (d *desk) interrupt(cmd *exec.Cmd) time.Duration {
	d.t.Helper()
	start := time.Now()
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		d.t.Fatal(err)
	}
	cmd.Wait()
	return time.Since(start)
}

func TestKilledRunsResume(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for range 2 {
		cmd, _ := d.begin(slow...)
		cmd.Process.Kill()
		cmd.Wait()
	}
	d.finishes()
}

func TestTwoRunsAtOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	same := []*exec.Cmd{d.command(slow...), d.command(slow...), d.command("run", "trial", "--size", "quick", "--out", "other")}
	for i, cmd := range same {
		if i == 1 {
			cmd.Args = append(cmd.Args, "--out", "twin")
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
	}
	for _, cmd := range same {
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %v", cmd.Args, err)
		}
	}
	if d.read("out", "trial", "steady", "results.csv") != undisturbed() || d.read("twin", "steady", "results.csv") != undisturbed() {
		t.Error("figures differ from an undisturbed run's")
	}
	if runs := strings.Count(d.must("runs"), "trial/steady"); runs != 2 {
		t.Errorf("%d runs are recorded: want 2", runs)
	}
}

func TestFailingCellsAreNamed(t *testing.T) {
	t.Parallel()
	for mood, why := range map[string]string{"fails": "this cell always fails", "panics": "this cell always panics"} {
		d := newDesk(t)
		args := []string{"run", "trial", "--size", "quick", "--set", "mood=" + mood}
		out := d.must(args...)
		if !strings.Contains(out, why) || !strings.Contains(out, "b at 100, seed 2") {
			t.Errorf("%s: the verdict does not say what is missing:\n%s", mood, out)
		}
		if r := d.assay(args...); !strings.Contains(r.stderr, "all from earlier") {
			t.Errorf("%s: failed cells were run again:\n%s", mood, r.stderr)
		}
		if r := d.assay(append(args, "--retry-failed")...); !strings.Contains(r.stderr, "3 cells in") {
			t.Errorf("%s: --retry-failed did not run the 3 failed cells again:\n%s", mood, r.stderr)
		}
		if runs := d.must("runs"); !strings.Contains(runs, "3 failed") {
			t.Errorf("%s: assay runs does not tell of the failed cells:\n%s", mood, runs)
		}
	}
}

func TestNothingButFailures(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	r := d.assay("run", "trial", "--size", "quick", "--set", "mood=hopeless")
	if r.status != statusFailed || !strings.Contains(r.stderr, "all 18 cells failed") || !strings.Contains(r.stderr, "no cell can do this") {
		t.Errorf("status %d\n%s", r.status, r.stderr)
	}
	d.read("out", "trial", "steady", "report.md")
}

func TestDamagedStoreIsKept(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.must("run", "trial", "--size", "quick")
	db := filepath.Join(d.cache, "runs.db")
	if err := os.WriteFile(db, bytes.Repeat([]byte("rubbish "), 4096), 0o644); err != nil {
		t.Fatal(err)
	}
	r := d.assay("run", "trial", "--size", "quick")
	kept, _ := filepath.Glob(db + ".damaged-*")
	if r.status != statusDone || len(kept) == 0 || !strings.Contains(strings.Join(strings.Fields(r.stderr), " "), "is damaged") {
		t.Fatalf("status %d, kept %v\n%s", r.status, kept, r.stderr)
	}
	if b, err := os.ReadFile(kept[0]); err != nil || !bytes.HasPrefix(b, []byte("rubbish")) {
		t.Errorf("the damaged store is not what was kept: %v", err)
	}
	if !strings.Contains(r.stderr, filepath.Base(kept[0])) {
		t.Errorf("does not say where it is kept:\n%s", r.stderr)
	}
}

func TestWorkersJoin(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	run := d.command("run", "trial", "--size", "quick", "--jobs", "-1", "--listen", "127.0.0.1:0", "--secret", "key")
	var stdout bytes.Buffer
	run.Stdout = &stdout
	stderr, err := run.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { run.Process.Kill() })
	said := make([]byte, 4096)
	n, _ := stderr.Read(said)
	url := regexp.MustCompile(`nats://\S+`).FindString(string(said[:n]))
	if url == "" {
		t.Fatalf("does not say where it listens: %s", said[:n])
	}
	if r := d.assay("worker", "--nats", url, "--nats-token", "not the secret"); r.status != statusFailed {
		t.Errorf("a worker without the secret: status %d\n%s", r.status, r.stderr)
	}
	worker := d.command("worker", "--nats", url, "--secret", "key")
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { worker.Process.Kill() })
	if err := run.Wait(); err != nil || !strings.Contains(stdout.String(), "holds") {
		t.Errorf("%v\n%s", err, stdout.String())
	}
	if runtime.GOOS == "windows" {
		return
	}
	d.interrupt(worker)
	if code := worker.ProcessState.ExitCode(); code != statusDone {
		t.Errorf("a stopped worker ends with status %d", code)
	}
}

func TestExport(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.must("run", "trial", "--size", "quick")
	id := regexp.MustCompile(`(?m)^[a-z2-7]{10}`).FindString(d.must("runs"))
	if got, want := d.must("export", id[:4], "--format", "csv"), d.read("out", "trial", "steady", "results.csv"); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	d.must("export", id, "--format", "pdf", "--out", "f.pdf")
	if !strings.HasPrefix(d.read("f.pdf"), "%PDF") {
		t.Error("f.pdf is no PDF")
	}
	if files := strings.Fields(d.must("export", id, "--out", "all")); len(files) != 8 {
		t.Errorf("wrote %v", files)
	}
	if r := d.assay("export", "zzz"); r.status != statusUsage || !strings.Contains(r.stderr, `no run "zzz"`) {
		t.Errorf("status %d\n%s", r.status, r.stderr)
	}
}
