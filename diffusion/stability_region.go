package diffusion

import (
	"context"
	"fmt"
	"math"
	"math/cmplx"
)

// DefaultLogStep is the step in λ = −log ρ at which methods are looked at that are
// steady on grids even in it: 20 steps over a range of 10, such as image models have.
const DefaultLogStep = 0.5

// stabilitySteps is enough for every start and end to be over.
const stabilitySteps = 32

// StabilityOf traces a method on a grid on which it is steady. Methods that work with
// the noise prediction are looked at on one even in ρ; those that integrate in λ on
// one even in λ with the given step, where the region depends on it (0:
// [DefaultLogStep]; small steps give that of the classical method of their order).
// logEven says which of them it is.
func StabilityOf(m Method, logStep float64) (s *Stability, logEven bool, err error) {
	if logStep == 0 {
		logStep = DefaultLogStep
	}
	if !(logStep > 0 && logStep <= 5) {
		return nil, false, fmt.Errorf("diffusion: step in λ = %g: must be from 0 to 5", logStep)
	}
	even := EDM{SigmaMin: 1, SigmaMax: stabilitySteps + 1}
	span := math.Exp(logStep * stabilitySteps / 2)
	log := EDM{SigmaMin: 1 / span, SigmaMax: span}
	var first error
	for _, try := range []struct {
		schedule Schedule
		spacing  Spacing
		predicts Prediction
	}{
		{even, TimeUniform, Noise},
		{log, LogSNR, Data},
		{constantNoise{log}, LogSNR, Noise},
	} {
		g := Grid{Schedule: try.schedule, Spacing: try.spacing, Steps: stabilitySteps}
		tp, err := Trace(m, g, TraceOptions{Predicts: try.predicts})
		if err == nil {
			s, err = NewStability(tp)
		}
		if err == nil {
			return s, s.grid.step == 0, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, false, first
}

// constantNoise is a schedule with σ = 1, x = y/ρ: there noise predictions have the
// unit of the state on a grid even in log ρ.
type constantNoise struct{ EDM }

// At gives the level at time t.
func (s constantNoise) At(t float64) Level {
	return Level{T: t, Alpha: 1 / t, Sigma: 1, Lambda: -math.Log(t)}
}

// outside is how much larger than 1 the radius must be to count as unstable: roundings
// of simple roots on the unit circle are far below.
const outside = 1e-9

// The distances between which a ray is searched for the end of a region, and by how
// much it advances.
const (
	nearest  = 1e-3
	furthest = 100
	advance  = 1.01
)

// Reach is how far the region goes from the origin at an angle in degrees: 180 is
// along the negative real axis, 90 along the imaginary one. It is 0 where the region
// does not begin at the origin, and +Inf past 100.
func (s *Stability) Reach(degrees float64) (float64, error) {
	if math.IsNaN(degrees) || math.IsInf(degrees, 0) {
		return 0, fmt.Errorf("diffusion: angle = %g: must be finite", degrees)
	}
	sin, cos := math.Sincos(degrees * math.Pi / 180)
	if math.Mod(math.Abs(degrees), 360) == 180 {
		sin = 0 // π is not a float
	}
	stable := func(r float64) (bool, error) {
		radius, err := s.Radius(complex(r*cos, r*sin))
		return radius <= 1+outside, err
	}
	in, out := 0.0, nearest
	for {
		ok, err := stable(out)
		if err != nil {
			return 0, err
		}
		if !ok {
			break
		}
		if in, out = out, out*advance; out > furthest {
			return math.Inf(1), nil
		}
	}
	if in == 0 {
		return 0, nil
	}
	for range 60 {
		mid := (in + out) / 2
		ok, err := stable(mid)
		if err != nil {
			return 0, err
		}
		if ok {
			in = mid
		} else {
			out = mid
		}
	}
	return in, nil
}

// A Window is a rectangle of the complex plane.
type Window struct{ Min, Max complex128 }

// Boundary draws the line where the radius is 1 in a window with rows of points: the
// edges of the region as polygons, closed along the window's own edges. The region is
// on their inside.
func (s *Stability) Boundary(ctx context.Context, w Window, rows int) ([][]complex128, error) {
	width, height := real(w.Max-w.Min), imag(w.Max-w.Min)
	if !(width > 0 && height > 0) || cmplx.IsInf(w.Max-w.Min) || rows < 2 || rows > 2000 {
		return nil, fmt.Errorf("diffusion: window from %g to %g with %d rows: must have an extent, and 2 to 2000 rows", w.Min, w.Max, rows)
	}
	ny := rows + 1
	h := height / float64(rows)
	nx := int(math.Ceil(width/h)) + 1
	f := newField(w.Min, h, nx, ny)
	for i := 1; i <= nx; i++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for j := 1; j <= ny; j++ {
			// Real coefficients: the lower half mirrors the upper where the window does.
			if k := ny + 1 - j; k < j && imag(w.Min) == -imag(w.Max) {
				f.set(i, j, f.at(i, k))
				continue
			}
			r, err := s.Radius(f.point(i, j))
			if err != nil {
				return nil, err
			}
			f.set(i, j, 1-r)
		}
	}
	return f.contours(), nil
}

// Extent is a window that holds the region, as far as rays to the left of the
// imaginary axis find it, with a margin.
func (s *Stability) Extent() (Window, error) {
	left, high := 0.0, 0.0
	for degrees := 92.0; degrees <= 180; degrees += 8 {
		r, err := s.Reach(degrees)
		if err != nil {
			return Window{}, err
		}
		if math.IsInf(r, 1) {
			r = furthest
		}
		sin, cos := math.Sincos(degrees * math.Pi / 180)
		left, high = max(left, -r*cos), max(high, r*sin)
	}
	if left == 0 { // nothing is stable
		left, high = 1, 1
	}
	return Window{Min: complex(-1.12*left, -1.25*high), Max: complex(0.25*max(left, high/2), 1.25*high)}, nil
}
