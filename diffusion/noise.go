package diffusion

import (
	"fmt"

	"github.com/assay-lab/assay/internal/kern"
	"github.com/assay-lab/assay/internal/rng"
)

// A NoiseSource gives standard normal draws: for every draw of a tape (from 0)
// and every sample of a batch (from 0) its own, always the same. The draw with
// number [StartDraw] is the state that sampling starts from, before scaling.
type NoiseSource interface {
	Normal(dst []float64, draw, sample int) error
}

// StartDraw numbers the draw of the start state.
const StartDraw = -1

// Seeded is a NoiseSource with one stream a sample and draw, so a sample does
// not depend on the batch that it is in.
type Seeded uint64

// Normal fills dst, with the same numbers on every machine.
func (s Seeded) Normal(dst []float64, draw, sample int) error {
	key, stream := rng.Key(uint64(s), uint64(draw), uint64(sample))
	kern.Normal(dst, key, stream)
	return nil
}

// Recorded replays draws: Recorded[draw][sample] is one sample's noise.
type Recorded [][][]float64

// Normal copies the recorded draw to dst.
func (r Recorded) Normal(dst []float64, draw, sample int) error {
	if draw < 0 || draw >= len(r) || sample >= len(r[draw]) || len(r[draw][sample]) != len(dst) {
		return fmt.Errorf("noise: no recorded draw %d of %d numbers for sample %d", draw, len(dst), sample)
	}
	copy(dst, r[draw][sample])
	return nil
}

// Start draws n start states of d numbers at the noisiest level of a grid:
// N(0, σ²), where x = α·x₀ + σ·ε has lost its signal.
func Start[T Float](g Grid, n, d int, src NoiseSource) ([]T, error) {
	start, _, err := g.ends()
	if err != nil {
		return nil, err
	}
	if n < 1 || d < 1 {
		return nil, fmt.Errorf("diffusion: %d samples of %d numbers: both must be positive", n, d)
	}
	x := make([]T, n*d)
	var scratch []float64
	if err := fillNormal(x, n, StartDraw, src, &scratch); err != nil {
		return nil, fmt.Errorf("diffusion: %w", err)
	}
	if s := g.Schedule.At(start); s.Alpha == 1 { // variance-exploding: ε alone is far from x
		for i := range x {
			x[i] *= T(s.Sigma)
		}
	}
	return x, nil
}
