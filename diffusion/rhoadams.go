package diffusion

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/integrate/quad"
)

// ThreeEighths is the 3/8 rule of order 4, which torchdiffeq calls rk4 and
// AdjointDPM uses by that name.
var ThreeEighths = Tableau{
	"4rk-3/8",
	[][]float64{{}, {1. / 3}, {-1. / 3, 1}, {1, -1, 1}},
	[]float64{1. / 8, 3. / 8, 3. / 8, 1. / 8}, []float64{0, 1. / 3, 2. / 3, 1},
}

// RhoAdams is a linear multistep method on d(x/α)/dρ = ε, ρ = σ/α: the solvers
// that AdjointDPM (Pan et al. 2024) takes from torchdiffeq as explicit_adams and
// implicit_adams. Three steps of [ThreeEighths] start it; then its order rises with
// the history.
type RhoAdams struct {
	MaxHistory int // past slopes at most; 0: 11, as torchdiffeq has it
	// Implicit corrects every step by Adams–Moulton, in Iterations fixed-point
	// iterations (0: 4) of one evaluation each.
	Implicit   bool
	Iterations int
	// VariableStep weights slopes as the grid's own steps require. Without it the
	// weights are those of equal steps in ρ on any grid, as torchdiffeq has them; on
	// an unequal grid the order is then 2 at most.
	VariableStep bool
}

// adamsStart is how many slopes the multistep formulas need.
const adamsStart = 4

// Trace writes the method down.
func (m RhoAdams) Trace(t *Tracer, g Grid) error {
	if m.MaxHistory == 0 {
		m.MaxHistory = 11
	}
	if m.Iterations == 0 {
		m.Iterations = 4
	}
	switch {
	case m.MaxHistory < adamsStart || m.MaxHistory > 11:
		return fmt.Errorf("diffusion: Adams with %d past slopes: must be from %d to 11", m.MaxHistory, adamsStart)
	case m.Iterations < 1 || m.Iterations > 100:
		return fmt.Errorf("diffusion: Adams–Moulton with %d iterations: must be from 1 to 100", m.Iterations)
	case g.ToZero:
		return fmt.Errorf("diffusion: Adams in ρ to σ = 0: the noise prediction there says nothing: end before")
	}
	ls, err := g.Levels(g.Steps)
	if err != nil {
		return err
	}
	x := t.Input()
	var slopes []Vec // newest first
	var nodes []float64
	for i := range g.Steps {
		from, to := ls[i], ls[i+1]
		slopes = append([]Vec{t.Let(t.Eval(x, from, Noise))}, slopes...)
		nodes = append([]float64{rho(from)}, nodes...)
		if k := m.MaxHistory; len(slopes) > k {
			slopes, nodes = slopes[:k], nodes[:k]
		}
		var v Vec
		if len(slopes) < adamsStart {
			v = ThreeEighths.step(t, g, x, slopes[0], from, to)
		} else {
			v = m.step(t, x, slopes, nodes, from, to)
		}
		x = t.Step(v, to)
	}
	t.Return(x)
	return nil
}

// step is one step of Adams–Bashforth, and of Adams–Moulton behind it.
func (m RhoAdams) step(t *Tracer, x Vec, slopes []Vec, nodes []float64, from, to Level) Vec {
	start := x.Mul(to.Alpha / from.Alpha)
	next := start
	for j, w := range m.weights(nodes, nodes[0], rho(to)) {
		next = next.Add(to.Alpha*w, slopes[j])
	}
	if !m.Implicit {
		return next
	}
	w := m.weights(append([]float64{rho(to)}, nodes...), nodes[0], rho(to))
	known := start
	for j, s := range slopes {
		known = known.Add(to.Alpha*w[j+1], s)
	}
	known = t.Let(known)
	for range m.Iterations {
		next = known.Add(to.Alpha*w[0], t.Eval(next, to, Noise))
	}
	return next
}

// weights are the integrals from a to b of the Lagrange polynomials of the nodes,
// or of nodes at equal distances.
func (m RhoAdams) weights(nodes []float64, a, b float64) []float64 {
	h := b - a
	u := make([]float64, len(nodes))
	first := math.Round((nodes[0] - a) / h) // 0, or 1 where the new point is a node
	for i, x := range nodes {
		u[i] = first - float64(i)
		if m.VariableStep {
			u[i] = (x - a) / h
		}
	}
	w := make([]float64, len(u))
	for j := range w { // eight points are exact for polynomials of degree 15
		w[j] = h * quad.Fixed(func(x float64) float64 { return lagrange(u, j, x) }, 0, 1, 8, nil, 0)
	}
	return w
}
