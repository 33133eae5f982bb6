// Package nets is what the experiments of diffusion papers on trained networks
// share: the parameters that choose a network, seeded trials of a sampler on it,
// and the network's own fine solution as the truth.
package nets

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"image/png"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/network"
	"github.com/assay-lab/assay/internal/cache"
	"github.com/assay-lab/assay/internal/recent"
	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/report"
)

// Builtin is the network that assay ships.
const Builtin = "builtin:mnist"

// Params choose a network: the shipped one or a user's ONNX file, with what the
// file itself does not say.
func Params() []lab.Param {
	text := func(name, help string) lab.Param { return lab.Param{Name: name, Help: help, Kind: lab.Text} }
	return []lab.Param{
		{Name: "model", Help: "the network: built in, or an ONNX file", Kind: lab.Input, Default: Builtin, Choices: []string{Builtin}, Accept: []string{".onnx"}},
		text("predict", "what an ONNX network estimates: noise, data, velocity or score"),
		text("schedule", "noise schedule that an ONNX network was trained on, as ddpm-linear"),
		text("input", "name of its input of noisy samples, where it cannot be guessed"),
		text("time", "name of its input of noise levels, where it cannot be guessed"),
		text("label", "name of its input of classes, where it cannot be guessed"),
	}
}

// models are kept open, the last few: reading and compiling a network takes longer than
// many cells.
var models = recent.Cache[*network.Model]{Most: 4}

// Open opens the network that the values choose.
func Open(v lab.Values) (*network.Model, error) {
	path := v.Text("model")
	o := network.ONNXOptions{Predict: v.Text("predict"), Schedule: v.Text("schedule"), Input: v.Text("input"), Time: v.Text("time"), Label: v.Text("label")}
	if path == Builtin {
		if o.Predict != "" || o.Schedule != "" || o.Input != "" || o.Time != "" || o.Label != "" {
			return nil, fmt.Errorf("model = %s: predict, schedule, input, time and label are for ONNX files only", Builtin)
		}
		return network.MNIST()
	}
	return models.Get(fmt.Sprintf("%q %+v", path, o), func() (*network.Model, error) { return network.OpenONNX(path, o) })
}

// Unguided is the panel of a network that takes no labels.
const Unguided = "unguided"

// Panels names a panel for every guidance scale; a network without labels has one.
func Panels(m *network.Model, scales []float64) []string {
	if m.Classes == 0 {
		return []string{Unguided}
	}
	var ps []string
	for _, s := range scales {
		ps = append(ps, fmt.Sprintf("guidance %g", s))
	}
	return ps
}

// A Trial samples a network from seeded starts, the labels going round.
type Trial struct {
	Model *network.Model
	Panel string // as Panels names it
	N     int
	Seed  uint64
}

// Labels are those of the trial's samples, nil where the network takes none.
func (t Trial) Labels() []int {
	if t.Model.Classes == 0 {
		return nil
	}
	ls := make([]int, t.N)
	for i := range ls {
		ls[i] = i % t.Model.Classes
	}
	return ls
}

// Denoiser is the network under the trial's labels and guidance.
func (t Trial) Denoiser() (diffusion.Denoiser[float32], error) {
	if t.Panel == Unguided {
		return t.Model.Denoiser(nil)
	}
	var scale float64
	if _, err := fmt.Sscanf(t.Panel, "guidance %g", &scale); err != nil {
		return nil, fmt.Errorf("panel %q: %w", t.Panel, err)
	}
	return t.Model.Guided(t.Labels(), scale)
}

// Starts are the states that the trial samples from.
func (t Trial) Starts() ([]float32, error) {
	return diffusion.Start[float32](diffusion.Grid{Schedule: t.Model.Schedule}, t.N, t.Model.Len(), diffusion.Seeded(t.Seed))
}

// Sample runs a sampler with that many steps over the schedule's range.
func (t Trial) Sample(ctx context.Context, m diffusion.Method, steps int) (diffusion.Solution[float32], error) {
	return t.SampleOn(ctx, m, steps, diffusion.Spacing{})
}

// Differentiable is the trial's network as a noise prediction in float64 with a
// Jacobian by central differences, whose step suits float32.
func (t Trial) Differentiable() (diffusion.Differentiable, error) {
	d, err := t.Denoiser()
	if err != nil {
		return nil, err
	}
	return diffusion.Differences{Denoiser: diffusion.AsNoise(diffusion.Widen(d)), H: 1e-2}, nil
}

// Fitted keeps what a method was fitted to the trial's network with, by name and
// recipe, in the cache.
func Fitted[T any](ctx context.Context, t Trial, name string, recipe any, fit func(context.Context) (T, error)) (v T, err error) {
	id, err := t.fingerprint(ctx)
	if err != nil {
		return v, err
	}
	b, err := cache.Get(ctx, name, []any{id, t.Panel, t.N, t.Seed, recipe}, func(ctx context.Context) ([]byte, error) {
		v, err := fit(ctx)
		if err != nil {
			return nil, err
		}
		return json.Marshal(v)
	})
	if err != nil {
		return v, err
	}
	err = json.Unmarshal(b, &v)
	return v, err
}

// SampleOn is Sample on a spacing other than the method's own.
func (t Trial) SampleOn(ctx context.Context, m diffusion.Method, steps int, spacing diffusion.Spacing) (diffusion.Solution[float32], error) {
	p, err := t.Problem(steps, spacing)
	if err != nil {
		return diffusion.Solution[float32]{}, err
	}
	return diffusion.Solve(ctx, p, m)
}

// Problem is the trial as samplers take it.
func (t Trial) Problem(steps int, spacing diffusion.Spacing) (p diffusion.Problem[float32], err error) {
	if p.Model, err = t.Denoiser(); err != nil {
		return p, err
	}
	p.Grid = diffusion.Grid{Schedule: t.Model.Schedule, Steps: steps, Spacing: spacing}
	p.N, p.Noise = t.N, diffusion.Seeded(t.Seed)
	p.X, err = t.Starts()
	return p, err
}

// Truth is the network's own solution from the trial's starts, with so many steps
// of DPM-Solver++(2M) that what they leave is far below any error of interest. It
// is computed once and kept in the cache.
func (t Trial) Truth(ctx context.Context, steps int) ([]float32, error) {
	id, err := t.fingerprint(ctx)
	if err != nil {
		return nil, err
	}
	recipe := struct {
		Trial, Panel   string
		N              int
		Seed           uint64
		Steps, Version int
	}{id, t.Panel, t.N, t.Seed, steps, 1}
	b, err := cache.Get(ctx, "network-truth", recipe, func(ctx context.Context) ([]byte, error) {
		s, err := t.Sample(ctx, diffusion.DPMSolver{}, steps)
		if err != nil {
			return nil, err
		}
		return binary.Append(nil, binary.LittleEndian, s.X)
	})
	if err != nil {
		return nil, err
	}
	x := make([]float32, len(b)/4)
	_, err = binary.Decode(b, binary.LittleEndian, x)
	return x, err
}

// fingerprint tells networks and start states apart: a hash of the states that two
// steps lead to from the trial's first start.
func (t Trial) fingerprint(ctx context.Context) (string, error) {
	one := t
	one.N = 1
	s, err := one.Sample(ctx, diffusion.DDIM{}, 2)
	if err != nil {
		return "", err
	}
	b, err := binary.Append(nil, binary.LittleEndian, s.X)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return t.Model.Name + " " + hex.EncodeToString(sum[:8]), nil
}

// Picture is the first n samples of a network of images as a grid, ten a row.
func Picture(m *network.Model, x []float32, n int) (lab.File, error) {
	if len(m.Shape) != 3 {
		return lab.File{}, fmt.Errorf("%s: samples of shape %v are no images", m.Name, m.Shape)
	}
	img, err := report.ImageGrid(x[:n*m.Len()], n, m.Shape[0], m.Shape[1], m.Shape[2], min(n, 10))
	if err != nil {
		return lab.File{}, err
	}
	var b bytes.Buffer
	err = png.Encode(&b, img)
	return lab.File{Name: "samples.png", Type: "image/png", Data: b.Bytes()}, err
}
