package adjoint

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/assay-lab/assay/diffusion"
)

// A backStep turns the gradients after a step into those before it.
type backStep struct {
	// tape takes the gradients of the registers live after the step, then the values of
	// states; it gives the gradients of those live before it.
	tape   *diffusion.Tape
	states []diffusion.Reg
	// rerun computes states from the registers that are its inputs; nil where states
	// are kept themselves.
	rerun *diffusion.Tape
	keep  []diffusion.Reg // what must be kept for the step

	evals        []int // of the discrete gradient: which evaluation of the step each VJP belongs to
	coefficients []diffusion.Coefficient
	offset       int // of the step's first instruction in the whole tape
}

// plan checks the way back and settles what every step needs kept. The steps are
// compiled again when they are undone, so that a long run holds no long list of
// programs.
func (s *sweep[T]) plan(m diffusion.Method) (err error) {
	if s.o.Mode == Continuous {
		s.tab = s.o.Solver
		if s.tab.B == nil {
			s.tab = ownTableau(m)
		}
		if err := s.tab.Validate(); err != nil {
			return err
		}
	}
	if s.o.Mode == Continuous || s.o.Checkpoint == None {
		if s.times, err = s.odeTimes(); err != nil {
			return err
		}
	}
	for k := range s.steps {
		b, err := s.backStep(k)
		if err != nil {
			return err
		}
		s.keep = append(s.keep, b.keep)
	}
	if s.o.Mode == Continuous || s.o.Checkpoint != None {
		return nil
	}
	for k := range s.keep {
		if err := s.needsOnlyState(k); err != nil {
			return err
		}
	}
	if b, ok := m.(diffusion.BDIA); ok {
		s.inverse, err = s.inverted(b)
		return err
	}
	s.reverse, err = s.reversed(m)
	return err
}

// inverted solves the sampler's tape for its start: BDIA's states can be retraced to
// rounding.
func (s *sweep[T]) inverted(m diffusion.BDIA) (*diffusion.Inverse, error) {
	pair, err := s.tape.WithPair()
	if err != nil {
		return nil, err
	}
	inv, err := pair.Invert(diffusion.Accuracy{Unit: diffusion.Unit[T](), Tolerance: s.o.Tolerance})
	if err != nil {
		return nil, fmt.Errorf("adjoint: no way back without kept states: %w", err)
	}
	return inv, nil
}

// backStep compiles the way back over step k.
func (s *sweep[T]) backStep(k int) (backStep, error) {
	if s.o.Mode == Continuous {
		return s.continuous(k)
	}
	slice, err := s.tape.Slice(k, k+1)
	if err != nil {
		return backStep{}, err
	}
	b, err := discrete(slice, s.o)
	if k > 0 {
		b.offset = s.tape.Marks[k-1].PC
	}
	return b, err
}

// discrete transposes a step, and settles what to keep for it: the states of its
// evaluations, or fewer registers from which they are computed again.
func discrete(slice *diffusion.Tape, o Options) (backStep, error) {
	tr, err := slice.Transpose(diffusion.TransposeOptions{Coefficients: o.Coefficients})
	if err != nil {
		return backStep{}, err
	}
	b := backStep{tape: tr.Tape, states: tr.States, keep: tr.States, evals: tr.Evals, coefficients: tr.Coefficients}
	if o.Checkpoint == Full {
		return b, nil
	}
	if r := slice.Computing(tr.States...); len(r.Inputs) < len(tr.States) {
		b.rerun, b.keep = r, r.Inputs
	}
	return b, nil
}

// state is the register that holds the state before step k.
func (s *sweep[T]) state(k int) diffusion.Reg {
	if k == 0 {
		return s.tape.Inputs[0]
	}
	return s.tape.Marks[k-1].X
}

// needsOnlyState: a step whose states come from the state before it alone can be
// undone without kept states.
func (s *sweep[T]) needsOnlyState(k int) error {
	for _, r := range s.keep[k] {
		if r != s.state(k) {
			return fmt.Errorf("adjoint: step %d asks the model at a state that is not on the grid, and has a history: keep states", k+1)
		}
	}
	return nil
}

// reversed compiles the method from the end of the run back to its start.
func (s *sweep[T]) reversed(m diffusion.Method) (*diffusion.Tape, error) {
	g := s.p.Grid
	times := slices.Clone(s.times)
	slices.Reverse(times)
	g.Start, g.End, g.Spacing = times[0], times[len(times)-1], diffusion.Explicit(times...)
	back, err := diffusion.Trace(m, g, diffusion.TraceOptions{Predicts: s.model.Predicts()})
	if err != nil {
		return nil, fmt.Errorf("adjoint: no way back without kept states: %w", err)
	}
	if back.Steps() != s.steps {
		return nil, fmt.Errorf("adjoint: %d steps back for %d: keep states", back.Steps(), s.steps)
	}
	return back, nil
}

// odeTimes are those of the start and of the end of every step, if the run solves an
// ODE that can be solved backwards.
func (s *sweep[T]) odeTimes() ([]float64, error) {
	if s.tape.Stochastic() {
		return nil, errors.New("adjoint: a stochastic sampler solves no ODE: take the discrete gradient, with kept states")
	}
	g := s.p.Grid
	start := g.Start
	if start == 0 && g.End == 0 {
		_, start = g.Schedule.Range()
	}
	ts := []float64{start}
	for _, m := range s.tape.Marks {
		if m.Level.Sigma == 0 {
			return nil, errors.New("adjoint: a run to σ = 0 cannot be integrated back from there: end before, or take the discrete gradient with kept states")
		}
		ts = append(ts, m.Level.T)
	}
	return ts, nil
}

// continuous compiles the adjoint ODE over an interval, one step of the solver.
func (s *sweep[T]) continuous(k int) (backStep, error) {
	sch := s.p.Grid.Schedule
	i := interval{tab: s.tab, schedule: sch, from: sch.At(s.times[k+1]), to: sch.At(s.times[k]), carry: s.o.Checkpoint == None}
	tape, err := diffusion.Trace(i, s.p.Grid, diffusion.TraceOptions{Predicts: s.model.Predicts()})
	end := []diffusion.Reg{s.state(k + 1)}
	return backStep{tape: tape, states: end, keep: end}, err
}

// ownTableau is the tableau of a method.
func ownTableau(m diffusion.Method) diffusion.Tableau {
	switch m := m.(type) {
	case diffusion.RhoRK:
		if m.Tableau.B == nil {
			return diffusion.Tableaux[1]
		}
		return m.Tableau
	case diffusion.DDIM:
		return diffusion.Tableaux[0]
	case diffusion.PNDM:
		if m.Order == 1 {
			return diffusion.Tableaux[0]
		}
	case diffusion.DPMSolver:
		if m.Order == 1 {
			return diffusion.Tableaux[0]
		}
	}
	return diffusion.ThreeEighths
}

// An interval is one step of the augmented ODE against the direction of sampling:
//
//	dv/dρ = ε    da/dρ = −α·(∂ε/∂x)ᵀa    dq/dρ = −(∂ε/∂θ)ᵀa
//
// with v = x/α, ρ = σ/α and a the gradient with respect to v: the paper's y, ρ and a
// are these times or over α_T, which a Runge–Kutta step does not notice.
type interval struct {
	tab      diffusion.Tableau
	schedule diffusion.Schedule
	from, to diffusion.Level // the cleaner end, the noisier one
	carry    bool            // give the state at to as well
}

// Trace writes the step down: inputs are the gradient with respect to x and x.
func (i interval) Trace(t *diffusion.Tracer, _ diffusion.Grid) error {
	ga, x := t.Input(), t.Input()
	a := ga.Mul(i.from.Alpha)
	rho := func(l diffusion.Level) float64 { return l.Sigma / l.Alpha }
	h := rho(i.to) - rho(i.from)
	var slopes, pulls []diffusion.Vec // ε and (∂ε/∂x)ᵀa, times α, of the stages
	last := len(i.tab.B) - 1
	combine := func(v diffusion.Vec, c float64, row []float64, of []diffusion.Vec) diffusion.Vec {
		for j, w := range row {
			if w != 0 {
				v = v.Add(c*w, of[j])
			}
		}
		return v
	}
	state := func(at diffusion.Level, row []float64) diffusion.Vec {
		return combine(x.Mul(at.Alpha/i.from.Alpha), at.Alpha*h, row, slopes)
	}
	for s, c := range i.tab.C {
		at := i.from
		switch {
		case c == 1:
			at = i.to
		case c != 0:
			at = i.schedule.At(i.schedule.Time(-math.Log(rho(i.from) + c*h)))
		}
		y := t.Let(state(at, i.tab.A[s]))
		b := t.Let(combine(a, -h, i.tab.A[s], pulls))
		if i.carry || s < last {
			slopes = append(slopes, t.Let(t.Eval(y, at, diffusion.Noise)))
		}
		pulls = append(pulls, t.Let(t.VJP(y, b, at, diffusion.Noise, -h*i.tab.B[s]).Mul(at.Alpha)))
	}
	out := []diffusion.Vec{combine(a, -h, i.tab.B, pulls).Mul(1 / i.to.Alpha)}
	if i.carry {
		out = append(out, state(i.to, i.tab.B))
	}
	t.Return(out...)
	return nil
}
