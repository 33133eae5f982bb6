package runner

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/store"
)

// A collector moves outcomes from the queue into the store. All of it runs in
// one goroutine, the one that called Run.
type collector struct {
	r     *Runner
	p     *plan
	q     *queue
	t     *tally
	notes chan string

	// late outlasts the run's context a little, so that outcomes which have
	// arrived are recorded although the run is being stopped.
	late context.Context

	cons jetstream.Consumer
	stop func()
	in   chan jetstream.Msg
	sent chan error // the end of publishing
	idle int        // seconds in which nothing came

	again bool // publish once more
	fails int  // of publishing, in a row
}

// start opens the queue, takes in what workers left there for an earlier
// process, and begins to publish what is still missing.
func (c *collector) start(ctx context.Context) error {
	if err := c.q.open(ctx); err != nil {
		return err
	}
	if err := c.listen(ctx); err != nil {
		return err
	}
	if c.r.Remote != nil {
		if err := c.drain(); err != nil {
			return err
		}
	}
	c.publish(ctx)
	return nil
}

func (c *collector) listen(ctx context.Context) (err error) {
	c.stop()
	if c.cons, err = c.q.collector(ctx); err != nil {
		return err
	}
	in, quit := make(chan jetstream.Msg, 1024), make(chan struct{})
	pass := func(m jetstream.Msg) {
		select {
		case in <- m:
		case <-quit:
		}
	}
	consume, err := c.cons.Consume(pass,
		jetstream.PullMaxMessagesWithBytesLimit(512, 65<<20), // no server takes a message of more than 64 MiB
		jetstream.ConsumeErrHandler(func(jetstream.ConsumeContext, error) {}))
	if err != nil {
		return c.q.explain("collect outcomes", err)
	}
	c.in = in
	c.stop = sync.OnceFunc(func() { close(quit); consume.Stop() })
	return nil
}

// publish queues the missing cells while others are already being worked on.
func (c *collector) publish(ctx context.Context) {
	missing := make(map[string]int, len(c.t.missing))
	for k, i := range c.t.missing {
		missing[k] = i
	}
	sent := make(chan error, 1)
	c.sent = sent
	go func() { sent <- c.q.publish(ctx, c.p, missing) }()
}

// collect returns when no cell is missing.
func (c *collector) collect(ctx context.Context) error {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for len(c.t.missing) > 0 {
		select {
		case m := <-c.in:
			c.idle = 0
			if err := c.record(m); err != nil {
				return err
			}
		case note := <-c.notes:
			c.r.report(c.t.progress(nil, note))
		case err := <-c.sent:
			c.sent = nil
			if err == nil {
				c.fails = 0
			}
			if err := c.forgive(ctx, err); err != nil {
				return err
			}
		case <-second.C:
			c.idle++
			c.r.report(c.t.progress(nil, ""))
			if err := closedError(c.q.nc); err != nil {
				return err
			}
			if err := c.forgive(ctx, c.heal(ctx)); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// gather is how long a commit waits for more outcomes: it costs a sync of the
// disk, however many they are.
const gather = 5 * time.Millisecond

// record makes the message and those that come soon after durable in one
// commit, and only then acknowledges them.
func (c *collector) record(m jetstream.Msg) error {
	msgs := []jetstream.Msg{m}
	soon := time.After(gather)
	for more := true; more && len(msgs) < min(len(c.t.missing), cap(c.in)); {
		select {
		case m := <-c.in:
			msgs = append(msgs, m)
		case <-soon:
			more = false
		}
	}
	var outcomes []store.Outcome
	var settled []jetstream.Msg
	var objects []string
	fresh := map[string]bool{}
	for _, m := range msgs {
		out, err := c.q.read(c.late, m.Data())
		if err != nil && !isUnreadable(err) {
			c.r.report(c.t.progress(nil, "fetching an outcome, trying again: "+err.Error()))
			continue // the queue delivers it again
		}
		settled = append(settled, m)
		if out.Object != "" {
			objects = append(objects, out.Object)
		}
		place, wanted := c.t.missing[out.Key]
		switch {
		case err != nil:
			// Heal queues the cell again.
			c.r.report(c.t.progress(nil, "an outcome cannot be read, its cell is run again: "+err.Error()))
		case out.Code != c.q.job.Code:
			c.r.report(c.t.progress(nil, "an outcome of another version of the program was refused: "+out.Worker))
		case wanted && !fresh[out.Key]:
			fresh[out.Key] = true
			outcomes = append(outcomes, store.Outcome{
				Key: out.Key, Place: place, Tries: out.Tries, Worker: out.Worker,
				Result: lab.Result{Cell: c.p.cells[place], Outcome: out.Outcome, Err: out.Err, Seconds: out.Seconds},
			})
		}
	}
	return c.commit(outcomes, settled, objects)
}

func (c *collector) commit(outcomes []store.Outcome, settled []jetstream.Msg, objects []string) error {
	if len(outcomes) > 0 {
		if err := c.r.Store.Add(c.late, c.p.run.ID, outcomes); err != nil {
			return err
		}
	}
	for _, m := range settled {
		m.Ack() // if it is lost the outcome comes again and changes nothing
	}
	for _, o := range objects {
		c.q.forget(c.late, o)
	}
	for i := range outcomes {
		c.t.finish(outcomes[i].Key, outcomes[i].Result)
		c.r.report(c.t.progress(&outcomes[i].Result, ""))
	}
	return nil
}

// drain records what the queue holds now, as far as the late context allows.
func (c *collector) drain() error {
	for {
		info, err := c.cons.Info(c.late)
		if err != nil {
			return c.q.explain("collect outcomes", err)
		}
		if info.NumPending == 0 && info.NumAckPending == 0 {
			return nil
		}
		select {
		case m := <-c.in:
			if err := c.record(m); err != nil {
				return err
			}
		case <-time.After(5 * time.Millisecond):
		case <-c.late.Done():
			return c.late.Err()
		}
	}
}

// forgive lets an outside server fail to take cells a few times in a row: it may
// be restarting.
func (c *collector) forgive(ctx context.Context, err error) error {
	const most = 10
	switch {
	case err == nil:
	case c.r.Remote == nil || c.fails == most || ctx.Err() != nil:
		return err
	default:
		c.fails++
		c.again = true
		c.r.report(c.t.progress(nil, "trying again: "+err.Error()))
	}
	return nil
}

// heal makes the queue anew when it has been lost, or lost cells: on another's
// server it may be deleted, or kept in the memory of a machine that restarts.
func (c *collector) heal(ctx context.Context) error {
	if c.sent != nil || !c.q.nc.IsConnected() || !c.again && (c.idle < 3 || c.idle%3 != 0) {
		return nil
	}
	turn, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	s, err := c.q.js.Stream(turn, c.q.name)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
	case err != nil:
		return nil // not reachable: nothing to heal yet
	case c.again:
		c.again = false
		c.publish(ctx)
		return nil
	case s.CachedInfo().State.Msgs > 0 || len(c.in) > 0:
		return nil
	}
	c.again = false
	c.r.report(c.t.progress(nil, "the queue has lost cells: queueing them again"))
	if err := c.q.open(ctx); err != nil {
		return err
	}
	if err := c.listen(ctx); err != nil {
		return err
	}
	c.publish(ctx)
	return nil
}
