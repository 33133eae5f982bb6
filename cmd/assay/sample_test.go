package main

import (
	"bytes"
	"image/png"
	"slices"
	"strings"
	"testing"

	"github.com/assay-lab/assay/data"
)

// npy reads a tensor of the desk's folder.
func (d *desk) npy(name string) data.Tensor {
	d.t.Helper()
	t, err := data.ReadNPY(strings.NewReader(d.read(name)))
	if err != nil {
		d.t.Fatal(err)
	}
	return t
}

func TestSampleBuiltin(t *testing.T) {
	d := newDesk(t)
	out := d.must("sample", "--steps", "4", "--n", "3", "--label", "all", "--guidance", "2", "--seed", "5", "--out", "a.png")
	if !strings.Contains(out, "a.png") || !strings.Contains(out, "a.npy") {
		t.Errorf("does not say what it wrote:\n%s", out)
	}
	a := d.npy("a.npy")
	if want := []int{10, 1, 28, 28}; !slices.Equal(a.Shape, want) { // a whole row: one sample a class
		t.Errorf("shape %v: want %v", a.Shape, want)
	}
	img, err := png.Decode(strings.NewReader(d.read("a.png")))
	if err != nil {
		t.Fatal(err)
	}
	if b := img.Bounds(); b.Dx() < 9*b.Dy() || b.Dx() > 10*b.Dy() {
		t.Errorf("the picture is %v: want one row of ten", b)
	}
	d.must("sample", "--steps", "4", "--n", "10", "--label", "all", "--guidance", "2", "--seed", "5", "--out", "b.png", "--npy", "again.npy")
	if d.read("a.npy") != d.read("again.npy") || d.read("a.png") != d.read("b.png") {
		t.Error("the same seed gives other samples")
	}
	d.must("sample", "--steps", "4", "--n", "10", "--label", "all", "--guidance", "2", "--seed", "6", "--out", "c.png")
	if d.read("a.npy") == d.read("c.npy") {
		t.Error("another seed gives the same samples")
	}
}

func TestSampleRefuses(t *testing.T) {
	d := newDesk(t)
	d.write("bad.onnx", "this is no network")
	for _, tt := range []struct {
		args   string
		status int
		want   string
	}{
		{"--label 10", statusUsage, "from 0 to 9"},
		{"--guidance 3", statusUsage, "guidance needs labels"},
		{"--steps 1 --method dpmpp-3m", statusUsage, "at least 3"},
		{"--eta 1 --method dpmpp-2s", statusUsage, "deterministic"},
		{"--threshold 2", statusUsage, "must be in (0, 1]"},
		{"--spacing wide", statusUsage, "karras"},
		{"--out samples.jpg", statusUsage, ".png"},
		{"--out same.png --npy ./same.png", statusUsage, "same.png"},
		{"--model bad.onnx --predict noise --schedule ddpm-linear", statusFailed, "bad.onnx"},
		{"--model bad.onnx --classes many", statusUsage, "whole number"},
	} {
		r := d.assay(append([]string{"sample"}, strings.Fields(tt.args)...)...)
		if r.status != tt.status || !strings.Contains(r.stderr, tt.want) || r.stdout != "" {
			t.Errorf("%s: status %d, want %d and %q\n%s", tt.args, r.status, tt.status, tt.want, r.stderr)
		}
	}
}

// TestTrainAndSample trains for two steps, writes the network as ONNX, and draws
// from that file without saying anything about it.
func TestTrainAndSample(t *testing.T) {
	if testing.Short() {
		t.Skip("trains a network")
	}
	d := newDesk(t)
	d.must("train", "mnist-denoiser", "--steps", "2", "--out", "net.onnx")
	d.must("sample", "--model", "net.onnx", "--steps", "2", "--n", "2", "--label", "3")
	if x := d.npy("samples.npy"); !slices.Equal(x.Shape, []int{2, 1, 28, 28}) {
		t.Errorf("shape %v", x.Shape)
	}
	d.must("train", "mnist-classifier", "--steps", "2")
	w, err := data.ReadSafetensors(bytes.NewReader([]byte(d.read("mnist-classifier.safetensors"))))
	if err != nil || len(w.Tensors) == 0 {
		t.Errorf("%d tensors: %v", len(w.Tensors), err)
	}
	for _, args := range []string{"mnist-denoiser --steps 0", "mnist-denoiser --out w.bin", "mnist-classifier --out w.onnx"} {
		if r := d.assay(append([]string{"train"}, strings.Fields(args)...)...); r.status != statusUsage {
			t.Errorf("train %s: status %d\n%s", args, r.status, r.stderr)
		}
	}
}
