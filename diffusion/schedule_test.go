package diffusion_test

import (
	"math"
	"testing"

	"github.com/assay-lab/assay/diffusion"
)

func discrete(t *testing.T, betas []float64) *diffusion.Discrete {
	t.Helper()
	d, err := diffusion.NewDiscrete(betas)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestSchedules checks what every schedule promises: λ falls with t, Time is its
// inverse, and λ is log(α/σ).
func TestSchedules(t *testing.T) {
	for name, s := range map[string]diffusion.Schedule{
		"vp-linear":       diffusion.VPLinear{},
		"cosine":          diffusion.Cosine{},
		"cosine-raw":      diffusion.CosineRaw{},
		"edm":             diffusion.EDM{},
		"ddpm":            discrete(t, diffusion.LinearBetas(1e-4, .02, 1000)),
		"scaled linear":   discrete(t, diffusion.QuadBetas(.00085, .012, 1000)),
		"cosine discrete": discrete(t, diffusion.CosineBetas(1000)),
	} {
		lo, hi := s.Range()
		last := math.Inf(1)
		for i := range 201 {
			u := lo + (hi-lo)*float64(i)/200
			at := s.At(u)
			if !(at.Lambda < last) {
				t.Fatalf("%s: λ(%g) = %g does not fall", name, u, at.Lambda)
			}
			last = at.Lambda
			if d := math.Abs(at.Lambda - math.Log(at.Alpha/at.Sigma)); d > 1e-11 {
				t.Errorf("%s: λ(%g) is off log(α/σ) by %g", name, u, d)
			}
			if back := s.Time(at.Lambda); math.Abs(back-u) > 1e-10*(1+u) {
				t.Errorf("%s: the time of λ(%g) is %g", name, u, back)
			}
		}
	}
}

func TestBetas(t *testing.T) {
	d := discrete(t, diffusion.LinearBetas(1e-4, .02, 1000))
	// ᾱ of DDPM's table, computed from the product itself
	prod := 1.0
	for i, b := range diffusion.LinearBetas(1e-4, .02, 1000) {
		prod *= 1 - b
		at := d.At(d.TimeOf(float64(i)))
		if math.Abs(at.Alpha*at.Alpha/prod-1) > 1e-12 {
			t.Fatalf("ᾱ[%d] = %v, want %v", i, at.Alpha*at.Alpha, prod)
		}
		if got := d.Index(d.TimeOf(float64(i))); math.Abs(got-float64(i)) > 1e-9 {
			t.Fatalf("index of knot %d is %v", i, got)
		}
	}
	for _, bad := range [][]float64{nil, {.1}, {.1, 0}, {.1, 1}, {.1, math.NaN()}} {
		if _, err := diffusion.NewDiscrete(bad); err == nil {
			t.Errorf("betas %v are accepted", bad)
		}
	}
	// The noisy end of a cosine table is cut off, the labels of the rest stay.
	c := discrete(t, diffusion.CosineBetas(1000))
	if _, hi := c.Range(); math.Abs(hi-.996) > 1e-12 || c.Len() != 1000 {
		t.Errorf("the cosine table ends at t = %v of %d steps, want 0.996 of 1000", hi, c.Len())
	}
}

func TestSpacings(t *testing.T) {
	g := diffusion.Grid{Schedule: diffusion.EDM{}}
	for _, name := range diffusion.SpacingNames() {
		var err error
		if g.Spacing, err = diffusion.ParseSpacing(name); err != nil {
			t.Fatal(err)
		}
		ls, err := g.Levels(18)
		if err != nil {
			t.Fatal(err)
		}
		if len(ls) != 19 || ls[0].T != 80 || ls[18].T != .002 {
			t.Errorf("%s: %d levels from %g to %g, want 19 from 80 to 0.002", name, len(ls), ls[0].T, ls[len(ls)-1].T)
		}
	}
	// Karras et al. 2022, eq. 5, at i = 9 of 18
	g.Spacing = diffusion.Karras
	ls, _ := g.Levels(18)
	want := math.Pow((math.Pow(80, 1./7)+math.Pow(.002, 1./7))/2, 7)
	if math.Abs(ls[9].Sigma/want-1) > 1e-12 {
		t.Errorf("the middle of the Karras grid is σ = %v, want %v", ls[9].Sigma, want)
	}
	if _, err := diffusion.ParseSpacing("lambda"); err == nil {
		t.Error("an unknown spacing is accepted")
	}
}
