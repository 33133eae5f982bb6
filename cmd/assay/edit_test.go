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

// digit is a picture of MNIST's test split as PNG, as a user has it: number 18 is a 3.
func digit(t *testing.T, i int) string {
	t.Helper()
	set, err := data.MNIST()
	if err != nil {
		t.Fatal(err)
	}
	img := image.NewGray(image.Rect(0, 0, set.W, set.H))
	copy(img.Pix, set.Image(i))
	return encode(t, img)
}

func encode(t *testing.T, img image.Image) string {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func (d *desk) picture(name string) data.Tensor {
	d.t.Helper()
	p, err := data.ReadPNG(strings.NewReader(d.read(name)), data.Signed)
	if err != nil {
		d.t.Fatal(err)
	}
	return p
}

// farPixels counts the pixels that differ by more than a quarter of the range.
func farPixels(a, b data.Tensor) int {
	n := 0
	x, y := a.Float32(), b.Float32()
	for i := range x {
		if math.Abs(float64(x[i]-y[i])) > .5 {
			n++
		}
	}
	return n
}

// TestEdit: the same label gives the very picture back by BDIA, and not by DDIM;
// another label gives another one.
func TestEdit(t *testing.T) {
	d := newDesk(t)
	d.write("in.png", digit(t, 18))
	edit := func(args string) string {
		return d.must(append([]string{"edit", "--image", "in.png", "--from-label", "3", "--steps", "12"}, strings.Fields(args)...)...)
	}
	out := edit("--to-label 3 --out same.png")
	if !strings.Contains(out, "0 of 784 gray levels changed") || !strings.Contains(out, "same.png") {
		t.Errorf("a round trip by BDIA:\n%s", out)
	}
	if d.read("same.png") != encodeTensor(t, d.picture("in.png")) {
		t.Error("the picture made again differs")
	}
	if out = edit("--to-label 3 --every-bit"); !strings.Contains(out, "off by at most 0 under") {
		t.Errorf("a round trip with every bit:\n%s", out)
	}
	if out = edit("--to-label 3 --method ddim --out ddim.png"); strings.Contains(out, " 0 of 784") || farPixels(d.picture("in.png"), d.picture("ddim.png")) == 0 {
		t.Errorf("a round trip by DDIM changes nothing:\n%s", out)
	}
	if out = edit("--to-label 8 --out eight.png --compare row.png"); farPixels(d.picture("in.png"), d.picture("eight.png")) < 10 || !strings.Contains(out, "row.png") {
		t.Errorf("an edit changes next to nothing:\n%s", out)
	}
	if p := d.picture("row.png"); p.Shape[2] < 3*28 {
		t.Errorf("three pictures in a row are %d pixels wide", p.Shape[2])
	}
	if d.must("edit", "--image", "mnist:18", "--from-label", "3", "--to-label", "8", "--steps", "12", "--out", "again.png"); d.read("again.png") != d.read("eight.png") {
		t.Error("mnist:18 is not the picture in the file")
	}
}

func encodeTensor(t *testing.T, p data.Tensor) string {
	t.Helper()
	var b bytes.Buffer
	if err := data.WritePNG(&b, p, data.Signed); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestEditRefuses(t *testing.T) {
	d := newDesk(t)
	d.write("in.png", digit(t, 18))
	d.write("big.png", encode(t, image.NewGray(image.Rect(0, 0, 32, 30))))
	colored := image.NewRGBA(image.Rect(0, 0, 28, 28))
	colored.Set(3, 3, color.RGBA{255, 0, 0, 255})
	d.write("color.png", encode(t, colored))
	d.write("text.png", "no picture")
	const labels = " --from-label 3 --to-label 8"
	for _, tt := range []struct{ args, want string }{
		{"--from-label 3 --to-label 8", "--image is missing"},
		{"--image in.png --to-label 8", "--from-label is missing"},
		{"--image in.png --from-label 3", "--to-label is missing"},
		{"--image big.png" + labels, "32×30 pixels, gray (1 channel): mnist takes pictures of 28×28 pixels, gray (1 channel)"},
		{"--image color.png" + labels, "28×28 pixels, in color (3 channels): mnist takes"},
		{"--image none.png" + labels, "none.png: no such file"},
		{"--image mnist:10000" + labels, "mnist:0 to mnist:9999"},
		{"--image in.png --from-label 3 --to-label 10", "--to-label 10: must be from 0 to 9"},
		{"--image in.png --from-label -1 --to-label 1", "--from-label -1"},
		{"--image in.png --gamma 0" + labels, "gamma 0"},
		{"--image in.png --gamma 1.2" + labels, "gamma = 1.2: must lie in (0, 1]"},
		{"--image in.png --gamma 0.5" + labels, "beyond the tolerance"},
		{"--image in.png --gamma 0.9 --every-bit" + labels, "only gamma = 1"},
		{"--image in.png --gamma 0.9 --method ddim" + labels, "for --method bdia"},
		{"--image in.png --method edict" + labels, "bdia or ddim"},
		{"--image in.png --steps 1" + labels, "at least 2"},
		{"--image in.png --guidance NaN" + labels, "finite"},
		{"--image in.png --out a.jpg" + labels, ".png"},
		{"--image in.png --out a.png --compare ./a.png" + labels, "a.png"},
		{"--image in.png --model none.onnx" + labels, "no such file"},
	} {
		r := d.assay(append([]string{"edit"}, strings.Fields(tt.args)...)...)
		if r.status != statusUsage || !strings.Contains(r.stderr, tt.want) || r.stdout != "" {
			t.Errorf("%s: status %d, want %d and %q\n%s", tt.args, r.status, statusUsage, tt.want, r.stderr)
		}
	}
	if r := d.assay("edit", "--image", "text.png", "--from-label", "3", "--to-label", "8"); r.status != statusFailed || !strings.Contains(r.stderr, "text.png") {
		t.Errorf("a damaged picture: status %d\n%s", r.status, r.stderr)
	}
}
