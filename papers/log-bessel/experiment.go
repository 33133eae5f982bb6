package logbessel

import (
	"fmt"
	"math"

	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/special"
)

// Experiments lists the paper's experiments, the main one first.
func Experiments() []*lab.Experiment {
	return []*lab.Experiment{reach(), accuracy(), cost(), vonMisesFisher(), features()}
}

// A rival computes log I and log K.
type rival struct {
	Name       string
	LogI, LogK func(v, x float64) float64
}

func method(name string, b special.Bessel) rival { return rival{name, b.LogI, b.LogK} }

// The methods that are compared. Their names are the same in every experiment,
// and so are their colours.
var (
	refined   = method("log-Bessel, refined", special.Bessel{})
	published = method("log-Bessel, as published", special.Bessel{Method: special.Plesner})
	onlyDebye = method("Debye with 13 terms everywhere", special.Bessel{Method: special.Debye})
	hankel    = method("large-x expansion with 20 terms everywhere", special.Bessel{Method: special.Hankel})
	naive     = rival{"log of the sum", naiveLogI, naiveLogK}
	scaled    = rival{"log of the scaled function", scaledLogI, scaledLogK}
	adaptive  = rival{Name: "adaptive series", LogI: func(v, x float64) float64 { y, _ := adaptiveLogI(v, x, 1e-17); return y }}
)

var rivals = []rival{refined, published, naive, scaled, onlyDebye, hankel}

func rivalNamed(among []rival, name string) (rival, error) {
	for _, r := range among {
		if r.Name == name {
			return r, nil
		}
	}
	return rival{}, fmt.Errorf("no rival is called %q", name)
}

// Panels.
const (
	panelI = "log I"
	panelK = "log K"
)

// of is the rival's function for a panel.
func (r rival) of(panel string) (func(v, x float64) float64, error) {
	switch panel {
	case panelI:
		return r.LogI, nil
	case panelK:
		return r.LogK, nil
	}
	return nil, fmt.Errorf("no panel is called %q", panel)
}

// orders is the axis of both experiments on values.
var orders = lab.Axis{Name: "order v", Log: true}

// naiveLogI is the logarithm of the power series, summed as it stands.
func naiveLogI(v, x float64) float64 {
	t := math.Pow(x/2, v) / math.Gamma(v+1)
	q := x / 2 * (x / 2)
	var sum float64
	for k := 1.0; t > sum*0x1p-54 && !math.IsInf(t, 1); k++ {
		sum += t
		t *= q / (k * (k + v))
	}
	return math.Log(sum + t)
}

// naiveLogK is the logarithm of the trapezoid sum for ∫_0^∞ exp(−x cosh t) cosh(vt) dt.
func naiveLogK(v, x float64) float64 {
	const h = 0.05
	sum := 0.5 * math.Exp(-x)
	for j := 1.0; j < 600; j++ {
		t := j * h
		sum += math.Exp(-x*math.Cosh(t)) * math.Cosh(v*t)
	}
	return math.Log(h * sum)
}

// scaledLogI is the logarithm of e^−x·I_v(x) as the best library could give it,
// plus x: what log(ive(v, x)) + x is where the scaled function is computed
// without any error but that of its float64 result.
func scaledLogI(v, x float64) float64 { return math.Log(math.Exp(special.LogI(v, x)-x)) + x }

// scaledLogK is log(kve(v, x)) − x likewise.
func scaledLogK(v, x float64) float64 { return math.Log(math.Exp(special.LogK(v, x)+x)) - x }

// adaptiveLogI is the power series from its largest term outwards, until terms
// fall below tol times their sum; terms is how many that took.
func adaptiveLogI(v, x, tol float64) (y float64, terms int) {
	peak := math.Floor((math.Hypot(v, x) - v) / 2)
	q := x / 2 * (x / 2)
	sum, t := 1.0, 1.0
	for k := peak; k >= 1 && t > tol*sum; k-- {
		t *= k * (k + v) / q
		sum += t
		terms++
	}
	for k, t := peak+1, 1.0; t > tol*sum; k++ {
		t *= q / (k * (k + v))
		sum += t
		terms++
	}
	a, _ := math.Lgamma(peak + 1)
	b, _ := math.Lgamma(peak + v + 1)
	return (2*peak+v)*math.Log(x/2) - a - b + math.Log(sum), terms + 1
}
