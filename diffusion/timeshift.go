package diffusion

import (
	"cmp"
	"fmt"
	"math"
)

// TimeShift is the time-shift sampler: Li et al., ICLR 2024 (arXiv 2305.15583),
// algorithm 1, over any method that asks the model first at the state it is given.
//
// A network has seen exact noisy data at every time; while sampling it sees its own
// results, whose noise is not what their time says. So before each step the time is
// looked up that fits: of sample b with variance v_b (unbiased, over all its
// numbers) and grid time t', within a window of h = ⌊Window/2⌋ training steps,
//
//	τ_b = argmin over τ in [t'−h, t'+h] of (v_b − σ_τ²)², the lowest where two tie.
//
// What is done with τ is the Coupling. There is no default window: the fewer the
// steps the larger, say 60 for 20 to 50 of 1000. The zero value is DDIM unshifted.
//
// It pays for a model that predicts too much noise, takes too much away and leaves
// states with too little variance for their time; an exact model gains nothing.
// Guidance and thresholding change the variance for reasons of their own, and
// mislead it.
type TimeShift struct {
	Host     Method        // what it corrects; nil: DDIM{}
	Coupling ShiftCoupling // default ShiftSource: the paper's
	Window   int           // width in training steps; 0 and 1 shift nothing
	Cutoff   int           // training steps, counted from 0: at and below it nothing is shifted
	// DataVar is the variance of the numbers of a data sample. The look-up is then
	// for σ² + α²·DataVar, what a noisy sample's variance is; the paper's 0 leaves
	// out the data.
	DataVar float64
	// TrainSteps is the number of training steps of a continuous schedule; 0: 1000.
	// A table of levels has its own.
	TrainSteps int
	// Stride is by how much ShiftCurrent lowers a shifted time, in training steps; 0:
	// by the step of the grid. The authors' code has ⌊T/(S−1)⌋ + 1 everywhere.
	Stride int
}

// ShiftCoupling is what the time-shift sampler does with the time that it found.
// Evaluations inside a step always stay where the host puts them.
type ShiftCoupling uint8

const (
	// ShiftSource is the paper's: the network is told the shifted time, and the
	// host's step goes from there to the next time of the grid.
	ShiftSource ShiftCoupling = iota
	// ShiftTarget is the authors' sampler for DDIM and PNDM: the state before a step
	// is held against times around the step's end, and the step ends at the one
	// found. The next starts from the grid again. The first step is unshifted.
	ShiftTarget
	// ShiftCurrent is the authors' sampler for ADM: as ShiftTarget, but the window is
	// around the step's start, and what it found is lowered by the step. (That code
	// also reads its table of 1 − α² in the wrong direction; not followed here.)
	ShiftCurrent
	// ShiftNetwork is the authors' sampler for DEIS: only the network is told the
	// shifted time, from the first evaluation on, with a window of ±Window.
	ShiftNetwork
	// ShiftState scales the state to the variance of its time and leaves the time:
	// the authors' "normalize variance", of use as a control. Window plays no part.
	ShiftState
)

var couplingNames = [...]string{"source", "target", "current", "network", "state"}

func (c ShiftCoupling) String() string {
	if int(c) < len(couplingNames) {
		return couplingNames[c]
	}
	return fmt.Sprintf("ShiftCoupling(%d)", uint8(c))
}

// ParseShiftCoupling reads the name that String writes.
func ParseShiftCoupling(s string) (ShiftCoupling, error) {
	for i, name := range couplingNames {
		if s == name {
			return ShiftCoupling(i), nil
		}
	}
	return 0, fmt.Errorf("diffusion: time-shift coupling %q: must be source, target, current, network or state", s)
}

const (
	leastNumbers = 16 // a sample of fewer has no variance to speak of
	fewNumbers   = 64 // below, the variance is off by a fifth and more by chance
)

// Warning is what speaks against shifting the times of samples of d numbers; "" if
// nothing does.
func (s TimeShift) Warning(d int) string {
	if d >= fewNumbers || !s.shifts() {
		return ""
	}
	return fmt.Sprintf("the variance of %d numbers is off by about %.0f %% by chance: time shift follows the noise (from %d numbers on it is reliable)",
		d, 100*math.Sqrt(2/float64(d)), fewNumbers)
}

// WithEta returns the sampler with another η of its host's.
func (s TimeShift) WithEta(eta float64) Method {
	if m, err := WithEta(s.host(), eta); err == nil {
		s.Host = m
	}
	return s
}

// Spacing is the host's.
func (s TimeShift) Spacing() Spacing {
	if h, ok := s.host().(Spacer); ok {
		return h.Spacing()
	}
	return Spacing{}
}

func (s TimeShift) host() Method {
	if s.Host == nil {
		return DDIM{}
	}
	return s.Host
}

// half is the half-width of the window.
func (s TimeShift) half() int {
	if s.Coupling == ShiftNetwork {
		return s.Window
	}
	return s.Window / 2
}

// shifts says whether any time can be shifted.
func (s TimeShift) shifts() bool { return s.half() > 0 || s.Coupling == ShiftState }

// check refuses what cannot be on any grid.
func (s TimeShift) check() error {
	switch {
	case s.Coupling > ShiftState:
		return fmt.Errorf("diffusion: time-shift coupling %d: must be 0 to %d", s.Coupling, ShiftState)
	case s.Window < 0:
		return fmt.Errorf("diffusion: time-shift window = %d: must not be negative", s.Window)
	case s.Cutoff < 0:
		return fmt.Errorf("diffusion: time-shift cutoff = %d: must not be negative", s.Cutoff)
	case !(s.DataVar >= 0) || math.IsInf(s.DataVar, 0):
		return fmt.Errorf("diffusion: data variance = %g: must not be negative", s.DataVar)
	case s.TrainSteps < 0 || s.TrainSteps == 1:
		return fmt.Errorf("diffusion: %d training steps: at least 2 are needed", s.TrainSteps)
	case s.Stride < 0:
		return fmt.Errorf("diffusion: time-shift stride = %d: must not be negative", s.Stride)
	}
	if _, ok := s.Host.(TimeShift); ok {
		return fmt.Errorf("diffusion: a time shift of a time shift")
	}
	return nil
}

// Trace writes down the host, on the grid as it is: what runs where nothing is
// shifted. Where something is depends on the state: see [SolveTimeShift].
func (s TimeShift) Trace(t *Tracer, g Grid) error {
	if err := s.check(); err != nil {
		return err
	}
	if _, err := s.table(g.Schedule); err != nil {
		return err
	}
	if h, ok := s.host().(Stacked); ok {
		if columns, err := h.Columns(g); err != nil {
			return err
		} else if len(columns) > 0 {
			return fmt.Errorf("diffusion: time shift of %T: its coefficients differ from coordinate to coordinate, which leaves none for the samples", s.Host)
		}
	}
	start, end, err := g.ends()
	if err != nil {
		return err
	}
	if start < end {
		return fmt.Errorf("diffusion: time shift from t = %g to %g: runs from noise to data", start, end)
	}
	if err := s.host().Trace(t, g); err != nil || t.err != nil {
		return err
	}
	if _, err := t.tape.evalCuts(); err != nil {
		return fmt.Errorf("diffusion: time shift of %T: %w", s.host(), err)
	}
	return nil
}

// evalCuts finds where each step asks the model at the state it is given: there a
// tape can be cut and go on with another time.
func (tp *Tape) evalCuts() ([]int, error) {
	cuts := make([]int, len(tp.Marks))
	pc := 0
	for k := range cuts {
		x := tp.Inputs[0]
		if k > 0 {
			x = tp.Marks[k-1].X
		}
		for pc < len(tp.Code) && (tp.Code[pc].Op != OpEval || tp.Code[pc].Src != x) {
			pc++
		}
		if pc == len(tp.Code) {
			return nil, fmt.Errorf("step %d does not ask the model at the state it starts from, so there is no time to shift", k+1)
		}
		cuts[k] = pc
	}
	return cuts, nil
}

// unordered says whether the host's steps may start anywhere, also below their end:
// those that need no levels but their two ends, and no noise.
func (s TimeShift) unordered() bool {
	if s.Coupling == ShiftNetwork { // of which the host does not hear
		return true
	}
	switch h := s.host().(type) {
	case DDIM:
		return h.Eta == 0
	case PNDM:
		return !h.VariableStep
	}
	return false
}

// A timeTable counts times in training steps.
type timeTable struct {
	schedule Schedule
	index    func(t float64) float64
	timeOf   func(index float64) float64
	last     float64
	dataVar  float64
}

// table counts the schedule's times.
func (s TimeShift) table(sch Schedule) (*timeTable, error) {
	if sch == nil {
		return nil, fmt.Errorf("diffusion: the grid has no schedule")
	}
	_, hi := sch.Range()
	tb := &timeTable{schedule: sch, dataVar: s.DataVar}
	if d, ok := sch.(interface {
		Index(t float64) float64
		TimeOf(index float64) float64
	}); ok {
		tb.index, tb.timeOf = d.Index, d.TimeOf
	} else {
		n := float64(cmp.Or(s.TrainSteps, 1000))
		tb.index = func(t float64) float64 { return t/hi*n - 1 }
		tb.timeOf = func(i float64) float64 { return (i + 1) / n * hi }
	}
	tb.last = tb.at(hi)
	if lo, hi := tb.variance(sch.At(tb.timeOf(0))), tb.variance(sch.At(tb.timeOf(tb.last))); !(lo < hi) {
		return nil, fmt.Errorf("diffusion: data variance = %g: the variance of noisy data must grow with time, and goes from %.4g to %.4g", s.DataVar, lo, hi)
	}
	return tb, nil
}

// at is the index of a time, whole where only rounding keeps it from being so.
func (tb *timeTable) at(t float64) float64 {
	u := tb.index(t)
	if r := math.Round(u); math.Abs(u-r) < 1e-9*tb.last {
		return r
	}
	return u
}

// variance is what a noisy sample's should be.
func (tb *timeTable) variance(l Level) float64 {
	return l.Sigma*l.Sigma + l.Alpha*l.Alpha*tb.dataVar
}
