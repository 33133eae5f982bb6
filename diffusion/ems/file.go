package ems

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"

	"github.com/assay-lab/assay/data"
	"github.com/assay-lab/assay/diffusion"
)

// A File is statistics together with what they hold for. It is stored as
// safetensors: l, s and b [M+1, shape of a sample], and the schedule as lambda, time
// and alpha [M+1], all float64.
type File struct {
	Statistics  *diffusion.Statistics
	Shape       []int     // of one sample
	Times       []float64 // of the rows
	Alphas      []float64 // α of the rows
	Label       string    // classes of the samples behind them, as users write them; "" for none
	Model       string    // whose they are
	Evaluations int64     // of the model, for one sample each, that they took; 0: not known
}

// format is what the metadata of a file begins with.
const format = "assay model statistics 1"

// scheduleTolerance is how far time and α may be from the schedule's: they were
// computed by the same formula, perhaps on another machine.
const scheduleTolerance = 1e-9

// NewFile describes the schedule that statistics were made on.
func NewFile(st *diffusion.Statistics, s diffusion.Schedule, shape []int) (File, error) {
	if err := st.Validate(); err != nil {
		return File{}, err
	}
	if s == nil {
		return File{}, errors.New("ems: no schedule")
	}
	f := File{Statistics: st, Shape: slices.Clone(shape)}
	for k := range st.L {
		at := s.At(s.Time(lambdaOf(st, k)))
		f.Times, f.Alphas = append(f.Times, at.T), append(f.Alphas, at.Alpha)
	}
	return f, f.validate()
}

// lambdaOf is λ of a row, exact at both ends.
func lambdaOf(st *diffusion.Statistics, k int) float64 {
	if k == len(st.L)-1 {
		return st.Lambda0
	}
	return st.LambdaT + (st.Lambda0-st.LambdaT)*float64(k)/float64(len(st.L)-1)
}

func (f File) validate() error {
	if err := f.Statistics.Validate(); err != nil {
		return err
	}
	rows, size := len(f.Statistics.L), 1
	for _, d := range f.Shape {
		size *= d
	}
	switch {
	case size != len(f.Statistics.L[0]):
		return fmt.Errorf("ems: statistics of %d coordinates for samples of shape %v", len(f.Statistics.L[0]), f.Shape)
	case len(f.Times) != rows || len(f.Alphas) != rows:
		return fmt.Errorf("ems: %d times and %d alphas for statistics of %d rows", len(f.Times), len(f.Alphas), rows)
	case math.IsNaN(f.Statistics.Guidance) || math.IsInf(f.Statistics.Guidance, 0):
		return fmt.Errorf("ems: statistics for guidance %g", f.Statistics.Guidance)
	}
	return nil
}

// Check reports the first reason why the statistics do not hold for a model on that
// schedule, with samples of that shape, under that guidance (0: none).
func (f File) Check(s diffusion.Schedule, shape []int, guidance float64) error {
	if err := f.validate(); err != nil {
		return err
	}
	if !slices.Equal(f.Shape, shape) {
		return fmt.Errorf("ems: statistics of samples of shape %v: the model's have %v", f.Shape, shape)
	}
	for k, t := range f.Times {
		lambda := lambdaOf(f.Statistics, k)
		at := s.At(s.Time(lambda))
		if !near(at.T, t) || !near(at.Alpha, f.Alphas[k]) {
			return fmt.Errorf("ems: statistics of another noise schedule: λ = %.4g is at time %.6g with α = %.6g there, at time %.6g with α = %.6g here",
				lambda, t, f.Alphas[k], at.T, at.Alpha)
		}
	}
	if f.Statistics.Guidance != guidance {
		return fmt.Errorf("ems: statistics made with %s: the model is used with %s", scale(f.Statistics.Guidance), scale(guidance))
	}
	return nil
}

func near(a, b float64) bool { return math.Abs(a-b) <= scheduleTolerance*(1+math.Abs(b)) }

func scale(guidance float64) string {
	if guidance == 0 {
		return "no guidance"
	}
	return fmt.Sprintf("guidance %g", guidance)
}

// Write stores the statistics.
func (f File) Write(w io.Writer) error {
	if err := f.validate(); err != nil {
		return err
	}
	st, rows := f.Statistics, len(f.Statistics.L)
	lambda := make([]float64, rows)
	for k := range lambda {
		lambda[k] = lambdaOf(st, k)
	}
	column := func(v []float64) data.Tensor { return data.Tensor{Shape: []int{rows}, Data: v} }
	table := func(v [][]float64) data.Tensor {
		return data.Tensor{Shape: append([]int{rows}, f.Shape...), Data: slices.Concat(v...)}
	}
	return data.WriteSafetensors(w, &data.Safetensors{
		Tensors: map[string]data.Tensor{
			"l": table(st.L), "s": table(st.S), "b": table(st.B),
			"lambda": column(lambda), "time": column(f.Times), "alpha": column(f.Alphas),
		},
		Metadata: map[string]string{
			"format": format, "guidance": strconv.FormatFloat(st.Guidance, 'g', -1, 64),
			"label": f.Label, "model": f.Model, "evaluations": strconv.FormatInt(f.Evaluations, 10),
		},
	})
}

// Bytes is the file as Write stores it.
func (f File) Bytes() ([]byte, error) {
	var b bytes.Buffer
	err := f.Write(&b)
	return b.Bytes(), err
}

// Read reads what Write has stored.
func Read(r io.Reader) (File, error) {
	t, err := data.ReadSafetensors(r)
	if err != nil {
		return File{}, err
	}
	f, err := decode(t)
	if err != nil {
		return File{}, err
	}
	return f, f.validate()
}

func decode(t *data.Safetensors) (File, error) {
	var f File
	if got := t.Metadata["format"]; got != format {
		return f, fmt.Errorf("ems: format %.40q in the metadata: must be %q, as assay statistics writes it", got, format)
	}
	st := new(diffusion.Statistics)
	f = File{Statistics: st, Label: t.Metadata["label"], Model: t.Metadata["model"]}
	var err error
	if st.Guidance, err = strconv.ParseFloat(t.Metadata["guidance"], 64); err != nil {
		return f, fmt.Errorf("ems: guidance %.40q in the metadata: must be a number", t.Metadata["guidance"])
	}
	if f.Evaluations, err = strconv.ParseInt(t.Metadata["evaluations"], 10, 64); err != nil || f.Evaluations < 0 {
		return f, fmt.Errorf("ems: evaluations %.40q in the metadata: must be a count", t.Metadata["evaluations"])
	}
	f.Shape = []int{}
	if l := t.Tensors["l"]; len(l.Shape) > 1 {
		f.Shape = l.Shape[1:]
	}
	for name, rows := range map[string]*[][]float64{"l": &st.L, "s": &st.S, "b": &st.B} {
		if *rows, err = rowsOf(t, name, f.Shape); err != nil {
			return f, err
		}
	}
	var lambda []float64
	for name, v := range map[string]*[]float64{"lambda": &lambda, "time": &f.Times, "alpha": &f.Alphas} {
		column, err := rowsOf(t, name, nil)
		if err != nil {
			return f, err
		}
		*v = slices.Concat(column...)
	}
	st.LambdaT, st.Lambda0 = lambda[0], lambda[len(lambda)-1]
	for k, l := range lambda {
		if len(lambda) != len(st.L) || !near(l, lambdaOf(st, k)) {
			return f, fmt.Errorf("ems: lambda[%d] = %g of %d: must be evenly spaced, one for each of the %d rows", k, l, len(lambda), len(st.L))
		}
	}
	return f, nil
}

// rowsOf is a tensor of that name, row by row, each of that shape.
func rowsOf(t *data.Safetensors, name string, shape []int) ([][]float64, error) {
	v, ok := t.Tensors[name]
	if !ok {
		return nil, fmt.Errorf("ems: there is no tensor %q", name)
	}
	flat, ok := v.Data.([]float64)
	if !ok || len(v.Shape) == 0 || !slices.Equal(v.Shape[1:], shape) || len(flat) == 0 {
		return nil, fmt.Errorf("ems: tensor %q, %T of shape %v: must be float64, rows of shape %v", name, v.Data, v.Shape, shape)
	}
	n := v.Shape[0]
	rows := make([][]float64, n)
	for k := range rows {
		rows[k] = flat[k*len(flat)/n : (k+1)*len(flat)/n]
	}
	return rows, nil
}
