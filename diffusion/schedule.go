package diffusion

import (
	"fmt"
	"math"
	"slices"
	"sort"
)

// A Schedule is the forward process x_t = α(t)·x₀ + σ(t)·ε of a diffusion model.
// λ = log(α/σ) falls strictly with t.
type Schedule interface {
	// At gives the level at time t, also a little outside Range.
	At(t float64) Level
	// Time is the inverse of t ↦ λ.
	Time(lambda float64) float64
	// Range gives the times between which samplers run by default.
	Range() (lo, hi float64)
}

// levelVP is the variance-preserving level (α² + σ² = 1) of that log α. expm1
// keeps the digits of σ and λ that 1 − exp(2 log α) would lose as t → 0.
func levelVP(t, logAlpha float64) Level {
	v := -math.Expm1(2 * logAlpha) // σ²
	return Level{T: t, Alpha: math.Exp(logAlpha), Sigma: math.Sqrt(v), Lambda: logAlpha - 0.5*math.Log(v)}
}

// logAlphaVP is log α at λ when α² + σ² = 1.
func logAlphaVP(lambda float64) float64 { return -0.5 * softplus(-2*lambda) }

// softplus is log(1 + exp(x)).
func softplus(x float64) float64 {
	if x > 0 {
		return x + math.Log1p(math.Exp(-x))
	}
	return math.Log1p(math.Exp(x))
}

// VPLinear is the variance-preserving process with linear β(t), t in (0, 1]:
// Song et al. 2021, eq. 33.
type VPLinear struct {
	Beta0, Beta1 float64 // both 0: 0.1 and 20
}

func (s VPLinear) betas() (b0, b1 float64) {
	if s.Beta0 == 0 && s.Beta1 == 0 {
		return 0.1, 20
	}
	return s.Beta0, s.Beta1
}

// At gives the level at time t.
func (s VPLinear) At(t float64) Level {
	b0, b1 := s.betas()
	return levelVP(t, -(b1-b0)*t*t/4-b0*t/2)
}

// Time solves the quadratic in t in its stable form.
func (s VPLinear) Time(lambda float64) float64 {
	b0, b1 := s.betas()
	q := 2 * (b1 - b0) * softplus(-2*lambda)
	return q / ((math.Sqrt(b0*b0+q) + b0) * (b1 - b0))
}

// Range is [10⁻³, 1].
func (s VPLinear) Range() (lo, hi float64) { return 1e-3, 1 }

// Cosine is the process of Nichol & Dhariwal 2021, α normalised to 1 at t = 0.
type Cosine struct {
	S float64 // offset; 0: 0.008
	T float64 // largest time; 0: 0.9946
}

func (s Cosine) params() (off, end float64) {
	off, end = s.S, s.T
	if off == 0 {
		off = 0.008
	}
	if end == 0 {
		end = 0.9946
	}
	return off, end
}

// At gives the level at time t.
func (s Cosine) At(t float64) Level {
	off, _ := s.params()
	return levelVP(t, logCos(t, off)-logCos(0, off))
}

// Time is the inverse of t ↦ λ.
func (s Cosine) Time(lambda float64) float64 {
	off, _ := s.params()
	return 2*(1+off)/math.Pi*math.Acos(math.Exp(logAlphaVP(lambda)+logCos(0, off))) - off
}

// Range is [10⁻³, T].
func (s Cosine) Range() (lo, hi float64) {
	_, hi = s.params()
	return 1e-3, hi
}

func logCos(t, off float64) float64 { return math.Log(math.Cos((t + off) / (1 + off) * math.Pi / 2)) }

// CosineRaw is the cosine process with α(t) = cos((t+S)/(1+S)·π/2), not divided
// by its value at 0.
type CosineRaw struct {
	S float64 // offset; 0: 0.008
}

// At gives the level at time t.
func (s CosineRaw) At(t float64) Level {
	off, _ := Cosine(Cosine{S: s.S}).params()
	return levelVP(t, logCos(t, off))
}

// Time is the inverse of t ↦ λ.
func (s CosineRaw) Time(lambda float64) float64 {
	off, _ := Cosine(Cosine{S: s.S}).params()
	return 2*(1+off)/math.Pi*math.Acos(math.Exp(logAlphaVP(lambda))) - off
}

// Range is that of [Cosine].
func (s CosineRaw) Range() (lo, hi float64) { return Cosine{S: s.S}.Range() }

// EDM is the variance-exploding process of Karras et al. 2022: α = 1, σ = t.
type EDM struct {
	SigmaMin, SigmaMax float64 // both 0: 0.002 and 80
}

// At gives the level at time t.
func (s EDM) At(t float64) Level {
	return Level{T: t, Alpha: 1, Sigma: t, Lambda: -math.Log(t)}
}

// Time is σ at λ.
func (s EDM) Time(lambda float64) float64 { return math.Exp(-lambda) }

// Range is [SigmaMin, SigmaMax].
func (s EDM) Range() (lo, hi float64) {
	if s.SigmaMin == 0 && s.SigmaMax == 0 {
		return 0.002, 80
	}
	return s.SigmaMin, s.SigmaMax
}

// Discrete is a table of levels, as a model trained on n discrete steps knows
// them: knot i stands at t = (i+1)/n, log α is linear in t between knots and
// beyond the ends. Make it with [NewDiscrete].
type Discrete struct {
	n        int
	logAlpha []float64
	lambda   []float64 // of the knots
}

// minLambda is where the official DPM-Solver code cuts a table off: noise so
// pure that inverting λ there loses all digits.
const minLambda = -5.1

// NewDiscrete makes the schedule of the variances β_i of a DDPM: log α_i =
// ½·Σ_{j≤i} log(1 − β_j). Knots at the noisy end with λ below −5.1 are left out;
// the others keep their time and index.
func NewDiscrete(betas []float64) (*Discrete, error) {
	d := &Discrete{n: len(betas), logAlpha: make([]float64, len(betas))}
	var sum float64
	for i, b := range betas {
		if !(b > 0 && b < 1) {
			return nil, fmt.Errorf("diffusion: beta[%d] = %g: must be between 0 and 1", i, b)
		}
		sum += math.Log1p(-b)
		d.logAlpha[i] = sum / 2
	}
	for n := len(d.logAlpha); n > 0 && levelVP(0, d.logAlpha[n-1]).Lambda < minLambda; n-- {
		d.logAlpha = d.logAlpha[:n-1]
	}
	for _, la := range d.logAlpha {
		d.lambda = append(d.lambda, levelVP(0, la).Lambda)
	}
	if len(d.logAlpha) < 2 {
		return nil, fmt.Errorf("diffusion: %d betas give %d usable levels: at least 2 are needed", len(betas), len(d.logAlpha))
	}
	return d, nil
}

// Len is the number of discrete steps the model was trained on.
func (d *Discrete) Len() int { return d.n }

// Index is the fractional index of time t in the table, as a discrete-time model
// wants it: t·n − 1.
func (d *Discrete) Index(t float64) float64 { return t*float64(d.n) - 1 }

// TimeOf is the time of the knot with that index.
func (d *Discrete) TimeOf(index float64) float64 { return (index + 1) / float64(d.n) }

// At gives the level at time t.
func (d *Discrete) At(t float64) Level {
	u := d.Index(t)
	i := min(max(int(math.Floor(u)), 0), len(d.logAlpha)-2)
	a, b := d.logAlpha[i], d.logAlpha[i+1]
	return levelVP(t, a+(u-float64(i))*(b-a))
}

// Time is the inverse of t ↦ λ: the same piecewise linear map read backwards.
func (d *Discrete) Time(lambda float64) float64 {
	la := logAlphaVP(lambda)
	lo, hi := 0, len(d.logAlpha)-1 // logAlpha falls
	for hi-lo > 1 {
		if mid := (lo + hi) / 2; d.logAlpha[mid] >= la {
			lo = mid
		} else {
			hi = mid
		}
	}
	a, b := d.logAlpha[lo], d.logAlpha[hi]
	return d.TimeOf(float64(lo) + (la-a)/(b-a))
}

// kinks lists a, b and the λ of the knots between them, in order from a to b.
func (d *Discrete) kinks(a, b float64) []float64 {
	// λ falls with the index: knots from first to last−1 lie strictly between.
	first := sort.Search(len(d.lambda), func(i int) bool { return d.lambda[i] < max(a, b) })
	last := sort.Search(len(d.lambda), func(i int) bool { return d.lambda[i] <= min(a, b) })
	ks := append(make([]float64, 0, last-first+2), a)
	ks = append(ks, d.lambda[first:max(first, last)]...)
	if b > a {
		slices.Reverse(ks[1:])
	}
	return append(ks, b)
}

// Range is [1/n, the last knot's time].
func (d *Discrete) Range() (lo, hi float64) {
	return d.TimeOf(0), d.TimeOf(float64(len(d.logAlpha) - 1))
}

// LinearBetas are n variances spaced evenly from start to end: Ho et al. 2020
// with 10⁻⁴, 0.02 and n = 1000.
func LinearBetas(start, end float64, n int) []float64 { return linspace(start, end, n) }

// QuadBetas are n variances whose square roots are spaced evenly, known as
// "quad" and, in latent diffusion, as "scaled linear".
func QuadBetas(start, end float64, n int) []float64 {
	b := linspace(math.Sqrt(start), math.Sqrt(end), n)
	for i, x := range b {
		b[i] = x * x
	}
	return b
}

// CosineBetas are n variances of the cosine process, at most 0.999: Nichol &
// Dhariwal 2021, eq. 17.
func CosineBetas(n int) []float64 {
	const s = 0.008
	f := func(u float64) float64 { c := math.Cos((u + s) / (1 + s) * math.Pi / 2); return c * c }
	b := make([]float64, n)
	for i := range b {
		b[i] = math.Min(1-f(float64(i+1)/float64(n))/f(float64(i)/float64(n)), 0.999)
	}
	return b
}

// linspace is n numbers spaced evenly from a to b, both ends exact.
func linspace(a, b float64, n int) []float64 {
	xs := make([]float64, n)
	for i := range xs {
		if n == 1 {
			xs[i] = a
			break
		}
		xs[i] = a + (b-a)*float64(i)/float64(n-1)
	}
	if n > 1 {
		xs[n-1] = b
	}
	return xs
}
