package quant

import (
	"fmt"
	"math"
)

// The stretched sigmoid of AdaRound (Nagel et al. 2020, eq. 23).
const (
	stretchTop    = 1.1  // ζ
	stretchBottom = -0.1 // γ
)

// An AdaRound is learned rounding of weights [channels, ...]: which of the two
// neighbouring codes each weight takes is a variable V.
//
//	ŵ = s·(clamp(⌊w/s⌋ + h(V) + z, 0, 2^b − 1) − z)   h(V) = clip(1.2·σ(V) − 0.1, 0, 1)
//
// AdaRound, Nagel et al. 2020, as QDrop (Wei et al. 2022) and the authors of PTQ4DM
// have it.
type AdaRound struct {
	Quantizer Affine
	V         []float64
	floor     []float64 // ⌊w/s⌋
}

// NewAdaRound starts the variables where h(V) is the fraction that rounding down
// would lose, so that soft rounding begins at the weights themselves.
func NewAdaRound(w []float64, q Affine) (*AdaRound, error) {
	if err := finite("weights", w); err != nil {
		return nil, err
	}
	r := &AdaRound{q, make([]float64, len(w)), make([]float64, len(w))}
	err := q.each(len(w), func(i, c int) {
		u := w[i] / q.Scale[c]
		r.floor[i] = math.Floor(u)
		r.V[i] = -math.Log((stretchTop-stretchBottom)/(u-r.floor[i]-stretchBottom) - 1)
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// soften is h(V), and its derivative.
func soften(v float64) (h, slope float64) {
	s := 1 / (1 + math.Exp(-v))
	h = (stretchTop-stretchBottom)*s + stretchBottom
	if h <= 0 || h >= 1 {
		return max(0, min(h, 1)), 0
	}
	return h, (stretchTop - stretchBottom) * s * (1 - s)
}

// Soft writes the weights of fractional rounding to dst.
func (r *AdaRound) Soft(dst []float64) error {
	return r.write(dst, func(v float64) float64 { h, _ := soften(v); return h })
}

// Hard writes those of rounding up where V ≥ 0 to dst.
func (r *AdaRound) Hard(dst []float64) error { return r.write(dst, up) }

func up(v float64) float64 {
	if v >= 0 {
		return 1
	}
	return 0
}

func (r *AdaRound) write(dst []float64, h func(v float64) float64) error {
	if len(dst) != len(r.V) {
		return fmt.Errorf("quant: %d numbers for %d weights", len(dst), len(r.V))
	}
	top := float64(r.Quantizer.Levels() - 1)
	return r.Quantizer.each(len(dst), func(i, c int) {
		z := float64(r.Quantizer.Zero[c])
		q := max(0, min(r.floor[i]+h(r.V[i])+z, top))
		dst[i] = (q - z) * r.Quantizer.Scale[c]
	})
}

// Codes are the codes of hard rounding.
func (r *AdaRound) Codes() ([]uint8, error) {
	codes := make([]uint8, len(r.V))
	err := r.Quantizer.each(len(codes), func(i, c int) {
		codes[i] = uint8(clamp(r.floor[i]+up(r.V[i])+float64(r.Quantizer.Zero[c]), r.Quantizer.Levels()-1))
	})
	return codes, err
}

// gradient adds to dv that of the variables, given that of the soft weights.
func (r *AdaRound) gradient(dv, dw []float64) {
	top := float64(r.Quantizer.Levels() - 1)
	n := len(r.V) / len(r.Quantizer.Scale)
	for i, v := range r.V {
		c := i / n
		h, slope := soften(v)
		if q := r.floor[i] + h + float64(r.Quantizer.Zero[c]); q >= 0 && q <= top {
			dv[i] += dw[i] * slope * r.Quantizer.Scale[c]
		}
	}
}

// penalty is Σ 1 − |2h − 1|^β, and adds weight times its gradient to dv.
func (r *AdaRound) penalty(dv []float64, beta, weight float64) float64 {
	var sum float64
	for i, v := range r.V {
		h, slope := soften(v)
		u := 2*h - 1
		sum += 1 - math.Pow(math.Abs(u), beta)
		dv[i] -= weight * beta * math.Pow(math.Abs(u), beta-1) * math.Copysign(2*slope, u)
	}
	return sum
}
