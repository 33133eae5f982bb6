package ghvb

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/lab"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
)

// The panels of the divergence experiment.
const (
	equal  = "condition as wide as the rest"
	narrow = "condition a sixth as wide"
)

var divergenceRivals = []mixture.Rival{
	ddim, plms2, plms3, plms4, ghvb38, ghvb33, ghvb28, ghvb23, hb38, hb35, nt38, m2, m2hb, unipc, unipcHB, ltsp,
}

// The metrics of the divergence experiment.
const (
	magnitude = "magnitude score" // share of coordinates beyond 1.5 times the exact solution's largest
	largest   = "largest |x| / exact"
)

// artifact is how many times the exact solution's largest magnitude a coordinate must
// have to count as an artifact.
const artifact = 1.5

func divergence() *lab.Experiment {
	return &lab.Experiment{
		Name:    "ghvb/divergence",
		Title:   "Few steps under strong guidance: error over network evaluations",
		Help:    "Eight Gaussians in 16 dimensions on the scaled-linear schedule of Stable Diffusion, guided to one of them at scale 15, on that sampler's time grid. In the second panel the condition is a sixth as wide as the unguided components. The error is the distance to the exact guided solution from the same start.",
		Cost:    mixture.NFE,
		Quality: mixture.RMSError,
		Params: []lab.Param{
			{Name: "nfe", Help: "numbers of evaluations", Kind: lab.Ints, Default: "8,10,15,20,30,60",
				At: map[lab.Size]string{lab.Quick: "10,15,20,60", lab.Full: "8,10,12,15,20,25,30,40,60,100"}, Min: 4, Max: 499},
			{Name: "guidance", Help: "guidance scale", Kind: lab.Float, Default: "15", Min: 0, Max: 100},
			{Name: "n", Help: "start states a seed", Kind: lab.Int, Default: "64", At: map[lab.Size]string{lab.Quick: "16", lab.Full: "512"}, Min: 1, Max: 100000},
			{Name: "seeds", Help: "independent sets of start states", Kind: lab.Int, Default: "3", At: map[lab.Size]string{lab.Quick: "1", lab.Full: "10"}, Min: 1, Max: 1000},
		},
		Version: 1,
		Grid: func(v lab.Values) ([]lab.Cell, error) {
			return mixture.Cells(v, []string{equal, narrow}, divergenceRivals, false), nil
		},
		Run:    runDivergence,
		Claims: divergenceClaims(),
	}
}

func runDivergence(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
	r, err := mixture.FindRival(divergenceRivals, c.Method)
	if err != nil {
		return lab.Outcome{}, err
	}
	return sampleGuided(ctx, c, r.Method, r.Steps(int(c.Budget), false))
}

// sampleGuided samples a panel's problem and measures what comes out.
func sampleGuided(ctx context.Context, c lab.Cell, m diffusion.Method, steps int) (lab.Outcome, error) {
	p, err := guidedProblem(c.Panel)
	if err != nil {
		return lab.Outcome{}, err
	}
	if err := leading(p, steps); err != nil {
		return lab.Outcome{}, err
	}
	t := mixture.Trial{Problem: p, Guidance: c.Values.Float("guidance"), N: c.Values.Int("n"), Seed: c.Seed}
	exact, err := t.Exact(ctx)
	if err != nil {
		return lab.Outcome{}, err
	}
	sol, err := t.SampleOn(ctx, m, steps, leadingSpacing)
	var diverged *diffusion.DivergedError
	if errors.As(err, &diverged) {
		return lab.Outcome{Cost: c.Budget, Quality: math.Inf(1), Metrics: map[string]float64{magnitude: 1, largest: math.Inf(1)}}, nil
	}
	if err != nil {
		return lab.Outcome{}, err
	}
	var most, mostExact float64
	for i, x := range sol.X {
		most, mostExact = max(most, math.Abs(x)), max(mostExact, math.Abs(exact[i]))
	}
	beyond := 0
	for _, x := range sol.X {
		if math.Abs(x) > artifact*mostExact {
			beyond++
		}
	}
	return lab.Outcome{Cost: float64(sol.NFE), Quality: mixture.RMS(sol.X, exact), Metrics: map[string]float64{
		magnitude: float64(beyond) / float64(len(sol.X)), largest: most / mostExact, "network passes": float64(sol.Passes),
	}}, nil
}

//go:embed cases/lab-guided16-scale15.json
var guidedCaseText []byte

// guidedProblem is the problem of the guided case: unit noise is its start.
func guidedProblem(panel string) (*mixture.Problem, error) {
	var c struct{ Input mixture.Problem }
	if err := json.Unmarshal(guidedCaseText, &c); err != nil {
		return nil, err
	}
	p := &c.Input
	p.XT = nil
	switch panel {
	case equal:
	case narrow:
		// A ninth component, at the first one's place, of a weight that nobody notices:
		// its density there is 6^16 times the others'.
		const wide, narrow, nobody = 0.3, 0.05, 1e-40
		f := &p.Fixture
		for i := range f.S {
			f.S[i] = wide
		}
		f.W, f.Mu, f.S = append(f.W, nobody), append(f.Mu, f.Mu[0]), append(f.S, narrow)
		p.Guidance.Components = []int{len(f.W) - 1}
	default:
		return nil, fmt.Errorf("panel %q: must be %q or %q", panel, equal, narrow)
	}
	return p, nil
}

// leadingSpacing is the authors' grid of labels: multiples of ⌊N/steps⌋, and 1 added;
// the last step goes from label 1 to label 0.
var leadingSpacing = diffusion.Spacing{Name: "leading", Place: func(s diffusion.Schedule, _, _ float64, n int) []float64 {
	table, ok := s.(*diffusion.Discrete)
	if !ok || n < 1 || table.Len()/n < 2 {
		return nil
	}
	ts := make([]float64, n+1)
	for i := range n {
		ts[i] = table.TimeOf(float64((n-1-i)*(table.Len()/n) + 1))
	}
	ts[n] = table.TimeOf(0)
	return ts
}}

// leading lets a problem start and end where that grid does.
func leading(p *mixture.Problem, steps int) error {
	s, err := p.Schedule.Build()
	if err != nil {
		return err
	}
	ts := leadingSpacing.Place(s, 0, 0, steps)
	if ts == nil {
		return fmt.Errorf("%d steps: the schedule has no such grid", steps)
	}
	p.TStart, p.TEnd = ts[0], ts[steps]
	return nil
}
