package softmax_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/assay-lab/assay/internal/kern/kerntest"
	"github.com/assay-lab/assay/internal/rng"
	"github.com/assay-lab/assay/softmax"
)

var algorithms = []softmax.Algorithm{softmax.Auto, softmax.TwoPass, softmax.ThreePassReload, softmax.ThreePassRecompute, softmax.Online}

func normal[T softmax.Float](n int, mean, sd float64, seed uint64) []T {
	x := make([]T, n)
	r := rng.Stream(seed)
	for i := range x {
		x[i] = T(mean + sd*r.NormFloat64())
	}
	return x
}

// exact is softmax and log-sum-exp, in float64.
func exact[T softmax.Float](x []T) (y []float64, lse float64) {
	y = make([]float64, len(x))
	top := math.Inf(-1)
	for _, v := range x {
		if v != v || math.IsInf(float64(v), 1) {
			top = math.NaN()
			break
		}
		top = max(top, float64(v))
	}
	var s, lost float64 // Kahan's sum
	for i, v := range x {
		if y[i] = expDiff(float64(v), top); y[i] != y[i] {
			for j := range y {
				y[j] = math.NaN()
			}
			return y, math.NaN()
		}
		t := y[i] - lost
		next := s + t
		s, lost = next, (next-s)-t
	}
	for i := range y {
		y[i] /= s
	}
	return y, top + math.Log(s)
}

// expDiff is e^(x−top), also where the difference rounds.
func expDiff(x, top float64) float64 {
	d := x - top
	bb := d - x
	lost := (x - (d - bb)) - (top + bb) // Knuth's two-sum
	if math.IsInf(d, 0) || d != d {
		lost = 0
	}
	return math.Exp(d) * (1 + lost)
}

// limits are the relative error that is allowed and the smallest number.
func limits[T softmax.Float]() (relative, least float64) {
	var x T
	if _, ok := any(x).(float32); ok {
		return 1e-6, math.SmallestNonzeroFloat32 // the card allows 2e-6
	}
	return 4e-15, math.SmallestNonzeroFloat64
}

func compare[T softmax.Float](got []T, want []float64) error {
	relative, least := limits[T]()
	for i, w := range want {
		g := float64(got[i])
		if math.IsNaN(w) != math.IsNaN(g) || math.Abs(g-w) > relative*math.Abs(w)+1.5*least {
			return fmt.Errorf("element %d of %d: %g, want %g", i, len(want), g, w)
		}
	}
	return nil
}

func TestRows(t *testing.T) {
	t.Run("float32", testRows[float32])
	t.Run("float64", testRows[float64])
}

func testRows[T softmax.Float](t *testing.T) {
	kerntest.Levels(t, func(t *testing.T) {
		for _, cols := range []int{1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 64, 127, 129, 1000, 4095, 4096, 4097, 9001} {
			const rows = 4
			var x []T
			for r := range rows {
				x = append(x, normal[T](cols, []float64{0, 1000, -5000, 9000}[r], []float64{1, 30, 0.01, 50}[r], uint64(cols+r))...)
			}
			for _, a := range algorithms {
				dst := make([]T, len(x))
				if err := softmax.Rows(dst, x, cols, softmax.Options{Algorithm: a}); err != nil {
					t.Fatal(err)
				}
				logs, lse := make([]T, len(x)), make([]T, rows)
				if err := softmax.LogRows(logs, x, cols, softmax.Options{}); err != nil {
					t.Fatal(err)
				}
				if err := softmax.LogSumExpRows(lse, x, cols, softmax.Options{}); err != nil {
					t.Fatal(err)
				}
				for r := range rows {
					lo, hi := r*cols, (r+1)*cols
					want, wantLSE := exact(x[lo:hi])
					if err := compare(dst[lo:hi], want); err != nil {
						t.Fatalf("%v of row %d: %v", a, r, err)
					}
					if err := compare(lse[r:r+1], []float64{wantLSE}); err != nil {
						t.Fatalf("log-sum-exp of row %d: %v", r, err)
					}
					for i, v := range x[lo:hi] {
						relative, _ := limits[T]() // of x − top, which is subtracted from
						if w := float64(v) - wantLSE; math.Abs(float64(logs[lo+i])-w) > relative*max(1, math.Abs(w))+0x1p-52*math.Abs(wantLSE) {
							t.Fatalf("log-softmax of row %d, element %d of %d: %v, want %g", r, i, cols, logs[lo+i], w)
						}
					}
				}
				inPlace := slices.Clone(x)
				if err := softmax.Rows(inPlace, inPlace, cols, softmax.Options{Algorithm: a}); err != nil || !slices.Equal(inPlace, dst) {
					t.Fatalf("%v in place differs: %v", a, err)
				}
			}
		}
	})
}

// adversarial rows: equal huge numbers, masks, NaN, infinities, results too small
// for normal numbers, numbers so large that they have no fraction.
func adversarial[T softmax.Float]() map[string][]T {
	inf := T(math.Inf(1))
	nan, big := T(math.NaN()), T(math.MaxFloat32)
	rows := map[string][]T{
		"all equal huge":          {3e38, 3e38, 3e38, 3e38, 3e38},
		"all equal lowest":        {-big, -big, -big},
		"one huge, the rest zero": {1e30, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"denormal results":        {0, -87.5, -90, -95, -100, -102, -103, -104, -110},
		"masked":                  {1, -inf, 2, -inf, 3},
		"all masked":              {-inf, -inf, -inf},
		"one, masked":             {-inf},
		"masked with the lowest":  {1, -big, 2, -1e30, 3},
		"NaN":                     {1, nan, 3},
		"NaN among masks":         {-inf, nan, -inf},
		"NaN among huge":          {1e30, nan, 1e30},
		"+Inf":                    {1, inf, 3},
		"+Inf and -Inf":           {-inf, inf},
		"adjacent at 1e8":         {100000000, 99999992, 99999984},
		"adjacent at -1e7":        {-10000000, -9999999, -9999997},
		"adjacent at 2^24":        {16777216, 16777215, 16777214, 16777212},
		"at the kernels' limit":   {726817, 726816.9, 726816, 726817.5, 726810},
		"beyond below":            {-726817, -726816, -726815.5},
		"largest and lowest":      {big, -big, 0},
		"single":                  {-12345.678},
		"signed zeros":            {0, T(math.Copysign(0, -1))},
	}
	for _, n := range []int{4097, 9000} { // blocks of nothing but masks, and a NaN that the maximum does not see
		masks := make([]T, n)
		for i := range masks {
			masks[i] = -inf
		}
		masks[n-1] = 7
		rows[fmt.Sprint("blocks of masks, ", n)] = masks
		late := slices.Clone(masks)
		late[n/2] = nan
		rows[fmt.Sprint("NaN in a block of masks, ", n)] = late
	}
	return rows
}

func TestAdversarialRows(t *testing.T) {
	t.Run("float32", testAdversarialRows[float32])
	t.Run("float64", testAdversarialRows[float64])
}

func testAdversarialRows[T softmax.Float](t *testing.T) {
	kerntest.Levels(t, func(t *testing.T) {
		for name, x := range adversarial[T]() {
			want, _ := exact(x)
			for _, a := range algorithms {
				dst := make([]T, len(x))
				if err := softmax.Rows(dst, x, len(x), softmax.Options{Algorithm: a}); err != nil {
					t.Fatal(err)
				}
				if err := compare(dst, want); err != nil {
					t.Errorf("%s, %v: %v", name, a, err)
				}
			}
			logs := make([]T, len(x))
			if err := softmax.LogRows(logs, x, len(x), softmax.Options{}); err != nil {
				t.Fatal(err)
			}
			for i, l := range logs {
				if w := math.Exp(float64(l)); math.Abs(w-want[i]) > 1e-5 || math.IsNaN(w) != math.IsNaN(want[i]) {
					t.Errorf("%s: log-softmax is %v, e^ of it should be %g", name, l, want[i])
				}
			}
		}
	})
}

func TestLogSumExp(t *testing.T) {
	inf := math.Inf(1)
	kerntest.Levels(t, func(t *testing.T) {
		for _, tt := range []struct {
			name string
			x    []float64
			want float64
		}{
			{"nothing", nil, -inf},
			{"masks", []float64{-inf, -inf}, -inf},
			{"+Inf", []float64{1, inf, 2}, inf},
			{"both infinities", []float64{-inf, inf}, inf},
			{"NaN", []float64{1, math.NaN(), inf}, math.NaN()},
			{"two equal", []float64{5, 5}, 5 + math.Ln2},
			{"huge", []float64{1e300, 1e300}, 1e300},
			{"1e8", []float64{1e8, 1e8 - 1}, 1e8 + math.Log1p(math.Exp(-1))},
			{"-1e8", []float64{-1e8, -1e8 - 1}, -1e8 + math.Log1p(math.Exp(-1))},
		} {
			got := softmax.LogSumExp(tt.x)
			if !(math.Abs(got-tt.want) <= 1e-15*math.Abs(tt.want)) && got != tt.want && !(math.IsNaN(got) && math.IsNaN(tt.want)) {
				t.Errorf("%s: %g, want %g", tt.name, got, tt.want)
			}
			for cut := range tt.x {
				if got := softmax.SumExp(tt.x[:cut]).Add(softmax.SumExp(tt.x[cut:])).Log(); !(math.Abs(got-tt.want) <= 2e-15*math.Abs(tt.want)) && got != tt.want && !(math.IsNaN(got) && math.IsNaN(tt.want)) {
					t.Errorf("%s, merged at %d: %g, want %g", tt.name, cut, got, tt.want)
				}
			}
		}
	})
}

// TestThreads: the number of threads changes no bit.
func TestThreads(t *testing.T) {
	const n = 3*64*4096 + 777
	x := normal[float32](n, 0, 10, 1)
	huge := normal[float32](n, 0, 1e7, 2)
	for _, rows := range [][]float32{x, huge} {
		for _, cols := range []int{n, n / 7 / 3} {
			rows := rows[:n/cols*cols]
			for _, a := range algorithms {
				var one []float32
				for _, threads := range []int{1, 2, 3, 8} {
					dst := make([]float32, len(rows))
					if err := softmax.Rows(dst, rows, cols, softmax.Options{Algorithm: a, Threads: threads}); err != nil {
						t.Fatal(err)
					}
					if one == nil {
						one = dst
					} else if !slices.Equal(dst, one) {
						t.Errorf("%v of rows of %d: %d threads give other bits than 1", a, cols, threads)
					}
				}
			}
		}
	}
	logs := make([]float32, n)
	var one []float32
	for _, threads := range []int{1, 4} {
		if err := softmax.LogRows(logs, x, n, softmax.Options{Threads: threads}); err != nil {
			t.Fatal(err)
		}
		if one == nil {
			one = slices.Clone(logs)
		} else if !slices.Equal(logs, one) {
			t.Errorf("log-softmax: %d threads give other bits than 1", threads)
		}
	}
}

// TestLong: the error does not grow with the length, nor with a constant added.
func TestLong(t *testing.T) {
	const n = 1 << 19
	x := normal[float32](n, 0, 10, 3)
	for _, add := range []float32{0, 1e4} {
		for i := range x {
			x[i] += add
		}
		want, _ := exact(x)
		for _, a := range algorithms {
			dst := make([]float32, n)
			if err := softmax.Rows(dst, x, n, softmax.Options{Algorithm: a}); err != nil {
				t.Fatal(err)
			}
			if err := compare(dst, want); err != nil {
				t.Errorf("%v, %g added: %v", a, add, err)
			}
		}
	}
}

func TestTemperature(t *testing.T) {
	kerntest.Levels(t, func(t *testing.T) {
		for _, temperature := range []float64{0.25, 1, 3, 1e-30} {
			x := append(normal[float32](5000, 3, 2, 4), 3e38, 3e38, float32(math.Inf(-1)))
			if temperature > 1e-3 {
				x = x[:5000]
			}
			scaled := make([]float64, len(x))
			for i, v := range x {
				if scaled[i] = float64(float32(v) * float32(1/temperature)); temperature < 1e-3 {
					scaled[i] = (float64(v) - 3e38) * 1e30
				}
			}
			want, _ := exact(scaled)
			for _, a := range algorithms {
				dst := make([]float32, len(x))
				if err := softmax.Rows(dst, x, len(x), softmax.Options{Algorithm: a, Temperature: temperature}); err != nil {
					t.Fatal(err)
				}
				for i := range want {
					if math.Abs(float64(dst[i])-want[i]) > 1e-6*want[i]+2e-45 {
						t.Fatalf("%v at temperature %g: element %d is %g, want %g", a, temperature, i, dst[i], want[i])
					}
				}
				logs := make([]float32, len(x))
				if err := softmax.LogRows(logs, x, len(x), softmax.Options{Temperature: temperature}); err != nil {
					t.Fatal(err)
				}
				for i := range want {
					if got := math.Exp(float64(logs[i])); math.Abs(got-want[i]) > 1e-5 {
						t.Fatalf("log-softmax at temperature %g: element %d is %g, want e^ to be %g", temperature, i, logs[i], want[i])
					}
				}
			}
		}
	})
}

// TestGradients compares with differences.
func TestGradients(t *testing.T) {
	const cols, rows, h = 37, 3, 1e-6
	x, dy := normal[float64](rows*cols, 0, 2, 5), normal[float64](rows*cols, 0, 1, 6)
	for _, tt := range []struct {
		name    string
		forward func(dst, x []float64, cols int, o softmax.Options) error
		back    func(dx, y, dy []float64, cols int) error
	}{{"softmax", softmax.Rows[float64], softmax.Backward[float64]}, {"log-softmax", softmax.LogRows[float64], softmax.LogBackward[float64]}} {
		loss := func(x []float64) (s float64) {
			y := make([]float64, len(x))
			if err := tt.forward(y, x, cols, softmax.Options{}); err != nil {
				t.Fatal(err)
			}
			for i := range y {
				s += y[i] * dy[i]
			}
			return s
		}
		y, dx := make([]float64, len(x)), make([]float64, len(x))
		if err := tt.forward(y, x, cols, softmax.Options{}); err != nil {
			t.Fatal(err)
		}
		if err := tt.back(dx, y, dy, cols); err != nil {
			t.Fatal(err)
		}
		for i := range x {
			up, down := slices.Clone(x), slices.Clone(x)
			up[i], down[i] = x[i]+h, x[i]-h
			if d := (loss(up) - loss(down)) / (2 * h); math.Abs(d-dx[i]) > 1e-7*(1+math.Abs(d)) {
				t.Fatalf("%s: derivative %d is %g, by differences %g", tt.name, i, dx[i], d)
			}
		}
		for _, alias := range [][]float64{slices.Clone(y), slices.Clone(dy)} {
			a, b := y, dy
			if slices.Equal(alias, y) {
				a = alias
			} else {
				b = alias
			}
			if err := tt.back(alias, a, b, cols); err != nil || !slices.Equal(alias, dx) {
				t.Errorf("%s: in place differs (%v)", tt.name, err)
			}
		}
	}
}

func TestErrors(t *testing.T) {
	x := make([]float32, 12)
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"unequal lengths", softmax.Rows(x[:11], x, 4, softmax.Options{}), "dst and x are 11 and 12: must be equal"},
		{"rows of 5", softmax.Rows(x, x, 5, softmax.Options{}), "12 numbers in rows of 5"},
		{"rows of 0", softmax.Rows(x, x, 0, softmax.Options{}), "12 numbers in rows of 0"},
		{"rows of -1", softmax.LogRows(x, x, -1, softmax.Options{}), "12 numbers in rows of -1"},
		{"negative temperature", softmax.Rows(x, x, 4, softmax.Options{Temperature: -1}), "temperature -1: must be positive"},
		{"temperature NaN", softmax.Rows(x, x, 4, softmax.Options{Temperature: math.NaN()}), "temperature NaN"},
		{"infinite temperature", softmax.LogRows(x, x, 4, softmax.Options{Temperature: math.Inf(1)}), "temperature +Inf"},
		{"temperature too small for float32", softmax.Rows(x, x, 4, softmax.Options{Temperature: 1e-40}), "finite float32"},
		{"unknown algorithm", softmax.Rows(x, x, 4, softmax.Options{Algorithm: 9}), "algorithm 9 is unknown"},
		{"negative threads", softmax.Rows(x, x, 4, softmax.Options{Threads: -2}), "-2 threads"},
		{"too few results", softmax.LogSumExpRows(x[:2], x, 4, softmax.Options{}), "dst has 2 numbers: x has 3 rows"},
		{"gradient of another length", softmax.Backward(x, x, x[:11], 4), "dx, y and dy are 12, 12 and 11"},
		{"gradient in rows of 7", softmax.LogBackward(x, x, x, 7), "rows of 7"},
	} {
		if tt.err == nil || !strings.Contains(tt.err.Error(), tt.want) || !strings.HasPrefix(tt.err.Error(), "softmax: ") {
			t.Errorf("%s: error %v, want it to say %q", tt.name, tt.err, tt.want)
		}
	}
	for name, err := range map[string]error{
		"no numbers":         softmax.Rows[float32](nil, nil, 0, softmax.Options{}),
		"no log-sum-exps":    softmax.LogSumExpRows[float32](nil, nil, 3, softmax.Options{}),
		"no gradient":        softmax.Backward[float64](nil, nil, nil, 0),
		"no log-numbers":     softmax.LogRows[float64](nil, nil, 0, softmax.Options{}),
		"no log-gradient":    softmax.LogBackward[float64](nil, nil, nil, 0),
		"a temperature of 0": softmax.Rows(x, x, 4, softmax.Options{Temperature: 0}),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNoGarbage: a row in the cache costs no allocation.
func TestNoGarbage(t *testing.T) {
	x := normal[float32](8*1000, 0, 1, 1)
	for _, a := range algorithms {
		if n := testing.AllocsPerRun(10, func() {
			if err := softmax.Rows(x, x, 1000, softmax.Options{Algorithm: a}); err != nil {
				t.Fatal(err)
			}
		}); n > 0 {
			t.Errorf("%v: %g allocations for 8 rows", a, n)
		}
	}
}

func FuzzRows(f *testing.F) {
	f.Add([]byte{0, 0, 128, 63, 0, 0, 128, 255}, uint8(1), uint8(0), 1.0)
	f.Add([]byte{255, 255, 127, 127, 255, 255, 127, 255}, uint8(2), uint8(1), 0.5)
	f.Fuzz(func(t *testing.T, b []byte, cols, algorithm uint8, temperature float64) {
		x := make([]float32, len(b)/4)
		for i := range x {
			x[i] = math.Float32frombits(uint32(b[4*i]) | uint32(b[4*i+1])<<8 | uint32(b[4*i+2])<<16 | uint32(b[4*i+3])<<24)
		}
		dst := make([]float32, len(x))
		if softmax.Rows(dst, x, int(cols), softmax.Options{Algorithm: softmax.Algorithm(algorithm), Temperature: temperature}) != nil {
			return
		}
		for r := 0; r < len(x); r += int(cols) {
			var sum float64
			for _, y := range dst[r : r+int(cols)] {
				sum += float64(y)
			}
			if !math.IsNaN(sum) && math.Abs(sum-1) > 1e-5 {
				t.Errorf("softmax of %v at temperature %g adds up to %g", x[r:r+int(cols)], temperature, sum)
			}
		}
	})
}
