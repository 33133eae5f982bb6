package diffusion

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// A scheduleKind is a schedule that users can name, with its parameters.
type scheduleKind struct {
	name, doc string
	params    []scheduleParam
	make      func(p []float64) (Schedule, error)
}

// A scheduleParam is a number between lo and hi, both excluded.
type scheduleParam struct {
	name        string
	def, lo, hi float64
	whole       bool
}

// maxTable bounds the length of a table that a text can ask for.
const maxTable = 100_000

func betaTable(start, end float64) []scheduleParam {
	return []scheduleParam{
		{name: "n", def: 1000, lo: 1, hi: maxTable + 1, whole: true},
		{name: "start", def: start, lo: 0, hi: 1},
		{name: "end", def: end, lo: 0, hi: 1},
	}
}

var scheduleKinds = []scheduleKind{
	{"ddpm-linear", "n variances evenly from start to end: DDPM", betaTable(1e-4, 0.02),
		func(p []float64) (Schedule, error) { return table(LinearBetas(p[1], p[2], int(p[0]))) }},
	{"scaled-linear", "n variances, their roots evenly from start to end: latent diffusion", betaTable(0.00085, 0.012),
		func(p []float64) (Schedule, error) { return table(QuadBetas(p[1], p[2], int(p[0]))) }},
	{"cosine-discrete", "n variances of the cosine process: improved DDPM", betaTable(0, 0)[:1],
		func(p []float64) (Schedule, error) { return table(CosineBetas(int(p[0]))) }},
	{"vp-linear", "continuous, beta(t) linear from beta0 to beta1: score SDE",
		[]scheduleParam{{name: "beta0", def: 0.1, lo: 0, hi: 1e6}, {name: "beta1", def: 20, lo: 0, hi: 1e6}},
		func(p []float64) (Schedule, error) {
			if p[1] <= p[0] {
				return nil, fmt.Errorf("beta1 = %g: must be above beta0 = %g", p[1], p[0])
			}
			return VPLinear{Beta0: p[0], Beta1: p[1]}, nil
		}},
	{"cosine", "continuous cosine process, alpha 1 at t = 0",
		[]scheduleParam{{name: "s", def: 0.008, lo: 0, hi: 1}, {name: "t", def: 0.9946, lo: 1e-3, hi: 1}},
		func(p []float64) (Schedule, error) { return Cosine{S: p[0], T: p[1]}, nil }},
	{"cosine-raw", "continuous cosine process, not normalised",
		[]scheduleParam{{name: "s", def: 0.008, lo: 0, hi: 1}},
		func(p []float64) (Schedule, error) { return CosineRaw{S: p[0]}, nil }},
	{"edm", "variance exploding, sigma = t from min to max: EDM",
		[]scheduleParam{{name: "min", def: 0.002, lo: 0, hi: 1e6}, {name: "max", def: 80, lo: 0, hi: 1e6}},
		func(p []float64) (Schedule, error) {
			if p[1] <= p[0] {
				return nil, fmt.Errorf("max = %g: must be above min = %g", p[1], p[0])
			}
			return EDM{SigmaMin: p[0], SigmaMax: p[1]}, nil
		}},
	{"ir-sde", "mean-reverting, for networks that restore images; sigma in 255ths of their range", reversionTable, reverting255(ThetaCosine)},
	{"ir-sde-linear", "the same with rates that rise linearly", reversionTable, reverting255(ThetaLinear)},
	{"ir-sde-constant", "the same with one rate", reversionTable, reverting255(ThetaConstant)},
}

var reversionTable = []scheduleParam{
	{name: "n", def: 100, lo: 0, hi: maxTable + 1, whole: true},
	{name: "sigma", def: 50, lo: 0, hi: 1e6},
	{name: "eps", def: 0.005, lo: 0, hi: 1},
}

// reverting255 makes a process whose noise scale is given as IR-SDE does.
func reverting255(t ThetaTable) func(p []float64) (Schedule, error) {
	return func(p []float64) (Schedule, error) {
		s, err := NewMeanReverting(Reversion{T: int(p[0]), S: p[1] / 255, Eps: p[2], Theta: t})
		if err != nil {
			return nil, err
		}
		return s, nil
	}
}

// table keeps a nil table from becoming a Schedule.
func table(betas []float64) (Schedule, error) {
	d, err := NewDiscrete(betas)
	if err != nil {
		return nil, err
	}
	return d, nil
}

// ScheduleNames lists what [ParseSchedule] reads, with parameters and their
// defaults, and what each is.
func ScheduleNames() (names, docs []string) {
	for _, k := range scheduleKinds {
		params := make([]string, len(k.params))
		for i, p := range k.params {
			params[i] = fmt.Sprintf("%s=%g", p.name, p.def)
		}
		names = append(names, k.name+":"+strings.Join(params, ","))
		docs = append(docs, k.doc)
	}
	return names, docs
}

// ParseSchedule reads a schedule's name, as in "ddpm-linear", or name and
// parameters, as in "ddpm-linear:n=1000,start=1e-4,end=0.02"; parameters left
// out have the defaults that [ScheduleNames] shows.
func ParseSchedule(s string) (Schedule, error) {
	name, rest, given := strings.Cut(s, ":")
	name = strings.TrimSpace(name)
	i := slices.IndexFunc(scheduleKinds, func(k scheduleKind) bool { return k.name == name })
	if i < 0 {
		known := make([]string, len(scheduleKinds))
		for i, k := range scheduleKinds {
			known[i] = k.name
		}
		return nil, fmt.Errorf("diffusion: schedule %q: must be one of %s", name, strings.Join(known, ", "))
	}
	k := scheduleKinds[i]
	values, err := k.values(rest, given)
	if err != nil {
		return nil, fmt.Errorf("diffusion: schedule %s: %w", name, err)
	}
	sched, err := k.make(values)
	if err != nil {
		return nil, fmt.Errorf("diffusion: schedule %s: %w", name, err)
	}
	return sched, nil
}

// values reads "name=number,..." into one number for each parameter.
func (k scheduleKind) values(text string, given bool) ([]float64, error) {
	values := make([]float64, len(k.params))
	names := make([]string, len(k.params))
	for i, p := range k.params {
		values[i], names[i] = p.def, p.name
	}
	if !given {
		return values, nil
	}
	seen := map[string]bool{}
	for _, item := range strings.Split(text, ",") {
		name, number, ok := strings.Cut(item, "=")
		name, number = strings.TrimSpace(name), strings.TrimSpace(number)
		i := slices.Index(names, name)
		switch {
		case !ok:
			return nil, fmt.Errorf("%q: must be name=number", item)
		case i < 0:
			return nil, fmt.Errorf("parameter %q: must be one of %s", name, strings.Join(names, ", "))
		case seen[name]:
			return nil, fmt.Errorf("parameter %s is given twice", name)
		}
		seen[name] = true
		v, err := strconv.ParseFloat(number, 64)
		if err != nil {
			return nil, fmt.Errorf("%s = %q: must be a number", name, number)
		}
		p := k.params[i]
		if p.whole && v != math.Trunc(v) {
			return nil, fmt.Errorf("%s = %g: must be a whole number", name, v)
		}
		if !(v > p.lo && v < p.hi) {
			return nil, fmt.Errorf("%s = %g: must be above %g and below %g", name, v, p.lo, p.hi)
		}
		values[i] = v
	}
	return values, nil
}
