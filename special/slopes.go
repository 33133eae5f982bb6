package special

import "math"

// slopes are what is known beside log I, for I (or K): I_{v+1}/I_v, (log I)′, and
// their derivatives in x. Each is computed by itself: the differences between
// them cancel.
type slopes struct{ ratio, dlog, dratio, d2log float64 }

// slopesI are those of I_v(x) for v ≥ 0; all NaN where v or x is not valid.
func slopesI(v, x float64) slopes {
	nan, inf := math.NaN(), math.Inf(1)
	switch {
	case !(v >= 0 && x >= 0), math.IsInf(v, 1) && math.IsInf(x, 1):
		return slopes{nan, nan, nan, nan}
	case math.IsInf(v, 1):
		return slopes{0, inf, 0, -inf}
	case math.IsInf(x, 1):
		return slopes{1, 1, 0, 0}
	case x == 0 && v == 0:
		return slopes{0, 0, 0.5, 0.5}
	case x == 0:
		return slopes{0, inf, 0.5 / (v + 1), -inf}
	}
	switch m, _ := (Bessel{}).Choose(v, x); {
	case m == Debye, m == Hankel && v > 0.7: // Hankel's terms cancel at the larger v
		return debyeSlopesI(v, x, 13)
	case m == Hankel:
		return hankelSlopes(v, x, 20, -1)
	}
	return seriesSlopes(v, x)
}

// slopesK are those of K_v(x) for v ≥ 0.
func slopesK(v, x float64) slopes {
	nan, inf := math.NaN(), math.Inf(1)
	switch {
	case !(v >= 0 && x >= 0), math.IsInf(v, 1) && math.IsInf(x, 1):
		return slopes{nan, nan, nan, nan}
	case x == 0 || math.IsInf(v, 1):
		return slopes{inf, -inf, -inf, inf}
	case math.IsInf(x, 1):
		return slopes{1, -1, 0, 0}
	}
	switch m, _ := (Bessel{}).Choose(v, x); m { // derivatives want all terms
	case Debye:
		return debyeSlopesK(v, x, 13)
	case Hankel:
		return hankelSlopes(v, x, 20, 1)
	}
	return smallSlopesK(v, x)
}

// evenOrder is |v| for integer v < 0, where I_{−v} = I_v, and v otherwise.
func evenOrder(v float64) float64 {
	if v < 0 && v == math.Trunc(v) {
		return -v
	}
	return v
}

// RatioI is I_{v+1}(x)/I_v(x). Differences of [LogI] would lose digits at large v.
func RatioI(v, x float64) float64 {
	if evenOrder(v) != v {
		return 1 / slopesI(-v-1, x).ratio // I_{1−n}/I_{−n} = I_{n−1}/I_n
	}
	return slopesI(v, x).ratio
}

// RatioK is K_{v+1}(x)/K_v(x).
func RatioK(v, x float64) float64 {
	switch {
	case v <= -1:
		return 1 / slopesK(-v-1, x).ratio
	case v <= -0.5:
		return below(-v, x)
	case v < 0:
		return 1 / below(1+v, x)
	}
	return slopesK(v, x).ratio
}

// below is K_{v−1}(x)/K_v(x) for v from 1/2 to 1.
func below(v, x float64) float64 {
	switch {
	case x == 0:
		return 0
	case x > 0 && x <= temmeMost:
		_, rho, _ := temme(v, x)
		return rho
	}
	return -slopesK(v, x).dlog - v/x
}

// DLogI is the derivative of log I_v(x) in x.
func DLogI(v, x float64) float64 { return slopesI(evenOrder(v), x).dlog }

// D2LogI is the second derivative of log I_v(x) in x.
func D2LogI(v, x float64) float64 { return slopesI(evenOrder(v), x).d2log }

// DLogK is the derivative of log K_v(x) in x.
func DLogK(v, x float64) float64 { return slopesK(math.Abs(v), x).dlog }

// D2LogK is the second derivative of log K_v(x) in x.
func D2LogK(v, x float64) float64 { return slopesK(math.Abs(v), x).d2log }

// DRatioI is the derivative of I_{v+1}(x)/I_v(x) in x.
func DRatioI(v, x float64) float64 {
	if evenOrder(v) != v {
		s := slopesI(-v-1, x)
		return -s.dratio / s.ratio / s.ratio
	}
	return slopesI(v, x).dratio
}
