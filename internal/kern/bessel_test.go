package kern_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/assay-lab/assay/internal/kern"
	"github.com/assay-lab/assay/internal/kern/kerntest"
	bessel "github.com/assay-lab/assay/special"
)

// besselBoxes are orders and arguments, from lo on and evenly spread in their
// logarithms, inside one region and over all.
var besselBoxes = []struct {
	name               string
	vLo, vHi, xLo, xHi float64
}{
	{"Debye, 4 terms", 201, 1e5, 1e-4, 1e6}, {"Debye, 6", 71, 199, 1e-4, 100}, {"Debye, 9", 29, 69, 1e-4, 100}, {"Debye, 13", 20, 27, 1e-4, 30},
	{"Hankel, 3", 0.01, 3, 1500, 1e6}, {"Hankel, 20", 0.01, 12, 31, 1300}, {"series, 6", 1e-3, 19, 1e-6, 0.06}, {"series, 11", 1e-3, 19, 0.07, 0.99},
	{"series, 25", 1e-3, 19, 1.1, 7.9}, {"series, 47", 1e-3, 19, 8.1, 29}, {"all", 1e-2, 1e5, 1e-4, 1e6},
}

var besselFns = []struct {
	name string
	fn   kern.BesselFn
	one  func(v, x float64) float64
}{
	{"log I", kern.LogI, bessel.LogI}, {"log K", kern.LogK, bessel.LogK}, {"ratio of I", kern.RatioI, bessel.RatioI},
	{"ratio of K", kern.RatioK, bessel.RatioK}, {"slope of log I", kern.SlopeI, bessel.DLogI}, {"slope of log K", kern.SlopeK, bessel.DLogK},
}

// TestBessel: at all lengths and alignments, between guard pages, kernels give
// what single numbers give, and write nothing else.
func TestBessel(t *testing.T) {
	kerntest.Levels(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(1, 2))
		const most = kerntest.MaxLen + 8
		pv, px, pd := kerntest.NewPlace[float64](t, most), kerntest.NewPlace[float64](t, most), kerntest.NewPlace[float64](t, most)
		for _, box := range besselBoxes {
			for n := range kerntest.MaxLen + 1 {
				v, x, dst := pv.High(n), px.High(n), pd.High(n)
				if n%2 == 0 {
					o := n / 2 % pv.Offsets()
					v, x, dst = pv.At(o, n), px.At((o+3)%8, n), pd.At((o+5)%8, n)
				}
				for i := range n {
					v[i] = box.vLo * math.Pow(box.vHi/box.vLo, random.Float64())
					x[i] = box.xLo * math.Pow(box.xHi/box.xLo, random.Float64())
				}
				if n > 40 && box.name == "all" {
					v[n/2], x[n/3], x[n/4] = math.NaN(), -1, 0
				}
				for _, f := range besselFns {
					one := f.one
					if !kern.Bessel(dst, v, x, f.fn, one) {
						continue
					}
					for i := range n {
						want := one(v[i], x[i])
						if dst[i] == want || dst[i] != dst[i] && want != want {
							continue
						}
						scale := math.Abs(want) // slopes have no zeros
						if f.fn == kern.LogI || f.fn == kern.LogK {
							scale = max(scale, math.Hypot(v[i], x[i]))
						}
						if d := math.Abs(dst[i] - want); !(d <= 4e-15*scale) {
							t.Fatalf("%s, %s, n = %d: (%v, %v) gives %v, want %v", box.name, f.name, n, v[i], x[i], dst[i], want)
						}
					}
				}
			}
		}
	})
}

func BenchmarkBessel(b *testing.B) {
	for _, box := range besselBoxes {
		const n = 4096
		random := rand.New(rand.NewPCG(1, 2))
		v, x, dst := make([]float64, n), make([]float64, n), make([]float64, n)
		for i := range n {
			v[i] = box.vLo * math.Pow(box.vHi/box.vLo, random.Float64())
			x[i] = box.xLo * math.Pow(box.xHi/box.xLo, random.Float64())
		}
		for _, f := range besselFns {
			b.Run(box.name+"/"+f.name, func(b *testing.B) {
				for b.Loop() {
					kern.Bessel(dst, v, x, f.fn, f.one)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/value")
			})
		}
	}
}
