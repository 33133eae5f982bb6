package diffusion

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"
)

// A SolverSchedule is a sampler of the unified sampling framework of Liu et al.
// 2024 (arXiv 2312.07243): where it steps, and for every step by which update.
// [USF] runs it; its JSON form is the file that [ParseSolverSchedule] reads.
type SolverSchedule struct {
	Times []float64  `json:"times"` // of the grid points, falling
	Steps []Decision `json:"steps"` // one fewer than times
	// First replaces the first evaluation by a guess.
	First   FirstEvaluation `json:"first,omitempty"`
	Average []float64       `json:"average,omitempty"` // the mean of the data, for FirstAverage
	// Alpha and Sigma are the noise schedule's at Times: the schedule that the steps
	// were made for. [USF] refuses another one. Empty: any will do.
	Alpha []float64 `json:"alpha,omitempty"`
	Sigma []float64 `json:"sigma,omitempty"`
	Note  string    `json:"note,omitempty"` // where it comes from, for people
}

// A Decision is one step.
type Decision struct {
	Form       StepForm `json:"form,omitempty"` // default StepData
	Update              // the predictor
	Correction `json:"correction,omitempty"`
	// Corrector is the corrector's update, its points counted with the new one as
	// −1. Default: the predictor's with the new point added to every derivative,
	// one derivative more, and no relaxation.
	Corrector *Update `json:"corrector,omitempty"`
}

// An Update is a Taylor expansion around one point of the history, with
// derivatives estimated from others. Points are counted from the newest, −1, back.
type Update struct {
	Order int `json:"order,omitempty"` // 1 to 4, of a corrector to 5; 0: 1
	Start int `json:"start,omitempty"` // the expansion point; 0: −1
	// Points[k−1] are the points that, with Start, give the k-th derivative: at least
	// k. nil: for every derivative the Order−1 newest other than Start.
	Points      [][]int    `json:"points,omitempty"`
	Relaxation  Relaxation `json:"relaxation,omitempty"`  // of the first derivative
	Coefficient float64    `json:"coefficient,omitempty"` // of RelaxLinear
}

// A StepForm is the prediction that a step expands.
type StepForm string

// The forms.
const (
	StepData  StepForm = "data"
	StepNoise StepForm = "noise"
	StepV3    StepForm = "v3" // DPM-Solver-v3's, by statistics of the model
)

// A Correction says what happens at a new point once it has been evaluated.
type Correction string

// The corrections.
const (
	NoCorrection Correction = ""
	// PseudoCorrection updates the state and keeps the evaluation at the predicted one.
	PseudoCorrection Correction = "pseudo"
	// ImplicitCorrection evaluates again at the corrected state.
	ImplicitCorrection Correction = "implicit"
)

// A Relaxation is a factor of the first derivative's term. With h the step in λ
// and z = −h for the data form, h for the others, it is:
type Relaxation string

// The relaxations.
const (
	NoRelaxation       Relaxation = ""            // 1
	RelaxLinear        Relaxation = "linear"      // 1 + Coefficient·h
	RelaxDPMSolver2    Relaxation = "dpmsolver-2" // (z/2)·(e^z − 1)/(e^z − 1 − z): the midpoint rule of DPM-Solver-2 and 2M
	RelaxUniPCBH1      Relaxation = "unipc-bh1"   // (z²/2)/(e^z − 1 − z): UniPC of order 2 with B(h) = h
	RelaxUniPCBH2      Relaxation = "unipc-bh2"   // as dpmsolver-2: B(h) = e^h − 1
	RelaxHalfExp       Relaxation = "0.5exp"      // 1 + (e^z − 1)/2
	RelaxMinusHalfExp  Relaxation = "-0.5exp"     // 1 − (e^z − 1)/2
	maxPredictorOrder             = 4
	maxSolverSteps                = 1000
	sameLevelTolerance            = 1e-6
)

var (
	stepForms   = []StepForm{StepData, StepNoise, StepV3}
	corrections = []Correction{NoCorrection, PseudoCorrection, ImplicitCorrection}
	relaxations = []Relaxation{NoRelaxation, RelaxLinear, RelaxDPMSolver2, RelaxUniPCBH1, RelaxUniPCBH2, RelaxHalfExp, RelaxMinusHalfExp}
)

// A FirstEvaluation is what stands for the model's answer at the start state x.
// A guess saves one evaluation: "analytical first step".
type FirstEvaluation string

// The first evaluations. The authors' two branches differ in what they call a zero.
const (
	FirstModel   FirstEvaluation = ""             // ask the model
	FirstZero    FirstEvaluation = "zero_x0"      // ε = x: the authors' ScoreSDE branch
	FirstZeroEDM FirstEvaluation = "zero_x0_edm"  // ε = x/σ for noise steps and ε = x for the others: their EDM branch
	FirstData0   FirstEvaluation = "zero_x0_data" // x₀ = 0 and ε = x/σ, what the name says
	FirstAverage FirstEvaluation = "average_x0"   // x₀ = Average and ε = (x − α·x₀)/σ
)

var firsts = []FirstEvaluation{FirstModel, FirstZero, FirstZeroEDM, FirstData0, FirstAverage}

// NFE is the number of evaluations: one a step, one fewer for a guessed start, one
// more for every implicit correction. Correcting the last step takes one too.
func (s *SolverSchedule) NFE() int {
	n := len(s.Steps)
	if s.First != FirstModel {
		n--
	}
	for i, d := range s.Steps {
		last := i == len(s.Steps)-1
		if d.Correction == ImplicitCorrection || last && d.Correction != NoCorrection {
			n++
		}
	}
	return n
}

// RepeatDecision is the schedule that decides alike at every step: a multistep
// solver. Orders are at most the number of points that exist and, if lowerFinal is
// set, of steps left; the last step has no corrector. The decision's points are the
// default ones.
func RepeatDecision(d Decision, lowerFinal bool, times ...float64) *SolverSchedule {
	n := max(len(times)-1, 0)
	s := &SolverSchedule{Times: times, Steps: make([]Decision, n)}
	for i := range s.Steps {
		e := d
		e.Points = nil
		e.Order = min(max(d.Order, 1), i+1)
		if lowerFinal {
			e.Order = min(e.Order, n-i)
		}
		if e.Order == 1 {
			e.Relaxation, e.Coefficient = NoRelaxation, 0
		}
		if i == n-1 {
			e.Correction, e.Corrector = NoCorrection, nil
		}
		s.Steps[i] = e
	}
	return s
}

// Complete is the schedule with every default written out. It shares no memory
// with s but Average.
func (s *SolverSchedule) Complete() *SolverSchedule {
	c := *s
	c.Times, c.Alpha, c.Sigma = slices.Clone(s.Times), cloneOrNil(s.Alpha), cloneOrNil(s.Sigma)
	if len(s.Average) == 0 {
		c.Average = nil
	}
	c.Steps = slices.Clone(s.Steps)
	for i := range c.Steps {
		d := &c.Steps[i]
		if d.Form == "" {
			d.Form = StepData
		}
		d.Update = d.Update.complete()
		switch {
		case d.Correction == NoCorrection:
			d.Corrector = nil
		case d.Corrector == nil:
			u := d.Update.corrector()
			d.Corrector = &u
		default:
			u := d.Corrector.complete()
			d.Corrector = &u
		}
	}
	return &c
}

func (u Update) complete() Update {
	if u.Order == 0 {
		u.Order = 1
	}
	if u.Start == 0 {
		u.Start = -1
	}
	if len(u.Points) > 0 || u.Order > maxPredictorOrder+1 {
		u.Points = slices.Clone(u.Points)
		for k := range u.Points {
			u.Points[k] = slices.Clone(u.Points[k])
		}
		return u
	}
	u.Points = nil
	var newest []int
	for p := -1; len(newest) < u.Order-1; p-- {
		if p != u.Start {
			newest = append(newest, p)
		}
	}
	for range u.Order - 1 {
		u.Points = append(u.Points, slices.Clone(newest))
	}
	return u
}

// corrector is the default corrector of a complete predictor.
func (u Update) corrector() Update {
	c := Update{Order: u.Order + 1, Start: u.Start - 1}
	for k := range u.Order {
		var points []int
		if len(u.Points) > 0 {
			for _, p := range u.Points[min(k, len(u.Points)-1)] {
				points = append(points, p-1)
			}
		}
		c.Points = append(c.Points, append(points, -1))
	}
	return c
}

func cloneOrNil(x []float64) []float64 {
	if len(x) == 0 {
		return nil
	}
	return slices.Clone(x)
}

// Validate reports the first thing wrong with the schedule, by step (from 1) and field.
func (s *SolverSchedule) Validate() error {
	if s == nil {
		return fmt.Errorf("diffusion: no solver schedule")
	}
	bad := func(format string, args ...any) error {
		return fmt.Errorf("diffusion: solver schedule: "+format, args...)
	}
	n := len(s.Steps)
	switch {
	case n < 1 || n > maxSolverSteps:
		return bad("%d steps: must be 1 to %d", n, maxSolverSteps)
	case len(s.Times) != n+1:
		return bad("times: %d for %d steps, want %d", len(s.Times), n, n+1)
	case !slices.Contains(firsts, s.First):
		return bad("first = %q: must be one of %q", s.First, firsts[1:])
	case s.First == FirstAverage && len(s.Average) == 0:
		return bad("average: the mean of the data is needed for first = %q", s.First)
	case len(s.Alpha) != len(s.Sigma) || len(s.Alpha) != 0 && len(s.Alpha) != n+1:
		return bad("alpha and sigma: %d and %d for %d times", len(s.Alpha), len(s.Sigma), n+1)
	case s.NFE() < 1:
		return bad("first = %q: one step needs no evaluation then", s.First)
	}
	for i, t := range s.Times {
		if !(t > 0) || math.IsInf(t, 0) {
			return bad("times[%d] = %g: must be positive", i, t)
		}
		if i > 0 && t >= s.Times[i-1] {
			return bad("times[%d] = %g after %g: times must fall", i, t, s.Times[i-1])
		}
	}
	for _, list := range []struct {
		name string
		x    []float64
	}{{"average", s.Average}, {"alpha", s.Alpha}, {"sigma", s.Sigma}} {
		for i, v := range list.x {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return bad("%s[%d] = %g: must be finite", list.name, i, v)
			}
		}
	}
	for i, d := range s.Complete().Steps {
		if err := d.validate(i); err != nil {
			return bad("step %d, %w", i+1, err)
		}
	}
	return nil
}

// validate checks a complete step that i others precede.
func (d Decision) validate(i int) error {
	switch {
	case !slices.Contains(stepForms, d.Form):
		return fmt.Errorf("form = %q: must be one of %q", d.Form, stepForms)
	case !slices.Contains(corrections, d.Correction):
		return fmt.Errorf("correction = %q: must be one of %q", d.Correction, corrections[1:])
	}
	if err := d.Update.validate(i+1, maxPredictorOrder); err != nil {
		return err
	}
	if d.Corrector == nil {
		return nil
	}
	if err := d.Corrector.validate(i+2, maxPredictorOrder+1); err != nil {
		return fmt.Errorf("corrector %w", err)
	}
	return nil
}

// validate checks a complete update that may use that many points.
func (u Update) validate(history, maxOrder int) error {
	switch {
	case u.Order < 1 || u.Order > maxOrder:
		return fmt.Errorf("order = %d: must be 1 to %d", u.Order, maxOrder)
	case u.Order > history:
		return fmt.Errorf("order = %d: only %d points exist by then", u.Order, history)
	case u.Start > -1 || u.Start < -history:
		return fmt.Errorf("start = %d: must be −1 to −%d, the points that exist by then", u.Start, history)
	case len(u.Points) != u.Order-1:
		return fmt.Errorf("points: for %d derivatives, order %d has %d", len(u.Points), u.Order, u.Order-1)
	case !slices.Contains(relaxations, u.Relaxation):
		return fmt.Errorf("relaxation = %q: must be one of %q", u.Relaxation, relaxations[1:])
	case u.Relaxation != NoRelaxation && u.Order == 1:
		return fmt.Errorf("relaxation = %q: order 1 has no derivative to relax", u.Relaxation)
	case math.IsNaN(u.Coefficient) || math.IsInf(u.Coefficient, 0):
		return fmt.Errorf("coefficient = %g: must be finite", u.Coefficient)
	case u.Coefficient != 0 && u.Relaxation != RelaxLinear:
		return fmt.Errorf("coefficient = %g: only the relaxation %q has one", u.Coefficient, RelaxLinear)
	}
	for k, points := range u.Points {
		if len(points) < k+1 || len(points) > maxOrder-1 {
			return fmt.Errorf("points[%d]: %d of them: derivative %d takes %d to %d", k, len(points), k+1, k+1, maxOrder-1)
		}
		for j, p := range points {
			switch {
			case p > -1 || p < -history:
				return fmt.Errorf("points[%d] has %d: must be −1 to −%d, the points that exist by then", k, p, history)
			case p == u.Start:
				return fmt.Errorf("points[%d] has %d, which is the start", k, p)
			case slices.Contains(points[:j], p):
				return fmt.Errorf("points[%d] has %d twice", k, p)
			}
		}
	}
	return nil
}

// Bind notes the noise schedule that the steps are made for.
func (s *SolverSchedule) Bind(noise Schedule) {
	s.Alpha, s.Sigma = make([]float64, len(s.Times)), make([]float64, len(s.Times))
	for i, t := range s.Times {
		l := noise.At(t)
		s.Alpha[i], s.Sigma[i] = l.Alpha, l.Sigma
	}
}

// madeFor refuses levels of a noise schedule other than the one in Alpha and Sigma.
func (s *SolverSchedule) madeFor(ls []Level) error {
	for i := range s.Alpha {
		a, b := s.Alpha[i], s.Sigma[i]
		if l := ls[i]; math.Abs(l.Alpha-a) > sameLevelTolerance*math.Abs(a) || math.Abs(l.Sigma-b) > sameLevelTolerance*math.Abs(b) {
			return fmt.Errorf("diffusion: the solver schedule was made for another noise schedule: at t = %g it has α = %.6g and σ = %.6g, this one %.6g and %.6g",
				l.T, a, b, l.Alpha, l.Sigma)
		}
	}
	return nil
}

// Condition is the largest condition number among the systems that give the
// derivatives their weights, and the step (from 1) that has it. Beyond 10⁸, from
// points very near to each other, rounding shows.
func (s *SolverSchedule) Condition(noise Schedule) (worst float64, step int, err error) {
	if err := s.Validate(); err != nil {
		return 0, 0, err
	}
	lambda := make([]float64, len(s.Times))
	for i, t := range s.Times {
		lambda[i] = noise.At(t).Lambda
	}
	worst = 1
	for i, d := range s.Complete().Steps {
		look := func(u Update, history []float64) {
			for _, points := range u.Points {
				if c := weightCondition(u.offsets(points, history)); c > worst {
					worst, step = c, i+1
				}
			}
		}
		look(d.Update, lambda[:i+1])
		if d.Corrector != nil {
			look(*d.Corrector, lambda[:i+2])
		}
	}
	return worst, step, nil
}

// offsets are the distances in λ of points from the start.
func (u Update) offsets(points []int, history []float64) []float64 {
	d := make([]float64, len(points))
	for j, p := range points {
		d[j] = history[len(history)+p] - history[len(history)+u.Start]
	}
	return d
}

// weightCondition is the condition number of the system of [DerivativeWeights].
func weightCondition(d []float64) float64 {
	a := mat.NewDense(len(d), len(d), nil)
	fact := 1.0
	for i := range d {
		fact *= float64(i + 1)
		for j := range d {
			a.Set(i, j, math.Pow(d[j], float64(i+1))/fact)
		}
	}
	return mat.Cond(a, 2)
}
