// Package runner does the cells of an experiment's grid and gathers their
// outcomes into curves.
//
// Cells travel through a NATS JetStream work queue, on a server inside the
// process or on one outside that any number of worker processes share. The
// queue is disposable: what lab/store has recorded is the truth, and a run that
// was interrupted, however hard, goes on where the store says it stopped. No
// recorded outcome is lost or computed again; a cell that was under way may be
// computed again, and being pure gives the same outcome.
package runner

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/assay-lab/assay/internal/filelock"
	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/store"
)

// A Runner runs experiments. Only Store must be set.
type Runner struct {
	Store *store.Store

	// Jobs is how many cells this process runs at once; 0 means one for each
	// CPU that Go may use, a negative number none: other workers do them all.
	Jobs int

	// Remote is the server whose queue is used; nil means one inside this
	// process, which opens no socket unless Listen is set.
	Remote *Remote

	// Listen is a host:port at which the server inside this process also takes
	// workers that know the secret in SecretFile. The file is created, readable
	// by its owner only, when it is absent; "" means "secret" beside the
	// store's database.
	Listen     string
	SecretFile string

	// RetryFailed runs the cells again that are recorded as failed.
	RetryFailed bool

	// Progress, if set, is called after every finished cell, every second, and
	// when there is something to say; always from the goroutine that called Run.
	Progress func(Progress)

	ackWait time.Duration // silence after which a cell goes to another worker; 0: defaultAckWait
	code    string        // "": Code()
}

// A Progress is a snapshot of a run.
type Progress struct {
	Run     string        // its ID
	Done    int           // cells with an outcome, failed and resumed ones included
	Failed  int           // of these
	Total   int           // cells in the grid
	Resumed int           // done before this call
	Elapsed time.Duration // in this call
	Left    time.Duration // an estimate; 0 when there is nothing to go by
	Last    *lab.Result   // the cell that has just finished, if that is the occasion
	Note    string        // what a person should know, if that is the occasion
}

// A Run is a finished run.
type Run struct {
	store.Run
	Curves   lab.Curves
	Verdicts []Judged
	Results  []lab.Result // in the order of the grid
	Resumed  int          // outcomes that were recorded before this call
}

// Judged is a claim and what the run says of it.
type Judged = store.Judged

// tries is how often a cell is run before it is recorded as failed.
const tries = 3

const defaultAckWait = 15 * time.Second

// Run runs the experiment with values that [lab.Experiment.Resolve] gave, and
// returns when every cell has an outcome. A run with the same outcomes to be
// expected (same experiment, values, input files and program) is continued where
// it stopped, or returned at once when it is complete. If another process is at
// it, Run waits for that.
//
// A cell that fails three times is recorded as failed and the run goes on. When
// ctx is done Run returns within a second, also when a cell does not heed its
// context, and its error says how much is done.
func (r *Runner) Run(ctx context.Context, e *lab.Experiment, size lab.Size, v lab.Values) (*Run, error) {
	if r.Store == nil {
		return nil, errors.New("runner: no store")
	}
	if r.Remote != nil && r.Listen != "" {
		return nil, fmt.Errorf("runner: listen = %q with an outside server: the server inside this process is not used then", r.Listen)
	}
	if r.Jobs < 0 && r.Remote == nil && r.Listen == "" {
		return nil, fmt.Errorf("runner: jobs = %d: no worker could take part without an outside server or an address to listen at", r.Jobs)
	}
	p, err := newPlan(e, size, v, r.code)
	if err != nil {
		return nil, err
	}
	if run, err := r.finished(ctx, p); run != nil || err != nil {
		return run, err
	}
	lock, err := r.lock(ctx, p)
	if err != nil {
		return nil, err
	}
	defer lock.Release()
	if run, err := r.finished(ctx, p); run != nil || err != nil { // while we waited
		return run, err
	}
	return r.resume(ctx, p)
}

// finished returns the run if the store has all of it.
func (r *Runner) finished(ctx context.Context, p *plan) (*Run, error) {
	rec, err := r.Store.Run(ctx, p.run.ID)
	switch {
	case errors.Is(err, store.ErrNoRun):
		return nil, nil
	case err != nil:
		return nil, err
	case rec.Key != p.run.Key || rec.Finished.IsZero() || r.RetryFailed && rec.Failed > 0:
		return nil, nil
	}
	run, err := Load(ctx, r.Store, p.run.ID, p.e)
	if err == nil {
		run.Resumed = len(run.Results)
	}
	return run, err
}

// lock makes this process the only one at the run. While another is, it reports
// the other's progress.
func (r *Runner) lock(ctx context.Context, p *plan) (*filelock.Lock, error) {
	path := filepath.Join(r.Store.Dir(), "locks", p.run.ID)
	l, err := filelock.Try(path)
	if l != nil || err != nil {
		return l, err
	}
	start := time.Now()
	note := "another process is running this: waiting for it"
	for {
		if rec, err := r.Store.Run(ctx, p.run.ID); err == nil {
			r.report(Progress{Run: rec.ID, Done: rec.Done, Failed: rec.Failed, Total: len(p.cells), Elapsed: time.Since(start), Note: note})
			note = ""
		}
		turn, cancel := context.WithTimeout(ctx, time.Second)
		l, err := filelock.Acquire(turn, path)
		cancel()
		if l != nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return l, err
		}
	}
}

func (r *Runner) report(p Progress) {
	if r.Progress != nil {
		r.Progress(p)
	}
}

// resume runs what is missing and closes the run.
func (r *Runner) resume(ctx context.Context, p *plan) (*Run, error) {
	if err := r.Store.Begin(ctx, p.run); err != nil {
		return nil, err
	}
	failed, err := r.Store.Recorded(ctx, p.run.ID)
	if err != nil {
		return nil, err
	}
	t := newTally(p, failed, r.RetryFailed)
	if len(t.missing) > 0 {
		if err := r.execute(ctx, p, t); err != nil {
			return nil, err
		}
	}
	run, err := Load(ctx, r.Store, p.run.ID, p.e)
	if err != nil {
		return nil, err
	}
	run.Verdicts = judge(p.e, run.Curves)
	run.Resumed = t.resumed
	if err := r.Store.Finish(ctx, p.run.ID, run.Verdicts); err != nil {
		return nil, err
	}
	rec, err := r.Store.Run(ctx, p.run.ID)
	run.Run = rec
	return run, err
}

func judge(e *lab.Experiment, cs lab.Curves) []Judged {
	js := make([]Judged, len(e.Claims))
	for i, c := range e.Claims {
		js[i] = Judged{Claim: c.Name, Text: c.Text, Paper: c.Paper, Verdict: c.Verdict(cs)}
	}
	return js
}

// Load returns what is recorded of a run, complete or not. The experiment gives
// the grid, and so what is missing; it may be nil, and then the curves have the
// recorded cells only. Verdicts are those of the time when the run finished.
func Load(ctx context.Context, s *store.Store, id string, e *lab.Experiment) (*Run, error) {
	rec, err := s.Run(ctx, id)
	if err != nil {
		return nil, err
	}
	run := &Run{Run: rec}
	outcomes, err := s.Outcomes(ctx, rec.ID)
	if err != nil {
		return nil, err
	}
	if run.Verdicts, err = s.Verdicts(ctx, rec.ID); err != nil {
		return nil, err
	}
	byKey := make(map[string]lab.Result, len(outcomes))
	grid := make([]lab.Cell, len(outcomes))
	for i, o := range outcomes {
		byKey[o.Key] = o.Result
		grid[i] = o.Result.Cell
		run.Results = append(run.Results, o.Result)
	}
	if e != nil {
		if grid, err = e.Grid(rec.Values); err != nil {
			return nil, fmt.Errorf("%s: grid: %w", e.Name, err)
		}
	}
	axes := lab.Experiment{Cost: rec.Cost, Quality: rec.Quality, Budget: rec.Budget}
	run.Curves = axes.Gather(grid, func(c lab.Cell) (lab.Result, bool) {
		k, err := cellKey(c)
		res, ok := byKey[k]
		return res, ok && err == nil
	})
	return run, nil
}
