package usfs3

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/search"
	"github.com/assay-lab/assay/lab"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
)

// Experiments lists the paper's experiments, the main one first.
func Experiments() []*lab.Experiment { return []*lab.Experiment{found(), budget(), onNetwork()} }

// The ways to a schedule.
const (
	standard  = "best of 36 standard solvers"
	s3        = "S³"
	s3Learned = "S³ with a predictor, a third of the scores"
	s3Uniform = "searched times, one decision for all steps"
	s3Random  = "mutations of standard solvers, no evolution"
	s3More    = "S³ on four times the starts"
)

// The panels, and the problems that they name.
const (
	smooth = "overlap8"
	small  = "FA, three modes in the plane"
	sharp  = "packed16, separated modes"
)

var problems = map[string]string{smooth: "overlap8", small: "smooth", sharp: "packed16"}

// found asks whether the schedules that are found hold on starts that the search has
// not seen.
func found() *lab.Experiment {
	return &lab.Experiment{
		Name:    "usf-s3/found",
		Title:   "What a searched schedule is worth: error on new starts over network evaluations",
		Help:    "Gaussian mixtures on the linear VP schedule, from t = 1 to 0.001. Schedules are scored by the RMS distance to the exact solution on the search's own starts, and judged by it on 512 others. The best standard solver is the best on those others, to its favour.",
		Cost:    mixture.NFE,
		Quality: mixture.RMSError,
		Version: 1,
		Params: []lab.Param{
			{Name: "nfe", Help: "numbers of evaluations", Kind: lab.Ints, Default: "5,10", At: map[lab.Size]string{lab.Quick: "5", lab.Full: "3,4,5,6,8,10"}, Min: 1, Max: 50},
			{Name: "scores", Help: "schedules that a search scores", Kind: lab.Int, Default: "1500", At: map[lab.Size]string{lab.Quick: "400"}, Min: 120, Max: 1000000},
			{Name: "starts", Help: "start states that schedules are scored on", Kind: lab.Int, Default: "64", At: map[lab.Size]string{lab.Quick: "32"}, Min: 1, Max: 100000},
			{Name: "new", Help: "start states that they are judged on", Kind: lab.Int, Default: "512", At: map[lab.Size]string{lab.Quick: "128"}, Min: 1, Max: 100000},
			{Name: "seeds", Help: "searches of a kind", Kind: lab.Int, Default: "3", At: map[lab.Size]string{lab.Quick: "1", lab.Full: "10"}, Min: 1, Max: 1000},
		},
		Grid: func(v lab.Values) ([]lab.Cell, error) {
			var cs []lab.Cell
			for _, panel := range []string{smooth, small, sharp} {
				methods := []string{standard, s3, s3Learned, s3Uniform, s3Random}
				if panel == sharp {
					methods = []string{standard, s3, s3More}
				}
				for _, m := range methods {
					for _, b := range v.Ints("nfe") {
						for seed := range v.Int("seeds") {
							cs = append(cs, lab.Cell{Panel: panel, Method: m, Budget: float64(b), Seed: uint64(seed), Values: v})
						}
					}
				}
			}
			return cs, nil
		},
		Run:    runFound,
		Claims: foundClaims(),
	}
}

// newStarts is the seed of the starts that schedules are judged on.
const newStarts = 1 << 20

// scorer scores on seeded starts of a panel's problem.
func scorer(ctx context.Context, panel string, seed uint64, n int) (sc search.Scorer[float64], sp search.Space, err error) {
	p, err := mixture.Setting{Problem: problems[panel], Schedule: "vp-linear"}.Load()
	if err != nil {
		return sc, sp, err
	}
	if sc.Noise, err = p.Schedule.Build(); err != nil {
		return sc, sp, err
	}
	if sc.Model, err = p.Model(); err != nil {
		return sc, sp, err
	}
	t := mixture.Trial{Problem: p, N: n, Seed: seed}
	sc.N = n
	if sc.X, err = t.Starts(); err != nil {
		return sc, sp, err
	}
	sc.Truth, err = t.Exact(ctx)
	return sc, search.Space{Noise: sc.Noise, Start: p.TStart, End: p.TEnd}, err
}

func runFound(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
	if _, ok := problems[c.Panel]; !ok {
		return lab.Outcome{}, fmt.Errorf("panel %q is unknown", c.Panel)
	}
	judge, sp, err := scorer(ctx, c.Panel, newStarts, c.Values.Int("new"))
	if err != nil {
		return lab.Outcome{}, err
	}
	sp.NFE = int(c.Budget)
	o := lab.Outcome{Cost: c.Budget, Metrics: map[string]float64{}}
	var best search.Schedule
	if c.Method == standard {
		if best, err = bestStandard(ctx, sp, judge); err != nil {
			return lab.Outcome{}, err
		}
	} else {
		n := c.Values.Int("starts")
		if c.Method == s3More {
			n *= 4
		}
		own, _, err := scorer(ctx, c.Panel, c.Seed, n)
		if err != nil {
			return lab.Outcome{}, err
		}
		r, err := run(ctx, c.Method, sp, own, c.Values.Int("scores"), c.Seed)
		if err != nil {
			return lab.Outcome{}, err
		}
		best = r.Best.X
		o.Metrics[inSearch], o.Metrics["scores"] = r.Best.Score, float64(len(r.All))
	}
	o.Quality, err = judge.Score(ctx, best)
	if err != nil {
		return lab.Outcome{}, err
	}
	o.Metrics[median], err = medianError(ctx, judge, best)
	return o, err
}

// The metrics.
const (
	inSearch = "error in the search"
	median   = "median error of a start"
)

// bestStandard is the standard solver with the lowest score.
func bestStandard[T diffusion.Float](ctx context.Context, sp search.Space, sc search.Scorer[T]) (best search.Schedule, err error) {
	all, err := sp.Baselines()
	if err != nil {
		return nil, err
	}
	lowest := math.Inf(1)
	for _, s := range all {
		score, err := sc.Score(ctx, s)
		if err != nil {
			return nil, err
		}
		if score < lowest {
			best, lowest = s, score
		}
	}
	if best == nil {
		return nil, fmt.Errorf("all standard solvers of %d evaluations diverge", sp.NFE)
	}
	return best, nil
}

// medianError is the median over the starts of their RMS errors.
func medianError(ctx context.Context, sc search.Scorer[float64], s search.Schedule) (float64, error) {
	d := len(sc.X) / sc.N
	errs := make([]float64, sc.N)
	for i := range errs {
		one := sc
		one.X, one.Truth, one.N = sc.X[i*d:(i+1)*d], sc.Truth[i*d:(i+1)*d], 1
		var err error
		if errs[i], err = one.Score(ctx, s); err != nil {
			return 0, err
		}
	}
	slices.Sort(errs)
	return errs[len(errs)/2], nil
}
