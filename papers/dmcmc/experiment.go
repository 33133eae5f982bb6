package dmcmc

import (
	"context"
	"fmt"
	"slices"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/lab"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
)

// Experiments lists the paper's experiments, the main one first.
func Experiments() []*lab.Experiment {
	return []*lab.Experiment{calls(rivals), flow(), levels(), digits(digitsRivals)}
}

// A kind is where a rival's integrator starts.
type kind uint8

const (
	noise    kind = iota // pure noise
	drawn                // a chain, its level drawn
	argmax               // a chain with the likeliest level
	renoised             // the last sample, made noisy again: the control without a chain
	frozen               // a chain whose level is never drawn: the other control
	// Crippled chains, for the tests.
	fromTop   // denoised as if it were pure noise
	collapsed // all chains start from one state
)

// A rival is an integrator and where it starts.
type rival struct {
	name    string
	method  diffusion.Method
	flow    *diffusion.Flow
	kind    kind
	perStep int // calls a step; 0: 1
	less    int // calls less than that altogether
}

// steps is how many steps the integrator makes of so many calls.
func (r rival) steps(calls int) int { return (calls + r.less) / max(r.perStep, 1) }

// plan divides a budget: 40 % for the walk, one call for the Tweedie step, and the
// rest for the integrator.
func (r rival) plan(budget int) (skip, steps int) {
	if r.kind != noise && r.kind != renoised {
		skip = max(2*budget/5, 1)
	}
	return skip, r.steps(budget - skip - 1)
}

// least is the smallest number of steps.
const least = 2

func of(k kind, prefix string, r rival) rival {
	r.kind, r.name = k, prefix+r.name
	return r
}

var (
	kar1 = rival{name: "KAR1", method: diffusion.KarrasHeun{}, perStep: 2, less: 1}
	kar2 = rival{name: "KAR2", method: diffusion.Churned, perStep: 2, less: 1}
	rd   = rival{name: "RD", method: diffusion.ReverseDiffusion{}}
	pc   = rival{name: "PC", method: diffusion.ReverseDiffusion{Corrector: diffusion.Langevin{Steps: 1}}, perStep: 2}
	em   = rival{name: "EM", method: diffusion.EulerMaruyama{}}

	dlgKAR1 = of(drawn, "DLG + ", kar1)
	dlgKAR2 = of(drawn, "DLG + ", kar2)

	rivals = []rival{kar1, dlgKAR1, of(argmax, "DLG by argmax + ", kar1), of(renoised, "noise again + ", kar1), of(frozen, "frozen level + ", kar1),
		kar2, dlgKAR2, rd, of(drawn, "DLG + ", rd), pc, of(drawn, "DLG + ", pc), em, of(drawn, "DLG + ", em)}

	// crippled stand in for chains in the tests.
	crippled = []rival{of(fromTop, "from the top + ", kar1), of(collapsed, "collapsed + ", kar1)}
)

func find(list []rival, name string) (rival, error) {
	i := slices.IndexFunc(list, func(r rival) bool { return r.name == name })
	if i < 0 {
		return rival{}, fmt.Errorf("no rival is called %q", name)
	}
	return list[i], nil
}

var distance = lab.Axis{Name: "sliced W2", Log: true}

// chainParams are the parameters of experiments with chains.
func chainParams(more ...lab.Param) []lab.Param {
	return append([]lab.Param{
		{Name: "eta", Help: "η, the Langevin step", Kind: lab.Float, Default: "0.05", Min: 1e-6, Max: 100},
		{Name: "levels", Help: "noise levels of the chain's ladder", Kind: lab.Int, Default: "1000", At: map[lab.Size]string{lab.Quick: "100"}, Min: 2, Max: 100000},
		{Name: "chains", Help: "chains side by side", Kind: lab.Int, Default: "200", Min: 2, Max: 100000},
		{Name: "samples", Help: "samples of every chain", Kind: lab.Int, Default: "10", Min: 2, Max: 100000},
		{Name: "seeds", Help: "independent runs", Kind: lab.Int, Default: "3", At: map[lab.Size]string{lab.Quick: "1", lab.Full: "10"}, Min: 1, Max: 1000},
	}, more...)
}

// calls is the main experiment, with those rivals.
func calls(rivals []rival) *lab.Experiment {
	return &lab.Experiment{
		Name:    "dmcmc/calls",
		Title:   "Denoising MCMC: distance to the data over network calls a sample",
		Help:    "Ten narrow Gaussians in 16 dimensions with their exact score and exact level posterior, noise from 50 to 0.01. Every integrator starts from pure noise, and from chains (DLG), which spend 40 % of the calls on walking; the Tweedie step is counted, the start of the chains is not: it is listed beside. Two controls ask what the walk over levels is worth: one makes the last sample noisy again, with σ = 0.5, instead of walking; the other walks at one level, the ladder's middle, σ = 0.71.",
		Cost:    mixture.NFE,
		Quality: distance,
		Version: 1,
		Params: chainParams(lab.Param{Name: "nfe", Help: "calls a sample", Kind: lab.Ints, Default: "6,10,20,40",
			At: map[lab.Size]string{lab.Quick: "10", lab.Full: "6,10,14,20,30,40,80"}, Min: 6, Max: 100000}),
		Grid: func(v lab.Values) ([]lab.Cell, error) { return grid(v, rivals), nil },
		Run: func(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
			r, err := find(append(slices.Clone(rivals), crippled...), c.Method)
			if err != nil {
				return lab.Outcome{}, err
			}
			skip, steps := r.plan(int(c.Budget))
			return runRival(ctx, c, r, skip, steps)
		},
		Claims: []lab.Claim{halvesClaim()},
	}
}

// grid is rival × nfe × seed, without the budgets that a rival cannot spend.
func grid(v lab.Values, rivals []rival) []lab.Cell {
	var cs []lab.Cell
	for _, r := range rivals {
		for _, b := range v.Ints("nfe") {
			if _, steps := r.plan(b); steps < least {
				continue
			}
			for seed := range v.Int("seeds") {
				cs = append(cs, lab.Cell{Method: r.name, Budget: float64(b), Seed: uint64(seed), Values: v})
			}
		}
	}
	return cs
}

func runRival(ctx context.Context, c lab.Cell, r rival, skip, steps int) (lab.Outcome, error) {
	t, err := newTrial(c, r)
	if err != nil {
		return lab.Outcome{}, err
	}
	var h haul
	if r.kind == noise {
		h, err = t.vanilla(ctx, r, steps)
	} else {
		h, err = t.walk(ctx, r, skip, steps)
	}
	if err != nil {
		return lab.Outcome{}, err
	}
	return t.outcome(h)
}
