package ghvb

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/lab"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
)

// The panels of the experiment on orders.
const (
	ordinary   = "y' = cos(ρ)·y, ordinary start"
	quadrature = "y' = cos(ρ), exact history"
)

var (
	ghvb15 = mixture.Rival{Name: "GHVB 1.5", Method: of(diffusion.Generalized, 2, 0.5)}
	ghvb25 = mixture.Rival{Name: "GHVB 2.5", Method: of(diffusion.Generalized, 3, 0.5)}
	ghvb35 = mixture.Rival{Name: "GHVB 3.5", Method: of(diffusion.Generalized, 4, 0.5)}
	nt35   = mixture.Rival{Name: "NT 3.5", Method: of(diffusion.Nesterov, 4, 0.5)}
	ghvb05 = mixture.Rival{Name: "GHVB 0.5", Method: of(diffusion.Generalized, 1, 0.5)}

	orderRivals = []mixture.Rival{ddim, plms2, plms3, plms4, ghvb05, ghvb15, ghvb25, ghvb35, hb35, nt35}
)

// startup is how many steps go before the interval that counts, so that what the
// first steps left, which fades by 1 − β = 0.5 a step, is below rounding.
const startup = 64

func orders() *lab.Experiment {
	return &lab.Experiment{
		Name:    "ghvb/orders",
		Title:   "Order of convergence of momentum methods",
		Help:    "Two ordinary differential equations dy/dρ, as the samplers solve them: a linear one over ρ from 1 to 3 with the samplers' own start, and a quadrature over ρ from 40 to 42 whose first 64 steps, before that interval, are not counted. On logarithmic axes a method of order p is a line of slope −p.",
		Cost:    lab.Axis{Name: "steps", Log: true},
		Quality: lab.Axis{Name: "largest error", Log: true},
		Params: []lab.Param{
			{Name: "steps", Help: "numbers of steps", Kind: lab.Ints, Default: "16,32,64,128,256",
				At: map[lab.Size]string{lab.Full: "16,32,64,128,256,512"}, Min: 8, Max: 100000},
		},
		Version: 1,
		Grid: func(v lab.Values) ([]lab.Cell, error) {
			var cs []lab.Cell
			for _, panel := range []string{ordinary, quadrature} {
				for _, r := range orderRivals {
					for _, n := range v.Ints("steps") {
						cs = append(cs, lab.Cell{Panel: panel, Method: r.Name, Budget: float64(n), Values: v})
					}
				}
			}
			return cs, nil
		},
		Run:    runOrder,
		Claims: orderClaims(),
	}
}

func runOrder(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
	method, err := mixture.RivalNamed(orderRivals, c.Method)
	if err != nil {
		return lab.Outcome{}, err
	}
	n := int(c.Budget)
	var e float64
	switch c.Panel {
	case ordinary:
		const from, to = 1, 3
		ys, err := integrate(ctx, method, from, to, n, func(rho, y float64) float64 { return math.Cos(rho) * y })
		if err != nil {
			return lab.Outcome{}, err
		}
		e = largestError(ys, from, to, func(rho float64) float64 { return math.Exp(math.Sin(rho) - math.Sin(from)) })
	case quadrature:
		const from, to = 40, 42
		before := startup * float64(to-from) / float64(n)
		ys, err := integrate(ctx, method, from-before, to, startup+n, func(rho, _ float64) float64 { return math.Cos(rho) })
		if err != nil {
			return lab.Outcome{}, err
		}
		e = largestError(ys[startup:], from, to, func(rho float64) float64 { return ys[startup] + math.Sin(rho) - math.Sin(from) })
	default:
		return lab.Outcome{}, fmt.Errorf("panel %q: must be %q or %q", c.Panel, ordinary, quadrature)
	}
	return lab.Outcome{Cost: c.Budget, Quality: e}, nil
}

// largestError is the largest distance of y from the solution at the steps' ends. At
// a single end the first term of the error can vanish by chance.
func largestError(ys []float64, from, to float64, exact func(rho float64) float64) (e float64) {
	for i, y := range ys {
		rho := from + (to-from)*float64(i)/float64(len(ys)-1)
		e = max(e, math.Abs(y-exact(rho)))
	}
	return e
}

// integrate gives y at the steps' ends, from y = 1: on a schedule with α = 1 a sampler
// solves dy/dρ = ε.
func integrate(ctx context.Context, m diffusion.Method, from, to float64, steps int, f func(rho, y float64) float64) ([]float64, error) {
	ys := []float64{1}
	_, err := diffusion.Solve(ctx, diffusion.Problem[float64]{
		Model: diffusion.Func[float64]{Prediction: diffusion.Noise, F: func(_ context.Context, dst, x []float64, _ int, at []diffusion.Level) error {
			dst[0] = f(at[0].Sigma, x[0])
			return nil
		}},
		Grid: diffusion.Grid{Schedule: diffusion.EDM{}, Start: from, End: to, Steps: steps, Spacing: diffusion.TimeUniform},
		X:    slices.Clone(ys), N: 1,
		OnStep: func(s diffusion.Step[float64]) error { ys = append(ys, s.X[0]); return nil },
	}, m)
	return ys, err
}
