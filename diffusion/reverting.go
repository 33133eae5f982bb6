package diffusion

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/assay-lab/assay/internal/kern"
)

// A MeanModel is a trained mean-reverting model: it sees the degraded images beside
// the noisy ones. It is no [Denoiser]; [Reverting] makes one of it.
//
// DenoiseMean writes the prediction for n samples x, row by row, that revert to mu to
// dst. at has one level for the whole batch or one for every sample, in the unit of
// the data: x = α·x₀ + (1 − α)·μ + σ·ε. Predictions are ε, x₀, the score −ε/σ, or
// the velocity s·α·ε − (σ/s)·(x₀ − μ).
type MeanModel[T Float] interface {
	Predicts() Prediction
	DenoiseMean(ctx context.Context, dst, x, mu []T, n int, at []Level) error
}

// A MeanFunc is a MeanModel made of a function.
type MeanFunc[T Float] struct {
	Prediction Prediction
	F          func(ctx context.Context, dst, x, mu []T, n int, at []Level) error
}

// Predicts says what F estimates.
func (f MeanFunc[T]) Predicts() Prediction { return f.Prediction }

// DenoiseMean calls F.
func (f MeanFunc[T]) DenoiseMean(ctx context.Context, dst, x, mu []T, n int, at []Level) error {
	return f.F(ctx, dst, x, mu, n, at)
}

// A Reverter is a [Denoiser] that works on a mean-reverting process alone. Wrappers of
// one say so too; others give nil.
type Reverter interface{ Reverts() *MeanReverting }

// Reverting binds a mean-reverting model to the images mu that it shall restore. The
// result is a denoiser of y = (x − μ)/s, which lives on the levels of p: asked at any
// other, it refuses.
func Reverting[T Float](p *MeanReverting, m MeanModel[T], mu []T) (Denoiser[T], error) {
	switch {
	case p == nil:
		return nil, errors.New("diffusion: no mean-reverting process")
	case m == nil:
		return nil, errors.New("diffusion: no model")
	case len(mu) == 0:
		return nil, errors.New("diffusion: no images to revert to")
	}
	for i, v := range mu {
		if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, fmt.Errorf("diffusion: mu[%d] = %g: must be finite", i, f)
		}
	}
	return reverting[T]{p, m, mu}, nil
}

type reverting[T Float] struct {
	p     *MeanReverting
	model MeanModel[T]
	mu    []T
}

// Predicts is what the model estimates, of y.
func (r reverting[T]) Predicts() Prediction { return r.model.Predicts() }

// Reverts is the process.
func (r reverting[T]) Reverts() *MeanReverting { return r.p }

// Denoise asks the model at x = μ + s·y.
func (r reverting[T]) Denoise(ctx context.Context, dst, y []T, n int, at []Level) error {
	if len(y) != len(r.mu) || len(dst) != len(y) {
		return fmt.Errorf("diffusion: %d values of x for %d of mu: they must be of one shape", len(y), len(r.mu))
	}
	levels := make([]Level, len(at))
	for i, l := range at {
		if err := r.p.owns(l); err != nil {
			return err
		}
		levels[i] = r.p.Outer(l)
	}
	x := outer(r.p.S, y, r.mu)
	if err := r.model.DenoiseMean(ctx, dst, x, r.mu, n, levels); err != nil {
		return err
	}
	switch s := r.p.S; r.Predicts() {
	case Data:
		kern.Comb(dst, []T{T(1 / s), T(-1 / s)}, [][]T{dst, r.mu})
	case Velocity:
		kern.Comb(dst, []T{T(1 / s)}, [][]T{dst})
	case Score:
		kern.Comb(dst, []T{T(s)}, [][]T{dst})
	}
	return nil
}

// owns wants a level of the process.
func (p *MeanReverting) owns(l Level) error {
	const tolerance = 1e-6 // inverting λ loses digits near t = 0
	want := p.At(l.T)
	if math.Abs(l.Alpha-want.Alpha) > tolerance || math.Abs(l.Sigma-want.Sigma) > tolerance || math.IsNaN(l.Alpha+l.Sigma) {
		return fmt.Errorf("diffusion: level t = %g with α = %.4g, σ = %.4g: the model is mean-reverting, and its process has α = %.4g, σ = %.4g there: sample on its own schedule",
			l.T, l.Alpha, l.Sigma, want.Alpha, want.Sigma)
	}
	return nil
}

// outer is x = μ + s·y.
func outer[T Float](s float64, y, mu []T) []T {
	x := make([]T, len(y))
	kern.Comb(x, []T{1, T(s)}, [][]T{mu, y})
	return x
}

// revertsTo is the process of a mean-reverting model, nil for another.
func revertsTo(model any) *MeanReverting {
	if r, ok := model.(Reverter); ok {
		return r.Reverts()
	}
	return nil
}

// checkReversion refuses a mean-reverting model on another schedule, and any other
// model on a mean-reverting one.
func checkReversion(model any, s Schedule) error {
	p, _ := s.(*MeanReverting)
	own := revertsTo(model)
	switch {
	case own == nil && p == nil:
		return nil
	case own == nil:
		return errors.New("diffusion: the schedule is mean-reverting, but the model knows no mean to revert to: use Restore, or a schedule such as ddpm-linear")
	case p == nil:
		return fmt.Errorf("diffusion: the model is mean-reverting: it can only be sampled on its own schedule, not on %T", s)
	case own.Reversion != p.Reversion:
		return fmt.Errorf("diffusion: the model is of the mean-reverting process %+v, the grid of %+v", own.Reversion, p.Reversion)
	}
	return nil
}
