package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/assay-lab/assay/lab"
)

// A crew takes cells from a queue, runs them and hands their outcomes in.
type crew struct {
	q      *queue
	e      *lab.Experiment
	worker string
	slots  chan struct{}    // a token for every cell that may run at once
	say    func(string)     // called from several goroutines
	ran    func(lab.Result) // if set, the same
}

// grace is how long a cell may take to notice that its context is done.
const grace = 250 * time.Millisecond

// workerName tells processes apart in what is recorded.
func workerName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s:%d", host, os.Getpid())
}

// run works until ctx is done. It leaves cells that do not heed their context
// behind.
func (c *crew) run(ctx context.Context) {
	var wg sync.WaitGroup
	for range cap(c.slots) {
		wg.Go(func() { c.loop(ctx) })
	}
	wg.Wait()
}

func (c *crew) loop(ctx context.Context) {
	p := &puller{q: c.q}
	defer p.close()
	const soon, late = time.Millisecond, 100 * time.Millisecond
	wait := soon
	for ctx.Err() == nil && !c.q.nc.IsClosed() {
		select {
		case c.slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		m, err := p.next(ctx)
		if m != nil {
			c.handle(ctx, m)
			wait = soon
		}
		<-c.slots
		if m != nil {
			continue
		}
		if err != nil && !errors.Is(err, errGone) && !errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			c.say("taking a cell: " + err.Error())
			wait = late
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
		wait = min(2*wait, late)
	}
}

// handle does one cell and lets the queue know, now and then, that it is at it.
func (c *crew) handle(ctx context.Context, m *nats.Msg) {
	settled := make(chan bool, 1)
	go func() { settled <- c.settle(ctx, m) }()
	beat := time.NewTicker(c.q.job.AckWait / 3)
	defer beat.Stop()
	answer := func(done bool) {
		if done {
			m.Ack()
		} else {
			m.Nak()
		}
	}
	for {
		select {
		case done := <-settled:
			answer(done)
			return
		case <-beat.C:
			m.InProgress()
		case <-ctx.Done():
			select {
			case done := <-settled:
				answer(done)
			case <-time.After(grace):
				answer(false)
			}
			return
		}
	}
}

// settle runs a cell and hands in what became of it. It returns false if the
// cell is to be tried again.
func (c *crew) settle(ctx context.Context, m *nats.Msg) bool {
	var cell lab.Cell
	meta, err := m.Metadata()
	if err == nil {
		err = json.Unmarshal(m.Data, &cell)
	}
	if err != nil {
		c.say("a message of the queue is not a cell: " + err.Error())
		return true // the coordinator misses the cell and queues it again
	}
	out := outMsg{
		Key:    m.Subject[strings.LastIndexByte(m.Subject, '.')+1:],
		Worker: c.worker, Code: c.q.job.Code, Tries: int(meta.NumDelivered),
	}
	if out.Tries > tries {
		out.Tries = tries
		out.Err = fmt.Sprintf("worker lost: %d workers took the cell and did not answer", tries)
	} else {
		start := time.Now()
		out.Outcome, err = try(ctx, c.e, cell)
		out.Seconds = time.Since(start).Seconds()
		switch {
		case err != nil && ctx.Err() != nil:
			return false // stopped, not failed
		case err != nil && out.Tries < tries:
			return false
		case err != nil:
			out.Err = err.Error()
		}
	}
	if !c.handIn(ctx, cell, out) {
		return false
	}
	if c.ran != nil {
		c.ran(lab.Result{Cell: cell, Outcome: out.Outcome, Err: out.Err, Seconds: out.Seconds})
	}
	return true
}

// handIn does not give up an outcome before ctx is done.
func (c *crew) handIn(ctx context.Context, cell lab.Cell, out outMsg) bool {
	said := false
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		turn, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		err := c.q.handIn(turn, out)
		cancel()
		if err == nil || ctx.Err() != nil || c.q.nc.IsClosed() {
			return err == nil
		}
		if !said {
			said = true
			c.say(fmt.Sprintf("handing in %s, trying again: %v", cell, err))
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// try runs a cell and makes an error of a panic. The cell has a goroutine of
// its own, which it may end.
func try(ctx context.Context, e *lab.Experiment, cell lab.Cell) (lab.Outcome, error) {
	type result struct {
		o   lab.Outcome
		err error
	}
	ended := make(chan result, 1)
	go func() {
		r := result{err: errors.New("the cell ended its goroutine (runtime.Goexit)")}
		defer func() {
			if p := recover(); p != nil {
				r = result{err: fmt.Errorf("panic: %v\n%s", p, panicSite(string(debug.Stack())))}
			}
			ended <- r
		}()
		r.o, r.err = e.Run(ctx, cell)
	}()
	r := <-ended
	return r.o, r.err
}

// panicSite is the top of the stack of the function that panicked.
func panicSite(stack string) string {
	lines := strings.Split(strings.TrimSpace(stack), "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, "panic(") && i+2 < len(lines) {
			lines = lines[i+2:] // its own two lines and all above
			break
		}
	}
	return strings.Join(lines[:min(len(lines), 10)], "\n")
}
