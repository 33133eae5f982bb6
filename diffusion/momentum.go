package diffusion

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// MomentumKind says how a multistep method's slopes are averaged over the steps.
type MomentumKind uint8

const (
	Generalized MomentumKind = iota // GHVB: average, then combine so that the lag is undone
	Polyak                          // HB: Adams–Bashforth, then average; first order
	Nesterov                        // NT: Adams–Bashforth, then average, and look ahead; first order
)

func (k MomentumKind) String() string {
	if int(k) < len(momentumNames) {
		return momentumNames[k]
	}
	return fmt.Sprintf("MomentumKind(%d)", uint8(k))
}

var momentumNames = [...]string{"GHVB", "HB", "NT"}

// Momentum is PLMS with momentum, Wizadwongsa et al., ICLR 2024 (arXiv
// 2307.11118): for strong guidance in few steps, where PLMS diverges. With the
// average v of slopes ε, which starts at the first slope (v_{−1} = ε_0),
//
//	GHVB  v_n = (1−β)·v_{n−1} + β·ε_n,        slope Σ_j c_j·v_{n−j}     (algorithm 2)
//	HB    v_n = (1−β)·v_{n−1} + β·AB_k[ε]_n,  slope v_n                 (eq. 8)
//	NT    v_n as HB,                          slope (1−β)·v_n + β·AB_k[ε]_n
//
// in the variables y = x/α and ρ = σ/α, where dy/dρ = ε. The weights are those of
// equal steps, whatever the grid, as published. GHVB is of order k on exact starting
// values, HB and NT with β < 1 of order 1. The zero value is GHVB 3.8. One
// evaluation a step.
type Momentum struct {
	Kind  MomentumKind
	Order int     // k, how many slopes are combined: 1 to 5; 0: 4
	Beta  float64 // β, the weight of the newest: 0.05 to 1, which is PLMS; 0: 0.8
}

var _ Spacer = Momentum{}

// The defaults of momentum: order number 3.8.
const (
	defaultMomentumOrder = 4
	defaultBeta          = 0.8
	maxMomentumOrder     = 5
	minBeta              = 0.05 // GHVB's weights grow as 1/β
)

// Spacing is the grid the weights are made for: even in time.
func (m Momentum) Spacing() Spacing { return TimeUniform }

// checked fills in the defaults.
func (m Momentum) checked() (Momentum, error) {
	if m.Order == 0 {
		m.Order = defaultMomentumOrder
	}
	if m.Order < 1 || m.Order > maxMomentumOrder {
		return m, fmt.Errorf("diffusion: %v of order %d: must be 1 to %d", m.Kind, m.Order, maxMomentumOrder)
	}
	if m.Kind > Nesterov {
		return m, fmt.Errorf("diffusion: momentum of kind %d: must be Generalized, Polyak or Nesterov", m.Kind)
	}
	var err error
	m.Beta, err = checkBeta(m.Beta)
	return m, err
}

func checkBeta(beta float64) (float64, error) {
	if beta == 0 {
		return defaultBeta, nil
	}
	if !(beta >= minBeta && beta <= 1) {
		return 0, fmt.Errorf("diffusion: beta = %g: must be from %g to 1", beta, minBeta)
	}
	return beta, nil
}

// Trace writes the method down.
func (m Momentum) Trace(t *Tracer, g Grid) error {
	m, err := m.checked()
	if err != nil {
		return err
	}
	if g.Steps < m.Order {
		return stepsError(fmt.Sprintf("%v of order %d", m.Kind, m.Order), g.Steps, m.Order)
	}
	ls, err := g.Levels(g.Steps)
	if err != nil {
		return err
	}
	x := t.Input()
	s := m.slopes()
	for i := range g.Steps {
		from, to := ls[i], ls[i+1]
		u := s.next(t, t.Eval(x, from, Noise))
		x = t.Step(transfer(x, u, from, to), to)
	}
	t.Return(x)
	return nil
}

// slopes is where the average and the history stand.
type slopes struct {
	Momentum
	weights [][]float64 // of the newest 1, 2, ... k
	v       Vec         // the average; nil before the first slope
	old     []Vec       // what is combined, newest first
}

func (m Momentum) slopes() *slopes {
	s := &slopes{Momentum: m}
	beta := m.Beta
	if m.Kind != Generalized {
		beta = 1
	}
	for k := 1; k <= m.Order; k++ {
		s.weights = append(s.weights, momentumWeights(k, beta))
	}
	return s
}

// next takes the slope of a step and gives the one to go along.
func (s *slopes) next(t *Tracer, e Vec) Vec {
	if s.Kind == Generalized {
		return s.combine(t, s.average(t, e))
	}
	p := s.combine(t, e)
	v := s.average(t, p)
	if s.Kind == Nesterov && s.Beta < 1 {
		return v.Mul(1-s.Beta).Add(s.Beta, p)
	}
	return v
}

// average is v ← (1−β)·v + β·p, stored where there is something to average.
func (s *slopes) average(t *Tracer, p Vec) Vec {
	switch {
	case s.Beta == 1: // PLMS needs no average
		return p
	case s.v == nil: // v_{−1} = ε_0: the first slope itself, not β times it
		s.v = t.Let(p)
	default:
		s.v = t.Let(s.v.Mul(1-s.Beta).Add(s.Beta, p))
	}
	return s.v
}

// combine stores a vector and applies the weights to the newest ones.
func (s *slopes) combine(t *Tracer, e Vec) Vec {
	s.old = append([]Vec{t.Let(e)}, s.old[:min(len(s.old), s.Order-1)]...)
	var sum Vec
	for j, w := range s.weights[len(s.old)-1] {
		sum = sum.Add(w, s.old[j])
	}
	return sum
}

// gamma are the Adams–Bashforth coefficients of the backward differences.
var gamma = [maxMomentumOrder]float64{1, 1. / 2, 5. / 12, 3. / 8, 251. / 720}

// MomentumWeights are GHVB's weights of the k newest averages, newest first; with
// beta = 1 those of Adams–Bashforth. In backward differences ∇ they are
//
//	Σ_{j<k} (γ_j + (1−β)/β·γ_{j−1})·∇^j,   γ_{−1} = 0.
//
// The average is the filter β/(1 − (1−β)·w) of the slopes, w being the shift by a
// step. Its inverse is 1 + (1−β)/β·∇, and the weights are Adams–Bashforth's times
// that, cut off behind ∇^{k−1}: order k is kept.
func MomentumWeights(k int, beta float64) ([]float64, error) {
	m, err := Momentum{Order: k, Beta: beta}.checked()
	if err == nil && (k == 0 || beta == 0) {
		err = fmt.Errorf("diffusion: momentum weights of order %d with beta = %g: must be positive", k, beta)
	}
	if err != nil {
		return nil, err
	}
	return momentumWeights(m.Order, m.Beta), nil
}

func momentumWeights(k int, beta float64) []float64 {
	c := make([]float64, k)
	for j := range k {
		a := gamma[j]
		if j > 0 {
			a += (1 - beta) / beta * gamma[j-1]
		}
		binomial := 1.0 // (j over i), with the sign of ∇^j = (1 − w)^j
		for i := 0; i <= j; i++ {
			c[i] += a * binomial
			binomial *= -float64(j-i) / float64(i+1)
		}
	}
	return c
}

// SplitOrder reads the paper's order number: 3.3 is k = 4 slopes with β = 0.3, and a
// whole number k with β = 1. It reads the shortest decimal that stands for the
// number, since 3.3 modulo 1 is not 0.3 in binary.
func SplitOrder(order float64) (k int, beta float64, err error) {
	if !(order > 0) || math.IsInf(order, 0) {
		return 0, 0, fmt.Errorf("diffusion: order = %g: must be positive", order)
	}
	if order > maxMomentumOrder {
		return 0, 0, fmt.Errorf("diffusion: order = %g: must be at most %d", order, maxMomentumOrder)
	}
	k, beta = int(math.Ceil(order)), 1
	_, decimals, _ := strings.Cut(strconv.FormatFloat(order, 'f', -1, 64), ".")
	if decimals != "" {
		if beta, err = strconv.ParseFloat("0."+decimals, 64); err != nil {
			return 0, 0, fmt.Errorf("diffusion: order = %g: %w", order, err)
		}
	}
	if beta < minBeta {
		return 0, 0, fmt.Errorf("diffusion: order = %g: its fraction, beta = %g, must be 0 or from %g", order, beta, minBeta)
	}
	return k, beta, nil
}

// momentumFamilies are the methods whose names end in an order number.
var momentumFamilies = []struct {
	name string
	of   func(m Momentum) Method
}{
	{"ghvb", func(m Momentum) Method { return m }},
	{"plms-hb", func(m Momentum) Method { m.Kind = Polyak; return m }},
	{"plms-nt", func(m Momentum) Method { m.Kind = Nesterov; return m }},
	{"ltsp", func(m Momentum) Method { return Splitting{Momentum: m} }},
}

// ParseMomentum reads the name of a method with momentum that ends in an order
// number, such as ghvb-2.3. ok says whether it is of this form.
func ParseMomentum(name string) (m Method, ok bool, err error) {
	for _, f := range momentumFamilies {
		number, is := strings.CutPrefix(name, f.name+"-")
		if !is {
			continue
		}
		order, err := strconv.ParseFloat(number, 64)
		if err != nil {
			return nil, true, fmt.Errorf("diffusion: method %q: %q is not an order number such as 2.3", name, number)
		}
		k, beta, err := SplitOrder(order)
		if err != nil {
			return nil, true, fmt.Errorf("diffusion: method %q: %s", name, strings.TrimPrefix(err.Error(), "diffusion: "))
		}
		return f.of(Momentum{Order: k, Beta: beta}), true, nil
	}
	return nil, false, nil
}
