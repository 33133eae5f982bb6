package mixture

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/internal/cache"
)

// A Rival is a sampler under the name that it has in legends.
type Rival struct {
	Name    string
	Method  diffusion.Method
	Spacing diffusion.Spacing // default: the method's own
	PerStep int               // evaluations a step; 0: 1
	Least   int               // steps that it needs; 0: 1
}

// FindRival returns the rival of that name.
func FindRival(rivals []Rival, name string) (Rival, error) {
	for _, r := range rivals {
		if r.Name == name {
			return r, nil
		}
	}
	return Rival{}, fmt.Errorf("no rival is called %q", name)
}

// RivalNamed returns the method of the rival of that name.
func RivalNamed(rivals []Rival, name string) (diffusion.Method, error) {
	r, err := FindRival(rivals, name)
	return r.Method, err
}

// A Trial samples a problem from seeded starts.
type Trial struct {
	Problem  *Problem
	Guidance float64 // 1: the condition alone; ignored where the problem has none
	N        int     // samples
	Seed     uint64
}

// recipe names a trial's exact solution in the cache.
type recipe struct {
	Trial   Trial
	Starts  [sha256.Size]byte // of the start states
	Version int
}

func (t Trial) model() (diffusion.Denoiser[float64], error) {
	if t.Problem.Guidance == nil {
		return t.Problem.Model()
	}
	return t.Problem.Guided(t.Guidance)
}

func (t Trial) grid(steps int) (diffusion.Grid, error) {
	s, err := t.Problem.Schedule.Build()
	return diffusion.Grid{Schedule: s, Steps: steps, Start: t.Problem.TStart, End: t.Problem.TEnd}, err
}

// Starts draws the trial's start states.
func (t Trial) Starts() ([]float64, error) {
	g, err := t.grid(1)
	if err != nil {
		return nil, err
	}
	return diffusion.Start[float64](g, t.N, t.Problem.Mixture().Dim(), diffusion.Seeded(t.Seed))
}

// Exact is where the probability-flow ODE ends from the trial's starts. It is
// computed once and kept in the cache.
func (t Trial) Exact(ctx context.Context) ([]float64, error) {
	x, err := t.Starts()
	if err != nil {
		return nil, err
	}
	flat, err := binary.Append(nil, binary.LittleEndian, x)
	if err != nil {
		return nil, err
	}
	b, err := cache.Get(ctx, "mixture-exact", recipe{t, sha256.Sum256(flat), 1}, func(ctx context.Context) ([]byte, error) {
		m, err := t.model()
		if err != nil {
			return nil, err
		}
		end, err := t.Problem.Exact(ctx, m, x, t.N)
		if err != nil {
			return nil, err
		}
		return binary.Append(nil, binary.LittleEndian, end)
	})
	if err != nil {
		return nil, err
	}
	end := make([]float64, len(b)/8)
	_, err = binary.Decode(b, binary.LittleEndian, end)
	return end, err
}

// Sample runs a sampler with that many steps from the trial's starts.
func (t Trial) Sample(ctx context.Context, m diffusion.Method, steps int, hook diffusion.Hook[float64]) (diffusion.Solution[float64], error) {
	return t.solve(ctx, Rival{Method: m}, steps, hook)
}

// RMS is the root mean square of a − b over all numbers.
func RMS[T diffusion.Float](a, b []T) float64 {
	var s float64
	for i := range a {
		d := float64(a[i]) - float64(b[i])
		s += d * d
	}
	return math.Sqrt(s / float64(len(a)))
}
