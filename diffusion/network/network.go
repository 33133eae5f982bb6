// Package network makes neural networks denoisers: the one that assay ships
// ([MNIST]) and those that users bring as ONNX files ([OpenONNX]).
//
//	m, err := network.OpenONNX("model.onnx", network.ONNXOptions{Predict: "noise", Schedule: "ddpm-linear"})
//	model, err := m.Denoiser(nil)
//	// hand model and m.Schedule to diffusion.Solve
package network

import (
	"context"
	"fmt"
	"math"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/internal/nn/mixer"
)

// NoLabel is the label of a sample that has none.
const NoLabel = -1

// A Model is a trained network with all that a sampler must know of it. It is
// safe for concurrent use.
type Model struct {
	Name     string
	Engine   string // what computes it, as "onnxruntime 1.30.0"
	Schedule diffusion.Schedule
	Predicts diffusion.Prediction
	Shape    []int // of one sample: channels, height, width for images
	Classes  int   // labels are 0 to Classes−1; 0: the network takes none
	Null     bool  // a network that takes labels can also do without: guidance is possible

	// denoise writes the prediction for n ≥ 1 samples to dst. labels is nil when
	// none is wanted, else has n, NoLabel among them where Null allows it. at has
	// 1 or n levels. Arguments are checked before.
	denoise func(ctx context.Context, dst, x []float32, n int, at []diffusion.Level, labels []int) error
	close   func() error    // nil: nothing to free
	mixer   *mixer.Denoiser // of the shipped network; nil: the network gives no gradient
}

// Len is the number of values in one sample.
func (m *Model) Len() int {
	n := 1
	for _, d := range m.Shape {
		n *= d
	}
	return n
}

// Close frees what the network holds; its denoisers fail from then on.
func (m *Model) Close() error {
	if m.close == nil {
		return nil
	}
	return m.close()
}

// Denoiser binds labels to the network: none (nil) for unconditional samples,
// one for all, or one a sample, in which case every call must bring that many
// samples. [NoLabel] stands for none.
func (m *Model) Denoiser(labels []int) (diffusion.Denoiser[float32], error) {
	if len(labels) == 0 {
		labels = nil
	}
	if m.Classes == 0 && labels != nil {
		return nil, fmt.Errorf("%s: label %d: the network takes no labels", m.Name, labels[0])
	}
	if m.Classes > 0 && labels == nil {
		labels = []int{NoLabel}
	}
	for i, l := range labels {
		if l == NoLabel && m.Null {
			continue
		}
		if l == NoLabel {
			return nil, fmt.Errorf("%s: it needs a label, 0 to %d: no label stands for \"none\"", m.Name, m.Classes-1)
		}
		if l < 0 || l >= m.Classes {
			return nil, fmt.Errorf("%s: label %d of sample %d: must be from 0 to %d", m.Name, l, i, m.Classes-1)
		}
	}
	return denoiser{m, append([]int(nil), labels...)}, nil
}

// Guided is the network under classifier-free guidance of that scale; scale 1
// asks for the labels alone, scale 0 for none.
func (m *Model) Guided(labels []int, scale float64) (diffusion.Denoiser[float32], error) {
	if scale == 1 {
		return m.Denoiser(labels)
	}
	if math.IsNaN(scale) || math.IsInf(scale, 0) {
		return nil, fmt.Errorf("%s: guidance scale = %g: must be finite", m.Name, scale)
	}
	if len(labels) == 0 {
		return nil, fmt.Errorf("%s: guidance scale = %g: guidance needs labels", m.Name, scale)
	}
	cond, err := m.Denoiser(labels)
	if err != nil {
		return nil, err
	}
	uncond, err := m.Denoiser(nil)
	if err != nil {
		return nil, fmt.Errorf("%w: guidance is not possible", err)
	}
	return diffusion.NewGuided(cond, uncond, scale)
}

// denoiser is a Model with labels bound.
type denoiser struct {
	m      *Model
	labels []int // nil, one for all, or one a sample
}

var _ diffusion.Denoiser[float32] = denoiser{}

// Predicts says what the network estimates.
func (d denoiser) Predicts() diffusion.Prediction { return d.m.Predicts }

// Denoise evaluates the network.
func (d denoiser) Denoise(ctx context.Context, dst, x []float32, n int, at []diffusion.Level) error {
	m := d.m
	switch size := m.Len(); {
	case n < 0 || len(x) != n*size:
		return fmt.Errorf("%s: %d values for %d samples: each has %d, shape %v", m.Name, len(x), n, size, m.Shape)
	case len(dst) != len(x):
		return fmt.Errorf("%s: %d values for the result of %d", m.Name, len(dst), len(x))
	case len(at) != 1 && len(at) != n:
		return fmt.Errorf("%s: %d levels for %d samples: must be 1 or %d", m.Name, len(at), n, n)
	case n == 0:
		return nil
	case len(d.labels) > 1 && len(d.labels) != n:
		return fmt.Errorf("%s: %d samples, but %d labels are bound", m.Name, n, len(d.labels))
	}
	labels := d.labels
	if len(labels) == 1 && n > 1 {
		labels = make([]int, n)
		for i := range labels {
			labels[i] = d.labels[0]
		}
	}
	return m.denoise(ctx, dst, x, n, at, labels)
}
