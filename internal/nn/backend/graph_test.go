package backend

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// TestGradientsOfConvolutions compares GoMLX's gradients of a scalar that is
// linear in the input, and in the kernel, with its differences. Kernels have odd
// sizes: for even ones GoMLX's own gradient by the input is wrong.
func TestGradientsOfConvolutions(t *testing.T) {
	for _, c := range []struct {
		name        string
		n, k        []int
		build       func(*ConvolutionBuilder) *ConvolutionBuilder
		kernelInput int // channels; the input has 2
	}{
		{"same", []int{7, 6}, []int{3, 3}, (*ConvolutionBuilder).PadSame, 2},
		{"valid", []int{7, 6}, []int{3, 1}, (*ConvolutionBuilder).NoPadding, 2},
		{"stride 2, same", []int{7, 6}, []int{3, 3}, func(b *ConvolutionBuilder) *ConvolutionBuilder { return b.PadSame().Strides(2) }, 2},
		{"stride 2, valid: negative padding", []int{8, 7}, []int{3, 1}, func(b *ConvolutionBuilder) *ConvolutionBuilder { return b.NoPadding().Strides(2) }, 2},
		{"stride 4 beyond the kernel", []int{12, 11}, []int{3, 3}, func(b *ConvolutionBuilder) *ConvolutionBuilder { return b.NoPadding().Strides(4) }, 2},
		{"dilated", []int{9, 8}, []int{3, 2}, func(b *ConvolutionBuilder) *ConvolutionBuilder { return b.NoPadding().Dilations(2) }, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(11, 12))
			x := random(rng, dtypes.Float64, 2, c.n[0], c.n[1], 2)
			w := random(rng, dtypes.Float64, c.k[0], c.k[1], c.kernelInput, 3)
			loss := func(x, w *Node) *Node {
				y := c.build(Convolve(x, w)).Done()
				weight := Sin(Iota(x.Graph(), shapes.Make(dtypes.Float64, y.Shape().Size()), 0))
				return ReduceAllSum(Mul(y, Reshape(weight, y.Shape().Dimensions...)))
			}
			exec, err := NewExec(decorated(t), func(x, w *Node) []*Node {
				l := loss(x, w)
				return append([]*Node{l}, Gradient(l, x, w)...)
			})
			if err != nil {
				t.Fatal(err)
			}
			run := func() (float64, [2][]float64) {
				out, err := exec.Call(tensors.FromFlatDataAndDimensions(slices.Clone(x.data.([]float64)), x.dims...),
					tensors.FromFlatDataAndDimensions(slices.Clone(w.data.([]float64)), w.dims...))
				if err != nil {
					t.Fatal(err)
				}
				return tensors.ToScalar[float64](out[0]), [2][]float64{flat(t, out[1]), flat(t, out[2])}
			}
			base, grads := run()
			for k, data := range [][]float64{x.data.([]float64), w.data.([]float64)} {
				for _, i := range rng.Perm(len(data))[:min(20, len(data))] {
					data[i]++ // the loss is linear: any step will do
					up, _ := run()
					data[i]--
					if got, want := grads[k][i], up-base; math.Abs(got-want) > 1e-10 {
						t.Fatalf("gradient by operand %d, element %d: %g, difference %g", k, i, got, want)
					}
				}
			}
		})
	}
}

func flat(t *testing.T, x *tensors.Tensor) []float64 {
	t.Helper()
	v, err := tensors.CopyFlatData[float64](x)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestTrainingGraphFinishes runs a graph of many independent products, on which
// the plain backend's pool of workers hangs.
func TestTrainingGraphFinishes(t *testing.T) {
	exec, err := NewExec(decorated(t), func(x *Node) []*Node {
		var sum *Node
		for i := range 64 {
			y := MatMul(MulScalar(x, float64(i)), x)
			if y = Tanh(MatMul(y, y)); sum == nil {
				sum = y
			} else {
				sum = Add(sum, y)
			}
		}
		l := ReduceAllSum(sum)
		return append([]*Node{l}, Gradient(l, x)...)
	})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(13, 14))
	x := random(rng, dtypes.Float32, 160, 160)
	for range 3 {
		if _, err := exec.Call(tensors.FromFlatDataAndDimensions(x.data.([]float32), x.dims...)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestClosuresAreUnwrapped(t *testing.T) {
	exec, err := NewExec(decorated(t), func(x *Node) []*Node {
		g := x.Graph()
		power := While(
			NewClosure(g, func(g *Graph) []*Node {
				i := Parameter(g, "i", shapes.Make(dtypes.Int32))
				Parameter(g, "v", x.Shape())
				return []*Node{LessThan(i, Const(g, int32(3)))}
			}),
			NewClosure(g, func(g *Graph) []*Node {
				i, v := Parameter(g, "i", shapes.Make(dtypes.Int32)), Parameter(g, "v", x.Shape())
				return []*Node{AddScalar(i, 1), MatMul(v, x)}
			}),
			Const(g, int32(0)), x)[1]
		return []*Node{Sort(power, 0, true)}
	})
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Call([][]float32{{0, 1}, {2, 0}})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(out[0].Value()); got != "[[0 0] [4 4]]" { // x⁴ = diag(4, 4)
		t.Errorf("columns of x⁴, sorted: %s", got)
	}
}

func BenchmarkConv(b *testing.B) {
	rng := rand.New(rand.NewPCG(15, 16))
	axes := convCase{n: []int{28, 28}}.axes()
	in := []array{random(rng, dtypes.Float32, 32, 28, 28, 64), random(rng, dtypes.Float32, 3, 3, 64, 64)}
	p, err := compile(b, decorated(b), in, func(f compute.Function, v []compute.Value) (compute.Value, error) {
		return f.ConvGeneral(v[0], v[1], axes, nil, same3, nil, nil, 1, 1)
	})
	bench(b, p, 2*32*28*28*64*9*64, err)
}

func BenchmarkConvWithGradients(b *testing.B) {
	exec, err := NewExec(decorated(b), func(x, w *Node) []*Node {
		y := Convolve(x, w).PadSame().Done()
		return Gradient(ReduceAllSum(Mul(y, y)), x, w)
	})
	if err != nil {
		b.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(15, 16))
	x, w := random(rng, dtypes.Float32, 32, 28, 28, 64), random(rng, dtypes.Float32, 3, 3, 64, 64)
	tx, tw := tensors.FromFlatDataAndDimensions(x.data.([]float32), x.dims...), tensors.FromFlatDataAndDimensions(w.data.([]float32), w.dims...)
	for b.Loop() {
		if _, err := exec.Call(tx, tw); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkMatMul times the products of a mixer's layers, and their gradients.
func BenchmarkMatMul(b *testing.B) {
	rng := rand.New(rand.NewPCG(17, 18))
	for _, c := range []struct {
		name   string
		l, r   []int
		lc, rc int
	}{
		{"channels 3136x128·128x256", []int{3136, 128}, []int{128, 256}, 1, 0},
		{"tokens 98x49·49x8192", []int{98, 49}, []int{49, 8192}, 1, 0},
		{"gradient of channels 3136x128ᵀ·3136x256", []int{3136, 128}, []int{3136, 256}, 0, 0},
		{"gradient of tokens 98x49ᵀ·98x8192", []int{98, 49}, []int{98, 8192}, 0, 0},
	} {
		b.Run(c.name, func(b *testing.B) {
			p, err := compile(b, decorated(b), []array{random(rng, dtypes.Float32, c.l...), random(rng, dtypes.Float32, c.r...)},
				func(f compute.Function, v []compute.Value) (compute.Value, error) {
					return f.DotGeneral(v[0], []int{c.lc}, nil, v[1], []int{c.rc}, nil, compute.DotGeneralConfig{})
				})
			bench(b, p, 2*product(c.l)*c.r[1-c.rc], err)
		})
	}
}

func bench(b *testing.B, p program, flops int, err error) {
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		out, err := p.exec.Execute(p.in, nil, 0)
		if err != nil {
			b.Fatal(err)
		}
		if err := out[0].Finalize(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(flops)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
}
