package adjointdpm

import (
	"context"
	"slices"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/gmm"
	"github.com/assay-lab/assay/lab"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
)

var (
	onRho = mixture.Rival{Name: "Euler on ρ", Method: solvers["euler"]}
	onT   = mixture.Rival{Name: "Euler on the raw ODE", Method: mixture.RawEuler{}}

	panels = map[string]gmm.Mixture{onePanel: single, narrowPanel: narrow, broadPanel: broad}
)

const (
	onePanel    = "one narrow Gaussian, s = 0.01"
	narrowPanel = "two narrow Gaussians, s = 0.01"
	broadPanel  = "two broad Gaussians, s = 0.5 and 0.4"
	backward    = "error from data to noise"
	middle      = "median error" // of the samples; not moved by those that end at another component
)

// reparametrisation asks whether the change of variables helps, both ways.
func reparametrisation() *lab.Experiment {
	methods := []rival{{name: onRho.Name}, {name: onT.Name}}
	return &lab.Experiment{
		Name:    "adjoint-dpm/reparametrisation",
		Title:   "The change of variables: error of the sample over steps",
		Help:    "Euler's method in the paper's variables, and on the ODE as it stands, on three distributions from t = 1 to 0.001, steps evenly in √t. The error is the distance to the exact solution; further figures are its median over the samples, and the error of the way back from exact samples to noise.",
		Cost:    mixture.NFE,
		Quality: mixture.RMSError,
		Version: 1,
		Params:  append(sizes("64", "16", "3"), steps("10,20", "5,10,20,40,80", "5,10,20,40,80,160")),
		Grid: func(v lab.Values) ([]lab.Cell, error) {
			return cells(v, []string{onePanel, narrowPanel, broadPanel}, methods), nil
		},
		Run: func(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
			m, err := mixture.RivalNamed([]mixture.Rival{onRho, onT}, c.Method)
			if err != nil {
				return lab.Outcome{}, err
			}
			t := task{Mixture: panels[c.Panel], End: 1e-3, N: c.Values.Int("n"), Seed: c.Seed}
			p, err := t.problem(int(c.Budget), diffusion.TimeQuadratic, false)
			if err != nil {
				return lab.Outcome{}, err
			}
			exact, err := t.samples(ctx)
			if err != nil {
				return lab.Outcome{}, err
			}
			s, err := diffusion.Solve(ctx, p, m)
			if err != nil {
				return lab.Outcome{}, err
			}
			o := lab.Outcome{Cost: float64(s.NFE), Quality: mixture.RMS(s.X, exact), Metrics: map[string]float64{middle: median(s.X, exact, p.N)}}
			noise := p.X
			p.X, p.Grid.Start, p.Grid.End = exact, p.Grid.End, p.Grid.Start
			if s, err = diffusion.Solve(ctx, p, m); err != nil {
				return lab.Outcome{}, err
			}
			o.Metrics[backward] = mixture.RMS(s.X, noise)
			return o, nil
		},
		Claims: []lab.Claim{reparametrisationClaim()},
	}
}

// median is that of the samples' root mean square errors.
func median(x, exact []float64, n int) float64 {
	d := len(x) / n
	errs := make([]float64, n)
	for i := range errs {
		errs[i] = mixture.RMS(x[i*d:(i+1)*d], exact[i*d:(i+1)*d])
	}
	slices.Sort(errs)
	return (errs[(n-1)/2] + errs[n/2]) / 2
}
