package diffusion

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
)

// A Shifted is a solution and the times that it took instead of the grid's.
type Shifted[T Float] struct {
	Solution[T]
	Steps []ShiftedStep
}

// A ShiftedStep is one step, sample by sample.
type ShiftedStep struct {
	Grid            [2]Level   // what the grid has for its start and its end
	Index           [2]float64 // these in training steps, from 0
	Asked, From, To []Level    // what the network was told, and where the step started and ended
	Variance        []float64  // of the state before the step
}

// Share is the share of (sample, step) pairs of which any time is not the grid's.
func (s Shifted[T]) Share() float64 {
	shifted, all := 0, 0
	for _, st := range s.Steps {
		for b := range st.Asked {
			all++
			if st.Asked[b] != st.Grid[0] || st.From[b] != st.Grid[0] || st.To[b] != st.Grid[1] {
				shifted++
			}
		}
	}
	return float64(shifted) / float64(max(all, 1))
}

// SolveTimeShift runs the time-shift sampler. Each step is a slice of the host's
// tape, traced again for every level that a sample takes and stacked over the batch;
// stored predictions go on as they are, at the levels they were asked at.
//
// A host that only goes forward (all but DDIM with η = 0 and PNDM with published
// weights) gets a window that is cut to the levels between its neighbours.
// Solution.NFE is the host's, and Solution.Tape the host's on the unshifted grid.
func SolveTimeShift[T Float](ctx context.Context, p Problem[T], s TimeShift) (Shifted[T], error) {
	var none Shifted[T]
	r, err := newShiftRun(p, s)
	if err != nil {
		return none, err
	}
	regs := [][]T{p.X}
	for k := range r.steps() {
		step, err := r.times(k, regs[r.state(k)])
		if err != nil {
			return none, err
		}
		if s.Coupling == ShiftState {
			regs = slices.Clone(regs)
			regs[r.state(k)] = r.rescale(k, regs[r.state(k)], step)
		}
		tape, err := r.segment(k, step)
		if err != nil {
			return none, err
		}
		env := Env[T]{Model: r.model, Noise: p.Noise, Hook: p.Hook}
		if regs, err = Run(ctx, tape, env, p.N, regs...); err != nil {
			return none, r.inStep(k, err)
		}
		r.done = append(r.done, step)
		if p.OnStep != nil {
			if err := p.OnStep(Step[T]{Index: k, Of: r.steps(), Level: step.Grid[1], X: regs[r.state(k+1)]}); err != nil {
				return none, err
			}
		}
	}
	nfe := r.host.NFE()
	sol := Solution[T]{X: regs[0], NFE: nfe, Passes: nfe * Passes(p.Model), Tape: r.host}
	return Shifted[T]{sol, r.done}, nil
}

// A shiftRun is one run of the time-shift sampler.
type shiftRun[T Float] struct {
	TimeShift
	p     Problem[T]
	model Denoiser[T]
	opts  TraceOptions
	table *timeTable
	host  *Tape   // on the grid as it is
	grid  []Level // the ends of its steps
	cuts  []int   // where its steps start
	live  [][]Reg // what is carried there; last, the outputs
	done  []ShiftedStep
}

func newShiftRun[T Float](p Problem[T], s TimeShift) (*shiftRun[T], error) {
	if p.Model == nil {
		return nil, errors.New("diffusion: no model")
	}
	r := &shiftRun[T]{TimeShift: s, p: p, model: p.Model}
	if s.Coupling == ShiftNetwork { // what it says at τ is taken for the noise at t
		r.model = AsNoise(p.Model)
	}
	r.opts = TraceOptions{Predicts: r.model.Predicts(), Hook: p.Hook != nil}
	var err error
	if r.host, err = Trace(s, p.Grid, r.opts); err != nil {
		return nil, err
	}
	if _, err := checkRun(r.host, Env[T]{Model: r.model, Noise: p.Noise, Hook: p.Hook}, p.N, [][]T{p.X}); err != nil {
		return nil, err
	}
	if d := len(p.X) / p.N; d < leastNumbers && s.shifts() {
		return nil, fmt.Errorf("diffusion: time shift of samples of %d numbers: their variance says nothing, at least %d are needed", d, leastNumbers)
	}
	if r.table, err = s.table(p.Grid.Schedule); err != nil {
		return nil, err
	}
	if r.cuts, err = r.host.evalCuts(); err != nil {
		return nil, err
	}
	r.grid = []Level{r.host.Code[r.cuts[0]].Level}
	for k, m := range r.host.Marks {
		r.grid = append(r.grid, m.Level)
		r.live = append(r.live, r.host.live(r.cuts[k]))
	}
	r.live[0] = r.host.Inputs
	r.live = append(r.live, r.host.Outputs)
	return r, nil
}

func (r *shiftRun[T]) steps() int { return len(r.cuts) }

// state is where among the registers carried into step k the state is.
func (r *shiftRun[T]) state(k int) int {
	if k == 0 || k == r.steps() {
		return 0
	}
	return slices.Index(r.live[k], r.host.Marks[k-1].X)
}

// inStep says in which step an error of its slice happened.
func (r *shiftRun[T]) inStep(k int, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if d := (*DivergedError)(nil); errors.As(err, &d) {
		d.Step = k + 1
		return d
	}
	return fmt.Errorf("%w (step %d of %d with shifted times)", err, k+1, r.steps())
}

// times finds the times of step k for every sample.
func (r *shiftRun[T]) times(k int, x []T) (ShiftedStep, error) {
	from, to := r.grid[k], r.grid[k+1]
	step := ShiftedStep{
		Grid: [2]Level{from, to}, Index: [2]float64{r.table.at(from.T), r.table.at(to.T)}, Variance: make([]float64, r.p.N),
		Asked: slices.Repeat([]Level{from}, r.p.N), From: slices.Repeat([]Level{from}, r.p.N), To: slices.Repeat([]Level{to}, r.p.N),
	}
	d := len(x) / r.p.N
	for b := range r.p.N {
		v := Variance(x[b*d : (b+1)*d])
		step.Variance[b] = v
		if !r.shifts() {
			continue
		}
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return step, &DivergedError{Step: k, T: from.T, Value: v, Sample: b}
		}
		switch r.Coupling {
		case ShiftSource:
			if k > 0 {
				step.From[b] = r.shift(v, from, to, r.above(k, b))
				step.Asked[b] = step.From[b]
			}
		case ShiftNetwork:
			step.Asked[b] = r.shift(v, from, from, from)
		case ShiftTarget:
			if k > 0 && to.Sigma > 0 {
				step.To[b] = r.shift(v, to, r.below(k), from)
			}
		case ShiftCurrent:
			if k > 0 && to.Sigma > 0 {
				step.To[b] = r.shiftCurrent(v, from, to, r.below(k))
			}
		}
	}
	return step, nil
}

// above is the level that the start of step k must stay below.
func (r *shiftRun[T]) above(k, b int) Level {
	if before := r.done[k-1].From[b]; before.T < r.grid[k-1].T {
		return before
	}
	return r.grid[k-1]
}

// below is the level that the end of step k must stay above; σ = 0 for none.
func (r *shiftRun[T]) below(k int) Level {
	if k+2 < len(r.grid) {
		return r.grid[k+2]
	}
	return Level{}
}

// shift is the level near at whose noise fits the variance v. For a host that only
// goes forward it lies strictly between low and high.
func (r *shiftRun[T]) shift(v float64, at, low, high Level) Level {
	u := r.table.at(at.T)
	if u <= float64(r.Cutoff) {
		return at
	}
	lo, hi := -r.half(), r.half()
	if !r.unordered() {
		if low.Sigma > 0 {
			lo = max(lo, min(0, int(math.Floor(r.table.at(low.T)-u))+1))
		}
		hi = min(hi, max(0, int(math.Ceil(r.table.at(high.T)-u))-1))
	}
	return r.moved(at, u, r.table.nearest(u, v, lo, hi))
}

// moved is the level j training steps from at, whose index is u.
func (r *shiftRun[T]) moved(at Level, u float64, j int) Level {
	if j == 0 {
		return at
	}
	return r.table.schedule.At(r.table.timeOf(u + float64(j)))
}

// shiftCurrent is the end of a step that starts at from, lowered from what fits v,
// inside the schedule and, for a host that only goes forward, below from and above low.
func (r *shiftRun[T]) shiftCurrent(v float64, from, to, low Level) Level {
	u, end := r.table.at(from.T), r.table.at(to.T)
	if u <= float64(r.Cutoff) {
		return to
	}
	lowered := end
	if r.Stride > 0 {
		lowered = u - float64(r.Stride)
	}
	lo, hi := -r.half(), r.half()
	if !r.unordered() {
		if low.Sigma > 0 {
			lo = max(lo, int(math.Floor(r.table.at(low.T)-lowered))+1)
		}
		if hi = min(hi, int(math.Ceil(u-lowered))-1); lo > hi {
			return to
		}
	}
	i := lowered + float64(r.table.nearest(u, v, lo, hi))
	i = min(max(i, min(end, 0)), r.table.last)
	if i == end {
		return to
	}
	return r.table.schedule.At(r.table.timeOf(i))
}

// rescale is the state with every sample scaled to the variance of its time.
func (r *shiftRun[T]) rescale(k int, x []T, step ShiftedStep) []T {
	if step.Index[0] <= float64(r.Cutoff) {
		return x
	}
	y := slices.Clone(x)
	d := len(y) / r.p.N
	for b, v := range step.Variance {
		if v <= 0 { // a constant has no variance to scale
			continue
		}
		c := T(math.Sqrt(r.table.variance(step.Grid[0]) / v))
		for i := b * d; i < (b+1)*d; i++ {
			y[i] *= c
		}
	}
	return y
}

// segment is the tape of step k with its times.
func (r *shiftRun[T]) segment(k int, step ShiftedStep) (*Tape, error) {
	plain, err := r.cut(r.host, k), error(nil)
	if r.Coupling == ShiftNetwork {
		plain.Code = slices.Clone(plain.Code)
		plain.Code[0].Levels = step.Asked
		return plain, nil
	}
	traced := map[string]*Tape{}
	columns := make([]*Tape, r.p.N)
	for b := range columns {
		ls := r.levels(k, b, step)
		if slices.Equal(ls, r.grid) {
			columns[b] = plain
			continue
		}
		key := keyOf(ls)
		if traced[key] == nil {
			if traced[key], err = r.retrace(k, ls); err != nil {
				return nil, err
			}
		}
		columns[b] = traced[key]
	}
	for _, c := range columns {
		if c != columns[0] {
			return Stack(Samples, columns)
		}
	}
	return columns[0], nil
}

// levels are those of the grid with sample b's own for step k and, as far back as
// predictions are kept, for the steps before.
func (r *shiftRun[T]) levels(k, b int, step ShiftedStep) []Level {
	ls := slices.Clone(r.grid)
	ls[k], ls[k+1] = step.From[b], step.To[b]
	if r.unordered() {
		return ls
	}
	for i := max(0, k+1-len(r.live[k])); i < k; i++ {
		ls[i] = r.done[i].From[b]
	}
	return ls
}

func keyOf(ls []Level) string {
	var b []byte
	for _, l := range ls {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(l.T))
	}
	return string(b)
}

// retrace traces the host on other levels and cuts step k out.
func (r *shiftRun[T]) retrace(k int, ls []Level) (*Tape, error) {
	g := r.p.Grid
	g.levels = ls
	tp, err := Trace(r.TimeShift.host(), g, r.opts)
	if err != nil {
		return nil, fmt.Errorf("%w (step %d with shifted times)", err, k+1)
	}
	return r.cut(tp, k), nil
}

// cut is step k of the host's tape, or of one of the same shape.
func (r *shiftRun[T]) cut(tp *Tape, k int) *Tape {
	to := len(tp.Code)
	if k+1 < r.steps() {
		to = r.cuts[k+1]
	}
	c := &Tape{Predicts: tp.Predicts, Code: tp.Code[r.cuts[k]:to:to], Inputs: r.live[k], Outputs: r.live[k+1], regs: tp.regs, ones: tp.ones}
	c.allocate()
	return c
}
