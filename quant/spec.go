package quant

import (
	"fmt"
	"math"
)

// A Spec says how numbers become codes.
//
//	asymmetric:  s = (max − min)/(2^b − 1)   z = −round(min/s)   q = round(w/s) + z
//	symmetric:   s = max|w|/(2^(b−1) − 1)    q = round(w/s)
//
// Halves are rounded to even. The range is at least 1e-5 wide, so that zeros do
// not divide by zero.
type Spec struct {
	Bits  int // 2 to 8
	Group int // inputs that share a scale; 0: 128
	// Symmetric has no zero point: codes from −2^(b−1) to 2^(b−1)−1.
	Symmetric bool
	// Range says what an asymmetric group of one sign does.
	Range Range
}

// Range is the range of an asymmetric group whose weights all have one sign.
type Range int8

const (
	// Widened includes zero in the range.
	Widened Range = iota
	// Published clamps the zero point to the codes instead, as the code of the
	// MixLLM paper does: weights from 0.5 to 1 then all become 0.5.
	Published
)

// defaultGroup is the number of inputs that share a scale.
const defaultGroup = 128

// smallest is the least range of a group.
const smallest = 1e-5

func (s Spec) group() int {
	if s.Group == 0 {
		return defaultGroup
	}
	return s.Group
}

func (s Spec) check(cols int) error {
	if s.Bits < 2 || s.Bits > 8 {
		return fmt.Errorf("quant: bits = %d: must be 2 to 8", s.Bits)
	}
	return checkGroup(s.group(), cols)
}

// maxGroup keeps the sum of a group's products in 32 bits.
const maxGroup = 1 << 15

func checkGroup(group, cols int) error {
	switch {
	case group < 1 || group > maxGroup:
		return fmt.Errorf("quant: group = %d: must be 1 to %d", group, maxGroup)
	case cols == 0 || cols%group != 0:
		return fmt.Errorf("quant: group = %d: does not divide %d inputs", group, cols)
	}
	return nil
}

// top is the largest stored code. Codes are stored from 0: those of symmetric
// groups with 2^(b−1) added, which then is their zero point.
func (s Spec) top() int { return 1<<s.Bits - 1 }

func (s Spec) middle() int { return 1 << (s.Bits - 1) }

// fit finds scale and zero point of a group whose range is cut to that ratio.
func (s Spec) fit(w []float64, ratio float64) (scale float64, zero int) {
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, x := range w {
		lo, hi = min(lo, x), max(hi, x)
	}
	if s.Symmetric {
		return max(ratio*max(-lo, hi), smallest) / float64(s.middle()-1), s.middle()
	}
	if s.Range == Widened {
		lo, hi = min(lo, 0), max(hi, 0)
	}
	lo, hi = ratio*lo, ratio*hi
	scale = max(hi-lo, smallest) / float64(s.top())
	return scale, clamp(-math.RoundToEven(lo/scale), s.top())
}

// code is the stored code of a number.
func (s Spec) code(w, scale float64, zero int) int {
	return clamp(math.RoundToEven(w/scale)+float64(zero), s.top())
}

func clamp(x float64, top int) int { return int(max(0, min(x, float64(top)))) }
