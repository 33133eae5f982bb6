package adjoint_test

import (
	"context"
	"math"
	"runtime"
	"testing"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/adjoint"
)

// bell is a Gaussian's noise prediction on states of any size, which allocates
// nothing and notes the heap.
type bell struct {
	peak  *uint64
	every int // how many calls pass between notes
	calls *int
}

func (b bell) gain(l diffusion.Level) float64 {
	return l.Sigma / (.25*l.Alpha*l.Alpha + l.Sigma*l.Sigma)
}

func (b bell) Predicts() diffusion.Prediction { return diffusion.Noise }
func (b bell) Params() int                    { return 0 }

func (b bell) Denoise(_ context.Context, dst, x []float64, _ int, at []diffusion.Level) error {
	k := b.gain(at[0])
	for i, v := range x {
		dst[i] = k * v
	}
	if *b.calls++; *b.calls%b.every != 0 {
		return nil
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	*b.peak = max(*b.peak, m.HeapAlloc)
	return nil
}

func (b bell) VJP(ctx context.Context, gx, _, a []float64, n int, at []diffusion.Level, _ []float64, _ float64) error {
	return b.Denoise(ctx, gx, a, n, at)
}

// TestHeap measures what the garbage collector sees: kept states are N + 2 at most
// beyond the four of one evaluation with its product (state, prediction, gradient
// before and behind); without kept states the memory is the same for 10 and for 200
// steps. The counted figure agrees.
func TestHeap(t *testing.T) {
	const size = 1 << 17 // the programs of 200 steps are a small part of a state then
	x := make([]float64, size)
	for i := range x {
		x[i] = math.Sin(float64(i))
	}
	// in states
	heap := func(steps int, m diffusion.Method, o adjoint.Options) (measured, counted float64) {
		runtime.GC()
		var before runtime.MemStats
		runtime.ReadMemStats(&before)
		var peak uint64
		g := solve(t, diffusion.Problem[float64]{Model: bell{&peak, (1 + steps/6) | 1, new(int)}, N: 1, X: x, Grid: diffusion.Grid{Schedule: diffusion.VPLinear{}, Steps: steps, End: .01, Start: 1}}, m, o)
		return float64(peak-before.HeapAlloc) / (8 * size), float64(g.Bytes) / (8 * size)
	}
	for _, mode := range []adjoint.Mode{adjoint.Discrete, adjoint.Continuous} {
		for _, n := range []int{10, 40} {
			measured, counted := heap(n, euler, adjoint.Options{Mode: mode})
			if most := float64(n + 2 + 4); measured > most || counted > most || measured > counted+.2 {
				t.Errorf("%v, %d steps: %.2f states on the heap, %.2f counted, want %g at most", mode, n, measured, counted, most)
			}
		}
		for _, m := range []diffusion.Method{euler, rk4} {
			o := adjoint.Options{Mode: mode, Checkpoint: adjoint.None, Tolerance: math.MaxFloat64}
			few, _ := heap(10, m, o)
			many, _ := heap(200, m, o)
			if math.Abs(many-few) > .1*few {
				t.Errorf("%v without states, %T: %.2f states with 10 steps, %.2f with 200", mode, m, few, many)
			}
		}
	}
}
