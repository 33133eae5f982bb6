package diffusion_test

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/assay-lab/assay/diffusion"
)

// paperStep is one update as the paper writes it, in x: a, g and l are α, σ and λ, q the
// predictions newest first, hs the steps of λ newest first, z the noise.
func paperStep(m diffusion.MRSampler, order int, x, mu float64, q []float64, z float64, from, to diffusion.Level, hs []float64) float64 {
	a, g, h := to.Alpha, to.Sigma, hs[0]
	ra, rg := a/from.Alpha, g/from.Sigma
	d1, d2 := 0., 0.
	if order == 2 {
		d1 = (q[0] - q[1]) * h / hs[1]
	}
	if order == 3 {
		r0, r1 := hs[1]/h, hs[2]/h
		u, v := (q[0]-q[1])/r0, (q[1]-q[2])/r1
		d1, d2 = u+(u-v)*r0/(r0+r1), (u-v)/(r0+r1)
	}
	e := math.Exp
	switch {
	case m.SDE && m.Form == diffusion.NoiseForm:
		return ra*x + (1-ra)*mu - 2*g*(e(h)-1)*q[0] - 2*g*((e(h)-1)/h-1)*d1 + g*math.Sqrt(e(2*h)-1)*z
	case m.SDE:
		return rg*e(-h)*x + (1-ra*e(-2*h)-a*(1-e(-2*h)))*mu + a*(1-e(-2*h))*q[0] + a*(1-(1-e(-2*h))/(2*h))*d1 + g*math.Sqrt(1-e(-2*h))*z
	case m.Form == diffusion.NoiseForm:
		p1 := e(h) - 1
		p2 := p1/h - 1
		return ra*x + (1-ra)*mu - g*(p1*q[0]+p2*d1+(p2/h-.5)*d2)
	}
	p1 := e(-h) - 1
	p2 := p1/h + 1
	return rg*x + (1-rg+rg*from.Alpha-a)*mu - a*(p1*q[0]-p2*d1+(p2/h-.5)*d2)
}

// TestMRSamplerFormulas holds every step against the paper's formulas in x, with μ,
// on tables of both kinds and between their entries.
func TestMRSamplerFormulas(t *testing.T) {
	noise := diffusion.Seeded(9)
	for _, interp := range []diffusion.TableInterp{diffusion.RateInterp, diffusion.OfficialInterp} {
		p := reversion(t, diffusion.Reversion{T: 20, Interp: interp})
		for _, m := range []diffusion.MRSampler{
			{Order: 1}, {Order: 2}, {Order: 3}, {Order: 1, Form: diffusion.NoiseForm}, {Order: 2, Form: diffusion.NoiseForm}, {Order: 3, Form: diffusion.NoiseForm},
			{Order: 1, SDE: true}, {Order: 2, SDE: true}, {Order: 1, SDE: true, Form: diffusion.NoiseForm}, {Order: 2, SDE: true, Form: diffusion.NoiseForm},
		} {
			for _, predicts := range []diffusion.Prediction{diffusion.Noise, diffusion.Data, diffusion.Velocity} {
				r := restorationOf[float64](t, p, 12, 1)
				r.X, r.Noise = []float64{.2, -.1}, noise
				r.Grid.Spacing = diffusion.IndexGrid{Kind: diffusion.LinearLambda}.Spacing()
				q := &recorder{model: meanModel[float64](t, p, predicts), s: p.S, want: m.Form}
				r.Model = q
				states := [][]float64{r.X}
				r.OnStep = func(s diffusion.Step[float64]) error { states = append(states, slices.Clone(s.X)); return nil }
				restore(t, r, m)
				checkSteps(t, m, q, states, p, noise)
			}
		}
	}
}

// recorder keeps a model's outputs, newest first, as the authors convert them.
type recorder struct {
	model diffusion.MeanModel[float64]
	s     float64
	want  diffusion.Form
	out   [][]float64
	at    []diffusion.Level
}

func (q *recorder) Predicts() diffusion.Prediction { return q.model.Predicts() }

func (q *recorder) DenoiseMean(ctx context.Context, dst, x, mu []float64, n int, at []diffusion.Level) error {
	if err := q.model.DenoiseMean(ctx, dst, x, mu, n, at); err != nil {
		return err
	}
	a, g := at[0].Alpha, at[0].Sigma
	row := make([]float64, len(dst))
	for i, y := range dst {
		switch q.Predicts() {
		case diffusion.Noise:
			if row[i] = y; q.want == diffusion.DataForm {
				row[i] = (x[i] - g*y - (1-a)*mu[i]) / a
			}
		case diffusion.Data:
			if row[i] = y; q.want == diffusion.NoiseForm {
				row[i] = (x[i] - mu[i] - a*(y-mu[i])) / g
			}
		case diffusion.Velocity:
			if row[i] = (a*y + (x[i]-mu[i])*g/q.s) / q.s; q.want == diffusion.DataForm {
				row[i] = a*x[i] - g/q.s*y + (1-a)*mu[i]
			}
		}
	}
	q.out = append([][]float64{row}, q.out...)
	q.at = append(q.at, at[0])
	return nil
}

func checkSteps(t *testing.T, m diffusion.MRSampler, q *recorder, states [][]float64, p *diffusion.MeanReverting, noise diffusion.NoiseSource) {
	t.Helper()
	levels := append(slices.Clone(q.at), p.Outer(p.At(0)))
	for i, x := range states[:len(states)-1] {
		past := q.out[len(q.out)-1-i:]
		var hs []float64
		for j := i + 1; j > 0; j-- {
			hs = append(hs, levels[j].Lambda-levels[j-1].Lambda)
		}
		z := make([]float64, len(x))
		if err := noise.Normal(z, i, 0); err != nil {
			t.Fatal(err)
		}
		for k := range x {
			var qs []float64
			for _, row := range past {
				qs = append(qs, row[k])
			}
			want := paperStep(m, min(m.Order, i+1), x[k], mean[k], qs, z[k], levels[i], levels[i+1], hs)
			if got := states[i+1][k]; math.Abs(got-want) > 1e-9*(1+math.Abs(want)) { // the formulas cancel at large h
				t.Fatalf("%+v, %+v, model of %v: step %d gives %v, the paper's formula %v", m, p.Reversion.Interp, q.Predicts(), i+1, got, want)
			}
		}
	}
}

// TestOfficialOrders reads off the tape how many predictions each step uses.
func TestOfficialOrders(t *testing.T) {
	for _, tt := range []struct {
		m     diffusion.MRSampler
		steps int
		want  []int
	}{
		{diffusion.MRSampler{}, 4, []int{1, 2, 2, 1}},
		{diffusion.MRSampler{OfficialOrders: true}, 4, []int{1, 2, 1, 2}},
		{diffusion.MRSampler{Order: 3, OfficialOrders: true}, 6, []int{1, 2, 3, 2, 1, 3}},
		{diffusion.MRSampler{Order: 3, OfficialOrders: true}, 3, []int{1, 2, 3}},
		{diffusion.MRSampler{Order: 1, OfficialOrders: true}, 3, []int{1, 1, 1}},
		{diffusion.MRSampler{OfficialOrders: true}, 11, []int{1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2}},
		{diffusion.MRSampler{OfficialOrders: true, DenoiseLast: true}, 4, []int{1, 2, 1}},
		{diffusion.MRSampler{}, 11, []int{1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2}},
	} {
		tp, err := diffusion.Trace(tt.m, diffusion.Grid{Schedule: reversion(t, diffusion.Reversion{}), Steps: tt.steps}, diffusion.TraceOptions{Predicts: diffusion.Data})
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		for _, in := range tp.Code {
			if in.Op == diffusion.OpComb {
				got = append(got, len(in.Terms)-1) // x besides
			}
		}
		if !slices.Equal(got, tt.want) || tp.NFE() != tt.steps {
			t.Errorf("%+v in %d steps: orders %v with %d evaluations, want %v", tt.m, tt.steps, got, tp.NFE(), tt.want)
		}
	}
}

// TestDenoiseLast: the result is the last data prediction.
func TestDenoiseLast(t *testing.T) {
	p := reversion(t, diffusion.Reversion{})
	r := restorationOf[float64](t, p, 8, 1)
	r.Model = diffusion.MeanFunc[float64]{Prediction: diffusion.Data, F: func(_ context.Context, dst, _, _ []float64, _ int, at []diffusion.Level) error {
		for i := range dst {
			dst[i] = at[0].T
		}
		return nil
	}}
	s := restore(t, r, diffusion.MRSampler{DenoiseLast: true})
	if math.Abs(s.X[0]-12.5) > 1e-12 || s.NFE != 8 {
		t.Errorf("the result is %v after %d evaluations, want the prediction at t = 12.5 after 8", s.X, s.NFE)
	}
}

func TestMRSamplerWarning(t *testing.T) {
	p := reversion(t, diffusion.Reversion{T: 10})
	g := diffusion.Grid{Schedule: p, Steps: 2}
	if w := (diffusion.MRSampler{Form: diffusion.NoiseForm}).Warning(g); !strings.Contains(w, "step 1 of 2 changes λ by 4.0") {
		t.Errorf("noise form in 2 steps: %q", w)
	}
	if w := (diffusion.MRSampler{}).Warning(g); w != "" {
		t.Errorf("data form in 2 steps: %q", w)
	}
	g.Steps = 10
	if w := (diffusion.MRSampler{Form: diffusion.NoiseForm}).Warning(g); w != "" {
		t.Errorf("noise form in 10 steps: %q", w)
	}
}
