package directional

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/assay-lab/assay/special"
)

func axis(p int) []float64 {
	mu := make([]float64, p)
	for i := range mu {
		mu[i] = math.Cos(float64(i) + 0.3)
	}
	n := norm(mu)
	for i := range mu {
		mu[i] /= n
	}
	return mu
}

func sample(d VonMisesFisher, n int) *mat.Dense {
	x := mat.NewDense(n, len(d.Mu), nil)
	for i := range n {
		d.Rand(x.RawRowView(i))
	}
	return x
}

// TestLogNormalizer compares with the closed forms in 2 and 3 dimensions.
func TestLogNormalizer(t *testing.T) {
	for _, tt := range []struct {
		name  string
		p     int
		kappa float64
		want  float64
	}{
		{"uniform circle", 2, 0, -math.Log(2 * math.Pi)},
		{"uniform sphere", 3, 0, -math.Log(4 * math.Pi)},
		{"nearly uniform sphere", 3, 1e-9, -math.Log(4 * math.Pi)},
		{"sphere", 3, 2, math.Log(2 / (4 * math.Pi * math.Sinh(2)))},
		{"concentrated sphere", 3, 1e5, math.Log(1e5/(2*math.Pi)) - 1e5},
		{"von Mises", 2, 1, -math.Log(2 * math.Pi * 1.2660658777520083355982)}, // I_0(1), DLMF's digits
		{"no dimension", 1, 1, math.NaN()},
		{"negative kappa", 3, -1, math.NaN()},
	} {
		if got := LogNormalizer(tt.p, tt.kappa); !(math.Abs(got-tt.want) <= 1e-14*max(1, math.Abs(tt.want))) && !(got != got && tt.want != tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	// Where the first term of the series takes over, nothing jumps.
	for _, p := range []int{2, 3, 1000} {
		edge := math.Sqrt(1e-17 * float64(p) / 2)
		a, b := LogNormalizer(p, edge*0.999), LogNormalizer(p, edge*1.001)
		if math.Abs(a-b) > 1e-14*max(10, math.Abs(a)) {
			t.Errorf("p = %d: %v and %v on the two sides of %g", p, a, b, edge)
		}
	}
}

// TestConcentration: A_p(κ) = r both ways.
func TestConcentration(t *testing.T) {
	for _, p := range []int{2, 3, 10, 511, 2048, 32768} {
		for _, kappa := range []float64{1e-6, 0.3, 4, 100, 1e4, 1e7} {
			r := MeanResultant(p, kappa)
			if r > 1-1e-9 {
				continue // r does not say what κ is
			}
			got, err := Concentration(p, r)
			// r is known to an ulp.
			limit := 4e-16 * (1 + r/(kappa*special.DRatioI(float64(p)/2-1, kappa)))
			if err != nil || math.Abs(got-kappa) > limit*kappa {
				t.Errorf("p = %d: κ = %v from A(%v), %v", p, got, kappa, err)
			}
			if sra := Sra(p, r); math.Abs(sra-kappa) > 1e-3*kappa {
				t.Errorf("p = %d: Sra's κ = %v, want %v", p, sra, kappa)
			}
		}
	}
	for _, tt := range []struct {
		name string
		p    int
		r    float64
		want string
	}{
		{"one coordinate", 1, 0.5, "dimension 1"},
		{"negative length", 3, -0.1, "must be from 0 to 1"},
		{"length above 1", 3, 1.1, "must be from 0 to 1"},
		{"NaN", 3, math.NaN(), "must be from 0 to 1"},
		{"all the same", 3, 1, "unbounded"},
	} {
		if _, err := Concentration(tt.p, tt.r); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if k, err := Concentration(5, 0); k != 0 || err != nil {
		t.Errorf("r = 0: %g, %v", k, err)
	}
}

// TestSampling: samples have the mean resultant and the spread of μᵀx that the
// distribution has.
func TestSampling(t *testing.T) {
	for _, tt := range []struct {
		p     int
		kappa float64
		n     int
	}{{2, 0.5, 20000}, {3, 0, 20000}, {3, 5, 20000}, {3, 1e8, 5000}, {50, 20, 5000}, {1000, 700, 500}} {
		d := VonMisesFisher{Mu: axis(tt.p), Kappa: tt.kappa, Src: rand.NewPCG(1, uint64(tt.p))}
		a := MeanResultant(tt.p, tt.kappa)
		variance := special.DRatioI(float64(tt.p)/2-1, tt.kappa) // of μᵀx
		var sum, sum2 float64
		x := make([]float64, tt.p)
		for range tt.n {
			if &d.Rand(x)[0] != &x[0] {
				t.Fatal("x is not used")
			}
			if math.Abs(norm(x)-1) > 1e-12 {
				t.Fatalf("p = %d: norm %v", tt.p, norm(x))
			}
			w := dot(d.Mu, x) - a
			sum += w
			sum2 += w * w
		}
		n := float64(tt.n)
		// Five standard errors; the variance's is √(2/n) for near-normal μᵀx, at most 1.
		if z := sum / n / math.Sqrt(variance/n); math.Abs(z) > 5 {
			t.Errorf("p = %d, κ = %g: mean of μᵀx is off by %.1f standard errors", tt.p, tt.kappa, z)
		}
		if q := sum2 / n / variance; math.Abs(q-1) > 5*math.Sqrt(6/n) {
			t.Errorf("p = %d, κ = %g: variance of μᵀx is %.3f of what it should be", tt.p, tt.kappa, q)
		}
	}
	if got := (VonMisesFisher{Mu: []float64{1, 0}, Kappa: 3}).Rand(make([]float64, 7)); len(got) != 2 {
		t.Errorf("a slice of another dimension gives %v", got)
	}
	if got := (VonMisesFisher{Mu: []float64{1, 0}, Kappa: -3}).Rand(nil); !math.IsNaN(got[0]) {
		t.Errorf("negative kappa gives %v", got)
	}
}

// TestFit recovers what was sampled.
func TestFit(t *testing.T) {
	for _, tt := range []struct {
		p     int
		kappa float64
		n     int
	}{{2, 3, 500}, {3, 100, 500}, {2048, 1500, 100}, {8192, 1e5, 40}} {
		d := VonMisesFisher{Mu: axis(tt.p), Kappa: tt.kappa, Src: rand.NewPCG(3, 4)}
		got, rep, err := Fit(sample(d, tt.n))
		if err != nil {
			t.Fatal(err)
		}
		if rep.N != tt.n || rep.Dim != tt.p || !(math.Abs(rep.Residual) < 1e-15) || rep.Iterations > 8 {
			t.Errorf("p = %d: %+v", tt.p, rep)
		}
		if z := (rep.Corrected - tt.kappa) / rep.StdErr; !(math.Abs(z) < 5) {
			t.Errorf("p = %d: κ = %g ± %g, want %g", tt.p, rep.Corrected, rep.StdErr, tt.kappa)
		}
		if got.Kappa <= rep.Corrected { // chance only lengthens the mean
			t.Errorf("p = %d: κ = %g, corrected %g", tt.p, got.Kappa, rep.Corrected)
		}
		if c := dot(got.Mu, d.Mu); c < MeanResultant(tt.p, tt.kappa) {
			t.Errorf("p = %d: μ's cosine is %g", tt.p, c)
		}
	}
}

// TestFitMaximises: the likelihood falls to both sides of the fit.
func TestFitMaximises(t *testing.T) {
	x := sample(VonMisesFisher{Mu: axis(20), Kappa: 30, Src: rand.NewPCG(5, 6)}, 200)
	d, rep, err := Fit(x)
	if err != nil {
		t.Fatal(err)
	}
	loglik := func(kappa float64) float64 {
		var s float64
		for i := range 200 {
			s += VonMisesFisher{Mu: d.Mu, Kappa: kappa}.LogProb(x.RawRowView(i))
		}
		return s / 200
	}
	top := loglik(d.Kappa)
	if math.Abs(top-rep.MeanLogLik) > 1e-12 {
		t.Errorf("mean log-likelihood %v, reported %v", top, rep.MeanLogLik)
	}
	if loglik(d.Kappa*1.001) >= top || loglik(d.Kappa*0.999) >= top {
		t.Errorf("κ = %g is no maximum", d.Kappa)
	}
}

func TestFitRefuses(t *testing.T) {
	for _, tt := range []struct {
		name string
		x    mat.Matrix
		want string
	}{
		{"no rows", &mat.Dense{}, "no vectors"},
		{"one column", mat.NewDense(2, 1, []float64{1, 1}), "1 coordinates"},
		{"a row that is no unit vector", mat.NewDense(3, 2, []float64{1, 0, 0, 1, 1, 1}), "row 2 has norm 1.41421"},
		{"NaN", mat.NewDense(2, 2, []float64{1, 0, math.NaN(), 1}), "row 1 has a number"},
		{"infinity", mat.NewDense(2, 2, []float64{1, 0, math.Inf(1), 1}), "row 1 has a number"},
		{"a row of zeros", mat.NewDense(2, 2, []float64{1, 0, 0, 0}), "row 1 has norm 0"},
		{"equal rows", mat.NewDense(2, 2, []float64{0.6, 0.8, 0.6, 0.8}), "unbounded"},
		{"one row", mat.NewDense(1, 2, []float64{0.6, 0.8}), "unbounded"},
	} {
		if _, _, err := Fit(tt.x); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if _, _, err := Fit(mat.NewDense(2, 2, []float64{0.6, 0.8, 0.6, 0.8})); !errors.Is(err, ErrUnbounded) {
		t.Errorf("equal rows: %v", err)
	}
	d, rep, err := Fit(mat.NewDense(2, 2, []float64{1, 0, -1, 0}))
	if err != nil || d.Kappa != 0 || rep.R != 0 || d.Check() != nil {
		t.Errorf("opposite rows: %+v, %v", d, err)
	}
}

func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		d    VonMisesFisher
		want string
	}{
		{VonMisesFisher{Mu: []float64{1}}, "1 coordinates"},
		{VonMisesFisher{Mu: []float64{1, 1}}, "norm 1.414"},
		{VonMisesFisher{Mu: []float64{math.NaN(), 1}}, "norm NaN"},
		{VonMisesFisher{Mu: []float64{1, 0}, Kappa: -1}, "kappa = -1"},
		{VonMisesFisher{Mu: []float64{1, 0}, Kappa: math.Inf(1)}, "kappa = +Inf"},
	} {
		if err := tt.d.Check(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v: %v", tt.d, err)
		}
	}
	if p := (VonMisesFisher{Mu: []float64{1, 0}}).LogProb([]float64{1}); !math.IsNaN(p) {
		t.Errorf("another dimension: %g", p)
	}
}

// FuzzFit: any matrix gives a distribution that passes its check, or an error.
func FuzzFit(fz *testing.F) {
	fz.Add(3, []byte{1, 2, 3, 4, 5, 6}, 0.0)
	fz.Add(2, []byte{1, 2, 1, 2}, 1.0)
	fz.Fuzz(func(t *testing.T, p int, data []byte, extra float64) {
		if p < 1 || p > len(data) {
			return
		}
		n := len(data) / p
		x := mat.NewDense(n, p, nil)
		for i := range n {
			row := x.RawRowView(i)
			for j := range row {
				row[j] = float64(int8(data[i*p+j]))
			}
			if l := norm(row); l > 0 {
				for j := range row {
					row[j] /= l
				}
			}
		}
		if extra != 0 {
			x.Set(0, 0, x.At(0, 0)+extra)
		}
		if d, rep, err := Fit(x); err == nil && (d.Check() != nil || math.IsNaN(rep.MeanLogLik)) {
			t.Errorf("%v: %+v", d, rep)
		}
	})
}

func Example() {
	truth := VonMisesFisher{Mu: axis(4096), Kappa: 5000, Src: rand.NewPCG(1, 2)}
	d, rep, err := Fit(sample(truth, 200))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("κ = %.0f ± %.0f from %d vectors, cosine of the directions %.3f\n", d.Kappa, rep.StdErr, rep.N, dot(d.Mu, truth.Mu))
	// Output:
	// κ = 5053 ± 10 from 200 vectors, cosine of the directions 0.997
}
