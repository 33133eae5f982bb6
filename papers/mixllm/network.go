package mixllm

import (
	"context"
	"fmt"
	"runtime"
	"slices"

	"github.com/assay-lab/assay/internal/nn/decoder"
	"github.com/assay-lab/assay/internal/recent"
	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/quant"
)

// A problem is a language model, with text to calibrate on and to judge by.
type problem struct {
	id                string // of the model and the text
	model             *decoder.Model
	calibration, test [][]int
}

// memo keeps what several cells of a process need, of the last few problems.
type memo = recent.Cache[any]

// once calls f once a key, and again after an error.
func once[T any](m *memo, key string, f func() (T, error)) (T, error) {
	v, err := m.Get(key, func() (any, error) { return f() })
	t, _ := v.(T)
	return t, err
}

var floatLosses, calibrations = memo{Most: 64}, memo{Most: 16}

// floatLoss is the loss of the model as it is.
func (p *problem) floatLoss(ctx context.Context) (float64, error) {
	return once(&floatLosses, p.id, func() (float64, error) { return p.model.Loss(ctx, p.test, nil) })
}

// calibrated are the layers with their inputs and salience for the method's low
// bits. They are shared: only to be read.
func (p *problem) calibrated(ctx context.Context, m quant.MixLLM) ([]*quant.Calibration, error) {
	key := fmt.Sprintf("%s %d bits, groups of %d", p.id, m.Low, m.Group)
	return once(&calibrations, key, func() ([]*quant.Calibration, error) {
		return Calibrate(ctx, p.model, m, p.calibration, nil)
	})
}

// Calibrate shows a model calibration sequences. progress, unless nil, is called
// after each.
func Calibrate(ctx context.Context, model *decoder.Model, m quant.MixLLM, seqs [][]int, progress func(done int)) ([]*quant.Calibration, error) {
	var layers []*quant.Calibration
	for _, l := range model.Linears() {
		c, err := m.Calibrate(l.Name, quant.NewDense(l.Weights, l.Rows, l.Cols))
		if err != nil {
			return nil, err
		}
		layers = append(layers, c)
	}
	for i, seq := range seqs {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := addSequence(model, layers, seq); err != nil {
			return nil, err
		}
		if progress != nil {
			progress(i + 1)
		}
	}
	return layers, nil
}

// addSequence adds one sequence to all layers, on as many goroutines as there are
// processors.
func addSequence(model *decoder.Model, layers []*quant.Calibration, seq []int) error {
	errs := make(chan error, len(layers)) // each sends one
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	_, err := model.Watch(seq, func(i int, x, grad []float32) error {
		l := layers[i]
		xs, gs := quant.NewDense(x, len(seq)-1, l.Weights.Cols), quant.NewDense(grad, len(seq)-1, l.Weights.Rows)
		slots <- struct{}{}
		go func() {
			errs <- l.Add(xs, gs)
			<-slots
		}()
		return nil
	})
	if err != nil {
		return err // of the sequence, before any layer was shown: what sees them cannot fail
	}
	for range layers {
		if e := <-errs; e != nil && err == nil {
			err = e
		}
	}
	return err
}

// ProductsOf are quantized layers as the model takes them, by their names; others
// stay as they are.
func ProductsOf(model *decoder.Model, layers []*quant.Layer) ([]decoder.Product, error) {
	ps := make([]decoder.Product, len(model.Linears()))
	for i, l := range model.Linears() {
		at := slices.IndexFunc(layers, func(q *quant.Layer) bool { return q.Name == l.Name })
		if at < 0 {
			continue
		}
		x, err := layers[at].Linear()
		if err != nil {
			return nil, err
		}
		if x.Rows() != l.Rows || x.Cols() != l.Cols {
			return nil, fmt.Errorf("layer %s is %d × %d: the model's is %d × %d", l.Name, x.Rows(), x.Cols(), l.Rows, l.Cols)
		}
		ps[i] = x.Forward
	}
	return ps, nil
}

// A result is what a quantized model is like.
type result struct {
	loss, floatLoss float64 // on the test text, in nats a token
	bits            float64 // a weight, scales and zero points included
	outputError     float64 // mean over layers of the output's error over that of rounding
	unevenness      float64
}

// quantized runs a cell: choose, quantize, judge.
func (p *problem) quantized(ctx context.Context, c lab.Cell) (r result, err error) {
	low, err := lowOf(c)
	if err != nil {
		return r, err
	}
	m := quant.MixLLM{Group: c.Values.Int("group"), Low: low, High: []quant.Width{{Bits: 8, Percent: share(low, c.Budget)}}}
	if m.Rounding, err = quant.ParseRounding(c.Values.Text("rounding")); err != nil {
		return r, err
	}
	layers, err := p.calibrated(ctx, m)
	if err != nil {
		return r, err
	}
	plan, err := choose(c.Method, c.Seed, m, layers)
	if err != nil {
		return r, err
	}
	ls, reports, err := m.Quantize(layers, plan)
	if err != nil {
		return r, err
	}
	for _, l := range reports {
		r.outputError += l.MSE / l.NearestMSE / float64(len(reports))
	}
	products, err := ProductsOf(p.model, ls)
	if err != nil {
		return r, err
	}
	if r.loss, err = p.model.Loss(ctx, p.test, products); err != nil {
		return r, err
	}
	r.floatLoss, err = p.floatLoss(ctx)
	_, r.bits = quant.AverageBits(ls)
	r.unevenness = unevenness(plan)
	return r, err
}

func (r result) metrics() map[string]float64 {
	return map[string]float64{
		"loss":              r.loss,
		"loss of float32":   r.floatLoss,
		largestShare:        r.unevenness,
		"output error left": r.outputError,
	}
}

// largestShare is the metric of how unevenly 8-bit rows are spread over layers.
const largestShare = "largest layer's share over the mean"

func roundingParam(def string) lab.Param {
	return lab.Param{Name: "rounding", Help: "how codes are found", Kind: lab.Choice, Default: def,
		Choices: []string{quant.ToNearest.String(), quant.ByClip.String(), quant.ByGPTQ.String()}}
}
