package main

import (
	"bytes"
	"image/png"
	"strings"
	"testing"
)

func TestStability(t *testing.T) {
	d := newDesk(t)
	out := d.must("stability", "--out", "regions.svg")
	for _, want := range []string{"GHVB 3.5", "−0.429 to 0", "PLMS 1", "−2.000 to 0", "regions.svg"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing:\n%s", want, out)
		}
	}
	svg := d.read("regions.svg")
	if !strings.Contains(svg, "<svg") || !strings.Contains(svg, "4 slopes") {
		t.Error("regions.svg is not the picture")
	}
	out = d.must("stability", "--methods", "dpmpp-2m, plms-hb-3.8", "--step", "0.25", "--out", "two.png")
	if !strings.Contains(out, "even in log ρ") || !strings.Contains(out, "even in ρ\n") || !strings.Contains(out, "−0.450 to 0") {
		t.Errorf("two methods on two kinds of grid:\n%s", out)
	}
	if _, err := png.Decode(bytes.NewReader([]byte(d.read("two.png")))); err != nil {
		t.Error(err)
	}
}

func TestStabilityRefuses(t *testing.T) {
	d := newDesk(t)
	for _, tt := range []struct{ args, want string }{
		{"--methods euler", `unknown method "euler"`},
		{"--methods ghvb-7", `method "ghvb-7": order = 7: must be at most 5`},
		{"--methods plms,plms", "given twice"},
		{"--methods dpmpp-2m-sde", "stochastic"},
		{"--methods ltsp-3.8", "splits its model"},
		{"--momentum adam", "must be ghvb, hb or nt"},
		{"--momentum hb --methods plms", "give one"},
		{"--step 0", "--step 0: must be above 0"},
		{"--step NaN", "--step NaN"},
		{"--out regions.gif", "must end in .png, .svg or .pdf"},
		{"extra", "takes no arguments"},
	} {
		r := d.assay(append([]string{"stability"}, strings.Fields(tt.args)...)...)
		if r.status != statusUsage || !strings.Contains(r.stderr, tt.want) || strings.Contains(r.stderr, "goroutine") {
			t.Errorf("stability %s: status %d, want %d with %q\n%s", tt.args, r.status, statusUsage, tt.want, r.stderr)
		}
	}
}

// TestSampleMomentum: an order number in a method's name.
func TestSampleMomentum(t *testing.T) {
	d := newDesk(t)
	d.must("sample", "--method", "ghvb-2.3", "--steps", "4", "--n", "2", "--out", "a.png")
	d.must("sample", "--method", "ltsp-1.5", "--steps", "4", "--n", "2", "--label", "3", "--guidance", "4", "--out", "b.png")
	for args, want := range map[string]string{
		"--method ghvb-0":             "must be positive",
		"--method ltsp-3.8 --n 1":     "classifier-free guidance",
		"--method ghvb-4.5 --steps 3": "needs at least 5",
	} {
		r := d.assay(append([]string{"sample"}, strings.Fields(args)...)...)
		if r.status == statusDone || !strings.Contains(r.stderr, want) {
			t.Errorf("sample %s: status %d, want an error with %q\n%s", args, r.status, want, r.stderr)
		}
	}
}
