package network_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/network"
	"github.com/assay-lab/assay/onnx"
)

// A network from another framework becomes a denoiser; here a file is written
// first whose prediction of the noise is half the sample.
func ExampleOpenONNX() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "half.onnx")
	sample := []int{-1, 1, 2, 2} // any number of 2×2 images
	net := onnx.Model{Graph: onnx.Graph{
		Nodes: []onnx.Node{
			{Op: "Mul", In: []string{"sample", "half"}, Out: []string{"scaled"}},
			{Op: "Reshape", In: []string{"timestep", "column"}, Out: []string{"t"}},
			{Op: "Mul", In: []string{"t", "none"}, Out: []string{"nothing"}}, // it ignores the time
			{Op: "Add", In: []string{"scaled", "nothing"}, Out: []string{"noise"}},
		},
		Initializers: []onnx.Initializer{
			{Name: "half", Tensor: onnx.Tensor{Data: []float32{0.5}}},
			{Name: "none", Tensor: onnx.Tensor{Data: []float32{0}}},
			{Name: "column", Tensor: onnx.Tensor{Shape: []int{4}, Data: []int64{-1, 1, 1, 1}}},
		},
		Inputs: []onnx.ValueInfo{
			{Name: "sample", Type: onnx.Float32, Shape: sample},
			{Name: "timestep", Type: onnx.Float32, Shape: []int{-1}},
		},
		Outputs: []onnx.ValueInfo{{Name: "noise", Type: onnx.Float32, Shape: sample}},
	}}
	if err := net.Write(path); err != nil {
		log.Fatal(err)
	}

	m, err := network.OpenONNX(path, network.ONNXOptions{Predict: "noise", Schedule: "ddpm-linear"})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	model, err := m.Denoiser(nil) // a network with labels takes them here
	if err != nil {
		log.Fatal(err)
	}
	grid := diffusion.Grid{Schedule: m.Schedule, Steps: 10}
	out, err := diffusion.Solve(context.Background(), diffusion.Problem[float32]{
		Model: model, Grid: grid, X: make([]float32, 3*m.Len()), N: 3,
	}, diffusion.DPMSolver{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(m.Name, "predicts", m.Predicts, "of shape", m.Shape)
	fmt.Println(len(out.X), "values after", out.NFE, "evaluations")
	// Output:
	// half predicts noise of shape [1 2 2]
	// 12 values after 10 evaluations
}
