package network

import (
	"context"
	"fmt"
	"math"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/adjoint"
)

// TowardsLabel is the loss of samples that are to be judged as digits of a label:
// minus the logarithm of the probability that the classifier gives to it, in the mean
// over the samples.
func TowardsLabel(ctx context.Context, c Classifier, label int) adjoint.Loss[float32] {
	return func(x []float32, n int, grad []float32) (float64, error) {
		logs, err := c.LogProb(ctx, x, n, []int{label}, grad)
		if err != nil {
			return 0, err
		}
		var y float64
		for _, l := range logs {
			y -= l / float64(n)
		}
		for i, g := range grad {
			grad[i] = -g / float32(n)
		}
		return y, nil
	}
}

// GuideNoise seeks start noise near the given one from which the network, under
// labels and guidance, draws samples of a lower loss.
func (m *Model) GuideNoise(ctx context.Context, p diffusion.Problem[float32], method diffusion.Method, labels []int, scale float64, loss adjoint.Loss[float32], d adjoint.Descent) (*adjoint.Descended[float32], error) {
	model, err := m.Differentiable(labels, scale, TrainNothing)
	if err != nil {
		return nil, err
	}
	p.Model = model
	return adjoint.DescendStart(ctx, p, method, loss, d)
}

// TuneEmbedding seeks an embedding for a label with which the network draws samples
// of a lower loss from the given start noise.
func (m *Model) TuneEmbedding(ctx context.Context, p diffusion.Problem[float32], method diffusion.Method, label int, scale float64, loss adjoint.Loss[float32], d adjoint.Descent) (*adjoint.Descended[float32], error) {
	e, err := m.Embedding(label)
	if err != nil {
		return nil, err
	}
	params := make([]float64, len(e))
	for i, v := range e {
		params[i] = float64(v)
	}
	return adjoint.DescendParams(ctx, p, method, loss, params, func(params []float64) (diffusion.VJPDenoiser[float32], error) {
		for i, v := range params {
			if e[i] = float32(v); math.IsInf(float64(e[i]), 0) {
				return nil, fmt.Errorf("%s: the embedding overflows: take a lower rate", m.Name)
			}
		}
		changed, err := m.WithEmbedding(label, e)
		if err != nil {
			return nil, err
		}
		return changed.Differentiable([]int{label}, scale, TrainEmbedding)
	}, d)
}
