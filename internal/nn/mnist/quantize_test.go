package mnist

import (
	"context"
	"math"
	"runtime"
	"testing"
	"time"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/internal/cputime"
	"github.com/assay-lab/assay/internal/nn/mixer"
	"github.com/assay-lab/assay/internal/rng"
	"github.com/assay-lab/assay/quant"
)

// someStates are noisy digits at levels all over, and their labels.
func someStates(t testing.TB, n int) mixer.Calibration {
	set, _, err := Split()
	if err != nil {
		t.Fatal(err)
	}
	r := rng.Stream(3)
	c := mixer.Calibration{N: n, X: make([]float32, n*784)}
	for i := range n {
		l := diffusion.Cosine{}.At(.02 + .96*float64(i)/float64(n))
		c.At, c.Labels = append(c.At, l), append(c.Labels, int(set.Labels[i]))
		for j := range 784 {
			c.X[i*784+j] = float32(l.Alpha*float64(set.X[i*784+j]) + l.Sigma*r.NormFloat64())
		}
	}
	return c
}

func quantized(t testing.TB, m quant.PostTraining, c mixer.Calibration) (*mixer.Denoiser, *mixer.Quantized) {
	t.Helper()
	d, err := Denoiser()
	if err != nil {
		t.Fatal(err)
	}
	m.Place, m.Sample = quant.LayerInputs, 1000
	m.Weights.Steps, m.Activations.Steps = 5, 50
	q, err := d.Quantize(context.Background(), m, c)
	if err != nil {
		t.Fatal(err)
	}
	return d, q
}

func distance(a, b []float32) float64 {
	var s float64
	for i := range a {
		d := float64(a[i] - b[i])
		s += d * d
	}
	return math.Sqrt(s / float64(len(a)))
}

// TestQuantized: the integer products give what simulated quantization gives, and
// both are near full precision at 8 bits and farther at 4.
func TestQuantized(t *testing.T) {
	c := someStates(t, 32)
	ctx := context.Background()
	float, ints, simulated := make([]float32, len(c.X)), make([]float32, len(c.X)), make([]float32, len(c.X))
	last := 0.
	for _, bits := range []int{8, 6, 4} {
		d, q := quantized(t, quant.PostTraining{Activations: quant.RangeSearch{Bits: bits}, Batch: 16}, c)
		for name, f := range map[string]func() error{
			"float":     func() error { return d.Velocity(ctx, float, c.X, c.N, c.At, c.Labels) },
			"integers":  func() error { return q.Velocity(ctx, ints, c.X, c.N, c.At, c.Labels) },
			"simulated": func() error { return q.Simulated(ctx, simulated, c.X, c.N, c.At, c.Labels) },
		} {
			if err := f(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		e, same := distance(float, ints), distance(ints, simulated)
		t.Logf("%d bits: error %.4f, integers to simulated %.2g", bits, e, same)
		// Sums in another order move a few numbers across a rounding boundary.
		if same > e/4 {
			t.Errorf("%d bits: integers differ from the simulation by %g, from full precision by %g", bits, same, e)
		}
		if bits == 8 && e > .1 || e <= last {
			t.Errorf("%d bits: error %g, before %g", bits, e, last)
		}
		last = e
		small, large := q.Bytes()
		if bits == 8 && float64(small) > .35*float64(large) {
			t.Errorf("%d bytes of %d", small, large)
		}
	}
}

// TestQuantizedShards: an image's prediction does not depend on the others.
func TestQuantizedShards(t *testing.T) {
	c := someStates(t, 32)
	_, q := quantized(t, quant.PostTraining{}, c)
	ctx := context.Background()
	all, one := make([]float32, len(c.X)), make([]float32, 784)
	if err := q.Velocity(ctx, all, c.X, c.N, c.At, c.Labels); err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, 7, 31} {
		if err := q.Velocity(ctx, one, c.X[i*784:][:784], 1, c.At[i:i+1], c.Labels[i:i+1]); err != nil {
			t.Fatal(err)
		}
		if e := distance(one, all[i*784:][:784]); e != 0 {
			t.Errorf("image %d alone differs by %g", i, e)
		}
	}
}

// BenchmarkQuantized times float32 and integers alternately, in processor time.
func BenchmarkQuantized(b *testing.B) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	c := someStates(b, 32)
	d, q := quantized(b, quant.PostTraining{}, c)
	ctx, y := context.Background(), make([]float32, len(c.X))
	var float, ints time.Duration
	spent := func(f func(context.Context, []float32, []float32, int, []diffusion.Level, []int) error) time.Duration {
		start := cputime.Process()
		if err := f(ctx, y, c.X, c.N, c.At, c.Labels); err != nil {
			b.Fatal(err)
		}
		return cputime.Process() - start
	}
	for b.Loop() {
		float += spent(d.Velocity)
		ints += spent(q.Velocity)
	}
	n := float64(b.N) * float64(c.N)
	b.ReportMetric(float.Seconds()*1e3/n, "ms/image-float32")
	b.ReportMetric(ints.Seconds()*1e3/n, "ms/image-int8")
	b.ReportMetric(float.Seconds()/ints.Seconds(), "times-faster")
}
