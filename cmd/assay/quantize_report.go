package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/assay-lab/assay/internal/nn/tinylm"
	"github.com/assay-lab/assay/papers/mixllm"
	"github.com/assay-lab/assay/quant"
)

// quantizeReport is what assay quantize has done.
type quantizeReport struct {
	Model      string           `json:"model"`
	File       string           `json:"file"`
	Low        int              `json:"low_bits"`
	Group      int              `json:"group"`
	Rounding   string           `json:"rounding"`
	Criterion  string           `json:"criterion"`
	Bits       float64          `json:"bits"`
	BitsAll    float64          `json:"bits_with_scales"`
	Bytes      int              `json:"bytes"`
	BytesFloat int              `json:"bytes_float32"`
	Perplexity *[2]float64      `json:"perplexity,omitempty"` // of float32, quantized
	Layers     []quantizedLayer `json:"layers"`
	Kept       []string         `json:"kept"` // tensors left as they are
}

type quantizedLayer struct {
	Name        string   `json:"name"`
	Rows        int      `json:"rows"`
	Cols        int      `json:"cols"`
	HighRows    []int    `json:"rows_of_8_bits"`
	Rounding    string   `json:"rounding"`
	WeightError float64  `json:"weight_error"`                 // relative to the weights
	OutputError *float64 `json:"output_error_ratio,omitempty"` // mean square over that of rounding to nearest
	Note        string   `json:"note,omitempty"`
}

func (r *quantizeReport) add(c *quant.Calibration, l quant.LayerReport) {
	var square float64
	for _, x := range c.Weights.X {
		square += x * x / float64(len(c.Weights.X))
	}
	q := quantizedLayer{Name: l.Name, Rows: c.Weights.Rows, Cols: c.Weights.Cols, HighRows: []int{}, Rounding: l.Rounding.String(), Note: l.Note}
	for o, b := range l.Bits {
		if b == 8 {
			q.HighRows = append(q.HighRows, o)
		}
	}
	if square > 0 {
		q.WeightError = math.Sqrt(l.WeightMSE / square)
	}
	if l.NearestMSE > 0 {
		e := l.MSE / l.NearestMSE
		q.OutputError = &e
	}
	r.Layers = append(r.Layers, q)
}

// judge measures perplexity on text that the model has not read.
func (r *quantizeReport) judge(ctx context.Context, m *tinylm.Model, layers []*quant.Layer) error {
	const sequences = 400
	text, err := mixllm.TestText(m, sequences)
	if err != nil {
		return err
	}
	before, err := m.Loss(ctx, text, nil)
	if err != nil {
		return err
	}
	products, err := mixllm.ProductsOf(m.Model, layers)
	if err != nil {
		return err
	}
	after, err := m.Loss(ctx, text, products)
	r.Perplexity = &[2]float64{math.Exp(before), math.Exp(after)}
	return err
}

func (r *quantizeReport) finish(layers []*quant.Layer, w *weights, bytes int) {
	r.Bits, r.BitsAll = quant.AverageBits(layers)
	r.Bytes, r.BytesFloat = bytes, w.bytes
	r.Kept = slices.Sorted(maps.Keys(w.tensors))
}

// printQuantized prints the report.
func (c *console) printQuantized(r *quantizeReport, asJSON bool) error {
	if asJSON {
		b, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(c.out, "%s\n", b)
		return err
	}
	fmt.Fprintf(c.out, "%s\n", c.paint(bold, fmt.Sprintf("%s in %.3g bits a weight", r.Model, r.Bits)))
	fmt.Fprintf(c.out, "%.3g with scales and zero points; %s instead of %s in float32.\n", r.BitsAll, megabytes(r.Bytes), megabytes(r.BytesFloat))
	high, all := 0, 0
	for _, l := range r.Layers {
		high, all = high+len(l.HighRows), all+l.Rows
	}
	fmt.Fprintf(c.out, "%d of %d rows have 8 bits, the others %d; they were chosen by %s.\n", high, all, r.Low, r.Criterion)
	if p := r.Perplexity; p != nil {
		fmt.Fprintf(c.out, "Perplexity on unseen text: %.3f, in float32 %.3f.\n", p[1], p[0])
	}
	width := len("matrix")
	for _, l := range r.Layers {
		width = max(width, utf8.RuneCountInString(l.Name))
	}
	fmt.Fprintf(c.out, "\n%s\n", c.paint(faint, fmt.Sprintf("%-*s  %13s  %-15s  %12s  %s", width, "matrix", "size", "rows of 8 bits", "weight error", "output error / rounding's")))
	for _, l := range r.Layers {
		output := "–"
		if l.OutputError != nil {
			output = fmt.Sprintf("%.3f", *l.OutputError)
		}
		rows := fmt.Sprintf("%d (%.3g %%)", len(l.HighRows), 100*float64(len(l.HighRows))/float64(l.Rows))
		fmt.Fprintf(c.out, "%-*s  %13s  %-15s  %10.2f %%  %s\n", width, l.Name, fmt.Sprintf("%d × %d", l.Rows, l.Cols), rows, 100*l.WeightError, output)
	}
	c.printHighRows(r)
	fmt.Fprintf(c.out, "\nKept as they are: %s\n", wrap(some(r.Kept, 12), c.textWidth()-2, "  "))
	fmt.Fprintf(c.out, "File  %s\n", r.File)
	return nil
}

// printHighRows lists the rows of 8 bits, and what was not done as asked.
func (c *console) printHighRows(r *quantizeReport) {
	for i, l := range r.Layers {
		if i == 0 {
			fmt.Fprintf(c.out, "\n%s\n", c.paint(faint, "rows of 8 bits"))
		}
		if len(l.HighRows) > 0 {
			fmt.Fprintf(c.out, "%s\n", wrap(l.Name+": "+some(ranges(l.HighRows), 40), c.textWidth(), "  "))
		}
	}
	for _, l := range r.Layers {
		if l.Note != "" {
			c.note("%s: %s", l.Name, l.Note)
		}
	}
}

// ranges writes ascending numbers as "3", "7–9".
func ranges(xs []int) []string {
	var rs []string
	for i := 0; i < len(xs); {
		j := i
		for j+1 < len(xs) && xs[j+1] == xs[j]+1 {
			j++
		}
		if j > i {
			rs = append(rs, fmt.Sprintf("%d–%d", xs[i], xs[j]))
		} else {
			rs = append(rs, fmt.Sprint(xs[i]))
		}
		i = j + 1
	}
	return rs
}

// some joins at most n of a list; --json has all.
func some(list []string, n int) string {
	if len(list) > n {
		return strings.Join(list[:n], ", ") + fmt.Sprintf(" and %d more (--json lists all)", len(list)-n)
	}
	return strings.Join(list, ", ")
}

func megabytes(n int) string { return fmt.Sprintf("%.3g MB", float64(n)/1e6) }
