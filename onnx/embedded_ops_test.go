package onnx

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite testdata/operators.json with what ONNX Runtime computes")

const goldenFile = "testdata/operators.json"

// An arg is an input of the operator under test.
type arg struct {
	Tensor
	weight bool // given as an initializer, not when the network runs
}

func vary(shape ...int) arg { return arg{Tensor: Tensor{Shape: shape}} } // filled with random numbers
func fixed(shape ...int) arg {
	return arg{Tensor: Tensor{Shape: shape}, weight: true}
}
func whole(v ...int64) arg         { return arg{Tensor{[]int{len(v)}, v}, true} }
func floats32(v ...float32) arg    { return arg{Tensor{[]int{len(v)}, v}, true} }
func given(shape []int, v any) arg { return arg{Tensor{shape, v}, false} }
func positive(shape ...int) arg    { return arg{Tensor{shape, "positive"}, false} }
func scalar(v any) arg             { return arg{Tensor{[]int{}, v}, true} }
func none() arg                    { return arg{} }
func list64(v ...int64) []int64    { return v }

// opCase applies one operator.
type opCase struct {
	name, op string
	attrs    Attrs
	in       []arg
	outs     int // 0: one
	opset    int // 0: 17
}

func operatorCases() []opCase {
	image := vary(2, 4, 4, 5)
	cases := []opCase{
		{"sum with a channel's number", "Add", nil, []arg{image, fixed(4, 1, 1)}, 0, 0},
		{"difference, broadcast both ways", "Sub", nil, []arg{vary(3, 1, 4), vary(2, 1)}, 0, 0},
		{"product with a scalar", "Mul", nil, []arg{image, scalar([]float32{-1.5})}, 0, 0},
		{"quotient of whole numbers", "Div", nil, []arg{given([]int{4}, []int64{7, -7, 8, 1}), whole(2, 2, -3, 5)}, 0, 0},
		{"power 2", "Pow", nil, []arg{vary(5), scalar([]float32{2})}, 0, 0},
		{"power of another type", "Pow", nil, []arg{vary(5), scalar([]int64{3})}, 0, 0},
		{"power 1.5", "Pow", nil, []arg{positive(5), scalar([]float32{1.5})}, 0, 0},
		{"remainder", "Mod", nil, []arg{given([]int{4}, []int64{7, -7, 8, -1}), whole(3, 3, -3, 5)}, 0, 0},
		{"remainder as in C", "Mod", Attrs{"fmod": 1}, []arg{vary(6), floats32(0.3, -0.3, 0.7, 0.25, 2, -1)}, 0, 0},
		{"smallest of three", "Min", nil, []arg{vary(3, 4), vary(4), vary(3, 1)}, 0, 0},
		{"largest of three", "Max", nil, []arg{vary(3, 4), vary(4), vary(3, 1)}, 0, 0},
		{"mean of three", "Mean", nil, []arg{vary(3, 4), vary(4), vary(3, 1)}, 0, 0},
		{"clip", "Clip", nil, []arg{vary(3, 4), scalar([]float32{-0.5}), scalar([]float32{0.25})}, 0, 0},
		{"clip above only", "Clip", nil, []arg{vary(3, 4), none(), scalar([]float32{0.25})}, 0, 0},
		{"choice", "Where", nil, []arg{given([]int{2, 1}, []bool{true, false}), vary(2, 3), vary(3)}, 0, 0},
		{"to whole numbers", "Cast", Attrs{"to": int(Int64)}, []arg{vary(3, 4)}, 0, 0},
		{"from whole numbers", "Cast", Attrs{"to": int(Float32)}, []arg{given([]int{3}, []int64{-3, 0, 5})}, 0, 0},

		{"join channels", "Concat", Attrs{"axis": 1}, []arg{image, vary(2, 3, 4, 5)}, 0, 0},
		{"join from the end", "Concat", Attrs{"axis": -1}, []arg{vary(2, 3), vary(2, 4)}, 0, 0},
		{"split evenly", "Split", Attrs{"axis": 1}, []arg{image}, 2, 0},
		{"split by sizes", "Split", Attrs{"axis": 1}, []arg{image, whole(1, 3)}, 2, 0},
		{"split from the end, by an attribute", "Split", Attrs{"axis": -1, "split": list64(2, 3)}, []arg{image}, 2, 11},
		{"split with a smaller last part", "Split", Attrs{"axis": 3, "num_outputs": 4}, []arg{vary(1, 2, 3, 7)}, 4, 18},
		{"slice with steps", "Slice", nil, []arg{image, whole(1, -1), whole(math.MaxInt64, math.MinInt64), whole(2, 3), whole(2, -2)}, 0, 0},
		{"slice by attributes", "Slice", Attrs{"starts": list64(1), "ends": list64(-1), "axes": list64(1)}, []arg{image}, 0, 9},
		{"gather in the middle", "Gather", Attrs{"axis": 1}, []arg{image, whole(2, -1, 0)}, 0, 0},
		{"gather one", "Gather", Attrs{"axis": 2}, []arg{image, scalar([]int64{-2})}, 0, 0},
		{"embedding", "Gather", nil, []arg{fixed(7, 3), given([]int{2, 2}, []int64{6, 0, 3, 3})}, 0, 0},
		{"expand", "Expand", nil, []arg{vary(3, 1), whole(2, 1, 4)}, 0, 0},
		{"tile", "Tile", nil, []arg{vary(2, 3), whole(2, 3)}, 0, 0},
		{"transpose", "Transpose", Attrs{"perm": list64(2, 0, 3, 1)}, []arg{image}, 0, 0},
		{"reverse axes", "Transpose", nil, []arg{image}, 0, 0},
		{"reshape with 0 and -1", "Reshape", nil, []arg{image, whole(0, -1, 10)}, 0, 0},
		{"flatten", "Flatten", Attrs{"axis": 2}, []arg{image}, 0, 0},
		{"squeeze", "Squeeze", nil, []arg{vary(1, 3, 1), whole(-1)}, 0, 0},
		{"unsqueeze", "Unsqueeze", nil, []arg{vary(2, 3), whole(1, -1)}, 0, 0},
		{"unsqueeze by an attribute", "Unsqueeze", Attrs{"axes": list64(0, 2)}, []arg{vary(2, 3)}, 0, 11},
		{"pad", "Pad", nil, []arg{image, whole(0, 0, 1, 2, 0, 1, 0, 3), scalar([]float32{0.5})}, 0, 0},
		{"pad by a negative number", "Pad", nil, []arg{image, whole(0, 0, -1, 2, 0, 0, 1, -2)}, 0, 0},
		{"pad by reflection", "Pad", Attrs{"mode": "reflect"}, []arg{image, whole(0, 0, 1, 2, 0, 0, 3, 1)}, 0, 0},
		{"pad with the edge", "Pad", Attrs{"mode": "edge"}, []arg{image, whole(0, 0, 1, 2, 0, 0, 3, 1)}, 0, 0},
		{"depth to space", "DepthToSpace", Attrs{"blocksize": 2}, []arg{vary(2, 8, 3, 2)}, 0, 0},
		{"depth to space, columns first", "DepthToSpace", Attrs{"blocksize": 2, "mode": "CRD"}, []arg{vary(2, 8, 3, 2)}, 0, 0},
		{"space to depth", "SpaceToDepth", Attrs{"blocksize": 2}, []arg{vary(2, 3, 4, 6)}, 0, 0},

		{"mean over the image", "ReduceMean", Attrs{"axes": list64(2, 3)}, []arg{image}, 0, 0},
		{"mean over channels, axis dropped", "ReduceMean", Attrs{"axes": list64(1), "keepdims": 0}, []arg{image}, 0, 0},
		{"sum of all", "ReduceSum", nil, []arg{image}, 0, 0},
		{"sum, axes as an input", "ReduceSum", Attrs{"keepdims": 0}, []arg{image, whole(-1, 0)}, 0, 0},
		{"largest", "ReduceMax", Attrs{"axes": list64(1)}, []arg{image}, 0, 0},
		{"smallest", "ReduceMin", Attrs{"axes": list64(3)}, []arg{image}, 0, 0},
		{"product of elements", "ReduceProd", Attrs{"axes": list64(3)}, []arg{image}, 0, 0},
		{"norm", "ReduceL2", Attrs{"axes": list64(1)}, []arg{image}, 0, 0},
		{"sum of sizes", "ReduceL1", Attrs{"axes": list64(1)}, []arg{image}, 0, 0},
		{"logarithm of a sum of exponentials", "ReduceLogSumExp", Attrs{"axes": list64(1)}, []arg{image}, 0, 0},

		{"matrices", "MatMul", nil, []arg{vary(3, 4), fixed(4, 5)}, 0, 0},
		{"matrices for a stack", "MatMul", nil, []arg{vary(2, 3, 4), fixed(4, 5)}, 0, 0},
		{"stacks", "MatMul", nil, []arg{vary(2, 3, 4), vary(2, 4, 5)}, 0, 0},
		{"stacks, broadcast", "MatMul", nil, []arg{vary(2, 1, 3, 4), vary(3, 4, 5)}, 0, 0},
		{"a vector from the left", "MatMul", nil, []arg{vary(4), vary(2, 4, 5)}, 0, 0},
		{"a vector from the right", "MatMul", nil, []arg{vary(2, 3, 4), vary(4)}, 0, 0},
		{"two vectors", "MatMul", nil, []arg{vary(4), vary(4)}, 0, 0},
		{"linear layer", "Gemm", Attrs{"transB": 1}, []arg{vary(3, 4), fixed(5, 4), fixed(5)}, 0, 0},
		{"gemm with everything", "Gemm", Attrs{"transA": 1, "alpha": 0.5, "beta": 2.0}, []arg{vary(4, 3), fixed(4, 5), fixed(3, 1)}, 0, 0},
		{"einsum", "Einsum", Attrs{"equation": "bhid,bhjd->bhij"}, []arg{vary(2, 2, 3, 4), vary(2, 2, 5, 4)}, 0, 0},
		{"running sum", "CumSum", nil, []arg{vary(3, 4), scalar([]int64{1})}, 0, 0},
		{"place of the largest", "ArgMax", Attrs{"axis": 1, "keepdims": 0}, []arg{image}, 0, 0},

		{"instance norm", "InstanceNormalization", nil, []arg{image, fixed(4), fixed(4)}, 0, 0},
		{"instance norm of a sequence", "InstanceNormalization", Attrs{"epsilon": 0.1}, []arg{vary(2, 3, 7), fixed(3), fixed(3)}, 0, 0},
		{"layer norm", "LayerNormalization", nil, []arg{vary(2, 3, 8), fixed(8), fixed(8)}, 0, 0},
		{"layer norm over two axes", "LayerNormalization", Attrs{"axis": 1}, []arg{vary(2, 3, 8), fixed(3, 8), fixed(3, 8)}, 0, 0},
		{"batch norm", "BatchNormalization", nil, []arg{image, fixed(4), fixed(4), fixed(4), floats32(0.5, 1, 2, 0.1)}, 0, 0},
		{"softmax", "Softmax", nil, []arg{vary(2, 3, 5)}, 0, 0},
		{"softmax over channels", "Softmax", Attrs{"axis": 1}, []arg{image}, 0, 0},
		{"softmax before opset 13", "Softmax", Attrs{"axis": 1}, []arg{vary(2, 3, 5)}, 0, 11},
		{"logarithm of softmax", "LogSoftmax", Attrs{"axis": 1}, []arg{image}, 0, 0},

		{"convolution", "Conv", Attrs{"pads": list64(1, 1, 1, 1)}, []arg{image, fixed(3, 4, 3, 3), fixed(3)}, 0, 0},
		{"convolution with strides, dilations, uneven padding", "Conv",
			Attrs{"pads": list64(0, 1, 2, 1), "strides": list64(2, 1), "dilations": list64(1, 2)}, []arg{image, fixed(3, 4, 3, 2)}, 0, 0},
		{"convolution by groups", "Conv", Attrs{"group": 2}, []arg{image, fixed(6, 2, 2, 2), fixed(6)}, 0, 0},
		{"convolution with automatic padding", "Conv", Attrs{"auto_pad": "SAME_UPPER", "strides": list64(2, 2)}, []arg{image, fixed(3, 4, 3, 2)}, 0, 0},
		{"convolution with automatic padding before", "Conv", Attrs{"auto_pad": "SAME_LOWER"}, []arg{image, fixed(3, 4, 2, 2)}, 0, 0},
		{"convolution of a sequence", "Conv", Attrs{"pads": list64(1, 1)}, []arg{vary(2, 3, 8), fixed(4, 3, 3)}, 0, 0},
		{"convolution of a volume", "Conv", nil, []arg{vary(1, 2, 4, 3, 5), fixed(3, 2, 2, 2, 2)}, 0, 0},
		{"convolution with a kernel given at run time", "Conv", nil, []arg{image, vary(3, 4, 2, 2)}, 0, 0},
		{"transposed convolution", "ConvTranspose", Attrs{"strides": list64(2, 2), "pads": list64(1, 1, 1, 1)}, []arg{image, fixed(4, 3, 4, 4), fixed(3)}, 0, 0},
		{"transposed convolution, output padding", "ConvTranspose",
			Attrs{"strides": list64(2, 3), "pads": list64(1, 0, 0, 1), "output_padding": list64(1, 2)}, []arg{image, fixed(4, 3, 3, 2)}, 0, 0},
		{"transposed convolution by groups, dilated", "ConvTranspose", Attrs{"group": 2, "dilations": list64(2, 1)}, []arg{image, fixed(4, 3, 2, 3)}, 0, 0},
		{"transposed convolution to a shape", "ConvTranspose", Attrs{"strides": list64(2, 2), "output_shape": list64(8, 10)}, []arg{image, fixed(4, 3, 3, 3)}, 0, 0},
		{"transposed convolution that crops", "ConvTranspose", Attrs{"pads": list64(2, 2, 2, 2)}, []arg{image, fixed(4, 3, 2, 2)}, 0, 0},
		{"largest in windows", "MaxPool", Attrs{"kernel_shape": list64(3, 2), "strides": list64(2, 2), "pads": list64(1, 0, 1, 0)}, []arg{image}, 0, 0},
		{"largest in windows, to the end", "MaxPool", Attrs{"kernel_shape": list64(2, 2), "strides": list64(2, 2), "ceil_mode": 1}, []arg{image}, 0, 0},
		{"mean in windows", "AveragePool", Attrs{"kernel_shape": list64(3, 3), "strides": list64(2, 2), "pads": list64(1, 1, 1, 1)}, []arg{image}, 0, 0},
		{"mean in windows with padding", "AveragePool", Attrs{"kernel_shape": list64(3, 3), "pads": list64(1, 1, 1, 1), "count_include_pad": 1}, []arg{image}, 0, 0},
		{"mean of the image", "GlobalAveragePool", nil, []arg{image}, 0, 0},
		{"largest of the image", "GlobalMaxPool", nil, []arg{image}, 0, 0},
	}
	for _, op := range []string{
		"Abs", "Neg", "Exp", "Sin", "Cos", "Tanh", "Sigmoid", "Erf", "Ceil", "Floor", "Sign", "Reciprocal", "Relu", "Elu", "Selu",
		"Softplus", "Softsign", "HardSigmoid", "HardSwish", "LeakyRelu", "Round", "Identity",
	} {
		cases = append(cases, opCase{op, op, nil, []arg{image}, 0, 0})
	}
	for _, op := range []string{"Sqrt", "Log"} {
		cases = append(cases, opCase{op, op, nil, []arg{positive(3, 4)}, 0, 0})
	}
	cases = append(cases,
		opCase{"Gelu", "Gelu", nil, []arg{image}, 0, 20},
		opCase{"Gelu by tanh", "Gelu", Attrs{"approximate": "tanh"}, []arg{image}, 0, 20},
		opCase{"Mish", "Mish", nil, []arg{image}, 0, 18},
		opCase{"PRelu", "PRelu", nil, []arg{image, fixed(4, 1, 1)}, 0, 0},
		opCase{"halves round to even", "Round", nil, []arg{given([]int{6}, []float32{-2.5, -1.5, -0.5, 0.5, 1.5, 2.5})}, 0, 0},
		opCase{"group norm", "GroupNormalization", Attrs{"num_groups": 2}, []arg{image, fixed(4), fixed(4)}, 0, 21},
		opCase{"upsample", "Upsample", nil, []arg{image, floats32(1, 1, 2, 3)}, 0, 9},
	)
	return append(cases, resizeCases(vary(1, 2, 5, 4))...)
}

// resizeCases cross the ways of resizing.
func resizeCases(image arg) []opCase {
	var cases []opCase
	add := func(name string, attrs Attrs, in ...arg) {
		cases = append(cases, opCase{"resize " + name, "Resize", attrs, append([]arg{image, none()}, in...), 0, 0})
	}
	add("×2", Attrs{"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}, floats32(1, 1, 2, 2))
	for _, c := range []string{"half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"} {
		for _, m := range []string{"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"} {
			add("nearest "+c+" "+m, Attrs{"mode": "nearest", "coordinate_transformation_mode": c, "nearest_mode": m}, none(), whole(1, 2, 7, 3))
		}
		for _, m := range []string{"linear", "cubic"} {
			add(m+" "+c, Attrs{"mode": m, "coordinate_transformation_mode": c}, none(), whole(1, 2, 8, 3))
		}
	}
	add("by uneven scales", Attrs{"mode": "linear"}, floats32(1, 1, 0.6, 1.7))
	add("cubic without the outside", Attrs{"mode": "cubic", "exclude_outside": 1}, floats32(1, 1, 2, 2))
	return cases
}

// fill gives an argument without data random numbers.
func (a arg) fill(rng *rand.Rand) Tensor {
	if a.Data != nil && a.Data != "positive" {
		return a.Tensor
	}
	v := make([]float32, elements(a.Shape))
	for i := range v {
		v[i] = float32(rng.NormFloat64())
		if a.Data != nil {
			v[i] = 0.1 + float32(rng.Float64())
		}
	}
	return Tensor{a.Shape, v}
}

// model is a network of the one operator, and what to run it on.
func (c opCase) model() (*Model, map[string]Tensor) {
	rng := rand.New(rand.NewPCG(1, uint64(len(c.name))))
	m := &Model{Opset: c.opset, Graph: Graph{}}
	if m.Opset == 0 {
		m.Opset = 17
	}
	node := Node{Op: c.op, Name: "it", Attrs: c.attrs}
	in := map[string]Tensor{}
	for i, a := range c.in {
		if a.Shape == nil {
			node.In = append(node.In, "")
			continue
		}
		name, t := fmt.Sprint("x", i), a.fill(rng)
		node.In = append(node.In, name)
		if a.weight {
			m.Graph.Initializers = append(m.Graph.Initializers, Initializer{name, t})
			continue
		}
		in[name] = t
		m.Graph.Inputs = append(m.Graph.Inputs, ValueInfo{Name: name, Type: t.Type(), Shape: t.Shape})
	}
	for i := range max(c.outs, 1) {
		name := fmt.Sprint("y", i)
		node.Out = append(node.Out, name)
		m.Graph.Outputs = append(m.Graph.Outputs, ValueInfo{Name: name, Type: c.outType()})
	}
	m.Graph.Nodes = []Node{node}
	return m, in
}

func (c opCase) outType() Type {
	switch c.op {
	case "Cast":
		return Type(c.attrs.Int("to", 1))
	case "ArgMax":
		return Int64
	case "Div", "Mod":
		if t := c.in[0].Type(); t == Int64 {
			return Int64
		}
	}
	return Float32
}

// golden is a result of ONNX Runtime.
type golden struct {
	Shape  []int     `json:"shape"`
	Values []float64 `json:"values"`
}

func goldens(t *testing.T) map[string][]golden {
	t.Helper()
	b, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	var all map[string][]golden
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestOperators compares the embedded engine with results of ONNX Runtime 1.30.
func TestOperators(t *testing.T) {
	if *update {
		updateGoldens(t)
	}
	want := goldens(t)
	seen := map[string]bool{}
	for _, c := range operatorCases() {
		if seen[c.name] {
			t.Errorf("two cases are named %q", c.name)
		}
		seen[c.name] = true
		t.Run(c.name, func(t *testing.T) {
			m, in := c.model()
			out, err := open(t, m, Options{Engine: Embedded}).Run(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			if len(want[c.name]) != max(c.outs, 1) {
				t.Fatal("no result to compare with: run with -update where ONNX Runtime is installed")
			}
			for i, w := range want[c.name] {
				w.compare(t, out[fmt.Sprint("y", i)])
			}
		})
	}
}

func (w golden) compare(t *testing.T, got Tensor) {
	t.Helper()
	if !slices.Equal(got.Shape, w.Shape) {
		t.Fatalf("shape %v, want %v", got.Shape, w.Shape)
	}
	const tol = 2e-5 // float32 sums of at most a few hundred terms, and the goldens' digits
	for i, x := range toFloats(got.Data) {
		if !(math.Abs(x-w.Values[i]) <= tol*max(1, math.Abs(w.Values[i]))) {
			t.Fatalf("element %d of %v is %g, want %g", i, w.Shape, x, w.Values[i])
		}
	}
}

func updateGoldens(t *testing.T) {
	all := map[string][]golden{}
	for _, c := range operatorCases() {
		m, in := c.model()
		out, err := open(t, m, Options{Engine: ONNXRuntime}).Run(t.Context(), in)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		for i := range max(c.outs, 1) {
			y := out[fmt.Sprint("y", i)]
			g := golden{Shape: y.Shape}
			for _, x := range toFloats(y.Data) {
				short, _ := json.Number(fmt.Sprintf("%.6g", x)).Float64()
				g.Values = append(g.Values, short)
			}
			all[c.name] = append(all[c.name], g)
		}
	}
	b, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(b), "],\"", "],\n\"") // a case a line
	if err := os.MkdirAll("testdata", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(goldenFile, []byte(text+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}
