package diffusion

import "fmt"

// An Op is what an instruction does.
type Op uint8

const (
	OpEval     Op = iota // Dst = model(Src) at Level
	OpComb               // Dst = Σ Terms
	OpDraw               // Dst ~ N(0, I), the draw with number Draw
	OpHook               // Dst = hook(Src) at Level
	OpLangevin           // Dst = Terms[0] + h·Terms[1] + √(2h)·Terms[2], h from norms: see [Langevin]
	OpVJP                // Dst = Jᵀ·Arg, J the model's Jacobian at Src and Level: see [Tape.Transpose]
	OpDot                // the product number Draw is Weight·(Src·Arg)
)

func (o Op) String() string {
	return [...]string{"eval", "comb", "draw", "hook", "langevin", "vjp", "dot"}[o]
}

// An Instr is one instruction of a tape.
type Instr struct {
	Op     Op
	Part   Part // of OpEval: which part of a guided model
	Each   bool // of OpLangevin: h of every sample's own norms
	Dst    Reg
	Src    Reg     // of OpEval, OpHook, OpVJP and OpDot
	Arg    Reg     // of OpVJP and OpDot: a cotangent
	Terms  []Term  // of OpComb and OpLangevin
	Level  Level   // of OpEval, OpHook and OpVJP
	Draw   int     // of OpDraw and OpDot
	Weight float64 // of OpVJP (that of the parameters' gradient) and OpDot

	// In a stacked tape, the coefficients of every term and the levels, one a tape.
	Cs     [][]float64
	Levels []Level
}

// reads calls f for every register that the instruction reads.
func (in *Instr) reads(f func(Reg)) {
	switch in.Op {
	case OpEval, OpHook:
		f(in.Src)
	case OpVJP, OpDot:
		f(in.Src)
		f(in.Arg)
	case OpComb, OpLangevin:
		for _, t := range in.Terms {
			f(t.R)
		}
	}
}

// A Mark is the end of a step: Code[:PC] has been run, X holds the state at Level.
type Mark struct {
	PC    int
	X     Reg
	Level Level
}

// A Tape is a sampler compiled for one grid: a straight-line program over
// registers. It is immutable and safe for concurrent use; where it stands is in
// the registers alone, so it can be cut between any two steps.
type Tape struct {
	Predicts Prediction // what the model must estimate
	Code     []Instr
	Inputs   []Reg // the start state first
	Outputs  []Reg // the final state first
	Marks    []Mark

	regs  int
	slot  []int32 // storage of every register
	slots int
	ones  []Reg // the register of ones, if there is one
	axis  Axis  // of a stacked tape
	width int   // how many tapes were stacked; 0: none

	lattice float64 // states are kept on multiples of it; 0: as they are
}

// NFE is the number of evaluations of the model.
func (tp *Tape) NFE() int { return tp.count(OpEval) }

// count is how many instructions do that.
func (tp *Tape) count(op Op) int {
	n := 0
	for i := range tp.Code {
		if tp.Code[i].Op == op {
			n++
		}
	}
	return n
}

// Steps is the number of steps.
func (tp *Tape) Steps() int { return len(tp.Marks) }

// Slots is the number of buffers, each of the size of the state, that running
// the tape needs.
func (tp *Tape) Slots() int { return tp.slots }

// Times lists the times at which the model is asked, in order.
func (tp *Tape) Times() []float64 {
	var ts []float64
	for i := range tp.Code {
		if tp.Code[i].Op == OpEval {
			ts = append(ts, tp.Code[i].Level.T)
		}
	}
	return ts
}

// Stochastic says whether the tape draws noise.
func (tp *Tape) Stochastic() bool { return tp.has(OpDraw) }

// has says whether an instruction does that.
func (tp *Tape) has(op Op) bool { return tp.count(op) > 0 }

// Slice cuts out steps k to m (counted from 0, m excluded) as a tape of its own.
// Its inputs are the registers live before step k and its outputs those live
// after step m−1: the checkpoint. Running the slices one after the other is
// running the whole, bit for bit.
func (tp *Tape) Slice(k, m int) (*Tape, error) {
	if k < 0 || m > tp.Steps() || k >= m {
		return nil, fmt.Errorf("diffusion: steps %d to %d of a tape of %d: need 0 ≤ from < to ≤ %[3]d", k, m, tp.Steps())
	}
	from, to := 0, len(tp.Code)
	s := &Tape{Predicts: tp.Predicts, regs: tp.regs, Inputs: tp.Inputs, Outputs: tp.Outputs, ones: tp.ones, axis: tp.axis, width: tp.width, lattice: tp.lattice}
	if k > 0 {
		from = tp.Marks[k-1].PC
		s.Inputs = tp.live(from)
	}
	if m < tp.Steps() {
		to = tp.Marks[m-1].PC
		s.Outputs = tp.live(to)
	}
	s.Code = tp.Code[from:to:to]
	for _, mark := range tp.Marks[k:m] {
		mark.PC -= from
		s.Marks = append(s.Marks, mark)
	}
	s.allocate()
	return s, nil
}

// live lists the registers that are written before pc and read at or after it.
func (tp *Tape) live(pc int) []Reg {
	needed := make([]bool, tp.regs)
	for i := pc; i < len(tp.Code); i++ {
		tp.Code[i].reads(func(r Reg) { needed[r] = true })
	}
	for _, r := range tp.Outputs {
		needed[r] = true
	}
	for i := pc; i < len(tp.Code); i++ {
		needed[tp.Code[i].Dst] = false
	}
	for _, r := range tp.ones { // never part of a checkpoint
		needed[r] = false
	}
	var regs []Reg
	for r, ok := range needed {
		if ok {
			regs = append(regs, Reg(r))
		}
	}
	return regs
}

// finish removes dead code and places the registers in storage. Evaluations are
// roots (a method that asks the model pays for it), and so are draws (taking one
// away would shift the others) and the states at marks.
func (tp *Tape) finish() {
	needed := make([]bool, tp.regs)
	for _, r := range tp.Outputs {
		needed[r] = true
	}
	for _, m := range tp.Marks {
		needed[m.X] = true
	}
	keep := make([]bool, len(tp.Code))
	for i := len(tp.Code) - 1; i >= 0; i-- {
		in := &tp.Code[i]
		if keep[i] = needed[in.Dst] || in.Op != OpComb && in.Op != OpHook; keep[i] {
			in.reads(func(r Reg) { needed[r] = true })
		}
	}
	moved := make([]int, len(tp.Code)+1) // where code index i went
	code := tp.Code[:0]
	for i := range keep {
		moved[i] = len(code)
		if keep[i] {
			code = append(code, tp.Code[i])
		}
	}
	moved[len(keep)] = len(code)
	tp.Code = code
	for i := range tp.Marks {
		tp.Marks[i].PC = moved[tp.Marks[i].PC]
	}
	tp.allocate()
}

// allocate gives every register a slot, taking slots back at the last use. A
// Comb may write over an operand that dies in it: it works element by element.
func (tp *Tape) allocate() {
	const never = -1
	end := len(tp.Code)
	last := make([]int, tp.regs) // index of the instruction after which a register is dead
	for r := range last {
		last[r] = never
	}
	for i := range tp.Code {
		last[tp.Code[i].Dst] = i
		tp.Code[i].reads(func(r Reg) { last[r] = i })
	}
	for _, m := range tp.Marks { // the state is shown when the step is over
		last[m.X] = max(last[m.X], m.PC-1)
	}
	for _, r := range tp.Outputs {
		last[r] = end
	}
	tp.slot = make([]int32, tp.regs)
	var free []int32
	take := func(r Reg) {
		if n := len(free); n > 0 {
			tp.slot[r], free = free[n-1], free[:n-1]
			return
		}
		tp.slot[r] = int32(tp.slots)
		tp.slots++
	}
	tp.slots = 0
	for _, r := range tp.Inputs {
		take(r)
	}
	for _, r := range tp.ones {
		take(r)
	}
	for i := range tp.Code {
		in := &tp.Code[i]
		release := func(r Reg) {
			if last[r] == i {
				free = append(free, tp.slot[r])
				last[r] = never // a register can be read twice
			}
		}
		switch in.Op {
		case OpComb:
			in.reads(release)
			take(in.Dst)
		case OpDot: // writes no register
			in.reads(release)
			continue
		default:
			take(in.Dst)
			in.reads(release)
		}
		release(in.Dst)
	}
}
