package network

import (
	"fmt"
	"math"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/internal/nn/mixer"
)

// Train says which parameters of a network a gradient is of.
type Train uint8

const (
	TrainNothing   Train = iota // the samples alone
	TrainEmbedding              // the embedding of the label that is bound
	TrainWeights                // all weights, in the order of the network's file
)

// Differentiable is Guided with gradients: of the samples, and of the parameters that
// train names. TrainEmbedding needs one label for all samples. Only the shipped
// network gives gradients; one that is read from an ONNX file does not.
func (m *Model) Differentiable(labels []int, scale float64, train Train) (diffusion.VJPDenoiser[float32], error) {
	if m.mixer == nil {
		return nil, fmt.Errorf("%s: it gives no gradient: networks from ONNX files can be sampled from, not differentiated", m.Name)
	}
	if train == TrainEmbedding && len(labels) != 1 {
		return nil, fmt.Errorf("%s: %d labels: the gradient of an embedding is that of one label", m.Name, len(labels))
	}
	if math.IsNaN(scale) || math.IsInf(scale, 0) {
		return nil, fmt.Errorf("%s: guidance scale = %g: must be finite", m.Name, scale)
	}
	if scale != 1 && len(labels) == 0 {
		return nil, fmt.Errorf("%s: guidance scale = %g: guidance needs labels", m.Name, scale)
	}
	cond, err := m.branch(labels, train)
	if err != nil || scale == 1 {
		return cond, err
	}
	other := train
	if train == TrainEmbedding {
		other = TrainNothing // another embedding's
	}
	uncond, err := m.branch(nil, other)
	if err != nil {
		return nil, err
	}
	return diffusion.NewGuided[float32](cond, uncond, scale)
}

// branch is the network under labels.
func (m *Model) branch(labels []int, train Train) (diffusion.VJPDenoiser[float32], error) {
	if _, err := m.Denoiser(labels); err != nil {
		return nil, err // labels that the network does not know
	}
	label := NoLabel
	if len(labels) == 1 {
		label = labels[0]
	}
	of := map[Train]mixer.Of{TrainEmbedding: mixer.Embedding, TrainWeights: mixer.Weights}[train]
	return m.mixer.Differentiable(labels, of, label)
}

// Embedding is the embedding of a label, [NoLabel] included, as Differentiable counts
// its gradient.
func (m *Model) Embedding(label int) ([]float32, error) {
	if err := m.hasEmbedding(label); err != nil {
		return nil, err
	}
	return m.mixer.Embedding(label), nil
}

// WithEmbedding is the network with another embedding for a label.
func (m *Model) WithEmbedding(label int, e []float32) (*Model, error) {
	if err := m.hasEmbedding(label); err != nil {
		return nil, err
	}
	d, err := m.mixer.WithEmbedding(label, e)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m.Name, err)
	}
	return mixerModel(m.Name, d), nil
}

func (m *Model) hasEmbedding(label int) error {
	if m.mixer == nil {
		return fmt.Errorf("%s: its embeddings cannot be read: it comes from an ONNX file", m.Name)
	}
	if label < NoLabel || label >= m.Classes {
		return fmt.Errorf("%s: label %d: must be from 0 to %d, or %d for none", m.Name, label, m.Classes-1, NoLabel)
	}
	return nil
}
