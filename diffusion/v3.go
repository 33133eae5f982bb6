package diffusion

import (
	"fmt"
	"math"
	"slices"
)

// DPMSolverV3 is DPM-Solver-v3 (Zheng et al., NeurIPS 2023): a multistep
// exponential integrator in the parametrisation that statistics of the model make
// smoothest. Its coefficients differ from coordinate to coordinate.
type DPMSolverV3 struct {
	Statistics *Statistics
	Order      int       // 1 to 3; 0: 3
	Corrector  Corrector // default: at every step
	// PredictorPseudo and CorrectorPseudo estimate each derivative from no more
	// points than its order needs, by divided differences, instead of from all.
	PredictorPseudo, CorrectorPseudo bool
	// FullOrderFinal keeps the order up to the last step; by default the order of a
	// step is at most the number of steps left.
	FullOrderFinal bool
	// Degenerate replaces the statistics by l = 1, s = b = 0, which makes the method
	// one in data prediction.
	Degenerate bool
}

// Corrector says where DPM-Solver-v3 corrects a state from the evaluation at it.
type Corrector uint8

const (
	FullCorrector Corrector = iota
	HalfCorrector           // while t > 1/2: for large guidance
	NoCorrector
)

var _ Stacked = DPMSolverV3{}

// Columns gives the method of every coordinate.
func (m DPMSolverV3) Columns(g Grid) ([]Method, error) {
	if m.Order == 0 {
		m.Order = 3
	}
	if m.Order < 1 || m.Order > 3 || m.Corrector > NoCorrector {
		return nil, fmt.Errorf("diffusion: DPM-Solver-v3 of order %d with corrector %d: order must be 1 to 3, and the corrector known", m.Order, m.Corrector)
	}
	if g.Steps < m.Order {
		return nil, stepsError(fmt.Sprintf("DPM-Solver-v3 of order %d", m.Order), g.Steps, m.Order)
	}
	index, ls, err := m.Statistics.place(g)
	if err != nil {
		return nil, err
	}
	columns := make([]Method, len(m.Statistics.L[0]))
	for i := range columns {
		columns[i] = v3Column{m, index, ls, m.tables(i)}
	}
	return columns, nil
}

// Trace is not called: the method is traced by column.
func (m DPMSolverV3) Trace(*Tracer, Grid) error {
	return fmt.Errorf("diffusion: DPM-Solver-v3 is traced coordinate by coordinate")
}

// v3Column is the method for one coordinate, where all is scalar.
type v3Column struct {
	m      DPMSolverV3
	index  []int // rows of the statistics that the grid's points are on
	levels []Level
	c      *v3Tables
}

// v3Point is a grid point with f there, held in a register.
type v3Point struct {
	f     Vec
	index int
}

// Trace writes the method down for one coordinate.
func (col v3Column) Trace(t *Tracer, g Grid) error {
	m, c, ls := col.m, col.c, col.levels
	x := t.Input()
	points := []v3Point{{c.eval(t, x, col.index[0], ls[0]), col.index[0]}}
	for n := 1; n <= g.Steps; n++ {
		p := min(n, m.Order)
		if !m.FullOrderFinal {
			p = min(p, g.Steps+1-n)
		}
		from, to, end := ls[n-1], ls[n], col.index[n]
		next := c.update(t, x, from, to, points[:p], end, m.PredictorPseudo)
		if n < g.Steps {
			next = t.Let(next)
			f := v3Point{c.eval(t, next, end, to), end}
			pc := p
			if m.CorrectorPseudo {
				pc++
			}
			if pc > 1 && (m.Corrector == FullCorrector || m.Corrector == HalfCorrector && to.T > 0.5) {
				with := append([]v3Point{points[0], f}, points[1:]...)
				next = c.update(t, x, from, to, with[:pc], end, m.CorrectorPseudo)
			}
			points = append([]v3Point{f}, points[:min(len(points), m.Order-1)]...)
		}
		x = t.Step(next, to)
	}
	t.Return(x)
	return nil
}

// eval is f at a grid point, in a register of its own.
func (c *v3Tables) eval(t *Tracer, x Vec, index int, at Level) Vec {
	return t.Let(c.f(x, t.Eval(x, at, Noise), index, at))
}

// f is (σ·ε − l·x)/α.
func (c *v3Tables) f(x, eps Vec, index int, at Level) Vec {
	return eps.Mul(at.Sigma/at.Alpha).Add(-c.l[index]/at.Alpha, x)
}

// v3Tables are the statistics of one coordinate with the integrals of l and s from
// the noisy end on, by the trapezoid rule on the statistics' grid.
type v3Tables struct {
	width      float64 // of an interval, in λ
	l, s, b    []float64
	bigL, bigS []float64
}

func (m DPMSolverV3) tables(i int) *v3Tables {
	st := m.Statistics
	n := len(st.L)
	c := &v3Tables{width: (st.Lambda0 - st.LambdaT) / float64(n-1)}
	take := func(rows [][]float64, degenerate float64) []float64 {
		v := make([]float64, n)
		for k := range v {
			if v[k] = degenerate; !m.Degenerate {
				v[k] = rows[k][i]
			}
		}
		return v
	}
	c.l, c.s, c.b = take(st.L, 1), take(st.S, 0), take(st.B, 0)
	c.bigL, c.bigS = make([]float64, n), make([]float64, n)
	for k := 1; k < n; k++ {
		c.bigL[k] = c.bigL[k-1] + c.width*(c.l[k-1]+c.l[k])/2
		c.bigS[k] = c.bigS[k-1] + c.width*(c.s[k-1]+c.s[k])/2
	}
	return c
}

// update goes from the first point to the level to.
func (c *v3Tables) update(t *Tracer, x Vec, from, to Level, points []v3Point, end int, pseudo bool) Vec {
	next, e := c.step(t, x, from, to, points[0], end, len(points))
	if len(points) == 1 {
		return next
	}
	g := make([]Vec, len(points))
	d := make([]float64, len(points))
	for j, p := range points {
		d[j] = float64(p.index-points[0].index) * c.width
		g[j] = c.relative(t, p, points[0].index)
	}
	for k, gk := range derivatives(d, g, pseudo) {
		next = next.Add(e[k], gk)
	}
	return next
}

// step is the update of order 1 from the point p, in g = e^{−S}·f − ∫e^{−S}b (paper
// eq. 15 to 18), and the factors of the first order−1 derivatives of g there. All
// integrals are relative to p, so that no exponent grows beyond one step's.
func (c *v3Tables) step(t *Tracer, x Vec, from, to Level, p v3Point, end, order int) (next Vec, e []float64) {
	s := p.index
	weight := func(k int) float64 { return math.Exp(c.bigL[k] - c.bigL[s] + c.bigS[k] - c.bigS[s]) }
	drift := c.relativeB(s, end)
	scale := -to.Alpha * math.Exp(c.bigL[s]-c.bigL[end])
	next = x.Mul(-scale/from.Alpha).
		Add(scale*c.integral(s, end, weight), p.f).
		Add(scale*c.integral(s, end, func(k int) float64 { return weight(k) * drift[k-s] }), t.Ones())
	fact := 1.0
	for k := 1; k < order; k++ {
		fact *= float64(k)
		e = append(e, scale*c.integral(s, end, func(j int) float64 { return weight(j) * math.Pow(float64(j-s)*c.width, float64(k)) / fact }))
	}
	return next, e
}

// relative is g at the point p, relative to row s: e^{S_s}·(e^{−S_j} f_j − (B_j − B_s)).
func (c *v3Tables) relative(t *Tracer, p v3Point, s int) Vec {
	return p.f.Mul(math.Exp(c.bigS[s]-c.bigS[p.index])).Add(-c.bBetween(s, p.index), t.Ones())
}

// integral is the trapezoid rule over the statistics' points from a to b.
func (c *v3Tables) integral(a, b int, f func(k int) float64) float64 {
	sum := (f(a) + f(b)) / 2
	for k := a + 1; k < b; k++ {
		sum += f(k)
	}
	return c.width * sum
}

// relativeB lists e^{S_s}·(B_k − B_s) = ∫_s^k e^{−(S−S_s)}·b for k = s to end.
func (c *v3Tables) relativeB(s, end int) []float64 {
	v := make([]float64, end-s+1)
	last := c.b[s]
	for k := s + 1; k <= end; k++ {
		now := math.Exp(c.bigS[s]-c.bigS[k]) * c.b[k]
		v[k-s] = v[k-s-1] + c.width*(last+now)/2
		last = now
	}
	return v
}

// bBetween is e^{S_s}·(B_j − B_s) for a point on either side of s.
func (c *v3Tables) bBetween(s, j int) float64 {
	f := func(k int) float64 { return math.Exp(c.bigS[s]-c.bigS[k]) * c.b[k] }
	switch {
	case j > s:
		return c.integral(s, j, f)
	case j < s:
		return -c.integral(j, s, f)
	}
	return 0
}

// derivatives estimates the first len(g)−1 derivatives of g at d[0] = 0 from its
// values at the offsets d: from all points at once, or each from no more than it
// needs.
func derivatives(d []float64, g []Vec, pseudo bool) []Vec {
	n := len(g) - 1
	out := make([]Vec, n)
	if pseudo {
		table := append([]Vec(nil), g...)
		fact := 1.0
		for k := 1; k <= n; k++ {
			for j := 0; j+k <= n; j++ {
				table[j] = table[j].Sub(table[j+1]).Mul(1 / (d[j] - d[j+k]))
			}
			fact *= float64(k)
			out[k-1] = table[0].Mul(fact)
		}
		return out
	}
	// The interpolating polynomial's derivatives at 0, by Lagrange: g^{(k)} = Σ_j
	// w_kj (g_j − g_0) with Σ_j w_kj d_j^i/i! = [i = k].
	for k := range out {
		var v Vec
		for j, w := range derivativeWeights(d[1:], k+1) {
			v = v.Add(w, g[j+1].Sub(g[0]))
		}
		out[k] = v
	}
	return out
}

// DerivativeWeights are the weights w of the differences f(d_j) − f(0) that give
// the k-th derivative of f at 0, exactly for polynomials of degree len(d): they
// solve Σ_j w_j·d_j^i/i! = [i = k] for i = 1 to len(d).
func DerivativeWeights(d []float64, k int) ([]float64, error) {
	if k < 1 || k > len(d) {
		return nil, fmt.Errorf("diffusion: derivative %d from %d offsets: needs at least as many", k, len(d))
	}
	for i, x := range d {
		if x == 0 || math.IsNaN(x) || math.IsInf(x, 0) || slices.Contains(d[:i], x) {
			return nil, fmt.Errorf("diffusion: offset %d is %g: offsets must be finite, not 0 and all different", i, x)
		}
	}
	return derivativeWeights(d, k), nil
}

func derivativeWeights(d []float64, k int) []float64 {
	n := len(d)
	w := make([]float64, n)
	fact := 1.0
	for i := 2; i <= k; i++ {
		fact *= float64(i)
	}
	for j := range w {
		// Lagrange's polynomial through 0 and the others: x·Π(x − d_m)/(d_j·Π(d_j − d_m));
		// its coefficient of x^k times k!.
		poly := []float64{1} // Π(x − d_m), lowest power first
		scale := d[j]
		for m := range d {
			if m == j {
				continue
			}
			scale *= d[j] - d[m]
			next := make([]float64, len(poly)+1)
			for p, c := range poly {
				next[p+1] += c
				next[p] -= d[m] * c
			}
			poly = next
		}
		w[j] = fact * poly[k-1] / scale
	}
	return w
}
