package diffusion

import (
	"context"
	"fmt"

	"github.com/assay-lab/assay/internal/kern"
)

// A VJPDenoiser is a Denoiser that also multiplies by the transpose of its
// Jacobian, which is what gradients through a sampler need.
type VJPDenoiser[T Float] interface {
	Denoiser[T]

	// Params is the number of parameters (weights, a condition) whose gradient VJP
	// gives; 0: none.
	Params() int

	// VJP writes Jᵀ·a to gx, J being the Jacobian of the prediction at x with respect
	// to x, for n samples, row by row; a has the size of a prediction. It adds weight
	// times the gradient of a·prediction with respect to the parameters, summed over
	// the samples, to params, unless that is nil. gx overlaps neither x nor a.
	VJP(ctx context.Context, gx, x, a []T, n int, at []Level, params []float64, weight float64) error
}

// VJPs is the number of products with the model's transposed Jacobian.
func (tp *Tape) VJPs() int { return tp.count(OpVJP) }

// TransposeOptions say what a transposed tape gives besides the gradients of the
// inputs and of the model's parameters.
type TransposeOptions struct {
	Coefficients bool // the gradient of every coefficient of every Comb
}

// A Coefficient is the term of an instruction of a tape.
type Coefficient struct{ Instr, Term int }

// A Transposed is the tape of the gradient of another tape: the discrete adjoint,
// exact for the numbers that the tape computes. Run it with a [VJPDenoiser].
//
// Its inputs are the gradients of a loss with respect to the outputs of the
// original tape, in order, and then the values that the registers States had in
// the original run. Its outputs are the gradients with respect to the inputs of the
// original. The gradient of the model's parameters is added to Env.Params, and that
// of coefficient Coefficients[i] to Env.Dots[i].
type Transposed struct {
	*Tape
	States       []Reg
	Coefficients []Coefficient
	Evals        []int // which evaluation of the original every VJP belongs to, from 0
}

// Transpose gives the transpose of a tape, or of a slice of one: Comb is
// transposed row by row in reverse order, Eval becomes a product with the model's
// transposed Jacobian. Fresh noise is constant. A tape with a hook (thresholding,
// clipping) has no transpose.
func (tp *Tape) Transpose(o TransposeOptions) (*Transposed, error) {
	if tp.has(OpHook) {
		return nil, fmt.Errorf("diffusion: the gradient through thresholding or clipping of data predictions is not defined: sample without")
	}
	switch {
	case tp.VJPs() > 0:
		return nil, fmt.Errorf("diffusion: a transposed tape cannot be transposed again")
	case tp.has(OpLangevin):
		return nil, fmt.Errorf("diffusion: the step of a Langevin corrector depends on norms: its gradient is not a linear form")
	case tp.lattice > 0:
		return nil, fmt.Errorf("diffusion: the tape rounds its states to a lattice of %g: that has no gradient", tp.lattice)
	}
	for i := range tp.Code {
		if tp.Code[i].Part != WholeModel {
			return nil, fmt.Errorf("diffusion: the tape asks a guided model for its parts: no gradient goes through them")
		}
	}
	if tp.width > 0 {
		return tp.transposeColumns(o)
	}
	t := tp.transposer(o)
	return t.run()
}

// transposeColumns transposes a stacked tape column by column.
func (tp *Tape) transposeColumns(o TransposeOptions) (*Transposed, error) {
	if o.Coefficients {
		return nil, fmt.Errorf("diffusion: gradients of coefficients that differ along a stack are not supported")
	}
	var first *Transposed
	tapes := make([]*Tape, tp.width)
	for i := range tapes {
		t := tp.column(i).transposer(o)
		t.stacked = true
		tr, err := t.run()
		if err != nil {
			return nil, err
		}
		if i == 0 {
			first = tr
		}
		tapes[i] = tr.Tape
	}
	var err error
	first.Tape, err = Stack(tp.axis, tapes)
	return first, err
}

// column is one of the tapes that a stacked tape was made of.
func (tp *Tape) column(i int) *Tape {
	c := *tp
	c.width = 0
	c.Code = append([]Instr(nil), tp.Code...)
	for k := range c.Code {
		in := &c.Code[k]
		terms := append([]Term(nil), in.Terms...)
		for j := range terms {
			terms[j].C = in.Cs[j][i]
		}
		if in.Levels != nil {
			in.Level = in.Levels[i]
		}
		in.Terms, in.Cs, in.Levels = terms, nil, nil
	}
	return &c
}

// A transposer walks a tape backwards. bar[r] is the gradient of register r, as a
// form over the registers of the transpose.
type transposer struct {
	Tracer
	of      *Tape
	bar     []Vec
	value   map[Reg]Reg // registers of the original that are inputs here
	out     Transposed
	o       TransposeOptions
	stacked bool // a column of a stack: coefficients must stay in Combs
}

func (tp *Tape) transposer(o TransposeOptions) *transposer {
	return &transposer{Tracer: Tracer{tape: Tape{Predicts: tp.Predicts}}, of: tp, bar: make([]Vec, tp.regs), value: map[Reg]Reg{}, o: o}
}

func (t *transposer) run() (*Transposed, error) {
	for _, r := range t.of.Outputs {
		t.bar[r] = t.bar[r].Add(1, t.Input())
	}
	evals := t.of.NFE()
	for i := len(t.of.Code) - 1; i >= 0; i-- {
		in := &t.of.Code[i]
		if in.Op == OpEval {
			evals--
		}
		bar := t.bar[in.Dst]
		if len(bar) == 0 {
			continue // nothing depends on it
		}
		t.bar[in.Dst] = nil
		switch in.Op {
		case OpComb:
			t.comb(i, in, bar)
		case OpEval:
			t.eval(in, bar, evals)
		}
	}
	for _, r := range t.of.Inputs {
		bar := t.bar[r]
		if len(bar) == 0 || t.stacked {
			bar = t.emit(Instr{Op: OpComb, Terms: bar}) // no term: zero
		}
		t.Return(bar)
	}
	if t.err != nil {
		return nil, t.err
	}
	t.tape.finish()
	t.out.Tape = &t.tape
	return &t.out, nil
}

// single stores a form of several terms; one of a single term is as good as stored.
// In a stack all are stored, lest a factor of 1 changes the shape of one column.
func (t *transposer) single(v Vec) Vec {
	switch {
	case t.stacked:
		return t.emit(Instr{Op: OpComb, Terms: v})
	case len(v) == 1:
		return v
	}
	return t.Let(v)
}

// comb: y = Σ c·x gives x̄ += c·ȳ and c̄ = x·ȳ.
func (t *transposer) comb(i int, in *Instr, bar Vec) {
	if len(in.Terms) > 1 || t.o.Coefficients {
		bar = t.single(bar)
	}
	for j, term := range in.Terms {
		if t.o.Coefficients {
			t.tape.Code = append(t.tape.Code, Instr{Op: OpDot, Dst: t.reg(), Src: t.state(term.R), Arg: bar[0].R, Weight: bar[0].C, Draw: len(t.out.Coefficients)})
			t.out.Coefficients = append(t.out.Coefficients, Coefficient{i, j})
		}
		t.bar[term.R] = t.bar[term.R].Add(term.C, bar)
	}
}

// eval: y = m(x) gives x̄ += Jᵀ·ȳ. A factor of ȳ waits until after the product.
func (t *transposer) eval(in *Instr, bar Vec, number int) {
	bar = t.single(bar)
	g := t.emit(Instr{Op: OpVJP, Src: t.state(in.Src), Arg: bar[0].R, Weight: bar[0].C, Level: in.Level})
	t.out.Evals = append(t.out.Evals, number)
	t.bar[in.Src] = t.bar[in.Src].Add(bar[0].C, g)
}

// state is the input that brings the value of a register of the original.
func (t *transposer) state(r Reg) Reg {
	for _, one := range t.of.ones {
		if r == one {
			return t.Ones()[0].R
		}
	}
	v, ok := t.value[r]
	if !ok {
		v = t.Input()[0].R
		t.value[r] = v
		t.out.States = append(t.out.States, r)
	}
	return v
}

// Keep is the tape with further outputs: registers that it writes or takes.
func (tp *Tape) Keep(regs ...Reg) *Tape {
	k := *tp
	k.Outputs = append(append([]Reg(nil), tp.Outputs...), regs...)
	k.allocate()
	return &k
}

// Computing is the part of the tape that the registers depend on: it gives them as
// its outputs, takes the inputs that it needs, and has no marks.
func (tp *Tape) Computing(regs ...Reg) *Tape {
	c := *tp
	c.Outputs, c.Marks, c.Inputs, c.ones, c.Code = regs, nil, nil, nil, nil
	needed := make([]bool, tp.regs)
	for _, r := range regs {
		needed[r] = true
	}
	keep := make([]bool, len(tp.Code))
	for i := len(tp.Code) - 1; i >= 0; i-- {
		if in := &tp.Code[i]; needed[in.Dst] {
			keep[i] = true
			in.reads(func(r Reg) { needed[r] = true })
		}
	}
	for i, in := range tp.Code {
		if keep[i] {
			c.Code = append(c.Code, in)
		}
	}
	for _, r := range tp.Inputs {
		if needed[r] {
			c.Inputs = append(c.Inputs, r)
		}
	}
	for _, r := range tp.ones {
		if needed[r] {
			c.ones = append(c.ones, r)
		}
	}
	c.allocate()
	return &c
}

// VJP asks for Jᵀ·a, J being the Jacobian at x of the wanted prediction, in a tape
// that is itself an adjoint method: see package adjoint. weight is that of the
// gradient of the model's parameters.
func (t *Tracer) VJP(x, a Vec, at Level, want Prediction, weight float64) Vec {
	x, a = t.Let(x), t.Let(a)
	g := t.emit(Instr{Op: OpVJP, Src: x[0].R, Arg: a[0].R, Level: at})
	i := len(t.tape.Code) - 1
	form := t.convert(a, g, at, want) // the conversion is linear and the same for every coordinate
	for _, term := range form {
		if term.R == g[0].R {
			t.tape.Code[i].Weight = weight * term.C
		}
	}
	return form
}

// A GradientError says that a gradient became NaN or infinite.
type GradientError struct {
	Step   int // counted from 1; 0: the loss's own
	T      float64
	Value  float64
	Sample int
}

func (e *GradientError) Error() string {
	if e.Step == 0 {
		return fmt.Sprintf("diffusion: the loss's gradient is %v for sample %d", e.Value, e.Sample)
	}
	return fmt.Sprintf("diffusion: step %d, t = %g: the gradient is %v for sample %d", e.Step, e.T, e.Value, e.Sample)
}

func (x *executor[T]) vjp(ctx context.Context, dst []T, in *Instr) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m, ok := x.env.Model.(VJPDenoiser[T])
	if !ok {
		return fmt.Errorf("diffusion: the model gives no gradient")
	}
	if x.env.Params != nil && len(x.env.Params) != m.Params() {
		return fmt.Errorf("diffusion: a gradient of %d parameters: the model has %d", len(x.env.Params), m.Params())
	}
	if err := m.VJP(ctx, dst, x.reg(in.Src), x.reg(in.Arg), x.n, x.levels(in), x.env.Params, in.Weight); err != nil {
		return fmt.Errorf("diffusion: t = %g: %w", in.Level.T, err)
	}
	if i := kern.NotFinite(dst); i >= 0 {
		return &GradientError{T: in.Level.T, Value: float64(dst[i]), Sample: i / (len(dst) / x.n)}
	}
	return nil
}

// dot adds a product to the gradient of a coefficient.
func (x *executor[T]) dot(in *Instr) {
	var s float64
	a := x.reg(in.Arg)
	for i, v := range x.reg(in.Src) {
		s += float64(v) * float64(a[i])
	}
	x.env.Dots[in.Draw] += in.Weight * s
}
