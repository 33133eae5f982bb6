package adjointdpm

import (
	"context"
	"fmt"
	"math"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/adjoint"
	"github.com/assay-lab/assay/internal/rng"
	"github.com/assay-lab/assay/lab"
)

var (
	kept      = rival{name: "grid states (the paper)", solver: "euler", o: adjoint.Options{Mode: adjoint.Continuous}}
	keptD     = rival{name: "grid states, discrete", solver: "euler"}
	recursive = rival{name: "recursive, discrete", solver: "euler", o: adjoint.Options{Checkpoint: adjoint.Recursive}}
	none      = rival{name: "no states (the paper)", solver: "euler", o: adjoint.Options{Mode: adjoint.Continuous, Checkpoint: adjoint.None, Tolerance: anything}}
	noneD     = rival{name: "no states, discrete", solver: "euler", o: adjoint.Options{Checkpoint: adjoint.None, Tolerance: anything}}
	plain     = rival{name: "plain back-propagation", solver: "euler", o: adjoint.Options{Checkpoint: adjoint.Full}}

	stores = []rival{kept, keptD, recursive, none, noneD, plain}
)

// widths are those of the networks whose gradients are taken.
var widths = []int{8, 64, 512}

func widthPanel(w int) string { return fmt.Sprintf("network of width %d", w) }

// memoryDim is the size of a sample there.
const memoryDim = 16

// memory asks what a gradient keeps.
func memory() *lab.Experiment {
	var panels []string
	for _, w := range widths {
		panels = append(panels, widthPanel(w))
	}
	return &lab.Experiment{
		Name:    "adjoint-dpm/memory",
		Title:   "Gradients through a sampler: memory over network calls",
		Help:    "Networks of one hidden layer, of three widths, with random weights; Euler's method on the linear VP schedule. The figure is the most numbers that were held at one time, by the executor's count: states, gradients and registers, and the activations that plain back-propagation keeps.",
		Cost:    calls,
		Quality: lab.Axis{Name: "numbers held", Log: true},
		Budget:  "steps", Version: 1,
		Params: []lab.Param{
			steps("10,20,200", "10,20,50,100,200", "10,20,50,100,200,400"),
			{Name: "n", Help: "samples", Kind: lab.Int, Default: "8", Min: 1, Max: 10000},
			{Name: "seeds", Help: "networks", Kind: lab.Int, Default: "1", Min: 1, Max: 100},
		},
		Grid: func(v lab.Values) ([]lab.Cell, error) { return cells(v, panels, stores), nil },
		Run:  runMemory,
		Claims: []lab.Claim{
			memoryClaim(),
			constantClaim(),
		},
	}
}

// random is a network with N(0, 1/inputs) weights.
func random(width, d int, seed uint64) *mlp {
	r := rng.Stream(seed, 1)
	draw := func(rows, cols int) [][]float64 {
		w := make([][]float64, rows)
		for i := range w {
			for range cols {
				w[i] = append(w[i], r.NormFloat64()/math.Sqrt(float64(cols)))
			}
		}
		return w
	}
	return &mlp{W1: draw(width, d+1), B1: make([]float64, width), W2: draw(d, width), B2: make([]float64, d)}
}

func runMemory(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
	r, err := find(stores, c.Method)
	if err != nil {
		return lab.Outcome{}, err
	}
	var width int
	if _, err := fmt.Sscanf(c.Panel, "network of width %d", &width); err != nil {
		return lab.Outcome{}, fmt.Errorf("panel %q: %w", c.Panel, err)
	}
	n := c.Values.Int("n")
	p := diffusion.Problem[float64]{
		Model: random(width, memoryDim, c.Seed), N: n,
		Grid: diffusion.Grid{Schedule: diffusion.VPLinear{}, Steps: int(c.Budget), Start: 1, End: 1e-2},
	}
	if p.X, err = diffusion.Start[float64](p.Grid, n, memoryDim, diffusion.Seeded(c.Seed)); err != nil {
		return lab.Outcome{}, err
	}
	g, err := adjoint.Solve(ctx, p, solvers[r.solver], half(make([]float64, memoryDim)), r.o)
	if err != nil {
		return lab.Outcome{}, err
	}
	numbers := float64(g.Bytes+g.Recorded) / 8
	return lab.Outcome{Cost: float64(g.NFE + g.VJPs), Quality: numbers, Metrics: map[string]float64{
		states: numbers / float64(len(p.X)),
	}}, nil
}
