package quant

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
)

// Reconstruction learns how a layer's weights are rounded, and the scale of its
// output, so that its output stays what it was: AdaRound with QDrop's mixed inputs,
// which the authors of PTQ4DM ship, switched off. The loss of a batch is
//
//	mean over samples of |y − ŷ|² + Penalty·Σ(1 − |2h − 1|^β)
//
// with no penalty during the warm-up, and then β falling linearly from BetaStart to
// BetaEnd. The zero value has the authors' settings.
type Reconstruction struct {
	Steps     int     // 0: 20000
	Batch     int     // samples a step; 0: 32
	Rate      float64 // of Adam on V; 0: 1e-3
	ScaleRate float64 // of Adam on the output's scale, with cosine decay; 0: 4e-5
	Penalty   float64 // 0: 0.01
	BetaStart float64 // 0: 20
	BetaEnd   float64 // 0: 2
	Warmup    float64 // share of the steps; 0: 0.2
	// Mix is the probability that a number of the input is the quantized network's
	// and not the original's (QDrop); 0: 0.5.
	Mix  float64
	Seed uint64
}

// withDefaults fills in what is left zero.
func (m Reconstruction) withDefaults() Reconstruction {
	if m.Steps == 0 {
		m.Steps = 20000
	}
	if m.Batch == 0 {
		m.Batch = 32
	}
	for _, d := range []struct {
		x  *float64
		to float64
	}{{&m.Rate, 1e-3}, {&m.ScaleRate, 4e-5}, {&m.Penalty, 0.01}, {&m.BetaStart, 20}, {&m.BetaEnd, 2}, {&m.Warmup, 0.2}, {&m.Mix, 0.5}} {
		if *d.x == 0 {
			*d.x = d.to
		}
	}
	return m
}

func (m Reconstruction) check() error {
	switch {
	case m.Steps < 1 || m.Batch < 1:
		return fmt.Errorf("quant: reconstruction: %d steps of %d samples: must be positive", m.Steps, m.Batch)
	case !(m.Rate > 0) || !(m.ScaleRate > 0) || !(m.Penalty > 0):
		return fmt.Errorf("quant: reconstruction: rates %g and %g, penalty %g: must be positive", m.Rate, m.ScaleRate, m.Penalty)
	case !(m.BetaEnd >= 1 && m.BetaStart >= m.BetaEnd):
		return fmt.Errorf("quant: reconstruction: beta from %g to %g: must fall, to 1 at least", m.BetaStart, m.BetaEnd)
	case !(m.Warmup < 1) || m.Warmup < 0 || !(m.Mix > 0 && m.Mix <= 1):
		return fmt.Errorf("quant: reconstruction: warm-up %g must be below 1, mix %g in (0, 1]", m.Warmup, m.Mix)
	}
	return nil
}

// beta is β at a step, 0 during the warm-up.
func (m Reconstruction) beta(step int) float64 {
	start := m.Warmup * float64(m.Steps)
	if float64(step) < start {
		return 0
	}
	u := (float64(step) - start) / (float64(m.Steps) - start)
	return m.BetaEnd + (m.BetaStart-m.BetaEnd)*max(0, 1-u)
}

// learn reconstructs a layer: x are its inputs in the original network, xq those in
// the quantized one, both [n, Cols]. It changes the layer's codes and the scale of
// its output.
func (m Reconstruction) learn(ctx context.Context, l *quantizedLayer, x, xq []float64, n int) error {
	m = m.withDefaults()
	if err := m.check(); err != nil {
		return err
	}
	r, err := NewAdaRound(l.Weights.X, l.weights)
	if err != nil {
		return err
	}
	y := l.ChainLayer.forward(l.Weights.X, x, n) // what the output should stay
	src := rand.New(rand.NewPCG(m.Seed, uint64(l.Weights.Cols)<<32|uint64(l.Weights.Rows)))
	opt, scaleOpt := newAdam(len(r.V)), newAdam(1)
	b := min(m.Batch, n)
	s := &learner{l: l, r: r, in: make([]float64, b*l.Weights.Cols), want: make([]float64, b*l.Weights.Rows),
		w: make([]float64, len(r.V)), dw: make([]float64, len(r.V)), dv: make([]float64, len(r.V))}
	for step := range m.Steps {
		if step%64 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		for i := range b {
			k := src.IntN(n)
			copy(s.want[i*l.Weights.Rows:], y[k*l.Weights.Rows:(k+1)*l.Weights.Rows])
			for j := range l.Weights.Cols {
				from := x
				if src.Float64() < m.Mix {
					from = xq
				}
				s.in[i*l.Weights.Cols+j] = from[k*l.Weights.Cols+j]
			}
		}
		dScale := s.step(b)
		if beta := m.beta(step); beta > 0 {
			r.penalty(s.dv, beta, m.Penalty)
		}
		opt.step(r.V, s.dv, m.Rate)
		if len(l.out.Scale) > 0 {
			rate := m.ScaleRate / 2 * (1 + math.Cos(math.Pi*float64(step)/float64(m.Steps)))
			scaleOpt.step(l.out.Scale, []float64{dScale}, rate)
			l.out.Scale[0] = max(l.out.Scale[0], leastScale)
		}
	}
	if l.codes, err = r.Codes(); err != nil {
		return err
	}
	return l.weights.Dequantize(l.w, l.codes)
}

// A learner holds a step's arrays.
type learner struct {
	l         *quantizedLayer
	r         *AdaRound
	in, want  []float64
	w, dw, dv []float64
}

// step writes the gradient of the squared error to dv and gives that of the scale.
// Rounding has the derivative of the identity; that of x̂ by the scale is
// round(x/s) − x/s within the range, and the outermost code beyond it (LSQ).
func (s *learner) step(b int) (dScale float64) {
	l := s.l
	rows, cols := l.Weights.Rows, l.Weights.Cols
	s.r.Soft(s.w) // lengths match
	clear(s.dw)
	clear(s.dv)
	for i := range b {
		in := s.in[i*cols : (i+1)*cols]
		for o := range rows {
			pre := l.Bias[o] + dot64(s.w[o*cols:(o+1)*cols], in)
			y, slope := l.Output.at(pre)
			if len(l.out.Scale) > 0 {
				var within, byScale float64
				y, within, byScale = fakeSlopes(l.out, y)
				d := 2 * (y - s.want[i*rows+o]) / float64(b)
				dScale += d * byScale
				slope *= within
			}
			d := 2 * (y - s.want[i*rows+o]) / float64(b) * slope
			if d == 0 {
				continue
			}
			row := s.dw[o*cols : (o+1)*cols]
			for j, v := range in {
				row[j] += d * v
			}
		}
	}
	s.r.gradient(s.dv, s.dw)
	return dScale
}

// fakeSlopes is x̂ and its derivatives by x and by the scale.
func fakeSlopes(q Affine, x float64) (y, byX, byScale float64) {
	scale, zero := q.Scale[0], float64(q.Zero[0])
	u := x / scale
	code := math.RoundToEven(u) + zero
	if top := float64(q.Levels() - 1); code < 0 || code > top {
		c := max(0, min(code, top)) - zero
		return c * scale, 0, c
	}
	return (code - zero) * scale, 1, code - zero - u
}

// adam is Adam with β = (0.9, 0.999).
type adam struct {
	m, v []float64
	t    float64
}

func newAdam(n int) *adam { return &adam{m: make([]float64, n), v: make([]float64, n)} }

func (a *adam) step(x, g []float64, rate float64) {
	a.t++
	c1, c2 := 1-math.Pow(.9, a.t), 1-math.Pow(.999, a.t)
	for i, d := range g {
		a.m[i] = .9*a.m[i] + .1*d
		a.v[i] = .999*a.v[i] + .001*d*d
		x[i] -= rate * (a.m[i] / c1) / (math.Sqrt(a.v[i]/c2) + 1e-8)
	}
}
