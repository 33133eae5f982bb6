package diffusion

import (
	"fmt"
	"math"
)

// USF is the sampler of the unified sampling framework (Liu et al., ICLR 2024,
// section 3): every step is a Taylor expansion of an exponential integrator, of
// its own order and prediction, around any earlier point and with derivatives from
// any others. DDIM, DPM-Solver-2, 2M, UniPC and DPM-Solver-v3 are solver schedules.
//
// The grid is the schedule's: its Steps may be left 0, and its spacing and ends
// alone; other ones are an error.
type USF struct {
	Schedule   *SolverSchedule
	Statistics *Statistics // for the steps in the form [StepV3]
}

var (
	_ Stacked = USF{}
	_ Spacer  = usfColumn{}
)

// Spacing is the schedule's times.
func (m USF) Spacing() Spacing {
	if m.Schedule == nil {
		return LogSNR
	}
	return Explicit(m.Schedule.Times...)
}

// Trace writes the method down where it is alike for all coordinates.
func (m USF) Trace(t *Tracer, g Grid) error { return usfColumn{usf: m}.Trace(t, g) }

// Columns gives the method of every coordinate if steps have statistics or the
// first guess is the mean of the data.
func (m USF) Columns(Grid) ([]Method, error) {
	if err := m.Schedule.Validate(); err != nil {
		return nil, err
	}
	width := 0
	if m.Schedule.First == FirstAverage {
		width = len(m.Schedule.Average)
	}
	var tables func(int) *v3Tables
	if i := m.Schedule.has(StepV3); i >= 0 {
		if err := m.Statistics.Validate(); err != nil {
			return nil, fmt.Errorf("diffusion: solver schedule: step %d, form = %q: %w", i+1, StepV3, err)
		}
		d := len(m.Statistics.L[0])
		if width != 0 && width != d {
			return nil, fmt.Errorf("diffusion: solver schedule: average: %d coordinates, the statistics have %d", width, d)
		}
		width, tables = d, DPMSolverV3{Statistics: m.Statistics}.tables
	}
	columns := make([]Method, width)
	for i := range columns {
		c := usfColumn{usf: m, coordinate: i}
		if tables != nil {
			c.tables = tables(i)
		}
		columns[i] = c
	}
	return columns, nil
}

// NeedsStatistics says whether steps are in the form [StepV3].
func (s *SolverSchedule) NeedsStatistics() bool { return s.has(StepV3) >= 0 }

// has is the first step of that form, or −1.
func (s *SolverSchedule) has(f StepForm) int {
	for i, d := range s.Steps {
		if d.Form == f || d.Form == "" && f == StepData {
			return i
		}
	}
	return -1
}

// levels checks that the grid's levels are the schedule's.
func (m USF) levels(g Grid) ([]Level, error) {
	s := m.Schedule
	if g.Steps == 0 {
		g.Steps = len(s.Steps)
	}
	switch {
	case g.Steps != len(s.Steps):
		return nil, fmt.Errorf("diffusion: %d steps: the solver schedule has %d", g.Steps, len(s.Steps))
	case g.ToZero:
		return nil, fmt.Errorf("diffusion: a solver schedule cannot go on to σ = 0: it ends at t = %g", s.Times[len(s.Times)-1])
	}
	ls, err := g.Levels(g.Steps)
	if err != nil {
		return nil, err
	}
	if g.Start == 0 && g.End == 0 {
		g.Start, g.End = ls[0].T, ls[len(ls)-1].T
	}
	for i, l := range ls {
		want := s.Times[i]
		if i == 0 && math.Abs(g.Start-want) > sameLevelTolerance*want {
			return nil, fmt.Errorf("diffusion: the grid starts at t = %g, the solver schedule at %g", g.Start, want)
		}
		if i == len(ls)-1 && math.Abs(g.End-want) > sameLevelTolerance*want {
			return nil, fmt.Errorf("diffusion: the grid ends at t = %g, the solver schedule at %g", g.End, want)
		}
		if math.Abs(l.T-want) > sameLevelTolerance*want {
			return nil, fmt.Errorf("diffusion: time %d of the grid is %g, of the solver schedule %g", i, l.T, want)
		}
	}
	return ls, s.madeFor(ls)
}

// usfColumn is the method for one coordinate, where all is scalar.
type usfColumn struct {
	usf        USF
	coordinate int
	tables     *v3Tables // nil: no step is in the form StepV3
}

// Spacing is the schedule's times.
func (m usfColumn) Spacing() Spacing { return m.usf.Spacing() }

// A usfPoint is a point of the history with the model's answer there, in the forms
// that steps need. The answer is for the state as it was predicted, also where x
// has been corrected since.
type usfPoint struct {
	at             Level
	x              Vec
	data, noise, f Vec
	row            int // of the statistics; −1: outside
}

// Trace writes the method down for one coordinate.
func (m usfColumn) Trace(t *Tracer, g Grid) error {
	if err := m.usf.Schedule.Validate(); err != nil {
		return err
	}
	ls, err := m.usf.levels(g)
	if err != nil {
		return err
	}
	x := t.Input()
	h := []usfPoint{m.point(t, x, ls[0], m.usf.Schedule.First)}
	for i, d := range m.usf.Schedule.Complete().Steps {
		to, last := ls[i+1], i == len(m.usf.Schedule.Steps)-1
		if x, err = m.update(t, d.Form, d.Update, to, h); err != nil {
			return fmt.Errorf("diffusion: solver schedule: step %d, %w", i+1, err)
		}
		if !last || d.Correction != NoCorrection {
			x = t.Let(x)
			h = append(h, m.point(t, x, to, FirstModel))
			p := &h[len(h)-1]
			if d.Correction != NoCorrection {
				if x, err = m.update(t, d.Form, *d.Corrector, to, h); err != nil {
					return fmt.Errorf("diffusion: solver schedule: step %d, corrector %w", i+1, err)
				}
				x = t.Let(x)
				if d.Correction == ImplicitCorrection && !last {
					*p = m.point(t, x, to, FirstModel)
				}
			}
			p.x = x
		}
		x = t.Step(x, to)
	}
	t.Return(x)
	return nil
}

// point asks the model at x, or guesses.
func (m usfColumn) point(t *Tracer, x Vec, at Level, first FirstEvaluation) usfPoint {
	p := usfPoint{at: at, x: x, row: -1}
	a, s := at.Alpha, at.Sigma
	noiseOf := func(data Vec) Vec { return x.Mul(1/s).Add(-a/s, data) }
	needNoise := m.usf.Schedule.has(StepNoise) >= 0 || m.tables != nil
	eps := x // the noise behind data and f
	switch first {
	case FirstModel:
		wants := []Prediction{Data}
		if needNoise {
			wants = append(wants, Noise)
		}
		if m.usf.Schedule.has(StepData) < 0 {
			wants = wants[1:]
		}
		for i, v := range t.evalAs(x, at, wants...) {
			if wants[i] == Data {
				p.data = t.Let(v)
			} else {
				eps = v
				p.noise = v
			}
		}
	case FirstZero:
		p.noise = x
	case FirstZeroEDM:
		p.noise = x.Mul(1 / s)
	case FirstData0:
		p.data, eps = x.Mul(0), x.Mul(1/s)
		p.noise = eps
	case FirstAverage:
		// 0·x keeps the shape of the tape when the average happens to be 1.
		p.data = t.Ones().Mul(m.usf.Schedule.Average[m.coordinate]).Add(0, x)
		eps = noiseOf(p.data)
		p.noise = eps
	}
	if p.data == nil {
		p.data = t.Let(x.Mul(1/a).Add(-s/a, eps))
	}
	if m.tables != nil {
		if p.row = m.usf.Statistics.row(at.Lambda); p.row >= 0 {
			p.f = t.Let(m.tables.f(x, eps, p.row, at))
		}
	}
	if needNoise {
		p.noise = t.Let(p.noise)
	}
	return p
}

// update goes from the update's start to the level to.
func (m usfColumn) update(t *Tracer, form StepForm, u Update, to Level, h []usfPoint) (Vec, error) {
	from := h[len(h)+u.Start]
	lambda := make([]float64, len(h))
	for i, p := range h {
		lambda[i] = p.at.Lambda
	}
	step := to.Lambda - from.at.Lambda
	var x Vec
	var e []float64                // the factors of the derivatives
	var value func(p usfPoint) Vec // what is expanded
	z := step
	switch form {
	case StepV3:
		var err error
		if x, e, err = m.v3Step(t, u, to, h); err != nil {
			return nil, err
		}
		value = func(p usfPoint) Vec { return m.tables.relative(t, v3Point{p.f, p.row}, from.row) }
	case StepNoise:
		c := -to.Sigma
		x = from.x.Mul(to.Alpha/from.at.Alpha).Add(c*p1(z), from.noise)
		e = exponentialWeights(c, z, step, u.Order)
		value = func(p usfPoint) Vec { return p.noise }
	default:
		z = -step
		c := -to.Alpha
		x = from.x.Mul(to.Sigma/from.at.Sigma).Add(c*p1(z), from.data)
		e = exponentialWeights(c, z, step, u.Order)
		value = func(p usfPoint) Vec { return p.data }
	}
	center := value(from)
	for k, points := range u.Points {
		if k == 0 {
			e[0] *= u.relax(z, step)
		}
		for j, w := range derivativeWeights(u.offsets(points, lambda), k+1) {
			x = x.Add(e[k]*w, value(h[len(h)+points[j]]).Sub(center))
		}
	}
	return x, nil
}

// exponentialWeights are c·z·φ_{k+1}(z)·h^k for k = 1 to order − 1: the integrals of
// the Taylor terms against the exponential.
func exponentialWeights(c, z, h float64, order int) []float64 {
	e := make([]float64, order-1)
	for k := range e {
		e[k] = c * z * phi(z, k+2) * math.Pow(h, float64(k+1))
	}
	return e
}

// relax is the relaxation's factor.
func (u Update) relax(z, h float64) float64 {
	switch u.Relaxation {
	case RelaxLinear:
		return 1 + u.Coefficient*h
	case RelaxDPMSolver2, RelaxUniPCBH2:
		return phi(z, 1) / (2 * phi(z, 2))
	case RelaxUniPCBH1:
		return 1 / (2 * phi(z, 2))
	case RelaxHalfExp:
		return 1 + math.Expm1(z)/2
	case RelaxMinusHalfExp:
		return 1 - math.Expm1(z)/2
	}
	return 1
}

// v3Step checks that the points of an update are on different rows of the
// statistics, and gives the first-order update and the derivatives' factors.
func (m usfColumn) v3Step(t *Tracer, u Update, to Level, h []usfPoint) (Vec, []float64, error) {
	end := m.usf.Statistics.row(to.Lambda)
	if end < 0 {
		return nil, nil, fmt.Errorf("form = %q: λ = %g at t = %g is outside the statistics, %g to %g", StepV3, to.Lambda, to.T, m.usf.Statistics.LambdaT, m.usf.Statistics.Lambda0)
	}
	from := h[len(h)+u.Start]
	if from.row < 0 {
		return nil, nil, fmt.Errorf("form = %q: λ = %g at t = %g is outside the statistics, %g to %g", StepV3, from.at.Lambda, from.at.T, m.usf.Statistics.LambdaT, m.usf.Statistics.Lambda0)
	}
	if from.row >= end {
		return nil, nil, fmt.Errorf("form = %q: statistics of %d rows are too coarse: times %g and %g fall on one row", StepV3, len(m.usf.Statistics.L), from.at.T, to.T)
	}
	for _, points := range u.Points {
		for _, j := range points {
			if p := h[len(h)+j]; p.row < 0 || p.row == from.row {
				return nil, nil, fmt.Errorf("form = %q: statistics of %d rows from λ = %g to %g have no row of its own for time %g", StepV3, len(m.usf.Statistics.L), m.usf.Statistics.LambdaT, m.usf.Statistics.Lambda0, p.at.T)
			}
		}
	}
	x, e := m.tables.step(t, from.x, from.at, to, v3Point{from.f, from.row}, end, u.Order)
	return x, e, nil
}
