package bdia

import "github.com/assay-lab/assay/diffusion"

// edict is the coupling of EDICT (Wallace, Gokul & Naik 2023): two chains, each of
// which asks the model at the other's state, and that are mixed after every step. It
// takes and returns both chains, and two evaluations a step.
type edict struct {
	mix float64 // p, 0.93 in their paper
	one bool    // takes and returns one state: the second chain starts from it, and is left behind
}

// Spacing is even in time.
func (edict) Spacing() diffusion.Spacing { return diffusion.TimeUniform }

// Trace writes the method down.
func (m edict) Trace(t *diffusion.Tracer, g diffusion.Grid) error {
	ls, err := g.Levels(g.Steps)
	if err != nil {
		return err
	}
	x := t.Input()
	y := x
	if !m.one {
		y = t.Input()
	}
	for i := range g.Steps {
		from, to := ls[i], ls[i+1]
		step := func(v, at diffusion.Vec) diffusion.Vec { // DDIM's, with the prediction at another state
			a := to.Alpha / from.Alpha
			return t.Let(v.Mul(a).Add(to.Sigma-a*from.Sigma, t.Eval(at, from, diffusion.Noise)))
		}
		xi := step(x, y)
		yi := step(y, xi)
		x = t.Let(xi.Mul(m.mix).Add(1-m.mix, yi))
		y = t.Let(yi.Mul(m.mix).Add(1-m.mix, x))
		x = t.Step(x, to)
	}
	if m.one {
		t.Return(x)
	} else {
		t.Return(x, y)
	}
	return nil
}
