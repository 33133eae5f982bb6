package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/runner"
	"github.com/assay-lab/assay/lab/shelf"
)

// A queue runs jobs, a few at once, in the order in which they came.
type queue struct {
	server *Server
	wake   chan struct{}

	mu   sync.Mutex
	live map[string]*live // by the job's ID: those under way
}

// errBusy says that too many wait.
var errBusy = &problem{503, "Too many runs are waiting. Try again in some minutes."}

// add queues a job.
func (q *queue) add(ctx context.Context, j shelf.Job) (shelf.Job, error) {
	open, err := q.server.cfg.Shelf.OpenJobs(ctx)
	if err != nil {
		return j, err
	}
	if len(open) >= q.server.cfg.Queue+q.server.cfg.Runs {
		return j, errBusy
	}
	if j, err = q.server.cfg.Shelf.AddJob(ctx, j); err != nil {
		return j, err
	}
	q.poke()
	return j, nil
}

func (q *queue) poke() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// work runs jobs until ctx is done: first those that a server before left open.
func (q *queue) work(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, q.server.cfg.Runs)
	for {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		j, l, ok := q.next(ctx)
		if !ok {
			<-slots
			select {
			case <-q.wake:
			case <-time.After(5 * time.Second):
			case <-ctx.Done():
				return
			}
			continue
		}
		wg.Go(func() {
			defer func() { <-slots; q.poke() }()
			q.run(ctx, j, l)
		})
	}
}

// next takes the oldest job that nobody works on.
func (q *queue) next(ctx context.Context) (shelf.Job, *live, bool) {
	open, err := q.server.cfg.Shelf.OpenJobs(ctx)
	if err != nil {
		if ctx.Err() == nil {
			q.server.cfg.Log.Error("queue", "err", err)
		}
		return shelf.Job{}, nil, false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, j := range open {
		if q.live[j.ID] == nil {
			l := &live{changed: make(chan struct{})}
			l.ctx, l.cancel = context.WithCancelCause(ctx)
			q.live[j.ID] = l
			return j, l, true
		}
	}
	return shelf.Job{}, nil, false
}

// run runs a job to its end. A job that the server's end interrupts stays open.
func (q *queue) run(ctx context.Context, j shelf.Job, l *live) {
	defer l.cancel(nil)
	run, err := q.do(l.ctx, &j, l)
	switch {
	case err == nil:
		j.State, j.Run = shelf.Done, run // a run that was done before tells of no progress
		if err := q.server.noteVerdictOf(context.WithoutCancel(ctx), run); err != nil {
			q.server.cfg.Log.Error("verdict", "run", run, "err", err)
		}
	case errors.Is(context.Cause(l.ctx), errStopped):
		j.State = shelf.Stopped
	case ctx.Err() != nil: // the next server goes on
	default:
		j.State, j.Error = shelf.Failed, q.server.unplaced(err.Error())
	}
	if err := q.server.cfg.Shelf.SetJob(context.WithoutCancel(ctx), j); err != nil {
		q.server.cfg.Log.Error("job", "id", j.ID, "err", err)
	}
	if j.State != shelf.Running {
		q.server.meters.jobs.WithLabelValues(string(j.State)).Inc()
	}
	q.mu.Lock()
	delete(q.live, j.ID)
	q.mu.Unlock()
	l.end()
}

var errStopped = errors.New("stopped by a reader")

// do runs a job and returns the run's ID.
func (q *queue) do(ctx context.Context, j *shelf.Job, l *live) (run string, err error) {
	e, ok := q.server.experiment(j.Experiment)
	if !ok {
		return "", fmt.Errorf("the experiment %s is no longer there", j.Experiment)
	}
	v, err := e.Resolve(lab.Size(j.Size), j.Settings)
	if err != nil {
		return "", err
	}
	grid, err := e.Grid(v)
	if err != nil {
		return "", err
	}
	j.State = shelf.Running
	l.begin(e, grid)
	return q.server.cfg.Run(ctx, e, lab.Size(j.Size), v, func(p runner.Progress) {
		if p.Run != "" && j.Run != p.Run {
			j.Run = p.Run
			if err := q.server.cfg.Shelf.SetJob(ctx, *j); err != nil {
				q.server.cfg.Log.Error("job", "id", j.ID, "err", err)
			}
			if p.Resumed > 0 {
				q.server.recall(ctx, p.Run, e, l)
			}
		}
		if p.Last != nil {
			q.server.meters.cells.Inc()
		}
		l.update(p)
	})
}

// recall gives the view of a run what was recorded before.
func (s *Server) recall(ctx context.Context, run string, e *lab.Experiment, l *live) {
	r, err := runner.Load(ctx, s.cfg.Store, run, e)
	if err != nil {
		s.cfg.Log.Error("recall", "run", run, "err", err)
		return
	}
	l.add(r.Results)
}

// of returns the view of a job under way.
func (q *queue) of(id string) *live {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.live[id]
}

// ahead is how many jobs come before one that waits.
func (q *queue) ahead(ctx context.Context, id string) (int, error) {
	open, err := q.server.cfg.Shelf.OpenJobs(ctx)
	if err != nil {
		return 0, err
	}
	for i, j := range open {
		if j.ID == id {
			return i, nil
		}
	}
	return 0, nil
}

// A live is what readers see of a run under way.
type live struct {
	ctx    context.Context // of this run, from the moment that others see it
	cancel context.CancelCauseFunc

	mu       sync.Mutex
	changed  chan struct{} // closed at the next change
	ended    bool
	e        *lab.Experiment
	grid     []lab.Cell
	results  map[string]lab.Result // by the cell's words
	progress runner.Progress
}

func (l *live) begin(e *lab.Experiment, grid []lab.Cell) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.e, l.grid, l.results = e, grid, map[string]lab.Result{}
	l.progress.Total = len(grid)
}

func (l *live) update(p runner.Progress) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.Last != nil {
		l.results[cellKey(p.Last.Cell)] = slim(*p.Last)
	}
	l.progress = p
	l.wakeLocked()
}

func (l *live) add(rs []lab.Result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range rs {
		l.results[cellKey(r.Cell)] = slim(r)
	}
	l.wakeLocked()
}

func (l *live) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	l.wakeLocked()
}

func (l *live) wakeLocked() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// cellKey tells the cells of one run apart.
func cellKey(c lab.Cell) string {
	return fmt.Sprint(c.Panel, "\x00", c.Method, "\x00", c.Budget, "\x00", c.Seed)
}

// slim is a result without its files.
func slim(r lab.Result) lab.Result {
	r.Outcome.Files = nil
	return r
}

// A snapshot is a run under way, for the page's script.
type snapshot struct {
	Done   int         `json:"done"`
	Total  int         `json:"total"`
	Failed int         `json:"failed"`
	Left   float64     `json:"left"` // seconds; 0: not known
	Last   string      `json:"last,omitempty"`
	Run    string      `json:"run,omitempty"`
	Ended  bool        `json:"ended,omitempty"`
	Charts []chartData `json:"charts,omitempty"`
}

// look is the run as it stands, and what tells of the next change.
func (l *live) look() (snapshot, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, s := l.progress, l.countsLocked()
	if p.Last != nil {
		s.Last = p.Last.Cell.String()
	}
	if l.e != nil {
		s.Charts = charts(l.e.Gather(l.grid, func(c lab.Cell) (lab.Result, bool) {
			r, ok := l.results[cellKey(c)]
			return r, ok
		}))
	}
	return s, l.changed
}

// counts is how far the run is.
func (l *live) counts() snapshot {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.countsLocked()
}

func (l *live) countsLocked() snapshot {
	p := l.progress
	return snapshot{Done: p.Done, Total: p.Total, Failed: p.Failed, Left: p.Left.Seconds(), Run: p.Run, Ended: l.ended}
}

func (s snapshot) JSON() []byte {
	b, err := json.Marshal(s)
	if err != nil {
		return []byte("{}")
	}
	return b
}
