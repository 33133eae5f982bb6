package network

import (
	"fmt"
	"slices"
	"strings"

	"github.com/assay-lab/assay/onnx"
)

// ports are the inputs and the output of a diffusion network.
type ports struct {
	inputs       []onnx.ValueInfo // all of them
	sample, time onnx.ValueInfo
	label        *onnx.ValueInfo // nil: the network takes none
	output       onnx.ValueInfo
}

// A role is what an input or output is for.
type role struct {
	what, option string   // as errors name it
	names        []string // by which it is known, in lower case
	fits         func(onnx.ValueInfo) bool
}

var (
	sampleRole = role{"the noisy samples", "input",
		[]string{"sample", "x", "input", "latent", "latents", "x_t", "xt", "noisy", "noisy_sample", "image", "images", "latent_model_input", "hidden_states", "z", "z_t"},
		func(v onnx.ValueInfo) bool { return floats(v) && (v.Shape == nil || len(v.Shape) >= 2) }}
	timeRole = role{"the time", "time",
		[]string{"timestep", "timesteps", "t", "time", "times", "ts", "sigma", "sigmas", "noise_level", "noise_labels", "c_noise", "log_snr", "logsnr", "lambda"},
		func(v onnx.ValueInfo) bool { return numbers(v) && perSample(v) }}
	labelRole = role{"the labels", "label",
		[]string{"label", "labels", "class", "classes", "y", "class_label", "class_labels", "c", "cond"},
		func(v onnx.ValueInfo) bool { return numbers(v) && (perSample(v) || oneHotWidth(v) > 0) }}
	outputRole = role{"the prediction", "output",
		[]string{"out_sample", "output", "out", "eps", "epsilon", "noise", "noise_pred", "pred", "prediction", "v", "y", "sample", "x0", "denoised", "score", "velocity"},
		floats}

	inputRoles = []role{sampleRole, timeRole, labelRole}
)

// knows reports whether a value of that name usually has the role.
func (r role) knows(v onnx.ValueInfo) bool { return slices.Contains(r.names, strings.ToLower(v.Name)) }

func floats(v onnx.ValueInfo) bool { return v.Type == onnx.Float32 || v.Type == onnx.Float64 }

func numbers(v onnx.ValueInfo) bool {
	return floats(v) || v.Type == onnx.Int64 || v.Type == onnx.Int32
}

// perSample reports whether an input can take one number a sample, or one for all.
func perSample(v onnx.ValueInfo) bool {
	for i, d := range v.Shape {
		if i > 0 && d != 1 && d >= 0 {
			return false
		}
	}
	return true
}

// findPorts settles what each input and output is for.
func findPorts(info onnx.Info, o ONNXOptions) (ports, error) {
	p := ports{inputs: info.Inputs}
	left := slices.Clone(info.Inputs)
	take := func(r role, name string) (*onnx.ValueInfo, error) {
		v, err := r.find(left, name)
		if err != nil {
			return nil, fmt.Errorf("%w: the network has %s", err, describe(info.Inputs))
		}
		if v != nil {
			left = slices.DeleteFunc(left, func(w onnx.ValueInfo) bool { return w.Name == v.Name })
		}
		return v, nil
	}
	// inputs named by the user are out of the way of the others' search
	found := map[string]*onnx.ValueInfo{}
	byUser := map[string]string{"input": o.Input, "time": o.Time, "label": o.Label}
	for _, named := range []bool{true, false} {
		for _, r := range inputRoles {
			if (byUser[r.option] != "") != named {
				continue
			}
			v, err := take(r, byUser[r.option])
			if err != nil {
				return p, err
			}
			found[r.option] = v
		}
	}
	for _, r := range inputRoles[:2] {
		if found[r.option] == nil {
			return p, fmt.Errorf("no input is known as %s: name it with %s=NAME: the network has %s", r.what, r.option, describe(info.Inputs))
		}
	}
	if len(left) > 0 {
		return p, fmt.Errorf("input %v has no known use: input=%s and time=%s are the samples and the time; name the labels with label=NAME; other inputs are not supported: the network has %s",
			left[0], found["input"].Name, found["time"].Name, describe(info.Inputs))
	}
	p.sample, p.time, p.label = *found["input"], *found["time"], found["label"]
	out, err := outputRole.find(info.Outputs, o.Output)
	if err == nil && out == nil {
		err = fmt.Errorf("no output is known as %s: name it with %s=NAME", outputRole.what, outputRole.option)
	}
	if err != nil {
		return p, fmt.Errorf("%w: the network has %s", err, describe(info.Outputs))
	}
	p.output = *out
	return p, nil
}

// find gives the value with a role: the one of the given name, else the only one
// known by its name, else the only one that fits; nil when none does. Labels are
// optional, so that they must be known by name.
func (r role) find(vs []onnx.ValueInfo, name string) (*onnx.ValueInfo, error) {
	if name != "" {
		for _, v := range vs {
			if v.Name != name {
				continue
			}
			if !r.fits(v) {
				return nil, fmt.Errorf("%s=%s: %v cannot be %s", r.option, name, v, r.what)
			}
			return &v, nil
		}
		return nil, fmt.Errorf("%s=%s: there is no such name", r.option, name)
	}
	var fit, known []onnx.ValueInfo
	for _, v := range vs {
		if !r.fits(v) {
			continue
		}
		if r.knows(v) {
			known = append(known, v)
		} else if r.option == outputRole.option || !slices.ContainsFunc(inputRoles, func(other role) bool { return other.knows(v) }) {
			fit = append(fit, v)
		}
	}
	if len(known) == 0 && r.option != labelRole.option {
		known = fit
	}
	switch len(known) {
	case 0:
		return nil, nil
	case 1:
		return &known[0], nil
	}
	return nil, fmt.Errorf("%s may be %d of them: name it with %s=NAME", r.what, len(known), r.option)
}

func describe(vs []onnx.ValueInfo) string {
	s := make([]string, len(vs))
	for i, v := range vs {
		s[i] = v.String()
	}
	return strings.Join(s, ", ")
}
