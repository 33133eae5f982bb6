package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/calibration"
	"github.com/assay-lab/assay/diffusion/network"
	"github.com/assay-lab/assay/internal/cache"
	"github.com/assay-lab/assay/internal/nn/mnist"
	"github.com/assay-lab/assay/onnx"
	"github.com/assay-lab/assay/quant"
)

// denoiserFlags are those of assay quantize for diffusion models.
type denoiserFlags struct {
	activationBits int
	criterion      string
	pairs, steps   int
	seed           uint64
	model          modelFlags
}

// languageFlags are the flags that language models alone have.
var languageFlags = []string{"low", "group", "rounding", "sequences", "only", "skip"}

func planNames() string { return strings.Join(calibration.Names(), ", ") }

func (d *denoiserFlags) add(flags *pflag.FlagSet) {
	more := pflag.NewFlagSet("", pflag.ContinueOnError)
	more.SortFlags = false
	more.IntVar(&d.activationBits, "activation-bits", 8, "`B`, bits of activations, 2 to 8")
	more.StringVar(&d.criterion, "criterion", "power", "`HOW` a range is judged: power, l1, mse, cosine, divergence or extremes")
	more.IntVar(&d.pairs, "pairs", 256, "calibrate on `N` pairs of state and time")
	more.IntVar(&d.steps, "calibration-steps", 50, "`N` time steps of the sampler that makes them")
	more.Uint64Var(&d.seed, "seed", 0, "`N`: the same seed gives the same pairs")
	group(flags, more, "For diffusion models")
	addModelFlags(flags, &d.model)
}

// refuse refuses the flags of diffusion models for other ones.
func (d *denoiserFlags) refuse(cmd *cobra.Command) error {
	for _, name := range []string{"activation-bits", "criterion", "pairs", "calibration-steps", "seed"} {
		if cmd.Flags().Changed(name) {
			return usagef("", "--%s is for diffusion models: %s or an ONNX file", name, builtinMNIST)
		}
	}
	return nil
}

// isDenoiser reports whether the model is a diffusion model.
func (f *quantizeFlags) isDenoiser() bool {
	return f.model == builtinMNIST || strings.EqualFold(filepath.Ext(f.model), ".onnx")
}

// quantization reads the flags.
func (f *quantizeFlags) quantization(cmd *cobra.Command) (q network.Quantization, err error) {
	for _, name := range languageFlags {
		if cmd.Flags().Changed(name) {
			return q, usagef("", "--%s is for language models", name)
		}
	}
	bits := 8
	if cmd.Flags().Changed("bits") {
		bits = int(f.bits)
	}
	d := f.denoiser
	switch {
	case bits < 2 || bits > 8 || cmd.Flags().Changed("bits") && f.bits != float64(bits):
		return q, usagef("", "--bits %g: must be a whole number from 2 to 8 for a diffusion model", f.bits)
	case d.activationBits < 2 || d.activationBits > 8:
		return q, usagef("", "--activation-bits %d: must be from 2 to 8", d.activationBits)
	case d.steps < 2:
		return q, usagef("", "--calibration-steps %d: at least 2 are needed", d.steps)
	case d.pairs < 1:
		return q, usagef("", "--pairs %d: must be positive", d.pairs)
	}
	c, p, err := quant.ParseCriterion(d.criterion)
	if err != nil {
		return q, asUsage(fmt.Errorf("--criterion %s: must be power, l1, mse, cosine, divergence or extremes", d.criterion))
	}
	name := f.calibration
	if name == "" {
		name = "ndtc"
	}
	if q.Plan, err = calibration.Named(name); err != nil {
		var list strings.Builder
		list.WriteString("Time steps are chosen by:")
		for _, n := range calibration.Names() {
			fmt.Fprintf(&list, "\n  %-9s  %s", n, calibration.Doc(n))
		}
		return q, usagef(list.String(), "--calibration %s is unknown", name)
	}
	q.Plan.N, q.Plan.Seed, q.Steps = d.pairs, d.seed, d.steps
	q.Method = quant.PostTraining{
		Weights:     quant.RangeSearch{Bits: bits},
		Activations: quant.RangeSearch{Bits: d.activationBits, Criterion: c, P: p},
		Sample:      1 << 13,
	}
	return q, nil
}

// denoiserReport is what assay quantize did to a diffusion model.
type denoiserReport struct {
	Model          string                   `json:"model"`
	File           string                   `json:"file"`
	Bits           int                      `json:"bits"`
	ActivationBits int                      `json:"activation_bits"`
	Calibration    string                   `json:"calibration"`
	Pairs          int                      `json:"pairs"`
	Bytes          int                      `json:"bytes_of_weights"`
	BytesFloat     int                      `json:"bytes_float32"`
	Difference     float64                  `json:"rms_difference"` // of samples from equal noise
	Samples        int                      `json:"samples"`
	Agreement      *float64                 `json:"same_digit,omitempty"` // share
	Warnings       []string                 `json:"warnings"`
	Layers         []network.QuantizedLayer `json:"layers"`
	Kept           []string                 `json:"kept"`
}

// quantizeDenoiser is assay quantize for diffusion models.
func (c *console) quantizeDenoiser(cmd *cobra.Command, f quantizeFlags) error {
	ctx := cmd.Context()
	q, err := f.quantization(cmd)
	if err != nil {
		return err
	}
	name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(f.model), "builtin:"), filepath.Ext(f.model))
	r := &denoiserReport{Model: f.model, File: f.out, Bits: q.Method.Weights.Bits, ActivationBits: q.Method.Activations.Bits,
		Calibration: f.calibration, Pairs: q.Plan.N, Warnings: []string{}, Kept: []string{}}
	if r.Calibration == "" {
		r.Calibration = "ndtc"
	}
	if r.File == "" {
		r.File = fmt.Sprintf("%s-w%da%d.onnx", name, r.Bits, r.ActivationBits)
	}
	switch {
	case !strings.EqualFold(filepath.Ext(r.File), ".onnx"):
		return usagef("", "--out %s: must end in .onnx", r.File)
	case filepath.Clean(r.File) == filepath.Clean(f.model):
		return usagef("", "--out %s is the model's file", r.File)
	}
	o, err := f.denoiser.model.options()
	if err != nil {
		return err
	}
	m, err := c.readDenoiser(f.model, o, &q)
	if err != nil {
		return err
	}
	bar := c.progress("calibrate", "batches")
	q.Progress = func(done, of int) { bar.set(done, of, "") }
	z, err := network.QuantizeONNX(ctx, m, o, q)
	bar.close()
	if err != nil {
		return modelError(err, "assay quantize")
	}
	b, err := z.Model.Encode()
	if err != nil {
		return err
	}
	if err := cache.WriteFile(r.File, b); err != nil {
		return err
	}
	r.Bytes, r.BytesFloat, r.Layers = z.Bytes, z.Float, z.Layers
	r.Kept = append(r.Kept, z.Kept...)
	for _, w := range z.Warnings {
		r.Warnings = append(r.Warnings, w.String())
	}
	if err := c.judgeDenoiser(ctx, r, m, z.Model, o, f.model == builtinMNIST); err != nil {
		return err
	}
	return c.printDenoiser(r, f.json)
}

// readDenoiser reads a model, and the data that some plans need.
func (c *console) readDenoiser(path string, o network.ONNXOptions, q *network.Quantization) (*onnx.Model, error) {
	if path == builtinMNIST {
		x, _, err := network.MNISTImages()
		if err != nil {
			return nil, err
		}
		q.Data = x
		return network.MNISTONNX()
	}
	if q.Plan.Source == calibration.Forward || q.Plan.Source == calibration.RawData {
		return nil, usagef("The default, ndtc, needs none: the model makes its own.", "--calibration: this one needs data, which come with %s alone", builtinMNIST)
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, usagef("Built in: "+builtinMNIST, "--model %s: no such file", path)
	}
	return onnx.Read(path)
}

// judgeDenoiser compares samples from equal noise, by DPM-Solver++(2M) with 20 steps.
func (c *console) judgeDenoiser(ctx context.Context, r *denoiserReport, float, quantized *onnx.Model, o network.ONNXOptions, digits bool) error {
	const n, steps = 20, 20
	r.Samples = n
	bar := c.progress("compare", "samples")
	defer bar.close()
	var xs [2][]float32
	for i, m := range []*onnx.Model{float, quantized} {
		s, err := onnx.NewSession(m, onnx.Options{Engine: o.Engine})
		if err != nil {
			return err
		}
		net, err := network.FromONNX(r.Model, s, o)
		if err != nil {
			s.Close()
			return err
		}
		defer net.Close()
		d, err := net.Denoiser(network.RoundLabels(net, n))
		if err != nil {
			return err
		}
		g := diffusion.Grid{Schedule: net.Schedule, Steps: steps}
		x, err := diffusion.Start[float32](g, n, net.Len(), diffusion.Seeded(1))
		if err != nil {
			return err
		}
		sol, err := diffusion.Solve(ctx, diffusion.Problem[float32]{Model: d, Grid: g, X: x, N: n, OnStep: func(st diffusion.Step[float32]) error {
			bar.set(i*st.Of+st.Index+1, 2*st.Of, "")
			return nil
		}}, diffusion.DPMSolver{})
		if err != nil {
			return err
		}
		xs[i] = sol.X
	}
	r.Difference = rms(xs[0], xs[1])
	if !digits {
		return nil
	}
	judge, err := mnist.Classifier()
	if err != nil {
		return err
	}
	same, err := judge.Agreement(ctx, xs[0], xs[1], n)
	r.Agreement = &same
	return err
}

// printDenoiser prints the report.
func (c *console) printDenoiser(r *denoiserReport, asJSON bool) error {
	if asJSON {
		b, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(c.out, "%s\n", b)
		return err
	}
	fmt.Fprintf(c.out, "%s\n", c.paint(bold, fmt.Sprintf("%s: weights in %d bits, activations in %d", r.Model, r.Bits, r.ActivationBits)))
	fmt.Fprintf(c.out, "%s of weights instead of %s in float32. Calibrated on %d pairs, %s: %s.\n",
		megabytes(r.Bytes), megabytes(r.BytesFloat), r.Pairs, r.Calibration, calibration.Doc(r.Calibration))
	fmt.Fprintf(c.out, "Samples differ by %.3g from the model's own, root mean square of %d from equal noise.\n", r.Difference, r.Samples)
	if r.Agreement != nil {
		fmt.Fprintf(c.out, "%.0f %% of them are still the same digit.\n", 100**r.Agreement)
	}
	width := len("layer")
	for _, l := range r.Layers {
		if l.Inputs > 0 {
			width = max(width, utf8.RuneCountInString(l.Name))
		}
	}
	fmt.Fprintf(c.out, "\n%s\n", c.paint(faint, fmt.Sprintf("%-*s  %14s  %4s  %s", width, "layer", "weights", "bits", "range of its input")))
	alone := 0
	for _, l := range r.Layers {
		if l.Inputs == 0 {
			alone++
			continue
		}
		fmt.Fprintf(c.out, "%-*s  %14s  %4d  %.3g to %.3g\n", width, l.Name, times(l.Shape), l.Bits, l.Lo, l.Hi)
	}
	if alone > 0 {
		fmt.Fprintf(c.out, "\n%d layers that depend on time and label alone have 8-bit weights and multiply in float32.\n", alone)
	}
	if len(r.Kept) > 0 {
		fmt.Fprintf(c.out, "\nKept as they are: %s\n", wrap(some(slices.Clone(r.Kept), 12), c.textWidth()-2, "  "))
	}
	for _, w := range r.Warnings {
		c.note("%s", w)
	}
	fmt.Fprintf(c.out, "File  %s\n\nNext  assay sample --model %s\n", r.File, r.File)
	return nil
}

// rms is the root mean square of a − b.
func rms(a, b []float32) float64 {
	var s float64
	for i := range a {
		d := float64(a[i] - b[i])
		s += d * d
	}
	return math.Sqrt(s / float64(len(a)))
}
