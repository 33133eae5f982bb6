package network

import (
	"path/filepath"
	"testing"

	"github.com/assay-lab/assay/onnx"
)

// engines runs f with each engine at hand.
func engines(t *testing.T, f func(t *testing.T, engine string)) {
	for _, name := range []string{onnx.ONNXRuntime, onnx.Embedded} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := onnx.RuntimeLibrary(); err != nil && name == onnx.ONNXRuntime {
				t.Skip(err)
			}
			f(t, name)
		})
	}
}

// A toy is the network y = x/2 + t/1000 + table[label], and how it wants its inputs.
type toy struct {
	batch               int    // 0: any number
	input, time, output string // names; x, t, y if empty
	timeType            onnx.Type
	timeShape           []int // nil: one a sample
	label               string
	labelType           onnx.Type // of indices; a floating-point one: one-hot
	float64             bool
	variance            bool // the output has twice the channels
	meta                map[string]string
}

var toyTable = []float32{1, 2, 3, 0} // three classes and none

func or(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

func (y toy) model() *onnx.Model {
	typ, batch := onnx.Float32, -1
	if y.float64 {
		typ = onnx.Float64
	}
	if y.batch > 0 {
		batch = y.batch
	}
	constant := func(name string, v ...float32) onnx.Initializer {
		t := onnx.Tensor{Shape: []int{len(v), 1}, Data: v}
		if y.float64 {
			t.Data = convert[float64](v)
		}
		return onnx.Initializer{Name: name, Tensor: t}
	}
	perRow := func(name string, typ onnx.Type, shape []int) onnx.ValueInfo {
		if shape == nil {
			shape = []int{batch}
		}
		return onnx.ValueInfo{Name: name, Type: typ, Shape: shape}
	}
	m := &onnx.Model{Metadata: y.meta}
	g := &m.Graph
	node := func(op, out string, attrs onnx.Attrs, in ...string) {
		g.Nodes = append(g.Nodes, onnx.Node{Op: op, Name: out, In: in, Out: []string{out}, Attrs: attrs})
	}
	g.Initializers = []onnx.Initializer{constant("half", 0.5), constant("milli", 0.001), constant("table", toyTable...),
		{Name: "wide", Tensor: onnx.Tensor{Shape: []int{4}, Data: []int64{-1, 1, 1, 1}}}}
	input, time := or(y.input, "x"), or(y.time, "t")
	timeType := y.timeType
	if timeType == 0 {
		timeType = typ
	}
	g.Inputs = []onnx.ValueInfo{{Name: input, Type: typ, Shape: []int{batch, 2, 1, 3}}, perRow(time, timeType, y.timeShape)}
	node("Mul", "scaled", nil, input, "half")
	node("Cast", "tf", onnx.Attrs{"to": int(typ)}, time)
	node("Reshape", "t4", nil, "tf", "wide")
	node("Mul", "tm", nil, "t4", "milli")
	node("Add", "sum", nil, "scaled", "tm")
	last := "sum"
	if y.label != "" {
		shape := []int(nil)
		if y.labelType.Float() {
			shape = []int{batch, len(toyTable)}
			node("MatMul", "row", nil, y.label, "table")
		} else {
			node("Gather", "row", nil, "table", y.label)
		}
		g.Inputs = append(g.Inputs, perRow(y.label, y.labelType, shape))
		node("Reshape", "row4", nil, "row", "wide")
		node("Add", "labelled", nil, last, "row4")
		last = "labelled"
	}
	output, channels := or(y.output, "out"), 2
	if y.variance {
		channels = 4
		node("Concat", output, onnx.Attrs{"axis": 1}, last, "scaled")
	} else {
		node("Identity", output, nil, last)
	}
	g.Outputs = []onnx.ValueInfo{{Name: output, Type: typ, Shape: []int{batch, channels, 1, 3}}}
	return m
}

func (y toy) write(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "toy.onnx")
	if err := y.model().Write(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// basic are the options that no toy can do without.
var basic = ONNXOptions{Predict: "noise", Schedule: "ddpm-linear"}

func openToy(t *testing.T, y toy, o ONNXOptions) *Model {
	t.Helper()
	m, err := OpenONNX(y.write(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}
