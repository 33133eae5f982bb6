package calibration

import (
	"context"
	"fmt"
	"slices"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/internal/rng"
)

// A Set is N pairs of a state, a row of X, and the level that the model is asked at.
type Set[T diffusion.Float] struct {
	X      []T
	N      int
	Steps  []int // time steps, 0 the cleanest
	Levels []diffusion.Level
}

// A Sampler is how the full-precision model makes states.
type Sampler[T diffusion.Float] struct {
	Model diffusion.Denoiser[T]
	// Grid is the sampler's: its Steps are the time steps, T of them.
	Grid   diffusion.Grid
	Method diffusion.Method // nil: DDIM
	Hook   diffusion.Hook[T]
	Size   int // numbers in a sample
	// Data are samples row by row, for the sources that need them.
	Data []T
}

// levels are those at which the model is asked, the cleanest first.
func (s Sampler[T]) levels() ([]diffusion.Level, error) {
	g := s.Grid
	if sp, ok := s.method().(diffusion.Spacer); ok && g.Spacing.Place == nil {
		g.Spacing = sp.Spacing()
	}
	ls, err := g.Levels(g.Steps)
	if err != nil {
		return nil, err
	}
	ls = slices.Clone(ls[:g.Steps])
	slices.Reverse(ls)
	return ls, nil
}

func (s Sampler[T]) method() diffusion.Method {
	if s.Method == nil {
		return diffusion.DDIM{}
	}
	return s.Method
}

// Collect makes the pairs of a plan. Randomness comes from the plan's seed.
func Collect[T diffusion.Float](ctx context.Context, p Plan, s Sampler[T]) (*Set[T], error) {
	if s.Size < 1 {
		return nil, fmt.Errorf("calibration: samples of %d numbers: must be positive", s.Size)
	}
	levels, err := s.levels()
	if err != nil {
		return nil, err
	}
	steps, err := p.Steps(len(levels))
	if err != nil {
		return nil, err
	}
	set := &Set[T]{X: make([]T, len(steps)*s.Size), N: len(steps), Steps: steps, Levels: make([]diffusion.Level, len(steps))}
	for i, t := range steps {
		set.Levels[i] = levels[t]
	}
	if p.Source == Denoised {
		return set, s.denoised(ctx, p, set, levels)
	}
	return set, s.drawn(p, set)
}

// denoised runs the model from noise and takes each sample's state on the way.
func (s Sampler[T]) denoised(ctx context.Context, p Plan, set *Set[T], levels []diffusion.Level) error {
	if s.Model == nil {
		return fmt.Errorf("calibration: states of the model: there is no model")
	}
	noise := diffusion.Seeded(p.Seed)
	x, err := diffusion.Start[T](s.Grid, set.N, s.Size, noise)
	if err != nil {
		return err
	}
	last := len(levels) - 1
	take := func(done int, x []T) {
		for i, t := range set.Steps {
			// The state after as many steps from noise as lie between T−1 and t; mirrored,
			// after t + 1.
			want := last - t
			if p.Pairing == Mirrored {
				want = t + 1
			}
			if want == done {
				copy(set.X[i*s.Size:(i+1)*s.Size], x[i*s.Size:])
			}
		}
	}
	take(0, x)
	if p.Pairing == Matched && slices.Min(set.Steps) == last {
		return nil
	}
	_, err = diffusion.Solve(ctx, diffusion.Problem[T]{
		Model: s.Model, Grid: s.Grid, X: x, N: set.N, Noise: noise, Hook: s.Hook,
		OnStep: func(st diffusion.Step[T]) error {
			take(st.Index+1, st.X)
			return nil
		},
	}, s.method())
	return err
}

// drawn makes states of data and noise.
func (s Sampler[T]) drawn(p Plan, set *Set[T]) error {
	rows := len(s.Data) / s.Size
	if p.Source != Gaussian && (rows == 0 || len(s.Data)%s.Size != 0) {
		return fmt.Errorf("calibration: data of %d numbers for samples of %d: at least one whole sample is needed", len(s.Data), s.Size)
	}
	src := rng.Stream(p.Seed, 2)
	for i, l := range set.Levels {
		row := set.X[i*s.Size : (i+1)*s.Size]
		if p.Source != Gaussian {
			k := src.IntN(rows)
			copy(row, s.Data[k*s.Size:(k+1)*s.Size])
		}
		for j := range row {
			switch p.Source {
			case Forward:
				row[j] = T(l.Alpha*float64(row[j]) + l.Sigma*src.NormFloat64())
			case Gaussian:
				row[j] = T(src.NormFloat64())
			}
		}
	}
	return nil
}
