package gemm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/assay-lab/assay/internal/kern"
)

// levels runs a test with every kernel that this machine has.
func levels(t *testing.T, test func(t *testing.T)) {
	defer kern.SetLevel(kern.Level())
	for _, name := range kern.Levels() {
		if err := kern.SetLevel(name); err != nil {
			t.Fatal(err)
		}
		t.Run(name, test)
	}
}

func random(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

// TestMul holds every kernel against sums in float64, over all remainders of
// tiles and panels, transposes and sizes beyond one block.
func TestMul(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	type size struct{ m, k, n int }
	sizes := []size{{1, 1, 1}, {5, 300, 7}, {49, 98, 64}, {13, 600, 33}, {3, 7, 1100}}
	for m := 1; m <= 25; m++ {
		sizes = append(sizes, size{m, 3, 32})
	}
	for n := 1; n <= 65; n++ {
		sizes = append(sizes, size{3, 5, n})
	}
	levels(t, func(t *testing.T) {
		for _, s := range sizes {
			for flags := range 8 {
				a := Matrix{random(r, s.m*s.k), s.m, s.k, flags&1 != 0}
				b := Matrix{random(r, s.k*s.n), s.k, s.n, flags&2 != 0}
				add := flags&4 != 0
				c := random(r, s.m*s.n)
				want := reference(c, a, b, add)
				Mul(c, a, b, add)
				for i, x := range c {
					// k products of about 1, each rounded.
					if math.Abs(float64(x)-want[i]) > 1e-6*float64(s.k+10) {
						t.Fatalf("%+v, transposed %v %v, add %v: c[%d] = %v, want %v", s, a.T, b.T, add, i, x, want[i])
					}
				}
			}
		}
	})
}

func reference(c []float32, a, b Matrix, add bool) []float64 {
	want := make([]float64, len(c))
	ra, ca := a.strides()
	rb, cb := b.strides()
	for i := range a.Rows {
		for j := range b.Cols {
			var s float64
			if add {
				s = float64(c[i*b.Cols+j])
			}
			for p := range a.Cols {
				s += float64(a.X[i*ra+p*ca]) * float64(b.X[p*rb+j*cb])
			}
			want[i*b.Cols+j] = s
		}
	}
	return want
}

// TestRows: a row of C does not depend on how many others there are.
func TestRows(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	const m, k, n = 40, 70, 50
	a, b := random(r, m*k), Matrix{X: random(r, k*n), Rows: k, Cols: n}
	levels(t, func(t *testing.T) {
		all := make([]float32, m*n)
		Mul(all, Matrix{X: a, Rows: m, Cols: k}, b, false)
		for rows := 1; rows < m; rows++ {
			some := make([]float32, rows*n)
			Mul(some, Matrix{X: a[:rows*k], Rows: rows, Cols: k}, b, false)
			for i, x := range some {
				if x != all[i] {
					t.Fatalf("c[%d] = %v of %d rows, %v of %d", i, x, rows, all[i], m)
				}
			}
		}
	})
}

func TestEmpty(t *testing.T) {
	c := []float32{1, 2}
	Mul(c, Matrix{Rows: 2}, Matrix{Cols: 1}, true)
	if c[0] != 1 {
		t.Error("adding an empty product changes C")
	}
	Mul(c, Matrix{Rows: 2}, Matrix{Cols: 1}, false)
	if c[0] != 0 {
		t.Error("an empty product is not zero")
	}
}

func BenchmarkMul(b *testing.B) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, s := range []struct {
		name    string
		m, k, n int
		at, bt  bool
	}{
		{"channel", 784, 128, 256, false, false},
		{"channel out", 784, 256, 128, false, false},
		{"channel dx", 784, 256, 128, false, true},
		{"channel dw", 128, 784, 256, true, false},
		{"token", 98, 49, 2048, false, false},
		{"token out", 49, 98, 2048, false, false},
		{"token dw", 98, 2048, 49, false, true},
		{"token dx", 49, 98, 2048, true, false},
	} {
		x := Matrix{random(r, s.m*s.k), s.m, s.k, s.at}
		y := Matrix{random(r, s.k*s.n), s.k, s.n, s.bt}
		c := make([]float32, s.m*s.n)
		for _, level := range kern.Levels() {
			b.Run(fmt.Sprintf("%s/%s", s.name, level), func(b *testing.B) {
				defer kern.SetLevel(kern.Level())
				if err := kern.SetLevel(level); err != nil {
					b.Fatal(err)
				}
				for b.Loop() {
					Mul(c, x, y, false)
				}
				b.ReportMetric(2*float64(s.m*s.k*s.n)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			})
		}
	}
}
