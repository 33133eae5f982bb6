package mrs

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/internal/rng"
	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/metrics"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
)

// Experiments lists the paper's experiments, the main one first.
func Experiments() []*lab.Experiment {
	return []*lab.Experiment{convergence(), stability(), restoration()}
}

type rival = mixture.Rival

func lambdaGrid(k diffusion.IndexGridKind) diffusion.Spacing {
	return diffusion.IndexGrid{Kind: k}.Spacing()
}

// The methods that are compared. Their names are the same in every experiment, and so
// are their colours.
var (
	euler = rival{Name: "Euler ODE", Method: diffusion.RevertingEuler{}}
	// Euler in the process's own time, as IR-SDE's shorter tables have it
	eulerOwn  = rival{Name: "Euler ODE in ∫θ", Method: diffusion.RevertingEuler{Integrated: true}}
	heun      = rival{Name: "Heun ODE", Method: diffusion.RevertingHeun{}}
	heunOwn   = rival{Name: "Heun ODE in ∫θ", Method: diffusion.RevertingHeun{Integrated: true}}
	ode1      = rival{Name: "MR Sampler ODE-1", Method: diffusion.MRSampler{Order: 1}}
	ode2noise = rival{Name: "MR Sampler ODE-2, noise", Method: diffusion.MRSampler{Form: diffusion.NoiseForm}, Least: 2}
	ode2      = rival{Name: "MR Sampler ODE-2, data", Method: diffusion.MRSampler{}, Least: 2}
	ode2lam   = rival{Name: "MR Sampler ODE-2, data, λ grid", Method: diffusion.MRSampler{}, Spacing: lambdaGrid(diffusion.LinearLambda), Least: 2}
	ode3      = rival{Name: "MR Sampler ODE-3, data", Method: diffusion.MRSampler{Order: 3}, Least: 3}
	// the control: nothing of the paper but the change of variable
	dpm = rival{Name: "DPM-Solver++(2M) on (x − μ)/s", Method: diffusion.DPMSolver{}, Spacing: lambdaGrid(diffusion.Linspace), Least: 2}

	posterior = rival{Name: "posterior", Method: diffusion.RevertingPosterior{}}
	published = rival{Name: "posterior, published loop", Method: diffusion.RevertingPosterior{Published: true}}
	eulerSDE  = rival{Name: "Euler SDE", Method: diffusion.RevertingEuler{SDE: true}}
	sde1noise = rival{Name: "MR Sampler SDE-1, noise", Method: diffusion.MRSampler{SDE: true, Form: diffusion.NoiseForm, Order: 1}}
	sde2noise = rival{Name: "MR Sampler SDE-2, noise", Method: diffusion.MRSampler{SDE: true, Form: diffusion.NoiseForm}, Least: 2}
	sde1      = rival{Name: "MR Sampler SDE-1, data", Method: diffusion.MRSampler{SDE: true, Order: 1}}
	sde2      = rival{Name: "MR Sampler SDE-2, data", Method: diffusion.MRSampler{SDE: true}, Least: 2}
	official2 = rival{Name: "MR Sampler SDE-2, noise, official orders", Method: diffusion.MRSampler{SDE: true, Form: diffusion.NoiseForm, OfficialOrders: true}, Least: 2}
	// the floor: as many samples of the data themselves
	fresh = rival{Name: "the data themselves"}
)

func params(n map[lab.Size]string, budgets map[lab.Size]string) []lab.Param {
	return []lab.Param{
		{Name: "nfe", Help: "numbers of evaluations", Kind: lab.Ints, Default: budgets[lab.Desk], At: budgets, Min: 1, Max: 1000},
		{Name: "n", Help: "start states a seed", Kind: lab.Int, Default: n[lab.Desk], At: n, Min: 2, Max: 100000},
		{Name: "seeds", Help: "independent sets of start states", Kind: lab.Int, Default: "3", At: map[lab.Size]string{lab.Quick: "1", lab.Full: "10"}, Min: 1, Max: 1000},
	}
}

func convergence() *lab.Experiment {
	rivals := []rival{euler, eulerOwn, heun, heunOwn, ode1, ode2noise, ode2, ode2lam, ode3, dpm}
	return &lab.Experiment{
		Name: "mrs/mixture", Title: "Mean-reverting ODE: distance to the exact solution over network evaluations",
		Help: "Three Gaussians in two dimensions whose diffusion reverts to a fixed point, with the noise and the cosine table of IR-SDE (1000 entries). The exact model is asked; the error is the mean distance to the exact solution from the same start.",
		Cost: mixture.NFE, Quality: lab.Axis{Name: "mean distance", Log: true}, Version: 1, Claims: convergenceClaims(),
		Params: params(map[lab.Size]string{lab.Quick: "24", lab.Desk: "200", lab.Full: "1000"},
			map[lab.Size]string{lab.Quick: "10,20,40,80", lab.Desk: "5,10,20,40,80,100", lab.Full: "5,8,10,15,20,30,40,60,80,100,200"}),
		Grid: func(v lab.Values) ([]lab.Cell, error) { return mixture.Cells(v, []string{""}, rivals, false), nil },
		Run: func(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
			l, sol, err := runMixture(ctx, c, rivals)
			if err != nil {
				return lab.Outcome{}, err
			}
			exact, err := l.exact(ctx, c.Values.Int("n"), c.Seed)
			if err != nil {
				return lab.Outcome{}, err
			}
			return lab.Outcome{Cost: float64(sol.NFE), Quality: meanDistance(sol.X, exact, len(l.mean))}, nil
		},
	}
}

func runMixture(ctx context.Context, c lab.Cell, rivals []rival) (*laboratory, diffusion.Solution[float64], error) {
	var none diffusion.Solution[float64]
	l, err := newLaboratory()
	if err != nil {
		return nil, none, err
	}
	r, err := mixture.FindRival(rivals, c.Method)
	if err != nil {
		return nil, none, err
	}
	sol, err := l.trial(ctx, r, int(c.Budget), c.Values.Int("n"), c.Seed)
	return l, sol, err
}

// directions of the sliced distance.
const directions = 64

func stability() *lab.Experiment {
	rivals := []rival{fresh, posterior, published, eulerSDE, sde1noise, sde2noise, sde1, sde2, official2}
	return &lab.Experiment{
		Name: "mrs/sde", Title: "Mean-reverting SDE: distance to the data over network evaluations",
		Help: "The same problem, sampled from the reverse SDE. Samples are judged as a set, by their sliced 2-Wasserstein distance to as many draws of the data; what the data themselves get is the floor.",
		Cost: mixture.NFE, Quality: lab.Axis{Name: "sliced W2", Log: true}, Version: 1, Claims: stabilityClaims(),
		Params: params(map[lab.Size]string{lab.Quick: "500", lab.Desk: "4000", lab.Full: "20000"},
			map[lab.Size]string{lab.Quick: "5,10", lab.Desk: "5,10,20,50,100,200", lab.Full: "5,8,10,15,20,30,50,100,200"}),
		Grid: func(v lab.Values) ([]lab.Cell, error) { return mixture.Cells(v, []string{""}, rivals, false), nil },
		Run: func(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
			n := c.Values.Int("n")
			if c.Method == fresh.Name {
				l, err := newLaboratory()
				if err != nil {
					return lab.Outcome{}, err
				}
				return l.judge(l.samples(n, c.Seed+1<<32), n, c)
			}
			l, sol, err := runMixture(ctx, c, rivals)
			var diverged *diffusion.DivergedError
			if errors.As(err, &diverged) {
				return lab.Outcome{Cost: c.Budget, Quality: math.NaN()}, nil
			}
			if err != nil {
				return lab.Outcome{}, err
			}
			return l.judge(sol.X, n, c)
		},
	}
}

// judge is the sliced distance to the data. Every method meets the same data and
// directions.
func (l *laboratory) judge(x []float64, n int, c lab.Cell) (lab.Outcome, error) {
	w, err := metrics.SlicedW2(x, l.samples(n, c.Seed), len(l.mean), directions, rng.Stream(c.Seed, 1))
	if err != nil {
		return lab.Outcome{}, fmt.Errorf("%s: %w", c.Method, err)
	}
	return lab.Outcome{Cost: c.Budget, Quality: w}, nil
}
