package diffusion

import (
	"errors"
	"fmt"
	"math"
)

// An Inverse is a tape that takes another tape's results and gives its inputs. Its
// registers are those of the tape, with the same values, and its model is asked at
// the same states.
type Inverse struct {
	*Tape
	// Undoes says which step of the tape (from 0) every step of the inverse undoes:
	// step j asks the model what step Undoes[j] of the tape asked it, at the state that
	// step started from, and finds the state before that one. What a backward sweep over
	// the tape needs for step k is there when the inverse has made its step with
	// Undoes[j] = k.
	Undoes []int
	// Pivots are what the steps of the inverse divide by: γ for BDIA.
	Pivots []float64
	// Growth is by how much an error grows at most on its way: the largest product of
	// 1/|pivot| over consecutive steps, γ^−(N−1) for BDIA. Whatever the model, that is how
	// much the inverse expands volumes in the space of its states.
	Growth float64
}

// Error predicts the rounding error of the way back: every step adds one rounding
// unit to what it has, and divides by its pivot. With a pair of size 1 it is near what
// is found, a few times more or less; what the model itself does to errors is not in it.
func (inv *Inverse) Error(unit float64) float64 {
	e := 1.0
	for _, p := range inv.Pivots {
		e = (e + 1) / math.Abs(p)
	}
	return unit * e
}

// Accuracy is what is asked of an inverse.
type Accuracy struct {
	Unit      float64 // rounding unit of the states, as [Unit] gives it; 0: that of float64
	Tolerance float64 // largest error of a state of size 1; 0: 10⁻⁴
}

func (a Accuracy) values() (unit, tol float64) {
	unit, tol = a.Unit, a.Tolerance
	if unit == 0 {
		unit = Unit[float64]()
	}
	if tol == 0 {
		tol = 1e-4
	}
	return unit, tol
}

// WithPair is the tape with a second result, the state before the last step: what
// [Tape.Invert] needs of a method whose steps start from two states.
func (tp *Tape) WithPair() (*Tape, error) {
	if len(tp.Outputs) != 1 || tp.Steps() == 0 {
		return nil, fmt.Errorf("diffusion: a tape of %d results and %d steps: a pair is for one result and at least one step", len(tp.Outputs), tp.Steps())
	}
	before := tp.Inputs[len(tp.Inputs)-1] // the newest
	if n := tp.Steps(); n > 1 {
		before = tp.Marks[n-2].X
	}
	s := *tp
	s.Outputs = []Reg{tp.Outputs[0], before}
	s.allocate()
	return &s, nil
}

// Invert solves the tape for its inputs. That is possible where every step gives its
// oldest state as a linear form of the others and of what the model says at newer
// states: [BDIA], with the pair of its last states ([Tape.WithPair]), and couplings
// of two chains. A tape that draws noise or calls a hook (thresholding) cannot be
// inverted; nor one whose rounding errors would grow beyond the tolerance, by
// [Inverse.Error].
//
// The inverse takes the tape's results in their order and gives its inputs in
// theirs. Its steps go backwards, one fewer than the tape has where the results
// are a pair. The model must answer the same question always alike: same guidance, no
// dropout, the same arithmetic for the same batch.
func (tp *Tape) Invert(a Accuracy) (*Inverse, error) {
	unit, tol := a.values()
	switch {
	case !(unit > 0 && unit < 1) || !(tol > 0):
		return nil, fmt.Errorf("diffusion: inverting with a rounding unit of %g to a tolerance of %g: the unit must lie in (0, 1), the tolerance be positive", unit, tol)
	case tp.has(OpDraw):
		return nil, errors.New("diffusion: the tape draws noise: a stochastic method cannot be inverted")
	case tp.has(OpHook):
		return nil, errors.New("diffusion: the tape calls a hook on data predictions: thresholding cannot be inverted")
	case tp.width > 0:
		return nil, errors.New("diffusion: a stacked tape cannot be inverted: invert its columns")
	}
	s := newSolver(tp)
	s.solve()
	for _, r := range tp.Inputs {
		if !s.known[r] {
			return nil, s.explain()
		}
	}
	inv := s.inverse()
	if e := inv.Error(unit); !(e <= tol) {
		return nil, fmt.Errorf("diffusion: the inverse of %d steps multiplies rounding errors by up to %.2g: from a rounding unit of %.2g to %.2g, beyond the tolerance of %.2g: take fewer steps, a gamma nearer to 1, or states of higher precision",
			tp.Steps(), inv.Growth, unit, e, tol)
	}
	return inv, nil
}

// A solver finds registers from the results of a tape.
type solver struct {
	tp      *Tape
	known   []bool
	model   []bool  // written by the model: asked, never solved for
	by      []int   // the instruction that a register is found by; −1: a result
	uses    [][]int // the instructions that a register occurs in
	missing []int   // how many registers of an instruction have not been looked at
	order   []Reg   // in which registers are found
}

func newSolver(tp *Tape) *solver {
	s := &solver{tp: tp, known: make([]bool, tp.regs), model: make([]bool, tp.regs), by: make([]int, tp.regs),
		uses: make([][]int, tp.regs), missing: make([]int, len(tp.Code))}
	for pc := range tp.Code {
		in := &tp.Code[pc]
		s.model[in.Dst] = in.Op == OpEval
		s.eachOf(in, func(r Reg) {
			s.uses[r] = append(s.uses[r], pc)
			s.missing[pc]++
		})
	}
	for _, r := range tp.ones {
		s.find(r, -1)
	}
	for _, r := range tp.Outputs {
		s.find(r, -1)
	}
	return s
}

// eachOf calls f for every register of an equation, its result first. Terms with the
// factor 0 are none.
func (s *solver) eachOf(in *Instr, f func(Reg)) {
	f(in.Dst)
	if in.Op == OpEval {
		f(in.Src)
	}
	for _, t := range in.Terms {
		if t.C != 0 {
			f(t.R)
		}
	}
}

func (s *solver) find(r Reg, by int) {
	if !s.known[r] {
		s.known[r], s.by[r] = true, by
		s.order = append(s.order, r)
	}
}

// solve finds what can be found, the model's outputs before anything else that a
// register leads to.
func (s *solver) solve() {
	for next := 0; next < len(s.order); next++ {
		for _, pc := range s.uses[s.order[next]] {
			s.missing[pc]--
			in := &s.tp.Code[pc]
			switch {
			case in.Op == OpEval && s.known[in.Src]:
				s.find(in.Dst, pc)
			case in.Op == OpComb && s.missing[pc] <= 1:
				s.eachOf(in, func(r Reg) {
					if !s.known[r] && !s.model[r] {
						s.find(r, pc)
					}
				})
			}
		}
	}
}

// inverse writes down what the tape's inputs follow from.
func (s *solver) inverse() *Inverse {
	tp := s.tp
	inv := &Inverse{Tape: &Tape{Predicts: tp.Predicts, Inputs: tp.Outputs, Outputs: tp.Inputs, regs: tp.regs, ones: tp.ones, lattice: tp.lattice}, Growth: 1}
	needed := s.needed()
	levels := tp.levelsOfStates()
	worst := 1.0 // over the runs of steps that end here
	pivot := 1.0 // of the step at hand
	for _, r := range s.order {
		if !needed[r] || s.by[r] < 0 {
			continue
		}
		in := tp.Code[s.by[r]]
		solved := in.Op == OpComb && in.Dst != r
		if solved {
			var p float64
			in, p = in.solvedFor(r)
			pivot *= p
		}
		inv.Code = append(inv.Code, in)
		if at, ok := levels[r]; ok && solved {
			inv.Marks = append(inv.Marks, Mark{len(inv.Code), r, at})
			inv.Undoes = append(inv.Undoes, tp.stepOf(s.by[r]))
			inv.Pivots = append(inv.Pivots, pivot)
			worst = max(1, worst/math.Abs(pivot))
			inv.Growth = max(inv.Growth, worst)
			pivot = 1
		}
	}
	inv.allocate()
	return inv
}

// needed says which registers the inputs follow from.
func (s *solver) needed() []bool {
	needed := make([]bool, s.tp.regs)
	for _, r := range s.tp.Inputs {
		needed[r] = true
	}
	for i := len(s.order) - 1; i >= 0; i-- {
		if r := s.order[i]; needed[r] && s.by[r] >= 0 {
			s.eachOf(&s.tp.Code[s.by[r]], func(r Reg) { needed[r] = true })
		}
	}
	return needed
}

// solvedFor is y = Σ c·r solved for one of the registers, y in its place in front.
func (in Instr) solvedFor(r Reg) (solved Instr, pivot float64) {
	for _, t := range in.Terms {
		if t.R == r {
			pivot = t.C
		}
	}
	solved = Instr{Op: OpComb, Dst: r, Terms: []Term{{1 / pivot, in.Dst}}}
	for _, t := range in.Terms {
		if t.R != r {
			solved.Terms = append(solved.Terms, Term{-t.C / pivot, t.R})
		}
	}
	return solved, pivot
}

// levelsOfStates are the levels of the states before, between and after the steps.
func (tp *Tape) levelsOfStates() map[Reg]Level {
	levels := map[Reg]Level{}
	for _, r := range tp.Inputs {
		levels[r] = Level{}
	}
	for i := range tp.Code {
		if in := &tp.Code[i]; in.Op == OpEval {
			if _, ok := levels[in.Src]; ok {
				levels[in.Src] = in.Level
			}
		}
	}
	for _, m := range tp.Marks {
		levels[m.X] = m.Level
	}
	return levels
}

// stepOf is the step that an instruction belongs to.
func (tp *Tape) stepOf(pc int) int {
	for i, m := range tp.Marks {
		if pc < m.PC {
			return i
		}
	}
	return tp.Steps()
}

// explain says why the inputs cannot be found: at the last instruction whose result
// is known, and what it is made of is not.
func (s *solver) explain() error {
	tp := s.tp
	states := tp.states()
	for pc := len(tp.Code) - 1; pc >= 0; pc-- {
		in := &tp.Code[pc]
		if in.Op != OpComb || !s.known[in.Dst] {
			continue
		}
		var open, asked, zero int // unknown states and model outputs, and states with the factor 0
		for _, t := range in.Terms {
			switch {
			case s.known[t.R]:
			case t.C == 0:
				zero++
			case s.model[t.R]:
				asked++
			case states[t.R]:
				open++
			}
		}
		step := tp.stepOf(pc) + 1
		switch {
		case open > 1:
			return fmt.Errorf("diffusion: step %d starts from %d states that are not known: invert a tape that returns the last two (WithPair)", step, open)
		case asked > 0:
			return fmt.Errorf("diffusion: step %d asks the model at a state that it would have to be solved for: only methods that ask at newer states, as BDIA with a gamma above 0, can be inverted", step)
		case zero > 0:
			return fmt.Errorf("diffusion: step %d has the factor 0 at its oldest state: it cannot be solved for it", step)
		}
	}
	return errors.New("diffusion: the tape's inputs do not follow from its results: it cannot be inverted")
}
