package diffusion_test

import (
	"context"
	"fmt"
	"log"
	"math"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/gmm"
)

// Correct the drift of a model that predicts 5 % too much noise. The states of the
// plain run have too little variance for their time; each sample's next step starts
// from the time that fits instead.
func ExampleTimeShift() {
	data := &gmm.Mixture{W: []float64{1}, Mu: [][]float64{make([]float64, 64)}, S: []float64{.1}}
	exact, err := gmm.Model[float64](data, diffusion.Noise)
	if err != nil {
		log.Fatal(err)
	}
	model := diffusion.EpsilonScaling[float64]{Model: exact, K: 1 / 1.05}
	schedule, err := diffusion.NewDiscrete(diffusion.LinearBetas(1e-4, 0.02, 1000))
	if err != nil {
		log.Fatal(err)
	}
	grid := diffusion.Grid{Schedule: schedule, Steps: 20, Spacing: diffusion.TimeUniform}
	x, err := diffusion.Start[float64](grid, 8, 64, diffusion.Seeded(1))
	if err != nil {
		log.Fatal(err)
	}
	p := diffusion.Problem[float64]{Model: model, Grid: grid, X: x, N: 8}
	for _, window := range []int{0, 60} {
		s, err := diffusion.SolveTimeShift(context.Background(), p, diffusion.TimeShift{Window: window, Cutoff: 300})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("window %2d: %d evaluations, %2.0f %% of the times shifted, standard deviation %.2f of 0.10\n",
			window, s.NFE, 100*s.Share(), deviation(s.X))
	}
	// Output:
	// window  0: 20 evaluations,  0 % of the times shifted, standard deviation 0.03 of 0.10
	// window 60: 20 evaluations, 65 % of the times shifted, standard deviation 0.04 of 0.10
}

func deviation(x []float64) float64 { return math.Sqrt(diffusion.Variance(x)) }
