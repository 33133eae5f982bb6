package dmcmc

import (
	"context"
	"fmt"
	"math"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/gmm"
	"github.com/assay-lab/assay/diffusion/mcmc"
	"github.com/assay-lab/assay/internal/rng"
	"github.com/assay-lab/assay/lab"
)

const (
	byDraw   = "draw"
	byArgmax = "argmax"
)

// ring is three Gaussians in the plane, near enough for the chains to cross.
func ring() *gmm.Mixture {
	return &gmm.Mixture{W: []float64{.3, .5, .2}, Mu: [][]float64{{-.6, .3}, {.45, -.2}, {.05, .65}}, S: []float64{.25, .35, .15}}
}

// levels asks whether the chain samples its target.
func levels() *lab.Experiment {
	return &lab.Experiment{
		Name:    "dmcmc/levels",
		Title:   "Is drawing the level exact? The levels' marginal of a long run",
		Help:    "Three Gaussians in the plane with their exact score, 8 levels from 1 to 0.3, η = 0.005. The target gives every level the same probability. The figure is the largest deviation of a level's share in standard errors, which take the correlation of a chain into account: up to 3 is what exact draws show.",
		Cost:    lab.Axis{Name: "iterations", Log: true},
		Quality: lab.Axis{Name: "largest deviation", Unit: "standard errors", Log: true},
		Version: 1,
		Params: []lab.Param{
			{Name: "iterations", Help: "iterations of every chain", Kind: lab.Ints, Default: "1000,4000,16000", At: map[lab.Size]string{lab.Quick: "1000"}, Min: 100, Max: 10000000},
			{Name: "eta", Help: "η, the Langevin step", Kind: lab.Float, Default: "0.005", Min: 1e-6, Max: 100},
			{Name: "chains", Help: "chains side by side", Kind: lab.Int, Default: "64", At: map[lab.Size]string{lab.Quick: "32"}, Min: 2, Max: 100000},
			{Name: "seeds", Help: "independent runs", Kind: lab.Int, Default: "3", At: map[lab.Size]string{lab.Quick: "1", lab.Full: "10"}, Min: 1, Max: 1000},
		},
		Grid: func(v lab.Values) ([]lab.Cell, error) {
			var cs []lab.Cell
			for _, m := range []string{byDraw, byArgmax} {
				for _, b := range v.Ints("iterations") {
					for seed := range v.Int("seeds") {
						cs = append(cs, lab.Cell{Method: m, Budget: float64(b), Seed: uint64(seed), Values: v})
					}
				}
			}
			return cs, nil
		},
		Run:    runLevels,
		Claims: []lab.Claim{exactClaim()},
	}
}

func runLevels(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
	if c.Method != byDraw && c.Method != byArgmax {
		return lab.Outcome{}, fmt.Errorf("method %q: must be draw or argmax", c.Method)
	}
	m, ladder := ring(), geometric(1, .3, 8)
	model, err := gmm.Model[float64](m, diffusion.Noise)
	if err != nil {
		return lab.Outcome{}, err
	}
	post, err := mcmc.Exact[float64](m, ladder)
	if err != nil {
		return lab.Outcome{}, err
	}
	// Chains start from the target itself: data at a level drawn evenly.
	n, r := c.Values.Int("chains"), rng.Stream(c.Seed, 5)
	st := mcmc.State[float64]{X: m.Sample(n, r), Sigma: make([]float64, n)}
	for i := range n {
		st.Sigma[i] = ladder[r.IntN(len(ladder))]
		for j := range m.Dim() {
			st.X[i*m.Dim()+j] += st.Sigma[i] * r.NormFloat64()
		}
	}
	cfg := mcmc.Config{Eta: c.Values.Float("eta"), Argmax: c.Method == byArgmax, Workers: 1}
	chains, err := mcmc.New(mcmc.Target[float64]{Model: model, Schedule: diffusion.EDM{}, Posterior: post}, cfg, st, mcmc.Seeded(c.Seed))
	if err != nil {
		return lab.Outcome{}, err
	}
	where := map[float64]int{}
	for k, sigma := range ladder {
		where[sigma] = k
	}
	visits := make([][]int, n)
	for range int(c.Budget) {
		if err := chains.Step(ctx); err != nil {
			return lab.Outcome{}, err
		}
		for i, sigma := range chains.State().Sigma {
			visits[i] = append(visits[i], where[sigma])
		}
	}
	worst, least, err := deviation(visits, len(ladder))
	return lab.Outcome{Cost: c.Budget, Quality: worst, Metrics: map[string]float64{"least ESS of a level": least}}, err
}

// geometric is k levels from hi down to lo.
func geometric(hi, lo float64, k int) []float64 {
	ls := make([]float64, k)
	for i := range ls {
		ls[i] = hi * math.Pow(lo/hi, float64(i)/float64(k-1))
	}
	return ls
}

// deviation is the largest |share − 1/k| of a level over its standard error, and the
// least effective sample size among the levels.
func deviation(visits [][]int, k int) (worst, least float64, err error) {
	least = math.Inf(1)
	for level := range k {
		series := make([][][]float64, len(visits))
		var share, n float64
		for c, row := range visits {
			for _, v := range row {
				x := 0.0
				if v == level {
					x = 1
				}
				series[c] = append(series[c], []float64{x})
				share += x
				n++
			}
		}
		share /= n
		if share == 0 { // never visited: what a uniform level with so many visits would not do
			return math.Inf(1), 0, nil
		}
		ess, err := mcmc.ESS(series)
		if err != nil {
			return 0, 0, err
		}
		p := 1 / float64(k)
		worst = max(worst, math.Abs(share-p)/math.Sqrt(p*(1-p)/ess))
		least = min(least, ess)
	}
	return worst, least, nil
}
