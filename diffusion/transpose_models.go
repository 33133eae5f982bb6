package diffusion

import (
	"context"
	"fmt"
)

var (
	_ VJPDenoiser[float64] = Guided[float64]{}
	_ VJPDenoiser[float64] = asNoise[float64]{}
)

// branches are the two models as ones with gradients; one with a weight of 0 is
// not asked.
func (g Guided[T]) branches() (cond, uncond VJPDenoiser[T], err error) {
	var ok bool
	if cond, ok = g.Cond.(VJPDenoiser[T]); !ok && g.Scale != 0 {
		return nil, nil, fmt.Errorf("diffusion: guidance: the conditional model gives no gradient")
	}
	if uncond, ok = g.Uncond.(VJPDenoiser[T]); !ok && g.Scale != 1 {
		return nil, nil, fmt.Errorf("diffusion: guidance: the unconditional model gives no gradient")
	}
	return cond, uncond, nil
}

// Params are those of the models, which share them; a model may also have none.
func (g Guided[T]) Params() int {
	n := 0
	for _, m := range []Denoiser[T]{g.Cond, g.Uncond} {
		if v, ok := m.(VJPDenoiser[T]); ok {
			n = max(n, v.Params())
		}
	}
	return n
}

// VJP combines the products of both models as guidance combines predictions.
func (g Guided[T]) VJP(ctx context.Context, gx, x, a []T, n int, at []Level, params []float64, weight float64) error {
	cond, uncond, err := g.branches()
	if err != nil {
		return err
	}
	one := func(m VJPDenoiser[T], dst []T, scale float64) error {
		p := params
		switch k := m.Params(); {
		case k == 0:
			p = nil
		case p != nil && k != len(p):
			return fmt.Errorf("diffusion: guidance: one model has %d parameters, the other %d: they must share them", k, len(p))
		}
		return m.VJP(ctx, dst, x, a, n, at, p, scale*weight)
	}
	switch g.Scale {
	case 0:
		return one(uncond, gx, 1)
	case 1:
		return one(cond, gx, 1)
	}
	if err := one(cond, gx, g.Scale); err != nil {
		return err
	}
	un := make([]T, len(gx))
	if err := one(uncond, un, 1-g.Scale); err != nil {
		return err
	}
	s := T(g.Scale)
	for i, u := range un {
		gx[i] = u + s*(gx[i]-u)
	}
	return nil
}

// Params are those of the model.
func (m asNoise[T]) Params() int {
	if v, ok := m.model.(VJPDenoiser[T]); ok {
		return v.Params()
	}
	return 0
}

// VJP: ε = p·prediction + q·x gives p·Jᵀa + q·a.
func (m asNoise[T]) VJP(ctx context.Context, gx, x, a []T, n int, at []Level, params []float64, weight float64) error {
	v, ok := m.model.(VJPDenoiser[T])
	switch {
	case !ok:
		return fmt.Errorf("diffusion: the model gives no gradient")
	case len(at) != 1:
		return fmt.Errorf("diffusion: %d levels: the gradient of a converted prediction takes 1", len(at))
	}
	p, q := noiseFrom(m.model.Predicts(), at[0])
	if err := v.VJP(ctx, gx, x, a, n, at, params, p*weight); err != nil {
		return err
	}
	for i, v := range a {
		gx[i] = T(p*float64(gx[i]) + q*float64(v))
	}
	return nil
}

// WidenVJP is a model of float32, with its gradient, for states of float64, which
// are rounded for it.
func WidenVJP(m VJPDenoiser[float32]) VJPDenoiser[float64] { return widenedVJP{widened{m}, m} }

type widenedVJP struct {
	widened
	model VJPDenoiser[float32]
}

// Params are those of the model.
func (w widenedVJP) Params() int { return w.model.Params() }

// VJP asks the model. A large or small a is scaled for it, so that float32 neither
// overflows nor rounds to zero.
func (w widenedVJP) VJP(ctx context.Context, gx, x, a []float64, n int, at []Level, params []float64, weight float64) error {
	if len(gx) != len(x) || len(a) != len(x) {
		return fmt.Errorf("diffusion: gradients of %d and %d numbers for a state of %d", len(gx), len(a), len(x))
	}
	all := make([]float32, 3*len(x))
	in, co, out := all[:len(x)], all[len(x):2*len(x)], all[2*len(x):]
	scale := 0.0
	for i, v := range a {
		in[i] = float32(x[i])
		scale = max(scale, v, -v)
	}
	if scale == 0 {
		scale = 1
	}
	for i, v := range a {
		co[i] = float32(v / scale)
	}
	if err := w.model.VJP(ctx, out, in, co, n, at, params, weight*scale); err != nil {
		return err
	}
	for i, v := range out {
		gx[i] = scale * float64(v)
	}
	return nil
}
