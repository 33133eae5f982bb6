package onnx

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// maxDiff is the largest difference of two slices; +Inf when their lengths differ or one is NaN.
func maxDiff(a, b []float32) float64 {
	if len(a) != len(b) {
		return math.Inf(1)
	}
	var m float64
	for i := range a {
		d := math.Abs(float64(a[i]) - float64(b[i]))
		if math.IsNaN(d) {
			return math.Inf(1)
		}
		m = max(m, d)
	}
	return m
}

func open(t testing.TB, m *Model, opt Options) Session {
	t.Helper()
	s, err := NewSession(m, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func smallInput(n int) map[string]Tensor {
	return map[string]Tensor{"x": {[]int{n, 1, 4, 4}, ramp(16 * n)}, "t": {[]int{n}, ramp(n)}}
}

func TestRunSmall(t *testing.T) {
	engines(t, func(t *testing.T, opt Options) {
		s := open(t, smallNet(), opt)
		for _, n := range []int{1, 3, 1} { // the batch may change from call to call
			in := smallInput(n)
			out, err := s.Run(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			y, err := Data[float32](out["y"])
			if err != nil || !slices.Equal(out["y"].Shape, []int{n, 1, 4, 4}) {
				t.Fatalf("output is %v, %v", out["y"], err)
			}
			for i := range n {
				want := smallNetAt(in["x"].Data.([]float32)[16*i:16*i+16], in["t"].Data.([]float32)[i])
				if d := maxDiff(y[16*i:16*i+16], want); d > 1e-5 { // sums of 18 numbers near 1
					t.Errorf("batch %d: sample %d differs by %g", n, i, d)
				}
			}
		}
		if got := s.Info(); got.Engine != opt.Engine || len(got.Inputs) != 2 || got.Params != 24 || got.Metadata["assay.predict"] != "noise" {
			t.Errorf("described as %+v", got)
		}
	})
}

func TestRunShared(t *testing.T) {
	ref := loadReference(t)
	engines(t, func(t *testing.T, opt Options) {
		s, err := Open(ref.path, opt)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		out, err := s.Run(t.Context(), ref.input(), "out_sample")
		if err != nil {
			t.Fatal(err)
		}
		if d := maxDiff(out["out_sample"].Data.([]float32), ref.OutSample); d > 1e-4 { // what its README asks
			t.Errorf("differs by %g from the framework that exported it", d)
		} else {
			t.Logf("differs by %.2g from the framework that exported it", d)
		}
	})
}

func TestRunRefuses(t *testing.T) {
	engines(t, func(t *testing.T, opt Options) {
		s := open(t, smallNet(), opt)
		for _, c := range []struct {
			name   string
			change func(in map[string]Tensor)
			want   string
		}{
			{"missing input", func(in map[string]Tensor) { delete(in, "t") }, `no tensor for input "t": the network wants x float32 [n,1,4,4], t float32 [n]`},
			{"unknown input", func(in map[string]Tensor) { in["z"] = in["t"] }, `no input is named "z"`},
			{"wrong type", func(in map[string]Tensor) { in["t"] = Tensor{[]int{2}, []int64{1, 2}} }, `input "t": elements are int64: the network wants t float32 [n]`},
			{"wrong size", func(in map[string]Tensor) { in["x"] = Tensor{[]int{2, 2, 4, 4}, ramp(64)} }, `input "x": shape is [2 2 4 4]`},
			{"wrong rank", func(in map[string]Tensor) { in["t"] = Tensor{[]int{2, 1}, ramp(2)} }, `input "t": shape is [2 1]`},
			{"data that do not fill the shape", func(in map[string]Tensor) { in["t"] = Tensor{[]int{2}, ramp(3)} }, `input "t": shape [2] needs 2 elements, data has 3`},
			{"batches that differ", func(in map[string]Tensor) { in["t"] = Tensor{[]int{3}, ramp(3)} }, `axis "n" is 3, but 2 in another input`},
			{"no data", func(in map[string]Tensor) { in["t"] = Tensor{} }, `input "t": data is a <nil>`},
			{"empty batch", func(in map[string]Tensor) {
				in["x"], in["t"] = Tensor{[]int{0, 1, 4, 4}, []float32{}}, Tensor{[]int{0}, []float32{}}
			}, "no elements"},
		} {
			in := smallInput(2)
			c.change(in)
			if _, err := s.Run(t.Context(), in); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
			}
		}
		if _, err := s.Run(t.Context(), smallInput(1), "z"); err == nil || !strings.Contains(err.Error(), `no output is named "z": the network has y`) {
			t.Errorf("unknown output: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.Run(ctx, smallInput(1)); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		if _, err := s.Run(t.Context(), smallInput(1)); err != nil {
			t.Errorf("after errors it no longer runs: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("closed twice: %v", err)
		}
		if _, err := s.Run(t.Context(), smallInput(1)); !errors.Is(err, ErrClosed) {
			t.Errorf("run after Close: %v", err)
		}
	})
}

func TestRunConcurrently(t *testing.T) {
	engines(t, func(t *testing.T, opt Options) {
		opt.Threads = 1
		s := open(t, smallNet(), opt)
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				for k := range 20 {
					n := 1 + (g+k)%3
					in := smallInput(n)
					in["t"].Data.([]float32)[0] = float32(g)
					out, err := s.Run(t.Context(), in)
					if err != nil {
						t.Error(err)
						return
					}
					want := smallNetAt(in["x"].Data.([]float32)[:16], float32(g))
					if d := maxDiff(out["y"].Data.([]float32)[:16], want); d > 1e-5 {
						t.Errorf("call %d of goroutine %d differs by %g", k, g, d)
						return
					}
					if k == 10 {
						runtime.GC() // data that C reads must survive this
					}
				}
			})
		}
		wg.Wait()
	})
}

func TestUnknownOperator(t *testing.T) {
	engines(t, func(t *testing.T, opt Options) {
		m := smallNet()
		m.Graph.Nodes[2].Op = "Frobnicate"
		_, err := NewSession(m, opt)
		if err == nil || !strings.Contains(err.Error(), `node 2 (Frobnicate "shift")`) {
			t.Errorf("error %v does not name the node", err)
		}
		m = smallNet()
		m.Graph.Nodes[2].Domain, m.Domains["org.example"] = "org.example", 1
		_, err = NewSession(m, opt)
		if err == nil || !strings.Contains(err.Error(), `node 2 (org.example.Add "shift")`) {
			t.Errorf("error %v does not name the node", err)
		}
	})
}

func TestOptions(t *testing.T) {
	for want, opt := range map[string]Options{
		`engine "tpu": must be`: {Engine: "tpu"},
		"threads = -1":          {Threads: -1},
	} {
		if _, err := NewSession(smallNet(), opt); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want one with %q", opt, err, want)
		}
	}
	path := filepath.Join(t.TempDir(), "bad.onnx")
	m := smallNet()
	m.Graph.Nodes[2].Op = "Frobnicate"
	if err := m.Write(path); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, Options{}); err == nil || !strings.HasPrefix(err.Error(), path+": ") {
		t.Errorf("error %v does not begin with the path", err)
	}
}

func BenchmarkShared(b *testing.B) {
	ref := loadReference(b)
	for _, engine := range []string{ONNXRuntime, Embedded} {
		for _, n := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("%s/batch=%d", engine, n), func(b *testing.B) {
				if engine == ONNXRuntime {
					needORT(b)
				}
				s, err := Open(ref.path, Options{Engine: engine})
				if err != nil {
					b.Skip(err)
				}
				defer s.Close()
				in := map[string]Tensor{"sample": {[]int{n, 1, 28, 28}, ramp(784 * n)}, "timestep": {[]int{n}, make([]float32, n)}}
				for b.Loop() {
					if _, err := s.Run(b.Context(), in); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n)/1e6, "ms/sample")
			})
		}
	}
}
