package diffusion

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// A Grid is the levels that a sampler visits: Steps of the given Spacing from
// Start to End.
type Grid struct {
	Schedule Schedule
	// Steps is the budget: the number of steps of a multistep method, the number
	// of evaluations of a singlestep one.
	Steps int
	// Start and End are times; both 0: the schedule's range, from noise to data.
	// Start < End runs a deterministic method backwards, from data to noise.
	Start, End float64
	Spacing    Spacing // default: the method's own, or LogSNR
	// ToZero adds the level σ = 0 behind End. Reaching it is the last of the Steps.
	ToZero bool

	levels []Level // in place of all of this, once some have been shifted: see TimeShift
}

// A Spacing says how times are placed. The zero value is [LogSNR].
type Spacing struct {
	Name string
	// Place gives n+1 times from start to end, both included, or nil when it
	// cannot place that many.
	Place func(s Schedule, start, end float64, n int) []float64
}

// A Spacer is a method that is made for a spacing other than [LogSNR].
type Spacer interface{ Spacing() Spacing }

// The spacings in use.
var (
	// LogSNR spaces times evenly in λ.
	LogSNR = Spacing{"logsnr", warped(
		func(s Schedule, t float64) float64 { return s.At(t).Lambda },
		func(s Schedule, lambda float64) float64 { return s.Time(lambda) })}
	// TimeUniform spaces times evenly.
	TimeUniform = Spacing{"time-uniform", warped(
		func(_ Schedule, t float64) float64 { return t },
		func(_ Schedule, t float64) float64 { return t })}
	// TimeQuadratic spaces the square roots of times evenly.
	TimeQuadratic = Spacing{"time-quadratic", warped(
		func(_ Schedule, t float64) float64 { return math.Sqrt(t) },
		func(_ Schedule, u float64) float64 { return u * u })}
	// Karras spaces (σ/α)^(1/7) evenly: Karras et al. 2022, eq. 5.
	Karras = Spacing{"karras", warped(
		func(s Schedule, t float64) float64 { return math.Exp(-s.At(t).Lambda / karrasRho) },
		func(s Schedule, u float64) float64 { return s.Time(-karrasRho * math.Log(u)) })}

	spacings = []Spacing{LogSNR, TimeUniform, TimeQuadratic, Karras}
)

const karrasRho = 7

// warped places times evenly in u = to(t); back is its inverse.
func warped(to, back func(Schedule, float64) float64) func(Schedule, float64, float64, int) []float64 {
	return func(s Schedule, start, end float64, n int) []float64 {
		ts := linspace(to(s, start), to(s, end), n+1)
		for i, u := range ts {
			ts[i] = back(s, u)
		}
		ts[0], ts[n] = start, end
		return ts
	}
}

// Explicit is the spacing of a hand-made list of times, for runs with as many
// steps as it has intervals. A singlestep method places its inner evaluations
// evenly in λ.
func Explicit(times ...float64) Spacing {
	return Spacing{explicitName, func(_ Schedule, _, _ float64, n int) []float64 {
		if n+1 != len(times) {
			return nil
		}
		return times
	}}
}

const explicitName = "explicit"

// SpacingNames lists the names that [ParseSpacing] knows.
func SpacingNames() []string {
	names := make([]string, len(spacings))
	for i, s := range spacings {
		names[i] = s.Name
	}
	return names
}

// ParseSpacing returns the spacing of that name.
func ParseSpacing(name string) (Spacing, error) {
	for _, s := range spacings {
		if s.Name == name {
			return s, nil
		}
	}
	return Spacing{}, fmt.Errorf("diffusion: spacing %q: must be one of %s", name, strings.Join(SpacingNames(), ", "))
}

// maxStep bounds |h| in λ: beyond it exp(h) overflows.
const maxStep = 700

// Levels places the grid's levels for n steps: n+1 of them.
func (g Grid) Levels(n int) ([]Level, error) {
	if len(g.levels) == n+1 {
		return slices.Clone(g.levels), nil
	}
	start, end, err := g.ends()
	if err != nil {
		return nil, err
	}
	if n < 1 {
		return nil, fmt.Errorf("diffusion: %d steps: at least 1 is needed", n)
	}
	inner := n
	if g.ToZero {
		inner--
	}
	var ls []Level
	if inner == 0 {
		ls = []Level{g.Schedule.At(start)}
	} else if ls, err = g.between(start, end, inner); err != nil {
		return nil, err
	}
	if g.ToZero {
		ls = append(ls, Level{T: 0, Alpha: 1, Sigma: 0, Lambda: math.Inf(1)})
	}
	return ls, nil
}

func (g Grid) ends() (start, end float64, err error) {
	if g.Schedule == nil {
		return 0, 0, fmt.Errorf("diffusion: the grid has no schedule")
	}
	start, end = g.Start, g.End
	if start == 0 && end == 0 {
		end, start = g.Schedule.Range()
	}
	inside := func(t float64) bool { return t > 0 }
	if p, ok := g.Schedule.(*MeanReverting); ok { // an index, which counts from 0
		inside = func(t float64) bool { return t >= 0 && t <= float64(p.T) }
	}
	switch {
	case !inside(start) || !inside(end) || math.IsInf(start, 0) || math.IsInf(end, 0):
		return 0, 0, fmt.Errorf("diffusion: grid from t = %g to %g: times must be positive (ToZero goes on to σ = 0)", start, end)
	case start == end:
		return 0, 0, fmt.Errorf("diffusion: grid from t = %g to %g: the ends must differ", start, end)
	case start < end && g.ToZero:
		return 0, 0, fmt.Errorf("diffusion: grid from t = %g up to %g cannot end at σ = 0", start, end)
	}
	return start, end, nil
}

// between places n steps from start to end and checks that λ moves one way only.
func (g Grid) between(start, end float64, n int) ([]Level, error) {
	space := g.Spacing
	if space.Place == nil {
		space = LogSNR
	}
	ts := space.Place(g.Schedule, start, end, n)
	if len(ts) != n+1 {
		return nil, fmt.Errorf("diffusion: the %s spacing has no grid of %d steps", space.Name, n)
	}
	ls := make([]Level, n+1)
	for i, t := range ts {
		ls[i] = g.Schedule.At(t)
		if math.IsNaN(ls[i].Lambda) || math.IsInf(ls[i].Lambda, 0) {
			return nil, fmt.Errorf("diffusion: time %d of the grid is %g, where λ = %g: it is outside the schedule", i, t, ls[i].Lambda)
		}
		if i == 0 {
			continue
		}
		h := ls[i].Lambda - ls[i-1].Lambda
		if (start > end) != (h > 0) || h == 0 {
			return nil, fmt.Errorf("diffusion: times %d and %d of the grid are %g and %g: they must change strictly in one direction", i-1, i, ts[i-1], t)
		}
		if math.Abs(h) > maxStep {
			return nil, fmt.Errorf("diffusion: step %d changes λ by %g: more than %d overflows", i, h, maxStep)
		}
	}
	return ls, nil
}

// uniformLambda says whether levels are evenly spaced in λ.
func (g Grid) uniformLambda() bool { return g.Spacing.Place == nil || g.Spacing.Name == LogSNR.Name }

// at is the level at λ.
func (g Grid) at(lambda float64) Level { return g.Schedule.At(g.Schedule.Time(lambda)) }
