package diffusion

import (
	"context"
	"fmt"
)

// AsNoise is the model as one that predicts noise, whatever it predicts. Data
// predictions say nothing of the noise at σ = 0, scores nothing that is finite.
func AsNoise[T Float](m Denoiser[T]) Denoiser[T] {
	if m.Predicts() == Noise {
		return m
	}
	return asNoise[T]{m}
}

type asNoise[T Float] struct{ model Denoiser[T] }

// Predicts is Noise.
func (asNoise[T]) Predicts() Prediction { return Noise }

// Reverts is the mean-reverting process of the model, if it is of one.
func (a asNoise[T]) Reverts() *MeanReverting { return revertsTo(a.model) }

// Passes are those of the model.
func (a asNoise[T]) Passes() int { return Passes(a.model) }

// Denoise asks the model and solves x = α·x₀ + σ·ε for ε.
func (a asNoise[T]) Denoise(ctx context.Context, dst, x []T, n int, at []Level) error {
	if err := a.model.Denoise(ctx, dst, x, n, at); err != nil {
		return err
	}
	if len(at) == 0 || n < 1 || len(at) != 1 && len(at) != n {
		return fmt.Errorf("diffusion: %d levels for %d samples: must be 1 or %d", len(at), n, n)
	}
	d := len(x) / n
	for i := range n {
		l := at[0]
		if len(at) == n {
			l = at[i]
		}
		p, q := noiseFrom(a.model.Predicts(), l)
		for j := i * d; j < (i+1)*d; j++ {
			dst[j] = T(p*float64(dst[j]) + q*float64(x[j]))
		}
	}
	return nil
}

// noiseFrom gives p and q with ε = p·prediction + q·x.
func noiseFrom(what Prediction, l Level) (p, q float64) {
	switch what {
	case Data:
		return -l.Alpha / l.Sigma, 1 / l.Sigma
	case Velocity: // v = α·ε − σ·(x − σ·ε)/α
		norm := l.Alpha*l.Alpha + l.Sigma*l.Sigma
		return l.Alpha / norm, l.Sigma / norm
	case Score:
		return -l.Sigma, 0
	}
	return 1, 0
}

// Widen is a model of float32 for states of float64, which are rounded for it.
func Widen(m Denoiser[float32]) Denoiser[float64] { return widened{m} }

type widened struct{ model Denoiser[float32] }

// Predicts says what the model estimates.
func (w widened) Predicts() Prediction { return w.model.Predicts() }

// Reverts is the mean-reverting process of the model, if it is of one.
func (w widened) Reverts() *MeanReverting { return revertsTo(w.model) }

// Passes are those of the model.
func (w widened) Passes() int { return Passes(w.model) }

// Denoise asks the model.
func (w widened) Denoise(ctx context.Context, dst, x []float64, n int, at []Level) error {
	return w.DenoisePart(ctx, WholeModel, dst, x, n, at)
}

// PartPasses are those of the model.
func (w widened) PartPasses(part Part) int {
	if p, ok := w.model.(Parted[float32]); ok {
		return p.PartPasses(part)
	}
	return w.Passes()
}

// DenoisePart asks a part of the model, where it has parts.
func (w widened) DenoisePart(ctx context.Context, part Part, dst, x []float64, n int, at []Level) error {
	if len(dst) != len(x) {
		return fmt.Errorf("diffusion: %d values for the result of %d", len(dst), len(x))
	}
	both := make([]float32, 2*len(x))
	in, out := both[:len(x)], both[len(x):]
	for i, v := range x {
		in[i] = float32(v)
	}
	if err := denoisePart(ctx, w.model, part, out, in, n, at); err != nil {
		return err
	}
	for i, v := range out {
		dst[i] = float64(v)
	}
	return nil
}
