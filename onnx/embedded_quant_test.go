package onnx

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// A qdqCase is one layer whose input and weights are quantized: a node that takes
// "x", quantized and dequantized, and "w", dequantized.
type qdqCase struct {
	name    string
	node    Node // In and Out are set by the test
	x, w    []int
	axis    int
	left    bool // the weights are the first factor
	signed  bool // int8
	zero    int  // of x, among 0 to 255
	integer bool // a product of integers is wanted
}

// model is the network; its second output is the negative of what x's codes stand
// for.
func (c qdqCase) model(r *rand.Rand) (m *Model, codes []uint8, scale []float32, zero []uint8) {
	k := c.w[c.axis]
	codes, scale, zero = make([]uint8, elements(c.w)), make([]float32, k), make([]uint8, k)
	for i := range codes {
		codes[i] = uint8(r.IntN(256))
	}
	for i := range scale {
		scale[i], zero[i] = .01*(1+r.Float32()), uint8(126+r.IntN(4))
	}
	var stored, zeros any = codes, zero
	xs, xz := Tensor{[]int{}, []float32{.03}}, Tensor{[]int{}, []uint8{uint8(c.zero)}}
	if c.signed {
		a, b := make([]int8, len(codes)), make([]int8, k)
		for i, q := range codes {
			a[i] = int8(int(q) - 128)
		}
		for i, z := range zero {
			b[i] = int8(int(z) - 128)
		}
		stored, zeros, xz.Data = a, b, []int8{int8(c.zero - 128)}
	}
	n := c.node
	n.In, n.Out = []string{"xq", "wq"}, []string{"y"}
	if c.left {
		n.In = []string{"wq", "xq"}
	}
	m = &Model{Graph: Graph{
		Nodes: []Node{
			{Op: "QuantizeLinear", In: []string{"x", "xs", "xz"}, Out: []string{"codes"}},
			{Op: "DequantizeLinear", In: []string{"codes", "xs", "xz"}, Out: []string{"xq"}},
			{Op: "DequantizeLinear", In: []string{"w", "ws", "wz"}, Out: []string{"wq"}, Attrs: Attrs{"axis": c.axis}},
			n, {Op: "Neg", In: []string{"xq"}, Out: []string{"also"}},
		},
		Initializers: []Initializer{{"w", Tensor{c.w, stored}}, {"ws", Tensor{[]int{k}, scale}}, {"wz", Tensor{[]int{k}, zeros}}, {"xs", xs}, {"xz", xz}},
		Inputs:       []ValueInfo{{Name: "x", Type: Float32, Shape: c.x}},
		Outputs:      []ValueInfo{{Name: "y", Type: Float32}, {Name: "also", Type: Float32}},
	}}
	return m, codes, scale, zero
}

// plain is the same network with floating-point weights, and x's codes left out.
func (c qdqCase) plain(m *Model, codes []uint8, scale []float32, zero []uint8) *Model {
	w := make([]float32, len(codes))
	run := elements(c.w[c.axis+1:])
	for i, q := range codes {
		k := i / run % len(scale)
		w[i] = float32(int(q)-int(zero[k])) * scale[k]
	}
	p := *m
	p.Graph.Nodes = slices.Clone(m.Graph.Nodes[3:4])
	for i, name := range p.Graph.Nodes[0].In {
		p.Graph.Nodes[0].In = slices.Clone(p.Graph.Nodes[0].In)
		p.Graph.Nodes[0].In[i] = map[string]string{"xq": "x", "wq": "w"}[name]
	}
	p.Graph.Initializers = []Initializer{{"w", Tensor{c.w, w}}}
	p.Graph.Outputs = m.Graph.Outputs[:1]
	return &p
}

var qdqCases = []qdqCase{
	{name: "product", node: Node{Op: "MatMul"}, x: []int{70, 12}, w: []int{12, 20}, axis: 1, zero: 128, integer: true},
	{name: "product of stacks", node: Node{Op: "MatMul"}, x: []int{2, 3, 5, 12}, w: []int{12, 16}, axis: 1, zero: 127, integer: true},
	{name: "weights first", node: Node{Op: "MatMul"}, x: []int{12, 75}, w: []int{20, 12}, left: true, zero: 128, integer: true},
	{name: "one-sided input", node: Node{Op: "MatMul"}, x: []int{7, 12}, w: []int{12, 20}, axis: 1, zero: 0, integer: true},
	{name: "signed codes", node: Node{Op: "MatMul"}, x: []int{7, 12}, w: []int{12, 20}, axis: 1, signed: true, zero: 128, integer: true},
	{name: "transposed weights", node: Node{Op: "Gemm", Attrs: Attrs{"transB": 1}}, x: []int{7, 12}, w: []int{20, 12}, zero: 130, integer: true},
	{name: "scales along the inputs", node: Node{Op: "MatMul"}, x: []int{7, 12}, w: []int{12, 20}, axis: 0, zero: 128},
	{name: "convolution", node: Node{Op: "Conv", Attrs: Attrs{"pads": []int{1, 1, 1, 1}}}, x: []int{2, 3, 9, 8}, w: []int{5, 3, 3, 3}, zero: 128, integer: true},
	{name: "convolution with strides", node: Node{Op: "Conv", Attrs: Attrs{"strides": []int{2, 2}, "dilations": []int{1, 2}}}, x: []int{2, 3, 9, 8}, w: []int{16, 3, 3, 2}, zero: 100, integer: true},
	{name: "convolution in groups", node: Node{Op: "Conv", Attrs: Attrs{"group": 3}}, x: []int{2, 3, 9, 8}, w: []int{6, 1, 3, 3}, zero: 128},
}

// TestQuantizedLayers: layers between codes give what float32 gives with what the
// codes stand for, and products of integers are made where they can be.
func TestQuantizedLayers(t *testing.T) {
	for _, c := range qdqCases {
		t.Run(c.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			m, codes, scale, zero := c.model(r)
			x := make([]float32, elements(c.x))
			for i := range x {
				x[i] = float32(r.NormFloat64()) * 2 // some beyond the codes
			}
			y := runEmbedded(t, m, map[string]Tensor{"x": {c.x, x}})
			fake := make([]float32, len(x))
			for i, v := range x {
				q := max(0, min(math.RoundToEven(float64(v/.03))+float64(c.zero), 255)) - float64(c.zero)
				fake[i] = float32(q) * .03
			}
			want := runEmbedded(t, c.plain(m, codes, scale, zero), map[string]Tensor{"x": {c.x, fake}})
			alike(t, "y", y["y"], want["y"], 3e-5) // sums of some hundred rounded terms
			for i, v := range fake {
				fake[i] = -v
			}
			alike(t, "also", y["also"], Tensor{c.x, fake}, 0)
			rewritten, err := m.rewrite(map[string][]int{"x": c.x})
			if err != nil {
				t.Fatal(err)
			}
			got := slices.ContainsFunc(rewritten.Graph.Nodes, func(n Node) bool { return strings.Contains(n.Op, "Integer") })
			if got != c.integer {
				t.Errorf("a product of integers: %v, want %v", got, c.integer)
			}
		})
	}
}

func runEmbedded(t *testing.T, m *Model, in map[string]Tensor) map[string]Tensor {
	t.Helper()
	s, err := NewSession(m, Options{Engine: Embedded})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	out, err := s.Run(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func alike(t *testing.T, name string, got, want Tensor, tolerance float64) {
	t.Helper()
	a, b := got.Data.([]float32), want.Data.([]float32)
	if !slices.Equal(got.Shape, want.Shape) {
		t.Fatalf("%s has shape %v, want %v", name, got.Shape, want.Shape)
	}
	for i := range a {
		if d := math.Abs(float64(a[i] - b[i])); d > tolerance*max(1, math.Abs(float64(b[i]))) {
			t.Fatalf("%s[%d] = %g, want %g", name, i, a[i], b[i])
		}
	}
}

func TestQuantizedRefuses(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		change     func(m *Model)
	}{
		{"codes used otherwise", `takes the codes "codes"`, func(m *Model) {
			m.Graph.Nodes[4] = Node{Op: "Cast", In: []string{"codes"}, Out: []string{"also"}, Attrs: Attrs{"to": int(Float32)}}
		}},
		{"codes as an output", `output "codes"`, func(m *Model) { m.Graph.Outputs[1].Name = "codes" }},
		{"another scale behind", "another scale or zero point", func(m *Model) {
			m.Graph.Nodes[1].In = []string{"codes", "other", "xz"}
			m.Graph.Initializers = append(m.Graph.Initializers, Initializer{"other", Tensor{[]int{}, []float32{1}}})
		}},
		{"a scale of 0", "scale 0", func(m *Model) { m.Graph.Initializers[3].Data = []float32{0} }},
		{"scales for each row", "one constant of float32", func(m *Model) { m.Graph.Initializers[3].Tensor = Tensor{[]int{2}, []float32{1, 2}} }},
		{"scales that are too few", "along axis", func(m *Model) {
			m.Graph.Initializers[1].Tensor = Tensor{[]int{3}, []float32{1, 2, 3}}
			m.Graph.Initializers[2].Tensor = Tensor{[]int{3}, []uint8{1, 2, 3}}
		}},
		{"a scale that is computed", "one constant", func(m *Model) { m.Graph.Nodes[0].In[1] = "x" }},
	} {
		m, _, _, _ := qdqCases[0].model(rand.New(rand.NewPCG(1, 2)))
		tt.change(m)
		s, err := NewSession(m, Options{Engine: Embedded})
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}
