package diffusion

import (
	"context"
	"fmt"
	"runtime"
	"sync"
)

// Split is the model with its batches shared among several goroutines; parts 0:
// as many as the process may run at a time. The answers are the same. The model
// must take batches of any size, so labels bound sample by sample do not fit it.
func Split[T Float](m Denoiser[T], parts int) Denoiser[T] {
	if parts == 0 {
		parts = runtime.GOMAXPROCS(0)
	}
	if parts < 2 {
		return m
	}
	return split[T]{m, parts}
}

type split[T Float] struct {
	model Denoiser[T]
	parts int
}

// Predicts says what the model estimates.
func (s split[T]) Predicts() Prediction { return s.model.Predicts() }

// Passes are those of the model.
func (s split[T]) Passes() int { return Passes(s.model) }

// Denoise asks the model for each part. The error is that of the first part with
// one.
func (s split[T]) Denoise(ctx context.Context, dst, x []T, n int, at []Level) error {
	parts := min(s.parts, n)
	if parts < 2 || len(x)%n != 0 || len(dst) != len(x) || len(at) != 1 && len(at) != n {
		return s.model.Denoise(ctx, dst, x, n, at)
	}
	d := len(x) / n
	errs := make([]error, parts)
	part := func(k int) {
		defer func() { // a panic in a goroutine of ours could not be recovered by the caller
			if r := recover(); r != nil {
				errs[k] = fmt.Errorf("the model panics: %v", r)
			}
		}()
		lo, hi := k*n/parts, (k+1)*n/parts
		levels := at
		if len(at) == n {
			levels = at[lo:hi]
		}
		errs[k] = s.model.Denoise(ctx, dst[lo*d:hi*d], x[lo*d:hi*d], hi-lo, levels)
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
