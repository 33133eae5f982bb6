// Package twopasssoftmax assays the two-pass softmax (Dukhan & Ablavatski 2020):
// its conformance cases and its experiments. The method is softmax.TwoPass.
package twopasssoftmax

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"github.com/assay-lab/assay/lab/conform"
	"github.com/assay-lab/assay/softmax"
)

// algorithms are the names that cases give them, comma-separated.
var algorithms = map[string]softmax.Algorithm{
	"TwoPass":            softmax.TwoPass,
	"ThreePassRecompute": softmax.ThreePassRecompute,
	"ThreePassReload":    softmax.ThreePassReload,
	"Online":             softmax.Online,
}

// Case runs a conformance case.
func Case(_ context.Context, c conform.Case) (conform.Got, error) {
	switch c.Method {
	case "ExtExp":
		return extExpCase(c)
	case "AccumulateExt":
		return sumCase(c)
	}
	var as []softmax.Algorithm
	for _, name := range strings.Split(c.Method, ",") {
		a, ok := algorithms[name]
		if !ok {
			return nil, fmt.Errorf("method %q is unknown", c.Method)
		}
		as = append(as, a)
	}
	return rowsCase(c, as)
}

func decode(c conform.Case, into any) error {
	d := json.NewDecoder(bytes.NewReader(c.Input))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("input: %w", err)
	}
	return nil
}

// A number may be infinite or NaN: cases write those as strings.
type number float64

func (x *number) UnmarshalJSON(b []byte) error {
	switch string(b) {
	case `"NaN"`:
		*x = number(math.NaN())
	case `"+Inf"`, `"Inf"`:
		*x = number(math.Inf(1))
	case `"-Inf"`:
		*x = number(math.Inf(-1))
	default:
		return json.Unmarshal(b, (*float64)(x))
	}
	return nil
}

// float32s are numbers that float32 holds exactly.
func float32s(xs []number) ([]float32, error) {
	y := make([]float32, len(xs))
	for i, x := range xs {
		if y[i] = float32(x); float64(y[i]) != float64(x) && x == x {
			return nil, fmt.Errorf("input: %v is no float32", float64(x))
		}
	}
	return y, nil
}

// rowsCase runs every algorithm on every row; all of them have to give what the
// case expects.
func rowsCase(c conform.Case, as []softmax.Algorithm) (conform.Got, error) {
	var in struct {
		Names []string   `json:"names"`
		Rows  [][]number `json:"rows_f32"`
	}
	if err := decode(c, &in); err != nil {
		return nil, err
	}
	if in.Names != nil && len(in.Names) != len(in.Rows) {
		return nil, fmt.Errorf("input: %d names for %d rows", len(in.Names), len(in.Rows))
	}
	lse := make([]float64, len(in.Rows))
	results := make([][][]float32, len(as))
	for r, row := range in.Rows {
		x, err := float32s(row)
		if err != nil {
			return nil, err
		}
		lse[r] = softmax.LogSumExp(x)
		for i, a := range as {
			y := make([]float32, len(x))
			if err := softmax.Rows(y, x, len(x), softmax.Options{Algorithm: a}); err != nil {
				return nil, err
			}
			results[i] = append(results[i], y)
		}
	}
	judge := func(want json.RawMessage, tol conform.Tolerance) error {
		var rows [][]number
		if err := json.Unmarshal(want, &rows); err != nil {
			return err
		}
		for i, a := range as {
			if err := sameRows(results[i], rows, tol); err != nil {
				return fmt.Errorf("%v: %w", a, err)
			}
		}
		return nil
	}
	return conform.Got{"softmax": judge, "logsumexp": lse}, nil
}

func sameRows(got [][]float32, want [][]number, tol conform.Tolerance) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d rows, want %d", len(got), len(want))
	}
	for r, row := range want {
		if len(got[r]) != len(row) {
			return fmt.Errorf("row %d has %d numbers, want %d", r, len(got[r]), len(row))
		}
		for i, w := range row {
			g, w := float64(got[r][i]), float64(w)
			limit := tol.Abs + tol.Rel*math.Abs(w)
			if math.IsNaN(g) != math.IsNaN(w) || math.Abs(g-w) > limit {
				return fmt.Errorf("row %d, number %d: %g, want %g ± %.2g", r, i, g, w, limit)
			}
		}
	}
	return nil
}

func extExpCase(c conform.Case) (conform.Got, error) {
	var in struct {
		X []number `json:"x_f32"`
	}
	if err := decode(c, &in); err != nil {
		return nil, err
	}
	x, err := float32s(in.X)
	if err != nil {
		return nil, err
	}
	n, m := make([]int, len(x)), make([]float64, len(x))
	for i, v := range x {
		if !(math.Abs(float64(v)) <= softmax.ExtExpMax) {
			return nil, fmt.Errorf("input: x = %g: must be at most %g in size", v, float64(softmax.ExtExpMax))
		}
		m[i], n[i] = softmax.ExtExp(v)
	}
	return conform.Got{"n": n, "m": m}, nil
}

func sumCase(c conform.Case) (conform.Got, error) {
	var in struct {
		X []number `json:"x_f32"`
	}
	if err := decode(c, &in); err != nil {
		return nil, err
	}
	x, err := float32s(in.X)
	if err != nil {
		return nil, err
	}
	s := softmax.SumExp(x)
	within := func(want json.RawMessage, _ conform.Tolerance) error {
		var r [2]float64
		if err := json.Unmarshal(want, &r); err != nil {
			return err
		}
		if !(r[0] <= s.M && s.M <= r[1]) {
			return fmt.Errorf("mantissa %g, want from %g to %g", s.M, r[0], r[1])
		}
		return nil
	}
	return conform.Got{"log_sum_exp": s.Log(), "max_n": s.E, "mantissa_range": within,
		"official_mantissa": s.M, "official_exponent": s.E}, nil
}
