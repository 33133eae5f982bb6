package diffusion

import (
	"cmp"
	"context"
	"fmt"
)

// EpsilonScaling is a model whose noise prediction is divided by a number a little
// above 1: Ning et al., ICLR 2024 (arXiv 2308.15321), the other training-free answer
// to exposure bias. At time t the number is K + Slope·t. What the authors of
// [TimeShift] call linear, 1 + s·i at step i of S even ones from t = 1, is K = 1 + s·S
// and Slope = −s·S.
type EpsilonScaling[T Float] struct {
	Model Denoiser[T]
	K     float64 // 0: 1.0012
	Slope float64
}

// Predicts is Noise, whatever the model predicts.
func (EpsilonScaling[T]) Predicts() Prediction { return Noise }

// Passes are those of the model.
func (e EpsilonScaling[T]) Passes() int { return Passes(e.Model) }

// Denoise asks the model.
func (e EpsilonScaling[T]) Denoise(ctx context.Context, dst, x []T, n int, at []Level) error {
	k := cmp.Or(e.K, 1.0012)
	for _, l := range at {
		if k := k + e.Slope*l.T; !(k > 0) {
			return fmt.Errorf("diffusion: epsilon scaling by %g at t = %g: must be positive", k, l.T)
		}
	}
	if err := AsNoise(e.Model).Denoise(ctx, dst, x, n, at); err != nil {
		return err
	}
	if len(at) == 0 || len(at) != 1 && len(at) != n {
		return fmt.Errorf("diffusion: %d levels for %d samples: must be 1 or %[2]d", len(at), n)
	}
	d := len(dst) / n
	for i := range n {
		scale := T(1 / (k + e.Slope*at[min(i, len(at)-1)].T))
		for j := i * d; j < (i+1)*d; j++ {
			dst[j] *= scale
		}
	}
	return nil
}
