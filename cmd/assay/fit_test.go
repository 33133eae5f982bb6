package main

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/assay-lab/assay/data"
	"github.com/assay-lab/assay/directional"
)

func TestFitVonMisesFisher(t *testing.T) {
	const p, n = 600, 200
	truth := directional.VonMisesFisher{Mu: make([]float64, p), Kappa: 900, Src: rand.NewPCG(1, 2)}
	truth.Mu[7] = 1
	var x []float32 // float32 rows are unit vectors to 1e-7
	for range n {
		for _, v := range truth.Rand(nil) {
			x = append(x, float32(v))
		}
	}
	var b bytes.Buffer
	if err := data.WriteNPY(&b, data.Tensor{Shape: []int{n, p}, Data: x}); err != nil {
		t.Fatal(err)
	}
	d := newDesk(t)
	d.write("x.npy", b.String())
	out := d.must("fit", "vmf", "--data", "x.npy", "--mu", "mu.npy")
	for _, want := range []string{"200 of 600 coordinates", "Mean length", "Log-likelihood", "less chance  89"} {
		if !strings.Contains(out, want) {
			t.Errorf("want %q in\n%s", want, out)
		}
	}
	if mu := d.npy("mu.npy"); len(mu.Shape) != 1 || mu.Float64()[7] < 0.99 {
		t.Errorf("mean direction: shape %v, along the true one %g", mu.Shape, mu.Float64()[7])
	}
}

func TestFitRefuses(t *testing.T) {
	d := newDesk(t)
	d.write("long.csv", "1,2,2\n2,1,2\n1,0,0.5\n")
	if out := d.must("fit", "vmf", "--data", "long.csv", "--normalize"); !strings.Contains(out, "3 of 3 coordinates") {
		t.Errorf("normalized rows:\n%s", out)
	}
	for name, text := range map[string]string{"zero.csv": "1,2\n0,0\n", "gap.csv": "1,2\n,1\n", "same.csv": "1,2\n2,4\n", "one.csv": "3\n4\n", "text.npy": "hello"} {
		d.write(name, text)
	}
	for _, tt := range []struct {
		args   string
		status int
		want   string
	}{
		{"", statusUsage, "needs --data"},
		{"--data nowhere.npy", statusFailed, "nowhere.npy"},
		{"--data long.csv", statusFailed, "row 0 has norm 3"},
		{"--data long.csv", statusFailed, "--normalize scales"},
		{"--data zero.csv --normalize", statusFailed, "row 1 is zero"},
		{"--data gap.csv --normalize", statusFailed, "row 1 has a number that is missing"},
		{"--data same.csv --normalize", statusFailed, "unbounded"},
		{"--data one.csv --normalize", statusFailed, "at least 2"},
		{"--data text.npy", statusFailed, "NPY"},
	} {
		r := d.assay(append([]string{"fit", "vmf"}, strings.Fields(tt.args)...)...)
		if r.status != tt.status || !strings.Contains(r.stderr, tt.want) {
			t.Errorf("%q: status %d, want %d with %q:\n%s", tt.args, r.status, tt.status, tt.want, r.stderr)
		}
	}
}
