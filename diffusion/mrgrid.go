package diffusion

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// An IndexGrid places times on a [MeanReverting] process: the grids of the MR Sampler.
// T_max is T less the number of entries whose λ is below LambdaMin.
type IndexGrid struct {
	Kind IndexGridKind // default Linspace
	// LambdaMin bounds λ = log(α/(s·σ)) from below, for Linspace, LinearLambda, Leading
	// and Trailing; 0: no bound. The authors ship −5, which cuts nothing of the usual
	// tables. The start is drawn with the noise of T all the same.
	LambdaMin float64
	Offset    int     // added to the times of Leading
	Rho       float64 // of KarrasTime and KarrasNoise; 0: 7
}

// IndexGridKind is how an [IndexGrid] places times.
type IndexGridKind uint8

const (
	Linspace     IndexGridKind = iota // evenly from T_max to 0
	LinearLambda                      // evenly in λ
	KarrasTime                        // evenly in t^(1/Rho) from T to 1: the result is at index 1, not 0
	KarrasNoise                       // evenly in (σ/α)^(1/Rho) from T to 0
	Leading                           // Steps·k, …, k, 0 plus Offset with k = ⌊T_max/(Steps+1)⌋
	Trailing                          // T_max less multiples of T/(Steps+1), down to the last above 0
	// PublishedLoop is what the samplers of IR-SDE visit when they are given fewer
	// steps than T: the whole numbers below Steps even places from T to 1, and 0.
	PublishedLoop
)

var indexGridNames = [...]string{"linspace", "linear-lambda", "karras-t", "karras-n", "leading", "trailing", "published-loop"}

func (k IndexGridKind) String() string {
	if int(k) < len(indexGridNames) {
		return indexGridNames[k]
	}
	return fmt.Sprintf("IndexGridKind(%d)", uint8(k))
}

// IndexGridNames lists the names that [ParseIndexGridKind] knows.
func IndexGridNames() []string { return slices.Clone(indexGridNames[:]) }

// ParseIndexGridKind reads the name that String writes.
func ParseIndexGridKind(s string) (IndexGridKind, error) {
	for i, name := range indexGridNames {
		if s == name {
			return IndexGridKind(i), nil
		}
	}
	return 0, fmt.Errorf("diffusion: grid %q: must be one of %s", s, strings.Join(indexGridNames[:], ", "))
}

// Spacing is the grid as a spacing. It decides itself where to start and to end.
func (g IndexGrid) Spacing() Spacing {
	return Spacing{g.Kind.String(), func(s Schedule, _, _ float64, n int) []float64 {
		p, ok := s.(*MeanReverting)
		if !ok {
			return nil
		}
		ts, err := g.Times(p, n)
		if err != nil {
			return nil
		}
		return ts
	}}
}

// Times are the n+1 times of n steps, falling. Trailing gives fewer when LambdaMin
// cuts entries off.
func (g IndexGrid) Times(p *MeanReverting, n int) ([]float64, error) {
	rho := g.Rho
	if rho == 0 {
		rho = 7
	}
	switch {
	case n < 1:
		return nil, fmt.Errorf("diffusion: %d steps: at least 1 is needed", n)
	case !(rho > 0) || math.IsInf(rho, 0):
		return nil, fmt.Errorf("diffusion: rho = %g: must be positive", g.Rho)
	case math.IsNaN(g.LambdaMin):
		return nil, fmt.Errorf("diffusion: lambda_min = NaN")
	}
	last := float64(p.T)
	most := last - float64(p.below(g.LambdaMin))
	ts := linspace(most, 0, n+1)
	switch g.Kind {
	case Linspace:
	case LinearLambda:
		lo, hi := p.levels[p.T].Lambda, p.levels[0].Lambda
		if g.LambdaMin != 0 {
			lo = max(lo, g.LambdaMin+math.Log(p.S))
		}
		for i, l := range linspace(lo, hi, n+1) {
			ts[i] = p.Time(l)
		}
	case KarrasTime:
		for i, u := range linspace(math.Pow(last, 1/rho), 1, n+1) {
			ts[i] = math.Pow(u, rho)
		}
	case KarrasNoise:
		ratio := func(i int) float64 { return p.S * p.levels[i].Sigma / p.levels[i].Alpha }
		for i, u := range linspace(math.Pow(ratio(p.T), 1/rho), math.Pow(ratio(0), 1/rho), n+1) {
			ts[i] = p.timeOfRatio(ratio, math.Pow(u, rho))
		}
	case Leading:
		k := math.Floor(most / float64(n+1))
		for i := range ts {
			ts[i] = k*float64(n-i) + float64(g.Offset)
		}
	case Trailing:
		ts = ts[:0]
		for i := range n + 1 {
			if t := most - float64(i)*last/float64(n+1); t > 0 {
				ts = append(ts, t)
			}
		}
	case PublishedLoop:
		for i, t := range linspace(last, 1, n) {
			ts[i] = math.Floor(t)
		}
	default:
		return nil, fmt.Errorf("diffusion: %v: must be one of %s", g.Kind, strings.Join(indexGridNames[:], ", "))
	}
	return ts, nil
}

// below is how many entries have a λ below the bound.
func (p *MeanReverting) below(bound float64) (n int) {
	if bound == 0 {
		return 0
	}
	for _, l := range p.levels {
		if l.Lambda-math.Log(p.S) < bound {
			n++
		}
	}
	return n
}

// timeOfRatio is where σ/α is r: on the process itself, or by linear interpolation of
// its table, as the authors' code has it.
func (p *MeanReverting) timeOfRatio(ratio func(int) float64, r float64) float64 {
	if p.Interp == RateInterp {
		return p.Time(math.Log(p.S) - math.Log(r))
	}
	return invertTable(ratio, p.T, r)
}
