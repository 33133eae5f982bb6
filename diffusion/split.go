package diffusion

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"sync"
)

// Split is the model with its batches shared among several goroutines; parts 0: as
// many as the process may run at a time. The answers are the same. The model must
// take batches of any size: for labels bound sample by sample see [SplitBound].
func Split[T Float](m Denoiser[T], parts int) Denoiser[T] {
	if parts = cmp.Or(parts, runtime.GOMAXPROCS(0)); parts < 2 {
		return m
	}
	return split[T]{parts: parts, whole: m}
}

// SplitBound is [Split] for batches of exactly n samples, to which something is
// bound sample by sample: bind gives the model of samples lo to hi−1.
func SplitBound[T Float](n, parts int, bind func(lo, hi int) (Denoiser[T], error)) (Denoiser[T], error) {
	if n < 1 {
		return nil, fmt.Errorf("diffusion: %d samples: at least 1 is needed", n)
	}
	s := split[T]{parts: min(cmp.Or(parts, runtime.GOMAXPROCS(0)), n), n: n}
	for k := range s.parts {
		m, err := bind(k*n/s.parts, (k+1)*n/s.parts)
		if err != nil {
			return nil, err
		}
		s.bound = append(s.bound, m)
	}
	s.whole = s.bound[0]
	return s, nil
}

type split[T Float] struct {
	parts int
	whole Denoiser[T]
	bound []Denoiser[T] // of the parts of n samples, if not nil
	n     int
}

// Predicts says what the model estimates.
func (s split[T]) Predicts() Prediction { return s.whole.Predicts() }

// Passes are those of the model.
func (s split[T]) Passes() int { return Passes(s.whole) }

// Denoise asks the model for each part. The error is that of the first part with
// one.
func (s split[T]) Denoise(ctx context.Context, dst, x []T, n int, at []Level) error {
	switch {
	case s.bound != nil && n != s.n:
		return fmt.Errorf("diffusion: a batch of %d samples: the model is bound to %d", n, s.n)
	case n < 1 || len(x)%n != 0 || len(dst) != len(x) || len(at) != 1 && len(at) != n:
		return fmt.Errorf("diffusion: %d and %d numbers at %d levels for %d samples: want as many, of equal size, and 1 or %[4]d levels", len(dst), len(x), len(at), n)
	}
	d, parts := len(x)/n, min(s.parts, n)
	errs := make([]error, parts)
	part := func(k int) {
		defer func() { // in a goroutine of ours nobody else can
			if r := recover(); r != nil {
				errs[k] = fmt.Errorf("diffusion: the model panics: %v", r)
			}
		}()
		lo, hi := k*n/parts, (k+1)*n/parts
		m, levels := s.whole, at
		if s.bound != nil {
			m = s.bound[k]
		}
		if len(at) == n {
			levels = at[lo:hi]
		}
		errs[k] = m.Denoise(ctx, dst[lo*d:hi*d], x[lo*d:hi*d], hi-lo, levels)
	}
	var wg sync.WaitGroup
	for k := 1; k < parts; k++ {
		wg.Go(func() { part(k) })
	}
	part(0)
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
