package main

import (
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/assay-lab/assay/diffusion/network"
)

const builtinMNIST = "builtin:mnist"

// modelFlags say which model to use, and what an ONNX file leaves open.
type modelFlags struct {
	name string
	onnx map[string]*string // values of network.ONNXKeys, by key
}

// onnxHelp says what the flags of ONNX files mean, by key.
var onnxHelp = []struct{ key, help string }{
	{"predict", "what it predicts: `noise`, data, velocity or score"},
	{"schedule", "noise schedule it was trained with: `ddpm-linear` ..."},
	{"input", "`NAME` of the input for noisy samples"},
	{"time", "`NAME` of the input for the time"},
	{"time-as", "`HOW` it wants the time: index, time, time1000, sigma,\nlog-sigma, lambda or logsnr"},
	{"label-input", "`NAME` of the input for classes"},
	{"output", "`NAME` of the output"},
	{"classes", "`N`, the number of classes"},
	{"null-label", "`CLASS` that stands for none"},
	{"shape", "`C,H,W`, the shape of a sample"},
	{"engine", "`ENGINE`: onnxruntime or embedded (default the best)"},
}

// addModelFlags adds the flags of ONNX files.
func addModelFlags(flags *pflag.FlagSet, f *modelFlags) {
	more := pflag.NewFlagSet("", pflag.ContinueOnError)
	more.SortFlags = false
	f.onnx = map[string]*string{}
	for _, h := range onnxHelp {
		f.onnx[strings.TrimSuffix(h.key, "-input")] = more.String(h.key, "", h.help)
	}
	group(flags, more, "For ONNX files, where the file does not say it")
}

// options reads the flags of ONNX files.
func (f *modelFlags) options() (o network.ONNXOptions, err error) {
	for key, value := range f.onnx {
		if *value == "" {
			continue
		}
		if err := o.Set(key, *value); err != nil {
			return o, usagef("", "--%v", err)
		}
	}
	return o, nil
}

// openModel opens a model that is built in or a file.
func (c *console) openModel(f modelFlags) (*network.Model, error) {
	o, err := f.options()
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(f.name, "builtin:") {
		if f.name != builtinMNIST {
			return nil, usagef("", "--model %s: must be %s, or an ONNX file", f.name, builtinMNIST)
		}
		return network.MNIST()
	}
	if _, err := os.Stat(f.name); errors.Is(err, fs.ErrNotExist) {
		return nil, usagef("Built in: "+builtinMNIST, "--model %s: no such file", f.name)
	}
	m, err := network.OpenONNX(f.name, o)
	return m, modelError(err, "assay sample")
}

// modelError is the error of opening a model, with a hint for what the file leaves
// open.
func modelError(err error, command string) error {
	if err != nil && strings.Contains(err.Error(), " say ") {
		return usagef("Say it with flags, such as --predict noise --schedule ddpm-linear: "+command+" --help", "%v", err)
	}
	return err
}

// byFlag are the values of the flags of ONNX files, by flag.
func (f *modelFlags) byFlag() map[string]*string {
	values := make(map[string]*string, len(onnxHelp))
	for _, h := range onnxHelp {
		values[h.key] = f.onnx[strings.TrimSuffix(h.key, "-input")]
	}
	return values
}
