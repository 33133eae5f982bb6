package onnx

import (
	"encoding/json"
	"os"
	"testing"
)

// shared is where the project's shared data lie when they are at hand.
const shared = "../../shared/data/"

// smallNet is a convolution over images of any number, a time added and a scale.
func smallNet() *Model {
	w := make([]float32, 2*1*3*3)
	for i := range w {
		w[i] = float32(i%5) / 4
	}
	return &Model{
		IR: 8, Opset: 17, Producer: "test", Metadata: map[string]string{"assay.predict": "noise"}, Domains: map[string]int{},
		Graph: Graph{
			Name: "small",
			Nodes: []Node{
				{Op: "Conv", Name: "conv", In: []string{"x", "w", "b"}, Out: []string{"c"}, Attrs: Attrs{"pads": []int64{1, 1, 1, 1}, "kernel_shape": []int64{3, 3}}},
				{Op: "Unsqueeze", Name: "widen", In: []string{"t", "axes"}, Out: []string{"t4"}, Attrs: Attrs{}},
				{Op: "Add", Name: "shift", In: []string{"c", "t4"}, Out: []string{"s"}, Attrs: Attrs{}},
				{Op: "ReduceSum", Name: "sum", In: []string{"s", "channel"}, Out: []string{"y"}, Attrs: Attrs{"keepdims": int64(1)}},
			},
			Initializers: []Initializer{
				{"w", Tensor{[]int{2, 1, 3, 3}, w}},
				{"b", Tensor{[]int{2}, []float32{0.5, -0.5}}},
				{"axes", Tensor{[]int{3}, []int64{1, 2, 3}}},
				{"channel", Tensor{[]int{1}, []int64{1}}},
			},
			Inputs: []ValueInfo{
				{Name: "x", Type: Float32, Shape: []int{-1, 1, 4, 4}, Symbols: []string{"n", "", "", ""}},
				{Name: "t", Type: Float32, Shape: []int{-1}, Symbols: []string{"n"}},
			},
			Outputs: []ValueInfo{{Name: "y", Type: Float32, Shape: []int{-1, 1, 4, 4}, Symbols: []string{"n", "", "", ""}}},
		},
	}
}

// smallNetAt evaluates smallNet for one image in plain Go.
func smallNetAt(x []float32, t float32) []float32 {
	m := smallNet()
	w, b := m.Graph.Initializers[0].Data.([]float32), m.Graph.Initializers[1].Data.([]float32)
	y := make([]float32, 16)
	for i := range 4 {
		for j := range 4 {
			for c := range 2 {
				s := b[c] + t
				for di := range 3 {
					for dj := range 3 {
						if p, q := i+di-1, j+dj-1; p >= 0 && p < 4 && q >= 0 && q < 4 {
							s += w[c*9+di*3+dj] * x[p*4+q]
						}
					}
				}
				y[i*4+j] += s
			}
		}
	}
	return y
}

func ramp(n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32((i*7)%11)/11 - 0.5
	}
	return x
}

// reference is the shared network and what its framework computed with it.
type reference struct {
	path             string
	Sample, Timestep []float32
	OutSample        []float32 `json:"out_sample"`
	Shape            []int
}

func loadReference(t testing.TB) reference {
	b, err := os.ReadFile(shared + "mnist-ddpm-reference.json")
	if err != nil {
		t.Skip("the shared network is not here")
	}
	ref := reference{path: shared + "mnist-ddpm.onnx"}
	if err := json.Unmarshal(b, &ref); err != nil {
		t.Fatal(err)
	}
	return ref
}

func (r reference) input() map[string]Tensor {
	return map[string]Tensor{
		"sample":   {Shape: r.Shape, Data: r.Sample},
		"timestep": {Shape: []int{len(r.Timestep)}, Data: r.Timestep},
	}
}

// needORT skips when ONNX Runtime is not installed.
func needORT(t testing.TB) {
	if _, _, err := RuntimeLibrary(); err != nil {
		t.Skip(err)
	}
}

// engines runs f with each engine at hand.
func engines(t *testing.T, f func(t *testing.T, opt Options)) {
	for _, name := range []string{ONNXRuntime, Embedded} {
		t.Run(name, func(t *testing.T) {
			if name == ONNXRuntime {
				needORT(t)
			}
			f(t, Options{Engine: name})
		})
	}
}
