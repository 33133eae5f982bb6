package runner

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/assay-lab/assay/lab"
)

// freeAddr is an address at which nobody listens.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// serve starts a NATS server as a process of its own.
func serve(t *testing.T, dir, addr string) (*process, Remote) {
	t.Helper()
	p := start(t, helper{Mode: "serve", Dir: dir, Listen: addr})
	p.said("nats://")
	return p, Remote{URL: "nats://" + addr}
}

func TestKilledWorkersCellGoesToAnother(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log, gate := filepath.Join(dir, "log"), filepath.Join(dir, "gate")
	_, remote := serve(t, filepath.Join(dir, "nats"), freeAddr(t))
	v := values("n", "30", "log", log, "cell 8", "wait "+gate)
	p := start(t, helper{Mode: "run", Dir: dir, Experiment: "test/a", Values: v, Jobs: -1, Remote: &remote, AckWait: 2 * time.Second})
	work := helper{Mode: "work", Remote: &remote, Jobs: 1}
	victim := start(t, work)
	eventually(t, "cell 8", func() bool { return count(readLog(t, log), 8) == 1 })
	time.Sleep(3500 * time.Millisecond) // heartbeats keep the cell its own, long after the ack wait
	if n := count(readLog(t, log), 8); n != 1 {
		t.Errorf("a cell that takes its time was run %d times", n)
	}
	victim.kill()
	if err := os.WriteFile(gate, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	start(t, work)
	same(t, p.curves(), want(t, "test/a", 30, v))
	if n := count(readLog(t, log), 8); n != 2 {
		t.Errorf("the killed worker's cell was run %d times, want 2", n)
	}
}

func TestCellThatKillsWorkers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, remote := serve(t, filepath.Join(dir, "nats"), freeAddr(t))
	v := values("n", "12", "log", filepath.Join(dir, "log"), "cell 3", "die 3")
	h := helper{Mode: "run", Dir: dir, Experiment: "test/a", Values: v, Jobs: -1, Remote: &remote, AckWait: 500 * time.Millisecond}
	p := start(t, h)
	for range 3 {
		<-start(t, helper{Mode: "work", Remote: &remote, Jobs: 1}).done // it is killed by the cell
	}
	last := start(t, helper{Mode: "work", Remote: &remote, Jobs: 1})
	cs := p.curves()
	if len(cs.Missing) != 1 || index(cs.Missing[0].Cell) != 3 || !strings.Contains(cs.Missing[0].Err, "worker lost") {
		t.Fatalf("missing: %+v, want cell 3 with \"worker lost\"", cs.Missing)
	}
	h.RetryFailed = true
	same(t, start(t, h).curves(), want(t, "test/a", 12, v))
	last.kill()
}

func TestKilledCoordinatorGoesOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	_, remote := serve(t, filepath.Join(dir, "nats"), freeAddr(t))
	v := values("n", "60", "log", log, "sleep", "20ms")
	h := helper{Mode: "run", Dir: dir, Experiment: "test/a", Values: v, Jobs: -1, Remote: &remote}
	start(t, helper{Mode: "work", Remote: &remote, Jobs: 2})
	p := start(t, h)
	p.said(`"Done":5`)
	p.kill()
	// The worker goes on meanwhile, and what it hands in is not run again.
	eventually(t, "the worker to finish the queue", func() bool { return strings.Count(readLog(t, log), "\n") >= 60 })
	same(t, start(t, h).curves(), want(t, "test/a", 60, v))
	if n := strings.Count(readLog(t, log), "\n"); n != 60 {
		t.Errorf("%d cells were run, want 60", n)
	}
}

func TestServerIsKilledAndComesBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	addr := freeAddr(t)
	srv, remote := serve(t, filepath.Join(dir, "nats"), addr)
	v := values("n", "60", "log", filepath.Join(dir, "log"), "sleep", "20ms")
	p := start(t, helper{Mode: "run", Dir: dir, Experiment: "test/a", Values: v, Jobs: 1, Remote: &remote, AckWait: time.Second})
	start(t, helper{Mode: "work", Remote: &remote, Jobs: 1})
	p.said(`"Done":6`)
	srv.kill()
	p.said("trying again")
	serve(t, filepath.Join(dir, "nats"), addr)
	same(t, p.curves(), want(t, "test/a", 60, v))
}

func TestQueueIsDeleted(t *testing.T) {
	t.Parallel()
	srv := natsServer(t, server.Options{})
	r := &Runner{Store: openStore(t, t.TempDir()), Remote: &Remote{URL: srv.ClientURL()}, code: "test", Jobs: 1}
	nc, err := r.Remote.connect(t.Context(), func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	deleted, healed := false, false
	r.Progress = func(p Progress) {
		healed = healed || strings.Contains(p.Note, "lost cells")
		if p.Last == nil || deleted {
			return
		}
		deleted = true
		names := js.StreamNames(t.Context())
		for name := range names.Name() {
			if err := js.DeleteStream(t.Context(), name); err != nil {
				t.Error(err)
			}
		}
	}
	v := values("n", "30", "sleep", "5ms")
	run, err := r.Run(t.Context(), experiments["test/a"], lab.Quick, v)
	if err != nil {
		t.Fatal(err)
	}
	same(t, run.Curves, want(t, "test/a", 30, v))
	if !deleted || !healed {
		t.Errorf("deleted: %t, healed: %t", deleted, healed)
	}
	names := js.StreamNames(t.Context())
	for name := range names.Name() {
		t.Errorf("the run left the stream %s behind", name)
	}
}

func TestRemoteLargeOutcome(t *testing.T) {
	t.Parallel()
	srv := natsServer(t, server.Options{})
	remote := Remote{URL: srv.ClientURL()}
	const size = 3 << 20 // the server's messages have at most 1 MiB
	start(t, helper{Mode: "work", Remote: &remote, Jobs: 2})
	r := &Runner{Store: openStore(t, t.TempDir()), Remote: &remote, Jobs: -1, code: "test"}
	run, err := r.Run(t.Context(), experiments["test/a"], lab.Quick, values("n", "4", "cell 2", fmt.Sprint("files ", size), "cell 3", "files 100"))
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range map[int]int{2: size, 3: 100} {
		if f := run.Results[i].Outcome.Files; len(f) != 2 || !bytes.Equal(f[0].Data, noise(n, i)) {
			t.Errorf("the file of %d bytes did not arrive whole", n)
		}
	}
}

// TestRefusingWorker sees each worker refuse, and a fitting one finish the run.
func TestRefusingWorker(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "model.onnx")
	if err := os.WriteFile(file, []byte("weights"), 0o644); err != nil {
		t.Fatal(err)
	}
	srv := natsServer(t, server.Options{})
	remote := &Remote{URL: srv.ClientURL()}
	unknown := lab.Experiment{Name: "test/unknown", Grid: testGrid, Run: testRun}
	newer := *experiments["test/a"]
	newer.Version = 7
	for _, row := range []struct {
		what string
		e    *lab.Experiment
		code string
		file string // what the worker finds there
		want string
	}{
		{"the experiment is unknown", &unknown, "test", "weights", "experiment test/unknown is unknown to this worker"},
		{"the experiment has another version", &newer, "test", "weights", "version 0 here and 7 in the run"},
		{"the program has another version", experiments["test/a"], "git 123", "weights", "another version of the program: test here, git 123 in the run"},
		{"the input file differs", experiments["test/a"], "test", "others", "the file differs"},
	} {
		t.Run(row.what, func(t *testing.T) {
			notes := make(chan string, 100)
			s := openStore(t, t.TempDir())
			r := &Runner{Store: s, Remote: remote, Jobs: -1, code: row.code, Progress: func(p Progress) {
				if p.Note != "" {
					notes <- p.Note
				}
			}}
			v := values("n", "4", "input", file)
			if row.e == &unknown {
				v["input"] = "builtin:none"
			}
			p, err := newPlan(row.e, lab.Quick, v, row.code)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(row.file), 0o644); err != nil {
				t.Fatal(err)
			}
			defer os.WriteFile(file, []byte("weights"), 0o644)
			worker := start(t, helper{Mode: "work", Remote: remote})
			done := make(chan error, 1)
			go func() {
				_, err := r.resume(t.Context(), p)
				done <- err
			}()
			select {
			case note := <-notes:
				if !strings.Contains(note, row.want) || !strings.Contains(note, p.run.ID) {
					t.Errorf("the run was told %q, want %q", note, row.want)
				}
			case <-time.After(patience):
				t.Fatal("the run was not told why nobody works on it")
			}
			worker.said(row.want)
			c := &crewHand{remote: *remote, e: row.e, code: row.code}
			if row.file == "weights" {
				c.work(t)
			} else {
				os.WriteFile(file, []byte("weights"), 0o644) // and the same worker takes it
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		})
	}
}

// crewHand is a worker in this process that fits a run.
type crewHand struct {
	remote Remote
	e      *lab.Experiment
	code   string
}

func (h *crewHand) work(t *testing.T) {
	w := &worker{remote: h.remote, code: h.code, lookup: func(string) (*lab.Experiment, bool) { return h.e, true }}
	go w.work(t.Context())
}
