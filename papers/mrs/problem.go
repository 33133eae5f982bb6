package mrs

import (
	"context"
	"encoding/binary"
	"math"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/gmm"
	"github.com/assay-lab/assay/internal/cache"
	"github.com/assay-lab/assay/internal/rng"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
)

// laboratory is the problem of the paper's cases with a table so long that what lies
// between its entries plays no part.
type laboratory struct {
	process *diffusion.MeanReverting
	data    *gmm.Mixture
	mean    []float64
}

func newLaboratory() (*laboratory, error) {
	p, err := diffusion.NewMeanReverting(diffusion.Reversion{S: 50.0 / 255, T: 1000})
	return &laboratory{
		process: p,
		data:    &gmm.Mixture{W: []float64{.3, .5, .2}, Mu: [][]float64{{-1.2, .6}, {.9, -.4}, {.1, 1.3}}, S: []float64{.25, .35, .15}},
		mean:    []float64{.35, -.2},
	}, err
}

// trial restores n seeded starts with a method.
func (l *laboratory) trial(ctx context.Context, r rival, steps, n int, seed uint64) (diffusion.Solution[float64], error) {
	noise, err := gmm.Model[float64](l.data, diffusion.Noise)
	if err != nil {
		return diffusion.Solution[float64]{}, err
	}
	m, err := gmm.Reverting(noise, l.process.S, diffusion.Noise)
	if err != nil {
		return diffusion.Solution[float64]{}, err
	}
	return diffusion.Restore(ctx, diffusion.Restoration[float64]{
		Model: m, Mu: repeat(l.mean, n), N: n, Noise: diffusion.Seeded(seed),
		Grid: diffusion.Grid{Schedule: l.process, Steps: steps, Spacing: r.Spacing},
	}, r.Method)
}

// inner is the data as y = (x − μ)/s sees them.
func (l *laboratory) inner() *gmm.Mixture {
	m := &gmm.Mixture{W: l.data.W}
	for k, mu := range l.data.Mu {
		row := make([]float64, len(mu))
		for i, v := range mu {
			row[i] = (v - l.mean[i]) / l.process.S
		}
		m.Mu, m.S = append(m.Mu, row), append(m.S, l.data.S[k]/l.process.S)
	}
	return m
}

// exact is where the ODE ends from the starts that trial draws.
func (l *laboratory) exact(ctx context.Context, n int, seed uint64) ([]float64, error) {
	b, err := cache.Get(ctx, "mrs-exact", []any{l.process.Reversion, l.data, l.mean, n, seed, 1}, func(ctx context.Context) ([]byte, error) {
		m, err := gmm.Model[float64](l.inner(), diffusion.Noise)
		if err != nil {
			return nil, err
		}
		y, err := diffusion.Start[float64](diffusion.Grid{Schedule: l.process}, n, len(l.mean), diffusion.Seeded(seed))
		if err != nil {
			return nil, err
		}
		end, err := gmm.Exact(ctx, m, l.process, y, n, float64(l.process.T), 0)
		if err != nil {
			return nil, err
		}
		for i, v := range end {
			end[i] = l.mean[i%len(l.mean)] + l.process.S*v
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

// samples are n draws of the data.
func (l *laboratory) samples(n int, seed uint64) []float64 {
	return l.data.Sample(n, rng.Stream(seed, 0x6d7273))
}

// meanDistance is the mean over the points of their distance.
func meanDistance(a, b []float64, d int) float64 {
	var sum float64
	for i := 0; i < len(a); i += d {
		sum += mixture.RMS(a[i:i+d], b[i:i+d]) * math.Sqrt(float64(d))
	}
	return sum * float64(d) / float64(len(a))
}
