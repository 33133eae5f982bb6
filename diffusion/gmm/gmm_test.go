package gmm_test

import (
	"context"
	"math"
	"strings"
	"testing"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/gmm"
	"github.com/assay-lab/assay/internal/rng"
)

var three = &gmm.Mixture{W: []float64{.5, .3, .2}, Mu: [][]float64{{1, -.5}, {-1.2, .8}, {.3, 1.5}}, S: []float64{.25, .4, .15}}

// logDensity is log p at a level, straight from the definition.
func logDensity(m *gmm.Mixture, at diffusion.Level, x []float64) float64 {
	var p float64
	for k, w := range m.W {
		v := at.Alpha*at.Alpha*m.S[k]*m.S[k] + at.Sigma*at.Sigma
		q := 0.0
		for i := range x {
			u := x[i] - at.Alpha*m.Mu[k][i]
			q += u * u
		}
		p += w * math.Exp(-q/(2*v)) / math.Pow(2*math.Pi*v, float64(len(x))/2)
	}
	return math.Log(p)
}

// TestScore compares the model with a difference quotient of the log density,
// and JVP with one of the model.
func TestScore(t *testing.T) {
	score, err := gmm.Model[float64](three, diffusion.Score)
	if err != nil {
		t.Fatal(err)
	}
	eps, err := gmm.Model[float64](three, diffusion.Noise)
	if err != nil {
		t.Fatal(err)
	}
	const h = 1e-5
	for _, time := range []float64{.05, .4, 1} {
		at := diffusion.VPLinear{}.At(time)
		for _, x := range [][]float64{{.2, .4}, {-1, 1}, {.5, -.5}} {
			got := make([]float64, 2)
			if err := score.Denoise(context.Background(), got, x, 1, []diffusion.Level{at}); err != nil {
				t.Fatal(err)
			}
			p := []float64{.3, -.8}
			jvp := three.JVP(at, x, p)
			e := [2][]float64{make([]float64, 2), make([]float64, 2)}
			for s, sign := range []float64{1, -1} {
				y := []float64{x[0] + sign*h*p[0], x[1] + sign*h*p[1]}
				if err := eps.Denoise(context.Background(), e[s], y, 1, []diffusion.Level{at}); err != nil {
					t.Fatal(err)
				}
			}
			for i := range x {
				up, down := append([]float64(nil), x...), append([]float64(nil), x...)
				up[i] += h
				down[i] -= h
				want := (logDensity(three, at, up) - logDensity(three, at, down)) / (2 * h)
				if math.Abs(got[i]-want) > 1e-6*(1+math.Abs(want)) { // h² and rounding over h
					t.Errorf("t = %g, x = %v: score[%d] = %g, want %g", time, x, i, got[i], want)
				}
				if want := (e[0][i] - e[1][i]) / (2 * h); math.Abs(jvp[i]-want) > 1e-6*(1+math.Abs(want)) {
					t.Errorf("t = %g, x = %v: JVP[%d] = %g, want %g", time, x, i, jvp[i], want)
				}
			}
		}
	}
}

// TestExactGaussian: one component has the solution in closed form.
func TestExactGaussian(t *testing.T) {
	one := &gmm.Mixture{W: []float64{1}, Mu: [][]float64{{.7, -1}}, S: []float64{.3}}
	m, err := gmm.Model[float64](one, diffusion.Noise)
	if err != nil {
		t.Fatal(err)
	}
	s := diffusion.VPLinear{}
	a, b := s.At(1), s.At(1e-3)
	x := []float64{1.2, -.4, 0, 2}
	got, err := gmm.Exact(context.Background(), m, s, x, 2, 1, 1e-3)
	if err != nil {
		t.Fatal(err)
	}
	v := func(l diffusion.Level) float64 { return l.Alpha*l.Alpha*.09 + l.Sigma*l.Sigma }
	for i := range x {
		mu := one.Mu[0][i%2]
		want := b.Alpha*mu + math.Sqrt(v(b)/v(a))*(x[i]-a.Alpha*mu)
		if math.Abs(got[i]-want) > 1e-11 {
			t.Errorf("x[%d] = %v, want %v", i, got[i], want)
		}
	}
}

func TestSampleMoments(t *testing.T) {
	const n = 40000
	x := three.Sample(n, rng.Stream(5))
	mean, cov := three.Moments()
	for i := range 2 {
		var m, v float64
		for k := range n {
			m += x[2*k+i] / n
		}
		for k := range n {
			v += (x[2*k+i] - m) * (x[2*k+i] - m) / (n - 1)
		}
		// four standard errors: 4·√(v/n) and, the tails being light, 4·v·√(2/n)
		if math.Abs(m-mean[i]) > 4*math.Sqrt(v/n) || math.Abs(v-cov[3*i]) > 4*v*math.Sqrt(2./n) {
			t.Errorf("coordinate %d: mean %g and variance %g, want %g and %g", i, m, v, mean[i], cov[3*i])
		}
	}
}

func TestBadMixtures(t *testing.T) {
	for name, tt := range map[string]struct {
		m    gmm.Mixture
		want string
	}{
		"empty":              {gmm.Mixture{}, "0 weights"},
		"ragged":             {gmm.Mixture{W: []float64{1}, Mu: [][]float64{{1}}, S: nil}, "0 deviations"},
		"weights not 1":      {gmm.Mixture{W: []float64{.5}, Mu: [][]float64{{1}}, S: []float64{1}}, "sum to 0.5"},
		"negative weight":    {gmm.Mixture{W: []float64{-1, 2}, Mu: [][]float64{{1}, {1}}, S: []float64{1, 1}}, "weight 0 = -1"},
		"deviation zero":     {gmm.Mixture{W: []float64{1}, Mu: [][]float64{{1}}, S: []float64{0}}, "deviation 0 = 0"},
		"means of two sizes": {gmm.Mixture{W: []float64{.5, .5}, Mu: [][]float64{{1}, {1, 2}}, S: []float64{1, 1}}, "mean 1 has 2"},
		"mean NaN":           {gmm.Mixture{W: []float64{1}, Mu: [][]float64{{math.NaN()}}, S: []float64{1}}, "NaN"},
	} {
		if _, err := gmm.Model[float64](&tt.m, diffusion.Noise); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, tt.want)
		}
	}
	if _, err := three.Condition(3); err == nil {
		t.Error("a condition on a component that is not there is accepted")
	}
	if _, err := three.Condition(); err == nil {
		t.Error("a condition on nothing is accepted")
	}
}
