package diffusion_test

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/gmm"
)

// table is the schedule of DDPM.
func table(t testing.TB) *diffusion.Discrete {
	t.Helper()
	d, err := diffusion.NewDiscrete(diffusion.LinearBetas(1e-4, 0.02, 1000))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// wide is a mixture of two components in 32 dimensions.
func wide() *gmm.Mixture {
	r := rand.New(rand.NewPCG(1, 1))
	m := &gmm.Mixture{W: []float64{.4, .6}, S: []float64{.2, .1}}
	for range 2 {
		mu := make([]float64, 32)
		for i := range mu {
			mu[i] = .3 * r.NormFloat64()
		}
		m.Mu = append(m.Mu, mu)
	}
	return m
}

// inflated scales a model's prediction: an error that there is something to shift for.
func inflated[T diffusion.Float](m diffusion.Denoiser[T], c T) diffusion.Denoiser[T] {
	return diffusion.Func[T]{Prediction: m.Predicts(), F: func(ctx context.Context, dst, x []T, n int, at []diffusion.Level) error {
		err := m.Denoise(ctx, dst, x, n, at)
		for i := range dst {
			dst[i] *= c
		}
		return err
	}}
}

// shiftProblem is that mixture's model with an error of 5 %, on a table of 1000 levels.
func shiftProblem[T diffusion.Float](t testing.TB, steps, n int) diffusion.Problem[T] {
	t.Helper()
	g := diffusion.Grid{Schedule: table(t), Steps: steps, Spacing: diffusion.TimeUniform}
	x, err := diffusion.Start[T](g, n, 32, diffusion.Seeded(7))
	if err != nil {
		t.Fatal(err)
	}
	return diffusion.Problem[T]{Model: inflated(model[T](t, wide(), diffusion.Noise), 1.05), Grid: g, X: x, N: n, Noise: diffusion.Seeded(3)}
}

func shift[T diffusion.Float](t testing.TB, p diffusion.Problem[T], s diffusion.TimeShift) diffusion.Shifted[T] {
	t.Helper()
	r, err := diffusion.SolveTimeShift(context.Background(), p, s)
	if err != nil {
		t.Fatalf("%+v: %v", s, err)
	}
	return r
}

// TestTimeShiftOff: what shifts nothing is the host, to the last bit.
func TestTimeShiftOff(t *testing.T) {
	t.Run("float64", testTimeShiftOff[float64])
	t.Run("float32", testTimeShiftOff[float32])
}

func testTimeShiftOff[T diffusion.Float](t *testing.T) {
	p := shiftProblem[T](t, 12, 3)
	hosts := diffusion.Methods()
	hosts = append(hosts, diffusion.NamedMethod{Name: "unipc predictor", Method: diffusion.UniPC{NoCorrector: true}},
		diffusion.NamedMethod{Name: "fon", Method: diffusion.FON{}},
		diffusion.NamedMethod{Name: "2m denoise", Method: diffusion.DPMSolver{Denoise: true}})
	// Their steps ask the model elsewhere than at the state that they start from.
	refused := map[string]bool{"unipc": true, "unipc-bh2": true, "unipc-hb": true, "edm-churn": true}
	for _, h := range hosts {
		off := diffusion.TimeShift{Host: h.Method}
		if _, err := diffusion.SolveTimeShift(context.Background(), p, off); err != nil {
			if !refused[h.Name] || !strings.Contains(err.Error(), "no time to shift") {
				t.Errorf("%s: %v", h.Name, err)
			}
			continue
		}
		if refused[h.Name] {
			t.Errorf("%s can be shifted", h.Name)
		}
		want := solve(t, p, h.Method)
		for name, s := range map[string]diffusion.TimeShift{
			"zero value":                     off,
			"window 1":                       {Host: h.Method, Window: 1, Coupling: diffusion.ShiftTarget},
			"cutoff at the end of the table": {Host: h.Method, Window: 60, Cutoff: 1000},
			"network only, cutoff":           {Host: h.Method, Window: 60, Cutoff: 1000, Coupling: diffusion.ShiftNetwork},
			"state, cutoff":                  {Host: h.Method, Cutoff: 1000, Coupling: diffusion.ShiftState},
			"as for ADM, cutoff":             {Host: h.Method, Window: 60, Cutoff: 1000, Coupling: diffusion.ShiftCurrent},
		} {
			got := shift(t, p, s)
			if !slices.Equal(got.X, want.X) || got.NFE != want.NFE || got.Share() != 0 {
				t.Errorf("%s, %s: %d evaluations, %g of the times shifted; differs from the host", h.Name, name, got.NFE, got.Share())
			}
		}
	}
}

// TestNearest holds the bisection against a look at every time of the window.
func TestNearest(t *testing.T) {
	d := table(t)
	r := rand.New(rand.NewPCG(2, 3))
	for range 2000 {
		s := diffusion.TimeShift{Window: r.IntN(200)}
		if r.IntN(2) == 0 {
			s.DataVar = r.Float64() * 0.9
		}
		at, v := r.IntN(1000), 1.1*r.Float64()
		best, want := math.Inf(1), 0
		for i := max(0, at-s.Window/2); i <= min(999, at+s.Window/2); i++ {
			l := d.At(d.TimeOf(float64(i)))
			if e := math.Abs(l.Sigma*l.Sigma + l.Alpha*l.Alpha*s.DataVar - v); e < best {
				best, want = e, i
			}
		}
		got, err := s.Nearest(d, d.TimeOf(float64(at)), v)
		if err != nil || math.Round(d.Index(got)) != float64(want) {
			t.Fatalf("index %d, variance %g, %+v: index %.6f, %v; want %d", at, v, s, d.Index(got), err, want)
		}
	}
	ties := 0
	for i := range 900 { // the variance in the middle of two levels is nearest to the lower
		a, b := d.At(d.TimeOf(float64(i))), d.At(d.TimeOf(float64(i+1)))
		lo, hi := a.Sigma*a.Sigma, b.Sigma*b.Sigma
		mid := (lo + hi) / 2
		if mid-lo != hi-mid {
			continue
		}
		ties++
		if got, _ := (diffusion.TimeShift{Window: 40}).Nearest(d, d.TimeOf(float64(i+3)), mid); math.Round(d.Index(got)) != float64(i) {
			t.Errorf("tie of %d and %d: index %.3f", i, i+1, d.Index(got))
		}
	}
	if ties == 0 {
		t.Error("no ties were tried")
	}
	// A continuous schedule counts 1000 steps from its largest time.
	c := diffusion.VPLinear{}
	l := c.At(0.52)
	if got, err := (diffusion.TimeShift{Window: 100}).Nearest(c, 0.5, l.Sigma*l.Sigma); err != nil || math.Abs(got-0.52) > 1e-12 {
		t.Errorf("VP-linear: t = %g, %v; want 0.52", got, err)
	}
	if got, _ := (diffusion.TimeShift{Window: 100, TrainSteps: 10}).Nearest(c, 0.5, l.Sigma*l.Sigma); got != 0.5 {
		t.Errorf("VP-linear in ten steps: t = %g, want 0.5", got)
	}
}

func TestVariance(t *testing.T) {
	x := make([]float32, 103)
	r := rand.New(rand.NewPCG(5, 5))
	var sum, square float64
	for i := range x {
		x[i] = float32(100 + r.NormFloat64())
		sum += float64(x[i])
		square += float64(x[i]) * float64(x[i])
	}
	want := (square - sum*sum/103) / 102
	if got := diffusion.Variance(x); math.Abs(got-want) > 1e-9*want { // the naive form loses 4 digits of 16
		t.Errorf("variance %.15g, want %.15g", got, want)
	}
}

// byHand is the sampler as the paper and the codes write it, on DDIM and one sample.
func byHand(t *testing.T, p diffusion.Problem[float64], s diffusion.TimeShift, x []float64) []float64 {
	d := p.Grid.Schedule.(*diffusion.Discrete)
	ls, err := p.Grid.Levels(p.Grid.Steps)
	if err != nil {
		t.Fatal(err)
	}
	index := func(l diffusion.Level) float64 { return d.Index(l.T) }
	level := func(i float64) diffusion.Level { return d.At(d.TimeOf(i)) }
	find := func(at diffusion.Level, half int) diffusion.Level {
		v, best, found := diffusion.Variance(x), math.Inf(1), at
		for j := -half; j <= half; j++ {
			if i := index(at) + float64(j); i >= 0 && i <= 999 {
				l := level(i)
				if e := math.Abs(l.Sigma*l.Sigma + l.Alpha*l.Alpha*s.DataVar - v); e < best {
					best, found = e, l
				}
			}
		}
		return found
	}
	x = slices.Clone(x)
	e := make([]float64, len(x))
	for k := range p.Grid.Steps {
		from, to := ls[k], ls[k+1]
		asked := from
		switch {
		case s.Coupling == diffusion.ShiftSource && k > 0 && index(from) > float64(s.Cutoff):
			from = find(from, s.Window/2)
			asked = from
		case s.Coupling == diffusion.ShiftTarget && k > 0 && index(to) > float64(s.Cutoff):
			to = find(to, s.Window/2)
		case s.Coupling == diffusion.ShiftCurrent && k > 0 && index(from) > float64(s.Cutoff):
			stride := index(from) - index(to)
			if s.Stride > 0 {
				stride = float64(s.Stride)
			}
			to = level(index(find(from, s.Window/2)) - stride)
		case s.Coupling == diffusion.ShiftNetwork && index(from) > float64(s.Cutoff):
			asked = find(from, s.Window)
		case s.Coupling == diffusion.ShiftState && index(from) > float64(s.Cutoff):
			c := math.Sqrt((from.Sigma*from.Sigma + from.Alpha*from.Alpha*s.DataVar) / diffusion.Variance(x))
			for i := range x {
				x[i] *= c
			}
		}
		if err := p.Model.Denoise(context.Background(), e, x, 1, []diffusion.Level{asked}); err != nil {
			t.Fatal(err)
		}
		for i := range x {
			x[i] = to.Alpha*(x[i]-from.Sigma*e[i])/from.Alpha + to.Sigma*e[i]
		}
	}
	return x
}

func TestTimeShiftByHand(t *testing.T) {
	p := shiftProblem[float64](t, 25, 3)
	for _, tt := range []struct {
		name  string
		shift diffusion.TimeShift
	}{
		{"the paper's algorithm", diffusion.TimeShift{Window: 60, Cutoff: 300}},
		{"data variance is ignored", diffusion.TimeShift{Window: 60, Cutoff: 300, DataVar: .1}},
		{"no cutoff", diffusion.TimeShift{Window: 30}},
		{"target", diffusion.TimeShift{Window: 30, Cutoff: 300, Coupling: diffusion.ShiftTarget}},
		{"current", diffusion.TimeShift{Window: 30, Cutoff: 300, Coupling: diffusion.ShiftCurrent}},
		{"current with a stride", diffusion.TimeShift{Window: 30, Cutoff: 300, Coupling: diffusion.ShiftCurrent, Stride: 42}},
		{"network only", diffusion.TimeShift{Window: 30, Cutoff: 300, Coupling: diffusion.ShiftNetwork}},
		{"state", diffusion.TimeShift{Cutoff: 300, Coupling: diffusion.ShiftState, DataVar: .1}},
	} {
		got := shift(t, p, tt.shift)
		plain := solve(t, p, diffusion.DDIM{})
		for b := range p.N {
			want := byHand(t, p, tt.shift, p.X[32*b:32*b+32])
			if e := rms(got.X[32*b:32*b+32], want); e > 1e-10 { // conversions cancel at σ/α = 150
				t.Errorf("%s: sample %d is %g from the hand-written run", tt.name, b, e)
			}
			if e := rms(plain.X[32*b:32*b+32], want); e < 1e-6 {
				t.Errorf("%s: sample %d is the unshifted one", tt.name, b)
			}
		}
	}
}

// TestTimeShiftMultistep writes DPM-Solver++(2M) down with shifted sources: the
// stored prediction counts at the level that it was asked at.
func TestTimeShiftMultistep(t *testing.T) {
	p := shiftProblem[float64](t, 12, 1)
	s := diffusion.TimeShift{Host: diffusion.DPMSolver{LowerOrderBelow: -1}, Window: 60, Cutoff: 300}
	got := shift(t, p, s)
	if got.Share() < .3 {
		t.Fatalf("only %g of the times are shifted", got.Share())
	}
	x := slices.Clone(p.X)
	m, before := make([]float64, len(x)), make([]float64, len(x))
	var h0 float64
	for k, st := range got.Steps {
		from, to := st.From[0], st.To[0]
		if err := p.Model.Denoise(context.Background(), m, x, 1, st.Asked); err != nil {
			t.Fatal(err)
		}
		h := to.Lambda - from.Lambda
		if k > 0 {
			h0 = from.Lambda - got.Steps[k-1].From[0].Lambda
		}
		for i := range x {
			m[i] = (x[i] - from.Sigma*m[i]) / from.Alpha
			d := m[i]
			if k > 0 {
				d += h / (2 * h0) * (m[i] - before[i])
			}
			x[i] = to.Sigma/from.Sigma*x[i] - to.Alpha*math.Expm1(-h)*d
		}
		copy(before, m)
	}
	if e := rms(got.X, x); e > 1e-10 { // conversions cancel at σ/α = 150
		t.Errorf("%g from the hand-written run", e)
	}
}

// TestTimeShiftSinglestep: a step of a host without memory is that host's on a grid
// of its own.
func TestTimeShiftSinglestep(t *testing.T) {
	p := shiftProblem[float64](t, 20, 2)
	var states [][]float64
	p.OnStep = func(s diffusion.Step[float64]) error {
		states = append(states, slices.Clone(s.X))
		return nil
	}
	host := diffusion.DPMSolver{Mode: diffusion.SinglestepFixed, Form: diffusion.NoiseForm}
	got := shift(t, p, diffusion.TimeShift{Host: host, Window: 60, Cutoff: 300})
	states = append([][]float64{p.X}, states...)
	for k, st := range got.Steps {
		for b := range p.N {
			q := diffusion.Problem[float64]{Model: p.Model, N: 1, X: states[k][32*b : 32*b+32],
				Grid: diffusion.Grid{Schedule: p.Grid.Schedule, Steps: 2, Start: st.From[b].T, End: st.To[b].T, Spacing: diffusion.TimeUniform}}
			want := solve(t, q, host).X
			if e := rms(states[k+1][32*b:32*b+32], want); e > 1e-11 {
				t.Errorf("step %d, sample %d: %g from the host on its levels", k+1, b, e)
			}
		}
	}
}

// TestTimeShiftAlone: a sample does not depend on the batch that it is in.
func TestTimeShiftAlone(t *testing.T) {
	p := shiftProblem[float64](t, 15, 4)
	for _, host := range []diffusion.Method{nil, diffusion.DEIS{}, diffusion.PNDM{}, diffusion.DPMSolver{Order: 3}} {
		s := diffusion.TimeShift{Host: host, Window: 60, Cutoff: 200}
		all := shift(t, p, s)
		q := p
		q.N, q.X = 1, p.X[64:96]
		if one := shift(t, q, s); !slices.Equal(one.X, all.X[64:96]) {
			t.Errorf("%T: sample 2 alone differs", host)
		}
	}
}

// TestTimeShiftForward: hosts that only go forward get levels in order, and the
// noise of a stochastic one is real, however wide the window.
func TestTimeShiftForward(t *testing.T) {
	p := shiftProblem[float64](t, 40, 3)
	for _, host := range []diffusion.Method{
		diffusion.DDIM{Eta: 1}, diffusion.DPMSolver{}, diffusion.DPMSolver{Eta: 1}, diffusion.DPMSolver{Mode: diffusion.SinglestepFixed},
		diffusion.DEIS{}, diffusion.PNDM{VariableStep: true}, diffusion.UniPC{NoCorrector: true}, diffusion.RhoRK{},
	} {
		for c := diffusion.ShiftSource; c <= diffusion.ShiftState; c++ {
			s := diffusion.TimeShift{Host: host, Window: 400, Coupling: c}
			got := shift(t, p, s)
			if c != diffusion.ShiftState && got.Share() < .3 {
				t.Errorf("%+v, %v: only %g of the times are shifted", host, c, got.Share())
			}
			tape, err := diffusion.Trace(host, p.Grid, diffusion.TraceOptions{})
			if err != nil || got.NFE != tape.NFE() {
				t.Errorf("%+v, %v: %d evaluations: %v", host, c, got.NFE, err)
			}
			for k, st := range got.Steps {
				for b := range p.N {
					if !(st.From[b].Lambda < st.To[b].Lambda) || k > 0 && !(got.Steps[k-1].From[b].Lambda < st.From[b].Lambda) {
						t.Fatalf("%+v, %v, step %d: from t = %g to %g", host, c, k+1, st.From[b].T, st.To[b].T)
					}
				}
			}
		}
	}
}

// TestTimeShiftPredictions: what the model estimates changes nothing but rounding,
// as long as rounding moves no time.
func TestTimeShiftPredictions(t *testing.T) {
	p := shiftProblem[float64](t, 15, 2)
	p.Model = model[float64](t, wide(), diffusion.Noise)
	for c := diffusion.ShiftSource; c <= diffusion.ShiftState; c++ {
		s := diffusion.TimeShift{Window: 60, Cutoff: 200, Coupling: c}
		want := shift(t, p, s).X
		for _, pred := range []diffusion.Prediction{diffusion.Data, diffusion.Velocity, diffusion.Score} {
			q := p
			q.Model = model[float64](t, wide(), pred)
			if e := rms(shift(t, q, s).X, want); e > 1e-9 { // conversions cancel at σ/α = 150
				t.Errorf("%v, a model that predicts %v: %g", c, pred, e)
			}
		}
	}
}

func TestTimeShiftErrors(t *testing.T) {
	ok := func(*diffusion.Problem[float64]) {}
	for _, tt := range []struct {
		name   string
		shift  diffusion.TimeShift
		change func(*diffusion.Problem[float64])
		want   string
	}{
		{"no model", diffusion.TimeShift{}, func(p *diffusion.Problem[float64]) { p.Model = nil }, "no model"},
		{"negative window", diffusion.TimeShift{Window: -2}, ok, "window = -2"},
		{"negative cutoff", diffusion.TimeShift{Cutoff: -1}, ok, "cutoff = -1"},
		{"negative data variance", diffusion.TimeShift{DataVar: -1}, ok, "data variance = -1"},
		{"data as varied as noise", diffusion.TimeShift{DataVar: 1}, ok, "must grow with time"},
		{"unknown coupling", diffusion.TimeShift{Coupling: 9}, ok, "coupling 9"},
		{"one training step", diffusion.TimeShift{TrainSteps: 1}, ok, "1 training steps"},
		{"negative stride", diffusion.TimeShift{Stride: -3}, ok, "stride = -3"},
		{"a shift of a shift", diffusion.TimeShift{Host: diffusion.TimeShift{}}, ok, "time shift of a time shift"},
		{"UniPC with its corrector", diffusion.TimeShift{Host: diffusion.UniPC{}, Window: 20}, ok, "no time to shift"},
		{"no schedule", diffusion.TimeShift{}, func(p *diffusion.Problem[float64]) { p.Grid.Schedule = nil }, "no schedule"},
		{"from data to noise", diffusion.TimeShift{Window: 20}, func(p *diffusion.Problem[float64]) { p.Grid.Start, p.Grid.End = .1, 1 }, "from noise to data"},
		{"ragged batch", diffusion.TimeShift{Window: 20}, func(p *diffusion.Problem[float64]) { p.N = 5 }, "samples of equal size"},
		{"samples of 8 numbers", diffusion.TimeShift{Window: 20}, func(p *diffusion.Problem[float64]) { p.N = 8 }, "samples of 8 numbers: their variance says nothing, at least 16 are needed"},
		{"the host's own error", diffusion.TimeShift{Host: diffusion.DPMSolver{Order: 7}}, ok, "order 7"},
		{"no noise for DDPM", diffusion.TimeShift{Host: diffusion.DDIM{Eta: 1}}, func(p *diffusion.Problem[float64]) { p.Noise = nil }, "noise source"},
		{"the model gives NaN", diffusion.TimeShift{Window: 20}, func(p *diffusion.Problem[float64]) {
			calls := 0
			p.Model = diffusion.Func[float64]{F: func(_ context.Context, dst, x []float64, _ int, _ []diffusion.Level) error {
				copy(dst, x)
				if calls++; calls == 3 {
					dst[40] = math.NaN()
				}
				return nil
			}}
		}, "step 3, t = "},
	} {
		p := shiftProblem[float64](t, 10, 2)
		tt.change(&p)
		_, err := diffusion.Solve(context.Background(), p, tt.shift)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %q, want one with %q", tt.name, err, tt.want)
		}
	}
	if w := (diffusion.TimeShift{Window: 20}).Warning(32); !strings.Contains(w, "25 %") {
		t.Errorf("32 numbers: warning %q", w)
	}
	for _, quiet := range []string{diffusion.TimeShift{Window: 20}.Warning(64), diffusion.TimeShift{}.Warning(16)} {
		if quiet != "" {
			t.Errorf("warning %q", quiet)
		}
	}
	if _, err := diffusion.ParseShiftCoupling("both"); err == nil {
		t.Error("coupling both is accepted")
	}
	for c := diffusion.ShiftSource; c <= diffusion.ShiftState; c++ {
		if got, err := diffusion.ParseShiftCoupling(c.String()); got != c || err != nil {
			t.Errorf("%v is read as %v: %v", c, got, err)
		}
	}
}

func TestTimeShiftCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	p := shiftProblem[float64](t, 20, 2)
	p.OnStep = func(s diffusion.Step[float64]) error {
		if s.Index == 2 {
			cancel()
		}
		return nil
	}
	if _, err := diffusion.Solve(ctx, p, diffusion.TimeShift{Window: 20}); err != context.Canceled {
		t.Errorf("error %v, want context.Canceled", err)
	}
}

func TestEpsilonScaling(t *testing.T) {
	m := wide()
	x := shiftProblem[float64](t, 10, 2).X
	ls := []diffusion.Level{table(t).At(.5), table(t).At(.7)}
	ask := func(d diffusion.Denoiser[float64], at []diffusion.Level) []float64 {
		dst := make([]float64, len(x))
		if err := d.Denoise(context.Background(), dst, x, 2, at); err != nil {
			t.Fatal(err)
		}
		return dst
	}
	for _, pred := range []diffusion.Prediction{diffusion.Noise, diffusion.Data} {
		want := ask(model[float64](t, m, diffusion.Noise), ls)
		got := ask(diffusion.EpsilonScaling[float64]{Model: model[float64](t, m, pred), K: 1.1, Slope: .2}, ls)
		for i := range want {
			if w := want[i] / (1.1 + .2*[]float64{.5, .7}[i/32]); math.Abs(got[i]-w) > 1e-12 {
				t.Fatalf("%v: number %d is %g, want %g", pred, i, got[i], w)
			}
		}
	}
	e := diffusion.EpsilonScaling[float64]{Model: model[float64](t, m, diffusion.Noise)}
	if got, want := ask(e, ls[:1]), ask(model[float64](t, m, diffusion.Noise), ls[:1]); math.Abs(want[0]/got[0]-1.0012) > 1e-12 {
		t.Errorf("the default is %g, want 1.0012", want[0]/got[0])
	}
	e.K = -1
	if err := e.Denoise(context.Background(), make([]float64, len(x)), x, 2, ls); err == nil || !strings.Contains(err.Error(), "must be positive") {
		t.Errorf("scaling by −1: %v", err)
	}
}
