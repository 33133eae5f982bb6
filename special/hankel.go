package special

import "math"

// hankelSum is Σ_{k≤terms} sign^k Π_{j≤k} (4v² − (2j−1)²)/(8jx).
func hankelSum(v, x float64, terms int, sign float64) float64 {
	y := sign / x
	total := 1.0
	for k := terms; k >= 1; k-- {
		total = 1 + hankelStep(v, k)*y*total
	}
	return total
}

// hankelStep is (4v² − (2k−1)²)/(8k).
func hankelStep(v float64, k int) float64 {
	odd := float64(2*k - 1)
	return (2*v - odd) * (2*v + odd) / float64(8*k)
}

// hankelLogI is DLMF 10.40.1.
func hankelLogI(v, x float64, terms int) float64 {
	s := hankelSum(v, x, terms, -1)
	return x + 0.5*math.Log(s*s/x/(2*math.Pi))
}

// hankelLogK is DLMF 10.40.2.
func hankelLogK(v, x float64, terms int) float64 {
	s := hankelSum(v, x, terms, 1)
	return 0.5*math.Log(s*s/x*(math.Pi/2)) - x
}

// hankelSlopes differentiates log I = x − log(x)/2 + log S (sign −1) and
// log K = −x − log(x)/2 + log S (sign 1).
func hankelSlopes(v, x float64, terms int, sign float64) slopes {
	var s0, s1, s2 float64
	term := 1.0
	for k := 0; k <= terms; k++ {
		m := float64(k)
		s0 += term
		s1 += m * term
		s2 += m * m * term
		term *= sign * hankelStep(v, k+1) / x
	}
	t := s1 / s0
	g := s2/s0 - t*t
	c1, c2 := (0.5+t)/x, (0.5+t+g)/x/x
	if sign < 0 {
		return slopes{ratio: 1 - c1 - v/x, dlog: 1 - c1, dratio: c2 + v/x/x, d2log: c2}
	}
	return slopes{ratio: 1 + c1 + v/x, dlog: -1 - c1, dratio: -c2 - v/x/x, d2log: c2}
}
