package adjoint

import (
	"context"

	"github.com/assay-lab/assay/diffusion"
)

// A recorder makes a model keep what its gradient needs, evaluation by evaluation.
type recorder[T diffusion.Float] struct {
	Recorder[T]
	pulls     map[int]Pull[T] // by step and evaluation
	sizes     map[int]int
	now, peak int // numbers kept
	next      int // the next evaluation
	order     []int
}

// stepEvals bounds the evaluations of one step in the numbering.
const stepEvals = 1 << 20

func (r *recorder[T]) begin(step int) { r.next = step * stepEvals }

// back says which evaluations of a step the next products belong to.
func (r *recorder[T]) back(step int, evals []int) {
	r.order = r.order[:0]
	for _, e := range evals {
		r.order = append(r.order, step*stepEvals+e)
	}
}

// Denoise records.
func (r *recorder[T]) Denoise(ctx context.Context, dst, x []T, n int, at []diffusion.Level) error {
	pull, numbers, err := r.Record(ctx, dst, x, n, at)
	if err != nil {
		return err
	}
	if r.sizes == nil {
		r.sizes = map[int]int{}
	}
	r.pulls[r.next], r.sizes[r.next] = pull, numbers
	r.now += numbers
	r.peak = max(r.peak, r.now)
	r.next++
	return nil
}

// VJP pulls back through the evaluation whose turn it is.
func (r *recorder[T]) VJP(ctx context.Context, gx, x, a []T, n int, at []diffusion.Level, params []float64, weight float64) error {
	e := r.order[0]
	r.order = r.order[1:]
	pull := r.pulls[e]
	r.now -= r.sizes[e]
	delete(r.pulls, e)
	delete(r.sizes, e)
	return pull(ctx, gx, a, params, weight)
}
