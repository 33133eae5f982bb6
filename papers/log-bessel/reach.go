package logbessel

import (
	"context"
	"math"

	"github.com/assay-lab/assay/internal/rng"
	"github.com/assay-lab/assay/lab"
)

// decades are where the ranges of v begin.
var decades = []float64{0.01, 0.1, 1, 10, 100, 1000, 10000}

// reach asks for how many points there is a finite answer.
func reach() *lab.Experiment {
	return &lab.Experiment{
		Name:    "log-bessel/reach",
		Title:   "Where log I and log K have an answer",
		Help:    "Orders from 0.01 to 100,000 and arguments from 0.0001 to 1,000,000, evenly spread in their logarithms, and a tenth as many with x within 2 % of v. A point of the curve is a decade of v. The log of the scaled function stands for SciPy's log(ive) and log(kve) at their best.",
		Cost:    orders,
		Quality: lab.Axis{Name: "answers that are not finite", Unit: "%"},
		Params: []lab.Param{
			{Name: "n", Help: "points a decade and seed", Kind: lab.Int, Default: "600", At: map[lab.Size]string{lab.Quick: "100", lab.Full: "3000"}, Min: 10, Max: 1e6},
			{Name: "seeds", Help: "independent sets of points", Kind: lab.Int, Default: "5", At: map[lab.Size]string{lab.Quick: "2"}, Min: 1, Max: 1000},
		},
		Version: 1,
		Grid: func(v lab.Values) ([]lab.Cell, error) {
			var cs []lab.Cell
			for _, panel := range []string{panelI, panelK} {
				for _, r := range rivals {
					for _, d := range decades {
						for seed := range v.Int("seeds") {
							cs = append(cs, lab.Cell{Panel: panel, Method: r.Name, Budget: d, Seed: uint64(seed), Values: v})
						}
					}
				}
			}
			return cs, nil
		},
		Run:    runReach,
		Claims: reachClaims(),
	}
}

func runReach(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
	r, err := rivalNamed(rivals, c.Method)
	if err != nil {
		return lab.Outcome{}, err
	}
	f, err := r.of(c.Panel)
	if err != nil {
		return lab.Outcome{}, err
	}
	n := c.Values.Int("n")
	random := rng.Stream(c.Seed, uint64(c.Budget*100))
	missing, all := 0, n+n/10
	for i := range all {
		if i%100 == 0 && ctx.Err() != nil {
			return lab.Outcome{}, ctx.Err()
		}
		v := c.Budget * math.Pow(10, random.Float64())
		x := math.Pow(10, -4+10*random.Float64())
		if i >= n {
			x = v * (0.98 + 0.04*random.Float64())
		}
		if y := f(v, x); math.IsNaN(y) || math.IsInf(y, 0) {
			missing++
		}
	}
	return lab.Outcome{Cost: c.Budget * math.Sqrt(10), Quality: 100 * float64(missing) / float64(all)}, nil
}
