package diffusion_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/assay-lab/assay/diffusion"
)

func reversion(t testing.TB, r diffusion.Reversion) *diffusion.MeanReverting {
	t.Helper()
	if r.S == 0 {
		r.S = 50. / 255
	}
	p, err := diffusion.NewMeanReverting(r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestMeanReverting checks what a schedule promises, between entries too.
func TestMeanReverting(t *testing.T) {
	for _, r := range []diffusion.Reversion{
		{}, {Theta: diffusion.ThetaLinear}, {Theta: diffusion.ThetaConstant, T: 7, Eps: .1},
		{Interp: diffusion.OfficialInterp}, {Theta: diffusion.ThetaLinear, Interp: diffusion.OfficialInterp},
	} {
		p := reversion(t, r)
		lo, hi := p.Range()
		if lo != 0 || hi != float64(p.T) {
			t.Errorf("%+v: range %g to %g", r, lo, hi)
		}
		last := math.Inf(1)
		for i := range 401 {
			u := hi * float64(i) / 400
			at := p.At(u)
			if !(at.Lambda < last) {
				t.Fatalf("%+v: λ(%g) = %g does not fall", r, u, at.Lambda)
			}
			last = at.Lambda
			if back := p.Time(at.Lambda); math.Abs(back-u) > 1e-9*(1+u) {
				t.Errorf("%+v: the time of λ(%g) is %g", r, u, back)
			}
			agree := math.Abs(at.Lambda-math.Log(at.Alpha/at.Sigma)) < 1e-10 && math.Abs(at.Alpha*at.Alpha+at.Sigma*at.Sigma-1) < 1e-12
			entry := u == math.Trunc(u)
			if !agree && (entry || r.Interp == diffusion.RateInterp) {
				t.Errorf("%+v: at %g α = %v, σ = %v, λ = %v do not agree", r, u, at.Alpha, at.Sigma, at.Lambda)
			}
			if agree && !entry && r.Interp == diffusion.OfficialInterp && u < 3 {
				t.Errorf("%+v: at %g the three agree, which tables interpolated one by one do not", r, u)
			}
		}
		if a := p.At(hi).Alpha; math.Abs(a/p.Eps-1) > 1e-12 {
			t.Errorf("%+v: α ends at %g, want eps = %g", r, a, p.Eps)
		}
		if a := p.At(0).Alpha; !(a < 1) {
			t.Errorf("%+v: α begins at %g: θ_0 counts", r, a)
		}
	}
}

// TestThetaTables holds the tables against their closed forms.
func TestThetaTables(t *testing.T) {
	for _, tt := range []struct {
		theta        diffusion.ThetaTable
		first, last  float64
		firstC, midC float64 // C_0 and C_50; 0: not known in closed form
	}{
		{diffusion.ThetaConstant, 1, 1, 1, 51},
		{diffusion.ThetaLinear, .1 / 101, 20. / 101, .1 / 101, 51*.1/101 + 19.9/101/100*51*25},
		{diffusion.ThetaCosine, 1 - square(math.Cos((1./102+.008)/1.008*math.Pi/2)/math.Cos(.008/1.008*math.Pi/2)),
			1 - square(math.Cos((101./102+.008)/1.008*math.Pi/2)/math.Cos(.008/1.008*math.Pi/2)), 0, 0},
	} {
		p := reversion(t, diffusion.Reversion{Theta: tt.theta})
		if math.Abs(p.Rate(0)-tt.first) > 1e-14 || math.Abs(p.Rate(100)-tt.last) > 1e-14 {
			t.Errorf("%v: θ from %v to %v, want %v to %v", tt.theta, p.Rate(0), p.Rate(100), tt.first, tt.last)
		}
		if math.Abs(p.Sum(0)-p.Rate(0)) > 1e-15 {
			t.Errorf("%v: C_0 = %v is not θ_0", tt.theta, p.Sum(0))
		}
		if tt.midC != 0 && (math.Abs(p.Sum(50)-tt.midC) > 1e-11 || math.Abs(p.Sum(0)-tt.firstC) > 1e-15) {
			t.Errorf("%v: C_50 = %v, want %v", tt.theta, p.Sum(50), tt.midC)
		}
		if got, want := p.Dispersion(30), p.S*math.Sqrt(2*p.Rate(30)); got != want {
			t.Errorf("%v: dispersion %v, want %v", tt.theta, got, want)
		}
	}
}

func square(x float64) float64 { return x * x }

func TestOuter(t *testing.T) {
	p := reversion(t, diffusion.Reversion{})
	l := p.At(40)
	o := p.Outer(l)
	if o.Sigma != l.Sigma*p.S || math.Abs(o.Lambda-math.Log(o.Alpha/o.Sigma)) > 1e-12 {
		t.Errorf("outer level %+v of %+v", o, l)
	}
	if b := p.Inner(o); math.Abs(b.Sigma-l.Sigma) > 1e-15 || math.Abs(b.Lambda-l.Lambda) > 1e-14 || b.Alpha != l.Alpha {
		t.Errorf("%+v comes back as %+v", l, b)
	}
}

func TestIndexGrids(t *testing.T) {
	p := reversion(t, diffusion.Reversion{Interp: diffusion.OfficialInterp})
	q := reversion(t, diffusion.Reversion{})
	near := func(a, b []float64) bool {
		return slices.EqualFunc(a, b, func(x, y float64) bool { return math.Abs(x-y) < 1e-9 })
	}
	for _, tt := range []struct {
		name string
		grid diffusion.IndexGrid
		n    int
		want []float64
	}{
		{"linspace", diffusion.IndexGrid{}, 4, []float64{100, 75, 50, 25, 0}},
		{"leading", diffusion.IndexGrid{Kind: diffusion.Leading}, 5, []float64{80, 64, 48, 32, 16, 0}},
		{"leading with an offset", diffusion.IndexGrid{Kind: diffusion.Leading, Offset: 3}, 5, []float64{83, 67, 51, 35, 19, 3}},
		{"trailing", diffusion.IndexGrid{Kind: diffusion.Trailing}, 4, []float64{100, 80, 60, 40, 20}},
		{"karras-t", diffusion.IndexGrid{Kind: diffusion.KarrasTime}, 2, []float64{100, math.Pow((math.Pow(100, 1./7)+1)/2, 7), 1}},
		{"karras-t with rho 1 is linear", diffusion.IndexGrid{Kind: diffusion.KarrasTime, Rho: 1}, 3, []float64{100, 67, 34, 1}},
		{"the published loop", diffusion.IndexGrid{Kind: diffusion.PublishedLoop}, 4, []float64{100, 67, 34, 1, 0}},
	} {
		for _, s := range []*diffusion.MeanReverting{p, q} {
			if got, err := tt.grid.Times(s, tt.n); err != nil || !near(got, tt.want) {
				t.Errorf("%s: %v, %v, want %v", tt.name, got, err, tt.want)
			}
		}
	}
	for _, s := range []*diffusion.MeanReverting{p, q} {
		lam, _ := diffusion.IndexGrid{Kind: diffusion.LinearLambda}.Times(s, 3)
		a, b, c := s.At(lam[0]).Lambda, s.At(lam[1]).Lambda, s.At(lam[2]).Lambda
		if math.Abs(a-2*b+c) > 1e-9 || lam[0] != 100 || math.Abs(lam[3]) > 1e-9 {
			t.Errorf("linear-lambda: times %v, λ %v %v %v", lam, a, b, c)
		}
	}
	ks, _ := diffusion.IndexGrid{Kind: diffusion.KarrasNoise}.Times(q, 2)
	root := func(u float64) float64 { return math.Exp(-q.At(u).Lambda / 7) }
	if math.Abs(root(ks[0])-2*root(ks[1])+root(ks[2])) > 1e-9 || math.Abs(ks[2]) > 1e-9 || math.Abs(ks[0]-100) > 1e-9 {
		t.Errorf("karras-n: %v", ks)
	}
	// λ (with s) runs from −3.67 at T; a bound of −3 cuts the entries below it off.
	cut := 0
	for i := range 101 {
		if p.Outer(p.At(float64(i))).Lambda < -3 {
			cut++
		}
	}
	bound, _ := diffusion.IndexGrid{LambdaMin: -3}.Times(p, 2)
	if cut == 0 || bound[0] != float64(100-cut) {
		t.Errorf("with λ at least −3: %v, want a start at %d", bound, 100-cut)
	}
	lam, _ := diffusion.IndexGrid{Kind: diffusion.LinearLambda, LambdaMin: -3}.Times(p, 2)
	if l := p.Outer(p.At(lam[0])).Lambda; math.Abs(l+3) > 1e-9 {
		t.Errorf("linear-lambda with λ at least −3 starts at %g", l)
	}
	if ts, err := (diffusion.IndexGrid{Kind: diffusion.Trailing, LambdaMin: -1}).Times(p, 9); err != nil || ts[0] >= 90 || ts[0]-ts[1] != 10 || len(ts) != int(math.Ceil(ts[0]/10)) {
		t.Errorf("trailing with λ at least −1: %v, %v", ts, err)
	}
}

func TestReversionErrors(t *testing.T) {
	for name, tt := range map[string]struct {
		r    diffusion.Reversion
		want string
	}{
		"no noise":               {diffusion.Reversion{}, "s = 0: must be positive"},
		"negative noise":         {diffusion.Reversion{S: -1}, "s = -1"},
		"noise NaN":              {diffusion.Reversion{S: math.NaN()}, "s = NaN"},
		"negative T":             {diffusion.Reversion{S: 1, T: -3}, "T = -3"},
		"a table without end":    {diffusion.Reversion{S: 1, T: 1 << 40}, "must be 1 to"},
		"eps 1":                  {diffusion.Reversion{S: 1, Eps: 1}, "eps = 1: must lie in (0, 1)"},
		"eps NaN":                {diffusion.Reversion{S: 1, Eps: math.NaN()}, "eps = NaN"},
		"unknown table":          {diffusion.Reversion{S: 1, Theta: 9}, "theta table 9"},
		"unknown interpolation":  {diffusion.Reversion{S: 1, Interp: 9}, "interpolation 9"},
		"negative eps is no eps": {diffusion.Reversion{S: 1, Eps: -.1}, "eps = -0.1"},
	} {
		if _, err := diffusion.NewMeanReverting(tt.r); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want an error with %q", name, err, tt.want)
		}
	}
	p := reversion(t, diffusion.Reversion{})
	for name, g := range map[string]diffusion.IndexGrid{
		"negative rho": {Rho: -1}, "rho NaN": {Rho: math.NaN()}, "λ bound NaN": {LambdaMin: math.NaN()}, "unknown grid": {Kind: 99},
	} {
		if ts, err := g.Times(p, 4); err == nil {
			t.Errorf("%s: gives %v", name, ts)
		}
	}
	if _, err := (diffusion.IndexGrid{}).Times(p, 0); err == nil {
		t.Error("a grid of 0 steps is made")
	}
	for _, k := range diffusion.IndexGridNames() {
		if g, err := diffusion.ParseIndexGridKind(k); err != nil || g.String() != k {
			t.Errorf("grid %q: %v, %v", k, g, err)
		}
	}
	if _, err := diffusion.ParseIndexGridKind("sideways"); err == nil || !strings.Contains(err.Error(), "karras-n") {
		t.Errorf("grid \"sideways\": %v", err)
	}
	if _, err := diffusion.ParseThetaTable("square"); err == nil || !strings.Contains(err.Error(), "cosine") {
		t.Errorf("table \"square\": %v", err)
	}
}
