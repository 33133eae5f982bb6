package diffusion

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/integrate/quad"
)

// DEIS is the exponential integrator with polynomial extrapolation of the noise
// prediction of Zhang & Chen, ICLR 2023: tAB-DEIS, whose polynomials are in time
// (eq. 14 and 15), or ρAB-DEIS, whose are in ρ = σ/α. One evaluation a step; the
// order rises from the first step on. Order 0 would be DDIM.
type DEIS struct {
	Variable DEISVariable // default Time
	Order    int          // degree of the polynomials, 1 to 3; 0: 3
	// Riemann > 0 integrates by a left sum of that many points, as the authors' code
	// does with 10000, in place of Gauss–Legendre: an error of about 10⁻⁴.
	Riemann int
}

// DEISVariable is what the polynomials of [DEIS] are in.
type DEISVariable uint8

const (
	Time DEISVariable = iota // tAB
	Rho                      // ρAB
)

var _ Spacer = DEIS{}

// Spacing is the paper's grid for few evaluations: even in √t.
func (m DEIS) Spacing() Spacing { return TimeQuadratic }

// Trace writes the method down.
func (m DEIS) Trace(t *Tracer, g Grid) error {
	if m.Order < 0 || m.Order > 3 || m.Variable > Rho || m.Riemann < 0 {
		return fmt.Errorf("diffusion: DEIS of order %d, variable %d, with %d points: order must be 1 to 3, and the variable known", m.Order, m.Variable, m.Riemann)
	}
	order := m.Order
	if order == 0 {
		order = 3
	}
	ls, err := g.Levels(g.Steps)
	if err != nil {
		return err
	}
	x := t.Input()
	var old history
	for i := range g.Steps {
		from, to := ls[i], ls[i+1]
		old.push(t.Let(t.Eval(x, from, Noise)), from, order+1)
		if to.Sigma == 0 {
			x = t.Step(transfer(x, old[0].m, from, to), to)
			break
		}
		next := x.Mul(to.Alpha / from.Alpha)
		for j, c := range m.Coefficients(g.Schedule, old.levels(), to) {
			next = next.Add(c, old[j].m)
		}
		x = t.Step(next, to)
	}
	t.Return(x)
	return nil
}

func (h history) levels() []Level {
	ls := make([]Level, len(h))
	for i, o := range h {
		ls[i] = o.at
	}
	return ls
}

// Coefficients are the weights C_j = α'·∫ L_j dρ of the noise predictions at the
// nodes, newest first, for the step from nodes[0] to the level to. The substitution
// of ρ for time removes the integrand's singularity at t = 0.
func (m DEIS) Coefficients(s Schedule, nodes []Level, to Level) []float64 {
	at := make([]float64, len(nodes)) // the nodes in the polynomials' variable
	for i, l := range nodes {
		at[i] = l.T
		if m.Variable == Rho {
			at[i] = rho(l)
		}
	}
	var c []float64
	switch from := nodes[0]; {
	case m.Variable == Rho:
		c = lagrangeIntegrals(at, rho(from), rho(to))
	case m.Riemann > 0:
		c = riemann(s, at, from, to, m.Riemann)
	default:
		c = timeIntegrals(s, at, from, to)
	}
	for j := range c {
		c[j] *= to.Alpha
	}
	return c
}

// rho is σ/α.
func rho(l Level) float64 { return l.Sigma / l.Alpha }

// timeIntegrals is ∫ L_j(t(ρ)) dρ for polynomials in time, in panels over λ.
func timeIntegrals(s Schedule, nodes []float64, from, to Level) []float64 {
	// t(λ) is analytic to a distance of π/2 from the real line; on panels of half
	// that width eight points leave less than 10⁻¹⁶. Tables have a kink at each knot.
	const widest, points = 0.5, 8
	ends := []float64{from.Lambda, to.Lambda}
	if k, ok := s.(interface {
		kinks(lo, hi float64) []float64
	}); ok {
		ends = k.kinks(from.Lambda, to.Lambda)
	}
	c := make([]float64, len(nodes))
	var x, w [points]float64
	for p := range len(ends) - 1 {
		a, b := ends[p], ends[p+1]
		n := max(1, int(math.Ceil(math.Abs(b-a)/widest)))
		for i := range n {
			lo, hi := a+(b-a)*float64(i)/float64(n), a+(b-a)*float64(i+1)/float64(n)
			quad.Legendre{}.FixedLocations(x[:], w[:], min(lo, hi), max(lo, hi))
			for q := range x {
				weight := -math.Exp(-x[q]) * math.Copysign(w[q], hi-lo) // dρ = −e^{−λ}·dλ
				t := s.Time(x[q])
				for j := range c {
					c[j] += weight * lagrange(nodes, j, t)
				}
			}
		}
	}
	return c
}

// riemann is the left sum of ∫ L_j dρ over n points evenly spaced in time.
func riemann(s Schedule, nodes []float64, from, to Level, n int) []float64 {
	c := make([]float64, len(nodes))
	r := rho(from)
	for k := range n {
		t := from.T + (to.T-from.T)*float64(k)/float64(n)
		next := rho(s.At(from.T + (to.T-from.T)*float64(k+1)/float64(n)))
		for j := range c {
			c[j] += lagrange(nodes, j, t) * (next - r)
		}
		r = next
	}
	return c
}

// lagrange is the j-th Lagrange polynomial of the nodes at x.
func lagrange(nodes []float64, j int, x float64) float64 {
	p := 1.0
	for k, node := range nodes {
		if k != j {
			p *= (x - node) / (nodes[j] - node)
		}
	}
	return p
}

// lagrangeIntegrals are the integrals of the Lagrange polynomials of up to four
// nodes from a to b, exactly: Gauss's rule of two points integrates cubics.
func lagrangeIntegrals(nodes []float64, a, b float64) []float64 {
	mid, half := (a+b)/2, (b-a)/2
	d := half / math.Sqrt(3)
	c := make([]float64, len(nodes))
	for j := range c {
		c[j] = half * (lagrange(nodes, j, mid-d) + lagrange(nodes, j, mid+d))
	}
	return c
}

// RhoRK is ρRK-DEIS: an explicit Runge–Kutta method on d(x/α)/dρ = ε (Zhang &
// Chen 2023, section 4). With the tableau "2heun" on a Karras grid it is the
// sampler of Karras et al. 2022. Steps counts steps, not evaluations.
type RhoRK struct {
	Tableau Tableau // zero value: Heun's method of order 2
}

// A Tableau is an explicit Runge–Kutta method.
type Tableau struct {
	Name string
	A    [][]float64 // stage i uses A[i][0..i−1]
	B, C []float64   // weights and nodes of the stages
}

// Validate reports what is wrong with a tableau.
func (t Tableau) Validate() error {
	if len(t.B) == 0 || len(t.A) != len(t.B) || len(t.C) != len(t.B) {
		return fmt.Errorf("diffusion: tableau %q has %d rows, %d weights and %d nodes: want as many of each", t.Name, len(t.A), len(t.B), len(t.C))
	}
	for i, row := range t.A {
		if len(row) > i {
			return fmt.Errorf("diffusion: tableau %q: row %d has %d entries: an explicit method has at most %[2]d", t.Name, i, len(row))
		}
	}
	if t.C[0] != 0 {
		return fmt.Errorf("diffusion: tableau %q: node 0 is %g: an explicit method starts at 0", t.Name, t.C[0])
	}
	return nil
}

// Tableaux are the methods that the authors' code names.
var Tableaux = []Tableau{
	{"1euler", [][]float64{{}}, []float64{1}, []float64{0}},
	{"2heun", [][]float64{{}, {1}}, []float64{1. / 2, 1. / 2}, []float64{0, 1}},
	{"2midpoint", [][]float64{{}, {1. / 2}}, []float64{0, 1}, []float64{0, 1. / 2}},
	{"3kutta", [][]float64{{}, {1. / 2}, {-1, 2}}, []float64{1. / 6, 2. / 3, 1. / 6}, []float64{0, 1. / 2, 1}},
	{"3ral", [][]float64{{}, {1. / 2}, {0, 3. / 4}}, []float64{2. / 9, 1. / 3, 4. / 9}, []float64{0, 1. / 2, 3. / 4}},
	{"3heun", [][]float64{{}, {1. / 3}, {0, 2. / 3}}, []float64{1. / 4, 0, 3. / 4}, []float64{0, 1. / 3, 2. / 3}},
	{"3vdh", [][]float64{{}, {8. / 15}, {1. / 4, 5. / 12}}, []float64{1. / 4, 0, 3. / 4}, []float64{0, 8. / 15, 2. / 3}},
	{"3ssprk", [][]float64{{}, {1}, {1. / 4, 1. / 4}}, []float64{1. / 6, 1. / 6, 2. / 3}, []float64{0, 1, 1. / 2}},
	{"4rk", [][]float64{{}, {1. / 2}, {0, 1. / 2}, {0, 0, 1}}, []float64{1. / 6, 1. / 3, 1. / 3, 1. / 6}, []float64{0, 1. / 2, 1. / 2, 1}},
}

// TableauNamed returns one of Tableaux.
func TableauNamed(name string) (Tableau, error) {
	for _, t := range Tableaux {
		if t.Name == name {
			return t, nil
		}
	}
	return Tableau{}, fmt.Errorf("diffusion: tableau %q is unknown", name)
}

// tableau is the method's own, checked.
func (m RhoRK) tableau() (Tableau, error) {
	tab := m.Tableau
	if tab.B == nil {
		tab = Tableaux[1]
	}
	return tab, tab.Validate()
}

// Trace writes the method down. The step to σ = 0 is Euler's.
func (m RhoRK) Trace(t *Tracer, g Grid) error {
	tab, err := m.tableau()
	if err != nil {
		return err
	}
	ls, err := g.Levels(g.Steps)
	if err != nil {
		return err
	}
	x := t.Input()
	for i := range g.Steps {
		from, to := ls[i], ls[i+1]
		e := t.Eval(x, from, Noise)
		if to.Sigma > 0 {
			e = t.Let(e)
		}
		x = t.Step(tab.step(t, g, x, e, from, to), to)
	}
	t.Return(x)
	return nil
}

// step goes from x, where the noise prediction is e, to another level.
func (tab Tableau) step(t *Tracer, g Grid, x, e Vec, from, to Level) Vec {
	if to.Sigma == 0 {
		return transfer(x, e, from, to)
	}
	d := rho(to) - rho(from)
	slopes := make([]Vec, len(tab.B))
	slopes[0] = e
	sum := func(at Level, weights []float64) Vec { // α·(x_i/α_i + Δρ·Σ w·slope)
		v := x.Mul(at.Alpha / from.Alpha)
		for j, w := range weights {
			if w != 0 {
				v = v.Add(at.Alpha*d*w, slopes[j])
			}
		}
		return v
	}
	for s := 1; s < len(tab.C); s++ {
		at := from
		switch c := tab.C[s]; {
		case c == 1:
			at = to
		case c != 0:
			at = g.at(-math.Log(rho(from) + c*d))
		}
		slopes[s] = t.Let(t.Eval(sum(at, tab.A[s]), at, Noise))
	}
	return sum(to, tab.B)
}
