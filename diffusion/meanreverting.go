package diffusion

import (
	"fmt"
	"math"
	"sort"
)

// ThetaTable says how fast a mean-reverting process forgets the data: the table of
// its rates θ.
type ThetaTable uint8

const (
	ThetaCosine   ThetaTable = iota // 1 − the squared cosine of Nichol & Dhariwal 2021
	ThetaLinear                     // evenly from 0.1/(T+1) to 20/(T+1)
	ThetaConstant                   // 1
)

var thetaNames = [...]string{"cosine", "linear", "constant"}

func (t ThetaTable) String() string {
	if int(t) < len(thetaNames) {
		return thetaNames[t]
	}
	return fmt.Sprintf("ThetaTable(%d)", uint8(t))
}

// ParseThetaTable reads the name that String writes.
func ParseThetaTable(s string) (ThetaTable, error) {
	for i, name := range thetaNames {
		if s == name {
			return ThetaTable(i), nil
		}
	}
	return 0, fmt.Errorf("diffusion: theta table %q: must be cosine, linear or constant", s)
}

// rates is the table θ_0 … θ_n.
func (t ThetaTable) rates(n int) []float64 {
	switch t {
	case ThetaLinear:
		return linspace(0.1/float64(n+1), 20/float64(n+1), n+1)
	case ThetaConstant:
		return linspace(1, 1, n+1)
	}
	const s = 0.008
	f := func(j int) float64 {
		c := math.Cos((float64(j)/float64(n+2) + s) / (1 + s) * math.Pi / 2)
		return c * c
	}
	th := make([]float64, n+1)
	for j := range th {
		th[j] = 1 - f(j+1)/f(0)
	}
	return th
}

// TableInterp says what a table means between its entries.
type TableInterp uint8

const (
	// RateInterp takes θ as constant between entries: C is interpolated and α, σ and
	// λ derived from it, so that they agree.
	RateInterp TableInterp = iota
	// OfficialInterp interpolates α, σ and λ each on its own, as the authors' code
	// does: λ ≠ log(α/σ) by O(1/T²) between entries.
	OfficialInterp
)

// A Reversion describes a mean-reverting process: Luo et al. 2023 (IR-SDE). All
// fields but S have IR-SDE's values as defaults.
type Reversion struct {
	// S is the deviation of the noise in the stationary state, in the unit of the
	// data: 50.0/255 for what IR-SDE calls max_sigma 50 on pixels in [0, 1].
	S      float64
	T      int         // index of the last entry of the tables; 0: 100
	Eps    float64     // α at T; 0: 0.005
	Theta  ThetaTable  // default ThetaCosine
	Interp TableInterp // default RateInterp
}

// A MeanReverting process goes from data x₀ to a mean μ, the degraded image, plus
// noise: dx = θ(μ − x)dt + s√(2θ)dw, IR-SDE, whose marginals are
//
//	x_t = α·x₀ + (1 − α)·μ + s·σ·ε,  α = exp(−C_t·dt),  α² + σ² = 1
//
// with C the running sums of θ, θ_0 included, and dt such that α_T = ε. So y =
// (x − μ)/s is an ordinary variance-preserving process, and that is what this
// Schedule is of: every [Method] runs on it unchanged. [Restore] goes between x
// and y. Time is the index into the table, from 0 (where α is just below 1) to T.
type MeanReverting struct {
	Reversion
	dt     float64
	theta  []float64
	sum    []float64 // C
	levels []Level   // of the entries
}

// maxReversion bounds the length of the tables.
const maxReversion = 1_000_000

// NewMeanReverting makes the tables of a process.
func NewMeanReverting(r Reversion) (*MeanReverting, error) {
	if r.T == 0 {
		r.T = 100
	}
	if r.Eps == 0 {
		r.Eps = 0.005
	}
	switch {
	case !(r.S > 0) || math.IsInf(r.S, 0):
		return nil, fmt.Errorf("diffusion: mean-reverting noise scale s = %g: must be positive, in the unit of the data", r.S)
	case r.T < 1 || r.T > maxReversion:
		return nil, fmt.Errorf("diffusion: mean-reverting T = %d: must be 1 to %d", r.T, maxReversion)
	case !(r.Eps > 0 && r.Eps < 1):
		return nil, fmt.Errorf("diffusion: mean-reverting eps = %g: must lie in (0, 1)", r.Eps)
	case int(r.Theta) >= len(thetaNames):
		return nil, fmt.Errorf("diffusion: theta table %d: must be ThetaCosine, ThetaLinear or ThetaConstant", r.Theta)
	case r.Interp > OfficialInterp:
		return nil, fmt.Errorf("diffusion: interpolation %d: must be RateInterp or OfficialInterp", r.Interp)
	}
	p := &MeanReverting{Reversion: r, theta: r.Theta.rates(r.T), sum: make([]float64, r.T+1), levels: make([]Level, r.T+1)}
	var sum float64
	for i, th := range p.theta {
		sum += th
		p.sum[i] = sum
	}
	p.dt = -math.Log(r.Eps) / sum
	for i, c := range p.sum {
		p.levels[i] = levelVP(float64(i), -c*p.dt)
	}
	return p, nil
}

// Dt is the time between two entries of the tables.
func (p *MeanReverting) Dt() float64 { return p.dt }

// Rate is θ at index t, linear between entries.
func (p *MeanReverting) Rate(t float64) float64 {
	i, u := p.segment(t)
	return p.theta[i] + u*(p.theta[i+1]-p.theta[i])
}

// Dispersion is s·√(2θ) at index t, the factor of dw in x.
func (p *MeanReverting) Dispersion(t float64) float64 { return p.S * math.Sqrt(2*p.Rate(t)) }

// Sum is C_t, the sum of θ up to index t, linear between entries.
func (p *MeanReverting) Sum(t float64) float64 {
	i, u := p.segment(t)
	return p.sum[i] + u*(p.sum[i+1]-p.sum[i])
}

// segment is the piece of the tables that index t lies in, or the outermost one, and
// where in it.
func (p *MeanReverting) segment(t float64) (i int, u float64) {
	i = min(max(int(math.Floor(t)), 0), p.T-1)
	return i, t - float64(i)
}

// At gives the level of y at index t.
func (p *MeanReverting) At(t float64) Level {
	if p.Interp == RateInterp {
		return levelVP(t, -p.Sum(t)*p.dt)
	}
	i, u := p.segment(t)
	a, b := p.levels[i], p.levels[i+1]
	return Level{T: t, Alpha: a.Alpha + u*(b.Alpha-a.Alpha), Sigma: a.Sigma + u*(b.Sigma-a.Sigma), Lambda: a.Lambda + u*(b.Lambda-a.Lambda)}
}

// Time is the inverse of t ↦ λ of y.
func (p *MeanReverting) Time(lambda float64) float64 {
	if p.Interp == RateInterp {
		return invertTable(func(i int) float64 { return p.sum[i] }, p.T, -logAlphaVP(lambda)/p.dt)
	}
	return invertTable(func(i int) float64 { return -p.levels[i].Lambda }, p.T, -lambda)
}

// Range is [0, T].
func (p *MeanReverting) Range() (lo, hi float64) { return 0, float64(p.T) }

// Outer is the level of x at a level of y: x_t = α·x₀ + (1 − α)·μ + σ·ε, the noise
// scale s in σ and λ.
func (p *MeanReverting) Outer(l Level) Level {
	l.Sigma *= p.S
	l.Lambda -= math.Log(p.S)
	return l
}

// Inner is the inverse of Outer.
func (p *MeanReverting) Inner(l Level) Level {
	l.Sigma /= p.S
	l.Lambda += math.Log(p.S)
	return l
}

// invertTable is the fractional index at which a rising table f(0) … f(n), linear
// between its entries and beyond them, is y.
func invertTable(f func(int) float64, n int, y float64) float64 {
	i := min(max(sort.Search(n+1, func(i int) bool { return f(i) >= y })-1, 0), n-1)
	return float64(i) + (y-f(i))/(f(i+1)-f(i))
}
