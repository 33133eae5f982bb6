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

// restorerToy is the network x/2 + t/1000 + μ.
func restorerToy(mean string, shape []int, meta map[string]string) *onnx.Model {
	m := toy{meta: meta}.model()
	g := &m.Graph
	g.Inputs = append(g.Inputs, onnx.ValueInfo{Name: mean, Type: onnx.Float32, Shape: shape})
	last := &g.Nodes[len(g.Nodes)-1] // the identity
	last.Op, last.In = "Add", append(last.In, mean)
	return m
}

var toyImages = []int{-1, 2, 1, 3}

func restorerFile(t *testing.T, mean string, meta map[string]string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "toy.onnx")
	if err := restorerToy(mean, toyImages, meta).Write(path); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOpenRestorer(t *testing.T) {
	engines(t, func(t *testing.T, engine string) {
		for _, tt := range []struct {
			name, mean string
			meta       map[string]string
			o          RestorerOptions
		}{
			{"the mean found by its name", "cond", nil, RestorerOptions{ONNXOptions: ONNXOptions{Predict: "noise", Schedule: "ir-sde"}}},
			{"the mean named by the user, small batches", "foggy", nil, RestorerOptions{ONNXOptions: ONNXOptions{Predict: "noise", Schedule: "ir-sde", Batch: 2}, Mean: "foggy"}},
			{"the file says the rest", "mu", map[string]string{"assay.predict": "noise", "assay.schedule": "ir-sde"}, RestorerOptions{}},
		} {
			tt.o.Engine = engine
			r, err := OpenRestorer(restorerFile(t, tt.mean, tt.meta), tt.o)
			if err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			defer r.Close()
			m, err := r.Model("")
			if err != nil {
				t.Fatal(err)
			}
			const n = 5
			x, mu, dst := make([]float32, n*6), make([]float32, n*6), make([]float32, n*6)
			for i := range x {
				x[i], mu[i] = float32(i), float32(100*i)
			}
			if err := m.DenoiseMean(context.Background(), dst, x, mu, n, []diffusion.Level{r.Process.Outer(r.Process.At(40))}); err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			for i, v := range dst {
				if want := float32(i)/2 + .04 + float32(100*i); math.Abs(float64(v-want)) > 1e-6*float64(1+want) { // roundings
					t.Errorf("%s: [%d] = %g, want %g", tt.name, i, v, want)
				}
			}
		}
	})
}

func TestOpenRestorerRefuses(t *testing.T) {
	irsde := ONNXOptions{Predict: "noise", Schedule: "ir-sde"}
	for name, tt := range map[string]struct {
		path string
		o    RestorerOptions
		want string
	}{
		"a plain schedule":              {restorerFile(t, "mu", nil), RestorerOptions{ONNXOptions: basic}, "schedule=ddpm-linear is not mean-reverting"},
		"no input of degraded images":   {toy{}.write(t), RestorerOptions{ONNXOptions: irsde}, "no input is known as the degraded images: name it with mean-input=NAME"},
		"a name that the network lacks": {restorerFile(t, "mu", nil), RestorerOptions{ONNXOptions: irsde, Mean: "nu"}, "mean-input=nu: there is no such name"},
		"no schedule":                   {restorerFile(t, "mu", nil), RestorerOptions{ONNXOptions: ONNXOptions{Predict: "noise"}}, "what noise schedule"},
		"the time as degraded images":   {restorerFile(t, "mu", nil), RestorerOptions{ONNXOptions: irsde, Mean: "t"}, "cannot be the degraded images"},
		"no file":                       {"absent.onnx", RestorerOptions{ONNXOptions: irsde}, "absent.onnx"},
	} {
		if r, err := OpenRestorer(tt.path, tt.o); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, %v; want an error with %q", name, r, err, tt.want)
		}
	}
	// a network that restores is no model to sample from
	if _, err := OpenONNX(toy{}.write(t), irsde); err == nil || !strings.Contains(err.Error(), "schedule=ir-sde is mean-reverting") {
		t.Errorf("a mean-reverting network is opened as a plain one: %v", err)
	}
}

func TestMNISTRestorer(t *testing.T) {
	r, err := MNISTRestorer()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Model("sharpen"); err == nil || !strings.Contains(err.Error(), "denoise, deblur, inpaint") {
		t.Errorf("task sharpen: %v", err)
	}
	m, err := r.Model("deblur")
	if err != nil {
		t.Fatal(err)
	}
	at := []diffusion.Level{r.Process.Outer(r.Process.At(50))}
	dst := make([]float32, 2*r.Len())
	for name, sizes := range map[string][2]int{"half an image": {r.Len() * 3 / 2, r.Len() * 3 / 2}, "x and mu of two sizes": {2 * r.Len(), r.Len()}} {
		if err := m.DenoiseMean(context.Background(), dst[:sizes[0]], make([]float32, sizes[0]), make([]float32, sizes[1]), 2, at); err == nil || !strings.Contains(err.Error(), "for 2 images") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := m.DenoiseMean(context.Background(), dst, make([]float32, len(dst)), make([]float32, len(dst)), 2, at); err != nil || dst[0] != dst[r.Len()] {
		t.Errorf("two equal images: %v", err)
	}
	if r.Close() != nil {
		t.Error("the network that is built in cannot be closed")
	}
}
