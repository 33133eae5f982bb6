package mcmc_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/gmm"
	"github.com/assay-lab/assay/diffusion/mcmc"
	"github.com/assay-lab/assay/internal/rng"
)

// clusters is ten Gaussians in 16 dimensions, and 200 chains in them.
func clusters(b *testing.B, levels int) (mcmc.Target[float64], mcmc.State[float64]) {
	const d, chains = 16, 200
	m, r := &gmm.Mixture{}, rng.Stream(1)
	for range 10 {
		mu := make([]float64, d)
		for i := range mu {
			mu[i] = .5 * r.NormFloat64()
		}
		m.W, m.Mu, m.S = append(m.W, .1), append(m.Mu, mu), append(m.S, .05)
	}
	model, err := gmm.Model[float64](m, diffusion.Noise)
	if err != nil {
		b.Fatal(err)
	}
	post, err := mcmc.Exact[float64](m, mcmc.Ladder(.01, 50, levels))
	if err != nil {
		b.Fatal(err)
	}
	st := mcmc.State[float64]{X: m.Sample(chains, r), Sigma: make([]float64, chains)}
	for i := range st.Sigma {
		st.Sigma[i] = .5
	}
	for i := range st.X {
		st.X[i] += .5 * r.NormFloat64()
	}
	return mcmc.Target[float64]{Model: model, Schedule: ve, Posterior: post}, st
}

// BenchmarkStep times an iteration of 200 chains, and how it scales over cores.
func BenchmarkStep(b *testing.B) {
	for _, levels := range []int{20, 1000} {
		for _, workers := range []int{1, 2} {
			b.Run(fmt.Sprintf("levels=%d/workers=%d", levels, workers), func(b *testing.B) {
				tg, st := clusters(b, levels)
				tg.Model = diffusion.Split(tg.Model, workers)
				c, err := mcmc.New(tg, mcmc.Config{Eta: .05, Workers: workers}, st, mcmc.Seeded(1))
				if err != nil {
					b.Fatal(err)
				}
				for b.Loop() {
					if err := c.Step(context.Background()); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// free is a posterior that costs nothing, to time the rest of an iteration.
type free struct{ levels []float64 }

func (f free) Levels() []float64 { return f.levels }

func (f free) LogProbs(_ context.Context, out []float64, _ []float64, _ int) error {
	clear(out)
	return nil
}

// BenchmarkBookkeeping times what an iteration costs beside the score and the
// posterior, and the score.
func BenchmarkBookkeeping(b *testing.B) {
	tg, st := clusters(b, 20)
	score := tg.Model
	b.Run("score", func(b *testing.B) {
		dst, at := make([]float64, len(st.X)), make([]diffusion.Level, st.N())
		for i := range at {
			at[i] = ve.At(.5 + float64(i)/1000)
		}
		for b.Loop() {
			if err := score.Denoise(context.Background(), dst, st.X, st.N(), at); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("rest", func(b *testing.B) {
		tg.Model = diffusion.Func[float64]{F: func(_ context.Context, dst, _ []float64, _ int, _ []diffusion.Level) error {
			clear(dst)
			return nil
		}}
		tg.Posterior = free{[]float64{.5}}
		c, err := mcmc.New(tg, mcmc.Config{Eta: 1e-6, Workers: 1}, st, mcmc.Seeded(1))
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if err := c.Step(context.Background()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
