package network

import (
	"fmt"
	"maps"
	"slices"

	"github.com/assay-lab/assay/onnx"
	"github.com/assay-lab/assay/quant"
)

// A layerGraph is a network and its layers that can be quantized.
type layerGraph struct {
	model   *onnx.Model
	weights map[string]onnx.Tensor
	layers  []*graphLayer
	kept    []string
}

// A graphLayer is a node that multiplies by constant weights.
type graphLayer struct {
	node     int
	name     string
	weight   int    // which input of the node
	axis     int    // of the weights' outputs
	input    string // what they multiply; "" where that is not quantized
	end      bool   // first or last
	shape    []int
	weights  quant.Affine
	codes    []uint8 // in the order of the tensor
	in       quant.Affine
	observer *quant.Observer
}

// findLayers finds convolutions and products by constants. Those that the samples do
// not reach are the embedding, kept as it is, and at its end projections, of which
// only the weights are quantized.
func findLayers(m *onnx.Model, o ONNXOptions) (*layerGraph, error) {
	g := &layerGraph{model: m, weights: map[string]onnx.Tensor{}}
	var constants []string
	for _, w := range m.Graph.Initializers {
		g.weights[w.Name] = w.Tensor
		constants = append(constants, w.Name)
	}
	sample := o.Input
	if sample != "" && !slices.ContainsFunc(m.Graph.Inputs, func(v onnx.ValueInfo) bool { return v.Name == sample }) {
		return nil, fmt.Errorf("network: input=%s: there is no such name", sample)
	}
	for _, v := range m.Graph.Inputs {
		if sample == "" && !slices.Contains(constants, v.Name) && sampleRole.fits(v) && sampleRole.knows(v) {
			sample = v.Name
		}
	}
	if sample == "" && len(m.Graph.Inputs) > 0 {
		sample = m.Graph.Inputs[0].Name
	}
	reached := map[string]bool{sample: true}
	for i := range m.Graph.Nodes {
		n := &m.Graph.Nodes[i]
		if n.Op == "QuantizeLinear" || n.Op == "DequantizeLinear" {
			return nil, fmt.Errorf("network: the file is quantized already: node %d is %s", i, n.Op)
		}
		fromSample := slices.ContainsFunc(n.In, func(name string) bool { return reached[name] })
		for _, name := range n.Out {
			reached[name] = reached[name] || fromSample
		}
		if l := g.layer(i, n); l != nil {
			if fromSample {
				l.input = n.In[1-l.weight]
			}
			g.layers = append(g.layers, l)
		}
	}
	g.leaveEmbedding()
	first, last := -1, -1
	for i, l := range g.layers {
		if l.input != "" {
			if last = i; first < 0 {
				first = i
			}
		}
	}
	if first < 0 {
		return nil, fmt.Errorf("network: no convolution or product by constant weights depends on the samples, input %q", sample)
	}
	g.layers[first].end, g.layers[last].end = true, true
	return g, nil
}

// layer is a node's layer, nil if it is none.
func (g *layerGraph) layer(i int, n *onnx.Node) *graphLayer {
	if n.Domain != "" && n.Domain != "ai.onnx" {
		return nil
	}
	l := &graphLayer{node: i, name: n.Name, weight: 1}
	constant := func(k int) bool {
		if k >= len(n.In) {
			return false
		}
		t, ok := g.weights[n.In[k]]
		_, float := t.Data.([]float32)
		return ok && float && t.Len() > 0
	}
	switch {
	case n.Op == "Conv" && constant(1) && !constant(0):
		l.axis = 0
	case n.Op == "Gemm" && constant(1) && !constant(0):
		l.axis = 1
		if n.Attrs.Int("transB", 0) != 0 {
			l.axis = 0
		}
		if n.Attrs.Int("transA", 0) != 0 {
			return nil
		}
	case n.Op == "MatMul" && constant(1) && !constant(0):
		l.axis = 1
	case n.Op == "MatMul" && constant(0) && !constant(1):
		l.weight, l.axis = 0, 0
	default:
		return nil
	}
	if l.name == "" {
		l.name = n.In[l.weight]
	}
	l.shape = g.weights[n.In[l.weight]].Shape
	if n.Op != "Conv" && len(l.shape) != 2 {
		return nil
	}
	return l
}

// leaveEmbedding takes out the layers that the samples do not reach and behind which
// there are more of the kind.
func (g *layerGraph) leaveEmbedding() {
	nodes := g.model.Graph.Nodes
	leads := map[string]bool{} // to a layer that the samples do not reach
	embedding := map[int]bool{}
	free := map[int]*graphLayer{}
	for _, l := range g.layers {
		if l.input == "" {
			free[l.node] = l
		}
	}
	for i := len(nodes) - 1; i >= 0; i-- {
		n := &nodes[i]
		ahead := slices.ContainsFunc(n.Out, func(name string) bool { return leads[name] })
		if free[i] != nil && ahead {
			embedding[i] = true
		}
		if free[i] != nil || ahead {
			for _, name := range n.In {
				leads[name] = true
			}
		}
	}
	g.layers = slices.DeleteFunc(g.layers, func(l *graphLayer) bool {
		if embedding[l.node] {
			g.kept = append(g.kept, l.name)
		}
		return embedding[l.node]
	})
}

// roundWeights quantizes all weights. Layers that share them share codes.
func (g *layerGraph) roundWeights(m quant.PostTraining, out *QuantizedONNX) error {
	done := map[string]*graphLayer{}
	for _, l := range g.layers {
		name := g.weightName(l)
		if other := done[name]; other != nil && other.axis == l.axis {
			l.weights, l.codes = other.weights, other.codes
			continue
		} else if other != nil {
			return fmt.Errorf("network: layer %q: weights %q are used as they are and transposed", l.name, name)
		}
		t := g.weights[name]
		x := make([]float64, t.Len())
		for i, v := range t.Data.([]float32) {
			x[l.place(i)] = float64(v)
		}
		method := m
		if l.input == "" {
			method.Weights.Bits = 8
		}
		var codes []uint8
		var err error
		if l.weights, codes, err = method.QuantizeWeights(x, l.shape[l.axis], l.end); err != nil {
			return fmt.Errorf("layer %q: %w", l.name, err)
		}
		l.codes = make([]uint8, len(codes))
		for i := range codes {
			l.codes[i] = codes[l.place(i)]
		}
		done[name] = l
	}
	out.Kept = g.kept
	return nil
}

func (g *layerGraph) weightName(l *graphLayer) string {
	return g.model.Graph.Nodes[l.node].In[l.weight]
}

// place is where element i of the tensor is in the order [outputs, ...].
func (l *graphLayer) place(i int) int {
	if l.axis == 0 {
		return i
	}
	return i%l.shape[1]*l.shape[0] + i/l.shape[1]
}

// watched are the tensors that layers take.
func (g *layerGraph) watched() map[string]bool {
	names := map[string]bool{}
	for _, l := range g.layers {
		if l.input != "" {
			names[l.input] = true
		}
	}
	return names
}

// tapped is the network with rounded weights whose layers' inputs are outputs too.
func (g *layerGraph) tapped() *onnx.Model {
	m := *g.model
	m.Graph.Initializers = slices.Clone(m.Graph.Initializers)
	for i, w := range m.Graph.Initializers {
		for _, l := range g.layers {
			if g.weightName(l) == w.Name {
				m.Graph.Initializers[i].Data = l.rounded()
			}
		}
	}
	m.Graph.Outputs = slices.Clone(m.Graph.Outputs)
	for _, name := range slices.Sorted(maps.Keys(g.watched())) {
		m.Graph.Outputs = append(m.Graph.Outputs, onnx.ValueInfo{Name: name, Type: onnx.Float32})
	}
	return &m
}

// rounded is what the codes stand for, as the engine sees it.
func (l *graphLayer) rounded() []float32 {
	x := make([]float32, len(l.codes))
	run := len(l.codes) / l.shape[l.axis]
	for i := range x {
		c := l.place(i) / run
		x[i] = float32(int(l.codes[i])-l.weights.Zero[c]) * float32(l.weights.Scale[c])
	}
	return x
}

// report lists the layers and their sizes.
func (g *layerGraph) report(out *QuantizedONNX) {
	rounded := map[string]bool{}
	for _, l := range g.layers {
		q := QuantizedLayer{Name: l.name, Shape: l.shape, Bits: l.weights.Bits}
		if l.observer != nil {
			q.Inputs = l.in.Bits
			q.Lo, q.Hi = l.observer.Range()
		}
		out.Layers = append(out.Layers, q)
		if name := g.weightName(l); !rounded[name] {
			rounded[name] = true
			out.Bytes += (len(l.codes)*l.weights.Bits+7)/8 + 5*len(l.weights.Scale)
		}
	}
	for name, t := range g.weights {
		if _, ok := t.Data.([]float32); !ok {
			continue
		}
		out.Float += 4 * t.Len()
		if !rounded[name] {
			out.Bytes += 4 * t.Len()
		}
	}
}

// rewrite puts the nodes for codes in front of the layers.
func (g *layerGraph) rewrite(o ONNXOptions, q Quantization) (*onnx.Model, error) {
	m := *g.model
	w := &qdqWriter{graph: g, before: map[int][]onnx.Node{}, renamed: map[int]map[int]string{}, done: map[string]string{}}
	for _, l := range g.layers {
		w.layer(l)
	}
	m.Graph.Nodes = nil
	for i, n := range g.model.Graph.Nodes {
		n.In = slices.Clone(n.In)
		for k, name := range w.renamed[i] {
			n.In[k] = name
		}
		m.Graph.Nodes = append(append(m.Graph.Nodes, w.before[i]...), n)
	}
	m.Graph.Values = nil
	m.Graph.Initializers = w.constants
	used := map[string]bool{}
	for _, n := range m.Graph.Nodes {
		for _, name := range n.In {
			used[name] = true
		}
	}
	for _, c := range g.model.Graph.Initializers {
		if used[c.Name] || slices.ContainsFunc(m.Graph.Outputs, func(v onnx.ValueInfo) bool { return v.Name == c.Name }) {
			m.Graph.Initializers = append(m.Graph.Initializers, c)
		}
	}
	if m.Metadata = maps.Clone(m.Metadata); m.Metadata == nil {
		m.Metadata = map[string]string{}
	}
	o.describe(m.Metadata)
	m.Metadata["assay.quantized"] = fmt.Sprintf("W%dA%d", bitsOr8(q.Method.Weights.Bits), bitsOr8(q.Method.Activations.Bits))
	if err := m.Check(); err != nil {
		return nil, fmt.Errorf("network: %w", err)
	}
	return &m, nil
}

func bitsOr8(b int) int {
	if b == 0 {
		return 8
	}
	return b
}

// A qdqWriter collects what a quantized model has beside its own nodes.
type qdqWriter struct {
	graph     *layerGraph
	before    map[int][]onnx.Node    // nodes in front of a node
	renamed   map[int]map[int]string // other names of its inputs
	constants []onnx.Initializer
	done      map[string]string // tensors and weights that have codes, and the names of what these stand for
}

func (w *qdqWriter) constant(name string, data any, shape ...int) string {
	w.constants = append(w.constants, onnx.Initializer{Name: name, Tensor: onnx.Tensor{Shape: append([]int{}, shape...), Data: data}})
	return name
}

// layer writes the codes of a layer's weights and the nodes that quantize its input.
func (w *qdqWriter) layer(l *graphLayer) {
	n := w.graph.model.Graph.Nodes[l.node]
	names := map[int]string{l.weight: w.weights(l, n.In[l.weight])}
	if l.input != "" {
		names[1-l.weight] = w.input(l, l.input)
	}
	w.renamed[l.node] = names
}

func (w *qdqWriter) weights(l *graphLayer, name string) string {
	if w.done[name] != "" {
		return w.done[name]
	}
	k := len(l.weights.Scale)
	scale, zero := make([]float32, k), make([]uint8, k)
	for i := range scale {
		scale[i], zero[i] = float32(l.weights.Scale[i]), uint8(l.weights.Zero[i])
	}
	node := onnx.Node{Op: "DequantizeLinear", Name: name + " codes", Attrs: onnx.Attrs{"axis": l.axis}, Out: []string{name + "/dequantized"},
		In: []string{w.constant(name+"/codes", l.codes, l.shape...), w.constant(name+"/scale", scale, k), w.constant(name+"/zero", zero, k)}}
	w.before[l.node] = append(w.before[l.node], node)
	w.done[name] = node.Out[0]
	return node.Out[0]
}

// input quantizes a tensor, once for all that read it with one range. Fewer than 8
// bits are clipped first, as the codes of QuantizeLinear have 8.
func (w *qdqWriter) input(l *graphLayer, name string) string {
	scale, zero := l.in.Scale[0], l.in.Zero[0]
	key := fmt.Sprint(name, "#", scale, zero)
	if w.done[key] != "" {
		return w.done[key]
	}
	id := fmt.Sprintf("%s/%d", name, len(w.done))
	from := name
	var nodes []onnx.Node
	if l.in.Bits < 8 {
		lo, hi := float32(float64(-zero)*scale), float32(float64(l.in.Levels()-1-zero)*scale)
		nodes = append(nodes, onnx.Node{Op: "Clip", In: []string{from, w.constant(id+"/lo", []float32{lo}), w.constant(id+"/hi", []float32{hi})}, Out: []string{id + "/clipped"}})
		from = id + "/clipped"
	}
	s, z := w.constant(id+"/scale", []float32{float32(scale)}), w.constant(id+"/zero", []uint8{uint8(zero)})
	nodes = append(nodes,
		onnx.Node{Op: "QuantizeLinear", In: []string{from, s, z}, Out: []string{id + "/codes"}},
		onnx.Node{Op: "DequantizeLinear", In: []string{id + "/codes", s, z}, Out: []string{id + "/dequantized"}})
	w.before[l.node] = append(w.before[l.node], nodes...)
	w.done[key] = id + "/dequantized"
	return w.done[key]
}

// describe writes options as the metadata that [OpenONNX] reads.
func (o ONNXOptions) describe(meta map[string]string) {
	set := func(key, value string) {
		if value != "" {
			meta["assay."+key] = value
		}
	}
	set("predict", o.Predict)
	set("schedule", o.Schedule)
	set("input", o.Input)
	set("time", o.Time)
	set("label", o.Label)
	set("output", o.Output)
	set("time-as", o.TimeAs)
	if o.Classes != 0 {
		set("classes", fmt.Sprint(o.Classes))
	}
	if o.NullLabel != nil {
		set("null-label", fmt.Sprint(*o.NullLabel))
	}
	for i, d := range o.Shape {
		text := fmt.Sprint(d)
		if i > 0 {
			text = meta["assay.shape"] + "," + text
		}
		meta["assay.shape"] = text
	}
}
