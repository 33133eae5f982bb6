package adjointdpm

import (
	"context"
	"fmt"
	"slices"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/adjoint"
	"github.com/assay-lab/assay/lab"
)

// Experiments lists the paper's experiments, the main one first.
func Experiments() []*lab.Experiment {
	return []*lab.Experiment{gradients(), memory(), reparametrisation(), condition(), digits()}
}

// A rival is a way to a gradient.
type rival struct {
	name   string
	solver string // of solvers
	o      adjoint.Options
	frozen bool // the control: ε is taken as constant in x
}

var (
	eulerC    = rival{name: "Euler, continuous", solver: "euler", o: adjoint.Options{Mode: adjoint.Continuous}}
	eulerD    = rival{name: "Euler, discrete", solver: "euler"}
	midpointC = rival{name: "midpoint, continuous", solver: "midpoint", o: adjoint.Options{Mode: adjoint.Continuous}}
	midpointD = rival{name: "midpoint, discrete", solver: "midpoint"}
	rk4C      = rival{name: "rk4, continuous", solver: "rk4", o: adjoint.Options{Mode: adjoint.Continuous}}
	rk4D      = rival{name: "rk4, discrete", solver: "rk4"}
	adamsC    = rival{name: "explicit Adams, continuous", solver: "explicit_adams", o: adjoint.Options{Mode: adjoint.Continuous}}
	rk4None   = rival{name: "rk4, continuous, no states kept", solver: "rk4", o: adjoint.Options{Mode: adjoint.Continuous, Checkpoint: adjoint.None, Tolerance: anything}}
	rk4Frozen = rival{name: "rk4, ε constant in x", solver: "rk4", frozen: true, o: adjoint.Options{Mode: adjoint.Continuous}}

	// rk4DFrozen is for the claims' test
	rk4DFrozen = rival{name: "rk4, discrete, ε constant in x", solver: "rk4", frozen: true}

	rivals = []rival{rk4C, rk4D, midpointC, midpointD, eulerC, eulerD, adamsC, rk4None, rk4Frozen}
)

// anything accepts every mismatch: the experiment shows it.
const anything = 1e300

func find(rivals []rival, name string) (rival, error) {
	i := slices.IndexFunc(rivals, func(r rival) bool { return r.name == name })
	if i < 0 {
		return rival{}, fmt.Errorf("no rival is called %q", name)
	}
	return rivals[i], nil
}

const (
	starts      = "gradient of the start states"
	params      = "gradient of the parameters"
	differences = "distance to finite differences"
	mismatch    = "mismatch of the start"
	states      = "states at the peak"
)

var calls = lab.Axis{Name: "network calls", Log: true}

func sizes(n, quickN, seeds string) []lab.Param {
	return []lab.Param{
		{Name: "n", Help: "start states a seed", Kind: lab.Int, Default: n, At: map[lab.Size]string{lab.Quick: quickN}, Min: 1, Max: 10000},
		{Name: "seeds", Help: "independent sets of start states", Kind: lab.Int, Default: seeds, At: map[lab.Size]string{lab.Quick: "1", lab.Full: "10"}, Min: 1, Max: 1000},
	}
}

func steps(quick, desk, full string) lab.Param {
	return lab.Param{Name: "steps", Help: "numbers of steps", Kind: lab.Ints, Default: desk, At: map[lab.Size]string{lab.Quick: quick, lab.Full: full}, Min: 1, Max: 10000}
}

// cells is panel × rival × steps × seed.
func cells(v lab.Values, panels []string, rivals []rival) []lab.Cell {
	var cs []lab.Cell
	for _, panel := range panels {
		for _, r := range rivals {
			for _, n := range v.Ints("steps") {
				for seed := range v.Int("seeds") {
					cs = append(cs, lab.Cell{Panel: panel, Method: r.name, Budget: float64(n), Seed: uint64(seed), Values: v})
				}
			}
		}
	}
	return cs
}

// gradients is the main question: how exact is a gradient for its calls?
func gradients() *lab.Experiment {
	panels := []string{starts, params}
	return &lab.Experiment{
		Name:    "adjoint-dpm/gradients",
		Title:   "Gradients through a sampler: error over network calls",
		Help:    "Two Gaussians with trainable means, deviations and a common shift, on the linear VP schedule from t = 1 to 0.01, steps evenly in log ρ. The loss is half the squared distance to a point. The error is relative to the gradient of the exact solution; a product with the Jacobian counts as a call.",
		Cost:    calls,
		Quality: lab.Axis{Name: "relative error", Log: true},
		Budget:  "steps", Version: 1,
		Params: append(sizes("32", "8", "3"), steps("10,20,40", "10,20,40,80", "5,10,20,40,80,160")),
		Grid:   func(v lab.Values) ([]lab.Cell, error) { return cells(v, panels, rivals), nil },
		Run:    runGradient,
		Claims: gradientClaims(),
	}
}

func runGradient(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
	t := task{Mixture: broad, End: 1e-2, N: c.Values.Int("n"), Seed: c.Seed}
	r, err := find(append(slices.Clone(rivals), rk4DFrozen), c.Method)
	if err != nil {
		return lab.Outcome{}, err
	}
	p, err := t.problem(int(c.Budget), diffusion.LogSNR, r.frozen)
	if err != nil {
		return lab.Outcome{}, err
	}
	exactStart, exactParams, err := t.exact(ctx)
	if err != nil {
		return lab.Outcome{}, err
	}
	g, err := adjoint.Solve(ctx, p, solvers[r.solver], half(target), r.o)
	if err != nil {
		return lab.Outcome{}, err
	}
	o := lab.Outcome{Cost: float64(g.NFE + g.VJPs), Quality: relative(g.Start, exactStart), Metrics: map[string]float64{
		states: float64(g.Bytes) / 8 / float64(len(p.X)),
	}}
	if c.Panel == params {
		o.Quality = relative(g.Params, exactParams)
	}
	switch {
	case r.o.Checkpoint == adjoint.None:
		o.Metrics[mismatch] = g.Mismatch
	case r.o.Mode == adjoint.Discrete:
		got, by := g.Start, t.startDifferences
		if c.Panel == params {
			got, by = g.Params, t.paramDifferences
		}
		want, err := by(ctx, p, solvers[r.solver])
		if err != nil {
			return lab.Outcome{}, err
		}
		o.Metrics[differences] = relative(got, want)
	}
	return o, nil
}
