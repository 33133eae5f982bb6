// Package search finds solver schedules for one model and one number of
// evaluations: the S³ of Liu et al., ICLR 2024 (arXiv 2312.07243), on the sampler
// [diffusion.USF]. A [Space] says what schedules there are and how to change them,
// a [Scorer] what one is worth, and package evo searches.
package search

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/assay-lab/assay/diffusion"
)

// A Space is the solver schedules of exactly NFE evaluations on a noise schedule.
// Its rates are those of the authors' code, with wider steps in time and relaxation.
type Space struct {
	Noise      diffusion.Schedule
	NFE        int
	Start, End float64 // times; both 0: the noise schedule's range
	// EndTo > 0 lets the last time vary between End and EndTo. Leave it 0 where scores
	// compare with a truth at End.
	EndTo    float64
	V3       bool // steps may use statistics of the model
	Average  bool // the first evaluation may be guessed as the mean of the data
	NoGuess  bool // the first evaluation is always the model's
	Implicit bool // correctors may evaluate again
	// Uniform is the control: one order, form and corrector for all steps, and no
	// guess; only times differ.
	Uniform bool

	TimeSigma  float64 // relative change of a time; 0: 0.08
	RelaxSigma float64 // change of a relaxation's coefficient; 0: 0.1
}

// A Schedule is a candidate: a complete solver schedule that [Space] made.
type Schedule = *diffusion.SolverSchedule

// rate is the authors' probability of changing each decision.
const rate = .3

// minGap is the least step, relative to the time it starts from.
const minGap = 1e-3

// Validate reports the first thing wrong with the space.
func (sp Space) Validate() error {
	if sp.Noise == nil {
		return errors.New("search: no noise schedule")
	}
	start, end := sp.ends()
	switch {
	case sp.NFE < 1 || sp.NFE > 100:
		return fmt.Errorf("search: NFE = %d: must be 1 to 100", sp.NFE)
	case !(end > 0) || !(start > end):
		return fmt.Errorf("search: from t = %g to %g: times must be positive and fall", start, end)
	case sp.EndTo != 0 && !(sp.EndTo > end && sp.EndTo < start):
		return fmt.Errorf("search: last time up to %g: must be between %g and %g", sp.EndTo, end, start)
	case !(sp.TimeSigma >= 0) || !(sp.RelaxSigma >= 0):
		return fmt.Errorf("search: time sigma = %g, relaxation sigma = %g: must not be negative", sp.TimeSigma, sp.RelaxSigma)
	}
	return nil
}

func (sp Space) ends() (start, end float64) {
	if sp.Start == 0 && sp.End == 0 {
		end, start = sp.Noise.Range()
		return start, end
	}
	return sp.Start, sp.End
}

// Baselines are the standard solvers of the budget, to start from: three spacings,
// orders 1 to 3, data and noise form (and v3 if allowed), with and without
// correctors; 36 without v3. Orders fall towards the end.
func (sp Space) Baselines() ([]Schedule, error) {
	if err := sp.Validate(); err != nil {
		return nil, err
	}
	start, end := sp.ends()
	forms := []diffusion.StepForm{diffusion.StepNoise, diffusion.StepData}
	if sp.V3 {
		forms = append(forms, diffusion.StepV3)
	}
	var all []Schedule
	for _, spacing := range []diffusion.Spacing{diffusion.LogSNR, diffusion.TimeUniform, diffusion.TimeQuadratic} {
		g := diffusion.Grid{Schedule: sp.Noise, Steps: sp.NFE, Start: start, End: end, Spacing: spacing}
		ls, err := g.Levels(sp.NFE)
		if err != nil {
			return nil, err
		}
		times := make([]float64, len(ls))
		for i, l := range ls {
			times[i] = l.T
		}
		for order := 1; order <= min(3, max(sp.NFE, 1)); order++ {
			for _, form := range forms {
				for _, c := range []diffusion.Correction{diffusion.NoCorrection, diffusion.PseudoCorrection} {
					d := diffusion.Decision{Form: form, Update: diffusion.Update{Order: order}, Correction: c}
					all = append(all, diffusion.RepeatDecision(d, true, times...).Complete())
				}
			}
		}
	}
	return all, nil
}

// Mutate is a changed copy, of the same number of evaluations.
func (sp Space) Mutate(r *rand.Rand, s Schedule) Schedule {
	c := s.Complete()
	if sp.Uniform {
		sp.mutateUniform(r, c)
		return c
	}
	if r.Float64() < rate {
		c.First = sp.first(r)
	}
	if r.Float64() < .2 && len(c.Steps) > 1 { // a step elsewhere
		sp.remove(r, c)
		sp.insert(r, c)
	}
	for i := range c.Steps {
		sp.mutateStep(r, &c.Steps[i], i, i == len(c.Steps)-1)
	}
	sp.fit(r, c)
	sp.mutateTimes(r, c)
	return c
}

// first draws a first evaluation: .3 the model, the rest guesses.
func (sp Space) first(r *rand.Rand) diffusion.FirstEvaluation {
	u := r.Float64()
	switch {
	case sp.NoGuess || u < .3 || !sp.Average && u < .5:
		return diffusion.FirstModel
	case u < .6 || !sp.Average:
		return diffusion.FirstZero
	}
	return diffusion.FirstAverage
}

// mutateTimes moves the inner times, and the last one if it may.
func (sp Space) mutateTimes(r *rand.Rand, c Schedule) {
	sigma := sp.TimeSigma
	if sigma == 0 {
		sigma = .08
	}
	start, end := sp.ends()
	n := len(c.Times) - 1
	for i := 1; i < n; i++ {
		if r.Float64() < rate {
			c.Times[i] *= 1 + sigma*r.NormFloat64()
		}
	}
	if sp.EndTo > 0 && r.Float64() < rate {
		c.Times[n] = end + (sp.EndTo-end)*r.Float64()
	}
	c.Times[0] = start
	sp.arrange(c.Times)
}

// arrange sorts times down and keeps them apart, between the ends.
func (sp Space) arrange(ts []float64) {
	n := len(ts) - 1
	start, end := ts[0], ts[n]
	inner := ts[1:n]
	slices.SortFunc(inner, func(a, b float64) int {
		if a > b {
			return -1
		} else if a < b {
			return 1
		}
		return 0
	})
	for i := 1; i < n; i++ { // room below every time for those after it
		ts[i] = min(ts[i], ts[i-1]*(1-minGap))
	}
	low := end
	for i := n - 1; i > 0; i-- {
		if low *= 1 + 1.1*minGap; ts[i] < low {
			ts[i] = low
		} else {
			break
		}
	}
	ts[0] = start
}

// mutateStep changes the decisions of the i-th step.
func (sp Space) mutateStep(r *rand.Rand, d *diffusion.Decision, i int, last bool) {
	if r.Float64() < rate {
		d.Order = sp.order(r, i)
		shape(d, i, fewPoints(*d))
	}
	if r.Float64() < rate {
		d.Form = sp.form(r)
	}
	if d.Order > 1 && r.Float64() < rate {
		shape(d, i, r.IntN(2) == 0)
	}
	if d.Order > 1 && r.Float64() < rate {
		sigma := sp.RelaxSigma
		if sigma == 0 {
			sigma = .1
		}
		if d.Relaxation != diffusion.RelaxLinear {
			d.Relaxation, d.Coefficient = diffusion.RelaxLinear, 0
		}
		d.Coefficient += sigma * r.NormFloat64()
	}
	if r.Float64() < rate {
		d.Correction = sp.correction(r)
	}
	sp.settle(d, i, last)
}

// order draws an order for the i-th step.
func (sp Space) order(r *rand.Rand, i int) int {
	u, order := r.Float64(), 4
	for k, p := range []float64{.2, .4, .3} {
		if u < p {
			order = k + 1
			break
		}
		u -= p
	}
	return min(order, i+1)
}

func (sp Space) form(r *rand.Rand) diffusion.StepForm {
	forms := []diffusion.StepForm{diffusion.StepNoise, diffusion.StepData, diffusion.StepV3}
	if !sp.V3 {
		forms = forms[:2]
	}
	return forms[r.IntN(len(forms))]
}

func (sp Space) correction(r *rand.Rand) diffusion.Correction {
	all := []diffusion.Correction{diffusion.NoCorrection, diffusion.PseudoCorrection, diffusion.ImplicitCorrection}
	if !sp.Implicit {
		all = all[:2]
	}
	return all[r.IntN(len(all))]
}

// fewPoints says whether the first derivative is estimated from one point.
func fewPoints(d diffusion.Decision) bool { return len(d.Points) > 1 && len(d.Points[0]) == 1 }

// shape sets the points that go with the order: consecutive ones, for the first
// derivative only one if few is set.
func shape(d *diffusion.Decision, i int, few bool) {
	d.Order = min(d.Order, i+1)
	u := diffusion.Update{Order: d.Order, Relaxation: d.Relaxation, Coefficient: d.Coefficient}
	if u.Order == 1 {
		u.Relaxation, u.Coefficient = diffusion.NoRelaxation, 0
	}
	one := diffusion.SolverSchedule{Steps: []diffusion.Decision{{Form: d.Form, Update: u}}}
	d.Update = one.Complete().Steps[0].Update
	if few && d.Order > 2 {
		d.Points[0] = d.Points[0][:1]
	}
}

// settle makes a step consistent with its place: a corrector that follows from the
// predictor, none at the end.
func (sp Space) settle(d *diffusion.Decision, i int, last bool) {
	if d.Order > i+1 {
		shape(d, i, fewPoints(*d))
	}
	d.Corrector = nil
	if last {
		d.Correction = diffusion.NoCorrection
	}
	if d.Correction == diffusion.NoCorrection {
		return
	}
	one := diffusion.SolverSchedule{Steps: []diffusion.Decision{*d}}
	d.Corrector = one.Complete().Steps[0].Corrector
}

// fit inserts and removes steps until the schedule has the budget's evaluations, and
// settles all steps in their places.
func (sp Space) fit(r *rand.Rand, c Schedule) {
	for {
		for i := range c.Steps {
			sp.settle(&c.Steps[i], i, i == len(c.Steps)-1)
		}
		switch n := c.NFE(); {
		case n == sp.NFE:
			return
		case n < sp.NFE:
			sp.insert(r, c)
		case len(c.Steps) > 1:
			sp.remove(r, c)
		default: // one step with a corrector that evaluates
			c.Steps[0].Correction = diffusion.NoCorrection
		}
	}
}

// insert adds a step with an end drawn evenly in λ.
func (sp Space) insert(r *rand.Rand, c Schedule) {
	n := len(c.Times) - 1
	first, last := sp.Noise.At(c.Times[0]).Lambda, sp.Noise.At(c.Times[n]).Lambda
	t := sp.Noise.Time(first + (last-first)*r.Float64())
	t = min(max(t, c.Times[n]), c.Times[0])
	i := 1
	for i < n && c.Times[i] > t {
		i++
	}
	c.Times = slices.Insert(c.Times, i, t)
	d := diffusion.Decision{Form: sp.form(r), Update: diffusion.Update{Order: sp.order(r, i-1)}, Correction: sp.correction(r)}
	shape(&d, i-1, r.IntN(2) == 0)
	c.Steps = slices.Insert(c.Steps, i-1, d)
	sp.arrange(c.Times)
}

// remove takes out an inner time and one of the steps at it.
func (sp Space) remove(r *rand.Rand, c Schedule) {
	i := 1 + r.IntN(len(c.Steps)-1)
	c.Times = slices.Delete(c.Times, i, i+1)
	i -= r.IntN(2)
	c.Steps = slices.Delete(c.Steps, i, i+1)
}

// mutateUniform changes the times and the decision that all steps share.
func (sp Space) mutateUniform(r *rand.Rand, c Schedule) {
	d := shared(c)
	if r.Float64() < rate {
		d.Order = sp.order(r, len(c.Steps)-1)
	}
	if r.Float64() < rate {
		d.Form = sp.form(r)
	}
	if r.Float64() < rate {
		d.Correction = sp.correction(r)
	}
	sp.mutateTimes(r, c)
	*c = *diffusion.RepeatDecision(d, true, c.Times...).Complete()
}

// shared is the decision that a uniform schedule repeats.
func shared(c Schedule) diffusion.Decision {
	d := diffusion.Decision{Form: c.Steps[0].Form, Correction: c.Steps[0].Correction}
	for _, s := range c.Steps {
		d.Order = max(d.Order, s.Order)
	}
	return d
}

// Cross is a child of two: times, forms, orders with their points, correctors and the
// first evaluation each from one parent, and with probability ½ forms and orders
// mixed step by step. Parents of different lengths give a copy of one.
func (sp Space) Cross(r *rand.Rand, a, b Schedule) Schedule {
	a, b = a.Complete(), b.Complete()
	pick := func() Schedule {
		if r.IntN(2) == 0 {
			return a
		}
		return b
	}
	times := pick()
	if len(a.Steps) != len(b.Steps) {
		return times
	}
	if sp.Uniform {
		return diffusion.RepeatDecision(shared(pick()), true, times.Times...).Complete()
	}
	c := &diffusion.SolverSchedule{Times: times.Times, First: pick().First, Steps: make([]diffusion.Decision, len(times.Steps))}
	forms, orders, corrections := pick(), pick(), pick()
	deep := r.IntN(2) == 0
	for i := range c.Steps {
		if deep {
			forms = pick()
			orders = forms
		}
		d := &c.Steps[i]
		d.Form, d.Update, d.Correction = forms.Steps[i].Form, orders.Steps[i].Update, corrections.Steps[i].Correction
	}
	c = c.Complete() // of its own memory
	sp.fit(r, c)
	return c
}

// perStep is the number of features of a step.
const perStep = 16

// Features describes a schedule by numbers, as many for all of the space: those of
// [Space.StepFeatures] from the last step to the first, and of the first evaluation.
func (sp Space) Features(s Schedule) []float64 {
	f := make([]float64, 0, (sp.NFE+1)*perStep+2)
	steps := sp.StepFeatures(s)
	for i := range sp.NFE + 1 {
		if k := len(steps) - 1 - i; k >= 0 {
			f = append(f, steps[k]...)
		} else {
			f = append(f, make([]float64, perStep)...)
		}
	}
	return append(f, flag(s.First == diffusion.FirstZero), flag(s.First == diffusion.FirstAverage))
}

// StepFeatures describes every step: where it goes, how far, and its decisions.
func (sp Space) StepFeatures(s Schedule) [][]float64 {
	start, end := sp.ends()
	first, last := sp.Noise.At(start).Lambda, sp.Noise.At(end).Lambda
	from := sp.Noise.At(s.Times[0]).Lambda
	rows := make([][]float64, len(s.Steps))
	for i, d := range s.Steps {
		to := sp.Noise.At(s.Times[i+1]).Lambda
		h := (to - from) / (last - first)
		row := []float64{1, (to - first) / (last - first), h, math.Log(h)}
		for k := 1; k <= 4; k++ {
			row = append(row, flag(d.Order == k))
		}
		row = append(row, flag(d.Form == diffusion.StepNoise), flag(d.Form == diffusion.StepData), flag(d.Form == diffusion.StepV3),
			d.Coefficient*(to-from), flag(fewPoints(d)), flag(d.Correction == diffusion.PseudoCorrection), flag(d.Correction == diffusion.ImplicitCorrection),
			flag(i == 0 && s.First != diffusion.FirstModel))
		rows[i] = row
		from = to
	}
	return rows
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
