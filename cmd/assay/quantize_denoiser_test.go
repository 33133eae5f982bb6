package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

func TestQuantizeDenoiser(t *testing.T) {
	d := newDesk(t)
	var r denoiserReport
	if err := json.Unmarshal([]byte(d.must("quantize", "--model", "builtin:mnist", "--pairs", "32", "--calibration-steps", "6", "--calibration", "uniform", "--json")), &r); err != nil {
		t.Fatal(err)
	}
	if r.File != "mnist-w8a8.onnx" || r.Calibration != "uniform" || r.Bits != 8 || r.ActivationBits != 8 || float64(r.Bytes) > .35*float64(r.BytesFloat) {
		t.Errorf("%+v", r)
	}
	if !(r.Difference > 0 && r.Difference < .15) || r.Agreement == nil || *r.Agreement < .7 || len(r.Warnings) != 0 {
		t.Errorf("difference %g, agreement %v, warnings %v", r.Difference, r.Agreement, r.Warnings)
	}
	d.must("sample", "--model", r.File, "--n", "2", "--steps", "4", "--label", "3")
	d.must("sample", "--model", r.File, "--n", "2", "--steps", "4", "--method", "unipc")
	if res := d.assay("quantize", "--model", r.File); res.status == statusDone || !strings.Contains(res.stderr, "quantized already") {
		t.Errorf("quantized twice: status %d, %s", res.status, res.stderr)
	}
}

func TestQuantizeDenoiserPage(t *testing.T) {
	model, err := os.ReadFile("../../../shared/data/mnist-ddpm.onnx")
	if err != nil {
		t.Skip("the shared network is not at hand")
	}
	d := newDesk(t)
	d.write("unet.onnx", string(model))
	out := d.must("quantize", "--model", "unet.onnx", "--predict", "noise", "--schedule", "ddpm-linear", "--pairs", "40", "--calibration-steps", "4",
		"--activation-bits", "6", "--out", "q.onnx")
	for _, want := range []string{"unet.onnx: weights in 8 bits, activations in 6", "0.57 MB of weights instead of 1.97 MB", "Samples differ by", "/d1/c1/Conv", "32×32×3×3",
		"6 layers that depend on time and label alone", "Kept as they are: /m/m.0/Gemm", "Next  assay sample --model q.onnx"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	d.must("sample", "--model", "q.onnx", "--n", "1", "--steps", "2")
}

func TestQuantizeDenoiserErrors(t *testing.T) {
	d := newDesk(t)
	for _, tt := range []struct{ name, args, want string }{
		{"bits that are no whole number", "--model builtin:mnist --bits 4.4", "--bits 4.4: must be a whole number from 2 to 8"},
		{"too few activation bits", "--model builtin:mnist --activation-bits 1", "--activation-bits 1: must be from 2 to 8"},
		{"an unknown calibration", "--model builtin:mnist --calibration best", "--calibration best is unknown"},
		{"an unknown criterion", "--model builtin:mnist --criterion max", "--criterion max: must be power, l1"},
		{"a flag of language models", "--model builtin:mnist --group 64", "--group is for language models"},
		{"a flag of diffusion models", "--activation-bits 4", "--activation-bits is for diffusion models"},
		{"fewer pairs than a batch", "--model builtin:mnist --pairs 8 --calibration-steps 2", "calibration on 8 samples, fewer than a batch of 32"},
		{"no steps", "--model builtin:mnist --calibration-steps 1", "--calibration-steps 1: at least 2"},
		{"a missing file", "--model none.onnx", "no such file"},
		{"data that a file does not bring", "--model none.onnx --calibration forward", "this one needs data"},
		{"another kind of output", "--model builtin:mnist --out q.safetensors", "must end in .onnx"},
		{"the model as output", "--model q.onnx --out q.onnx", "is the model's file"},
	} {
		r := d.assay(append([]string{"quantize"}, strings.Fields(tt.args)...)...)
		if r.status == statusDone || !strings.Contains(r.stderr, tt.want) || r.stdout != "" {
			t.Errorf("%s: status %d, want %q in\n%s%s", tt.name, r.status, tt.want, r.stdout, r.stderr)
		}
	}
}
