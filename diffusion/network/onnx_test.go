package network

import (
	"encoding/json"
	"math"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/onnx"
)

// batchOf is n samples and their levels at indices 0, 10, 20, ... of 1000.
func batchOf(n int, s diffusion.Schedule) (x []float32, at []diffusion.Level) {
	x = make([]float32, 6*n)
	for i := range x {
		x[i] = float32(i%13) - 6
	}
	for i := range n {
		at = append(at, s.At(float64(10*i+1)/1000))
	}
	return x, at
}

func TestToyNetworks(t *testing.T) {
	for _, c := range []struct {
		name string
		toy  toy
		n    int
	}{
		{"any batch", toy{}, 5},
		{"more samples than a run takes", toy{}, 150},
		{"batch of one", toy{batch: 1}, 3},
		{"batch of four, seven samples", toy{batch: 4}, 7},
		{"time in whole numbers", toy{timeType: onnx.Int64}, 3},
		{"time in int32", toy{timeType: onnx.Int32}, 3},
		{"one time for all, a scalar", toy{timeShape: []int{}}, 3},
		{"one time for all, a list of one", toy{timeShape: []int{1}, timeType: onnx.Int64}, 3},
		{"time as a column", toy{timeShape: []int{-1, 1}}, 3},
		{"float64", toy{float64: true}, 3},
		{"variance beside the mean", toy{variance: true}, 3},
		{"variance, fixed batch", toy{variance: true, batch: 2}, 3},
		{"names of diffusers", toy{input: "sample", time: "timestep", output: "out_sample"}, 2},
		{"names of nobody", toy{input: "foo", time: "bar", output: "baz"}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			engines(t, func(t *testing.T, engine string) {
				o := basic
				o.Engine = engine
				m := openToy(t, c.toy, o)
				d, err := m.Denoiser(nil)
				if err != nil {
					t.Fatal(err)
				}
				x, at := batchOf(c.n, m.Schedule)
				for _, at := range [][]diffusion.Level{at, at[c.n-1:]} { // a level each, one for all
					y := make([]float32, len(x))
					if err := d.Denoise(t.Context(), y, x, c.n, at); err != nil {
						t.Fatal(err)
					}
					for i, got := range y {
						index := 10 * (i / 6)
						if len(at) == 1 {
							index = 10 * (c.n - 1)
						}
						want := x[i]/2 + float32(index)/1000
						if math.Abs(float64(got-want)) > 1e-5 { // roundings of numbers near 4
							t.Fatalf("value %d of sample %d is %g, want %g", i%6, i/6, got, want)
						}
					}
				}
			})
		})
	}
}

func TestLabels(t *testing.T) {
	for _, c := range []struct {
		name    string
		toy     toy
		null    *int
		classes int // expected
	}{
		{"indices, last row for none", toy{label: "class_labels", labelType: onnx.Int64}, new(3), 3},
		{"indices, int32", toy{label: "y", labelType: onnx.Int32}, new(3), 3},
		{"indices, fixed batch", toy{label: "y", labelType: onnx.Int64, batch: 2}, new(3), 3},
		{"one-hot, last column for none", toy{label: "label", labelType: onnx.Float32}, new(3), 3},
		{"one-hot, zeros for none", toy{label: "label", labelType: onnx.Float32}, new(-1), 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			engines(t, func(t *testing.T, engine string) {
				o := basic
				o.Engine, o.NullLabel = engine, c.null
				m := openToy(t, c.toy, o)
				if m.Classes != c.classes || !m.Null {
					t.Fatalf("%d classes, null %v", m.Classes, m.Null)
				}
				x, at := batchOf(3, m.Schedule)
				eval := func(d diffusion.Denoiser[float32], err error) []float32 {
					t.Helper()
					y := make([]float32, len(x))
					if err == nil {
						err = d.Denoise(t.Context(), y, x, 3, at)
					}
					if err != nil {
						t.Fatal(err)
					}
					return y
				}
				check := func(what string, y []float32, shift [3]float32) {
					t.Helper()
					for i, got := range y {
						want := x[i]/2 + float32(i/6)/100 + shift[i/6]
						if math.Abs(float64(got-want)) > 1e-5 {
							t.Fatalf("%s: sample %d: %g, want %g", what, i/6, got, want)
						}
					}
				}
				check("a label each", eval(m.Denoiser([]int{2, 0, 1})), [3]float32{3, 1, 2})
				check("one for all", eval(m.Denoiser([]int{1})), [3]float32{2, 2, 2})
				check("some without", eval(m.Denoiser([]int{2, NoLabel, 1})), [3]float32{3, 0, 2})
				check("none", eval(m.Denoiser(nil)), [3]float32{})
				check("guidance 3", eval(m.Guided([]int{1}, 3)), [3]float32{6, 6, 6})
				check("guidance 1", eval(m.Guided([]int{1}, 1)), [3]float32{2, 2, 2})
			})
		})
	}
}

func TestMetadata(t *testing.T) {
	y := toy{input: "a", time: "b", label: "k", labelType: onnx.Int64, meta: map[string]string{
		"assay.predict": "velocity", "assay.schedule": "cosine", "assay.input": "a", "assay.time": "b", "assay.label": "k",
		"assay.classes": "3", "assay.null-label": "3", "assay.time-as": "time1000",
	}}
	m := openToy(t, y, ONNXOptions{})
	if m.Predicts != diffusion.Velocity || m.Classes != 3 || !m.Null || m.Name != "toy" {
		t.Errorf("model is %+v", m)
	}
	d, err := m.Denoiser(nil)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]float32, 6)
	if err := d.Denoise(t.Context(), out, make([]float32, 6), 1, []diffusion.Level{m.Schedule.At(0.25)}); err != nil {
		t.Fatal(err)
	}
	if math.Abs(float64(out[0])-0.25) > 1e-6 {
		t.Errorf("time 0.25 as 250/1000 gives %g", out[0])
	}
	m = openToy(t, y, ONNXOptions{Predict: "data", Schedule: "ddpm-linear", TimeAs: "index"})
	if _, discrete := m.Schedule.(*diffusion.Discrete); m.Predicts != diffusion.Data || !discrete {
		t.Errorf("options do not override metadata: %+v", m)
	}
}

func TestSet(t *testing.T) {
	var o ONNXOptions
	for _, kv := range []string{"predict=data", "schedule=edm", "input=a", "time=b", "label=c", "output=d", "time-as=sigma",
		"classes=10", "null-label=-1", "shape=3, 32,16", "batch=4", "engine=embedded", "threads=2"} {
		key, value, _ := strings.Cut(kv, "=")
		if err := o.Set(key, value); err != nil {
			t.Error(err)
		}
	}
	want := ONNXOptions{"data", "edm", "a", "b", "c", "d", "sigma", 10, new(-1), []int{3, 32, 16}, 4, "embedded", 2}
	if !reflect.DeepEqual(o, want) {
		t.Errorf("set %+v, want %+v", o, want)
	}
	for _, c := range [][3]string{
		{"clases", "3", `option "clases": must be one of predict, schedule`},
		{"classes", "ten", `classes = "ten": must be a whole number`},
		{"shape", "3x32", `shape = "3x32": must be sizes like 3,32,32`},
		{"shape", "3,0", `shape = "3,0"`},
		{"threads", "", `threads = ""`},
	} {
		if err := o.Set(c[0], c[1]); err == nil || !strings.Contains(err.Error(), c[2]) {
			t.Errorf("%s=%s: error %v, want one with %q", c[0], c[1], err, c[2])
		}
	}
}

func TestTimeAs(t *testing.T) {
	vp, edm := diffusion.VPLinear{}, diffusion.EDM{}
	l, s := vp.At(0.5), edm.At(3)
	for _, c := range []struct {
		schedule, as string
		level        diffusion.Level
		want         float64
	}{
		{"ddpm-linear", "", diffusion.Level{T: 0.5}, 499},
		{"ddpm-linear:n=10", "", diffusion.Level{T: 0.55}, 4.5},
		{"ddpm-linear", "time", diffusion.Level{T: 0.5}, 0.5},
		{"vp-linear", "", l, 0.5},
		{"vp-linear", "time1000", l, 500},
		{"vp-linear", "lambda", l, l.Lambda},
		{"vp-linear", "logsnr", l, 2 * l.Lambda},
		{"edm", "sigma", s, 3},
		{"edm", "", s, 3},
		{"edm", "log-sigma", s, math.Log(3) / 4},
	} {
		sched, err := diffusion.ParseSchedule(c.schedule)
		if err != nil {
			t.Fatal(err)
		}
		clock, err := parseTimeAs(c.as, sched, onnx.ValueInfo{Type: onnx.Float32})
		if err != nil {
			t.Fatal(err)
		}
		if got := clock.at(c.level); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%s as %q: %g, want %g", c.schedule, c.as, got, c.want)
		}
	}
	sched, _ := diffusion.ParseSchedule("ddpm-linear")
	clock, err := parseTimeAs("", sched, onnx.ValueInfo{Type: onnx.Int64})
	if err != nil {
		t.Fatal(err)
	}
	for time, want := range map[float64]float64{0.5004: 499, 0.5006: 500, -0.2: 0, 1.2: 999} {
		if got := clock.at(diffusion.Level{T: time}); got != want {
			t.Errorf("time %g is index %g, want %g: whole and within the table", time, got, want)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	engines(t, func(t *testing.T, engine string) {
		o := basic
		o.Engine, o.NullLabel = engine, new(3)
		m := openToy(t, toy{label: "y", labelType: onnx.Int64}, o)
		var wg sync.WaitGroup
		for g := range 3 {
			wg.Go(func() {
				d, err := m.Denoiser([]int{g})
				if err != nil {
					t.Error(err)
					return
				}
				for range 20 {
					x, at := batchOf(2, m.Schedule)
					y := make([]float32, len(x))
					if err := d.Denoise(t.Context(), y, x, 2, at); err != nil {
						t.Error(err)
						return
					}
					if want := x[0]/2 + float32(g+1); y[0] != want {
						t.Errorf("label %d: %g, want %g", g, y[0], want)
						return
					}
				}
			})
		}
		wg.Wait()
	})
}

const shared = "../../../shared/data/"

// TestSharedNetwork runs a network that another framework exported.
func TestSharedNetwork(t *testing.T) {
	b, err := os.ReadFile(shared + "mnist-ddpm-reference.json")
	if err != nil {
		t.Skip("the shared network is not here")
	}
	var ref struct {
		Sample, Timestep []float32
		Out              []float32 `json:"out_sample"`
	}
	if err := json.Unmarshal(b, &ref); err != nil {
		t.Fatal(err)
	}
	engines(t, func(t *testing.T, engine string) {
		o := basic
		o.Engine = engine
		m, err := OpenONNX(shared+"mnist-ddpm.onnx", o)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		if m.Name != "mnist-ddpm" || m.Len() != 784 || m.Classes != 0 {
			t.Errorf("model is %+v", m)
		}
		d, err := m.Denoiser(nil)
		if err != nil {
			t.Fatal(err)
		}
		n := len(ref.Timestep)
		at := make([]diffusion.Level, n)
		for i, index := range ref.Timestep {
			at[i] = m.Schedule.At((float64(index) + 1) / 1000)
		}
		out := make([]float32, len(ref.Sample))
		if err := d.Denoise(t.Context(), out, ref.Sample, n, at); err != nil {
			t.Fatal(err)
		}
		var worst float64
		for i := range out {
			worst = max(worst, math.Abs(float64(out[i]-ref.Out[i])))
		}
		if !(worst <= 1e-4) { // what its README asks
			t.Errorf("differs by %g from the framework that exported it", worst)
		}
	})
}
