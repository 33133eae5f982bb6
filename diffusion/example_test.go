package diffusion_test

import (
	"context"
	"fmt"
	"log"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/gmm"
)

// Sample a model in ten evaluations with DPM-Solver++(2M). The model here is the
// exact one of a mixture; a network is used in the same way.
func ExampleSolve() {
	data := &gmm.Mixture{W: []float64{.5, .5}, Mu: [][]float64{{-1, 0}, {1, 0}}, S: []float64{.1, .1}}
	model, err := gmm.Model[float32](data, diffusion.Noise)
	if err != nil {
		log.Fatal(err)
	}
	grid := diffusion.Grid{Schedule: diffusion.Cosine{}, Steps: 10}
	x, err := diffusion.Start[float32](grid, 4, 2, diffusion.Seeded(1))
	if err != nil {
		log.Fatal(err)
	}
	s, err := diffusion.Solve(context.Background(), diffusion.Problem[float32]{Model: model, Grid: grid, X: x, N: 4}, diffusion.DPMSolver{})
	if err != nil {
		log.Fatal(err)
	}
	for i := range 4 {
		fmt.Printf("%+.1f\n", s.X[2*i])
	}
	fmt.Println(s.NFE, "evaluations,", s.Tape.Slots(), "buffers")
	// Output:
	// +1.0
	// -1.0
	// +1.0
	// +1.0
	// 10 evaluations, 3 buffers
}

// A model that sees degraded images is sampled from them: here one that knows that
// every clean image is black on the left and white on the right.
func ExampleRestore() {
	process, err := diffusion.NewMeanReverting(diffusion.Reversion{S: 50.0 / 255})
	if err != nil {
		log.Fatal(err)
	}
	knows := diffusion.MeanFunc[float32]{Prediction: diffusion.Data,
		F: func(_ context.Context, dst, x, mu []float32, n int, at []diffusion.Level) error {
			for i := range dst {
				dst[i] = float32(i % 2)
			}
			return nil
		}}
	s, err := diffusion.Restore(context.Background(), diffusion.Restoration[float32]{
		Model: knows, Grid: diffusion.Grid{Schedule: process, Steps: 5},
		Mu: []float32{.3, .6, .5, .5}, N: 2, // two blurred images of two pixels
		Noise: diffusion.Seeded(1), Hi: 1,
	}, diffusion.MRSampler{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%.2f after %d evaluations\n", s.X, s.NFE)
	// Output: [0.00 1.00 0.00 1.00] after 5 evaluations
}

// A method is a few lines over symbolic registers: here Euler's method on the
// probability-flow ODE in x/α against σ/α, which is DDIM.
func ExampleMethod() {
	grid := diffusion.Grid{Schedule: diffusion.VPLinear{}, Steps: 20}
	tape, err := diffusion.Trace(euler{}, grid, diffusion.TraceOptions{Predicts: diffusion.Noise})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(tape.NFE(), "evaluations,", tape.Slots(), "buffers")
	// Output: 20 evaluations, 2 buffers
}

type euler struct{}

func (euler) Trace(t *diffusion.Tracer, g diffusion.Grid) error {
	levels, err := g.Levels(g.Steps)
	if err != nil {
		return err
	}
	x := t.Input()
	for i := range g.Steps {
		from, to := levels[i], levels[i+1]
		e := t.Eval(x, from, diffusion.Noise)
		h := to.Sigma/to.Alpha - from.Sigma/from.Alpha
		x = t.Step(x.Mul(1/from.Alpha).Add(h, e).Mul(to.Alpha), to)
	}
	t.Return(x)
	return nil
}
