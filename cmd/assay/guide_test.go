package main

import (
	"image/png"
	"slices"
	"strings"
	"testing"
)

// TestGuide: both things that can be changed, a picture of two rows, and the tensor
// that was found; the same command gives the same bits.
func TestGuide(t *testing.T) {
	d := newDesk(t)
	args := []string{"guide", "--label", "8", "--steps", "3", "--n", "2", "--iterations", "2", "--out"}
	out := d.must(append(args, "a.png")...)
	for _, want := range []string{"before", "after", "judged as 8", "of 2", "noise moved", "a.png", "a.npy"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if x := d.npy("a.npy"); !slices.Equal(x.Shape, []int{2, 1, 28, 28}) {
		t.Errorf("shape %v", x.Shape)
	}
	img, err := png.Decode(strings.NewReader(d.read("a.png")))
	if err != nil {
		t.Fatal(err)
	}
	if b := img.Bounds(); b.Dx() != b.Dy() {
		t.Errorf("the picture is %v: want two rows of two", b)
	}
	d.must(append(args, "b.png")...)
	if d.read("a.npy") != d.read("b.npy") || d.read("a.png") != d.read("b.png") {
		t.Error("the same command gives other results")
	}
	d.must(append(args, "c.png", "--from", "3", "--guidance", "2", "--tune", "embedding", "--gradient", "continuous", "--states", "recursive")...)
	if x := d.npy("c.npy"); !slices.Equal(x.Shape, []int{128}) {
		t.Errorf("an embedding of shape %v", x.Shape)
	}
}

func TestGuideRefuses(t *testing.T) {
	d := newDesk(t)
	for _, tt := range []struct{ args, want string }{
		{"--label 10", "from 0 to 9"},
		{"--from 12", "label 12"},
		{"--from x", "as a number"},
		{"--tune weights", "noise or embedding"},
		{"--tune embedding", "--from CLASS"},
		{"--gradient exact", "discrete or continuous"},
		{"--states some", "grid, full, recursive, none"},
		{"--guidance 3", "guidance needs labels"},
		{"--iterations 0", "positive"},
		{"--rate -1", "rate = -1"},
		{"--clamp -1", "clamp = -1"},
		{"--n 0", "n = 0"},
		{"--method none", "must be one of"},
		{"--states none --method unipc", "keep states"},
		{"--gradient continuous --method dpmpp-2m-sde", "stochastic"},
		{"--states none --steps 3 --iterations 1 --n 1 --method ddim", "more steps"},
		{"--out a.jpg", ".png"},
		{"--model builtin:other", "builtin:mnist"},
	} {
		r := d.assay(append([]string{"guide"}, strings.Fields(tt.args)...)...)
		if r.status != statusUsage || !strings.Contains(r.stderr, tt.want) || r.stdout != "" {
			t.Errorf("%s: status %d, want %q\n%s", tt.args, r.status, tt.want, r.stderr)
		}
	}
}
