package mixture

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/lab"
)

// The axes of every sampler experiment.
var (
	NFE      = lab.Axis{Name: "NFE", Log: true}
	RMSError = lab.Axis{Name: "RMS error", Log: true}
)

// A Setting is a laboratory problem on a schedule: a panel of an [Arena].
type Setting struct {
	Problem  string  // "overlap8", "packed16", "packed16-cfg", "cfg8-cfg" or "smooth"
	Schedule string  // "vp-linear", "ddpm-discrete" or "cosine-discrete"
	Guidance float64 // of the problems with a condition
	End      float64 // time at which sampling ends; 0: the schedule's
}

// String names the setting's panel.
func (s Setting) String() string {
	name := s.Problem + ", " + s.Schedule
	if s.Guidance != 0 {
		name += fmt.Sprintf(", guidance %g", s.Guidance)
	}
	return name
}

// Load makes the setting's problem.
func (s Setting) Load() (*Problem, error) {
	p, err := Smooth()
	if s.Problem != "smooth" {
		p, err = Lab(s.Problem, "vp-linear")
	}
	if err != nil {
		return nil, err
	}
	switch s.Schedule {
	case "vp-linear":
	case "ddpm-discrete":
		p.Schedule = Schedule{Kind: s.Schedule, BetaStart: 1e-4, BetaEnd: 0.02, N: 1000}
	case "cosine-discrete":
		p.Schedule = Schedule{Kind: s.Schedule, N: 1000}
	default:
		return nil, fmt.Errorf("schedule %q: must be vp-linear, ddpm-discrete or cosine-discrete", s.Schedule)
	}
	sch, err := p.Schedule.Build()
	if err != nil {
		return nil, err
	}
	p.TEnd, p.TStart = sch.Range()
	if s.End != 0 {
		p.TEnd = s.End
	}
	return p, nil
}

// An Arena is the usual experiment on samplers: rivals on laboratory problems, the
// error being the distance to the exact solution from the same start.
type Arena struct {
	Name, Title, Help string
	Settings          []Setting // a panel each
	Rivals            []Rival
	Budgets           map[lab.Size]string // lists of numbers of evaluations
	Claims            []lab.Claim
	// Steps says that budgets are steps: methods that take more than one evaluation
	// a step then cost more than their budget.
	Steps bool
}

// Experiment is the arena as an experiment.
func (a Arena) Experiment() *lab.Experiment {
	panels := make([]string, len(a.Settings))
	for i, s := range a.Settings {
		panels[i] = s.String()
	}
	what, budget := "numbers of evaluations", ""
	if a.Steps {
		what, budget = "numbers of steps", "steps"
	}
	return &lab.Experiment{
		Name: a.Name, Title: a.Title, Help: a.Help, Cost: NFE, Quality: RMSError, Budget: budget, Version: 1, Claims: a.Claims,
		Params: []lab.Param{
			{Name: "nfe", Help: what, Kind: lab.Ints, Default: a.Budgets[lab.Desk], At: a.Budgets, Min: 1, Max: 100000},
			{Name: "n", Help: "start states a seed", Kind: lab.Int, Default: "256", At: map[lab.Size]string{lab.Quick: "16", lab.Full: "1024"}, Min: 1, Max: 100000},
			{Name: "seeds", Help: "independent sets of start states", Kind: lab.Int, Default: "3", At: map[lab.Size]string{lab.Quick: "1", lab.Full: "10"}, Min: 1, Max: 1000},
		},
		Grid: func(v lab.Values) ([]lab.Cell, error) { return Cells(v, panels, a.Rivals, a.Steps), nil },
		Run: func(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
			i, j := slices.Index(panels, c.Panel), slices.IndexFunc(a.Rivals, func(r Rival) bool { return r.Name == c.Method })
			if i < 0 || j < 0 {
				return lab.Outcome{}, fmt.Errorf("panel %q, method %q: the panels are %s", c.Panel, c.Method, strings.Join(panels, "; "))
			}
			return a.run(ctx, c, a.Settings[i], a.Rivals[j])
		},
	}
}

func (a Arena) run(ctx context.Context, c lab.Cell, s Setting, r Rival) (lab.Outcome, error) {
	p, err := s.Load()
	if err != nil {
		return lab.Outcome{}, err
	}
	t := Trial{Problem: p, Guidance: s.Guidance, N: c.Values.Int("n"), Seed: c.Seed}
	exact, err := t.Exact(ctx)
	if err != nil {
		return lab.Outcome{}, err
	}
	sol, err := t.solve(ctx, r, r.Steps(int(c.Budget), a.Steps), nil)
	if err != nil {
		return lab.Outcome{}, err
	}
	return lab.Outcome{Cost: float64(sol.NFE), Quality: RMS(sol.X, exact)}, nil
}

// Cells is panel × rival × nfe × seed, without the budgets that a rival cannot run
// at.
func Cells(v lab.Values, panels []string, rivals []Rival, budgetIsSteps bool) []lab.Cell {
	var cs []lab.Cell
	for _, panel := range panels {
		for _, r := range rivals {
			for _, b := range v.Ints("nfe") {
				if r.Steps(b, budgetIsSteps) < max(r.Least, 1) {
					continue
				}
				for seed := range v.Int("seeds") {
					cs = append(cs, lab.Cell{Panel: panel, Method: r.Name, Budget: float64(b), Seed: uint64(seed), Values: v})
				}
			}
		}
	}
	return cs
}

// Steps is how many steps the rival makes of a budget.
func (r Rival) Steps(budget int, budgetIsSteps bool) int {
	if r.PerStep == 0 || budgetIsSteps {
		return budget
	}
	return budget / r.PerStep
}

// solve samples with the rival's own spacing.
func (t Trial) solve(ctx context.Context, r Rival, steps int, hook diffusion.Hook[float64]) (diffusion.Solution[float64], error) {
	p, err := t.problem(steps)
	if err != nil {
		return diffusion.Solution[float64]{}, err
	}
	p.Grid.Spacing, p.Hook = r.Spacing, hook
	return diffusion.Solve(ctx, p, r.Method)
}

// SampleOn runs a sampler on a spacing other than its own.
func (t Trial) SampleOn(ctx context.Context, m diffusion.Method, steps int, spacing diffusion.Spacing) (diffusion.Solution[float64], error) {
	return t.solve(ctx, Rival{Method: m, Spacing: spacing}, steps, nil)
}

// problem is the trial as a sampler takes it.
func (t Trial) problem(steps int) (p diffusion.Problem[float64], err error) {
	if p.Model, err = t.model(); err != nil {
		return p, err
	}
	if p.Grid, err = t.grid(steps); err != nil {
		return p, err
	}
	p.X, err = t.Starts()
	p.N, p.Noise = t.N, diffusion.Seeded(t.Seed)
	return p, err
}

// SampleAdaptive runs an adaptive solver from the trial's starts.
func (t Trial) SampleAdaptive(ctx context.Context, a diffusion.Adaptive) (diffusion.Solution[float64], error) {
	p, err := t.problem(0)
	if err != nil {
		return diffusion.Solution[float64]{}, err
	}
	return diffusion.SolveAdaptive(ctx, p, a)
}
