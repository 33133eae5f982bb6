package ghvb

import (
	"context"
	"fmt"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/lab"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
)

// tradeoff is the divergence experiment over the order number, which is the knob that
// a user turns.
func tradeoff() *lab.Experiment {
	return &lab.Experiment{
		Name:    "ghvb/tradeoff",
		Title:   "Accuracy against stability: error over the order number",
		Help:    "The problems of ghvb/divergence at guidance 15. The order number is k − 1 + β; at whole numbers the method is plain PLMS of that order.",
		Cost:    lab.Axis{Name: "order number"},
		Quality: mixture.RMSError,
		Params: []lab.Param{
			{Name: "order", Help: "order numbers", Kind: lab.Floats, Default: "1,1.2,1.4,1.6,1.8,2,2.2,2.4,2.6,2.8,3,3.2,3.4,3.6,3.8,4",
				At: map[lab.Size]string{lab.Quick: "1,2,2.4,3,3.4,4"}, Min: 0.05, Max: 5},
			{Name: "steps", Help: "numbers of steps", Kind: lab.Ints, Default: "10,15,60", Min: 5, Max: 499},
			{Name: "guidance", Help: "guidance scale", Kind: lab.Float, Default: "15", Min: 0, Max: 100},
			{Name: "n", Help: "start states a seed", Kind: lab.Int, Default: "64", At: map[lab.Size]string{lab.Quick: "16", lab.Full: "512"}, Min: 1, Max: 100000},
			{Name: "seeds", Help: "independent sets of start states", Kind: lab.Int, Default: "3", At: map[lab.Size]string{lab.Quick: "1", lab.Full: "10"}, Min: 1, Max: 1000},
		},
		Version: 1,
		Grid:    tradeoffGrid,
		Run:     runTradeoff,
		Claims:  tradeoffClaims(),
	}
}

var tradeoffKinds = []diffusion.MomentumKind{diffusion.Generalized, diffusion.Polyak}

func tradeoffName(kind diffusion.MomentumKind, steps int) string {
	return fmt.Sprintf("%v, %d steps", kind, steps)
}

func tradeoffGrid(v lab.Values) ([]lab.Cell, error) {
	var cs []lab.Cell
	for _, panel := range []string{equal, narrow} {
		for _, kind := range tradeoffKinds {
			for _, steps := range v.Ints("steps") {
				for _, order := range v.Floats("order") {
					if _, _, err := diffusion.SplitOrder(order); err != nil {
						return nil, err
					}
					for seed := range v.Int("seeds") {
						cs = append(cs, lab.Cell{Panel: panel, Method: tradeoffName(kind, steps), Budget: order, Seed: uint64(seed), Values: v})
					}
				}
			}
		}
	}
	return cs, nil
}

func runTradeoff(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
	k, beta, err := diffusion.SplitOrder(c.Budget)
	if err != nil {
		return lab.Outcome{}, err
	}
	for _, kind := range tradeoffKinds {
		for _, steps := range c.Values.Ints("steps") {
			if tradeoffName(kind, steps) == c.Method {
				o, err := sampleGuided(ctx, c, of(kind, k, beta), steps)
				o.Cost = c.Budget
				return o, err
			}
		}
	}
	return lab.Outcome{}, fmt.Errorf("no method is called %q", c.Method)
}

func tradeoffClaims() []lab.Claim {
	at := func(panel string, steps int, order float64) lab.Term {
		return lab.At(panel, tradeoffName(diffusion.Generalized, steps), order)
	}
	return []lab.Claim{{
		Name:  "the order number trades accuracy for stability",
		Text:  "With GHVB, the error at 10 steps of the harder problem falls from order number 4 over 3.4 to 2.4, and that at 60 steps of the easier one rises.",
		Paper: "the order number moves between accuracy and stability (section 4.2)",
		Judge: lab.All(
			lab.Less(at(narrow, 10, 3.4), at(narrow, 10, 4)), lab.Less(at(narrow, 10, 2.4), at(narrow, 10, 3.4)),
			lab.More(at(equal, 60, 3.4), at(equal, 60, 4)), lab.More(at(equal, 60, 2.4), at(equal, 60, 3.4))),
	}}
}
