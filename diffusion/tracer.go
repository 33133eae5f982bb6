package diffusion

import (
	"errors"
	"fmt"
)

// A Method is a sampler. Trace writes it down for a grid: it takes the start
// state from [Tracer.Input], asks the model with [Tracer.Eval], ends every step
// with [Tracer.Step] and the whole with [Tracer.Return].
type Method interface {
	Trace(t *Tracer, g Grid) error
}

// A Tracer records a method as a tape. Its errors stick: a method need not check
// after every call.
type Tracer struct {
	tape   Tape
	hooked bool
	draws  int
	err    error
}

// TraceOptions are what a tape depends on besides method and grid.
type TraceOptions struct {
	Predicts Prediction // what the model estimates
	Hook     bool       // data predictions pass through Env.Hook
}

// Trace compiles a method on a grid.
func Trace(m Method, g Grid, o TraceOptions) (*Tape, error) {
	if s, ok := m.(Stacked); ok {
		if columns, err := s.Columns(g); err != nil {
			return nil, err
		} else if len(columns) > 0 {
			return traceColumns(columns, g, o)
		}
	}
	t := &Tracer{tape: Tape{Predicts: o.Predicts}, hooked: o.Hook}
	if s, ok := m.(Spacer); ok && g.Spacing.Place == nil {
		g.Spacing = s.Spacing()
	}
	if err := m.Trace(t, g); err != nil {
		return nil, err
	}
	if t.err != nil {
		return nil, t.err
	}
	if len(t.tape.Outputs) == 0 {
		return nil, errors.New("diffusion: the method returned nothing")
	}
	t.tape.finish()
	return &t.tape, nil
}

func (t *Tracer) fail(format string, args ...any) {
	if t.err == nil {
		t.err = fmt.Errorf(format, args...)
	}
}

func (t *Tracer) reg() Reg {
	t.tape.regs++
	return Reg(t.tape.regs - 1)
}

func (t *Tracer) emit(in Instr) Vec {
	in.Dst = t.reg()
	t.tape.Code = append(t.tape.Code, in)
	return Vec{{1, in.Dst}}
}

// Input is the next input of the tape; the first is the start state.
func (t *Tracer) Input() Vec {
	r := t.reg()
	t.tape.Inputs = append(t.tape.Inputs, r)
	return Vec{{1, r}}
}

// Ones is a vector of ones: times a coefficient, a bias. It costs one buffer.
func (t *Tracer) Ones() Vec {
	if t.tape.ones == nil {
		t.tape.ones = []Reg{t.reg()}
	}
	return Vec{{1, t.tape.ones[0]}}
}

// Let stores a form in a register of its own: the only decision about memory
// that a method makes. A form that is a register already is left as it is.
func (t *Tracer) Let(v Vec) Vec {
	if len(v) == 1 && v[0].C == 1 {
		return v
	}
	if len(v) == 0 {
		t.fail("diffusion: an empty form has no value to store")
		return v
	}
	return t.emit(Instr{Op: OpComb, Terms: v})
}

// Eval asks the model at x and gives its answer as the wanted prediction. Where
// the model estimates another one the result is a form over x and the model's
// output: Let it when it is kept longer than x.
func (t *Tracer) Eval(x Vec, at Level, want Prediction) Vec {
	return t.evalAs(x, at, want)[0]
}

// evalAs asks the model once and gives its answer as each of the wanted predictions.
func (t *Tracer) evalAs(x Vec, at Level, wants ...Prediction) []Vec {
	vs := make([]Vec, len(wants))
	for _, want := range wants {
		if t.hooked && want != Data {
			t.fail("diffusion: a hook on the data prediction (thresholding) has no effect on a method that works with the %v prediction: use a data-prediction method", want)
			return vs
		}
	}
	x = t.Let(x)
	m := t.emit(Instr{Op: OpEval, Src: x[0].R, Level: at})
	for i, want := range wants {
		vs[i] = t.convert(x, m, at, want)
		if t.hooked {
			vs[i] = t.emit(Instr{Op: OpHook, Src: t.Let(vs[i])[0].R, Level: at})
		}
	}
	return vs
}

// convert expresses the wanted prediction by x and the model's output m.
func (t *Tracer) convert(x, m Vec, at Level, want Prediction) Vec {
	if t.tape.Predicts == want {
		return m
	}
	a, s := at.Alpha, at.Sigma
	if s == 0 && want != Data || a == 0 && t.tape.Predicts == Noise || s == 0 && t.tape.Predicts == Score {
		t.fail("diffusion: the %v prediction at t = %g (α = %g, σ = %g) cannot be had from a model that predicts %v",
			want, at.T, a, s, t.tape.Predicts)
		return m
	}
	var data, noise Vec // x₀ and ε, each in the form that loses the least
	switch t.tape.Predicts {
	case Noise:
		noise, data = m, x.Mul(1/a).Add(-s/a, m)
	case Data:
		data, noise = m, x.Mul(1/s).Add(-a/s, m)
	case Velocity:
		n := a*a + s*s
		data, noise = x.Mul(a/n).Add(-s/n, m), x.Mul(s/n).Add(a/n, m)
	case Score:
		noise, data = m.Mul(-s), x.Mul(1/a).Add(s*s/a, m)
	}
	switch want {
	case Noise:
		return noise
	case Data:
		return data
	case Velocity:
		return noise.Mul(a).Add(-s, data)
	}
	return noise.Mul(-1 / s) // Score
}

// Draw is a fresh N(0, I).
func (t *Tracer) Draw() Vec {
	t.draws++
	return t.emit(Instr{Op: OpDraw, Draw: t.draws - 1})
}

// Step stores x as the state after a step, at the level reached.
func (t *Tracer) Step(x Vec, at Level) Vec {
	x = t.Let(x)
	if len(x) == 1 {
		t.tape.Marks = append(t.tape.Marks, Mark{len(t.tape.Code), x[0].R, at})
	}
	return x
}

// Return ends the tape with the final state, and with further results where a
// driver asks for them.
func (t *Tracer) Return(xs ...Vec) {
	for _, x := range xs {
		if x = t.Let(x); len(x) == 1 {
			t.tape.Outputs = append(t.tape.Outputs, x[0].R)
		}
	}
}
