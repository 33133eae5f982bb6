package main

import (
	"slices"
	"strings"
	"testing"
)

func TestSampleChains(t *testing.T) {
	if testing.Short() {
		t.Skip("trains a network")
	}
	d := newDesk(t)
	args := []string{"sample", "--chains", "2", "--n", "7", "--skip", "2", "--steps", "2", "--eta", "0.5", "--seed", "5", "--npy"}
	r := d.assay(append(args, "a.npy")...)
	if r.status != statusDone || !strings.Contains(r.stdout, "samples.png") {
		t.Fatalf("status %d\n%s%s", r.status, r.stdout, r.stderr)
	}
	// 2 of the walk, 3 of Heun's method with a last Euler step, 1 of Tweedie.
	for _, want := range []string{"7 samples by edm, 6 evaluations each", "2 chains, each after 57 evaluations to start", "independent"} {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("does not say %q:\n%s", want, r.stderr)
		}
	}
	a := d.npy("a.npy")
	if want := []int{7, 1, 28, 28}; !slices.Equal(a.Shape, want) {
		t.Errorf("shape %v: want %v", a.Shape, want)
	}
	d.must(append(args, "b.npy")...)
	if d.read("a.npy") != d.read("b.npy") {
		t.Error("the same seed gives other samples")
	}
	// Every class has chains of its own.
	if r = d.assay("sample", "--chains", "1", "--n", "1", "--skip", "1", "--steps", "2", "--label", "3,7", "--method", "reverse-diffusion", "--out", "c.png"); r.status != statusDone || !strings.Contains(r.stderr, "2 chains") {
		t.Errorf("status %d\n%s%s", r.status, r.stdout, r.stderr)
	}
}

func TestSampleChainsRefuses(t *testing.T) {
	d := newDesk(t)
	for _, tt := range []struct{ args, want string }{
		{"--chains 0", "must be positive"},
		{"--chains -3", "must be positive"},
		{"--chains 4 --skip 0", "must be positive"},
		{"--skip 5", "give --chains"},
		{"--argmax", "give --chains"},
		{"--chains 4 --eta 0", "must be positive"},
		{"--chains 4 --eta NaN", "must be positive"},
		{"--chains 4 --threshold 0.99", "give one"},
		{"--chains 4 --spacing karras", "give one"},
		{"--chains 4 --method euler-maruyama --steps 1", "at least 2"},
		{"--chains 4 --guidance 3", "guidance needs labels"},
	} {
		r := d.assay(append([]string{"sample"}, strings.Fields(tt.args)...)...)
		if r.status != statusUsage || !strings.Contains(r.stderr, tt.want) || r.stdout != "" {
			t.Errorf("%s: status %d, want %d and %q\n%s", tt.args, r.status, statusUsage, tt.want, r.stderr)
		}
	}
}
