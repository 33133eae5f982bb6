package diffusion

import (
	"fmt"
	"math"
	"slices"
)

// DynamicThreshold is dynamic thresholding (Saharia et al. 2022) as DPM-Solver++
// uses it: per sample, s is the q-quantile of |x₀|, at least limit, and
// x₀ becomes clip(x₀, −s, s)/s. The quantile interpolates linearly between order
// statistics. It is for models of pixels in [−1, 1]: on latents, which have no
// such bounds, it destroys the sample.
func DynamicThreshold[T Float](q, limit float64) (Hook[T], error) {
	return BoundedThreshold[T](q, limit, math.Inf(1))
}

// BoundedThreshold is [DynamicThreshold] with an s of at most most: the MR Sampler's
// way, whose quantile is 0.995 and whose s lies in [1, 1.5].
func BoundedThreshold[T Float](q, limit, most float64) (Hook[T], error) {
	if !(most >= limit) {
		return nil, fmt.Errorf("diffusion: threshold limits = %g, %g: the first must not be above the second", limit, most)
	}
	if !(q > 0 && q <= 1) {
		return nil, fmt.Errorf("diffusion: threshold quantile = %g: must be in (0, 1]", q)
	}
	if !(limit > 0) || math.IsInf(limit, 0) {
		return nil, fmt.Errorf("diffusion: threshold limit = %g: must be positive", limit)
	}
	return func(x0 []T, n int, _ Level) error {
		d := len(x0) / n
		abs := make([]float64, d)
		for ; len(x0) > 0; x0 = x0[d:] {
			sample := x0[:d]
			for i, v := range sample {
				abs[i] = math.Abs(float64(v))
			}
			slices.Sort(abs)
			s := T(min(max(sortedQuantile(abs, q), limit), most))
			for i, v := range sample {
				sample[i] = min(max(v, -s), s) / s
			}
		}
		return nil
	}, nil
}

// sortedQuantile is the value at position q·(n−1) of sorted xs.
func sortedQuantile(xs []float64, q float64) float64 {
	pos := q * float64(len(xs)-1)
	i := min(int(pos), len(xs)-1)
	if i == len(xs)-1 {
		return xs[i]
	}
	return xs[i] + (pos-float64(i))*(xs[i+1]-xs[i])
}

// StaticThreshold clips data predictions to [−limit, limit].
func StaticThreshold[T Float](limit float64) (Hook[T], error) {
	if !(limit > 0) {
		return nil, fmt.Errorf("diffusion: threshold limit = %g: must be positive", limit)
	}
	l := T(limit)
	return func(x0 []T, _ int, _ Level) error {
		for i, v := range x0 {
			x0[i] = min(max(v, -l), l)
		}
		return nil
	}, nil
}
