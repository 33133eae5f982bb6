package gmm

import (
	"context"
	"fmt"

	"github.com/assay-lab/assay/diffusion"
)

// Reverting is the exact mean-reverting model of data that know nothing of μ, made of
// their noise prediction on an ordinary process: x − (1 − α)·μ = α·x₀ + σ·ε. s is the
// noise scale of the process, which velocities depend on.
func Reverting[T diffusion.Float](noise diffusion.Denoiser[T], s float64, predicts diffusion.Prediction) (diffusion.MeanModel[T], error) {
	switch {
	case noise == nil || noise.Predicts() != diffusion.Noise:
		return nil, fmt.Errorf("gmm: a mean-reverting model is made of a noise prediction")
	case !(s > 0):
		return nil, fmt.Errorf("gmm: noise scale s = %g: must be positive", s)
	case predicts > diffusion.Score:
		return nil, fmt.Errorf("gmm: prediction %v: must be noise, data, velocity or score", predicts)
	}
	f := func(ctx context.Context, dst, x, mu []T, n int, at []diffusion.Level) error {
		if n < 1 || len(x)%n != 0 || len(mu) != len(x) || len(dst) != len(x) || len(at) != 1 && len(at) != n {
			return fmt.Errorf("gmm: %d numbers of x, %d of mu, %d levels for %d samples", len(x), len(mu), len(at), n)
		}
		d := len(x) / n
		level := func(i int) diffusion.Level { return at[min(i/d, len(at)-1)] }
		plain := make([]T, len(x))
		for i, v := range x {
			plain[i] = v - T(1-level(i).Alpha)*mu[i]
		}
		if err := noise.Denoise(ctx, dst, plain, n, at); err != nil {
			return err
		}
		for i, e := range dst {
			l := level(i)
			a, sigma := T(l.Alpha), T(l.Sigma)
			x0 := (plain[i] - sigma*e) / a
			switch predicts {
			case diffusion.Data:
				dst[i] = x0
			case diffusion.Velocity:
				dst[i] = T(s)*a*e - sigma/T(s)*(x0-mu[i])
			case diffusion.Score:
				dst[i] = -e / sigma
			}
		}
		return nil
	}
	return diffusion.MeanFunc[T]{Prediction: predicts, F: f}, nil
}
