package main

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/assay-lab/assay/internal/cache"
	"github.com/assay-lab/assay/papers/mixllm"
	"github.com/assay-lab/assay/quant"
)

// quantizeFlags are what the user asked of assay quantize.
type quantizeFlags struct {
	model       string
	bits        float64
	low         int // 0: by bits
	group       int
	rounding    string
	calibration string
	sequences   int
	only, skip  string
	out         string
	json        bool

	denoiser denoiserFlags
}

func (c *console) quantizeCommand() *cobra.Command {
	var f quantizeFlags
	cmd := &cobra.Command{
		Use:   "quantize",
		Short: "Quantize a network's layers to 2 to 8 bits",
		Long: `quantize stores the weights of a language model or of a diffusion model in few
bits; a diffusion model's activations too.

Language models: it gives most rows of the weight matrices few bits, and 8 to
the rows that matter most for the network's loss (MixLLM). It says which rows
those are, and what the errors are.

A network is the language model that comes with assay, one that assay train
tiny-lm has made, or any safetensors file: its matrices [outputs, inputs] are
quantized, but for embeddings, norms and heads.

For its own language models assay has text to calibrate on. For others give a
safetensors file with, for each matrix NAME, its inputs, NAME.input [sequences,
tokens, inputs], and the gradients of the loss by its outputs, NAME.grad
[sequences, tokens, outputs]. Without gradients rows are chosen by the rounding
error of their weights; without inputs all are rounded to nearest.

Diffusion models: builtin:mnist, or an ONNX file. It finds the ranges of
activations on states of the model's own making (PTQ4DM), and writes an ONNX
file that assay sample, and any other engine, takes in place of the model. Then
it compares samples from equal noise with those of the model itself.`,
		Example: `  assay quantize --bits 4.4
  assay quantize --model weights.safetensors --bits 4.4 --group 64
  assay quantize --model weights.safetensors --calibration seen.safetensors
  assay quantize --model builtin:mnist --bits 8 --activation-bits 8
  assay quantize --model my.onnx --predict noise --schedule ddpm-linear`,
		Args: takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.isDenoiser() {
				return c.quantizeDenoiser(cmd, f)
			}
			if err := f.denoiser.refuse(cmd); err != nil {
				return err
			}
			return c.quantize(cmd.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.model, "model", mixllm.Builtin, "`MODEL`: "+mixllm.Builtin+", "+builtinMNIST+", or a file, .safetensors or .onnx")
	flags.Float64Var(&f.bits, "bits", 4.4, "`B`, the mean number of bits of a code: 4.4 is 10 % of the rows at 8 bits, the others at 4; a diffusion model takes a whole number, and 8 if none is given")
	flags.IntVar(&f.low, "low", 0, "`B`, bits of the other rows")
	flags.Lookup("low").DefValue = "4, or fewer if --bits is less"
	flags.IntVar(&f.group, "group", 128, "`N` inputs share a scale")
	flags.StringVar(&f.rounding, "rounding", "gptq", "`HOW` codes are found: gptq, clip or nearest")
	flags.StringVar(&f.calibration, "calibration", "", "`FILE` of inputs and gradients, .safetensors; for a diffusion model the way to choose time steps: "+planNames())
	flags.IntVar(&f.sequences, "sequences", 128, "calibrate a language model of assay on `N` sequences")
	flags.StringVar(&f.only, "only", "", "quantize only matrices whose name matches this `REGEXP`")
	flags.StringVar(&f.skip, "skip", defaultSkip, "leave out those whose name matches this `REGEXP`")
	flags.StringVar(&f.out, "out", "", "write into `FILE`, .safetensors")
	flags.Lookup("out").DefValue = "MODEL-qB.safetensors, MODEL-wBaB.onnx"
	flags.BoolVar(&f.json, "json", false, "print one JSON document and nothing else")
	f.denoiser.add(flags)
	return cmd
}

// method is the method that the flags ask for.
func (f *quantizeFlags) method() (quant.MixLLM, error) {
	var m quant.MixLLM
	r, err := quant.ParseRounding(f.rounding)
	switch {
	case err != nil:
		return m, usagef("", "--rounding %s: must be gptq, clip or nearest", f.rounding)
	case !(f.bits >= 2 && f.bits <= 8):
		return m, usagef("", "--bits %g: must be from 2 to 8", f.bits)
	case f.low != 0 && (f.low < 2 || float64(f.low) > f.bits):
		return m, usagef("", "--low %d: must be from 2 to --bits, which is %g", f.low, f.bits)
	case f.group < 1:
		return m, usagef("", "--group %d: must be positive", f.group)
	case f.sequences < 1:
		return m, usagef("", "--sequences %d: must be positive", f.sequences)
	}
	m = quant.MixLLM{Group: f.group, Low: f.low, Rounding: r}
	if m.Low == 0 {
		m.Low = min(4, int(f.bits))
	}
	if m.Low < 8 {
		percent := 100 * (f.bits - float64(m.Low)) / float64(8-m.Low)
		m.High = []quant.Width{{Bits: 8, Percent: math.Round(percent*1e9) / 1e9}}
	}
	return m, nil
}

// output is the file to write.
func (f *quantizeFlags) output() (string, error) {
	out := f.out
	if out == "" {
		name := strings.TrimPrefix(filepath.Base(f.model), "builtin:")
		out = fmt.Sprintf("%s-q%g.safetensors", strings.TrimSuffix(name, ".safetensors"), f.bits)
	}
	if !strings.EqualFold(filepath.Ext(out), ".safetensors") {
		return "", usagef("", "--out %s: must end in .safetensors", out)
	}
	if filepath.Clean(out) == filepath.Clean(f.model) {
		return "", usagef("", "--out %s is the model's file", out)
	}
	return out, nil
}

// quantize is assay quantize.
func (c *console) quantize(ctx context.Context, f quantizeFlags) error {
	method, err := f.method()
	if err != nil {
		return err
	}
	out, err := f.output()
	if err != nil {
		return err
	}
	w, err := openWeights(f)
	if err != nil {
		return err
	}
	layers, err := c.calibrate(ctx, f, method, w)
	if err != nil {
		return err
	}
	plan, criterion, err := chooseRows(method, layers)
	if err != nil {
		return err
	}
	r := &quantizeReport{Model: f.model, File: out, Low: method.Low, Group: f.group, Rounding: f.rounding, Criterion: criterion}
	quantized, err := c.roundLayers(ctx, method, layers, plan, r)
	if err != nil {
		return err
	}
	if w.letters != nil {
		if err := r.judge(ctx, w.letters, quantized); err != nil {
			return err
		}
	}
	for _, l := range layers {
		delete(w.tensors, l.Name)
	}
	var b bytes.Buffer
	if err := quant.Write(&b, quantized, w.tensors); err != nil {
		return err
	}
	if err := cache.WriteFile(out, b.Bytes()); err != nil {
		return err
	}
	r.finish(quantized, w, b.Len())
	return c.printQuantized(r, f.json)
}

// roundLayers quantizes one layer after the other.
func (c *console) roundLayers(ctx context.Context, m quant.MixLLM, layers []*quant.Calibration, plan quant.Plan, r *quantizeReport) ([]*quant.Layer, error) {
	bar := c.progress("quantize", "matrices")
	defer bar.close()
	var quantized []*quant.Layer
	for i, l := range layers {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		bar.set(i, len(layers), l.Name)
		ls, rs, err := m.Quantize(layers[i:i+1], plan[i:i+1])
		if err != nil {
			return nil, err
		}
		quantized = append(quantized, ls[0])
		r.add(l, rs[0])
	}
	return quantized, nil
}

// chooseRows plans the bits of all rows, and says by which criterion.
func chooseRows(m quant.MixLLM, layers []*quant.Calibration) (quant.Plan, string, error) {
	if len(m.High) == 0 || m.High[0].Percent == 0 || m.High[0].Percent == 100 {
		bits := m.Low
		if len(m.High) > 0 && m.High[0].Percent == 100 {
			bits = 8
		}
		var rows []int
		for _, l := range layers {
			rows = append(rows, l.Weights.Rows)
		}
		return quant.Uniform(rows, bits), "nothing: all rows are alike", nil
	}
	for _, l := range layers {
		if !l.HasGradients() {
			plan, err := m.PlanBy(layers, func(c *quant.Calibration, bits int) ([]float64, error) {
				return quant.WeightError(c.Weights, m.Spec(bits))
			})
			return plan, "weight error (no gradients to tell what matters for the loss)", err
		}
	}
	plan, err := m.Plan(layers)
	return plan, "salience", err
}
