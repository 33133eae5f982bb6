package special

import "math"

// logHalf is log(x/2), also for subnormal x.
func logHalf(x float64) float64 {
	if x < 1e-300 {
		return math.Log(x) - math.Ln2
	}
	return math.Log(x / 2)
}

// seriesTail is Σ_{k≥1} t_k with t_0 = 1, t_k = t_{k−1}·(x²/4)/(k(k+v)): without
// its 1, or log I_0(x) ≈ x²/4 would be lost.
func seriesTail(v, x float64) float64 {
	q := x / 2 * (x / 2)
	var sum float64
	for k, t := 1.0, 1.0; ; k++ {
		t *= q / (k * (k + v))
		sum += t
		if !(t > sum*0x1p-56) {
			return sum
		}
	}
}

// seriesLogI is DLMF 10.25.2. Its terms and their sum overflow for x > 700 or so.
func seriesLogI(v, x float64) float64 {
	tail := seriesTail(v, x)
	switch {
	case v < 0.5: // Γ(1+v) = Γ(2+v)/(1+v)
		return v*logHalf(x) - logGamma2p(v) + math.Log1p(v+tail+v*tail)
	case v <= 1.5:
		return v*logHalf(x) - logGamma2p(v-1) + math.Log1p(tail)
	}
	return v*logHalf(x) - logGamma1p(v) + math.Log1p(tail)
}

// logGamma2p is log Γ(2+u) for |u| ≤ 1/2, with full relative accuracy.
func logGamma2p(u float64) float64 {
	var s float64
	for k := len(logGamma2) - 1; k >= 0; k-- {
		s = s*u + logGamma2[k]
	}
	return s * u
}

// logGamma1p is log Γ(1+v) for v ≥ 0, near 0 as accurate as log1p is.
func logGamma1p(v float64) float64 {
	if v < 0.5 {
		return logGamma2p(v) - math.Log1p(v)
	}
	if v > seriesOrder {
		g, _ := math.Lgamma(v + 1)
		return g
	}
	u, prod := v-1, 1.0
	for u > 0.5 { // Γ(2+u) = (1+u)·Γ(1+u)
		prod *= 1 + u
		u--
	}
	return math.Log(prod) + logGamma2p(u)
}

// seriesSlopes differentiates log I = v log x + log S. With D = x d/dx, D log S
// is the mean of 2k under the terms, and D² log S its variance.
func seriesSlopes(v, x float64) slopes {
	q := x / 2 * (x / 2)
	s0, s1 := 1.0, 0.0
	for k, t := 1.0, 1.0; t > s1*0x1p-60; k++ {
		t *= q / (k * (k + v))
		s0 += t
		s1 += 2 * k * t
	}
	if s1 == 0 { // x²/4 underflows
		half := 0.5 / (v + 1)
		return slopes{ratio: half * x, dlog: v/x + half*x, dratio: half, d2log: half - v/x/x}
	}
	mean := s1 / s0
	s2 := mean * mean
	for k, t := 1.0, 1.0; t > s2*0x1p-60 || 2*k < mean; k++ {
		t *= q / (k * (k + v))
		d := 2*k - mean
		s2 += d * d * t
	}
	excess := s2/s0 - mean
	return slopes{ratio: mean / x, dlog: (v + mean) / x, dratio: excess / x / x, d2log: (excess - v) / x / x}
}

// logSeriesMost is where the power series with logarithms is given up: it takes
// some 9√x terms, and rounding makes those of large v equal.
const logSeriesMost = 1e10

// logSeriesLogI is the power series with its terms kept as logarithms, as
// published; NaN beyond logSeriesMost.
func logSeriesLogI(v, x float64) float64 {
	if max(v, x) > logSeriesMost {
		return math.NaN()
	}
	lh := logHalf(x)
	term := func(k float64) float64 {
		a, _ := math.Lgamma(k + 1)
		b, _ := math.Lgamma(k + v + 1)
		return 2*k*lh - a - b
	}
	peak := math.Floor((math.Hypot(v, x) - v) / 2)
	top := term(peak)
	var sum float64
	for k := peak; k >= 0; k-- {
		e := math.Exp(term(k) - top)
		if sum += e; !(e >= sum*0x1p-56) {
			break
		}
	}
	for k := peak + 1; ; k++ {
		e := math.Exp(term(k) - top)
		if sum += e; !(e >= sum*0x1p-56) {
			break
		}
	}
	return v*lh + top + math.Log(sum)
}
