package bdia

import (
	"context"
	"math"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/lab"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
)

// The panels of the experiments on inversion.
const (
	fromNoise = "noise → sample → noise"
	fromClean = "sample → noise → sample"
)

// Further figures of a round trip.
const (
	largest    = "largest error"
	meanError  = "mean error"
	predicted  = "predicted error"          // of rounding
	calls      = "evaluations"              // there and back
	response   = "response error"           // to a change of what is inverted, against the linearised inverse
	meanSq     = "mean square of the noise" // 1 is a sampler's own
	onLattice  = "error on a lattice"       // of multiples of 2⁻⁴⁰
	changedPix = "pixels changed"           // of 8 bits, an image
	inSingle   = "error in float32"
)

const nudge = 1e-6 // the size of that change

// digitsBack is the axis of round trips: errors from 10⁻¹⁶ to 10²⁷ fit no picture.
var digitsBack = lab.Axis{Name: "digits that come back", Better: lab.Higher}

// tripOutcome is what a round trip is worth: of its largest error, the decimal digits
// before it.
func tripOutcome(calls int, worst float64, metrics map[string]float64) lab.Outcome {
	metrics[largest] = worst
	digits := -math.Log10(max(worst, diffusion.Unit[float64]()))
	return lab.Outcome{Cost: float64(calls), Quality: max(0, digits), Metrics: metrics}
}

// inversion asks how exactly a run can be retraced.
func inversion() *lab.Experiment {
	return &lab.Experiment{
		Name:    "bdia/inversion",
		Title:   "There and back: how exactly a run is retraced",
		Help:    "A mixture of three Gaussians on the linear VP schedule, steps evenly in time, in double precision. One panel goes from noise to a sample and back, keeping what the method keeps (BDIA the last two states, EDICT both chains); the other from a sample to noise and back, also with BDIA's second state thrown away. Quality is −log₁₀ of the largest error, 0 where that is 1 or more.",
		Cost:    mixture.NFE,
		Quality: digitsBack,
		Budget:  "steps",
		Params: []lab.Param{
			gammaParam("0.5,0.9,0.96,1"),
			{Name: "steps", Help: "numbers of steps one way", Kind: lab.Ints, Default: "10,20,50,100", At: map[lab.Size]string{lab.Quick: "50", lab.Full: "10,20,50,100,200"}, Min: 2, Max: 10000},
			{Name: "n", Help: "samples a seed", Kind: lab.Int, Default: "256", At: map[lab.Size]string{lab.Quick: "64", lab.Full: "1024"}, Min: 1, Max: 100000},
			seedsParam("3"),
		},
		Version: 1,
		Grid: func(v lab.Values) ([]lab.Cell, error) {
			var cells []lab.Cell
			for _, panel := range []string{fromNoise, fromClean} {
				cells = append(cells, tripCells(v, panel, panel == fromClean)...)
			}
			return cells, nil
		},
		Run:    runInversion,
		Claims: inversionClaims(),
	}
}

func gammaParam(list string) lab.Param {
	return lab.Param{Name: "gamma", Help: "values of γ, a curve each", Kind: lab.Floats, Default: list, Min: 0, Max: 1}
}

func seedsParam(n string) lab.Param {
	return lab.Param{Name: "seeds", Help: "independent sets of samples", Kind: lab.Int, Default: n, At: map[lab.Size]string{lab.Quick: "1", lab.Full: "10"}, Min: 1, Max: 1000}
}

// tripCells is rival × steps × seed of one panel. γ = 0 cannot be retraced.
func tripCells(v lab.Values, panel string, alone bool) (cells []lab.Cell) {
	names := []string{ddimInversion, coupling}
	for _, gamma := range v.Floats("gamma") {
		if gamma > 0 {
			names = append(names, bdiaName(gamma))
		}
		if alone && gamma > 0 {
			names = append(names, bdiaName(gamma)+noiseAlone)
		}
	}
	for _, name := range names {
		for _, steps := range v.Ints("steps") {
			for seed := range v.Int("seeds") {
				cells = append(cells, lab.Cell{Panel: panel, Method: name, Budget: float64(steps), Seed: uint64(seed), Values: v})
			}
		}
	}
	return cells
}

// smooth is the card's problem and its exact model.
func smooth() (*mixture.Problem, diffusion.Differentiable, diffusion.Schedule, error) {
	p, err := mixture.Smooth()
	if err != nil {
		return nil, nil, nil, err
	}
	p.TStart, p.TEnd = 1, 1e-3
	m, err := p.Differentiable()
	if err != nil {
		return nil, nil, nil, err
	}
	s, err := p.Schedule.Build()
	return p, m, s, err
}

func runInversion(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
	p, model, s, err := smooth()
	if err != nil {
		return lab.Outcome{}, err
	}
	t := mixture.Trial{Problem: p, N: c.Values.Int("n"), Seed: c.Seed}
	g := diffusion.Grid{Schedule: s, Steps: int(c.Budget), Start: p.TStart, End: p.TEnd}
	tr, err := newTrip[float64](c.Method, model, g)
	if err != nil {
		return lab.Outcome{}, err
	}
	if c.Panel == fromClean {
		clean, err := t.Exact(ctx)
		if err != nil {
			return lab.Outcome{}, err
		}
		noise, again, calls, err := tr.regenerate(ctx, clean, t.N)
		if err != nil {
			return diverged(err)
		}
		return tripOutcome(calls, farthest(again, clean), map[string]float64{
			meanError: meanDistance(again, clean, t.N), meanSq: meanSquare(noise)}), nil
	}
	z, err := t.Starts()
	if err != nil {
		return lab.Outcome{}, err
	}
	return tr.outcome(ctx, z, t.N, model)
}

// outcome goes from noise to data and back, and looks at how the way back answers a
// change.
func (tr *trip[T]) outcome(ctx context.Context, z []T, n int, model diffusion.Differentiable) (lab.Outcome, error) {
	kept, err := tr.ahead(ctx, z, n)
	if err != nil {
		return lab.Outcome{}, err
	}
	home, err := tr.homeward(ctx, kept, n, z)
	if err != nil {
		return diverged(err)
	}
	cost := tr.forth.NFE() + tr.back.NFE()
	o := tripOutcome(cost, farthest(home, z), map[string]float64{
		meanError: meanDistance(home, z, n), calls: float64(cost), predicted: tr.rounding})
	o.Metrics[response], err = tr.response(ctx, kept, home, z, n, model)
	if err != nil {
		return diverged(err)
	}
	if m, ok := gammaOf(tr.name); ok && m.Gamma == 1 {
		m.Lattice = 1.0 / (1 << 40)
		o.Metrics[onLattice], err = latticeError(ctx, m, tr, z, n)
	}
	return o, err
}

// diverged is the outcome of a way back that blew up.
func diverged(err error) (lab.Outcome, error) {
	if _, ok := err.(*diffusion.DivergedError); ok {
		return lab.Outcome{Cost: math.NaN(), Quality: 0, Metrics: map[string]float64{largest: math.Inf(1)}}, nil
	}
	return lab.Outcome{}, err
}

// response changes what is inverted by 10⁻⁶ and compares the answer with that of the
// linearised inverse: a way back that only remembers gives none.
func (tr *trip[T]) response(ctx context.Context, kept [][]T, home, z []T, n int, model diffusion.Differentiable) (float64, error) {
	moved := make([][]T, len(kept))
	both := make([][]float64, len(kept)) // values, and behind them derivatives
	for i, x := range kept {
		moved[i] = append([]T(nil), x...)
		both[i] = make([]float64, 2*len(x))
		for j := range x {
			both[i][j] = float64(x[j])
			if i == 0 {
				change := float64(1-j%3) * nudge
				moved[i][j] += T(change)
				both[i][len(x)+j] = change
			}
		}
	}
	there, err := tr.homeward(ctx, moved, n, z)
	if err != nil {
		return 0, err
	}
	linear, err := diffusion.Run(ctx, tr.back, diffusion.Env[float64]{Model: dual{model}}, 2*n, both...)
	if err != nil {
		return 0, err
	}
	var off, size float64
	for j := range z {
		want := linear[0][len(z)+j]
		d := float64(there[j]) - float64(home[j]) - want
		off, size = off+d*d, size+want*want
	}
	return math.Sqrt(off / size), nil
}

// dual is a model and its derivative along a direction: the second half of a batch
// holds the directions of the first. Combinations being linear, any tape that runs on
// it runs with its derivative.
type dual struct{ diffusion.Differentiable }

func (d dual) Denoise(ctx context.Context, dst, x []float64, n int, at []diffusion.Level) error {
	h, m := len(x)/2, d.Differentiable
	if err := m.Denoise(ctx, dst[:h], x[:h], n/2, at); err != nil {
		return err
	}
	return m.JVP(ctx, dst[h:], x[:h], x[h:], n/2, at[0])
}

// latticeError is the error of the way back on a lattice. The start is put on it.
func latticeError[T diffusion.Float](ctx context.Context, m diffusion.BDIA, tr *trip[T], z []T, n int) (float64, error) {
	start := make([]T, len(z))
	for i, v := range z {
		start[i] = T(m.Lattice * math.RoundToEven(float64(v)/m.Lattice))
	}
	tp, err := diffusion.Trace(m, tr.grid, diffusion.TraceOptions{Predicts: tr.model.Predicts()})
	if err != nil {
		return 0, err
	}
	if tp, err = tp.WithPair(); err != nil {
		return 0, err
	}
	inv, err := tp.Invert(anyError)
	if err != nil {
		return 0, err
	}
	pair, err := diffusion.Run(ctx, tp, tr.env(), n, start)
	if err != nil {
		return 0, err
	}
	home, err := diffusion.Run(ctx, inv.Tape, tr.env(), n, pair...)
	if err != nil {
		return 0, err
	}
	return farthest(home[0], start), nil
}
