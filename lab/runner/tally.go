package runner

import (
	"time"

	"github.com/assay-lab/assay/lab"
)

// A tally counts a run's cells.
type tally struct {
	run     string
	total   int
	missing map[string]int // key to place, of the cells without a durable outcome
	failed  int
	resumed int
	start   time.Time
}

func newTally(p *plan, failed map[string]bool, retry bool) *tally {
	t := &tally{run: p.run.ID, total: len(p.cells), missing: map[string]int{}, start: time.Now()}
	for i, k := range p.keys {
		f, ok := failed[k]
		switch {
		case !ok || f && retry:
			t.missing[k] = i
		default:
			t.resumed++
			if f {
				t.failed++
			}
		}
	}
	return t
}

// finish counts an outcome that has become durable.
func (t *tally) finish(key string, r lab.Result) {
	delete(t.missing, key)
	if r.Err != "" {
		t.failed++
	}
}

func (t *tally) done() int { return t.total - len(t.missing) }

func (t *tally) progress(last *lab.Result, note string) Progress {
	p := Progress{
		Run: t.run, Done: t.done(), Failed: t.failed, Total: t.total, Resumed: t.resumed,
		Elapsed: time.Since(t.start), Last: last, Note: note,
	}
	if here := p.Done - p.Resumed; here > 0 {
		p.Left = time.Duration(float64(p.Elapsed) / float64(here) * float64(len(t.missing)))
	}
	return p
}
