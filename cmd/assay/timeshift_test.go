package main

import (
	"strings"
	"testing"
)

func TestSampleTimeShift(t *testing.T) {
	d := newDesk(t)
	base := "sample --steps 5 --n 2 --label 3 --method ddim --spacing time-uniform "
	d.must(strings.Fields(base + "--out plain.png")...)
	d.must(strings.Fields(base + "--time-shift-window 1 --time-shift-cutoff 300 --out off.png")...)
	r := d.assay(strings.Fields(base + "--time-shift-window 60 --time-shift-cutoff 300 --out on.png")...)
	if r.status != 0 || !strings.Contains(r.stderr, "ddim with time shift, 5 evaluations") {
		t.Errorf("status %d\n%s", r.status, r.stderr)
	}
	d.must(strings.Fields(base + "--time-shift-window 60 --time-shift-cutoff 300 --time-shift-data-var 0.38 --out data.png")...)
	d.must(strings.Fields(base + "--time-shift-coupling state --out state.png")...)
	if d.read("plain.npy") != d.read("off.npy") {
		t.Error("a window of 1 changes the samples")
	}
	seen := map[string]string{}
	for _, name := range []string{"plain", "on", "data", "state"} {
		x := d.read(name + ".npy")
		if seen[x] != "" {
			t.Errorf("%s gives the samples of %s", name, seen[x])
		}
		seen[x] = name
	}
}

func TestSampleTimeShiftRefuses(t *testing.T) {
	d := newDesk(t)
	for args, want := range map[string]string{
		"--time-shift-window -1":                                         "must not be negative",
		"--time-shift-window 20 --time-shift-cutoff -1":                  "must not be negative",
		"--time-shift-cutoff 300":                                        "--time-shift-cutoff has no effect without --time-shift-window",
		"--time-shift-window 20 --time-shift-coupling both":              "source, target, current",
		"--time-shift-window 20 --time-shift-data-var 2 --method ddim":   "must grow with time",
		"--time-shift-window 20 --method unipc":                          "no time to shift",
		"--time-shift-window 20 --time-shift-data-var -1 --method unipc": "must not be negative",
	} {
		r := d.assay(append([]string{"sample"}, strings.Fields(args)...)...)
		if r.status != statusUsage || !strings.Contains(r.stderr, want) {
			t.Errorf("%s: status %d, want %d and %q\n%s", args, r.status, statusUsage, want, r.stderr)
		}
	}
}
