package network

import (
	"context"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/onnx"
)

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
