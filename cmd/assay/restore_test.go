package main

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"math"
	"strings"
	"testing"

	"github.com/assay-lab/assay/data"
)

// writePNG writes a picture whose pixels f gives.
func (d *desk) writePNG(name string, w, h int, f func(x, y int) color.Color) {
	d.t.Helper()
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.Set(x, y, f(x, y))
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		d.t.Fatal(err)
	}
	d.write(name, b.String())
}

func (d *desk) png(name string) []float32 {
	d.t.Helper()
	t, err := data.ReadPNG(strings.NewReader(d.read(name)), data.Unit)
	if err != nil {
		d.t.Fatal(err)
	}
	if t.Shape[0] != 1 || t.Shape[1] != 28 || t.Shape[2] != 28 {
		d.t.Fatalf("%s has shape %v", name, t.Shape)
	}
	return t.Float32()
}

func TestRestore(t *testing.T) {
	d := newDesk(t)
	out := d.must("restore", "--degrade", "--task", "denoise", "--steps", "5", "--out", "a.png")
	for _, want := range []string{"a.png", "a-degraded.png", "a-beside.png", "PSNR", "dB, before"} {
		if !strings.Contains(out, want) {
			t.Errorf("does not say %q:\n%s", want, out)
		}
	}
	d.must("restore", "--degrade", "--task", "denoise", "--steps", "5", "--out", "b.png")
	if d.read("a.png") != d.read("b.png") {
		t.Error("the same seed gives another result")
	}
	// What it has spoiled can be given to it as a picture, with the truth unknown.
	out = d.must("restore", "--in", "a-degraded.png", "--task", "denoise", "--steps", "5", "--out", "c.png")
	if strings.Contains(out, "PSNR") || strings.Contains(out, "c-degraded") {
		t.Errorf("claims to know the truth:\n%s", out)
	}
	a, c := d.png("a.png"), d.png("c.png")
	for i := range a {
		if math.Abs(float64(a[i]-c[i])) > .1 { // the degraded picture has 8 bits
			t.Fatalf("pixel %d is %g from the picture, %g from memory", i, c[i], a[i])
		}
	}
	if out = d.must("restore", "--in", "a-degraded.png", "--truth", "a.png", "--task", "denoise", "--steps", "5", "--out", "e.png"); !strings.Contains(out, "PSNR") {
		t.Errorf("given the truth, says nothing of it:\n%s", out)
	}
	d.must("restore", "--in", "c.png", "--degrade", "--task", "inpaint", "--method", "mrs-sde-2", "--grid", "linear-lambda", "--steps", "4", "--out", "e.png")
	if r := d.assay("restore", "--degrade", "--task", "deblur", "--method", "mrs-2-noise", "--steps", "2"); r.status != statusDone || !strings.Contains(r.stderr, "Careful: step 1 of 2") {
		t.Errorf("two steps of the noise form: status %d\n%s", r.status, r.stderr)
	}
}

func TestRestoreRefuses(t *testing.T) {
	d := newDesk(t)
	gray := func(int, int) color.Color { return color.Gray{100} }
	d.writePNG("gray.png", 28, 28, gray)
	d.writePNG("large.png", 32, 30, gray)
	d.writePNG("red.png", 28, 28, func(x, _ int) color.Color { return color.RGBA{uint8(8 * x), 0, 0, 255} })
	d.write("text.png", "hello")
	for _, tt := range []struct {
		args   string
		status int
		want   string
	}{
		{"--degrade", statusUsage, "denoise, deblur, inpaint"},
		{"--degrade --task sharpen", statusUsage, `task "sharpen"`},
		{"--task deblur", statusUsage, "--in FILE"},
		{"--task deblur --in absent.png", statusUsage, "absent.png: no such file"},
		{"--task deblur --in large.png", statusUsage, "large.png: 32×30 pixels: the network restores pictures of 28×28"},
		{"--task deblur --in red.png", statusUsage, "red.png: a picture in colour, 3 channels"},
		{"--task deblur --in text.png", statusFailed, "text.png"},
		{"--task deblur --in gray.png --truth large.png", statusUsage, "large.png: 32×30"},
		{"--task deblur --degrade --truth gray.png", statusUsage, "the picture itself is the truth"},
		{"--task deblur --degrade --method magic", statusUsage, "mrs-sde-2"},
		{"--task deblur --degrade --steps 0", statusUsage, "steps = 0"},
		{"--task deblur --degrade --steps 1", statusUsage, "1 steps: MR Sampler of order 2 needs at least 2"},
		{"--task deblur --degrade --grid wide", statusUsage, "karras-n"},
		{"--task deblur --degrade --out a.jpg", statusUsage, "must end in .png"},
		{"--task deblur --degrade --model builtin:x", statusUsage, "builtin:restorer"},
		{"--in gray.png --model absent.onnx", statusUsage, "absent.onnx: no such file"},
		{"--in gray.png --model text.png --schedule ir-sde", statusFailed, "text.png"},
	} {
		r := d.assay(append([]string{"restore"}, strings.Fields(tt.args)...)...)
		if r.status != tt.status || !strings.Contains(r.stderr, tt.want) || r.stdout != "" {
			t.Errorf("%s: status %d, want %d and %q\n%s%s", tt.args, r.status, tt.status, tt.want, r.stdout, r.stderr)
		}
	}
	// a gray picture that was saved in colour will do
	d.must("restore", "--task", "deblur", "--in", "gray.png", "--steps", "2")
	// a mean-reverting network is no model to sample from
	if r := d.assay("sample", "--model", "text.png", "--predict", "noise", "--schedule", "ir-sde"); r.status != statusFailed {
		t.Errorf("sample from no network: status %d", r.status)
	}
}
