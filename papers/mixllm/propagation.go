package mixllm

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"

	"github.com/assay-lab/assay/internal/rng"
	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/quant"
)

// Predictions of what rounding a row does to the loss.
const (
	byRow       = "salience"
	secondOrder = "salience, second order only"
	byDiagonal  = "salience, diagonal"
)

var predictors = []string{byRow, secondOrder, byDiagonal, weightError, random}

// propagation asks whether salience predicts what happens.
func propagation() *lab.Experiment {
	return &lab.Experiment{
		Name:    "mixllm/salience",
		Title:   "Does salience predict how the loss changes? Rank correlation over calibration text",
		Help:    "Rows of the layers of small decoders, drawn at random, are rounded to low bits one at a time, all else being float32. The rank correlation is that of their predicted score with the size of the loss's change on each calibration sequence, added up.",
		Cost:    lab.Axis{Name: "calibration sequences", Log: true},
		Quality: lab.Axis{Name: "rank correlation", Better: lab.Higher},
		Params: []lab.Param{
			{Name: "low", Help: "bits that rows are rounded to", Kind: lab.Int, Default: "4", Min: 2, Max: 7},
			{Name: "group", Help: "inputs that share a scale", Kind: lab.Int, Default: "32", Min: 1, Max: 64},
			{Name: "rows", Help: "rows tried", Kind: lab.Int, Default: "200", Min: 10, Max: 1152},
			{Name: "sequences", Help: "calibration sequences that predict; all of the largest number are what is predicted", Kind: lab.Ints, Default: "4,16,64", At: map[lab.Size]string{lab.Quick: "64", lab.Full: "1,4,16,64,256"}, Min: 1, Max: 10000},
			seedsParam("models, each of a source of its own", "3", "10"),
		},
		Version: 1,
		Grid: func(v lab.Values) ([]lab.Cell, error) {
			var cs []lab.Cell
			for _, m := range predictors {
				for _, n := range v.Ints("sequences") {
					for seed := range v.Int("seeds") {
						cs = append(cs, lab.Cell{Method: m, Budget: float64(n), Seed: uint64(seed), Values: v})
					}
				}
			}
			return cs, nil
		},
		Run:    runPropagation,
		Claims: propagationClaims(),
	}
}

// A place is a row of a layer.
type place struct{ layer, row int }

func runPropagation(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
	if !slices.Contains(predictors, c.Method) {
		return lab.Outcome{}, fmt.Errorf("no prediction is called %q", c.Method)
	}
	texts := lab.Values{"calibration": fmt.Sprint(slices.Max(c.Values.Ints("sequences"))), "test": "1"}
	p, err := markovProblem(ctx, lab.Cell{Seed: c.Seed, Values: texts})
	if err != nil {
		return lab.Outcome{}, err
	}
	spec := quant.Spec{Bits: c.Values.Int("low"), Group: c.Values.Int("group")}
	places := drawRows(p, c.Values.Int("rows"), c.Seed)
	truth, err := p.changes(ctx, spec, places)
	if err != nil {
		return lab.Outcome{}, err
	}
	scores, err := p.predict(c, spec)
	if err != nil {
		return lab.Outcome{}, err
	}
	predicted := make([]float64, len(places))
	for i, at := range places {
		predicted[i] = scores[at.layer][at.row]
	}
	return lab.Outcome{
		Cost:    c.Budget,
		Quality: rankCorrelation(predicted, truth.sizes),
		Metrics: map[string]float64{"rank correlation with the mean loss's change": rankCorrelation(predicted, truth.means)},
	}, nil
}

// drawRows draws rows of all layers without replacement.
func drawRows(p *problem, n int, seed uint64) []place {
	var all []place
	for l, x := range p.model.Linears() {
		for o := range x.Rows {
			all = append(all, place{l, o})
		}
	}
	src := rng.Stream(seed, 14)
	src.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:min(n, len(all))]
}

// truth is how the loss changes when a row is rounded: sizes are Σ |change| over
// the sequences, means |Σ change|.
type truth struct{ sizes, means []float64 }

var truths = memo{Most: 1024}

func (p *problem) changes(ctx context.Context, s quant.Spec, places []place) (truth, error) {
	return once(&truths, fmt.Sprint(p.id, s, len(places)), func() (truth, error) {
		var t truth
		before, err := p.model.Losses(ctx, p.calibration, nil)
		if err != nil {
			return t, err
		}
		for _, at := range places {
			l := p.model.Linears()[at.layer]
			w := slices.Clone(l.Weights)
			row := w[at.row*l.Cols : (at.row+1)*l.Cols]
			q, err := quant.RTN(quant.NewDense(row, 1, l.Cols), s)
			if err != nil {
				return t, err
			}
			for i, x := range q.Dequantize().X {
				row[i] = float32(x)
			}
			changed, err := p.model.WithLinear(at.layer, w)
			if err != nil {
				return t, err
			}
			after, err := changed.Losses(ctx, p.calibration, nil)
			if err != nil {
				return t, err
			}
			var size, mean float64
			for i := range after {
				size += math.Abs(after[i] - before[i])
				mean += after[i] - before[i]
			}
			t.sizes, t.means = append(t.sizes, size), append(t.means, math.Abs(mean))
		}
		return t, nil
	})
}

// predict scores all rows by the cell's method and its number of sequences.
func (p *problem) predict(c lab.Cell, spec quant.Spec) ([][]float64, error) {
	s := quant.Salience{Spec: spec}
	switch c.Method {
	case byRow:
	case secondOrder:
		s.SecondOrderOnly = true
	case byDiagonal:
		s.Diagonal = true
	case weightError, random:
		return p.predictBlindly(c, spec)
	default:
		return nil, fmt.Errorf("no prediction is called %q", c.Method)
	}
	var scorers []*quant.Scorer
	for _, l := range p.model.Linears() {
		sc, err := s.Scorer(quant.NewDense(l.Weights, l.Rows, l.Cols))
		if err != nil {
			return nil, err
		}
		scorers = append(scorers, sc)
	}
	for _, seq := range p.calibration[:min(int(c.Budget), len(p.calibration))] {
		_, err := p.model.Watch(seq, func(i int, x, grad []float32) error {
			l := p.model.Linears()[i]
			return scorers[i].Add(quant.NewDense(x, len(seq)-1, l.Cols), quant.NewDense(grad, len(seq)-1, l.Rows))
		})
		if err != nil {
			return nil, err
		}
	}
	scores := make([][]float64, len(scorers))
	for i, sc := range scorers {
		var err error
		if scores[i], err = sc.Scores(); err != nil {
			return nil, err
		}
	}
	return scores, nil
}

// predictBlindly scores without looking at the loss.
func (p *problem) predictBlindly(c lab.Cell, spec quant.Spec) ([][]float64, error) {
	src := rng.Stream(c.Seed, 15, uint64(c.Budget))
	var scores [][]float64
	for _, l := range p.model.Linears() {
		s, err := quant.WeightError(quant.NewDense(l.Weights, l.Rows, l.Cols), spec)
		if err != nil {
			return nil, err
		}
		for i := range s {
			if c.Method == random {
				s[i] = src.Float64()
			}
		}
		scores = append(scores, s)
	}
	return scores, nil
}

// rankCorrelation is Spearman's.
func rankCorrelation(x, y []float64) float64 { return stat.Correlation(ranks(x), ranks(y), nil) }

func ranks(x []float64) []float64 {
	order := make([]int, len(x))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(x[a], x[b]) })
	r := make([]float64, len(x))
	for rank, i := range order {
		r[i] = float64(rank)
	}
	return r
}
