package network

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/onnx"
)

// engines runs f with each engine at hand.
func engines(t *testing.T, f func(t *testing.T, engine string)) {
	for _, name := range []string{onnx.ONNXRuntime, onnx.Embedded} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := onnx.RuntimeLibrary(); err != nil && name == onnx.ONNXRuntime {
				t.Skip(err)
			}
			f(t, name)
		})
	}
}

// A toy is the network y = x/2 + t/1000 + table[label], and how it wants its inputs.
type toy struct {
	batch               int    // 0: any number
	input, time, output string // names; x, t, y if empty
	timeType            onnx.Type
	timeShape           []int // nil: one a sample
	label               string
	labelType           onnx.Type // of indices; a floating-point one: one-hot
	float64             bool
	variance            bool // the output has twice the channels
	meta                map[string]string
}

var toyTable = []float32{1, 2, 3, 0} // three classes and none

func or(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

func (y toy) model() *onnx.Model {
	typ, batch := onnx.Float32, -1
	if y.float64 {
		typ = onnx.Float64
	}
	if y.batch > 0 {
		batch = y.batch
	}
	constant := func(name string, v ...float32) onnx.Initializer {
		t := onnx.Tensor{Shape: []int{len(v), 1}, Data: v}
		if y.float64 {
			t.Data = convert[float64](v)
		}
		return onnx.Initializer{Name: name, Tensor: t}
	}
	perRow := func(name string, typ onnx.Type, shape []int) onnx.ValueInfo {
		if shape == nil {
			shape = []int{batch}
		}
		return onnx.ValueInfo{Name: name, Type: typ, Shape: shape}
	}
	m := &onnx.Model{Metadata: y.meta}
	g := &m.Graph
	node := func(op, out string, attrs onnx.Attrs, in ...string) {
		g.Nodes = append(g.Nodes, onnx.Node{Op: op, Name: out, In: in, Out: []string{out}, Attrs: attrs})
	}
	g.Initializers = []onnx.Initializer{constant("half", 0.5), constant("milli", 0.001), constant("table", toyTable...),
		{Name: "wide", Tensor: onnx.Tensor{Shape: []int{4}, Data: []int64{-1, 1, 1, 1}}}}
	input, time := or(y.input, "x"), or(y.time, "t")
	timeType := y.timeType
	if timeType == 0 {
		timeType = typ
	}
	g.Inputs = []onnx.ValueInfo{{Name: input, Type: typ, Shape: []int{batch, 2, 1, 3}}, perRow(time, timeType, y.timeShape)}
	node("Mul", "scaled", nil, input, "half")
	node("Cast", "tf", onnx.Attrs{"to": int(typ)}, time)
	node("Reshape", "t4", nil, "tf", "wide")
	node("Mul", "tm", nil, "t4", "milli")
	node("Add", "sum", nil, "scaled", "tm")
	last := "sum"
	if y.label != "" {
		shape := []int(nil)
		if y.labelType.Float() {
			shape = []int{batch, len(toyTable)}
			node("MatMul", "row", nil, y.label, "table")
		} else {
			node("Gather", "row", nil, "table", y.label)
		}
		g.Inputs = append(g.Inputs, perRow(y.label, y.labelType, shape))
		node("Reshape", "row4", nil, "row", "wide")
		node("Add", "labelled", nil, last, "row4")
		last = "labelled"
	}
	output, channels := or(y.output, "out"), 2
	if y.variance {
		channels = 4
		node("Concat", output, onnx.Attrs{"axis": 1}, last, "scaled")
	} else {
		node("Identity", output, nil, last)
	}
	g.Outputs = []onnx.ValueInfo{{Name: output, Type: typ, Shape: []int{batch, channels, 1, 3}}}
	return m
}

func (y toy) write(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "toy.onnx")
	if err := y.model().Write(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// basic are the options that no toy can do without.
var basic = ONNXOptions{Predict: "noise", Schedule: "ddpm-linear"}

func openToy(t *testing.T, y toy, o ONNXOptions) *Model {
	t.Helper()
	m, err := OpenONNX(y.write(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

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

func TestLabelsRefused(t *testing.T) {
	plain := openToy(t, toy{}, basic)
	o := basic
	o.Classes = 4
	labelled := openToy(t, toy{label: "y", labelType: onnx.Int64}, o)
	o.Classes, o.NullLabel = 0, new(3)
	free := openToy(t, toy{label: "y", labelType: onnx.Int64}, o)
	for _, c := range []struct {
		name   string
		m      *Model
		labels []int
		want   string
	}{
		{"label for a network without", plain, []int{1}, "toy: label 1: the network takes no labels"},
		{"no label for a network that needs one", labelled, nil, "toy: it needs a label, 0 to 3"},
		{"too large", labelled, []int{0, 4}, "toy: label 4 of sample 1: must be from 0 to 3"},
		{"the null label, asked for by number", free, []int{3}, "must be from 0 to 2"},
		{"negative", free, []int{-2}, "label -2"},
	} {
		if _, err := c.m.Denoiser(c.labels); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
		}
	}
	for want, err := range map[string]error{
		"guidance needs labels":      second(free.Guided(nil, 3)),
		"must be finite":             second(free.Guided([]int{1}, math.NaN())),
		"guidance is not possible":   second(labelled.Guided([]int{1}, 3)),
		"the network takes no label": second(plain.Guided([]int{1}, 3)),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestDenoiseRefuses(t *testing.T) {
	o := basic
	o.NullLabel = new(3)
	m := openToy(t, toy{label: "y", labelType: onnx.Int64}, o)
	d, err := m.Denoiser([]int{0, 1, 2})
	if err != nil {
		t.Fatal(err)
	}
	x, at := batchOf(3, m.Schedule)
	y := make([]float32, len(x))
	for _, c := range []struct {
		name   string
		dst, x []float32
		n      int
		at     []diffusion.Level
		want   string
	}{
		{"sample of the wrong length", y, x[:17], 3, at, "17 values for 3 samples: each has 6, shape [2 1 3]"},
		{"negative count", y, x, -3, at, "-3 samples"},
		{"short result", y[:6], x, 3, at, "6 values for the result of 18"},
		{"two levels for three", y, x, 3, at[:2], "2 levels for 3 samples"},
		{"no level", y, x, 3, nil, "0 levels for 3 samples"},
		{"labels for another count", y[:12], x[:12], 2, at[:2], "2 samples, but 3 labels are bound"},
	} {
		if err := d.Denoise(t.Context(), c.dst, c.x, c.n, c.at); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Denoise(ctx, y, x, 3, at); err != context.Canceled && !strings.Contains(err.Error(), "context canceled") {
		t.Errorf("cancelled: %v", err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if err := d.Denoise(t.Context(), y, x, 3, at); err == nil {
		t.Error("a closed model still computes")
	}
}

func TestOpenRefuses(t *testing.T) {
	with := func(change func(o *ONNXOptions)) ONNXOptions {
		o := basic
		change(&o)
		return o
	}
	two := toy{}.model()
	two.Graph.Inputs = append(two.Graph.Inputs, onnx.ValueInfo{Name: "sigma", Type: onnx.Float32, Shape: []int{-1}})
	prompt := toy{}.model()
	prompt.Graph.Inputs = append(prompt.Graph.Inputs, onnx.ValueInfo{Name: "prompt", Type: onnx.Float32, Shape: []int{-1, 77, 64}})
	images := toy{input: "a"}.model()
	images.Graph.Inputs = append(images.Graph.Inputs, onnx.ValueInfo{Name: "b", Type: onnx.Float32, Shape: []int{-1, 2, 1, 3}})
	outputs := toy{output: "a"}.model()
	outputs.Graph.Outputs = append(outputs.Graph.Outputs, onnx.ValueInfo{Name: "sum", Type: onnx.Float32, Shape: []int{-1, 2, 1, 3}})
	open := toy{}.model()
	open.Graph.Inputs[0].Shape = []int{-1, 2, -1, 3}
	flat := toy{}.model()
	flat.Graph.Outputs[0] = onnx.ValueInfo{Name: "tf", Type: onnx.Float32, Shape: []int{-1}}
	timeless := toy{}.model()
	timeless.Graph.Inputs = timeless.Graph.Inputs[:1]
	timeless.Graph.Initializers = append(timeless.Graph.Initializers, onnx.Initializer{Name: "t", Tensor: onnx.Tensor{Shape: []int{1}, Data: []float32{0}}})
	mixed := toy{timeShape: []int{5}}.model()
	for _, c := range []struct {
		name string
		m    *onnx.Model
		o    ONNXOptions
		want string
	}{
		{"prediction not said", toy{}.model(), with(func(o *ONNXOptions) { o.Predict = "" }), "say predict=noise, data, velocity or score"},
		{"odd prediction", toy{}.model(), with(func(o *ONNXOptions) { o.Predict = "mean" }), "predict=mean: must be noise"},
		{"schedule not said", toy{}.model(), with(func(o *ONNXOptions) { o.Schedule = "" }), "say schedule=NAME, one of ddpm-linear"},
		{"odd schedule", toy{}.model(), with(func(o *ONNXOptions) { o.Schedule = "linear" }), `schedule "linear": must be one of`},
		{"two times", two, basic, "the time may be 2 of them: name it with time=NAME: the network has x float32 [?,2,1,3], t float32 [?], sigma float32 [?]"},
		{"input without a use", prompt, basic, "input prompt float32 [?,77,64] has no known use: input=x and time=t"},
		{"two images", images, basic, "the noisy samples may be 2 of them: name it with input=NAME"},
		{"no time", timeless, basic, "no input is known as the time: name it with time=NAME"},
		{"two outputs", outputs, basic, "the prediction may be 2 of them: name it with output=NAME: the network has a float32"},
		{"output of another shape", flat, basic, "output tf float32 [?] is not of the samples' shape [2 1 3]"},
		{"name that is not there", toy{}.model(), with(func(o *ONNXOptions) { o.Input = "q" }), "input=q: there is no such name: the network has x float32"},
		{"name that cannot be the time", toy{input: "a", time: "b"}.model(), with(func(o *ONNXOptions) { o.Time = "a" }), "time=a: a float32 [?,2,1,3] cannot be the time"},
		{"sizes left open", open, basic, "say shape=CHANNELS,HEIGHT,WIDTH"},
		{"shape of another rank", open, with(func(o *ONNXOptions) { o.Shape = []int{2, 1} }), "samples have 3 axes"},
		{"shape that does not fit", open, with(func(o *ONNXOptions) { o.Shape = []int{5, 1, 3} }), "shape [5 1 3] does not fit input x"},
		{"shape of nothing", open, with(func(o *ONNXOptions) { o.Shape = []int{2, 0, 3} }), "sizes must be positive"},
		{"absurd shape", open, with(func(o *ONNXOptions) { o.Shape = []int{2, 1 << 20, 3} }), ""},
		{"index of a continuous schedule", toy{}.model(), with(func(o *ONNXOptions) { o.Schedule, o.TimeAs = "cosine", "index" }), "time-as=index: the schedule is continuous"},
		{"odd time", toy{}.model(), with(func(o *ONNXOptions) { o.TimeAs = "steps" }), "time-as=steps: must be index, time"},
		{"fractions for whole numbers", toy{timeType: onnx.Int64}.model(), with(func(o *ONNXOptions) { o.Schedule = "cosine" }), "input t int64 [?] takes whole numbers"},
		{"times that do not fit the batch", mixed, basic, "input t float32 [5] does not fit the batch of input x"},
		{"classes of a network without labels", toy{}.model(), with(func(o *ONNXOptions) { o.Classes = 10 }), "the network has no input for labels"},
		{"negative classes", toy{label: "y", labelType: onnx.Int64}.model(), with(func(o *ONNXOptions) { o.Classes = -1 }), "classes = -1"},
		{"more classes than columns", toy{label: "y", labelType: onnx.Float32}.model(), with(func(o *ONNXOptions) { o.Classes = 9 }), "classes = 9: input y float32 [?,4] has 4"},
		{"null label beyond the columns", toy{label: "y", labelType: onnx.Float32}.model(), with(func(o *ONNXOptions) { o.NullLabel = new(4) }), "null label = 4"},
		{"metadata that is no number", toy{meta: map[string]string{"assay.classes": "ten"}}.model(), basic, `assay.classes = "ten"`},
		{"negative batch", toy{}.model(), with(func(o *ONNXOptions) { o.Batch = -1 }), "batch = -1"},
		{"unknown engine", toy{}.model(), with(func(o *ONNXOptions) { o.Engine = "tpu" }), `engine "tpu"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "net.onnx")
			if err := c.m.Write(path); err != nil {
				t.Fatal(err)
			}
			m, err := OpenONNX(path, c.o)
			if c.want == "" && err == nil {
				m.Close()
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), path+": ") {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
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
