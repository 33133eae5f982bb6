package quant

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/floats"
)

// Salience estimates how much the loss suffers when a row of weights is rounded
// to nearest (MixLLM, Zheng et al. 2024, section 3.2). With the rounding error Δ
// and one sequence's gradient of the loss G,
//
//	d_o = Σ_i G_oi·Δ_oi    S_o += |d_o + d_o²/2|
//
// which is the second-order expansion of the change by row o, with the empirical
// Fisher matrix g·gᵀ for the Hessian. The absolute value comes last, for every
// sequence by itself. The first-order term is kept, for a trained network is not
// exactly at a minimum.
type Salience struct {
	Spec            Spec // of the narrower of the two widths in question
	SecondOrderOnly bool // leave out the first-order term
	Diagonal        bool // take the Fisher matrix's diagonal: e_oi + e_oi²/2, summed over i
}

// A Scorer scores the rows of one layer.
type Scorer struct {
	Salience
	sequences int
	delta     Dense
	scores    []float64
}

// Scorer begins to score weights.
func (s Salience) Scorer(w Dense) (*Scorer, error) {
	m, err := RTN(w, s.Spec)
	if err != nil {
		return nil, err
	}
	d := m.Dequantize()
	floats.Sub(d.X, w.X)
	return &Scorer{Salience: s, delta: d, scores: make([]float64, w.Rows)}, nil
}

// Add adds one calibration sequence: the layer's inputs x [tokens, Cols] and the
// gradient of the sequence's loss by its outputs [tokens, Rows].
func (s *Scorer) Add(x, grad Dense) error {
	if err := x.check("calibration input"); err != nil {
		return err
	}
	if err := grad.check("gradient"); err != nil {
		return err
	}
	rows, cols := s.delta.Rows, s.delta.Cols
	if x.Rows == 0 || x.Cols != cols || grad.Rows != x.Rows || grad.Cols != rows {
		return fmt.Errorf("quant: calibration of %d×%d weights: input [%d, %d], gradient [%d, %d]: want [n, %d] and [n, %d], n > 0",
			rows, cols, x.Rows, x.Cols, grad.Rows, grad.Cols, cols, rows)
	}
	g := Dense{rows, cols, make([]float64, rows*cols)}
	blas64.Gemm(blas.Trans, blas.NoTrans, 1, general(grad), general(x), 0, general(g))
	for o := range rows {
		s.scores[o] += math.Abs(s.change(g.Row(o), s.delta.Row(o)))
	}
	s.sequences++
	return nil
}

func general(d Dense) blas64.General {
	return blas64.General{Rows: d.Rows, Cols: d.Cols, Stride: d.Cols, Data: d.X}
}

// change is the expected change of the loss.
func (s *Scorer) change(g, delta []float64) float64 {
	expand := func(d float64) float64 {
		if s.SecondOrderOnly {
			return d * d / 2
		}
		return d + d*d/2
	}
	if !s.Diagonal {
		return expand(floats.Dot(g, delta))
	}
	var sum float64
	for i := range g {
		sum += expand(g[i] * delta[i])
	}
	return sum
}

// Scores are the rows' scores, summed over the sequences.
func (s *Scorer) Scores() ([]float64, error) {
	if s.sequences == 0 {
		return nil, fmt.Errorf("quant: salience without calibration sequences")
	}
	for o, x := range s.scores {
		if math.IsInf(x, 0) || math.IsNaN(x) {
			return nil, fmt.Errorf("quant: salience of row %d is %g: gradients too large", o, x)
		}
	}
	return s.scores, nil
}

// WeightError scores rows by the square of their rounding error, Σ_i Δ_oi². It
// needs no calibration, and knows nothing of the loss.
func WeightError(w Dense, s Spec) ([]float64, error) {
	m, err := RTN(w, s)
	if err != nil {
		return nil, err
	}
	d := m.Dequantize()
	floats.Sub(d.X, w.X)
	scores := make([]float64, w.Rows)
	for o := range scores {
		scores[o] = floats.Dot(d.Row(o), d.Row(o))
	}
	return scores, nil
}
