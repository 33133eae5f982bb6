package mixture

import (
	"math"

	"github.com/assay-lab/assay/diffusion"
)

// RawEuler is Euler's method on the probability-flow ODE as it stands, dx/dt =
// dlog α/dt·(x − ε/σ): what every change of variables is measured against.
type RawEuler struct{}

// Spacing is even in the square root of time.
func (RawEuler) Spacing() diffusion.Spacing { return diffusion.TimeQuadratic }

// Trace writes the method down.
func (RawEuler) Trace(t *diffusion.Tracer, g diffusion.Grid) error {
	ls, err := g.Levels(g.Steps)
	if err != nil {
		return err
	}
	x := t.Input()
	for i := range g.Steps {
		from, to := ls[i], ls[i+1]
		const d = 1e-5 // of the central difference, in λ's favour of smoothness: error d²
		rate := (math.Log(g.Schedule.At(from.T+d).Alpha) - math.Log(g.Schedule.At(from.T-d).Alpha)) / (2 * d)
		e := t.Eval(x, from, diffusion.Noise)
		x = t.Step(x.Add((to.T-from.T)*rate, x.Add(-1/from.Sigma, e)), to)
	}
	t.Return(x)
	return nil
}
