// Package ptq4dm assays PTQ4DM (Shang et al. 2023), post-training quantization of
// diffusion models: its conformance cases and its experiments. The methods are
// quant.PostTraining and the calibration sets of diffusion/calibration.
package ptq4dm

import (
	"context"
	"fmt"
	"regexp"

	"github.com/assay-lab/assay/diffusion/calibration"
	"github.com/assay-lab/assay/lab/conform"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
	"github.com/assay-lab/assay/quant"
)

var handlers = []struct {
	method *regexp.Regexp
	run    conform.Handler
}{
	{regexp.MustCompile(`^per-tensor quantizer, L[0-9.]+ range search \([12]-D\)$`), caseTensor},
	{regexp.MustCompile(`^per-output-channel weight quantizer$`), caseChannels},
	{regexp.MustCompile(`^activation quantizer range update over calibration batches \(0\.1 new \+ 0\.9 old\)$`), caseRunning},
	{regexp.MustCompile(`^AdaRound soft and hard rounding$`), caseAdaRound},
	{regexp.MustCompile(`^normally distributed time-step calibration draws$`), caseNDTC},
	{regexp.MustCompile(`^quantized noise-prediction MLP, calibrate then run$`), caseNetwork},
}

// Case runs a conformance case.
func Case(ctx context.Context, c conform.Case) (conform.Got, error) {
	for _, h := range handlers {
		if h.method.MatchString(c.Method) {
			return h.run(ctx, c)
		}
	}
	return nil, fmt.Errorf("method %q is unknown", c.Method)
}

// An array is nested lists of numbers.
type array struct {
	shape []int
	x     []float64
}

// newArray reads nested lists as encoding/json gives them.
func newArray(v any) (a array, err error) {
	err = a.read(v, 0)
	n := 1
	for _, d := range a.shape {
		n *= d
	}
	if err == nil && n != len(a.x) {
		err = fmt.Errorf("lists of unequal length: %d numbers for shape %v", len(a.x), a.shape)
	}
	return a, err
}

func (a *array) read(v any, depth int) error {
	switch v := v.(type) {
	case float64:
		if depth != len(a.shape) {
			return fmt.Errorf("lists are nested unevenly")
		}
		a.x = append(a.x, v)
	case []any:
		if depth == len(a.shape) {
			if len(a.x) > 0 {
				return fmt.Errorf("lists are nested unevenly")
			}
			a.shape = append(a.shape, len(v))
		}
		if depth >= len(a.shape) || a.shape[depth] != len(v) {
			return fmt.Errorf("lists of %d: want all of one length", len(v))
		}
		for _, e := range v {
			if err := a.read(e, depth+1); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("%v is no number", v)
	}
	return nil
}

// nested writes x as lists in the array's shape.
func nested[T any](shape []int, x []T) any {
	if len(shape) == 1 {
		return x
	}
	out := make([]any, shape[0])
	n := len(x) / max(shape[0], 1)
	for i := range out {
		out[i] = nested(shape[1:], x[i*n:(i+1)*n])
	}
	return out
}

// searchInput is how cases describe a range search.
type searchInput struct {
	Bits      int     `json:"n_bits"`
	Symmetric bool    `json:"symmetric"`
	ByChannel bool    `json:"channel_wise"`
	Steps     int     `json:"search_steps"`
	P         float64 `json:"p"`
}

func (in searchInput) search() quant.RangeSearch {
	return quant.RangeSearch{Bits: in.Bits, Asymmetric: !in.Symmetric, Steps: in.Steps, P: in.P}
}

func caseTensor(_ context.Context, c conform.Case) (conform.Got, error) {
	var in struct {
		searchInput
		X any `json:"x"`
	}
	if err := mixture.Decode(c, &in); err != nil {
		return nil, err
	}
	a, err := newArray(in.X)
	if err != nil {
		return nil, fmt.Errorf("x: %w", err)
	}
	if in.ByChannel {
		return byChannel(in.search(), a)
	}
	side := quant.SideOf(a.x)
	lo, hi, err := in.search().Tensor(a.x, side)
	if err != nil {
		return nil, err
	}
	q, err := quant.NewAffine(in.Bits, []float64{lo}, []float64{hi})
	if err != nil {
		return nil, err
	}
	got, err := quantized(q, a)
	if err != nil {
		return nil, err
	}
	got["scale"], got["zero_point"], got["one_side"] = q.Scale[0], float64(q.Zero[0]), side.String()
	return got, nil
}

// quantized are an array's codes and what they stand for.
func quantized(q quant.Affine, a array) (conform.Got, error) {
	codes, back := make([]uint8, len(a.x)), make([]float64, len(a.x))
	if err := q.Quantize(codes, a.x); err != nil {
		return nil, err
	}
	if err := q.Dequantize(back, codes); err != nil {
		return nil, err
	}
	return conform.Got{"integer": nested(a.shape, floats(codes)), "dequantized": nested(a.shape, back)}, nil
}

func floats[T int | uint8](x []T) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = float64(v)
	}
	return out
}

func caseChannels(_ context.Context, c conform.Case) (conform.Got, error) {
	var in struct {
		searchInput
		W any `json:"w"`
	}
	if err := mixture.Decode(c, &in); err != nil {
		return nil, err
	}
	a, err := newArray(in.W)
	if err != nil {
		return nil, fmt.Errorf("w: %w", err)
	}
	if !in.ByChannel {
		return nil, fmt.Errorf("channel_wise is false")
	}
	return byChannel(in.search(), a)
}

func byChannel(s quant.RangeSearch, a array) (conform.Got, error) {
	q, err := s.Channels(a.x, a.shape[0])
	if err != nil {
		return nil, err
	}
	got, err := quantized(q, a)
	if err != nil {
		return nil, err
	}
	got["scale"], got["zero_point"], got["one_side"] = q.Scale, floats(q.Zero), quant.SideOf(a.x).String()
	return got, nil
}

func caseRunning(_ context.Context, c conform.Case) (conform.Got, error) {
	var in struct {
		searchInput
		Batches []any `json:"batches"`
	}
	if err := mixture.Decode(c, &in); err != nil {
		return nil, err
	}
	o := quant.Observer{Search: in.search()}
	type state struct {
		Scale       float64 `json:"scale"`
		Zero        float64 `json:"zero_point"`
		Lo          float64 `json:"running_min"`
		Hi          float64 `json:"running_max"`
		Dequantized any     `json:"dequantized"`
	}
	var states []state
	for i, b := range in.Batches {
		a, err := newArray(b)
		if err != nil {
			return nil, fmt.Errorf("batch %d: %w", i, err)
		}
		if err := o.Observe(a.x); err != nil {
			return nil, err
		}
		q, err := o.Quantizer()
		if err != nil {
			return nil, err
		}
		got, err := quantized(q, a)
		if err != nil {
			return nil, err
		}
		lo, hi := o.Range()
		states = append(states, state{q.Scale[0], float64(q.Zero[0]), lo, hi, got["dequantized"]})
	}
	return conform.Got{"per_batch": states}, nil
}

func caseAdaRound(_ context.Context, c conform.Case) (conform.Got, error) {
	var in struct {
		W       any       `json:"w"`
		Bits    int       `json:"n_bits"`
		Scale   []float64 `json:"scale"`
		Zero    []float64 `json:"zero_point"`
		Perturb any       `json:"alpha_perturbation"`
	}
	if err := mixture.Decode(c, &in); err != nil {
		return nil, err
	}
	w, err := newArray(in.W)
	if err != nil {
		return nil, fmt.Errorf("w: %w", err)
	}
	dv, err := newArray(in.Perturb)
	if err != nil || len(dv.x) != len(w.x) {
		return nil, fmt.Errorf("alpha_perturbation: %d numbers for %d weights: %v", len(dv.x), len(w.x), err)
	}
	q := quant.Affine{Bits: in.Bits, Scale: in.Scale}
	for _, z := range in.Zero {
		q.Zero = append(q.Zero, int(z))
	}
	r, err := quant.NewAdaRound(w.x, q)
	if err != nil {
		return nil, err
	}
	got := conform.Got{"alpha_init": nested(w.shape, append([]float64(nil), r.V...))}
	write := func(name string, f func([]float64) error) {
		y := make([]float64, len(w.x))
		if e := f(y); e != nil && err == nil {
			err = e
		}
		got[name] = nested(w.shape, y)
	}
	write("soft_init", r.Soft)
	write("hard_init", r.Hard)
	for i, d := range dv.x {
		r.V[i] += d
	}
	write("soft_perturbed", r.Soft)
	write("hard_perturbed", r.Hard)
	return got, err
}

func caseNDTC(_ context.Context, c conform.Case) (conform.Got, error) {
	var in struct {
		T    int       `json:"T"`
		Mean float64   `json:"mean"`
		Std  float64   `json:"std"`
		Z    []float64 `json:"standard_normal"`
		Note string    `json:"note"`
	}
	if err := mixture.Decode(c, &in); err != nil {
		return nil, err
	}
	t, err := calibration.NDTC(in.T, in.Mean, in.Std, in.Z)
	return conform.Got{"t": t}, err
}

// activation is the only network that the cases have.
const activation = "relu after layers 0,1; activation quantizer after relu; output layer's activation not quantized; first and last layer weights 8 bit"

func caseNetwork(ctx context.Context, c conform.Case) (conform.Got, error) {
	var in struct {
		Weights     [][][]float64 `json:"weights"`
		Biases      [][]float64   `json:"biases"`
		Activation  string        `json:"activation"`
		Bits        int           `json:"n_bits"`
		Calibration [][]float64   `json:"calibration"`
		Batch       int           `json:"batch"`
		X           [][]float64   `json:"x"`
	}
	if err := mixture.Decode(c, &in); err != nil {
		return nil, err
	}
	if in.Activation != activation {
		return nil, fmt.Errorf("activation %q: only %q is known", in.Activation, activation)
	}
	if len(in.Biases) != len(in.Weights) {
		return nil, fmt.Errorf("%d biases for %d layers", len(in.Biases), len(in.Weights))
	}
	var chain quant.Chain
	for i, w := range in.Weights {
		flat, cols := flatten(w)
		l := quant.ChainLayer{Name: fmt.Sprint(i), Weights: quant.Dense{Rows: len(w), Cols: cols, X: flat}, Bias: in.Biases[i]}
		if i < len(in.Weights)-1 {
			l.Output = quant.ReLU
		}
		chain = append(chain, l)
	}
	m := quant.PostTraining{Weights: quant.RangeSearch{Bits: in.Bits}, Activations: quant.RangeSearch{Bits: in.Bits}, Batch: in.Batch}
	set, _ := flatten(in.Calibration)
	q, err := m.Calibrate(ctx, chain, set, len(in.Calibration))
	if err != nil {
		return nil, err
	}
	return runNetwork(chain, q, in.X)
}

func runNetwork(chain quant.Chain, q *quant.QuantizedChain, rows [][]float64) (conform.Got, error) {
	x, _ := flatten(rows)
	full, err := chain.Forward(x, len(rows))
	if err != nil {
		return nil, err
	}
	y, err := q.Forward(x, len(rows))
	if err != nil {
		return nil, err
	}
	var scales, zeros [][]float64
	var actScale, actZero []float64
	for i := range q.Layers() {
		w, _ := q.Weights(i)
		scales, zeros = append(scales, w.Scale), append(zeros, floats(w.Zero))
		if a := q.Activations(i); len(a.Scale) > 0 {
			actScale, actZero = append(actScale, a.Scale[0]), append(actZero, float64(a.Zero[0]))
		}
	}
	return conform.Got{
		"full_precision": mixture.Rows(full, len(rows)), "quantized": mixture.Rows(y, len(rows)),
		"weight_scale": scales, "weight_zero_point": zeros, "act_scale": actScale, "act_zero_point": actZero,
	}, nil
}

// flatten puts rows behind each other; rows of another length than the first make
// a length that no layer takes.
func flatten(rows [][]float64) (x []float64, cols int) {
	for i, r := range rows {
		if i == 0 {
			cols = len(r)
		}
		x = append(x, r...)
	}
	return x, cols
}
