package network

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/onnx"
)

// RestorerOptions say what the ONNX file of a restoration network leaves open. Its
// Schedule must be mean-reverting, such as "ir-sde".
type RestorerOptions struct {
	ONNXOptions
	Mean string // name of the input of degraded images, found by name and shape if empty
}

var meanRole = role{"the degraded images", "mean-input",
	[]string{"mu", "cond", "mean", "lq", "degraded", "condition", "cond_image", "low_quality", "lr"},
	func(v onnx.ValueInfo) bool { return sampleRole.fits(v) && !(v.Shape != nil && perSample(v)) }}

// OpenRestorer opens a mean-reverting restoration network stored as an ONNX file: inputs
// are the noisy images, the degraded ones and the time, an index into the schedule's
// table. Errors begin with the path and say which option settles what is missing.
func OpenRestorer(path string, o RestorerOptions) (*Restorer, error) {
	s, err := onnx.Open(path, onnx.Options{Engine: o.Engine, Threads: o.Threads})
	if err != nil {
		return nil, err
	}
	r, err := RestorerFromONNX(strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)), s, o)
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// RestorerFromONNX makes a restorer of a network that is ready to run, which it then
// owns; on an error the network stays the caller's.
func RestorerFromONNX(name string, s onnx.Session, o RestorerOptions) (*Restorer, error) {
	mean, err := meanRole.find(s.Info().Inputs, o.Mean)
	if err == nil && mean == nil {
		err = fmt.Errorf("no input is known as %s: name it with %s=NAME", meanRole.what, meanRole.option)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: the network has %s", err, describe(s.Info().Inputs))
	}
	m, net, err := openNet(name, without{s, mean.Name}, o.ONNXOptions, func(string) int { return 0 })
	if err != nil {
		return nil, err
	}
	p, ok := m.Schedule.(*diffusion.MeanReverting)
	switch {
	case !ok:
		return nil, fmt.Errorf("schedule=%s is not mean-reverting: a network that restores images has schedule=ir-sde, ir-sde-linear or ir-sde-constant", o.Schedule)
	case m.Classes > 0:
		return nil, fmt.Errorf("input %v: a network that restores images by class is not supported", *net.ports.label)
	case mean.Shape != nil && len(mean.Shape) != len(net.shape)+1:
		return nil, fmt.Errorf("input %v is not of the shape of input %v", *mean, net.ports.sample)
	}
	rn := &restorerNet{onnxNet: net, s: s, mean: *mean}
	return &Restorer{Name: name, Engine: m.Engine, Process: p, Predicts: m.Predicts, Shape: net.shape, denoise: rn.denoise, close: s.Close}, nil
}

// without is a network whose input of degraded images is hidden: what is left looks
// like any other diffusion model.
type without struct {
	onnx.Session
	mean string
}

func (w without) Info() onnx.Info {
	info := w.Session.Info()
	var left []onnx.ValueInfo
	for _, in := range info.Inputs {
		if in.Name != w.mean {
			left = append(left, in)
		}
	}
	info.Inputs = left
	return info
}

// restorerNet evaluates an ONNX network as a mean model.
type restorerNet struct {
	*onnxNet
	s    onnx.Session
	mean onnx.ValueInfo
}

// denoise is [Restorer.denoise].
func (net *restorerNet) denoise(ctx context.Context, dst, x, mu []float32, n int, at []diffusion.Level, _ int) error {
	time := func(i int) float64 { return net.clock.at(at[min(i, len(at)-1)]) }
	for lo := 0; lo < n; {
		times, hi := []float64{time(lo)}, lo+1
		for ; hi < n && hi-lo < net.batch && (!net.oneTime || time(hi) == time(lo)); hi++ {
			times = append(times, time(hi))
		}
		from, to, rows := lo*net.size, hi*net.size, hi-lo
		if net.fixed {
			rows = net.batch
		}
		out, err := net.s.Run(ctx, map[string]onnx.Tensor{
			net.ports.sample.Name: net.samples(x[from:to], rows),
			net.mean.Name:         net.samplesAs(net.mean.Type, mu[from:to], rows),
			net.ports.time.Name:   net.times(times, rows),
		}, net.ports.output.Name)
		if err == nil {
			err = net.copy(dst[from:to], out[net.ports.output.Name], rows)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", net.name, err)
		}
		lo = hi
	}
	return nil
}
