package diffusion

import (
	"fmt"
	"math"
)

// BDIA is the bi-directional integration approximation of Zhang, Lewis & Kleijn,
// ECCV 2024 (arXiv 2307.10829). With S(n→m) the state to which a one-step solver
// goes from z_n at level n to level m, the first step is the solver's own and
//
//	z_{n+1} = S(n→n+1) + γ·(z_{n−1} − S(n→n−1))
//
// which is the paper's rule z_{n−1} − (1−γ)(z_{n−1} − z_n) − γ·Δ(n→n−1) + Δ(n→n+1)
// for the increments Δ(n→m) = S(n→m) − z_n. The zero value is BDIA-DDIM with γ = 1.
//
// The rule can be solved for the oldest state, so a run can be retraced to the last
// bits: [Tape.Invert] does it from the last two states, [InvertClean] from one.
// Over DDIM a step takes one evaluation and three buffers. With equal steps in
// σ/α its error is Euler's times (1−γ)/(1+γ), and it is of second order for γ = 1.
// A step's error decays by γ from step to step: at γ = 1 it does not, which shows
// where the steps are long.
type BDIA struct {
	Base OneStep // the solver; nil: [DDIM]

	// Gamma is γ, in (0, 1]; 0 stands for 1. For sampling the authors take 0.5 with
	// some 10 steps and 1 with 40; for editing 0.92 to 1.
	Gamma float64
	// ZeroGamma makes γ = 0, which is Base itself: a control.
	ZeroGamma bool

	// Backward says how S(n→n−1) is found where Base takes several evaluations a step.
	Backward Backward
	// Clean says where the clean end of the grid lies; for editing.
	Clean CleanEnd
	// Lattice > 0, a power of two, keeps the states on multiples of it: increments
	// are rounded, sums exact, and the inverse gives back every bit. It needs γ = 1.
	Lattice float64
}

// Backward is a reading of BDIA's backward step.
type Backward uint8

const (
	// Reuse takes the slope at the older end from the output that the model gave
	// there, at no evaluation: BDIA-EDM at the cost of EDM. The step then depends on
	// the model at z_{n−1}, so it cannot be inverted.
	Reuse Backward = iota
	// Full is a step of the solver backwards, with evaluations of its own; it can be
	// inverted.
	Full
)

// CleanEnd is where the cleanest state of a grid lies.
type CleanEnd uint8

const (
	AtEnd CleanEnd = iota // at the grid's end
	// OneStrideBelow is the authors' editing code: the last of the Steps goes on from
	// the grid's end by one more stride of time. The model is told that time, which can
	// be negative; α and σ are those of the schedule's first level where it is below.
	OneStrideBelow
)

// A OneStep is a solver without memory, as [BDIA] needs it.
type OneStep interface {
	// StepsFrom asks the model at x, and gives the steps from there.
	StepsFrom(t *Tracer, g Grid, x Vec, at Level) Steps
}

// Steps are a solver's steps from one state.
type Steps struct {
	Out Vec                // the model's output at that state
	To  func(to Level) Vec // the state to which the solver goes
	// Reuse is To, with the model's output at the level to, known from before, in place
	// of further evaluations; nil where there are none, or no such step.
	Reuse func(out Vec, to Level) Vec
}

var (
	_ Spacer  = BDIA{}
	_ OneStep = DDIM{}
	_ OneStep = DPMSolver{}
	_ OneStep = RhoRK{}
)

// WithGamma returns the method with that γ, 0 included.
func (m BDIA) WithGamma(gamma float64) BDIA {
	m.Gamma, m.ZeroGamma = gamma, gamma == 0
	return m
}

// Spacing is that of the solver: even in time over DDIM, as the authors have it,
// and Karras's for Runge–Kutta methods.
func (m BDIA) Spacing() Spacing {
	switch m.base().(type) {
	case DDIM:
		return TimeUniform
	case RhoRK:
		return Karras
	}
	return LogSNR
}

func (m BDIA) base() OneStep {
	if m.Base == nil {
		return DDIM{}
	}
	return m.Base
}

// gamma is γ, checked.
func (m BDIA) gamma() (float64, error) {
	switch g := m.Gamma; {
	case m.ZeroGamma && g != 0:
		return 0, fmt.Errorf("diffusion: gamma = %g, but ZeroGamma is set", g)
	case m.ZeroGamma:
		return 0, nil
	case g == 0:
		return 1, nil
	case !(g > 0 && g <= 1):
		return 0, fmt.Errorf("diffusion: gamma = %g: must lie in (0, 1]", g)
	default:
		return g, nil
	}
}

func (m BDIA) check() error {
	gamma, err := m.gamma()
	switch {
	case err != nil:
		return err
	case m.Backward > Full || m.Clean > OneStrideBelow:
		return fmt.Errorf("diffusion: BDIA with backward step %d and clean end %d: must be Reuse or Full, and AtEnd or OneStrideBelow", m.Backward, m.Clean)
	case m.Lattice == 0:
		return nil
	case !isPowerOfTwo(m.Lattice):
		return fmt.Errorf("diffusion: lattice = %g: must be a power of two", m.Lattice)
	case gamma != 1:
		return fmt.Errorf("diffusion: lattice = %g with gamma = %g: only gamma = 1 keeps the states on a lattice", m.Lattice, gamma)
	}
	return nil
}

func isPowerOfTwo(x float64) bool {
	frac, _ := math.Frexp(x)
	return frac == 0.5
}

// levels are the levels of the states z_0 (noise) to z_N (clean).
func (m BDIA) levels(g Grid) ([]Level, error) {
	if m.Clean == AtEnd {
		return g.Levels(g.Steps)
	}
	if g.ToZero || g.Steps < 2 {
		return nil, fmt.Errorf("diffusion: %d steps (to σ = 0: %v): a clean end one stride below needs at least 2, and ends at σ > 0", g.Steps, g.ToZero)
	}
	ls, err := g.Levels(g.Steps - 1)
	if err != nil {
		return nil, err
	}
	if ls[0].T < ls[1].T {
		return nil, fmt.Errorf("diffusion: a clean end one stride below: the grid must run from noise to data")
	}
	end := ls[len(ls)-1].T
	t := 2*end - ls[len(ls)-2].T
	lo, _ := g.Schedule.Range()
	l := g.Schedule.At(max(t, lo))
	l.T = t
	return append(ls, l), nil
}

// Trace writes the method down. Steps counts steps.
func (m BDIA) Trace(t *Tracer, g Grid) error {
	if err := m.check(); err != nil {
		return err
	}
	ls, err := m.levels(g)
	if err != nil {
		return err
	}
	gamma, _ := m.gamma()
	t.tape.lattice = m.Lattice
	x := t.Input()
	s := m.base().StepsFrom(t, g, x, ls[0])
	before, x := x, t.Step(s.To(ls[1]), ls[1])
	for n := 1; n < len(ls)-1; n++ {
		older := s
		s = m.base().StepsFrom(t, g, x, ls[n])
		next := s.To(ls[n+1])
		if gamma > 0 {
			next = before.Mul(gamma).Add(1, next).Add(-gamma, m.back(s, older.Out, ls[n-1]))
		}
		before, x = x, t.Step(next, ls[n+1])
	}
	t.Return(x)
	return nil
}

// back is S(n→n−1).
func (m BDIA) back(s Steps, out Vec, to Level) Vec {
	if m.Backward == Reuse && s.Reuse != nil {
		return s.Reuse(out, to)
	}
	return s.To(to)
}
