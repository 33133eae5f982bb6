package diffusion

import (
	"context"
	"fmt"
)

// Splitting is the Lie–Trotter splitting of a guided model with momentum ("LTSP",
// Wizadwongsa et al., ICLR 2024, after Wizadwongsa & Suwajanakorn, ICLR 2023). A step
// first moves x along what guidance adds, by [Momentum], and then, from there, along
// the unguided model, by PLMS: only the part that diverges is damped. The whole is of
// first order, as any Lie–Trotter splitting.
//
// It asks the two parts of a [Guided] model apart: two evaluations a step, of which
// that of the guidance costs two network passes.
type Splitting struct {
	Momentum Momentum // of the guidance; default GHVB 3.8
	Order    int      // of PLMS on the unguided model, 1 to 5; 0: 4
}

var _ Spacer = Splitting{}

// Spacing is even in time.
func (m Splitting) Spacing() Spacing { return TimeUniform }

// Trace writes the method down.
func (m Splitting) Trace(t *Tracer, g Grid) error {
	pull, err := m.Momentum.checked()
	if err != nil {
		return err
	}
	plms, err := Momentum{Order: m.Order, Beta: 1}.checked()
	if err != nil {
		return err
	}
	if need := max(pull.Order, plms.Order); g.Steps < need {
		return stepsError(fmt.Sprintf("a splitting of order %d", need), g.Steps, need)
	}
	ls, err := g.Levels(g.Steps)
	if err != nil {
		return err
	}
	x := t.Input()
	guidance, model := pull.slopes(), plms.slopes()
	for i := range g.Steps {
		from, to := ls[i], ls[i+1]
		u := guidance.next(t, t.EvalPart(x, from, Noise, GuidancePart))
		moved := transfer(nil, u, from, to).Mul(from.Alpha / to.Alpha) // α·Δρ·u
		x = t.Let(x.Add(1, moved))
		e := model.next(t, t.EvalPart(x, from, Noise, UnguidedPart))
		x = t.Step(transfer(x, e, from, to), to)
	}
	t.Return(x)
	return nil
}

// A Part is a part of a guided model.
type Part uint8

const (
	WholeModel   Part = iota
	GuidancePart      // what guidance adds: Scale·(Cond − Uncond)
	UnguidedPart      // Uncond
)

func (p Part) String() string { return [...]string{"whole model", "guidance", "unguided part"}[p] }

// A Parted model can be asked for its parts, which add up to the whole.
type Parted[T Float] interface {
	Denoiser[T]
	// DenoisePart is Denoise for one part.
	DenoisePart(ctx context.Context, part Part, dst, x []T, n int, at []Level) error
	// PartPasses is how many network passes a part costs.
	PartPasses(part Part) int
}

// DenoisePart writes one part of the guided prediction.
func (g Guided[T]) DenoisePart(ctx context.Context, part Part, dst, x []T, n int, at []Level) error {
	switch {
	case part == UnguidedPart:
		return g.Uncond.Denoise(ctx, dst, x, n, at)
	case part == WholeModel:
		return g.Denoise(ctx, dst, x, n, at)
	case g.Scale == 0:
		clear(dst)
		return nil
	}
	if err := g.Cond.Denoise(ctx, dst, x, n, at); err != nil {
		return err
	}
	un := make([]T, len(dst))
	if err := g.Uncond.Denoise(ctx, un, x, n, at); err != nil {
		return err
	}
	s := T(g.Scale)
	for i, u := range un {
		dst[i] = s * (dst[i] - u)
	}
	return nil
}

// PartPasses is how many network passes a part costs.
func (g Guided[T]) PartPasses(part Part) int {
	switch {
	case part == UnguidedPart:
		return Passes(g.Uncond)
	case part == WholeModel:
		return g.Passes()
	case g.Scale == 0:
		return 0
	}
	return Passes(g.Cond) + Passes(g.Uncond)
}

// EvalPart asks one part of a guided model at x, as [Tracer.Eval] asks the whole.
// What guidance adds is a difference of two predictions at one x, so that x drops out
// of the conversion.
func (t *Tracer) EvalPart(x Vec, at Level, want Prediction, part Part) Vec {
	if t.hooked {
		t.fail("diffusion: a hook on the data prediction (thresholding) has no effect on a part of a model: use a data-prediction method")
	}
	v := t.Eval(x, at, want)
	for i := len(t.tape.Code) - 1; i >= 0; i-- {
		in := &t.tape.Code[i]
		if in.Op != OpEval {
			continue
		}
		in.Part = part
		for _, term := range v {
			if part == GuidancePart && term.R == in.Dst {
				return Vec{term}
			}
		}
		break
	}
	return v
}

// denoisePart asks a part of a model.
func denoisePart[T Float](ctx context.Context, m Denoiser[T], part Part, dst, x []T, n int, at []Level) error {
	if part == WholeModel {
		return m.Denoise(ctx, dst, x, n, at)
	}
	p, ok := m.(Parted[T])
	if !ok {
		return noPartsError(part)
	}
	return p.DenoisePart(ctx, part, dst, x, n, at)
}

func noPartsError(part Part) error {
	return fmt.Errorf("diffusion: the model cannot be asked for its %v: the method splits a model under classifier-free guidance", part)
}

// checkParts refuses a model that cannot be asked for the parts that a tape asks for.
func checkParts[T Float](tp *Tape, m Denoiser[T]) error {
	for i := range tp.Code {
		if in := &tp.Code[i]; in.Op == OpEval && in.Part != WholeModel {
			if _, ok := m.(Parted[T]); !ok {
				return noPartsError(in.Part)
			}
		}
	}
	return nil
}

// passesOf is how many network passes running a tape costs.
func passesOf[T Float](tp *Tape, m Denoiser[T]) int {
	n := 0
	for i := range tp.Code {
		in := &tp.Code[i]
		if in.Op != OpEval {
			continue
		}
		if p, ok := m.(Parted[T]); ok && in.Part != WholeModel {
			n += p.PartPasses(in.Part)
		} else {
			n += Passes(m)
		}
	}
	return n
}
