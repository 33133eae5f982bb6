package main

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/assay-lab/assay/data"
	"github.com/assay-lab/assay/quant"
)

// writeTensors writes a safetensors file of random tensors.
func (d *desk) writeTensors(name string, shapes map[string][]int) {
	d.t.Helper()
	s := &data.Safetensors{Tensors: map[string]data.Tensor{}}
	for tensor, shape := range shapes {
		t := data.Tensor{Shape: shape}
		r := rand.New(rand.NewPCG(1, uint64(len(tensor))))
		x := make([]float32, t.Len())
		for i := range x {
			x[i] = float32(r.NormFloat64())
		}
		t.Data = x
		s.Tensors[tensor] = t
	}
	var b bytes.Buffer
	if err := data.WriteSafetensors(&b, s); err != nil {
		d.t.Fatal(err)
	}
	d.write(name, b.String())
}

var someShapes = map[string][]int{"a.weight": {24, 64}, "b.weight": {40, 64}, "embedding": {10, 64}, "a.bias": {24}}

func TestQuantizeOwnWeights(t *testing.T) {
	d := newDesk(t)
	d.writeTensors("w.safetensors", someShapes)
	var r quantizeReport
	if err := json.Unmarshal([]byte(d.must("quantize", "--model", "w.safetensors", "--bits", "4.4", "--group", "32", "--json")), &r); err != nil {
		t.Fatal(err)
	}
	high := 0
	for _, l := range r.Layers {
		high += len(l.HighRows)
		if l.Rounding != "nearest" || l.Note == "" || l.WeightError == 0 || l.OutputError != nil {
			t.Errorf("layer %+v", l)
		}
	}
	if len(r.Layers) != 2 || high != 6 || r.Bits != 4+4*6/64.0 || !strings.HasPrefix(r.Criterion, "weight error (no gradients") {
		t.Errorf("%d layers, %d rows of 8 bits, %g bits, by %s", len(r.Layers), high, r.Bits, r.Criterion)
	}
	layers, rest, err := quant.Read(strings.NewReader(d.read("w-q4.4.safetensors")))
	if err != nil || len(layers) != 2 || layers[1].Name != "b.weight" || len(rest) != 2 {
		t.Errorf("the file has %d layers and %d other tensors, %v", len(layers), len(rest), err)
	}
	out := d.must("quantize", "--model", "w.safetensors", "--bits", "3", "--group", "64", "--only", "^a", "--out", "a.safetensors")
	for _, want := range []string{"w.safetensors in 3 bits", "a.weight", "24 × 64", "b.weight, embedding", "a.safetensors"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

func TestQuantizeWithCalibration(t *testing.T) {
	d := newDesk(t)
	d.writeTensors("w.safetensors", someShapes)
	d.writeTensors("seen.safetensors", map[string][]int{"a.weight.input": {3, 20, 64}, "a.weight.grad": {3, 20, 24}, "b.weight.input": {20, 64}, "b.weight.grad": {20, 40}})
	var r quantizeReport
	if err := json.Unmarshal([]byte(d.must("quantize", "--model", "w.safetensors", "--group", "32", "--calibration", "seen.safetensors", "--json")), &r); err != nil {
		t.Fatal(err)
	}
	if r.Criterion != "salience" || r.Layers[0].Rounding != "gptq" || r.Layers[0].OutputError == nil || *r.Layers[0].OutputError > 1 {
		t.Errorf("by %s: %+v", r.Criterion, r.Layers[0])
	}
	for name, tt := range map[string]struct {
		shapes map[string][]int
		want   string
	}{
		"a layer without inputs":      {map[string][]int{"a.weight.input": {20, 64}}, `"b.weight.input" is missing`},
		"inputs of another width":     {map[string][]int{"a.weight.input": {20, 63}}, "want [sequences, tokens, 64]"},
		"gradients of another length": {map[string][]int{"a.weight.input": {20, 64}, "a.weight.grad": {19, 24}}, "gradient [19, 24]"},
		"gradients of fewer texts":    {map[string][]int{"a.weight.input": {2, 20, 64}, "a.weight.grad": {1, 20, 24}}, `2 sequences in "a.weight.input", 1 in`},
	} {
		d.writeTensors("bad.safetensors", tt.shapes)
		if res := d.assay("quantize", "--model", "w.safetensors", "--group", "32", "--calibration", "bad.safetensors"); res.status != statusFailed || !strings.Contains(res.stderr, tt.want) {
			t.Errorf("%s: status %d, %s", name, res.status, res.stderr)
		}
	}
}

func TestQuantizeShippedModel(t *testing.T) {
	d := newDesk(t)
	var r quantizeReport
	if err := json.Unmarshal([]byte(d.must("quantize", "--sequences", "8", "--rounding", "clip", "--json")), &r); err != nil {
		t.Fatal(err)
	}
	if r.Criterion != "salience" || len(r.Layers) != 18 || r.Perplexity == nil || r.Bytes > r.BytesFloat/5 {
		t.Fatalf("%+v", r)
	}
	if before, after := r.Perplexity[0], r.Perplexity[1]; before > 5.3 || after < before || after > before*1.03 {
		t.Errorf("perplexity %g of float32, %g quantized", before, after)
	}
	if _, rest, err := quant.Read(strings.NewReader(d.read("tiny-lm-q4.4.safetensors"))); err != nil || len(rest) != len(r.Kept) {
		t.Errorf("%d other tensors, %v", len(rest), err)
	}
}

func TestQuantizeErrors(t *testing.T) {
	d := newDesk(t)
	d.writeTensors("w.safetensors", someShapes)
	d.write("broken.safetensors", "hello, this is no such file")
	tests := []struct {
		name, args string
		status     int
		want       string
	}{
		{"too many bits", "--bits 9", statusUsage, "--bits 9: must be from 2 to 8"},
		{"bits that are no number", "--bits NaN", statusUsage, "--bits NaN"},
		{"low above the mean", "--bits 4 --low 5", statusUsage, "--low 5"},
		{"no group", "--group 0", statusUsage, "--group 0"},
		{"a group that does not divide", "--model w.safetensors --group 48", statusUsage, "a.weight is 24 × 64: groups of 48 do not divide its 64 inputs"},
		{"an unknown rounding", "--rounding up", statusUsage, "must be gptq, clip or nearest"},
		{"a bad expression", "--model w.safetensors --only (", statusUsage, "--only ("},
		{"nothing left", "--model w.safetensors --only nothing", statusUsage, "no matrix to quantize: of its 4 tensors 3 are matrices"},
		{"a missing file", "--model none.safetensors", statusUsage, "no such file"},
		{"an unknown model", "--model builtin:gpt", statusUsage, "builtin:tiny-lm"},
		{"a broken file", "--model broken.safetensors", statusFailed, "broken.safetensors: data: safetensors"},
		{"the model as output", "--model w.safetensors --group 64 --out w.safetensors", statusUsage, "is the model's file"},
		{"another kind of output", "--out q.gguf", statusUsage, "must end in .safetensors"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := d.assay(append([]string{"quantize"}, strings.Fields(tt.args)...)...)
			if r.status != tt.status || !strings.Contains(r.stderr, tt.want) || r.stdout != "" {
				t.Errorf("status %d, want %d; %q in\n%s%s", r.status, tt.status, tt.want, r.stdout, r.stderr)
			}
		})
	}
}
