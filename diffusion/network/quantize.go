package network

import (
	"context"
	"fmt"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/calibration"
	"github.com/assay-lab/assay/onnx"
	"github.com/assay-lab/assay/quant"
)

// Quantization says how a denoiser is quantized: post-training quantization on
// states of its own making (PTQ4DM, Shang et al. 2023).
type Quantization struct {
	Method quant.PostTraining // its Place is not read: products take quantized inputs
	Plan   calibration.Plan
	// Steps are those of the sampler that makes the states, the time steps of the
	// plan; 0: 50. Sampler, if not nil, takes the place of DDIM.
	Steps   int
	Sampler diffusion.Method
	// Data are samples row by row, for plans that need them.
	Data []float32
	// Progress, if not nil, is called after every batch.
	Progress func(done, of int)
}

// A QuantizedONNX is a network whose convolutions and linear layers take and hold
// codes: an ONNX model with QuantizeLinear and DequantizeLinear nodes, which every
// engine knows. Layers that do not depend on the samples keep their inputs in floating
// point: the embedding of time and labels altogether, its projections with 8-bit weights.
type QuantizedONNX struct {
	Model    *onnx.Model
	Layers   []QuantizedLayer
	Warnings []quant.Warning
	Kept     []string // layers left in floating point
	// Bytes is the size of the weights with scales and zero points, Float that of
	// the original's.
	Bytes, Float int
}

// A QuantizedLayer is one product or convolution.
type QuantizedLayer struct {
	Name   string `json:"name"`
	Shape  []int  `json:"shape"` // of the weights
	Bits   int    `json:"bits"`  // of the weights
	Inputs int    `json:"input_bits"`
	// Lo and Hi are the range of the inputs, 0 where they are not quantized.
	Lo float64 `json:"input_lo"`
	Hi float64 `json:"input_hi"`
}

// QuantizeONNX quantizes a diffusion network that [OpenONNX] would take with the
// same options. Ranges of activations are found while the weights are quantized
// already, the activations not.
func QuantizeONNX(ctx context.Context, m *onnx.Model, o ONNXOptions, q Quantization) (*QuantizedONNX, error) {
	q.Method.Place = quant.LayerInputs
	if err := q.Method.Check(); err != nil {
		return nil, err
	}
	if q.Method.Reconstruct != nil {
		return nil, fmt.Errorf("network: learned rounding of ONNX networks is not supported")
	}
	if m.Opset != 0 && m.Opset < 13 {
		return nil, fmt.Errorf("network: opset %d: scales for each channel need 13: convert the file", m.Opset)
	}
	g, err := findLayers(m, o)
	if err != nil {
		return nil, err
	}
	out := &QuantizedONNX{}
	if err := g.roundWeights(q.Method, out); err != nil {
		return nil, err
	}
	if err := g.calibrate(ctx, m, o, q, out); err != nil {
		return nil, err
	}
	out.Model, err = g.rewrite(o, q)
	return out, err
}

// calibrate collects states of the original network and observes the inputs of the
// layers of the one with rounded weights.
func (g *layerGraph) calibrate(ctx context.Context, m *onnx.Model, o ONNXOptions, q Quantization, out *QuantizedONNX) error {
	batch := q.Method.Batch
	if batch == 0 {
		batch = 32
	}
	set, labels, err := collect(ctx, m, o, q)
	if err != nil {
		return err
	}
	if set.N < batch {
		return fmt.Errorf("network: calibration on %d samples, fewer than a batch of %d", set.N, batch)
	}
	if set.N%batch != 0 {
		out.Warnings = append(out.Warnings, quant.Warning{Kind: quant.Dropped, Count: set.N % batch})
	}
	for _, l := range g.layers {
		if l.input != "" {
			l.observer = q.Method.Observer(l.name)
		}
	}
	s, err := onnx.NewSession(g.tapped(), onnx.Options{Engine: o.Engine, Threads: o.Threads})
	if err != nil {
		return err
	}
	defer s.Close()
	net, err := FromONNX("the network with quantized weights", &tap{Session: s, graph: g, outputs: len(g.model.Graph.Outputs)}, o)
	if err != nil {
		return err
	}
	y := make([]float32, batch*net.Len())
	for k := range set.N / batch {
		d, err := net.Denoiser(labelsOf(labels, k*batch, batch))
		if err != nil {
			return err
		}
		at := set.Levels[k*batch : (k+1)*batch]
		if err := d.Denoise(ctx, y, set.X[k*batch*net.Len():(k+1)*batch*net.Len()], batch, at); err != nil {
			return err
		}
		if q.Progress != nil {
			q.Progress(k+1, set.N/batch)
		}
	}
	for _, l := range g.layers {
		if l.observer == nil {
			continue
		}
		if l.in, err = l.observer.Quantizer(); err != nil {
			return err
		}
		out.Warnings = append(out.Warnings, l.observer.Warnings()...)
	}
	g.report(out)
	return nil
}

// collect makes the calibration set by the original network, labels going round.
func collect(ctx context.Context, m *onnx.Model, o ONNXOptions, q Quantization) (*calibration.Set[float32], []int, error) {
	s, err := onnx.NewSession(m, onnx.Options{Engine: o.Engine, Threads: o.Threads})
	if err != nil {
		return nil, nil, err
	}
	net, err := FromONNX("the network", s, o)
	if err != nil {
		s.Close()
		return nil, nil, err
	}
	defer net.Close()
	n := q.Plan.N
	if n == 0 {
		n = 1024
	}
	labels := RoundLabels(net, n)
	d, err := net.Denoiser(labels)
	if err != nil {
		return nil, nil, err
	}
	steps := q.Steps
	if steps == 0 {
		steps = 50
	}
	set, err := calibration.Collect(ctx, q.Plan, calibration.Sampler[float32]{
		Model: d, Grid: diffusion.Grid{Schedule: net.Schedule, Steps: steps}, Method: q.Sampler, Size: net.Len(), Data: q.Data,
	})
	return set, labels, err
}

// RoundLabels are labels for n samples, all classes in turn, and none after the
// last where the network can do without; nil where it takes no labels.
func RoundLabels(m *Model, n int) []int {
	if m.Classes == 0 {
		return nil
	}
	all := m.Classes
	if m.Null {
		all++
	}
	labels := make([]int, n)
	for i := range labels {
		if labels[i] = i % all; labels[i] == m.Classes {
			labels[i] = NoLabel
		}
	}
	return labels
}

func labelsOf(labels []int, from, n int) []int {
	if labels == nil {
		return nil
	}
	return labels[from : from+n]
}

// A tap shows what layers take to their observers, and is else the session of the
// network without further outputs.
type tap struct {
	onnx.Session
	graph   *layerGraph
	outputs int
}

func (t *tap) Info() onnx.Info {
	info := t.Session.Info()
	info.Outputs = info.Outputs[:t.outputs]
	return info
}

func (t *tap) Run(ctx context.Context, in map[string]onnx.Tensor, outputs ...string) (map[string]onnx.Tensor, error) {
	var names []string
	for name := range t.graph.watched() {
		names = append(names, name)
	}
	out, err := t.Session.Run(ctx, in, append(append([]string{}, outputs...), names...)...)
	if err != nil {
		return nil, err
	}
	for _, l := range t.graph.layers {
		if l.observer == nil {
			continue
		}
		x, err := onnx.Data[float32](out[l.input])
		if err != nil {
			return nil, err
		}
		wide := make([]float64, len(x))
		for i, v := range x {
			wide[i] = float64(v)
		}
		if err := l.observer.Observe(wide); err != nil {
			return nil, err
		}
	}
	return out, nil
}
