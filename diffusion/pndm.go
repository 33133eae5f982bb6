package diffusion

import (
	"fmt"
	"math"
)

// Warmup says how a pseudo multistep method finds its first slopes.
type Warmup uint8

const (
	PseudoRungeKutta    Warmup = iota // Order−1 steps of four evaluations: F-PNDM
	PseudoImprovedEuler               // one step of two evaluations, then rising order: S-PNDM (Order 2), PLMS (Order 4)
	PseudoEuler                       // rising order from the first step: iPNDM
)

// PNDM is the family of pseudo numerical methods of Liu et al., ICLR 2022:
// a linear multistep method whose slopes are noise predictions and whose step is
// the transfer that keeps x on its noise level (eq. 11). The zero value is F-PNDM.
// The gradient part has the order of the multistep method; the whole converges at
// order 2, since the transfer is not linear in the step.
type PNDM struct {
	Start Warmup
	Order int // 1 to 4; 0: 4
	// VariableStep takes the weights from the steps as they are. By default they
	// are those of equal steps in time, whatever the grid: as published.
	VariableStep bool
}

var _ Spacer = PNDM{}

// Spacing is the grid the weights are made for: even in time.
func (m PNDM) Spacing() Spacing { return TimeUniform }

func (m PNDM) order() int {
	if m.Order == 0 {
		return 4
	}
	return m.Order
}

// adamsBashforth[k] are the weights of the k+1 newest slopes for equal steps.
var adamsBashforth = [4][]float64{
	{1},
	{3. / 2, -1. / 2},
	{23. / 12, -16. / 12, 5. / 12},
	{55. / 24, -59. / 24, 37. / 24, -9. / 24},
}

// Trace writes the method down.
func (m PNDM) Trace(t *Tracer, g Grid) error {
	if m.Order < 0 || m.Order > 4 || m.Start > PseudoEuler {
		return fmt.Errorf("diffusion: PNDM of order %d and start %d: order must be 1 to 4, and the start known", m.Order, m.Start)
	}
	ls, err := g.Levels(g.Steps)
	if err != nil {
		return err
	}
	x := t.Input()
	var old history
	for i := range g.Steps {
		from, to := ls[i], ls[i+1]
		old.push(t.Let(t.Eval(x, from, Noise)), from, m.order())
		var slope Vec
		switch {
		case m.Start == PseudoRungeKutta && i < m.order()-1:
			slope = m.rungeKutta(t, g, x, old[0].m, from, to)
		case m.Start == PseudoImprovedEuler && i == 0 && m.order() > 1:
			e2 := t.Eval(transfer(x, old[0].m, from, to), to, Noise)
			slope = old[0].m.Add(1, e2).Mul(1. / 2)
		default:
			slope = old.slope(to.T, m.VariableStep)
		}
		x = t.Step(transfer(x, slope, from, to), to)
	}
	t.Return(x)
	return nil
}

// transfer is eq. 11: the step of a constant noise prediction e from one level to
// another, x·α'/α + α'·(σ'/α' − σ/α)·e, written so that it does not cancel for
// short steps.
func transfer(x, e Vec, from, to Level) Vec {
	return x.Mul(to.Alpha/from.Alpha).Add(to.Alpha*from.Sigma/from.Alpha*math.Expm1(from.Lambda-to.Lambda), e)
}

// slope combines all slopes at hand by Adams–Bashforth.
func (h history) slope(next float64, variable bool) Vec {
	w := adamsBashforth[len(h)-1]
	if variable {
		nodes := make([]float64, len(h))
		for i, o := range h {
			nodes[i] = o.at.T
		}
		w = lagrangeIntegrals(nodes, nodes[0], next)
		for i := range w {
			w[i] /= next - nodes[0]
		}
	}
	var s Vec
	for i, o := range h {
		s = s.Add(w[i], o.m)
	}
	return s
}

// rungeKutta is the pseudo Runge–Kutta slope of algorithm 2. Every transfer starts
// from x.
func (m PNDM) rungeKutta(t *Tracer, g Grid, x, e1 Vec, from, to Level) Vec {
	mid := g.Schedule.At((from.T + to.T) / 2)
	e2 := t.Let(t.Eval(transfer(x, e1, from, mid), mid, Noise))
	e3 := t.Let(t.Eval(transfer(x, e2, from, mid), mid, Noise))
	e4 := t.Eval(transfer(x, e3, from, to), to, Noise)
	return e1.Add(2, e2).Add(2, e3).Add(1, e4).Mul(1. / 6)
}

// FON is the classical fourth-order method that PNDM is compared with: Runge–Kutta
// and Adams–Bashforth on the increment over one unit of time, without transfer. Its
// error has a floor that more steps do not remove.
type FON struct {
	Unit float64 // the unit of time; 0: one step of a discrete schedule, else 1/1000
}

var _ Spacer = FON{}

// Spacing is even in time.
func (m FON) Spacing() Spacing { return TimeUniform }

// Trace writes the method down, with the authors' start: the stages' increments
// all belong to the step's own x and t.
func (m FON) Trace(t *Tracer, g Grid) error {
	ls, err := g.Levels(g.Steps)
	if err != nil {
		return err
	}
	unit := m.Unit
	if d, ok := g.Schedule.(interface{ Len() int }); ok && unit == 0 {
		unit = 1 / float64(d.Len())
	} else if unit == 0 {
		unit = 1. / 1000
	}
	x := t.Input()
	var old history
	for i := range g.Steps {
		from, to := ls[i], ls[i+1]
		next := g.Schedule.At(from.T - unit)
		n := (from.T - to.T) / unit
		increment := func(y Vec, at Level) Vec {
			return t.Let(transfer(x, t.Eval(y, at, Noise), from, next).Sub(x))
		}
		d1 := increment(x, from)
		old.push(d1, from, 4)
		slope := d1
		if i < 3 {
			mid := g.Schedule.At((from.T + to.T) / 2)
			d2 := increment(x.Add(n/2, d1), mid)
			d3 := increment(x.Add(n/2, d2), mid)
			d4 := increment(x.Add(n, d3), to)
			slope = d1.Add(2, d2).Add(2, d3).Add(1, d4).Mul(1. / 6)
		} else {
			slope = old.slope(to.T, false)
		}
		x = t.Step(x.Add(n, slope), to)
	}
	t.Return(x)
	return nil
}
