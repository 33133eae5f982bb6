package mixllm

import (
	"context"
	"fmt"

	"github.com/assay-lab/assay/lab/conform"
	"github.com/assay-lab/assay/quant"
)

// caseProduct multiplies given codes by the kernel, and exactly.
func caseProduct(_ context.Context, c conform.Case) (conform.Got, error) {
	var in struct {
		A      [][]int `json:"a"`
		AScale rows    `json:"a_scale"`
		W      [][]int `json:"w"`
		WScale rows    `json:"w_scale"`
		WZero  [][]int `json:"w_zero"`
		Group  int     `json:"group"`
	}
	if err := decode(c, &in); err != nil {
		return nil, err
	}
	if in.Group == 0 {
		in.Group = 128
	}
	codes, cols, err := flat[int8](in.A, -127, 127)
	if err != nil {
		return nil, fmt.Errorf("a: %w", err)
	}
	as, err := in.AScale.dense()
	if err != nil {
		return nil, err
	}
	a, err := quant.NewActivations(codes, float32s(as.X), len(in.A), cols, in.Group)
	if err != nil {
		return nil, err
	}
	m := &quant.Matrix{Rows: len(in.W), Spec: quant.Spec{Bits: 4, Group: in.Group}}
	if m.Codes, m.Cols, err = flat[uint8](in.W, 0, 15); err != nil {
		return nil, fmt.Errorf("w: %w", err)
	}
	if m.Zero, _, err = flat[uint8](in.WZero, 0, 15); err != nil {
		return nil, fmt.Errorf("w_zero: %w", err)
	}
	ws, err := in.WScale.dense()
	if err != nil {
		return nil, err
	}
	m.Scale = ws.X
	return product(m, a)
}

func product(m *quant.Matrix, a *quant.Activations) (conform.Got, error) {
	y, err := multiply(whole(m), a)
	if err != nil {
		return nil, err
	}
	ps, err := quant.Partials(m, a)
	if err != nil {
		return nil, err
	}
	return conform.Got{"y": y, "partial_int32": table(table(ps, m.Groups()), m.Rows)}, nil
}

// multiply is the layer's product by the kernel [tokens][rows].
func multiply(l *quant.Layer, a *quant.Activations) ([][]float32, error) {
	x, err := l.Linear()
	if err != nil {
		return nil, err
	}
	y := make([]float32, a.Tokens*l.Rows)
	if err := x.Multiply(y, a); err != nil {
		return nil, err
	}
	return table(y, l.Rows), nil
}

// flat reads a table of small integers.
func flat[T int8 | uint8](t [][]int, lo, hi int) (x []T, cols int, err error) {
	for i, row := range t {
		if cols = len(t[0]); len(row) != cols {
			return nil, 0, fmt.Errorf("row %d has %d numbers: want %d", i, len(row), cols)
		}
		for _, v := range row {
			if v < lo || v > hi {
				return nil, 0, fmt.Errorf("%d: must be from %d to %d", v, lo, hi)
			}
			x = append(x, T(v))
		}
	}
	return x, cols, nil
}

func float32s(x []float64) []float32 {
	y := make([]float32, len(x))
	for i, v := range x {
		y[i] = float32(v)
	}
	return y
}

// caseMixed runs a layer with rows of two widths on float inputs.
func caseMixed(_ context.Context, c conform.Case) (conform.Got, error) {
	var in struct {
		W     rows  `json:"w"`
		X     rows  `json:"x"`
		High  []int `json:"high_rows"`
		Group int   `json:"group"`
	}
	if err := decode(c, &in); err != nil {
		return nil, err
	}
	if in.Group == 0 {
		in.Group = 128
	}
	w, err := in.W.dense()
	if err != nil {
		return nil, err
	}
	x, err := in.X.dense()
	if err != nil {
		return nil, err
	}
	plan := quant.Uniform([]int{w.Rows}, 4)
	for _, o := range in.High {
		if o < 0 || o >= w.Rows {
			return nil, fmt.Errorf("high_rows: %d: must be below %d", o, w.Rows)
		}
		plan[0][o] = 8
	}
	method := quant.MixLLM{Group: in.Group, Rounding: quant.ToNearest}
	cal, err := method.Calibrate("layer", w)
	if err != nil {
		return nil, err
	}
	layers, _, err := method.Quantize([]*quant.Calibration{cal}, plan)
	if err != nil {
		return nil, err
	}
	var a quant.Activations
	if err := quant.QuantizeActivations(&a, x.X, x.Rows, x.Cols, in.Group); err != nil {
		return nil, err
	}
	y, err := multiply(layers[0], &a)
	if err != nil {
		return nil, err
	}
	xq := make([]int, len(x.X))
	for i := range xq {
		xq[i] = int(a.Code(i/x.Cols, i%x.Cols))
	}
	scale := make([]float64, len(a.Scale))
	for i, s := range a.Scale {
		scale[i] = float64(s)
	}
	return conform.Got{"x_q": table(xq, x.Cols), "x_scale": table(scale, a.Groups()), "y": y}, nil
}
