package network

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/calibration"
	"github.com/assay-lab/assay/internal/cputime"
	"github.com/assay-lab/assay/onnx"
	"github.com/assay-lab/assay/quant"
)

// small is a quantization of few pairs, for tests.
func small(bits int) Quantization {
	return Quantization{
		Method: quant.PostTraining{Weights: quant.RangeSearch{Steps: 5}, Activations: quant.RangeSearch{Bits: bits, Steps: 50}, Batch: 8, Sample: 1000},
		Plan:   calibration.Plan{N: 16}, Steps: 6,
	}
}

func quantizeMNIST(t testing.TB, bits int) (*onnx.Model, *QuantizedONNX) {
	t.Helper()
	m, err := MNISTONNX()
	if err != nil {
		t.Fatal(err)
	}
	q, err := QuantizeONNX(context.Background(), m, ONNXOptions{}, small(bits))
	if err != nil {
		t.Fatal(err)
	}
	return m, q
}

func open(t testing.TB, m *onnx.Model, o ONNXOptions) *Model {
	t.Helper()
	s, err := onnx.NewSession(m, onnx.Options{Engine: onnx.Embedded})
	if err != nil {
		t.Fatal(err)
	}
	net, err := FromONNX("net", s, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { net.Close() })
	return net
}

// solve draws two samples with a method.
func solve(t testing.TB, net *Model, m diffusion.Method, steps int) []float32 {
	t.Helper()
	d, err := net.Denoiser(RoundLabels(net, 2))
	if err != nil {
		t.Fatal(err)
	}
	g := diffusion.Grid{Schedule: net.Schedule, Steps: steps}
	x, err := diffusion.Start[float32](g, 2, net.Len(), diffusion.Seeded(1))
	if err != nil {
		t.Fatal(err)
	}
	s, err := diffusion.Solve(context.Background(), diffusion.Problem[float32]{Model: d, Grid: g, X: x, N: 2, Noise: diffusion.Seeded(1)}, m)
	if err != nil {
		t.Fatal(err)
	}
	return s.X
}

func rms(a, b []float32) float64 {
	var s float64
	for i := range a {
		s += float64(a[i]-b[i]) * float64(a[i]-b[i])
	}
	return math.Sqrt(s / float64(len(a)))
}

// TestQuantizeONNX: every sampler runs on the quantized network, and 8 bits are near
// full precision where 4 are not. With six steps some samplers are far from the
// network's own solution, and what they do to rounding says nothing of the network: of
// them, and of BDIA at γ = 1, which never damps an error, only the order is asked.
func TestQuantizeONNX(t *testing.T) {
	m, q := quantizeMNIST(t, 8)
	net, eight := open(t, m, ONNXOptions{}), open(t, q.Model, ONNXOptions{})
	_, low := quantizeMNIST(t, 4)
	four := open(t, low.Model, ONNXOptions{})
	fine := solve(t, net, diffusion.DPMSolver{}, 60)
	for _, method := range diffusion.Methods() {
		if testing.Short() && method.Name != "ddim" && method.Name != "dpmpp-2m" {
			continue
		}
		want := solve(t, net, method.Method, 6)
		e8, e4 := rms(solve(t, eight, method.Method, 6), want), rms(solve(t, four, method.Method, 6), want)
		b, ok := method.Method.(diffusion.BDIA)
		undamped := ok && (b.Gamma == 0 || b.Gamma == 1)
		if off := rms(want, fine); !(e8 < e4) || off < .4 && !undamped && !(e8 < .15 && e8 < e4/2) {
			t.Errorf("%s: error %g at 8 bits, %g at 4; in full precision %g off the solution", method.Name, e8, e4, off)
		}
	}
	if float64(q.Bytes) > .35*float64(q.Float) || len(q.Kept) != 2 || len(q.Warnings) != 0 {
		t.Errorf("%d bytes of %d, kept %v, warnings %v", q.Bytes, q.Float, q.Kept, q.Warnings)
	}
	first, last := q.Layers[0], q.Layers[len(q.Layers)-1]
	if first.Inputs != 8 || last.Inputs != 8 || q.Layers[1].Inputs != 0 || !(first.Hi > 1 && first.Lo == -first.Hi) {
		t.Errorf("layers %+v … %+v", first, last)
	}
	again := filepath.Join(t.TempDir(), "q.onnx")
	if err := q.Model.Write(again); err != nil {
		t.Fatal(err)
	}
	file, err := OpenONNX(again, ONNXOptions{Engine: onnx.Embedded})
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if e := rms(solve(t, file, diffusion.DDIM{}, 4), solve(t, eight, diffusion.DDIM{}, 4)); e != 0 {
		t.Errorf("the file's samples differ by %g", e)
	}
}

// TestQuantizeForeign: a U-Net of another framework, with its options written into
// the file.
func TestQuantizeForeign(t *testing.T) {
	m, err := onnx.Read(ddpm)
	if err != nil {
		t.Skip("the shared network is not at hand")
	}
	o := ONNXOptions{Predict: "noise", Schedule: "ddpm-linear", Engine: onnx.Embedded}
	q, err := QuantizeONNX(context.Background(), m, o, small(8))
	if err != nil {
		t.Fatal(err)
	}
	want := solve(t, open(t, m, o), diffusion.DPMSolver{}, 6)
	if e := rms(solve(t, open(t, q.Model, ONNXOptions{}), diffusion.DPMSolver{}, 6), want); !(e < .25) {
		t.Errorf("error %g", e)
	}
	if float64(q.Bytes) > .35*float64(q.Float) {
		t.Errorf("%d bytes of %d", q.Bytes, q.Float)
	}
}

const ddpm = "../../../shared/data/mnist-ddpm.onnx"

func TestQuantizeErrors(t *testing.T) {
	m, err := MNISTONNX()
	if err != nil {
		t.Fatal(err)
	}
	_, done := quantizeMNIST(t, 8)
	old := *m
	old.Opset = 11
	toyNet := (toy{}).model()
	for _, tt := range []struct {
		name string
		m    *onnx.Model
		q    func(q *Quantization)
		o    ONNXOptions
		want string
	}{
		{"quantized twice", done.Model, nil, ONNXOptions{}, "quantized already"},
		{"an old operator set", &old, nil, ONNXOptions{}, "opset 11: scales for each channel need 13"},
		{"no layers", toyNet, nil, ONNXOptions{Predict: "noise", Schedule: "vp-linear"}, "no convolution or product by constant weights depends on the samples"},
		{"fewer pairs than a batch", m, func(q *Quantization) { q.Plan.N = 5 }, ONNXOptions{}, "calibration on 5 samples, fewer than a batch of 8"},
		{"one bit", m, func(q *Quantization) { q.Method.Weights.Bits = 1 }, ONNXOptions{}, "bits = 1: must be 2 to 8"},
		{"data that are missing", m, func(q *Quantization) { q.Plan.Source = calibration.Forward }, ONNXOptions{}, "at least one whole sample is needed"},
		{"learned rounding", m, func(q *Quantization) { q.Method.Reconstruct = &quant.Reconstruction{} }, ONNXOptions{}, "learned rounding of ONNX networks"},
		{"an input that is missing", m, nil, ONNXOptions{Input: "z"}, "input=z"},
		{"fewer numbers than bins", m, func(q *Quantization) {
			q.Method.Activations = quant.RangeSearch{Criterion: quant.Divergence}
			q.Method.Sample = 100
		}, ONNXOptions{}, "fewer than the 2048 bins"},
	} {
		q := small(8)
		if tt.q != nil {
			tt.q(&q)
		}
		if _, err := QuantizeONNX(context.Background(), tt.m, tt.o, q); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

// BenchmarkQuantizedONNX times the embedded engine on float32 and on codes
// alternately, in processor time.
func BenchmarkQuantizedONNX(b *testing.B) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	models := map[string]*onnx.Model{}
	o := ONNXOptions{Predict: "noise", Schedule: "ddpm-linear"}
	if _, err := os.Stat(ddpm); err == nil {
		if models["U-Net"], err = onnx.Read(ddpm); err != nil {
			b.Fatal(err)
		}
	}
	mixer, err := MNISTONNX()
	if err != nil {
		b.Fatal(err)
	}
	models["mixer"] = mixer
	for name, m := range models {
		b.Run(name, func(b *testing.B) {
			o := o
			if name == "mixer" {
				o = ONNXOptions{}
			}
			q, err := QuantizeONNX(context.Background(), m, o, small(8))
			if err != nil {
				b.Fatal(err)
			}
			nets := [2]*Model{open(b, m, o), open(b, q.Model, ONNXOptions{})}
			x, y := make([]float32, 16*784), make([]float32, 16*784)
			var spent [2]time.Duration
			for b.Loop() {
				for i, net := range nets {
					d, err := net.Denoiser(RoundLabels(net, 16))
					if err != nil {
						b.Fatal(err)
					}
					start := cputime.Process()
					if err := d.Denoise(context.Background(), y, x, 16, []diffusion.Level{net.Schedule.At(.5)}); err != nil {
						b.Fatal(err)
					}
					spent[i] += cputime.Process() - start
				}
			}
			b.ReportMetric(spent[0].Seconds()*1e3/float64(16*b.N), "ms/image-float32")
			b.ReportMetric(spent[1].Seconds()*1e3/float64(16*b.N), "ms/image-int8")
			b.ReportMetric(spent[0].Seconds()/spent[1].Seconds(), "times-faster")
		})
	}
}
