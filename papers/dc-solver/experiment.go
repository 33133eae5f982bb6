package dcsolver

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/gmm"
	"github.com/assay-lab/assay/internal/cache"
	"github.com/assay-lab/assay/lab"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
)

// Experiments lists the paper's experiments, the main one first.
func Experiments() []*lab.Experiment { return []*lab.Experiment{search(), regression(), onNetwork()} }

var (
	ddim     = mixture.Rival{Name: "DDIM", Method: diffusion.DDIM{}}
	m2       = mixture.Rival{Name: "DPM-Solver++(2M)", Method: diffusion.DPMSolver{}}
	bh1      = mixture.Rival{Name: "UniPC-3 bh1", Method: diffusion.UniPC{}}
	bh2      = mixture.Rival{Name: "UniPC-3 bh2", Method: diffusion.UniPC{BH: diffusion.BH2}}
	twice    = mixture.Rival{Name: "UniPC-3 bh1, evaluated twice", Method: diffusion.UniPC{Reevaluate: true}, PerStep: 2}
	static   = mixture.Rival{Name: "DC, all ratios 1.1"}
	dcBH1    = mixture.Rival{Name: "DC on UniPC-3 bh1"}
	dcBH2    = mixture.Rival{Name: "DC on UniPC-3 bh2"}
	dcM2     = mixture.Rival{Name: "DC on DPM-Solver++(2M)"}
	dcCPR    = mixture.Rival{Name: "DC on UniPC-3 bh1, ratios predicted"}
	searches = []mixture.Rival{ddim, m2, bh1, bh2, twice, static, dcBH1, dcBH2, dcM2}
	fits     = []mixture.Rival{bh1, dcBH1, dcCPR}

	bases = map[string]diffusion.Method{dcBH1.Name: bh1.Method, dcBH2.Name: bh2.Method, dcM2.Name: m2.Method}
)

const (
	problem    = "cfg8-cfg"
	guidance   = 7.5
	points     = 10  // noises that ratios are searched on
	searchSeed = 1e6 // apart from the seeds of the tests
	shortest   = 5   // evaluations
)

// searchMSE is the metric of the mean squared error that the search reached on its
// own noises; the quality is on others.
const searchMSE = "MSE on the search's noises"

func search() *lab.Experiment {
	return &lab.Experiment{
		Name:    "dc-solver/search",
		Title:   "Dynamic compensation of a guided sampler: error over network evaluations",
		Help:    "A mixture of three Gaussians in eight dimensions, guided to one at 7.5, on the linear VP schedule, steps evenly in time. Ratios are searched on 10 noises and tested on others.",
		Cost:    mixture.NFE,
		Quality: mixture.RMSError,
		Version: 1,
		Params: []lab.Param{
			{Name: "nfe", Help: "numbers of evaluations", Kind: lab.Ints, Default: "5,6,8,10,12,15", At: map[lab.Size]string{lab.Quick: "5,10"}, Min: shortest, Max: 100},
			{Name: "n", Help: "start states a seed", Kind: lab.Int, Default: "64", At: map[lab.Size]string{lab.Quick: "16"}, Min: 1, Max: 100000},
			{Name: "seeds", Help: "independent sets of start states", Kind: lab.Int, Default: "3", At: map[lab.Size]string{lab.Quick: "1", lab.Full: "10"}, Min: 1, Max: 1000},
		},
		Grid: func(v lab.Values) ([]lab.Cell, error) {
			var cs []lab.Cell
			for _, r := range searches {
				for _, b := range v.Ints("nfe") {
					for seed := range v.Int("seeds") {
						cs = append(cs, lab.Cell{Method: r.Name, Budget: float64(b), Seed: uint64(seed), Values: v})
					}
				}
			}
			return cs, nil
		},
		Run: func(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
			return run(ctx, setting{problem, guidance}, c)
		},
		Claims: searchClaims(),
	}
}

// A setting is a guided problem.
type setting struct {
	Problem string
	Scale   float64
}

func (s setting) trial(n int, seed uint64) (mixture.Trial, error) {
	p, err := mixture.Setting{Problem: s.Problem, Schedule: "vp-linear"}.Load()
	return mixture.Trial{Problem: p, Guidance: s.Scale, N: n, Seed: seed}, err
}

func run(ctx context.Context, s setting, c lab.Cell) (lab.Outcome, error) {
	t, err := s.trial(c.Values.Int("n"), c.Seed)
	if err != nil {
		return lab.Outcome{}, err
	}
	steps := int(c.Budget)
	o := lab.Outcome{}
	var m diffusion.Method
	switch c.Method {
	case static.Name:
		ratios := ones(steps)
		for i := 2; i < steps; i++ {
			ratios[i] = 1.1
		}
		m = diffusion.DCSolver{Ratios: ratios}
	case dcBH1.Name, dcBH2.Name, dcM2.Name:
		found, err := ratios(ctx, s, bases[c.Method], c.Method, steps)
		if err != nil {
			return lab.Outcome{}, err
		}
		o.Metrics = map[string]float64{searchMSE: found.Loss[steps-1]}
		m = diffusion.DCSolver{Base: bases[c.Method], Ratios: found.Ratios}
	case dcCPR.Name:
		predicted, err := predict(ctx, s.Problem, s.Scale, steps)
		if err != nil {
			return lab.Outcome{}, err
		}
		m = diffusion.DCSolver{Ratios: predicted}
	case twice.Name:
		m, steps = twice.Method, steps/2+1 // the last step has no corrector
	default:
		if m, err = mixture.RivalNamed(searches, c.Method); err != nil {
			return lab.Outcome{}, err
		}
	}
	exact, err := t.Exact(ctx)
	if err != nil {
		return lab.Outcome{}, err
	}
	sol, err := t.SampleOn(ctx, m, steps, diffusion.TimeUniform)
	if err != nil {
		return lab.Outcome{}, err
	}
	o.Cost, o.Quality = float64(sol.NFE), mixture.RMS(sol.X, exact)
	return o, nil
}

func ones(n int) []float64 {
	r := make([]float64, n)
	for i := range r {
		r[i] = 1
	}
	return r
}

// ratios searches the ratios of a base method, once.
func ratios(ctx context.Context, s setting, base diffusion.Method, name string, steps int) (found diffusion.Found, err error) {
	recipe := struct {
		Setting setting
		Base    string
		Steps   int
		Version int
	}{s, name, steps, 1}
	b, err := cache.Get(ctx, "dc-ratios", recipe, func(ctx context.Context) ([]byte, error) {
		t, err := s.trial(points, searchSeed)
		if err != nil {
			return nil, err
		}
		x, err := t.Starts()
		if err != nil {
			return nil, err
		}
		p := t.Problem
		p.Guidance.Scale = s.Scale
		model, err := p.Differentiable()
		if err != nil {
			return nil, err
		}
		sch, err := p.Schedule.Build()
		if err != nil {
			return nil, err
		}
		g := diffusion.Grid{Schedule: sch, Steps: steps, Start: p.TStart, End: p.TEnd, Spacing: diffusion.TimeUniform}
		reference, err := reference(ctx, model, g, x)
		if err != nil {
			return nil, err
		}
		found, err := diffusion.RatioSearch{Base: base}.Run(ctx, diffusion.Problem[float64]{Grid: g, X: x, N: points}, model, reference)
		if err != nil {
			return nil, err
		}
		return json.Marshal(found)
	})
	if err != nil {
		return found, err
	}
	err = json.Unmarshal(b, &found)
	return found, err
}

// reference is the exact solution at every level of the grid.
func reference(ctx context.Context, model diffusion.Denoiser[float64], g diffusion.Grid, x []float64) ([][]float64, error) {
	ls, err := g.Levels(g.Steps)
	if err != nil {
		return nil, err
	}
	at := [][]float64{x}
	for i := range g.Steps {
		next, err := gmm.Exact(ctx, model, g.Schedule, at[i], points, ls[i].T, ls[i+1].T)
		if err != nil {
			return nil, err
		}
		at = append(at, next)
	}
	return at, nil
}

// The grid that the polynomial is fitted on, and the points it then predicts.
var (
	fitNFE    = []int{6, 8, 9, 12, 14}
	fitScales = []float64{5, 6.5, 8, 9.5}
	unseen    = []struct {
		nfe   int
		scale float64
	}{{10, 7.5}, {7, 6}, {11, 9}}
	fitProblems = []string{"cfg8-cfg", "packed16-cfg"}
)

// predict fits the polynomial on searched ratios, clipped as outliers would rule
// the fit, and evaluates it.
func predict(ctx context.Context, problem string, scale float64, nfe int) ([]float64, error) {
	var data []diffusion.RatioPoint
	for _, n := range fitNFE {
		for _, s := range fitScales {
			found, err := ratios(ctx, setting{problem, s}, bh1.Method, dcBH1.Name, n)
			if err != nil {
				return nil, err
			}
			r := append([]float64(nil), found.Ratios[2:]...)
			for i := range r {
				r[i] = min(max(r[i], 0.2), 2)
			}
			data = append(data, diffusion.RatioPoint{Scale: s, NFE: n, Ratios: r})
		}
	}
	c, _, err := diffusion.FitCPR(data)
	if err != nil {
		return nil, err
	}
	return c.Ratios(scale, nfe)
}

func regression() *lab.Experiment {
	return &lab.Experiment{
		Name:    "dc-solver/regression",
		Title:   "Ratios predicted for unseen guidance and numbers of evaluations",
		Help:    "Cascade polynomial regression is fitted on ratios searched at four guidance scales and five numbers of evaluations, and predicts them at three other points, on two guided mixtures.",
		Cost:    mixture.NFE,
		Quality: mixture.RMSError,
		Version: 1,
		Params: []lab.Param{
			{Name: "n", Help: "start states a seed", Kind: lab.Int, Default: "64", At: map[lab.Size]string{lab.Quick: "16"}, Min: 1, Max: 100000},
			{Name: "seeds", Help: "independent sets of start states", Kind: lab.Int, Default: "3", At: map[lab.Size]string{lab.Quick: "1"}, Min: 1, Max: 1000},
		},
		Grid: func(v lab.Values) ([]lab.Cell, error) {
			var cs []lab.Cell
			for _, p := range fitProblems {
				for _, u := range unseen {
					for _, r := range fits {
						for seed := range v.Int("seeds") {
							cs = append(cs, lab.Cell{Panel: panel(p, u.scale), Method: r.Name, Budget: float64(u.nfe), Seed: uint64(seed), Values: v})
						}
					}
				}
			}
			return cs, nil
		},
		Run: func(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
			for _, p := range fitProblems {
				for _, u := range unseen {
					if c.Panel == panel(p, u.scale) {
						return run(ctx, setting{p, u.scale}, c)
					}
				}
			}
			return lab.Outcome{}, fmt.Errorf("panel %q is unknown", c.Panel)
		},
		Claims: []lab.Claim{regressionClaim()},
	}
}

func panel(problem string, scale float64) string {
	return fmt.Sprintf("%s, guidance %g", problem, scale)
}

func searchClaims() []lab.Claim {
	budgets := []float64{5, 6, 8, 10}
	var each []lab.Predicate
	for _, n := range budgets {
		each = append(each, lab.AtMost(lab.At("", dcBH1.Name, n), lab.At("", bh1.Name, n).Times(0.8)))
	}
	each = append(each, lab.AtMost(lab.RatioOver("", dcBH1.Name, bh1.Name, budgets...), lab.Number(0.6)))
	var carries []lab.Predicate
	for _, n := range budgets {
		mse := func(c lab.Curves) (string, float64, error) {
			name, x, err := lab.At("", dcBH1.Name, n)(c)
			return "squared " + name, x * x, err
		}
		carries = append(carries, lab.AtMost(mse, lab.MetricAt("", dcBH1.Name, n, searchMSE).Times(1.5)))
	}
	return []lab.Claim{
		{
			Name:  "compensation improves UniPC",
			Text:  "Compensation lowers the error of UniPC-3 bh1 to at most 0.8 times at 5, 6, 8 and 10 evaluations, and to at most 0.6 times in the geometric mean.",
			Paper: "FID 10.38 against 18.66 of UniPC with 5 evaluations on FFHQ; MSE 0.394 with 5 evaluations at guidance 7.5 on Stable Diffusion 2.1 (abstract)",
			Judge: lab.All(each...),
		},
		{
			Name:  "10 noises suffice",
			Text:  "The mean squared error on other noises is at most 1.5 times that on the 10 that the ratios were searched on.",
			Paper: "ten data points are enough (ablation)",
			Judge: lab.All(carries...),
		},
		{
			Name:  "compensation helps a predictor as well",
			Text:  "Compensation lowers the error of DPM-Solver++(2M) at 5 and 10 evaluations.",
			Judge: lab.All(lab.Beats("", dcM2.Name, m2.Name, 5, 10)...),
		},
	}
}

func regressionClaim() lab.Claim {
	var ps []lab.Predicate
	for _, p := range fitProblems {
		for _, u := range unseen {
			at := func(r mixture.Rival) lab.Term { return lab.At(panel(p, u.scale), r.Name, float64(u.nfe)) }
			ps = append(ps, lab.AtMost(at(dcCPR), at(bh1).Times(0.6)))
		}
	}
	return lab.Claim{
		Name:  "ratios can be predicted",
		Text:  "Predicted ratios lower the error of UniPC-3 bh1 to at most 0.6 times at guidance scales and numbers of evaluations that were not searched, on two problems.",
		Paper: "one regression serves all numbers of evaluations and guidance scales (section 3.4)",
		Judge: lab.All(ps...),
	}
}
