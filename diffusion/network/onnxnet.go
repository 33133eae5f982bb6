package network

import (
	"context"
	"fmt"
	"math"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/onnx"
)

// defaultBatch bounds the memory of one evaluation; larger ones are no faster.
const defaultBatch = 64

// onnxNet evaluates an ONNX network as a denoiser.
type onnxNet struct {
	name  string
	s     onnx.Session
	ports ports
	shape []int // of one sample
	size  int   // numbers in it
	clock clock

	batch int  // at most so many samples in one run
	fixed bool // exactly batch samples in each run
	// One number for the whole run, where the network takes no more.
	oneTime, oneLabel bool

	width int // of one-hot labels; 0: labels are indices
	none  int // the label that stands for none; negative with one-hot labels: zeros
}

// setBatch settles how many samples go into one run.
func (net *onnxNet) setBatch() error {
	if net.batch == 0 {
		net.batch = defaultBatch
	}
	if in := net.ports.sample; in.Shape != nil && in.Shape[0] >= 0 {
		if net.batch, net.fixed = in.Shape[0], true; net.batch == 0 {
			return fmt.Errorf("input %v takes no samples", in)
		}
	}
	one := func(in onnx.ValueInfo) (bool, error) {
		switch {
		case in.Shape == nil:
			return false, nil
		case len(in.Shape) == 0:
			return true, nil
		case in.Shape[0] < 0, net.fixed && in.Shape[0] == net.batch:
			return false, nil
		case in.Shape[0] == 1:
			return true, nil
		}
		return false, fmt.Errorf("input %v does not fit the batch of input %v", in, net.ports.sample)
	}
	var err error
	if net.oneTime, err = one(net.ports.time); err == nil && net.ports.label != nil {
		net.oneLabel, err = one(*net.ports.label)
	}
	return err
}

// A clock turns a level into the number that a network wants.
type clock struct {
	of    func(diffusion.Level) float64
	whole bool    // integers only
	max   float64 // the largest integer
}

func (c clock) at(l diffusion.Level) float64 {
	v := c.of(l)
	if c.whole {
		v = min(max(math.Round(v), 0), c.max)
	}
	return v
}

// parseTimeAs reads [ONNXOptions.TimeAs].
func parseTimeAs(s string, schedule diffusion.Schedule, in onnx.ValueInfo) (clock, error) {
	c := clock{whole: !in.Type.Float(), max: 1 << 30}
	table, discrete := schedule.(*diffusion.Discrete)
	reverting, ok := schedule.(*diffusion.MeanReverting)
	if s == "" && (discrete || ok) {
		s = "index"
	}
	switch s {
	case "index":
		if ok { // whose time is the index
			c.of, c.max = func(l diffusion.Level) float64 { return l.T }, float64(reverting.T)
			return c, nil
		}
		if !discrete {
			return c, fmt.Errorf("time-as=index: the schedule is continuous: time, time1000, sigma, log-sigma, lambda and logsnr are possible")
		}
		c.of, c.max = func(l diffusion.Level) float64 { return table.Index(l.T) }, float64(table.Len()-1)
		return c, nil
	case "time1000":
		c.of = func(l diffusion.Level) float64 { return 1000 * l.T }
		return c, nil
	case "time", "":
		c.of = func(l diffusion.Level) float64 { return l.T }
	case "sigma":
		c.of = func(l diffusion.Level) float64 { return l.Sigma }
	case "log-sigma":
		c.of = func(l diffusion.Level) float64 { return math.Log(l.Sigma) / 4 }
	case "lambda":
		c.of = func(l diffusion.Level) float64 { return l.Lambda }
	case "logsnr":
		c.of = func(l diffusion.Level) float64 { return 2 * l.Lambda }
	default:
		return c, fmt.Errorf("time-as=%s: must be index, time, time1000, sigma, log-sigma, lambda or logsnr", s)
	}
	if c.whole {
		return c, fmt.Errorf("input %v takes whole numbers: only time-as=index, with a discrete schedule, and time1000 give them", in)
	}
	return c, nil
}

// denoise is [Model.denoise].
func (net *onnxNet) denoise(ctx context.Context, dst, x []float32, n int, at []diffusion.Level, labels []int) error {
	times := make([]float64, n)
	for i := range times {
		times[i] = net.clock.at(at[min(i, len(at)-1)])
	}
	for lo := 0; lo < n; {
		hi := lo + 1
		for hi < n && hi-lo < net.batch && (!net.oneTime || times[hi] == times[lo]) &&
			(!net.oneLabel || labels[hi] == labels[lo]) {
			hi++
		}
		var ls []int
		if labels != nil {
			ls = labels[lo:hi]
		}
		if err := net.run(ctx, dst[lo*net.size:hi*net.size], x[lo*net.size:hi*net.size], times[lo:hi], ls); err != nil {
			return fmt.Errorf("%s: %w", net.name, err)
		}
		lo = hi
	}
	return nil
}

// run evaluates the network once.
func (net *onnxNet) run(ctx context.Context, dst, x []float32, times []float64, labels []int) error {
	rows := len(times)
	if net.fixed {
		rows = net.batch
	}
	in := map[string]onnx.Tensor{
		net.ports.sample.Name: net.samples(x, rows),
		net.ports.time.Name:   net.times(times, rows),
	}
	if net.ports.label != nil {
		in[net.ports.label.Name] = net.labels(labels, rows)
	}
	out, err := net.s.Run(ctx, in, net.ports.output.Name)
	if err != nil {
		return err
	}
	return net.copy(dst, out[net.ports.output.Name], rows)
}

// samples is x as a tensor, its last sample repeated to fill the rows.
func (net *onnxNet) samples(x []float32, rows int) onnx.Tensor {
	return net.samplesAs(net.ports.sample.Type, x, rows)
}

func (net *onnxNet) samplesAs(typ onnx.Type, x []float32, rows int) onnx.Tensor {
	shape := append([]int{rows}, net.shape...)
	if typ == onnx.Float32 && len(x) == rows*net.size {
		return onnx.Tensor{Shape: shape, Data: x}
	}
	full := append(make([]float32, 0, rows*net.size), x...)
	for len(full) < rows*net.size {
		full = append(full, x[len(x)-net.size:]...)
	}
	if typ == onnx.Float32 {
		return onnx.Tensor{Shape: shape, Data: full}
	}
	return onnx.Tensor{Shape: shape, Data: convert[float64](full)}
}

// times is the times as a tensor of the input's type and rank.
func (net *onnxNet) times(times []float64, rows int) onnx.Tensor {
	if net.oneTime {
		rows = 1
	}
	full := make([]float64, rows)
	for i := range full {
		full[i] = times[min(i, len(times)-1)]
	}
	return perRow(net.ports.time, full)
}

// labels is the labels as a tensor: indices, or one row of zeros and a one each.
func (net *onnxNet) labels(labels []int, rows int) onnx.Tensor {
	if net.oneLabel {
		rows = 1
	}
	full := make([]float64, rows)
	for i := range full {
		l := labels[min(i, len(labels)-1)]
		if l == NoLabel {
			l = net.none
		}
		full[i] = float64(l)
	}
	in := *net.ports.label
	if net.width == 0 {
		return perRow(in, full)
	}
	hot := make([]float64, rows*net.width)
	for i, l := range full {
		if l >= 0 {
			hot[i*net.width+int(l)] = 1
		}
	}
	return tensor(in.Type, []int{rows, net.width}, hot)
}

// perRow shapes one number a row as an input wants it.
func perRow(in onnx.ValueInfo, v []float64) onnx.Tensor {
	shape := []int{len(v)}
	if in.Shape != nil {
		shape = make([]int, len(in.Shape))
		for i := range shape {
			shape[i] = 1
		}
		if len(shape) > 0 {
			shape[0] = len(v)
		}
	}
	return tensor(in.Type, shape, v)
}

func tensor(typ onnx.Type, shape []int, v []float64) onnx.Tensor {
	t := onnx.Tensor{Shape: shape}
	switch typ {
	case onnx.Float32:
		t.Data = convert[float32](v)
	case onnx.Int64:
		t.Data = convert[int64](v)
	case onnx.Int32:
		t.Data = convert[int32](v)
	default:
		t.Data = v
	}
	return t
}

func convert[T, S float32 | float64 | int64 | int32](v []S) []T {
	out := make([]T, len(v))
	for i, x := range v {
		out[i] = T(x)
	}
	return out
}

// copy writes an output's prediction to dst. A network that also predicts a
// variance has twice the channels, of which the first half is wanted.
func (net *onnxNet) copy(dst []float32, out onnx.Tensor, rows int) error {
	var y []float32
	switch d := out.Data.(type) {
	case []float32:
		y = d
	case []float64:
		y = convert[float32](d)
	default:
		return fmt.Errorf("output %q has elements of %v", net.ports.output.Name, out.Type())
	}
	stride := net.size
	if len(net.shape) > 0 && len(out.Shape) > 1 && out.Shape[1] == 2*net.shape[0] {
		stride *= 2
	}
	if len(y) != rows*stride {
		return fmt.Errorf("output %q has shape %v: %d samples of shape %v, or with twice the channels, were expected", net.ports.output.Name, out.Shape, rows, net.shape)
	}
	for i := 0; i*net.size < len(dst); i++ {
		copy(dst[i*net.size:(i+1)*net.size], y[i*stride:])
	}
	return nil
}
