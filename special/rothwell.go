package special

import "math"

// rothwellPanels is the number of Simpson panels of the published fallback: 1e-9
// at worst, near v = 0.
const rothwellPanels = 600

// rothwellLogK is log K by Rothwell's form of the Laplace integral (2006), which
// the published table falls back on: with n = 8 and β = 2n/(2v + 1),
// K_v(x) = √π/(Γ(v+½)(2x)^v)·e^−x·∫_0^1 [g + h] du.
func rothwellLogK(v, x float64) float64 {
	const n = 8
	beta := 2 * n / (2*v + 1)
	logG := func(u float64) float64 {
		lu := math.Log(u)
		ub := math.Exp(beta * lu)
		return math.Log(beta) - ub + (v-0.5)*math.Log(2*x+ub) + (n-1)*lu
	}
	logH := func(u float64) float64 {
		return -1/u - (2*v+1)*math.Log(u) + (v-0.5)*math.Log(2*x*u+1)
	}
	terms := make([]float64, 0, 2*rothwellPanels)
	for i := 1; i <= rothwellPanels; i++ { // both vanish at u = 0
		u := float64(i) / rothwellPanels
		weight := math.Log(4)
		switch {
		case i == rothwellPanels:
			weight = 0
		case i%2 == 0:
			weight = math.Ln2
		}
		terms = append(terms, weight+logG(u), weight+logH(u))
	}
	sum := logSumExp(terms) - math.Log(3*rothwellPanels)
	g, _ := math.Lgamma(v + 0.5)
	return 0.5*math.Log(math.Pi) - g - v*math.Log(2*x) - x + sum
}

func logSumExp(xs []float64) float64 {
	top := math.Inf(-1)
	for _, x := range xs {
		top = max(top, x)
	}
	var s float64
	for _, x := range xs {
		s += math.Exp(x - top)
	}
	return top + math.Log(s)
}
