package ptq4dm

import (
	"context"
	"fmt"
	"math"

	"github.com/assay-lab/assay/lab"
)

// ranges is the paper's observation: activations depend on the time step.
func ranges() *lab.Experiment {
	return &lab.Experiment{
		Name:  "ptq4dm/ranges",
		Title: "Do activations change with time? The largest of each layer, step by step",
		Help:  "The largest magnitude of each layer's output while the network samples in full precision with DDIM; step 0 is the cleanest.",
		Cost:  lab.Axis{Name: "time step"}, Quality: moved, Version: 1,
		Params: params("1"),
		Grid: func(v lab.Values) ([]lab.Cell, error) {
			c, err := chain()
			if err != nil {
				return nil, err
			}
			var cs []lab.Cell
			for _, l := range c[:len(c)-1] {
				for t := range v.Int("steps") {
					cs = append(cs, lab.Cell{Panel: ddim, Method: l.Name, Budget: float64(t), Values: v})
				}
			}
			return cs, nil
		},
		Run: runRanges,
		Claims: []lab.Claim{{
			Name:  "activation ranges vary with time",
			Text:  "Over the time steps the largest activation of a layer varies by a factor of 1.3 or more.",
			Paper: "activation distributions change with the time step (figure)",
			Judge: judgeRanges,
		}},
	}
}

func runRanges(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
	t := trialOf(c)
	type key struct {
		trial
		what string
	}
	all, err := shared(key{t, "ranges"}, func() ([][]float64, error) { return t.ranges(context.WithoutCancel(ctx)) })
	if err != nil {
		return lab.Outcome{}, err
	}
	net, err := chain()
	if err != nil {
		return lab.Outcome{}, err
	}
	k := int(c.Budget)
	if k < 0 || k >= len(all) {
		return lab.Outcome{}, fmt.Errorf("step %g of %d", c.Budget, len(all))
	}
	for i, l := range net {
		if l.Name == c.Method {
			return lab.Outcome{Cost: c.Budget, Quality: all[k][i]}, nil
		}
		if c.Method == frozen { // a control: the first step's, whatever the step
			return lab.Outcome{Cost: c.Budget, Quality: all[0][0]}, nil
		}
	}
	return lab.Outcome{}, fmt.Errorf("no layer is called %q", c.Method)
}

const frozen = "a layer that does not change"

// ranges are the largest activations, by step and layer; step 0 is the cleanest.
func (t trial) ranges(ctx context.Context) ([][]float64, error) {
	net, err := chain()
	if err != nil {
		return nil, err
	}
	var all [][]float64
	_, err = t.sample(ctx, func(in []float64, n int) ([]float64, error) {
		r, err := largest(net, in, n)
		if err != nil {
			return nil, err
		}
		all = append([][]float64{r}, all...)
		return net.Forward(in, n)
	})
	return all, err
}

// judgeRanges compares the largest with the smallest range of each layer.
func judgeRanges(c lab.Curves) lab.Verdict {
	var ps []lab.Predicate
	for _, cv := range c.Curves {
		ps = append(ps, lab.AtLeast(func(lab.Curves) (string, float64, error) {
			lo, hi := math.Inf(1), 0.
			for _, p := range cv.Points {
				lo, hi = min(lo, p.Mean()), max(hi, p.Mean())
			}
			return "largest over smallest range of layer " + cv.Method, hi / lo, nil
		}, lab.Number(1.3)))
	}
	return lab.All(ps...)(c)
}
