package onnx

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestCheckShapes(t *testing.T) {
	f32 := func(shape ...int) Tensor {
		n := 1
		for _, d := range shape {
			n *= d
		}
		return Tensor{shape, make([]float32, n)}
	}
	i64 := func(v ...int64) Tensor { return Tensor{[]int{len(v)}, v} }
	for _, c := range []struct {
		name string
		x    []int // shape of the input
		node Node  // its input 0 is x
		with []Tensor
		want string // part of the error; "": none
	}{
		{"conv", []int{-1, 3, 8, 8}, Node{Op: "Conv"}, []Tensor{f32(4, 3, 3, 3), f32(4)}, ""},
		{"conv of unknown channels", []int{-1, -1, 8, 8}, Node{Op: "Conv"}, []Tensor{f32(4, 3, 3, 3)}, ""},
		{"conv of unknown rank", nil, Node{Op: "Conv"}, []Tensor{f32(4, 3, 3, 3)}, ""},
		{"grouped conv", []int{1, 6, 8, 8}, Node{Op: "Conv", Attrs: Attrs{"group": 2}}, []Tensor{f32(4, 3, 3, 3)}, ""},
		{"conv of other channels", []int{-1, 8, 8, 8}, Node{Op: "Conv"}, []Tensor{f32(4, 9, 3, 3)}, `weight "w0" has 9 channels, input "x" has 8`},
		{"conv of another rank", []int{-1, 3, 8}, Node{Op: "Conv"}, []Tensor{f32(4, 3, 3, 3)}, "must be of one rank"},
		{"conv with a bias too long", []int{-1, 3, 8, 8}, Node{Op: "Conv"}, []Tensor{f32(4, 3, 3, 3), f32(5)}, `bias "w1" has 5 numbers for 4 channels`},
		{"conv with odd groups", []int{-1, 3, 8, 8}, Node{Op: "Conv", Attrs: Attrs{"group": 3}}, []Tensor{f32(4, 1, 3, 3)}, "3 groups of 4 filters"},
		{"conv with odd pads", []int{-1, 3, 8, 8}, Node{Op: "Conv", Attrs: Attrs{"pads": []int{1, 1}}}, []Tensor{f32(4, 3, 3, 3)}, "pads has 2 numbers: 4 are needed"},
		{"conv with stride 0", []int{-1, 3, 8, 8}, Node{Op: "Conv", Attrs: Attrs{"strides": []int{0, 1}}}, []Tensor{f32(4, 3, 3, 3)}, "stride 0"},
		{"conv with another kernel", []int{-1, 3, 8, 8}, Node{Op: "Conv", Attrs: Attrs{"kernel_shape": []int{5, 5}}}, []Tensor{f32(4, 3, 3, 3)}, "kernel_shape is [5 5]"},
		{"kernel larger than the image", []int{1, 3, 2, 8}, Node{Op: "Conv"}, []Tensor{f32(4, 3, 3, 3)}, "a kernel of 3 does not fit into 2 values"},
		{"transposed conv", []int{1, 4, 8, 8}, Node{Op: "ConvTranspose"}, []Tensor{f32(4, 3, 3, 3), f32(3)}, ""},
		{"transposed conv of other channels", []int{1, 3, 8, 8}, Node{Op: "ConvTranspose"}, []Tensor{f32(4, 3, 3, 3)}, `weight "w0" has 4 channels, input "x" has 3`},
		{"gemm", []int{-1, 5}, Node{Op: "Gemm", Attrs: Attrs{"transB": 1}}, []Tensor{f32(7, 5), f32(7)}, ""},
		{"gemm of other width", []int{-1, 5}, Node{Op: "Gemm"}, []Tensor{f32(7, 5)}, `weight "w0" takes 7 numbers, input "x" has 5`},
		{"product of stacks", []int{2, 1, 4, 5}, Node{Op: "MatMul"}, []Tensor{f32(3, 5, 6)}, ""},
		{"product of other width", []int{2, 4, 5}, Node{Op: "MatMul"}, []Tensor{f32(4, 6)}, "5 columns for 4 rows"},
		{"product of other stacks", []int{2, 4, 5}, Node{Op: "MatMul"}, []Tensor{f32(3, 5, 6)}, "the stacks do not go together"},
		{"sum", []int{-1, 4, 1, 3}, Node{Op: "Add"}, []Tensor{f32(4, 7, 1)}, ""},
		{"sum of sizes that differ", []int{-1, 4, 2, 3}, Node{Op: "Add"}, []Tensor{f32(4, 7, 1)}, "operands of shapes [-1 4 2 3] and [4 7 1]"},
		{"norm", []int{-1, 4, 8}, Node{Op: "InstanceNormalization"}, []Tensor{f32(4), f32(4)}, ""},
		{"norm of other channels", []int{-1, 4, 8}, Node{Op: "InstanceNormalization"}, []Tensor{f32(4), f32(5)}, `operand "w1" has 5 numbers, input "x" has 4 channels`},
		{"group norm of odd groups", []int{-1, 4, 8}, Node{Op: "GroupNormalization", Attrs: Attrs{"num_groups": 3}}, []Tensor{f32(4), f32(4)}, "3 groups of 4 channels"},
		{"concat", []int{-1, 4, 8}, Node{Op: "Concat", Attrs: Attrs{"axis": 1}}, []Tensor{f32(1, 2, 8)}, ""},
		{"concat of sizes that differ", []int{-1, 4, 8}, Node{Op: "Concat", Attrs: Attrs{"axis": -2}}, []Tensor{f32(1, 2, 7)}, "they differ in axis 2"},
		{"concat of ranks that differ", []int{-1, 4, 8}, Node{Op: "Concat", Attrs: Attrs{"axis": 1}}, []Tensor{f32(1, 2)}, "differ in rank"},
		{"concat along no axis", []int{-1, 4, 8}, Node{Op: "Concat", Attrs: Attrs{"axis": 3}}, nil, "axis 3 of shape"},
		{"reshape", []int{2, 6}, Node{Op: "Reshape"}, []Tensor{i64(0, -1, 3)}, ""},
		{"reshape of unknown sizes", []int{-1, 6}, Node{Op: "Reshape"}, []Tensor{i64(0, -1, 5)}, ""},
		{"reshape that loses numbers", []int{2, 6}, Node{Op: "Reshape"}, []Tensor{i64(2, 5)}, "shape [2 6] cannot become [2 5]"},
		{"reshape that does not divide", []int{2, 6}, Node{Op: "Reshape"}, []Tensor{i64(-1, 5)}, "shape [2 6] cannot become [-1 5]"},
		{"transpose of another rank", []int{2, 6}, Node{Op: "Transpose", Attrs: Attrs{"perm": []int{0, 2, 1}}}, nil, "perm [0 2 1] of shape [2 6]"},
		{"new axis out of range", []int{2, 6}, Node{Op: "Unsqueeze"}, []Tensor{i64(4)}, "axes [4] of shape [2 6]"},
		{"scales of another rank", []int{2, 6}, Node{Op: "Resize"}, []Tensor{f32(0), {[]int{3}, []float32{1, 1, 2}}}, "3 scales for shape [2 6]"},
		{"scale of nothing", []int{2, 6}, Node{Op: "Resize"}, []Tensor{f32(0), {[]int{2}, []float32{1, 0}}}, "scale 0 of axis 1"},
	} {
		m := &Model{Graph: Graph{Inputs: []ValueInfo{{Name: "x", Type: Float32, Shape: c.x}}, Outputs: []ValueInfo{{Name: "y"}}}}
		c.node.Name, c.node.In, c.node.Out = "it", []string{"x"}, []string{"y"}
		for i, w := range c.with {
			name := fmt.Sprint("w", i)
			c.node.In = append(c.node.In, name)
			m.Graph.Initializers = append(m.Graph.Initializers, Initializer{name, w})
		}
		m.Graph.Nodes = []Node{c.node}
		err := m.Check()
		if c.want == "" && err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "node 0 ("+c.node.Op)) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
		}
	}
}

// TestWrongWeights damages each weight of a real network in turn.
func TestWrongWeights(t *testing.T) {
	ref := loadReference(t)
	m, err := Read(ref.path)
	if err != nil {
		t.Fatal(err)
	}
	user := map[string]string{}
	for i := range m.Graph.Nodes {
		n := &m.Graph.Nodes[i]
		for _, name := range n.In {
			user[name] = n.Op
		}
	}
	for i, w := range m.Graph.Initializers {
		op := user[w.Name]
		if op != "Conv" && op != "Gemm" {
			continue
		}
		shape := slices.Clone(w.Shape)
		shape[len(shape)-1]++
		if len(shape) == 4 {
			shape = slices.Clone(w.Shape)
			shape[1]++
		}
		if op == "Gemm" && len(shape) == 1 {
			continue // a bias, which may be broadcast
		}
		was := w.Tensor
		wrong := Tensor{Shape: shape}
		wrong.Data = make([]float32, wrong.Len())
		m.Graph.Initializers[i].Tensor = wrong
		if err := m.Check(); err == nil || !strings.Contains(err.Error(), "("+op) || !strings.Contains(err.Error(), w.Name) {
			t.Errorf("%s of shape %v instead of %v: error %v", w.Name, shape, was.Shape, err)
		}
		m.Graph.Initializers[i].Tensor = was
	}
}

func TestHalfPrecision(t *testing.T) {
	m := smallNet()
	toHalf := func(x float32) Half { // of 0, ±0.25, ±0.5, 0.75 and 1
		return map[float32]Half{0: 0, 0.25: 0x3400, 0.5: 0x3800, -0.5: 0xb800, 0.75: 0x3a00, 1: 0x3c00}[x]
	}
	for i := range 2 {
		w := &m.Graph.Initializers[i]
		var h []Half
		for _, x := range w.Data.([]float32) {
			h = append(h, toHalf(x))
		}
		w.Data = h
	}
	m.Graph.Inputs[0].Type, m.Graph.Inputs[1].Type, m.Graph.Outputs[0].Type = Float16, Float16, Float16
	engines(t, func(t *testing.T, opt Options) {
		s := open(t, m, opt)
		if v := s.Info().Inputs[0]; v.Type != Float32 {
			t.Errorf("input is described as %v", v)
		}
		in := smallInput(2)
		out, err := s.Run(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		want := smallNetAt(in["x"].Data.([]float32)[:16], in["t"].Data.([]float32)[0])
		if d := maxDiff(out["y"].Data.([]float32)[:16], want); d > 0.02 { // half precision of numbers to 8
			t.Errorf("differs by %g", d)
		}
	})
	if m.Graph.Inputs[0].Type != Float16 {
		t.Error("the model itself was changed")
	}
}

// FuzzShapes makes operands and attributes of any shape meet every operator.
func FuzzShapes(f *testing.F) {
	ops := []string{"Conv", "ConvTranspose", "Gemm", "MatMul", "Add", "Where", "InstanceNormalization", "GroupNormalization",
		"Concat", "Reshape", "Transpose", "Unsqueeze", "Resize", "Upsample", "AveragePool", "Shape", "Constant"}
	for i := range ops {
		f.Add(uint8(i), []byte{1, 3, 8, 8}, []byte{4, 3, 3, 3}, []byte{1, 1, 1, 1})
		f.Add(uint8(i), []byte{255, 6}, []byte{6}, []byte{0, 255, 3})
	}
	ints := func(b []byte) []int64 {
		v := make([]int64, min(len(b), 6))
		for i := range v {
			v[i] = int64(int8(b[i]))
		}
		return v
	}
	f.Fuzz(func(t *testing.T, op uint8, x, w, list []byte) {
		shape := make([]int, len(ints(x)))
		for i, d := range ints(x) {
			shape[i] = int(max(d, -1))
		}
		weight := Tensor{Shape: []int{}}
		for _, d := range ints(w) {
			if d >= 0 && weight.Len()*int(d) < 1<<16 {
				weight.Shape = append(weight.Shape, int(d))
			}
		}
		weight.Data = make([]float32, weight.Len())
		attrs := Attrs{}
		for _, name := range []string{"pads", "strides", "dilations", "kernel_shape", "perm", "axes"} {
			attrs[name] = ints(list)
		}
		for _, name := range []string{"group", "num_groups", "axis", "transA", "transB"} {
			if len(list) > 0 {
				attrs[name] = int64(int8(list[0]))
			}
		}
		for _, operand := range []string{"w", "ints", "scales"} {
			m := &Model{Graph: Graph{
				Inputs:  []ValueInfo{{Name: "x", Type: Float32, Shape: shape}},
				Outputs: []ValueInfo{{Name: "y"}},
				Nodes:   []Node{{Op: ops[int(op)%len(ops)], In: []string{"x", operand, operand}, Out: []string{"y"}, Attrs: attrs}},
				Initializers: []Initializer{{"w", weight}, {"ints", Tensor{[]int{len(ints(list))}, ints(list)}},
					{"scales", Tensor{[]int{len(shape)}, make([]float32, len(shape))}}},
			}}
			_ = m.Check() // it must return, whatever it says
		}
	})
}
