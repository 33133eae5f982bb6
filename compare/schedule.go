package compare

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/search"
)

// Scorer scores solver schedules on the subject: from n seeded starts, by the
// distance to its exact solution, or else to one of that many fine steps.
func (s *Subject) Scorer(ctx context.Context, c Condition, n int, seed uint64, steps int) (sc search.Scorer[float64], err error) {
	t := trial{s, c, n, seed}
	sc.Noise, sc.N = s.Schedule, n
	if sc.Model, err = s.Denoiser(c, n); err != nil {
		return sc, err
	}
	if sc.X, err = diffusion.Start[float64](diffusion.Grid{Schedule: s.Schedule}, n, s.Len(), diffusion.Seeded(seed)); err != nil {
		return sc, err
	}
	if sc.Truth, err = t.truth(ctx, steps); err != nil {
		return sc, err
	}
	sc.Average = make([]float64, s.Len())
	for i, x := range sc.Truth {
		sc.Average[i%len(sc.Average)] += x / float64(n)
	}
	return sc, nil
}

// SearchName names what a search scores on: model, condition and starts.
func SearchName(sc search.Scorer[float64]) string {
	h := sha256.New()
	for _, x := range [][]float64{sc.X, sc.Truth} {
		// A hash takes all that it is given.
		binary.Write(h, binary.LittleEndian, x)
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:8])
}
