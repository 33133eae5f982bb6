package web

import (
	"context"
	"errors"
	"runtime"
	"runtime/metrics"
	"time"
)

// errMemory says that a run was stopped for what it took.
var errMemory = errors.New("it needed more memory than runs may take here: ask for fewer or smaller samples at once, or a smaller model")

// heapBytes is what Go's heap holds.
func heapBytes() int64 {
	m := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(m)
	return int64(m[0].Value.Uint64())
}

// watchMemory stops the youngest run while the heap holds more than runs may take. No
// form tells beforehand what a run will need: that is up to its method and its model.
// It is a net with holes: what a cell takes at one stroke is there before it is seen,
// and what a runtime outside of Go holds is not counted.
func (q *queue) watchMemory(ctx context.Context, most int64) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if heapBytes() <= most {
			continue
		}
		l := q.youngest()
		if l == nil {
			continue
		}
		if runtime.GC(); heapBytes() <= most { // the rest was garbage
			continue
		}
		q.server.cfg.Log.Warn("a run is stopped for its memory", "bytes", heapBytes(), "most", most)
		l.cancel(errMemory)
		select {
		case <-time.After(2 * time.Second): // it takes a moment to let go
			runtime.GC()
		case <-ctx.Done():
			return
		}
	}
}

// youngest is the run that began last, of those that nobody has stopped.
func (q *queue) youngest() (last *live) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, l := range q.live {
		if l.ctx.Err() == nil && (last == nil || l.began.After(last.began)) {
			last = l
		}
	}
	return last
}
