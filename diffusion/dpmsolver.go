package diffusion

import (
	"fmt"
	"math"
)

// Mode says how a DPM-Solver gets its order.
type Mode uint8

const (
	Multistep       Mode = iota // from earlier evaluations: one evaluation a step
	Singlestep                  // from evaluations inside the step, exactly Steps of them in all
	SinglestepFixed             // as Singlestep, every step of full order: Order·⌊Steps/Order⌋ evaluations
)

func (m Mode) String() string {
	return [...]string{"multistep", "singlestep", "singlestep-fixed"}[m]
}

// Expansion says how the first derivative enters a second-order update.
type Expansion uint8

const (
	Midpoint Expansion = iota // "dpmsolver", "midpoint": half the first-order weight
	Taylor                    // "taylor", "heun": the exact integral of the linear term
)

// ThirdOrder chooses the second derivative of the third-order multistep update.
type ThirdOrder uint8

const (
	// Official is the authors' code: the second divided difference is not
	// doubled, which leaves the method second order. With Eta > 0 it is the merged
	// community extension, whose quadratic weight moreover has the constant −1/2
	// where the integral gives +1/2.
	Official ThirdOrder = iota
	// Corrected is third order: the Taylor coefficient, and the exact integral.
	Corrected
)

// DPMSolver is the DPM-Solver family: DPM-Solver (Lu et al., NeurIPS 2022) in
// noise form and DPM-Solver++ (Lu et al. 2022, arXiv 2211.01095) in data form,
// single- and multistep, of order 1 to 3, and its SDE variants. The zero value is
// DPM-Solver++(2M) with the midpoint expansion, the paper's recommendation.
//
// With x_t = A·x + w₁·m + w₂·D₁ + w₃·D₂, where m is the prediction at s, D₁ and D₂
// are h and h² times its first two λ-derivatives, and h = λ_t − λ_s, every update
// is an exponential integrator with the weights of [DPMSolver.weights].
type DPMSolver struct {
	Form       Form       // DataForm (DPM-Solver++) or NoiseForm (DPM-Solver)
	Mode       Mode       // default Multistep
	Order      int        // 1 to 3; 0: 2
	Expansion  Expansion  // default Midpoint
	ThirdOrder ThirdOrder // of the multistep method; default Official

	// Eta > 0 samples from the reverse SDE instead of the ODE, for Multistep only:
	// the noise put in is √η times that of the reverse-time SDE, so 1 is SDE-DPM-Solver.
	Eta float64

	// LowerOrderBelow lowers the order of the last steps to min(Order, steps left)
	// when there are fewer steps than this; 0: 10, as the authors' code (another
	// implementation takes 15); negative: never. A multistep method reaches σ = 0
	// at order 1 in any case.
	LowerOrderBelow int
	// FinalEuler makes the last step first order whatever the number of steps.
	FinalEuler bool
	// Denoise ends with one more evaluation, whose data prediction is the result:
	// "denoise to zero".
	Denoise bool

	compensation *compensation // see DCSolver
	momentum     *averages     // see HeavyBall
}

// Form says in which prediction a sampler works.
type Form uint8

const (
	DataForm  Form = iota // x₀: stable under large guidance
	NoiseForm             // ε
)

func (f Form) prediction() Prediction {
	if f == NoiseForm {
		return Noise
	}
	return Data
}

// WithEta returns the method with another η.
func (m DPMSolver) WithEta(eta float64) Method { m.Eta = eta; return m }

func (m DPMSolver) order() int {
	if m.Order == 0 {
		return 2
	}
	return m.Order
}

// Trace writes the method down.
func (m DPMSolver) Trace(t *Tracer, g Grid) error {
	switch {
	case m.Order < 0 || m.Order > 3:
		return fmt.Errorf("diffusion: DPM-Solver of order %d: must be 1 to 3", m.Order)
	case m.Mode > SinglestepFixed:
		return fmt.Errorf("diffusion: DPM-Solver of mode %d: must be Multistep, Singlestep or SinglestepFixed", m.Mode)
	case !(m.Eta >= 0) || math.IsInf(m.Eta, 0):
		return fmt.Errorf("diffusion: eta = %g: must not be negative", m.Eta)
	case m.Eta > 0 && m.Mode != Multistep:
		return fmt.Errorf("diffusion: eta = %g: the %v DPM-Solver is deterministic", m.Eta, m.Mode)
	case g.Steps < m.order():
		return stepsError(fmt.Sprintf("DPM-Solver of order %d", m.order()), g.Steps, m.order())
	}
	var x Vec
	var last Level
	var err error
	if m.Mode == Multistep {
		x, last, err = m.multistep(t, g)
	} else {
		x, last, err = m.singlestep(t, g)
	}
	if err != nil {
		return err
	}
	if m.Denoise && last.Sigma > 0 {
		x = t.Eval(x, last, Data)
	}
	t.Return(x)
	return nil
}

// weights are the factors of x, m, D₁, D₂ and of fresh noise in a step.
type weights struct{ x, m, d1, d2, z float64 }

// weights integrates the data form (paper eq. 9, with the SDE of eq. 14)
//
//	A = σ_t/σ_s·e^{−ηh}, w_k = −α_t·p_k(−(1+η)h), z = σ_t·√(1 − e^{−2ηh})
//
// or the noise form (DPM-Solver eq. 3.4)
//
//	A = α_t/α_s, w_k = −(1+η)·σ_t·p_k(h), z = σ_t·√(η(e^{2h} − 1)).
func (m DPMSolver) weights(from, to Level) weights {
	h := to.Lambda - from.Lambda
	z := h
	w := weights{x: to.Alpha / from.Alpha, z: to.Sigma * math.Sqrt(m.Eta*math.Expm1(2*h))}
	c := -(1 + m.Eta) * to.Sigma
	if m.Form == DataForm {
		z = -(1 + m.Eta) * h
		c = -to.Alpha
		w.x = to.Sigma / from.Sigma * math.Exp(-m.Eta*h)
		w.z = to.Sigma * math.Sqrt(-math.Expm1(-2*m.Eta*h))
	}
	w.m, w.d1, w.d2 = c*p1(z), c*p2(z), c*p3(z)
	if m.Expansion == Midpoint {
		w.d1 = w.m / 2
	}
	return w
}

// p1, p2 and p3 are h·φ_k(h): e^h − 1, p1/h − 1 and p2/h − 1/2.
func p1(h float64) float64 { return math.Expm1(h) }
func p2(h float64) float64 { return h * phi(h, 2) }
func p3(h float64) float64 { return h * phi(h, 3) }

// phi is φ_k(h) = Σ_j h^j/(j+k)!: by the series where the recurrence φ_{k+1} =
// (φ_k − 1/k!)/h would cancel.
func phi(h float64, k int) float64 {
	fact := 1.0
	if math.Abs(h) < 1 {
		for i := 2; i <= k; i++ {
			fact /= float64(i)
		}
		sum := 0.0
		for j := 1; j <= 20; j++ { // the rest is below 1/21!
			sum += fact
			fact *= h / float64(j+k)
		}
		return sum
	}
	v := math.Expm1(h) / h
	for i := 1; i < k; i++ {
		fact *= float64(i)
		v = (v - 1/fact) / h
	}
	return v
}
