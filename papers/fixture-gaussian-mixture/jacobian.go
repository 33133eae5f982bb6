package mixture

import (
	"context"
	"fmt"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/gmm"
)

// Differentiable is Model with its exact Jacobian.
func (p *Problem) Differentiable() (diffusion.Differentiable, error) {
	m := p.Mixture()
	all, err := gmm.Differentiable(m)
	if err != nil || p.Guidance == nil {
		return all, err
	}
	c, err := m.Condition(p.Guidance.Components...)
	if err != nil {
		return nil, err
	}
	cond, err := gmm.Differentiable(c)
	if err != nil {
		return nil, err
	}
	guided, err := diffusion.NewGuided[float64](cond, all, p.Guidance.Scale)
	return guidedJacobian{guided, cond, all}, err
}

// guidedJacobian combines Jacobians as guidance combines predictions.
type guidedJacobian struct {
	diffusion.Guided[float64]
	cond, uncond diffusion.Differentiable
}

func (g guidedJacobian) JVP(ctx context.Context, dst, x, p []float64, n int, at diffusion.Level) error {
	if err := g.cond.JVP(ctx, dst, x, p, n, at); err != nil {
		return err
	}
	un := make([]float64, len(dst))
	if err := g.uncond.JVP(ctx, un, x, p, n, at); err != nil {
		return fmt.Errorf("unconditional: %w", err)
	}
	for i, u := range un {
		dst[i] = u + g.Scale*(dst[i]-u)
	}
	return nil
}
