package mixllm

import (
	"fmt"
	"math"
	"slices"

	"github.com/assay-lab/assay/internal/rng"
	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/quant"
)

// Experiments lists the paper's experiments, the main one first.
func Experiments() []*lab.Experiment {
	return []*lab.Experiment{markovBits(), letterBits(), propagation(), rounding(), exactness()}
}

// The ways to choose the rows that get 8 bits. Their names are the same in every
// experiment, and so are their colours.
const (
	uniform     = "low bits everywhere"
	random      = "random rows"
	weightError = "largest weight error"
	perLayer    = "salience, layer by layer"
	mixLLM      = "MixLLM"
	eightBits   = "8 bits everywhere"
)

var choosers = []string{random, weightError, perLayer, mixLLM}

var bits = lab.Axis{Name: "bits", Unit: "a weight"}

func seedsParam(help, desk, full string) lab.Param {
	return lab.Param{Name: "seeds", Help: help, Kind: lab.Int, Default: desk,
		At: map[lab.Size]string{lab.Quick: "1", lab.Full: full}, Min: 1, Max: 1000}
}

// bitsParams are what both experiments on language models have; quick are the
// shares at that size.
func bitsParams(quick string) []lab.Param {
	return []lab.Param{
		{Name: "low", Help: "bits of most rows, a panel each", Kind: lab.Ints, Default: "3,4", Min: 2, Max: 7},
		{Name: "percent", Help: "shares of the rows that MixLLM gives 8 bits, in percent", Kind: lab.Floats, Default: "5,10,20,50",
			At: map[lab.Size]string{lab.Quick: quick}, Min: 0, Max: 100},
		{Name: "rival-percent", Help: "and those that other ways of choosing give", Kind: lab.Floats, Default: "10",
			At: map[lab.Size]string{lab.Full: "5,10,20,50"}, Min: 0, Max: 100},
	}
}

// budget is the mean number of bits of a code when that share of the rows has 8.
func budget(low int, percent float64) float64 {
	return math.Round(1e9*(float64(low)+float64(8-low)*percent/100)) / 1e9
}

// share is its inverse, in percent.
func share(low int, budget float64) float64 {
	return math.Round(1e6*100*(budget-float64(low))/float64(8-low)) / 1e6
}

func panel(low int) string { return fmt.Sprintf("%d and 8 bits", low) }

func lowOf(c lab.Cell) (low int, err error) {
	if _, err = fmt.Sscanf(c.Panel, "%d and 8 bits", &low); err != nil || low < 2 || low > 7 {
		return 0, fmt.Errorf("panel %q: want one like %q", c.Panel, panel(4))
	}
	return low, nil
}

// checkCell looks at a cell before anything expensive is done for it.
func checkCell(c lab.Cell) error {
	if !slices.Contains(append(choosers, uniform, eightBits), c.Method) {
		return fmt.Errorf("no way of choosing is called %q", c.Method)
	}
	_, err := lowOf(c)
	return err
}

// bitsGrid is panel × way of choosing × budget × seed.
func bitsGrid(v lab.Values) ([]lab.Cell, error) {
	var cs []lab.Cell
	for _, low := range v.Ints("low") {
		add := func(method string, budgets ...float64) {
			for _, b := range budgets {
				for seed := range v.Int("seeds") {
					cs = append(cs, lab.Cell{Panel: panel(low), Method: method, Budget: b, Seed: uint64(seed), Values: v})
				}
			}
		}
		add(uniform, float64(low))
		for _, m := range choosers {
			percents := v.Floats("rival-percent")
			if m == mixLLM {
				percents = v.Floats("percent")
			}
			for _, p := range slices.Compact(slices.Sorted(slices.Values(percents))) {
				add(m, budget(low, p))
			}
		}
		add(eightBits, 8)
	}
	return cs, nil
}

// choose makes the plan of a cell's method.
func choose(method string, seed uint64, m quant.MixLLM, layers []*quant.Calibration) (quant.Plan, error) {
	var rows []int
	for _, l := range layers {
		rows = append(rows, l.Weights.Rows)
	}
	switch method {
	case uniform:
		return quant.Uniform(rows, m.Low), nil
	case eightBits:
		return quant.Uniform(rows, 8), nil
	case mixLLM:
		return m.Plan(layers)
	case weightError:
		return m.PlanBy(layers, func(c *quant.Calibration, bits int) ([]float64, error) {
			return quant.WeightError(c.Weights, m.Spec(bits))
		})
	case random:
		src := rng.Stream(seed, 2)
		return m.PlanBy(layers, func(c *quant.Calibration, _ int) ([]float64, error) {
			scores := make([]float64, c.Weights.Rows)
			for i := range scores {
				scores[i] = src.Float64()
			}
			return scores, nil
		})
	case perLayer:
		var scores [][]float64
		for _, l := range layers {
			s, err := l.Scores(m.Low)
			if err != nil {
				return nil, err
			}
			scores = append(scores, s)
		}
		return quant.SelectPerLayer(scores, m.High[0].Percent, m.Low, 8)
	}
	return nil, fmt.Errorf("no way of choosing is called %q", method)
}

// unevenness is the largest layer's share of 8-bit rows over the mean share.
func unevenness(p quant.Plan) float64 {
	var most float64
	high, all := 0, 0
	for l, rows := range p {
		n := len(p.Rows(l, 8))
		high, all = high+n, all+len(rows)
		most = max(most, float64(n)/float64(len(rows)))
	}
	if high == 0 {
		return 0
	}
	return most * float64(all) / float64(high)
}
