// Package mixllm assays MixLLM (Zheng, Song & Liu 2024): its conformance cases and
// its experiments. The method is quant.MixLLM.
package mixllm

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"regexp"

	"github.com/assay-lab/assay/lab/conform"
	"github.com/assay-lab/assay/quant"
)

var handlers = []struct {
	method *regexp.Regexp
	run    conform.Handler
}{
	{regexp.MustCompile(`^QuantizeRTN bits=[2-8] (a?)symmetric(, range widened to contain zero)?$`), caseNearest},
	{regexp.MustCompile(`^ClipSearch bits=[2-8] (a?)symmetric grid 80\.\.100 step 2$`), caseClip},
	{regexp.MustCompile(`^GPTQ bits=[2-8] (a?)symmetric, block=group, damp [0-9.]+$`), caseGPTQ},
	{regexp.MustCompile(`^Salience \(empirical Fisher, full row, first order kept\) and global top-p selection$`), caseSalience},
	{regexp.MustCompile(`^MatMulW4A8: int32 partial per group \(code minus zero point\), then float scale$`), caseProduct},
	{regexp.MustCompile(`^Mixed W4/W8 A8 linear layer, RTN, activations int8 symmetric per token group$`), caseMixed},
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

func decode(c conform.Case, into any) error {
	d := json.NewDecoder(bytes.NewReader(c.Input))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("input: %w", err)
	}
	return nil
}

// rows is a matrix as cases write it.
type rows [][]float64

func (r rows) dense() (quant.Dense, error) {
	d := quant.Dense{Rows: len(r)}
	for i, row := range r {
		if d.Cols = len(r[0]); len(row) != d.Cols {
			return d, fmt.Errorf("row %d has %d numbers: want %d", i, len(row), d.Cols)
		}
		d.X = append(d.X, row...)
	}
	return d, nil
}

// specInput are the fields that make a quant.Spec.
type specInput struct {
	Bits       int   `json:"bits"`
	Group      int   `json:"group"`
	Asymmetric *bool `json:"asymmetric"`
}

// spec is held against the method's name, which says the same again.
func (in specInput) spec(c conform.Case) (quant.Spec, error) {
	s := quant.Spec{Bits: in.Bits, Group: in.Group}
	if s.Bits == 0 {
		s.Bits = 4
	}
	s.Symmetric = s.Bits == 8
	if in.Asymmetric != nil {
		s.Symmetric = !*in.Asymmetric
	}
	var bits int
	var kind string
	if m := regexp.MustCompile(`bits=(\d) (\w+)`).FindStringSubmatch(c.Method); m != nil {
		bits, kind = int(m[1][0]-'0'), m[2]
	}
	if in.Asymmetric == nil {
		s.Symmetric = kind == "symmetric"
	}
	if bits != s.Bits || (kind == "symmetric") != s.Symmetric {
		return s, fmt.Errorf("input of %d bits, symmetric %v: the method is %q", s.Bits, s.Symmetric, c.Method)
	}
	return s, nil
}

// table cuts a flat list into rows.
func table[T any](x []T, cols int) [][]T {
	var t [][]T
	for ; len(x) >= cols && cols > 0; x = x[cols:] {
		t = append(t, x[:cols])
	}
	return t
}

// ints are byte codes as JSON compares them.
func ints(m *quant.Matrix) (q, zero [][]int) {
	var qs, zs []int
	for i := range m.Codes {
		qs = append(qs, m.Code(i/m.Cols, i%m.Cols))
	}
	for _, z := range m.Zero {
		zs = append(zs, int(z))
	}
	return table(qs, m.Cols), table(zs, m.Groups())
}

// matrixFields are the fields that describe quantized weights.
func matrixFields(m *quant.Matrix) conform.Got {
	q, zero := ints(m)
	return conform.Got{"q": q, "zero": zero, "scale": table(m.Scale, m.Groups())}
}

func caseNearest(_ context.Context, c conform.Case) (conform.Got, error) {
	var in struct {
		specInput
		W rows `json:"w"`
	}
	if err := decode(c, &in); err != nil {
		return nil, err
	}
	s, err := in.spec(c)
	if err != nil {
		return nil, err
	}
	w, err := in.W.dense()
	if err != nil {
		return nil, err
	}
	m, err := quant.RTN(w, s)
	if err != nil {
		return nil, err
	}
	got := matrixFields(m)
	got["max_abs_err_over_scale"] = conform.Judge(func(want json.RawMessage, _ conform.Tolerance) error {
		return atMost(want, worstError(w, m))
	})
	return got, nil
}

// worstError is the largest error of a weight, in steps of its scale.
func worstError(w quant.Dense, m *quant.Matrix) float64 {
	var worst float64
	for i, x := range m.Dequantize().X {
		worst = max(worst, math.Abs(x-w.X[i])/m.Scale[i*m.Groups()/m.Cols])
	}
	return worst
}

// atMost reads the case's number as a bound.
func atMost(want json.RawMessage, x float64) error {
	var bound float64
	if err := json.Unmarshal(want, &bound); err != nil {
		return err
	}
	if !(x <= bound) {
		return fmt.Errorf("%g: must be at most %g", x, bound)
	}
	return nil
}

func caseClip(_ context.Context, c conform.Case) (conform.Got, error) {
	var in struct {
		specInput
		W rows `json:"w"`
		X rows `json:"x"`
	}
	if err := decode(c, &in); err != nil {
		return nil, err
	}
	s, err := in.spec(c)
	if err != nil {
		return nil, err
	}
	w, err := in.W.dense()
	if err != nil {
		return nil, err
	}
	inputs, err := gather([]rows{in.X})
	if err != nil {
		return nil, err
	}
	m, r, err := quant.ClipSearch(w, inputs, s)
	if err != nil {
		return nil, err
	}
	got := matrixFields(m)
	got["best_percent"] = table(r.Percent, m.Groups())
	got["fell_back"], got["mse_base"], got["mse_clipped"] = r.FellBack, r.BaseMSE, r.MSE
	return got, nil
}

func gather(batches []rows) (*quant.Inputs, error) {
	var in quant.Inputs
	for _, b := range batches {
		x, err := b.dense()
		if err != nil {
			return nil, err
		}
		if err := in.Add(x); err != nil {
			return nil, err
		}
	}
	return &in, nil
}

func caseGPTQ(_ context.Context, c conform.Case) (conform.Got, error) {
	var in struct {
		specInput
		W       rows    `json:"w"`
		X       []rows  `json:"x"`
		Reorder *bool   `json:"group_reorder"`
		Damp    float64 `json:"percdamp"`
		Clip    bool    `json:"clip"`
	}
	if err := decode(c, &in); err != nil {
		return nil, err
	}
	s, err := in.spec(c)
	if err != nil {
		return nil, err
	}
	w, err := in.W.dense()
	if err != nil {
		return nil, err
	}
	inputs, err := gather(in.X)
	if err != nil {
		return nil, err
	}
	g := quant.GPTQ{Damp: in.Damp, InOrder: in.Reorder != nil && !*in.Reorder, FullRange: !in.Clip}
	m, r, err := g.Quantize(w, inputs, s)
	if err != nil {
		return nil, err
	}
	got := matrixFields(m)
	got["group_order"], got["mse_gptq"], got["mse_rtn"] = r.Order, r.MSE, r.NearestMSE
	return got, nil
}

func caseSalience(_ context.Context, c conform.Case) (conform.Got, error) {
	var in struct {
		specInput
		Layers []struct {
			W    rows   `json:"w"`
			X    []rows `json:"x"`
			Grad []rows `json:"grad_out"`
		} `json:"layers"`
		Percent *float64 `json:"percent"`
	}
	if err := decode(c, &in); err != nil {
		return nil, err
	}
	if in.Bits == 0 {
		in.Bits = 4
	}
	method := quant.MixLLM{Group: in.Group, Low: in.Bits}
	if in.Percent != nil {
		method.High = []quant.Width{{Bits: 8, Percent: *in.Percent}}
	}
	var layers []*quant.Calibration
	for i, l := range in.Layers {
		cal, err := calibrate(method, fmt.Sprintf("layer %d", i), l.W, l.X, l.Grad)
		if err != nil {
			return nil, err
		}
		layers = append(layers, cal)
	}
	plan, err := method.Plan(layers)
	if err != nil {
		return nil, err
	}
	n := 0
	var scores [][]float64
	high := make([][]int, len(layers))
	for i, l := range layers {
		s, err := l.Scores(in.Bits)
		if err != nil {
			return nil, err
		}
		scores = append(scores, s)
		high[i] = append([]int{}, plan.Rows(i, 8)...)
		n += len(high[i])
	}
	return conform.Got{"scores": scores, "n_high": n, "high_rows": high}, nil
}

func calibrate(m quant.MixLLM, name string, w rows, x, grad []rows) (*quant.Calibration, error) {
	d, err := w.dense()
	if err != nil {
		return nil, err
	}
	c, err := m.Calibrate(name, d)
	if err != nil {
		return nil, err
	}
	if len(x) != len(grad) {
		return nil, fmt.Errorf("%s: %d inputs, %d gradients", name, len(x), len(grad))
	}
	for i := range x {
		xi, err := x[i].dense()
		if err != nil {
			return nil, err
		}
		gi, err := grad[i].dense()
		if err != nil {
			return nil, err
		}
		if err := c.Add(xi, gi); err != nil {
			return nil, err
		}
	}
	return c, nil
}
