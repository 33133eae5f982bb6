package diffusion_test

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/ems"
	"github.com/assay-lab/assay/diffusion/gmm"
	"github.com/assay-lab/assay/internal/rng"
	"gonum.org/v1/gonum/stat"
)

// times are the times of a grid.
func times(t testing.TB, g diffusion.Grid) []float64 {
	t.Helper()
	ls, err := g.Levels(g.Steps)
	if err != nil {
		t.Fatal(err)
	}
	ts := make([]float64, len(ls))
	for i, l := range ls {
		ts[i] = l.T
	}
	return ts
}

// statistics are those of mixture, estimated from few samples: any will do.
func statistics(t testing.TB, g diffusion.Grid, rows int) *diffusion.Statistics {
	t.Helper()
	m, err := gmm.Differentiable(mixture)
	if err != nil {
		t.Fatal(err)
	}
	st, err := ems.Estimator{Model: m, Schedule: g.Schedule}.Estimate(context.Background(), mixture.Sample(64, rng.Stream(5)), 64, g.Start, g.End, rows)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// unipc writes UniPC of order p as a schedule: its relaxation is that of weights
// that the lowest orders fix.
func unipc(p int, bh diffusion.Relaxation, form diffusion.StepForm, ts []float64) *diffusion.SolverSchedule {
	s := diffusion.RepeatDecision(diffusion.Decision{Form: form, Update: diffusion.Update{Order: p}, Correction: diffusion.PseudoCorrection}, true, ts...)
	for i := range s.Steps {
		d := &s.Steps[i]
		if d.Order == 2 {
			d.Relaxation = bh
		}
		if d.Order == 1 && d.Correction != "" {
			d.Corrector = &diffusion.Update{Order: 2, Start: -2, Relaxation: bh}
		}
	}
	return s
}

// solverV3 writes DPM-Solver-v3 of order p with its corrector as a schedule.
func solverV3(p int, ts []float64) *diffusion.SolverSchedule {
	s := diffusion.RepeatDecision(diffusion.Decision{Form: diffusion.StepV3, Update: diffusion.Update{Order: p}}, true, ts...)
	for i := range s.Steps[:len(s.Steps)-1] {
		if d := &s.Steps[i]; d.Order > 1 { // as many points as the predictor, with the new one for the oldest
			d.Correction = diffusion.PseudoCorrection
			d.Corrector = &diffusion.Update{Order: d.Order, Start: -2}
		}
	}
	return s
}

func TestKnownSolversAsSchedules(t *testing.T) {
	p := problem[float64](t, 9, 5)
	repeat := func(d diffusion.Decision) func([]float64) *diffusion.SolverSchedule {
		return func(ts []float64) *diffusion.SolverSchedule { return diffusion.RepeatDecision(d, true, ts...) }
	}
	const steps, rows = 8, 64 // every time of the grid of 8 steps is on a row
	onRows := p.Grid
	onRows.Steps = steps
	st := statistics(t, p.Grid, rows)
	singlestep := diffusion.DPMSolver{Form: diffusion.NoiseForm, Mode: diffusion.SinglestepFixed}
	tests := []struct {
		name     string
		steps    int
		schedule func([]float64) *diffusion.SolverSchedule
		method   diffusion.Method
	}{
		{"DDIM in data form", 9, repeat(diffusion.Decision{}), diffusion.DDIM{}},
		{"DDIM in noise form", 9, repeat(diffusion.Decision{Form: diffusion.StepNoise}), diffusion.DDIM{}},
		{"2M", 9, repeat(diffusion.Decision{Update: diffusion.Update{Order: 2, Relaxation: diffusion.RelaxDPMSolver2}}), diffusion.DPMSolver{}},
		{"2M with the exact linear term", 9, repeat(diffusion.Decision{Update: diffusion.Update{Order: 2}}), diffusion.DPMSolver{Expansion: diffusion.Taylor}},
		{"3M corrected, its order-2 step exact", 9, repeat(diffusion.Decision{Update: diffusion.Update{Order: 3}}),
			diffusion.DPMSolver{Order: 3, ThirdOrder: diffusion.Corrected, Expansion: diffusion.Taylor}},
		{"DPM-Solver-2", 10, func(ts []float64) *diffusion.SolverSchedule {
			s := diffusion.RepeatDecision(diffusion.Decision{Form: diffusion.StepNoise}, false, ts...)
			for i := 1; i < len(s.Steps); i += 2 {
				s.Steps[i].Update = diffusion.Update{Order: 2, Start: -2, Relaxation: diffusion.RelaxDPMSolver2}
			}
			return s
		}, singlestep},
		{"UniPC-2 bh1", 9, func(ts []float64) *diffusion.SolverSchedule {
			return unipc(2, diffusion.RelaxUniPCBH1, diffusion.StepData, ts)
		}, diffusion.UniPC{Order: 2}},
		{"UniPC-3 bh2", 9, func(ts []float64) *diffusion.SolverSchedule {
			return unipc(3, diffusion.RelaxUniPCBH2, diffusion.StepData, ts)
		}, diffusion.UniPC{BH: diffusion.BH2}},
		{"UniPC-4 bh1 in noise form", 9, func(ts []float64) *diffusion.SolverSchedule {
			return unipc(4, diffusion.RelaxUniPCBH1, diffusion.StepNoise, ts)
		}, diffusion.UniPC{Order: 4, Form: diffusion.NoiseForm}},
		{"DPM-Solver-v3 of order 2", steps, func(ts []float64) *diffusion.SolverSchedule { return solverV3(2, ts) }, diffusion.DPMSolverV3{Statistics: st, Order: 2}},
		{"DPM-Solver-v3 of order 3", steps, func(ts []float64) *diffusion.SolverSchedule { return solverV3(3, ts) }, diffusion.DPMSolverV3{Statistics: st}},
	}
	for _, tt := range tests {
		p.Grid.Steps = tt.steps
		ts := times(t, p.Grid)
		want := solve(t, p, tt.method)
		got := solve(t, p, diffusion.USF{Schedule: tt.schedule(ts), Statistics: st})
		// A few roundings a step, grown by 1/α at the noisy end.
		if e := rms(got.X, want.X); e > 1e-12 || got.NFE != want.NFE {
			t.Errorf("%s: off by %.2g after %d evaluations, the solver itself takes %d", tt.name, e, got.NFE, want.NFE)
		}
	}
}

func TestUSFOrderOfConvergence(t *testing.T) {
	// Slopes over 60, 120, 240 steps. The first steps have lower order, but next to no
	// error where the noise is pure.
	tests := []struct {
		name   string
		d      diffusion.Decision
		lo, hi float64
	}{
		{"order 1 noise", diffusion.Decision{Form: diffusion.StepNoise}, .9, 1.1},
		{"order 2 data", diffusion.Decision{Update: diffusion.Update{Order: 2}}, 1.85, 2.3},
		{"order 3 data", diffusion.Decision{Update: diffusion.Update{Order: 3}}, 2.7, 3.3},
		{"order 3 noise", diffusion.Decision{Form: diffusion.StepNoise, Update: diffusion.Update{Order: 3}}, 2.7, 3.4},
		{"order 4 data", diffusion.Decision{Update: diffusion.Update{Order: 4}}, 3.5, 4.5},
		{"relaxation leaves the order", diffusion.Decision{Update: diffusion.Update{Order: 2, Relaxation: diffusion.RelaxHalfExp}}, 1.85, 2.3},
		{"a pseudo corrector raises the order", diffusion.Decision{Update: diffusion.Update{Order: 2}, Correction: diffusion.PseudoCorrection}, 2.6, 3.4},
		{"an implicit corrector too", diffusion.Decision{Update: diffusion.Update{Order: 2}, Correction: diffusion.ImplicitCorrection}, 2.6, 3.4},
	}
	p := problem[float64](t, 0, 8)
	exact, err := gmm.Exact(context.Background(), p.Model, p.Grid.Schedule, p.X, p.N, p.Grid.Start, p.Grid.End)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		var logN, logE []float64
		for _, steps := range []int{60, 120, 240} {
			p.Grid.Steps = steps
			s := solve(t, p, diffusion.USF{Schedule: diffusion.RepeatDecision(tt.d, false, times(t, p.Grid)...)})
			logN = append(logN, math.Log(float64(steps)))
			logE = append(logE, math.Log(rms(s.X, exact)))
		}
		if _, slope := stat.LinearRegression(logN, logE, nil, false); -slope < tt.lo || -slope > tt.hi {
			t.Errorf("%s: order %.2f, want %g to %g", tt.name, -slope, tt.lo, tt.hi)
		}
	}
}

func TestUSFEvaluationsAndBuffers(t *testing.T) {
	g := diffusion.Grid{Schedule: diffusion.VPLinear{}, Steps: 6}
	ts := times(t, g)
	repeat := func(d diffusion.Decision) *diffusion.SolverSchedule { return diffusion.RepeatDecision(d, false, ts...) }
	order := func(n int) diffusion.Update { return diffusion.Update{Order: n} }
	with := func(s *diffusion.SolverSchedule, change func(*diffusion.SolverSchedule)) *diffusion.SolverSchedule {
		change(s)
		return s
	}
	first := func(f diffusion.FirstEvaluation) func(*diffusion.SolverSchedule) {
		return func(s *diffusion.SolverSchedule) { s.First, s.Average = f, []float64{1, 0} }
	}
	tests := []struct {
		name       string
		s          *diffusion.SolverSchedule
		predicts   diffusion.Prediction
		nfe, slots int
	}{
		{"DDIM", repeat(diffusion.Decision{}), diffusion.Data, 6, 2},
		{"order 2 keeps one old output", repeat(diffusion.Decision{Update: order(2)}), diffusion.Data, 6, 3},
		{"order 3 of a noise model in data form", repeat(diffusion.Decision{Update: order(3)}), diffusion.Noise, 6, 4},
		{"a pseudo corrector costs nothing but buffers", repeat(diffusion.Decision{Update: order(2), Correction: diffusion.PseudoCorrection}), diffusion.Data, 6, 5},
		{"an implicit corrector evaluates again", repeat(diffusion.Decision{Update: order(2), Correction: diffusion.ImplicitCorrection}), diffusion.Data, 11, 5},
		{"a corrector after the last step", with(repeat(diffusion.Decision{Update: order(2)}), func(s *diffusion.SolverSchedule) {
			s.Steps[5].Correction = diffusion.PseudoCorrection
		}), diffusion.Data, 7, 5},
		{"an implicit one there needs no second evaluation", with(repeat(diffusion.Decision{Update: order(2)}), func(s *diffusion.SolverSchedule) {
			s.Steps[5].Correction = diffusion.ImplicitCorrection
		}), diffusion.Data, 7, 5},
		{"a guess", with(repeat(diffusion.Decision{}), first(diffusion.FirstZero)), diffusion.Data, 5, 2},
		{"the mean, whose register of ones is soon free", with(repeat(diffusion.Decision{}), first(diffusion.FirstAverage)), diffusion.Data, 5, 2},
	}
	for _, tt := range tests {
		tp, err := diffusion.Trace(diffusion.USF{Schedule: tt.s}, g, diffusion.TraceOptions{Predicts: tt.predicts})
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if tp.NFE() != tt.nfe || tt.s.NFE() != tt.nfe || tp.Slots() != tt.slots {
			t.Errorf("%s: %d evaluations (the schedule says %d) in %d buffers, want %d in %d", tt.name, tp.NFE(), tt.s.NFE(), tp.Slots(), tt.nfe, tt.slots)
		}
	}
}

// TestFirstEvaluations: a guess that is what the model would have said changes nothing.
func TestFirstEvaluations(t *testing.T) {
	const mean = .7
	point := diffusion.Func[float64]{Prediction: diffusion.Data, F: func(_ context.Context, dst, _ []float64, _ int, _ []diffusion.Level) error {
		for i := range dst {
			dst[i] = mean
		}
		return nil
	}}
	p := problem[float64](t, 5, 4)
	p.Model = point
	d := diffusion.Decision{Update: diffusion.Update{Order: 2}, Correction: diffusion.PseudoCorrection}
	s := diffusion.RepeatDecision(d, false, times(t, p.Grid)...)
	s.Steps[2].Form = diffusion.StepNoise
	want := solve(t, p, diffusion.USF{Schedule: s})
	s.First, s.Average = diffusion.FirstAverage, []float64{mean, mean}
	got := solve(t, p, diffusion.USF{Schedule: s})
	if e := rms(got.X, want.X); e > 1e-13 || got.NFE != 4 {
		t.Errorf("guessing a constant model's data: off by %.2g after %d evaluations", e, got.NFE)
	}
	for _, first := range []diffusion.FirstEvaluation{diffusion.FirstZero, diffusion.FirstZeroEDM, diffusion.FirstData0} {
		s.First = first
		// σ is 1 but for 2·10⁻⁵ at the start.
		if x := solve(t, p, diffusion.USF{Schedule: s}).X; rms(x, want.X) < 1e-3 || rms(x, want.X) > .1 {
			t.Errorf("%s: off by %.2g", first, rms(x, want.X))
		}
	}
}

func TestSolverScheduleErrors(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"not JSON", `{`, "unexpected end"},
		{"a misspelt field", `{"times":[1,0.1],"steps":[{"ordr":1}]}`, `unknown field "ordr"`},
		{"two values", `{"times":[1,0.1],"steps":[{}]} {}`, "solver schedule"},
		{"no steps", `{"times":[1]}`, "0 steps"},
		{"a time too few", `{"times":[1],"steps":[{}]}`, "times: 1 for 1 steps, want 2"},
		{"rising times", `{"times":[0.1,1],"steps":[{}]}`, "times[1] = 1 after 0.1"},
		{"a time of 0", `{"times":[1,0],"steps":[{}]}`, "times[1] = 0: must be positive"},
		{"unknown form", `{"times":[1,0.1],"steps":[{"form":"score"}]}`, `step 1, form = "score"`},
		{"order above the points that exist", `{"times":[1,0.1],"steps":[{"order":2}]}`, "step 1, order = 2: only 1 points exist"},
		{"order out of range", `{"times":[1,0.5,0.1],"steps":[{},{"order":7}]}`, "step 2, order = 7: must be 1 to 4"},
		{"negative order", `{"times":[1,0.1],"steps":[{"order":-1}]}`, "step 1, order = -1"},
		{"start beyond the history", `{"times":[1,0.1],"steps":[{"start":-2}]}`, "step 1, start = -2"},
		{"start in the future", `{"times":[1,0.1],"steps":[{"start":1}]}`, "step 1, start = 1"},
		{"a point that is the start", `{"times":[1,0.5,0.1],"steps":[{},{"order":2,"points":[[-1]]}]}`, "points[0] has -1, which is the start"},
		{"a point twice", `{"times":[1,0.7,0.5,0.1],"steps":[{},{},{"order":2,"points":[[-2,-2]]}]}`, "has -2 twice"},
		{"a point beyond the history", `{"times":[1,0.5,0.1],"steps":[{},{"order":2,"points":[[-3]]}]}`, "points[0] has -3"},
		{"too few points for a derivative", `{"times":[1,0.7,0.5,0.1],"steps":[{},{},{"order":3,"points":[[-2],[-2]]}]}`, "points[1]: 1 of them: derivative 2 takes 2 to 3"},
		{"derivatives at order 1", `{"times":[1,0.5,0.1],"steps":[{},{"order":1,"points":[[-2]]}]}`, "points: for 1 derivatives, order 1 has 0"},
		{"relaxation at order 1", `{"times":[1,0.1],"steps":[{"relaxation":"linear"}]}`, "order 1 has no derivative to relax"},
		{"unknown relaxation", `{"times":[1,0.5,0.1],"steps":[{},{"order":2,"relaxation":"bh3"}]}`, `step 2, relaxation = "bh3"`},
		{"a coefficient without its relaxation", `{"times":[1,0.5,0.1],"steps":[{},{"order":2,"coefficient":1}]}`, "step 2, coefficient = 1"},
		{"unknown correction", `{"times":[1,0.1],"steps":[{"correction":"full"}]}`, `step 1, correction = "full"`},
		{"a bad corrector", `{"times":[1,0.1],"steps":[{"correction":"pseudo","corrector":{"order":3}}]}`, "step 1, corrector order = 3: only 2 points"},
		{"unknown guess", `{"times":[1,0.1],"steps":[{}],"first":"mean"}`, `first = "mean"`},
		{"no mean to guess", `{"times":[1,0.5,0.1],"steps":[{},{}],"first":"average_x0"}`, "average: the mean"},
		{"nothing left to evaluate", `{"times":[1,0.1],"steps":[{}],"first":"zero_x0"}`, "needs no evaluation"},
		{"half a noise schedule", `{"times":[1,0.1],"steps":[{}],"alpha":[0.1,1]}`, "alpha and sigma: 2 and 0"},
		{"published: ragged lists", `{"timesteps":[1,0.1],"orders":[1]}`, "prediction_types: 0 for 1 orders"},
		{"published: relaxing the second derivative", `{"timesteps":[1,0.7,0.4,0.1],"orders":[1,1,3],"prediction_types":["data_prediction","data_prediction","data_prediction"],"start_points":[-1,-1,-1],
			"derivative_types":[[],[],[{"estimate":"Difference_2","active_points":[-3,-2],"relaxation":null},{"estimate":"Difference_2","active_points":[-3,-2],"relaxation":"linear"}]],
			"corrector_types":[{"type":"no_corrector"},{"type":"no_corrector"},{"type":"no_corrector"}],"afs":"no_afs"}`, "only the first derivative has one"},
		{"published: coefficients of a network", `{"timesteps":[1,0.1],"orders":[1],"prediction_types":["data_prediction"],"start_points":[-1],"derivative_types":[[]],"corrector_types":[{"type":"no_corrector"}],"skip_coefficients":[1]}`, "skip_coefficients"},
	}
	for _, tt := range tests {
		if _, err := diffusion.ParseSolverSchedule([]byte(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %q, want one with %q", tt.name, err, tt.want)
		}
	}
}

func TestUSFErrors(t *testing.T) {
	const rows = 16
	g := diffusion.Grid{Schedule: diffusion.VPLinear{}, Start: 1, End: 1e-2}
	st := statistics(t, g, rows)
	schedule := func(form diffusion.StepForm, ts ...float64) *diffusion.SolverSchedule {
		return diffusion.RepeatDecision(diffusion.Decision{Form: form, Update: diffusion.Update{Order: 2}}, false, ts...)
	}
	bound := schedule(diffusion.StepData, 1, .5, .01)
	bound.Bind(diffusion.VPLinear{})
	average := schedule(diffusion.StepV3, 1, .5, .01)
	average.First, average.Average = diffusion.FirstAverage, make([]float64, 3)
	tests := []struct {
		name string
		m    diffusion.USF
		g    diffusion.Grid
		want string
	}{
		{"no schedule", diffusion.USF{}, g, "no solver schedule"},
		{"another number of steps", diffusion.USF{Schedule: bound}, diffusion.Grid{Schedule: g.Schedule, Steps: 3}, "3 steps: the solver schedule has 2"},
		{"to zero", diffusion.USF{Schedule: bound}, diffusion.Grid{Schedule: g.Schedule, ToZero: true}, "cannot go on to σ = 0"},
		{"another end", diffusion.USF{Schedule: bound}, diffusion.Grid{Schedule: g.Schedule, Start: 1, End: .02}, "the grid ends at t = 0.02, the solver schedule at 0.01"},
		{"another start", diffusion.USF{Schedule: bound}, diffusion.Grid{Schedule: g.Schedule, Start: .9, End: .01}, "the grid starts at t = 0.9"},
		{"another spacing", diffusion.USF{Schedule: bound}, diffusion.Grid{Schedule: g.Schedule, Steps: 2, Start: 1, End: .01, Spacing: diffusion.TimeQuadratic}, "time 1 of the grid is"},
		{"another noise schedule", diffusion.USF{Schedule: bound}, diffusion.Grid{Schedule: diffusion.VPLinear{Beta0: .1, Beta1: 19}}, "made for another noise schedule: at t = 1"},
		{"no statistics", diffusion.USF{Schedule: schedule(diffusion.StepV3, 1, .01)}, g, "no statistics"},
		{"a time outside the statistics", diffusion.USF{Schedule: schedule(diffusion.StepV3, 1, .5, .005), Statistics: st}, diffusion.Grid{Schedule: g.Schedule}, "outside the statistics"},
		{"statistics too coarse for a step", diffusion.USF{Schedule: schedule(diffusion.StepV3, 1, .5, .499, .01), Statistics: st}, g, "too coarse"},
		{"a mean of another shape", diffusion.USF{Schedule: average, Statistics: st}, g, "average: 3 coordinates, the statistics have 2"},
	}
	for _, tt := range tests {
		if _, err := diffusion.Trace(tt.m, tt.g, diffusion.TraceOptions{}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %q, want one with %q", tt.name, err, tt.want)
		}
	}
	// A schedule that ends beyond the statistics may, in another form.
	mixed := schedule(diffusion.StepV3, 1, .5, .005)
	mixed.Steps[1].Form = diffusion.StepData
	if _, err := diffusion.Trace(diffusion.USF{Schedule: mixed, Statistics: st}, diffusion.Grid{Schedule: g.Schedule}, diffusion.TraceOptions{}); err != nil {
		t.Error(err)
	}
}

// TestThresholdedSchedule: a hook on data predictions is for schedules that have no
// others.
func TestThresholdedSchedule(t *testing.T) {
	p := problem[float64](t, 6, 4)
	p.Hook, _ = diffusion.StaticThreshold[float64](.5)
	s := diffusion.RepeatDecision(diffusion.Decision{Update: diffusion.Update{Order: 2, Relaxation: diffusion.RelaxDPMSolver2}}, true, times(t, p.Grid)...)
	if e := rms(solve(t, p, diffusion.USF{Schedule: s}).X, solve(t, p, diffusion.DPMSolver{}).X); e > 1e-13 {
		t.Errorf("2M with thresholding is off by %.2g", e)
	}
	s.Steps[3].Form = diffusion.StepNoise
	if _, err := diffusion.Solve(context.Background(), p, diffusion.USF{Schedule: s}); err == nil || !strings.Contains(err.Error(), "has no effect") {
		t.Errorf("error %v, want one about the hook", err)
	}
}

func TestCondition(t *testing.T) {
	d := diffusion.Decision{Update: diffusion.Update{Order: 3}}
	for _, tt := range []struct {
		name   string
		times  []float64
		lo, hi float64
	}{
		{"even steps", []float64{1, .6, .3, .1, .01}, 1, 1e3},
		{"two points almost at one place", []float64{1, .6, .6 - 1e-9, .1, .01}, 1e8, math.Inf(1)},
	} {
		c, step, err := diffusion.RepeatDecision(d, false, tt.times...).Condition(diffusion.VPLinear{})
		if err != nil || c < tt.lo || c > tt.hi || step == 0 {
			t.Errorf("%s: condition %.2g at step %d, %v", tt.name, c, step, err)
		}
	}
}

func FuzzParseSolverSchedule(f *testing.F) {
	f.Add([]byte(`{"times":[1,0.5,0.1],"steps":[{"correction":"pseudo"},{"form":"noise","order":2,"points":[[-2]],"relaxation":"linear","coefficient":0.1}],"first":"zero_x0","note":"n"}`))
	if text, err := os.ReadFile("../papers/usf-s3/cases/mixed-noise-data-6-vp.json"); err == nil {
		var c struct {
			Input struct{ Decisions json.RawMessage }
		}
		if json.Unmarshal(text, &c) == nil {
			f.Add([]byte(c.Input.Decisions))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := diffusion.ParseSolverSchedule(text)
		if err != nil {
			return
		}
		if err := s.Complete().Validate(); err != nil {
			t.Errorf("valid, but not when written out: %v", err)
		}
		again, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		back, err := diffusion.ParseSolverSchedule(again)
		if err != nil {
			t.Fatalf("%s: %v", again, err)
		}
		if !reflect.DeepEqual(back.Complete(), s.Complete()) {
			t.Errorf("%s is read back as %+v", again, back)
		}
		if len(s.Steps) > 20 {
			return
		}
		tp, err := diffusion.Trace(diffusion.USF{Schedule: s}, diffusion.Grid{Schedule: diffusion.VPLinear{}}, diffusion.TraceOptions{})
		if err == nil && tp.NFE() != s.NFE() {
			t.Errorf("%s: %d evaluations, the schedule says %d", again, tp.NFE(), s.NFE())
		}
	})
}
