package runner

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// execute sees to it that every missing cell gets a durable outcome.
func (r *Runner) execute(ctx context.Context, p *plan, t *tally) error {
	notes := make(chan string, 64)
	say := func(note string) { sayTo(notes, note) }
	nc, closeConn, err := r.connect(ctx, p, say)
	if err != nil {
		return err
	}
	defer closeConn()
	q, err := newQueue(nc, streamPrefix+p.run.ID+"-"+r.Store.ID()[:8], r.job(p))
	if err != nil {
		return err
	}
	heard := map[string]bool{} // workers repeat themselves
	sub, err := nc.Subscribe(q.noteSubject(), func(m *nats.Msg) {
		if note := string(m.Data); !heard[note] {
			heard[note] = true
			say(note)
		}
	})
	if err != nil {
		return fmt.Errorf("runner: %w", err)
	}
	defer sub.Unsubscribe()
	return r.work(ctx, p, t, q, notes)
}

// work runs the cells of this process and records those of all.
func (r *Runner) work(ctx context.Context, p *plan, t *tally, q *queue, notes chan string) error {
	// What is handed in when the run is stopped is kept, so recording may take
	// a little longer than everything else.
	late, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(2*grace, cancel) })()

	col := &collector{r: r, p: p, q: q, t: t, notes: notes, late: late, stop: func() {}}
	crewCtx, stopCrew := context.WithCancel(ctx)
	defer stopCrew()
	var crewDone sync.WaitGroup
	err := col.start(ctx)
	if err == nil {
		if jobs := cmp.Or(r.Jobs, runtime.GOMAXPROCS(0)); jobs > 0 {
			c := &crew{q: q, e: p.e, worker: workerName(), slots: make(chan struct{}, jobs), say: func(note string) { sayTo(notes, note) }}
			crewDone.Go(func() { c.run(crewCtx) })
		}
		err = col.collect(ctx)
		stopCrew()
		crewDone.Wait()
		if err != nil {
			col.drain()
		}
	}
	col.stop()
	if err == nil || ctx.Err() != nil {
		q.remove(late) // nobody shall work on for a run that has ended
	}
	if ctx.Err() != nil && err != nil {
		return fmt.Errorf("stopped with %d of %d cells done; the same command goes on from there: %w", t.done(), t.total, context.Cause(ctx))
	}
	return err
}

// sayTo drops notes beyond what anybody reads.
func sayTo(notes chan string, note string) {
	select {
	case notes <- note:
	default:
	}
}

func (r *Runner) job(p *plan) job {
	j := job{
		Run: p.run.ID, Experiment: p.e.Name, Version: p.e.Version, Code: p.run.Code,
		Inputs:  map[string]input{},
		AckWait: cmp.Or(r.ackWait, defaultAckWait), InMemory: r.Remote == nil,
	}
	for name, hash := range p.run.Inputs {
		j.Inputs[name] = input{p.run.Values[name], hash}
	}
	return j
}

// connect reaches the server that the run uses, starting it if it is our own.
func (r *Runner) connect(ctx context.Context, p *plan, say func(string)) (nc *nats.Conn, closeConn func(), err error) {
	if r.Remote != nil {
		nc, err := r.Remote.connect(ctx, say)
		if err != nil {
			return nil, nil, err
		}
		return nc, nc.Close, nil
	}
	secret := cmp.Or(r.SecretFile, filepath.Join(r.Store.Dir(), "secret"))
	em, err := startEmbedded(ctx, filepath.Join(r.Store.Dir(), "queue", p.run.ID), r.Listen, secret)
	if err != nil {
		return nil, nil, err
	}
	nc, err = em.connect(say)
	if err != nil {
		em.stop()
		return nil, nil, err
	}
	if a := em.addr(); a != nil {
		say(fmt.Sprintf("workers may join at nats://%s with the secret in %s", a, secret))
	}
	return nc, func() { nc.Close(); em.stop() }, nil
}
