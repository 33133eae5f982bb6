package ems_test

import (
	"bytes"
	"context"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/assay-lab/assay/data"
	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/ems"
	"github.com/assay-lab/assay/diffusion/gmm"
)

// small is a file of statistics of 2×2 samples on the linear VP schedule.
func small(t testing.TB) ems.File {
	t.Helper()
	s := diffusion.VPLinear{}
	lo, hi := s.Range()
	st := &diffusion.Statistics{LambdaT: s.At(hi).Lambda, Lambda0: s.At(lo).Lambda, Guidance: 2}
	for k := range 5 {
		v := float64(k)
		st.L = append(st.L, []float64{v, 1, 2, 3})
		st.S = append(st.S, []float64{v, -1, 0.5, 1.0 / 3})
		st.B = append(st.B, []float64{v, 0, 0, math.Pi})
	}
	f, err := ems.NewFile(st, s, []int{2, 2})
	if err != nil {
		t.Fatal(err)
	}
	f.Label, f.Model, f.Evaluations = "all", "toy", 17
	return f
}

func TestFileRoundTrip(t *testing.T) {
	want := small(t)
	b, err := want.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ems.Read(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v\nwant %+v", got, want)
	}
	if err := got.Check(diffusion.VPLinear{}, []int{2, 2}, 2); err != nil {
		t.Errorf("what the statistics were made for: %v", err)
	}
}

func TestFileCheck(t *testing.T) {
	table, err := diffusion.NewDiscrete(diffusion.LinearBetas(1e-4, 0.02, 1000))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name     string
		schedule diffusion.Schedule
		shape    []int
		guidance float64
		want     string
	}{
		{"another shape of as many values", diffusion.VPLinear{}, []int{4}, 2, "shape [2 2]: the model's have [4]"},
		{"another guidance", diffusion.VPLinear{}, []int{2, 2}, 3, "guidance 2: the model is used with guidance 3"},
		{"no guidance", diffusion.VPLinear{}, []int{2, 2}, 0, "no guidance"},
		{"another slope", diffusion.VPLinear{Beta0: 0.1, Beta1: 19}, []int{2, 2}, 2, "another noise schedule"},
		{"variance exploding", diffusion.EDM{}, []int{2, 2}, 2, "another noise schedule"},
		{"the same process as a table", table, []int{2, 2}, 2, "another noise schedule"},
	} {
		if err := small(t).Check(tt.schedule, tt.shape, tt.guidance); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*data.Safetensors)
		want   string
	}{
		{"weights of a network", func(s *data.Safetensors) { s.Metadata = nil }, "format"},
		{"no b", func(s *data.Safetensors) { delete(s.Tensors, "b") }, `no tensor "b"`},
		{"s of another shape", func(s *data.Safetensors) {
			s.Tensors["s"] = data.Tensor{Shape: []int{5, 4}, Data: make([]float64, 20)}
		}, `tensor "s"`},
		{"b of fewer rows", func(s *data.Safetensors) {
			s.Tensors["b"] = data.Tensor{Shape: []int{4, 2, 2}, Data: make([]float64, 16)}
		}, "5, 5 and 4 rows"},
		{"float32", func(s *data.Safetensors) {
			s.Tensors["l"] = data.Tensor{Shape: []int{5, 2, 2}, Data: make([]float32, 20)}
		}, "must be float64"},
		{"a scalar", func(s *data.Safetensors) {
			s.Tensors["lambda"] = data.Tensor{Data: []float64{1}}
		}, "lambda"},
		{"nothing in it", func(s *data.Safetensors) {
			s.Tensors["lambda"] = data.Tensor{Shape: []int{0}, Data: []float64{}}
		}, "lambda"},
		{"uneven rows", func(s *data.Safetensors) { s.Tensors["lambda"].Data.([]float64)[2] += 0.1 }, "evenly spaced"},
		{"not a number", func(s *data.Safetensors) { s.Tensors["b"].Data.([]float64)[3] = math.NaN() }, "statistics b"},
		{"guidance in words", func(s *data.Safetensors) { s.Metadata["guidance"] = "strong" }, "strong"},
	} {
		b, err := small(t).Bytes()
		if err != nil {
			t.Fatal(err)
		}
		s, err := data.ReadSafetensors(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		tt.change(s)
		var w bytes.Buffer
		if err := data.WriteSafetensors(&w, s); err != nil {
			t.Fatal(err)
		}
		if _, err := ems.Read(&w); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func FuzzRead(f *testing.F) {
	b, err := small(f).Bytes()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:len(b)/2])
	f.Add(bytes.Replace(b, []byte(`[5,2,2]`), []byte(`[5,4,1]`), 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := ems.Read(bytes.NewReader(b))
		if err != nil {
			return
		}
		again, err := file.Bytes()
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		if _, err := ems.Read(bytes.NewReader(again)); err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
	})
}

// TestFromModel estimates from the model's own samples: of a single Gaussian of
// deviation s the Jacobian is known, whatever the samples are.
func TestFromModel(t *testing.T) {
	const dev = 0.5
	model, err := gmm.Differentiable(&gmm.Mixture{W: []float64{1}, Mu: [][]float64{{1, -2}}, S: []float64{dev}})
	if err != nil {
		t.Fatal(err)
	}
	s := diffusion.VPLinear{}
	const rows = 10
	st, err := ems.Estimator{Model: model}.FromModel(context.Background(), diffusion.Grid{Schedule: s, Steps: 20}, 16, 2, rows)
	if err != nil {
		t.Fatal(err)
	}
	for k, l := range st.L {
		lambda := st.LambdaT + (st.Lambda0-st.LambdaT)*float64(k)/rows
		at := s.At(s.Time(lambda))
		want := at.Sigma * at.Sigma / (at.Alpha*at.Alpha*dev*dev + at.Sigma*at.Sigma) // σ·∂ε/∂x
		for i := range l {
			if math.Abs(l[i]-want) > 1e-9 { // roundings in λ ↦ t ↦ α
				t.Errorf("row %d, coordinate %d: l = %g, want %g", k, i, l[i], want)
			}
		}
	}
	// By central differences of the data prediction, converted.
	data, err := gmm.Model[float64](&gmm.Mixture{W: []float64{1}, Mu: [][]float64{{1, -2}}, S: []float64{dev}}, diffusion.Data)
	if err != nil {
		t.Fatal(err)
	}
	e := ems.Estimator{Model: diffusion.Differences{Denoiser: diffusion.AsNoise(data)}}
	near, err := e.FromModel(context.Background(), diffusion.Grid{Schedule: s, Steps: 20}, 16, 2, rows)
	if err != nil {
		t.Fatal(err)
	}
	for k := range st.L {
		for i := range st.L[k] {
			// the conversion divides by σ, the difference by 2·10⁻⁴; σ is 0.01 at the end
			if math.Abs(near.L[k][i]-st.L[k][i]) > 1e-6 || math.Abs(near.B[k][i]-st.B[k][i]) > 1e-4 {
				t.Errorf("row %d, coordinate %d: l, b = %g, %g by differences, %g, %g exactly", k, i, near.L[k][i], near.B[k][i], st.L[k][i], st.B[k][i])
			}
		}
	}
}
