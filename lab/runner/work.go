package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/assay-lab/assay/lab"
)

// An Event is something that a worker did or has to say.
type Event struct {
	Run, Experiment string      // "" when it is not about a run
	Result          *lab.Result // a cell that it finished
	Note            string      // what a person should know
}

// Work runs cells of all runs on a server, jobs at once (0: one for each CPU
// that Go may use), until ctx is done. It takes cells only of experiments that
// lookup knows, in the version and from the program and input files that the
// run began with, and otherwise tells both its own progress and the run why it
// does not. progress may be nil; its calls do not overlap.
func Work(ctx context.Context, remote Remote, lookup func(name string) (*lab.Experiment, bool), jobs int, progress func(Event)) error {
	code, err := Code()
	if err != nil {
		return err
	}
	w := &worker{remote: remote, lookup: lookup, jobs: jobs, progress: progress, code: code}
	return w.work(ctx)
}

type worker struct {
	remote   Remote
	lookup   func(string) (*lab.Experiment, bool)
	jobs     int
	progress func(Event)
	code     string

	mu     sync.Mutex // one event at a time
	nc     *nats.Conn
	js     jetstream.JetStream
	slots  chan struct{}
	crews  map[string]context.CancelFunc // by stream
	wg     sync.WaitGroup
	noted  string              // the last trouble with the server
	hashes map[string]fileHash // of input files, by path
}

func (w *worker) emit(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.progress != nil {
		w.progress(e)
	}
}

func (w *worker) work(ctx context.Context) (err error) {
	if w.jobs < 0 {
		return fmt.Errorf("runner: jobs = %d: must be positive, or 0 for one for each CPU", w.jobs)
	}
	if w.jobs == 0 {
		w.jobs = runtime.GOMAXPROCS(0)
	}
	if w.nc, err = w.remote.connect(ctx, func(note string) { w.emit(Event{Note: note}) }); err != nil {
		return err
	}
	defer w.nc.Close()
	if w.js, err = jetstream.New(w.nc); err != nil {
		return err
	}
	w.slots = make(chan struct{}, w.jobs)
	w.crews = map[string]context.CancelFunc{}
	w.hashes = map[string]fileHash{}
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for {
		w.visit(ctx)
		select {
		case <-look.C:
			if err := closedError(w.nc); err != nil {
				return err
			}
		case <-ctx.Done():
			w.wg.Wait()
			w.nc.FlushTimeout(grace)
			return nil
		}
	}
}

// visit looks which runs there are, joins the new ones and leaves those that
// are gone.
func (w *worker) visit(ctx context.Context) {
	turn, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	there := map[string]bool{}
	names := w.js.StreamNames(turn, jetstream.WithStreamListSubject("assay.*.cell.*"))
	for name := range names.Name() {
		there[name] = strings.HasPrefix(name, streamPrefix)
	}
	if err := names.Err(); err != nil {
		if note := "looking for runs: " + err.Error(); note != w.noted && ctx.Err() == nil && !errors.Is(err, jetstream.ErrEndOfData) {
			w.noted = note
			w.emit(Event{Note: note})
		}
		return
	}
	w.noted = ""
	for name, cancel := range w.crews {
		if !there[name] {
			cancel()
			delete(w.crews, name)
		}
	}
	for name, ours := range there {
		if ours && w.crews[name] == nil {
			w.join(ctx, name)
		}
	}
}

// join sets a crew to work on a run, or says why not.
func (w *worker) join(ctx context.Context, name string) {
	s, err := w.js.Stream(ctx, name)
	if err != nil {
		return // it has just gone, or is looked at again in a second
	}
	var j job
	if err := json.Unmarshal([]byte(s.CachedInfo().Config.Metadata[jobKey]), &j); err != nil || j.AckWait <= 0 {
		return // not a run of ours
	}
	q, err := newQueue(w.nc, name, j)
	if err != nil {
		return
	}
	e, err := w.accept(j)
	if err != nil {
		note := fmt.Sprintf("worker %s takes no cells of run %s: %v", workerName(), j.Run, err)
		w.emit(Event{Run: j.Run, Experiment: j.Experiment, Note: note})
		w.nc.Publish(q.noteSubject(), []byte(note))
		return
	}
	crewCtx, cancel := context.WithCancel(ctx)
	w.crews[name] = cancel
	c := &crew{
		q: q, e: e, worker: workerName(), slots: w.slots,
		say: func(note string) { w.emit(Event{Run: j.Run, Experiment: j.Experiment, Note: note}) },
		ran: func(r lab.Result) { w.emit(Event{Run: j.Run, Experiment: j.Experiment, Result: &r}) },
	}
	w.wg.Go(func() { c.run(crewCtx) })
}

// accept checks that outcomes of this process would be those of the run.
func (w *worker) accept(j job) (*lab.Experiment, error) {
	e, ok := w.lookup(j.Experiment)
	switch {
	case !ok:
		return nil, fmt.Errorf("experiment %s is unknown to this worker", j.Experiment)
	case e.Version != j.Version:
		return nil, fmt.Errorf("experiment %s has version %d here and %d in the run", e.Name, e.Version, j.Version)
	case j.Code != w.code:
		return nil, fmt.Errorf("it is another version of the program: %s here, %s in the run", w.code, j.Code)
	}
	for name, in := range j.Inputs {
		h, err := w.hash(in.Path)
		if err != nil {
			return nil, fmt.Errorf("%s = %q: %w", name, in.Path, err)
		}
		if h != in.Hash {
			return nil, fmt.Errorf("%s = %q: the file differs from the run's", name, in.Path)
		}
	}
	return e, nil
}

// fileHash is a hash and what the file looked like when it was taken.
type fileHash struct {
	size int64
	time time.Time
	hash string
}

// hash hashes a file that has changed since it was last looked at.
func (w *worker) hash(path string) (string, error) {
	st, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if h := w.hashes[path]; h.hash != "" && h.size == st.Size() && h.time.Equal(st.ModTime()) {
		return h.hash, nil
	}
	h, err := hashFile(path)
	if err == nil {
		w.hashes[path] = fileHash{st.Size(), st.ModTime(), h}
	}
	return h, err
}
