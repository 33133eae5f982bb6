package mcmc

import (
	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/internal/rng"
)

// A Source gives the random numbers of chains: for every iteration (from 0) and
// chain (from 0) its own, always the same.
type Source interface {
	diffusion.NoiseSource // of the Langevin steps: draw is the iteration, sample the chain
	// Uniform is a number in [0, 1) for the draw of the level.
	Uniform(iteration, chain int) (float64, error)
}

// Seeded is a Source with one stream a chain and iteration.
type Seeded uint64

// Parts of a seed.
const (
	walkPart = iota + 1
	levelPart
	startPart
	jitterPart
	burnPart
)

func (s Seeded) part(p uint64) diffusion.Seeded {
	key, _ := rng.Key(uint64(s), p)
	return diffusion.Seeded(key)
}

// Normal fills dst, with the same numbers on every machine.
func (s Seeded) Normal(dst []float64, iteration, chain int) error {
	return s.part(walkPart).Normal(dst, iteration, chain)
}

// Uniform is the same number on every machine.
func (s Seeded) Uniform(iteration, chain int) (float64, error) {
	bits, _ := rng.Key(uint64(s), levelPart, uint64(iteration), uint64(chain))
	return float64(bits>>11) / (1 << 53), nil
}

// later is a source from some iteration on.
type later struct {
	Source
	by int
}

func (s later) Normal(dst []float64, iteration, chain int) error {
	return s.Source.Normal(dst, s.by+iteration, chain)
}

func (s later) Uniform(iteration, chain int) (float64, error) {
	return s.Source.Uniform(s.by+iteration, chain)
}
