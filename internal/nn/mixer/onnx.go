package mixer

import (
	"fmt"
	"strconv"

	"github.com/assay-lab/assay/onnx"
)

// ONNX is the network as an ONNX model: inputs sample [n, 1, Size, Size], timestep
// [n], the continuous time of the cosine schedule, and label [n], int64, Classes
// for none; output velocity, of sample's shape.
func (d *Denoiser) ONNX() *onnx.Model {
	s := d.recipe.Shape
	e := &exporter{Shape: s, weights: s.layout().Split(d.weights)}
	image := []int{-1, 1, s.Size, s.Size}
	axes := []string{"n", "", "", ""}
	e.build()
	return &onnx.Model{
		Producer: "assay",
		Metadata: map[string]string{
			"assay.predict": "velocity", "assay.schedule": "cosine", "assay.time-as": "time",
			"assay.classes": strconv.Itoa(s.Classes), "assay.null-label": strconv.Itoa(s.Classes),
		},
		Graph: onnx.Graph{
			Name: "mixer", Nodes: e.nodes, Initializers: e.constants,
			Inputs: []onnx.ValueInfo{
				{Name: "sample", Type: onnx.Float32, Shape: image, Symbols: axes},
				{Name: "timestep", Type: onnx.Float32, Shape: []int{-1}, Symbols: axes[:1]},
				{Name: "label", Type: onnx.Int64, Shape: []int{-1}, Symbols: axes[:1]},
			},
			Outputs: []onnx.ValueInfo{{Name: "velocity", Type: onnx.Float32, Shape: image, Symbols: axes}},
		},
	}
}

// exporter writes the graph of [network.forward]. Values are named by number.
type exporter struct {
	Shape
	weights   [][]float32 // those not yet used, in the order of the layout
	used      int
	nodes     []onnx.Node
	constants []onnx.Initializer
}

// op adds a node and names its result.
func (e *exporter) op(name string, attrs onnx.Attrs, in ...string) string {
	out := fmt.Sprintf("v%d", len(e.nodes))
	e.nodes = append(e.nodes, onnx.Node{Op: name, In: in, Out: []string{out}, Attrs: attrs})
	return out
}

func (e *exporter) constant(name string, data any, shape ...int) string {
	e.constants = append(e.constants, onnx.Initializer{Name: name, Tensor: onnx.Tensor{Shape: shape, Data: data}})
	return name
}

// next is the next array of the layout.
func (e *exporter) next() string {
	p := e.layout()[e.used]
	e.used++
	shape := p.Shape
	if p.Name == "position" {
		shape = []int{p.Shape[0], 1, p.Shape[1]} // the same for all images
	}
	return e.constant(p.Name, e.weights[e.used-1], shape...)
}

// halves is the next array cut into A and B: its upper and lower, or its left and
// right half.
func (e *exporter) halves(beside bool) (a, b string) {
	p, x := e.layout()[e.used], e.weights[e.used]
	e.used++
	rows, cols, parts := p.Shape[0], p.Shape[1]/2, [2][]float32{}
	if !beside {
		rows, cols = 1, p.Len()/2
	}
	for i := range rows {
		for j := range parts {
			parts[j] = append(parts[j], x[(2*i+j)*cols:][:cols]...)
		}
	}
	shape := []int{p.Shape[0], cols}
	if !beside {
		shape = []int{p.Shape[0] / 2, p.Shape[1]}
	}
	return e.constant(p.Name+".a", parts[0], shape...), e.constant(p.Name+".b", parts[1], shape...)
}

func (e *exporter) reshape(x string, dims ...int64) string {
	name := e.constant(fmt.Sprintf("shape%d", len(e.nodes)), dims, len(dims))
	return e.op("Reshape", nil, x, name)
}

func (e *exporter) silu(x string) string {
	return e.op("Mul", nil, x, e.op("Sigmoid", nil, x))
}

func (e *exporter) build() {
	t, side, patch, w := int64(e.tokens()), int64(e.side()), int64(e.Patch), int64(e.Width)
	c := e.condition()
	x := e.reshape("sample", 0, side, patch, side, patch)
	x = e.op("Transpose", onnx.Attrs{"perm": []int{1, 3, 0, 2, 4}}, x)
	x = e.reshape(x, t, -1, patch*patch)
	h := e.op("MatMul", nil, x, e.next())
	h = e.op("Add", nil, h, e.next())
	one := e.constant("one", []float32{1})
	eps := e.constant("epsilon", []float32{epsilon})
	norm := func() string {
		square := e.op("ReduceMean", onnx.Attrs{"axes": []int{-1}, "keepdims": 1}, e.op("Mul", nil, h, h))
		u := e.op("Div", nil, h, e.op("Sqrt", nil, e.op("Add", nil, square, eps)))
		scale := e.op("Add", nil, e.op("MatMul", nil, c, e.next()), one)
		shift := e.op("MatMul", nil, c, e.next())
		return e.op("Add", nil, e.op("Mul", nil, u, scale), shift)
	}
	for range e.Blocks {
		u := e.reshape(norm(), t, -1)
		a, b := e.halves(false)
		y := e.op("Mul", nil, e.op("MatMul", nil, a, u), e.op("MatMul", nil, b, u))
		h = e.op("Add", nil, h, e.reshape(e.op("MatMul", nil, e.next(), y), t, -1, w))
		u = norm()
		a, b = e.halves(true)
		y = e.op("Mul", nil, e.op("MatMul", nil, u, a), e.op("MatMul", nil, u, b))
		h = e.op("Add", nil, h, e.op("MatMul", nil, y, e.next()))
	}
	y := e.op("MatMul", nil, norm(), e.next())
	y = e.reshape(y, side, side, -1, patch, patch)
	y = e.op("Transpose", onnx.Attrs{"perm": []int{2, 0, 3, 1, 4}}, y)
	e.reshape(y, -1, 1, int64(e.Size), int64(e.Size))
	e.nodes[len(e.nodes)-1].Out[0] = "velocity"
}

// condition adds the part that [network.condition] computes.
func (e *exporter) condition() string {
	freq := make([]float32, e.Times/2)
	for k := range freq {
		freq[k] = float32(e.frequency(k))
	}
	angle := e.op("Mul", nil, e.reshape("timestep", -1, 1), e.constant("frequencies", freq, 1, len(freq)))
	features := e.op("Concat", onnx.Attrs{"axis": 1}, e.op("Sin", nil, angle), e.op("Cos", nil, angle))
	c := e.silu(e.op("MatMul", nil, features, e.next()))
	c = e.op("MatMul", nil, c, e.next())
	return e.silu(e.op("Add", nil, c, e.op("Gather", nil, e.next(), "label")))
}
