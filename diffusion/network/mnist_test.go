package network_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"testing"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/network"
	"github.com/assay-lab/assay/metrics"
	"github.com/assay-lab/assay/onnx"
)

// digits draws n guided samples, labels 0 to 9 in turn.
func digits(t *testing.T, m *network.Model, n, steps int) (x []float32, labels []int) {
	t.Helper()
	labels = make([]int, n)
	for i := range labels {
		labels[i] = i % 10
	}
	g, err := m.Guided(labels, 1.5)
	if err != nil {
		t.Fatal(err)
	}
	grid := diffusion.Grid{Schedule: m.Schedule, Steps: steps}
	start, err := diffusion.Start[float32](grid, n, m.Len(), diffusion.Seeded(5))
	if err != nil {
		t.Fatal(err)
	}
	s, err := diffusion.Solve(context.Background(), diffusion.Problem[float32]{Model: g, Grid: grid, X: start, N: n}, diffusion.DPMSolver{})
	if err != nil {
		t.Fatal(err)
	}
	return s.X, labels
}

// TestMNIST: a classifier that was trained on other images finds the digits that
// were asked for, and the samples lie nearer to real images than noise does.
func TestMNIST(t *testing.T) {
	n := 200
	if testing.Short() {
		n = 50
	}
	m, err := network.MNIST()
	if err != nil {
		t.Fatal(err)
	}
	c, err := network.MNISTClassifier()
	if err != nil {
		t.Fatal(err)
	}
	x, want := digits(t, m, n, 12)
	for i, v := range x {
		if math.IsNaN(float64(v)) || math.Abs(float64(v)) > 3 {
			t.Fatalf("sample %d has the value %g", i/784, v)
		}
	}
	got, err := c.Classify(context.Background(), x, n)
	if err != nil {
		t.Fatal(err)
	}
	right := 0
	for i := range got {
		if got[i] == want[i] {
			right++
		}
	}
	if right < n*95/100 {
		t.Errorf("%d of %d samples show the digit asked for, want 95 %%", right, n)
	}
	t.Logf("%d of %d samples show the digit asked for", right, n)

	real, _, err := network.MNISTImages()
	if err != nil {
		t.Fatal(err)
	}
	noise, err := diffusion.Start[float32](diffusion.Grid{Schedule: m.Schedule, Steps: 1}, n, m.Len(), diffusion.Seeded(5))
	if err != nil {
		t.Fatal(err)
	}
	samples, random := distance(t, c, real, x, n), distance(t, c, real, noise, n)
	if samples > random/5 {
		t.Errorf("Fréchet distance from real images: %.3g of samples, %.3g of noise", samples, random)
	}
}

// distance is that of n images from as many real ones.
func distance(t *testing.T, c network.Classifier, real, x []float32, n int) float64 {
	t.Helper()
	a, err1 := network.FeatureMatrix(context.Background(), c, real[:n*784], n)
	b, err2 := network.FeatureMatrix(context.Background(), c, x[:n*784], n)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	d, err := metrics.Frechet(a, b)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestMNISTONNX: the shipped denoiser as a file, opened as a user would.
func TestMNISTONNX(t *testing.T) {
	file, err := network.MNISTONNX()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "mnist.onnx")
	if err := file.Write(path); err != nil {
		t.Fatal(err)
	}
	own, err := network.MNIST()
	if err != nil {
		t.Fatal(err)
	}
	read, err := network.OpenONNX(path, network.ONNXOptions{Engine: onnx.Embedded})
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	if read.Predicts != own.Predicts || read.Schedule.At(.5) != own.Schedule.At(.5) || read.Classes != 10 || !read.Null || fmt.Sprint(read.Shape) != fmt.Sprint(own.Shape) {
		t.Errorf("the file is read as %+v", read)
	}
	const n = 6
	x, err := diffusion.Start[float32](diffusion.Grid{Schedule: own.Schedule, Steps: 1}, n, own.Len(), diffusion.Seeded(1))
	if err != nil {
		t.Fatal(err)
	}
	at := make([]diffusion.Level, n)
	for i := range at {
		at[i] = own.Schedule.At(.99 - .19*float64(i))
	}
	labels := []int{0, 9, network.NoLabel, 3, 4, network.NoLabel}
	var out [2][]float32
	for i, m := range []*network.Model{own, read} {
		d, err := m.Denoiser(labels)
		if err != nil {
			t.Fatal(err)
		}
		out[i] = make([]float32, len(x))
		if err := d.Denoise(context.Background(), out[i], x, n, at); err != nil {
			t.Fatal(err)
		}
	}
	for i, v := range out[0] {
		if w := out[1][i]; !(math.Abs(float64(v-w)) <= 1e-4) {
			t.Fatalf("value %d: %g from the network, %g from the file", i, v, w)
		}
	}
}

func BenchmarkMNIST(b *testing.B) {
	m, err := network.MNIST()
	if err != nil {
		b.Fatal(err)
	}
	d, err := m.Denoiser(nil)
	if err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{1, 16, 64, 256} {
		b.Run(fmt.Sprintf("batch %d", n), func(b *testing.B) {
			x, y := make([]float32, n*784), make([]float32, n*784)
			for b.Loop() {
				if err := d.Denoise(context.Background(), y, x, n, []diffusion.Level{m.Schedule.At(.5)}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(b.Elapsed().Seconds()*1e3/float64(b.N)/float64(n), "ms/image")
		})
	}
}
