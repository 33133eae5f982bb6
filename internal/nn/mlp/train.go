package mlp

import (
	"math"
	"math/rand/v2"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/internal/gemm"
)

// A trainer holds one step's arrays.
type trainer struct {
	r        Recipe
	schedule diffusion.Schedule
	sample   func(n int, src *rand.Rand) []float64
	act      [][]float32 // inputs of the layers [batch, features]
	pre      [][]float32 // what the layers give, before SiLU
	back     [][]float32 // gradients of both
	noise    []float32
}

func newTrainer(r Recipe, s diffusion.Schedule, sample func(n int, src *rand.Rand) []float64) *trainer {
	t := &trainer{r: r, schedule: s, sample: sample, noise: make([]float32, r.Batch*r.Dim)}
	for _, n := range r.sizes() {
		t.act = append(t.act, make([]float32, r.Batch*n))
		t.pre = append(t.pre, make([]float32, r.Batch*n))
		t.back = append(t.back, make([]float32, r.Batch*n))
	}
	return t
}

// gradient is that of the mean square error of the noise.
func (t *trainer) gradient(step int, w, grad []float32) (float64, error) {
	t.batch(step)
	return t.backward(t.r.layout().Split(w), t.r.layout().Split(grad)), nil
}

// backward runs the batch forwards and back, and gives its loss.
func (t *trainer) backward(w, g [][]float32) float64 {
	s, b := t.r.sizes(), t.r.Batch
	last := len(s) - 1
	for i := range last {
		y := t.pre[i+1]
		gemm.Mul(y, gemm.Matrix{X: t.act[i], Rows: b, Cols: s[i]}, gemm.Matrix{X: w[2*i], Rows: s[i], Cols: s[i+1], T: true}, false)
		for k := range y {
			y[k] += w[2*i+1][k%s[i+1]]
			if i < last-1 {
				t.act[i+1][k] = y[k] * sigmoid(y[k])
			}
		}
	}
	var loss float64
	d := t.back[last]
	for k, y := range t.pre[last] {
		e := y - t.noise[k]
		loss += float64(e) * float64(e) / float64(len(d))
		d[k] = 2 * e / float32(len(d))
	}
	for i := last - 1; i >= 0; i-- {
		d := t.back[i+1]
		gemm.Mul(g[2*i], gemm.Matrix{X: d, Rows: s[i+1], Cols: b, T: true}, gemm.Matrix{X: t.act[i], Rows: b, Cols: s[i]}, false)
		clear(g[2*i+1])
		for k, v := range d {
			g[2*i+1][k%s[i+1]] += v
		}
		if i == 0 {
			break
		}
		gemm.Mul(t.back[i], gemm.Matrix{X: d, Rows: b, Cols: s[i+1]}, gemm.Matrix{X: w[2*i], Rows: s[i+1], Cols: s[i]}, false)
		for k, x := range t.pre[i] {
			p := sigmoid(x)
			t.back[i][k] *= p * (1 + x*(1-p))
		}
	}
	return loss
}

func sigmoid(x float32) float32 { return float32(1 / (1 + math.Exp(-float64(x)))) }
