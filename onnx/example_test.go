package onnx_test

import (
	"context"
	"fmt"
	"log"

	"github.com/assay-lab/assay/onnx"
)

// A model is written as plain data: here x·w + 1.
func ExampleNewSession() {
	m := &onnx.Model{Graph: onnx.Graph{
		Nodes: []onnx.Node{
			{Op: "MatMul", In: []string{"x", "w"}, Out: []string{"xw"}},
			{Op: "Add", In: []string{"xw", "one"}, Out: []string{"y"}},
		},
		Initializers: []onnx.Initializer{
			{Name: "w", Tensor: onnx.Tensor{Shape: []int{2, 1}, Data: []float32{10, 1}}},
			{Name: "one", Tensor: onnx.Tensor{Data: []float32{1}}},
		},
		Inputs:  []onnx.ValueInfo{{Name: "x", Type: onnx.Float32, Shape: []int{-1, 2}, Symbols: []string{"n", ""}}},
		Outputs: []onnx.ValueInfo{{Name: "y", Type: onnx.Float32, Shape: []int{-1, 1}, Symbols: []string{"n", ""}}},
	}}
	s, err := onnx.NewSession(m, onnx.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	out, err := s.Run(context.Background(), map[string]onnx.Tensor{
		"x": {Shape: []int{3, 2}, Data: []float32{1, 2, 3, 4, 5, 6}},
	})
	if err != nil {
		log.Fatal(err)
	}
	y, err := onnx.Data[float32](out["y"])
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(s.Info().Inputs, y)
	// Output: [x float32 [n,2]] [13 35 57]
}
