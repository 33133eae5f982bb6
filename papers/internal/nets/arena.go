package nets

import (
	"context"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/lab"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
)

// An Arena is the usual experiment on a trained network: rivals over evaluations,
// the error being the distance to the network's own fine solution.
type Arena struct {
	Name, Title, Help string
	Rivals            []mixture.Rival
	Budgets           map[lab.Size]string // lists of numbers of evaluations
	Guidance          string              // default scales, a panel each
	Claims            []lab.Claim
	Steps             bool // budgets are steps, as in mixture.Arena
	// Make makes the method of a rival that has none: one that must first be fitted
	// to the network.
	Make func(ctx context.Context, t Trial, r mixture.Rival, steps int, v lab.Values) (diffusion.Method, error)
	// Params are further parameters.
	Params []lab.Param
}

// Experiment is the arena as an experiment.
func (a Arena) Experiment() *lab.Experiment {
	what, budget := "numbers of evaluations", ""
	if a.Steps {
		what, budget = "numbers of steps", "steps"
	}
	return &lab.Experiment{
		Name: a.Name, Title: a.Title, Help: a.Help, Cost: mixture.NFE, Quality: mixture.RMSError, Budget: budget, Version: 1, Claims: a.Claims,
		Params: append(append(Params(),
			lab.Param{Name: "guidance", Help: "guidance scales, a panel each, for networks that take labels", Kind: lab.Floats, Default: a.Guidance, Min: 0, Max: 100},
			lab.Param{Name: "nfe", Help: what, Kind: lab.Ints, Default: a.Budgets[lab.Desk], At: a.Budgets, Min: 1, Max: 10000},
			lab.Param{Name: "truth", Help: "steps of the reference solution", Kind: lab.Int, Default: "1000", At: map[lab.Size]string{lab.Quick: "50"}, Min: 10, Max: 100000},
			lab.Param{Name: "n", Help: "samples a seed", Kind: lab.Int, Default: "10", At: map[lab.Size]string{lab.Quick: "2", lab.Full: "100"}, Min: 1, Max: 10000},
			lab.Param{Name: "seeds", Help: "independent sets of start states", Kind: lab.Int, Default: "3", At: map[lab.Size]string{lab.Quick: "1", lab.Full: "10"}, Min: 1, Max: 1000},
		), a.Params...),
		Grid: func(v lab.Values) ([]lab.Cell, error) {
			m, err := Open(v)
			if err != nil {
				return nil, err
			}
			return mixture.Cells(v, Panels(m, v.Floats("guidance")), a.Rivals, a.Steps), nil
		},
		Run: a.run,
	}
}

func (a Arena) run(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
	m, err := Open(c.Values)
	if err != nil {
		return lab.Outcome{}, err
	}
	r, err := mixture.FindRival(a.Rivals, c.Method)
	if err != nil {
		return lab.Outcome{}, err
	}
	t := Trial{Model: m, Panel: c.Panel, N: c.Values.Int("n"), Seed: c.Seed}
	truth, err := t.Truth(ctx, c.Values.Int("truth"))
	if err != nil {
		return lab.Outcome{}, err
	}
	steps := r.Steps(int(c.Budget), a.Steps)
	if r.Method == nil {
		if r.Method, err = a.Make(ctx, t, r, steps, c.Values); err != nil {
			return lab.Outcome{}, err
		}
	}
	s, err := t.SampleOn(ctx, r.Method, steps, r.Spacing)
	if err != nil {
		return lab.Outcome{}, err
	}
	return lab.Outcome{Cost: float64(s.NFE), Quality: mixture.RMS(s.X, truth), Metrics: map[string]float64{"network passes": float64(s.Passes)}}, nil
}
