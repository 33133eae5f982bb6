package diffusion_test

import (
	"context"
	"fmt"
	"math"
	"math/cmplx"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/assay-lab/assay/diffusion"
)

func stabilityOf(t testing.TB, m diffusion.Method, logStep float64) *diffusion.Stability {
	t.Helper()
	s, _, err := diffusion.StabilityOf(m, logStep)
	if err != nil {
		t.Fatalf("%+v: %v", m, err)
	}
	return s
}

// largestRoot is the largest absolute value of a polynomial's roots, highest
// coefficient first, by the method of Weierstrass.
func largestRoot(c []complex128) float64 {
	n := len(c) - 1
	roots := make([]complex128, n)
	for i := range roots {
		roots[i] = cmplx.Pow(.4+.9i, complex(float64(i), 0))
	}
	for range 2000 {
		for i := range roots {
			value, others := c[0], complex(1, 0)
			for _, a := range c[1:] {
				value = value*roots[i] + a
			}
			for j := range roots {
				if j != i {
					others *= roots[i] - roots[j]
				}
			}
			roots[i] -= value / (c[0] * others)
		}
	}
	var r float64
	for _, z := range roots {
		r = max(r, cmplx.Abs(z))
	}
	return r
}

// TestStabilityPolynomial: the eigenvalues read off a tape are the roots of the
// method's characteristic polynomial,
//
//	(ζ − 1)(ζ − (1−β))ζ^{k−2} − z·β·Σ c_j·ζ^{k−1−j},
//
// for k = 1 times ζ. Roots 0 more or less change nothing.
func TestStabilityPolynomial(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, kind := range []diffusion.MomentumKind{diffusion.Generalized, diffusion.Polyak} {
		for k := 1; k <= 5; k++ {
			for _, beta := range []float64{1, .8, .5, .1} {
				weights := beta
				if kind == diffusion.Polyak {
					weights = 1
				}
				c, err := diffusion.MomentumWeights(k, weights)
				if err != nil {
					t.Fatal(err)
				}
				degree := max(k, 2)
				s := stabilityOf(t, diffusion.Momentum{Kind: kind, Order: k, Beta: beta}, 0)
				for range 5 {
					z := complex(-2*r.Float64(), 2*r.Float64()-1)
					p := make([]complex128, degree+1)
					p[0], p[1], p[2] = 1, complex(beta-2, 0), complex(1-beta, 0)
					for j, w := range c {
						p[j+1] -= z * complex(beta*w, 0)
					}
					got, err := s.Radius(z)
					if want := largestRoot(p); err != nil || math.Abs(got-want) > 1e-9*want { // roots may be close to double
						t.Errorf("%v, k = %d, β = %g at %.3f: radius %v, %v; the polynomial's largest root has %v", kind, k, beta, z, got, err, want)
					}
				}
			}
		}
	}
}

// TestStabilityFunction: a method of one step is stable where its stability function
// is at most 1.
func TestStabilityFunction(t *testing.T) {
	for name, tt := range map[string]struct {
		m diffusion.Method
		f func(z complex128) complex128
	}{
		"DDIM is Euler's method": {diffusion.DDIM{}, func(z complex128) complex128 { return 1 + z }},
		"ρ Heun":                 {diffusion.RhoRK{}, func(z complex128) complex128 { return 1 + z + z*z/2 }},
		"ρ Kutta":                {diffusion.RhoRK{Tableau: diffusion.Tableaux[3]}, func(z complex128) complex128 { return 1 + z + z*z/2 + z*z*z/6 }},
	} {
		s := stabilityOf(t, tt.m, 0)
		for _, z := range []complex128{-.3, -1.7 + .2i, .4i, 2 - 1i} {
			m, err := s.Companion(z)
			if err != nil {
				t.Fatal(err)
			}
			if n, _ := m.Dims(); n != 1 || cmplx.Abs(m.At(0, 0)-tt.f(z)) > 1e-12 {
				t.Errorf("%s at %g: %v, want %g", name, z, m.At(0, 0), tt.f(z))
			}
		}
	}
}

// TestStabilityOfSmallLogSteps: with steps short in λ an exponential integrator is the
// classical method of its order.
func TestStabilityOfSmallLogSteps(t *testing.T) {
	for name, tt := range map[string]struct {
		m    diffusion.Method
		left float64
	}{
		"2M is Adams–Bashforth 2":         {diffusion.DPMSolver{}, 1},
		"noise 2M too":                    {diffusion.DPMSolver{Form: diffusion.NoiseForm}, 1},
		"3M corrected is Adams–Bashforth": {diffusion.DPMSolver{Order: 3, ThirdOrder: diffusion.Corrected}, 6. / 11},
		"2M with heavy ball":              {diffusion.HeavyBall{}, 1.5},
		"order 1":                         {diffusion.DPMSolver{Order: 1}, 2},
	} {
		near, far := stabilityOf(t, tt.m, .01), stabilityOf(t, tt.m, .02)
		a, err := near.Reach(180)
		if err != nil {
			t.Fatal(err)
		}
		b, err := far.Reach(180)
		if err != nil {
			t.Fatal(err)
		}
		if got := 2*a - b; math.Abs(got-tt.left) > 1e-3 { // extrapolated to no step: the rest is h²
			t.Errorf("%s: the real interval reaches %.5f, want %.5f", name, got, tt.left)
		}
	}
}

// TestStabilityOfAnyMethod: every deterministic method has a steady step, is stable
// near the origin on the left and not on the right; but for BDIA at γ = 1, a leapfrog,
// whose second root grows on the left: it is stable on the imaginary axis alone.
func TestStabilityOfAnyMethod(t *testing.T) {
	for _, m := range diffusion.Methods() {
		s, _, err := diffusion.StabilityOf(m.Method, 0)
		if drawsNoise(t, m.Method) {
			if err == nil || !strings.Contains(err.Error(), "stochastic") {
				t.Errorf("%s: error %v", m.Name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", m.Name, err)
			continue
		}
		b, ok := m.Method.(diffusion.BDIA)
		left := !ok || b.Gamma != 0 && b.Gamma != 1
		for z, stable := range map[complex128]bool{-.05: left, -.04 + .03i: left, .05: false, -20: false} {
			if r, err := s.Radius(z); err != nil || (r <= 1) != stable {
				t.Errorf("%s at %g: radius %v, %v", m.Name, z, r, err)
			}
		}
	}
}

// TestStabilityDoesNotDependOnThePrediction: the test equation is the same for every
// kind of model.
func TestStabilityDoesNotDependOnThePrediction(t *testing.T) {
	g := diffusion.Grid{Schedule: diffusion.EDM{}, Start: 21, End: 1, Steps: 20, Spacing: diffusion.TimeUniform}
	for _, z := range []complex128{-.3, -.2 + .7i} {
		var want float64
		for _, p := range []diffusion.Prediction{diffusion.Noise, diffusion.Data, diffusion.Velocity, diffusion.Score} {
			tp, err := diffusion.Trace(diffusion.Momentum{}, g, diffusion.TraceOptions{Predicts: p})
			if err != nil {
				t.Fatal(err)
			}
			got, err := tp.StabilityRadius(z)
			if err != nil {
				t.Fatal(err)
			}
			if p == diffusion.Noise {
				want = got
			}
			if math.Abs(got-want) > 1e-9 { // conversions cancel at ρ = 20
				t.Errorf("a model of %v: radius %v at %g, want %v", p, got, z, want)
			}
		}
	}
}

// TestCompanionRuns: the matrix is what a step does to the registers.
func TestCompanionRuns(t *testing.T) {
	const lambda = .23
	g := diffusion.Grid{Schedule: diffusion.EDM{}, Start: 21, End: 1, Steps: 20, Spacing: diffusion.TimeUniform}
	m := diffusion.Func[float64]{F: func(_ context.Context, dst, x []float64, _ int, _ []diffusion.Level) error {
		for i := range dst {
			dst[i] = lambda * x[i]
		}
		return nil
	}}
	for _, method := range []diffusion.Method{diffusion.Momentum{Kind: diffusion.Polyak}, diffusion.Momentum{Order: 3, Beta: .3}} {
		tp, err := diffusion.Trace(method, g, diffusion.TraceOptions{})
		if err != nil {
			t.Fatal(err)
		}
		c, err := tp.Companion(complex(-lambda, 0)) // steps of −1
		if err != nil {
			t.Fatal(err)
		}
		step, err := tp.Slice(10, 11)
		if err != nil {
			t.Fatal(err)
		}
		n, _ := c.Dims()
		in := make([][]float64, n)
		for i := range in {
			in[i] = []float64{1 / float64(i+2)}
		}
		out, err := diffusion.Run(context.Background(), step, diffusion.Env[float64]{Model: m}, 1, in...)
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			var want complex128
			for j := range n {
				want += c.At(i, j) * complex(in[j][0], 0)
			}
			if cmplx.Abs(complex(out[i][0], 0)-want) > 1e-13 {
				t.Errorf("%+v: register %d is %v after the step, by the matrix %v", method, i, out[i][0], want)
			}
		}
	}
}

func TestReach(t *testing.T) {
	ddim := stabilityOf(t, diffusion.DDIM{}, 0) // the circle |1 + z| ≤ 1
	for degrees, want := range map[float64]float64{180: 2, -180: 2, 135: math.Sqrt2, -135: math.Sqrt2, 120: 1, 90: 0, 0: 0} {
		if got, err := ddim.Reach(degrees); err != nil || math.Abs(got-want) > 1e-8 { // 10⁻⁹ beyond 1 counts as stable
			t.Errorf("the circle along %g°: reach %v, %v; want %v", degrees, got, err, want)
		}
	}
	if r, err := ddim.Reach(math.NaN()); err == nil {
		t.Errorf("along NaN: reach %v", r)
	}
}

func TestBoundary(t *testing.T) {
	ctx := context.Background()
	ddim := stabilityOf(t, diffusion.DDIM{}, 0)
	area := func(loops [][]complex128) (a float64) {
		for _, l := range loops {
			for i, p := range l {
				q := l[(i+1)%len(l)]
				a += (real(p)*imag(q) - real(q)*imag(p)) / 2
			}
		}
		return math.Abs(a)
	}
	for _, tt := range []struct {
		name string
		w    diffusion.Window
		area float64
	}{
		{"the circle", diffusion.Window{Min: -2.5 - 1.5i, Max: .5 + 1.5i}, math.Pi},
		{"its upper half, closed along the window", diffusion.Window{Min: -2.5, Max: .5 + 1.5i}, math.Pi / 2},
		{"a window inside", diffusion.Window{Min: -1.25 - .25i, Max: -.75 + .25i}, .25},
	} {
		loops, err := ddim.Boundary(ctx, tt.w, 60)
		if err != nil {
			t.Fatal(err)
		}
		if len(loops) != 1 || math.Abs(area(loops)-tt.area) > .01 {
			t.Errorf("%s: %d lines around %.3f, want one around %.3f", tt.name, len(loops), area(loops), tt.area)
		}
		for _, p := range loops[0] {
			edge := real(p) == real(tt.w.Min) || imag(p) == imag(tt.w.Min) || real(p) > real(tt.w.Max)-1e-9 || imag(p) > imag(tt.w.Max)-1e-9
			if d := math.Abs(cmplx.Abs(1+p) - 1); d > 2e-3 && !edge { // linear between points 0.05 apart
				t.Errorf("%s: %.4f is %.2g off the circle", tt.name, p, d)
			}
		}
	}
	if loops, err := ddim.Boundary(ctx, diffusion.Window{Min: 1 + 1i, Max: 2 + 2i}, 10); err != nil || len(loops) != 0 {
		t.Errorf("a window where nothing is stable has %d lines, %v", len(loops), err)
	}
	for name, w := range map[string]diffusion.Window{"empty": {}, "upside down": {Min: 1i, Max: 1}, "endless": {Max: cmplx.Inf()}} {
		if _, err := ddim.Boundary(ctx, w, 10); err == nil {
			t.Errorf("the %s window is drawn", name)
		}
	}
	if _, err := ddim.Boundary(ctx, diffusion.Window{Max: 1 + 1i}, 1); err == nil {
		t.Error("a picture of one row is drawn")
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := ddim.Boundary(gone, diffusion.Window{Max: 1 + 1i}, 10); err != context.Canceled {
		t.Errorf("cancelled: %v", err)
	}
}

func TestStabilityErrors(t *testing.T) {
	even := diffusion.Grid{Schedule: diffusion.EDM{}, Start: 21, End: 1, Steps: 20, Spacing: diffusion.TimeUniform}
	short := even
	short.Steps = 2
	vp := diffusion.Grid{Schedule: diffusion.VPLinear{}, Steps: 20}
	for name, tt := range map[string]struct {
		m    diffusion.Method
		g    diffusion.Grid
		hook bool
		want string
	}{
		"α changes":                {diffusion.Momentum{}, vp, false, "no steady step"},
		"two steps":                {diffusion.DDIM{}, short, false, "no steady step"},
		"in λ on a grid even in ρ": {diffusion.DPMSolver{}, even, false, "no steady step"},
		"noise":                    {diffusion.DDIM{Eta: 1}, even, false, "stochastic"},
		"a hook":                   {diffusion.DDIM{}, even, true, "hook"},
		"parts":                    {diffusion.Splitting{}, even, false, "splits its model"},
	} {
		tp, err := diffusion.Trace(tt.m, tt.g, diffusion.TraceOptions{Hook: tt.hook})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tp.Companion(-1); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, tt.want)
		}
		if _, err := tp.StabilityRadius(-1); err == nil {
			t.Errorf("%s has a radius", name)
		}
	}
	tp, err := diffusion.Trace(diffusion.DDIM{}, even, diffusion.TraceOptions{})
	if err != nil {
		t.Fatal(err)
	}
	stacked, err := diffusion.Stack(diffusion.Samples, []*diffusion.Tape{tp, tp})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stacked.Companion(-1); err == nil || !strings.Contains(err.Error(), "stacked") {
		t.Errorf("a stacked tape: error %v", err)
	}
	for _, z := range []complex128{cmplx.NaN(), cmplx.Inf()} {
		if _, err := tp.StabilityRadius(z); err == nil || !strings.Contains(err.Error(), "must be finite") {
			t.Errorf("z = %g: error %v", z, err)
		}
	}
	for _, h := range []float64{-1, math.NaN(), 6} {
		if _, _, err := diffusion.StabilityOf(diffusion.DDIM{}, h); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("λ = %g", h)) {
			t.Errorf("a step of %g in λ: error %v", h, err)
		}
	}
	if _, _, err := diffusion.StabilityOf(diffusion.Momentum{Order: 9}, 0); err == nil || !strings.Contains(err.Error(), "order 9") {
		t.Errorf("a method that cannot be traced: error %v", err)
	}
}
