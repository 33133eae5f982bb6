package mixllm

import (
	"context"
	"fmt"

	"github.com/assay-lab/assay/internal/rng"
	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/quant"
)

// Ways of rounding.
const (
	toNearest   = "to nearest"
	clipped     = "to nearest, clipped"
	gptq        = "GPTQ"
	gptqInOrder = "GPTQ, groups in order"
	gptqClipped = "GPTQ, clipped"
)

var rounders = []string{toNearest, clipped, gptq, gptqInOrder, gptqClipped}

// rounding compares ways of rounding on one layer.
func rounding() *lab.Experiment {
	return &lab.Experiment{
		Name:    "mixllm/gptq",
		Title:   "Ways of rounding a layer: output error over bits",
		Help:    "Normal weights of 32 rows and 192 inputs; inputs are mixtures of eight causes with noise, and half of the inputs are four times as strong. The error is that of the layer's output on the calibration text, over that of rounding to nearest.",
		Cost:    bits,
		Quality: lab.Axis{Name: "output error over rounding's", Log: true},
		Params: []lab.Param{
			{Name: "bits", Help: "bits of the codes", Kind: lab.Ints, Default: "2,3,4,6", At: map[lab.Size]string{lab.Quick: "3,4"}, Min: 2, Max: 8},
			{Name: "group", Help: "inputs that share a scale", Kind: lab.Int, Default: "32", Min: 1, Max: 192},
			{Name: "tokens", Help: "calibration tokens", Kind: lab.Int, Default: "1000", Min: 1, Max: 100000},
			seedsParam("layers", "5", "50"),
		},
		Version: 1,
		Grid: func(v lab.Values) ([]lab.Cell, error) {
			var cs []lab.Cell
			for _, m := range rounders {
				for _, b := range v.Ints("bits") {
					for seed := range v.Int("seeds") {
						cs = append(cs, lab.Cell{Method: m, Budget: float64(b), Seed: uint64(seed), Values: v})
					}
				}
			}
			return cs, nil
		},
		Run:    runRounding,
		Claims: roundingClaims(),
	}
}

// correlatedLayer draws weights and what they are calibrated on.
func correlatedLayer(seed uint64, tokens int) (w quant.Dense, in *quant.Inputs, err error) {
	const rows, cols, causes = 32, 192, 8
	src := rng.Stream(seed, 20)
	normal := func(r, c int) quant.Dense {
		d := quant.Dense{Rows: r, Cols: c, X: make([]float64, r*c)}
		for i := range d.X {
			d.X[i] = src.NormFloat64()
		}
		return d
	}
	w, x := normal(rows, cols), normal(tokens, cols)
	mix, cause := normal(causes, cols), normal(tokens, causes)
	for t := range tokens {
		for i := range cols {
			v := x.X[t*cols+i]
			for j, a := range cause.Row(t) {
				v += a / 2 * mix.X[j*cols+i]
			}
			if i%2 == 1 {
				v *= 4
			}
			x.X[t*cols+i] = v
		}
	}
	in = &quant.Inputs{}
	return w, in, in.Add(x)
}

func runRounding(_ context.Context, c lab.Cell) (lab.Outcome, error) {
	w, in, err := correlatedLayer(c.Seed, c.Values.Int("tokens"))
	if err != nil {
		return lab.Outcome{}, err
	}
	s := quant.Spec{Bits: int(c.Budget), Group: c.Values.Int("group"), Symmetric: c.Budget == 8}
	base, err := quant.RTN(w, s)
	if err != nil {
		return lab.Outcome{}, err
	}
	m := base
	switch c.Method {
	case toNearest:
	case clipped:
		m, _, err = quant.ClipSearch(w, in, s)
	case gptq:
		m, _, err = quant.GPTQ{FullRange: true}.Quantize(w, in, s)
	case gptqInOrder:
		m, _, err = quant.GPTQ{FullRange: true, InOrder: true}.Quantize(w, in, s)
	case gptqClipped:
		m, _, err = quant.GPTQ{}.Quantize(w, in, s)
	default:
		err = fmt.Errorf("no rounding is called %q", c.Method)
	}
	if err != nil {
		return lab.Outcome{}, err
	}
	mse, err := in.MSE(w, m)
	if err != nil {
		return lab.Outcome{}, err
	}
	rtn, err := in.MSE(w, base)
	return lab.Outcome{Cost: c.Budget, Quality: mse / rtn, Metrics: map[string]float64{"output error": mse}}, err
}
