package special

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/assay-lab/assay/internal/kern/kerntest"
)

var batches = []struct {
	name string
	fn   func(dst, v, x []float64) ([]float64, error)
	one  func(v, x float64) float64
	log  bool
}{
	{"LogIs", LogIs, LogI, true}, {"LogKs", LogKs, LogK, true}, {"RatioIs", RatioIs, RatioI, false},
	{"RatioKs", RatioKs, RatioK, false}, {"DLogIs", DLogIs, DLogI, false}, {"DLogKs", DLogKs, DLogK, false},
}

// TestBatch: slices have the values of numbers, at every level, for all lengths
// and regions.
func TestBatch(t *testing.T) {
	wide := append(points(12000, -2.3, 5, -4.3, 6), points(4000, -1, 2.5, -1, 3)...)
	wide = append(wide, points(2000, -12, 2, -110, 1)...)
	for _, c := range corners() {
		for _, d := range []float64{1 - 1e-15, 1, 1 + 1e-15} {
			wide = append(wide, [2]float64{c[0] * d, c[1] * d}, [2]float64{c[0], c[1] * d})
		}
	}
	for _, v := range []float64{0, -1, -2.5, nan, inf, -inf, 1e-310, 5, 1e101, 1e308} {
		for _, x := range []float64{0, -1, nan, inf, 1e-310, 1e-100, 1e-99, 3, 1e101, 1e308} {
			wide = append(wide, [2]float64{v, x})
		}
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(wide), func(i, j int) { wide[i], wide[j] = wide[j], wide[i] })
	var v, x []float64
	want := make([][]float64, len(batches))
	for _, p := range wide {
		v, x = append(v, p[0]), append(x, p[1])
		for i, f := range batches {
			want[i] = append(want[i], f.one(p[0], p[1]))
		}
	}
	kerntest.Levels(t, func(t *testing.T) {
		for i, f := range batches {
			want := want[i]
			bad := 0
			check := func(what string, got, v, x, want []float64) {
				t.Helper()
				for j := range want {
					scale := math.Abs(want[j])
					if f.log {
						scale = max(scale, math.Hypot(v[j], x[j]))
					}
					// Each has its own error; Temme's series near K = 1 has the most.
					if !same(got[j], want[j]) && !(math.Abs(got[j]-want[j]) <= 4e-15*scale) && bad < 10 {
						bad++
						t.Errorf("%s, %s: (%v, %v) gives %v, want %v, %.2g apart", f.name, what, v[j], x[j], got[j], want[j], math.Abs(got[j]-want[j])/scale)
					}
				}
			}
			got, err := f.fn(nil, v, x)
			if err != nil {
				t.Fatal(err)
			}
			check("all", got, v, x, want)
			for n := range 131 {
				at := n * 7
				got, err := f.fn(make([]float64, n), v[at:at+n], x[at:at+n])
				if err != nil {
					t.Fatal(err)
				}
				check("short", got, v[at:], x[at:], want[at:at+n])
			}
			inPlace := slices.Clone(x)
			f.fn(inPlace, v, inPlace)
			check("in place of x", inPlace, v, x, want)
			inPlace = slices.Clone(v)
			f.fn(inPlace, inPlace, x)
			check("in place of v", inPlace, v, x, want)
		}
	})
}

// TestBatchOneRegion takes the way without packing.
func TestBatchOneRegion(t *testing.T) {
	kerntest.Levels(t, func(t *testing.T) {
		for _, p := range [][2]float64{{1000, 3}, {100, 3}, {30, 3}, {21, 3}, {2, 1e4}, {2, 100}, {2, 0.01}, {2, 0.5}, {0.1, 5}, {2, 20}} {
			x := make([]float64, 77)
			for j := range x {
				x[j] = p[1] * (1 + float64(j)*1e-3)
			}
			i, err := LogIs(nil, p[:1], x)
			if err != nil {
				t.Fatal(err)
			}
			k, err := LogKs(nil, p[:1], x)
			if err != nil {
				t.Fatal(err)
			}
			for j, xj := range x {
				limit := 2e-15 * max(math.Abs(LogI(p[0], xj)), math.Abs(LogK(p[0], xj)), math.Hypot(p[0], xj))
				if math.Abs(i[j]-LogI(p[0], xj)) > limit || math.Abs(k[j]-LogK(p[0], xj)) > limit {
					t.Fatalf("(%g, %g): %v and %v, want %v and %v", p[0], xj, i[j], k[j], LogI(p[0], xj), LogK(p[0], xj))
				}
			}
		}
	})
}

func TestBatchLengths(t *testing.T) {
	three, two := []float64{1, 2, 3}, []float64{1, 2}
	for _, tt := range []struct {
		name      string
		dst, v, x []float64
		want      int    // values
		err       string // part of the error
	}{
		{"equal lengths", nil, three, three, 3, ""},
		{"one order", nil, three[:1], three, 3, ""},
		{"one argument", nil, three, three[:1], 3, ""},
		{"nothing", nil, nil, nil, 0, ""},
		{"one order for nothing", nil, three[:1], nil, 0, ""},
		{"two for three", nil, two, three, 0, "2 orders v for 3 arguments"},
		{"two for none", nil, two, nil, 0, "2 orders v for 0 arguments"},
		{"short room", make([]float64, 2), three, three, 0, "room for 2 of 3"},
	} {
		for _, f := range []func(dst, v, x []float64) ([]float64, error){LogIs, LogKs, RatioIs, RatioKs, DLogIs, DLogKs} {
			got, err := f(tt.dst, tt.v, tt.x)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("%s: %v", tt.name, err)
				}
			} else if err != nil || len(got) != tt.want {
				t.Errorf("%s: %v, %v", tt.name, got, err)
			}
		}
	}
	if r, err := RatioKs(nil, three[:1], three); err != nil || r[2] != RatioK(1, 3) {
		t.Errorf("ratios: %v, %v", r, err)
	}
}
