package kern_test

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"testing"

	"github.com/assay-lab/assay/internal/kern"
	"github.com/assay-lab/assay/internal/kern/kerntest"
)

// numbers are n values between −1 and 1 that differ from seed to seed.
func numbers[T kern.Float](n, seed int) []T {
	x := make([]T, n)
	for i := range x {
		x[i] = T(math.Sin(float64(i*i+7*seed) + 0.3))
	}
	return x
}

func eps[T kern.Float]() float64 {
	var x T
	if _, ok := any(x).(float32); ok {
		return 0x1p-24
	}
	return 0x1p-53
}

// near compares with sums of terms of size 1, each rounded once or twice.
func near[T kern.Float](got, want []T, terms int) error {
	for i := range want {
		if d := math.Abs(float64(got[i] - want[i])); !(d <= 2*float64(terms+1)*eps[T]()) {
			return fmt.Errorf("element %d of %d: %v, want %v", i, len(want), got[i], want[i])
		}
	}
	return nil
}

func TestComb(t *testing.T) {
	t.Run("float32", testComb[float32])
	t.Run("float64", testComb[float64])
}

// testComb: every number of terms, and of elements, at every alignment, between
// guard pages, into fresh storage and into an operand.
func testComb[T kern.Float](t *testing.T) {
	const most = 18
	in := make([]kerntest.Place[T], most)
	for j := range in {
		in[j] = kerntest.NewPlace[T](t, kerntest.MaxLen)
	}
	out := kerntest.NewPlace[T](t, kerntest.MaxLen)
	kerntest.Levels(t, func(t *testing.T) {
		for terms := range most + 1 {
			c := numbers[T](terms, 99)
			for n := range kerntest.MaxLen + 1 {
				x, want := make([][]T, terms), make([]T, n)
				place := func(at int) {
					for j := range x {
						if x[j] = in[j].High(n); at >= 0 {
							x[j] = in[j].At((at+j)%in[j].Offsets(), n)
						}
						copy(x[j], numbers[T](n, j))
					}
				}
				place(-1)
				for i := range want {
					var s float64
					for j := range x {
						s += float64(c[j]) * float64(x[j][i])
					}
					want[i] = T(s)
				}
				dst := out.High(n)
				kern.Comb(dst, c, x)
				if err := near(dst, want, terms); err != nil {
					t.Fatalf("%d terms: %v", terms, err)
				}
				place(n % 16)
				for j := range x {
					place(n % 16)
					if kern.Comb(x[j], c, x); !slices.Equal(x[j], dst) {
						t.Fatalf("%d terms of %d numbers into operand %d: %v, want %v", terms, n, j, x[j], dst)
					}
				}
			}
		}
	})
}

// TestCombLevels: the levels with assembly round alike.
func TestCombLevels(t *testing.T) {
	x := [][]float64{numbers[float64](1000, 1), numbers[float64](1000, 2), numbers[float64](1000, 3)}
	c := []float64{1.0 / 3, -0.7, 0.1}
	var first []float64
	kerntest.Levels(t, func(t *testing.T) {
		dst := make([]float64, 1000)
		kern.Comb(dst, c, x)
		switch {
		case kern.Level() == "generic":
		case first == nil:
			first = dst
		case !slices.Equal(dst, first):
			t.Errorf("differs from level %s", kern.Levels()[0])
		}
	})
}

func TestCombLong(t *testing.T) {
	const n = 100003
	kerntest.Levels(t, func(t *testing.T) {
		for _, terms := range []int{2, 11} {
			x := make([][]float64, terms)
			for j := range x {
				x[j] = numbers[float64](n, j)
			}
			c, dst, want := numbers[float64](terms, 9), make([]float64, n), make([]float64, n)
			kern.Comb(dst, c, x)
			for j := range x {
				kern.Axpy(want, c[j], x[j])
			}
			if err := near(dst, want, terms); err != nil {
				t.Errorf("%d terms: %v", terms, err)
			}
		}
	})
}

// TestCombShared: several goroutines give the bits of one.
func TestCombShared(t *testing.T) {
	const n = 1<<20 + 77
	x := [][]float64{numbers[float64](n, 1), numbers[float64](n, 2)}
	c := []float64{0.3, -0.7}
	kerntest.Levels(t, func(t *testing.T) {
		many, one := make([]float64, n), make([]float64, n)
		before := runtime.GOMAXPROCS(3)
		kern.Comb(many, c, x)
		runtime.GOMAXPROCS(1)
		kern.Comb(one, c, x)
		runtime.GOMAXPROCS(before)
		if !slices.Equal(many, one) {
			t.Error("they differ")
		}
	})
}

// TestCombVarying checks coefficients that differ by row and by column.
func TestCombVarying(t *testing.T) {
	t.Run("float32", testCombVarying[float32])
	t.Run("float64", testCombVarying[float64])
}

func testCombVarying[T kern.Float](t *testing.T) {
	const rows, most = 3, 10
	in, coef := make([]kerntest.Place[T], most), make([]kerntest.Place[T], most)
	for j := range in {
		in[j], coef[j] = kerntest.NewPlace[T](t, rows*kerntest.MaxLen), kerntest.NewPlace[T](t, kerntest.MaxLen)
	}
	out := kerntest.NewPlace[T](t, rows*kerntest.MaxLen)
	kerntest.Levels(t, func(t *testing.T) {
		for terms := range most + 1 {
			for cols := range kerntest.MaxLen + 1 {
				n := rows * cols
				x, byRow, byCol := make([][]T, terms), make([][]T, terms), make([][]T, terms)
				wantRow, wantCol := make([]T, n), make([]T, n)
				for j := range x {
					x[j], byCol[j], byRow[j] = in[j].High(n), coef[j].High(cols), numbers[T](rows, 30+j)
					copy(x[j], numbers[T](n, j))
					copy(byCol[j], numbers[T](cols, 20+j))
				}
				for i := range n {
					var r, c float64
					for j := range x {
						r += float64(byRow[j][i/cols]) * float64(x[j][i])
						c += float64(byCol[j][i%cols]) * float64(x[j][i])
					}
					wantRow[i], wantCol[i] = T(r), T(c)
				}
				dst := out.High(n)
				kern.CombRows(dst, byRow, x)
				if err := near(dst, wantRow, terms); err != nil {
					t.Fatalf("%d terms, coefficients by row: %v", terms, err)
				}
				kern.CombCols(dst, byCol, x)
				if err := near(dst, wantCol, terms); err != nil {
					t.Fatalf("%d terms, coefficients by column: %v", terms, err)
				}
				if terms > 0 {
					if kern.CombCols(x[terms-1], byCol, x); !slices.Equal(x[terms-1], dst) {
						t.Fatalf("%d terms of %d columns in place differ", terms, cols)
					}
				}
			}
		}
	})
}

func TestAxpy(t *testing.T) {
	t.Run("float32", testAxpy[float32])
	t.Run("float64", testAxpy[float64])
}

func testAxpy[T kern.Float](t *testing.T) {
	px, py := kerntest.NewPlace[T](t, kerntest.MaxLen), kerntest.NewPlace[T](t, kerntest.MaxLen)
	kerntest.Levels(t, func(t *testing.T) {
		for n := range kerntest.MaxLen + 1 {
			for at := range px.Offsets() {
				x, y := px.At(at, n), py.At((3*at+1)%py.Offsets(), n)
				if at == 0 {
					x, y = px.High(n), py.High(n)
				}
				copy(x, numbers[T](n, 1))
				copy(y, numbers[T](n, 2))
				want := slices.Clone(y)
				for i := range want {
					want[i] += 0.7 * x[i]
				}
				kern.Axpy(y, 0.7, x)
				if err := near(y, want, 1); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

func TestNotFinite(t *testing.T) {
	t.Run("float32", testNotFinite[float32])
	t.Run("float64", testNotFinite[float64])
}

func testNotFinite[T kern.Float](t *testing.T) {
	p := kerntest.NewPlace[T](t, kerntest.MaxLen)
	kerntest.Levels(t, func(t *testing.T) {
		for n := range kerntest.MaxLen + 1 {
			x := p.High(n)
			for i := range x {
				x[i] = T(math.MaxFloat32) * T(1-i%3)
			}
			if i := kern.NotFinite(x); i != -1 {
				t.Fatalf("%d finite numbers: index %d", n, i)
			}
			for i := range x {
				for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
					keep := x[i]
					x[i] = T(bad)
					if got := kern.NotFinite(x); got != i {
						t.Fatalf("%g at %d of %d is found at %d", bad, i, n, got)
					}
					x[i] = keep
				}
			}
		}
		long := make([]T, 3*1<<17)
		long[len(long)-1] = T(math.NaN())
		if got := kern.NotFinite(long); got != len(long)-1 {
			t.Errorf("NaN at the end of many numbers is found at %d", got)
		}
	})
}
