package quant

import (
	"fmt"
	"math"

	"github.com/assay-lab/assay/internal/kern"
)

// Activations are tokens as 8-bit integers: symmetric, one scale for each token
// and group of features, q = round(x/s) with s = max|x|/127.
type Activations struct {
	Tokens, Cols, Group int
	// Codes are [Tokens, Groups, Group rounded up to a multiple of 8]; the numbers
	// that fill up a group are 0. They are from −127 to 127.
	Codes []int8
	Scale []float32 // [Tokens, Groups]
	Sum   []int32   // [Tokens, Groups], the sums of the codes
}

// padded is the length of a group in memory.
func padded(group int) int { return (group + 7) &^ 7 }

// Groups is the number of groups of a token.
func (a *Activations) Groups() int { return a.Cols / a.Group }

// Code is the code of a feature.
func (a *Activations) Code(token, i int) int8 {
	return a.Codes[(token*a.Groups()+i/a.Group)*padded(a.Group)+i%a.Group]
}

// reset gives a its size, keeping memory where it is enough.
func (a *Activations) reset(tokens, cols, group int) {
	n := tokens * (cols / group)
	a.Tokens, a.Cols, a.Group = tokens, cols, group
	a.Codes = resized(a.Codes, n*padded(group))
	a.Scale = resized(a.Scale, n)
	a.Sum = resized(a.Sum, n)
	if padded(group) != group {
		clear(a.Codes)
	}
}

func resized[T any](x []T, n int) []T {
	if cap(x) < n {
		return make([]T, n)
	}
	return x[:n]
}

// QuantizeActivations replaces a by the codes of x [tokens, cols]. Its memory is used again
// where it is enough. float64 numbers are scaled in float64.
func QuantizeActivations[T float32 | float64](a *Activations, x []T, tokens, cols, group int) error {
	if err := checkGroup(group, cols); err != nil {
		return err
	}
	if tokens < 1 || len(x) != tokens*cols {
		return fmt.Errorf("quant: activations: %d numbers for %d tokens of %d features", len(x), tokens, cols)
	}
	if i := kern.NotFinite(x); i >= 0 {
		return fmt.Errorf("quant: activation [%d, %d] = %g: must be finite", i/cols, i%cols, x[i])
	}
	a.reset(tokens, cols, group)
	for k := range a.Scale {
		part, codes := x[k*group:(k+1)*group], a.Codes[k*padded(group):]
		if p, ok := any(part).([]float32); ok {
			a.Scale[k], a.Sum[k] = kern.QuantizeI8(codes[:group], p, smallest)
			continue
		}
		scale, sum := quantize64(codes, part)
		if a.Scale[k] = float32(scale); math.IsInf(scale, 0) || math.IsInf(float64(a.Scale[k]), 0) {
			return fmt.Errorf("quant: activations of token %d: beyond float32", k/a.Groups())
		}
		a.Sum[k] = sum
	}
	return nil
}

func quantize64[T float32 | float64](dst []int8, x []T) (scale float64, sum int32) {
	var most float64
	for _, v := range x {
		most = max(most, math.Abs(float64(v)))
	}
	scale = max(most, smallest) / 127
	for i, v := range x {
		q := math.RoundToEven(float64(v) / scale) // at most 127
		dst[i] = int8(q)
		sum += int32(q)
	}
	return scale, sum
}

// NewActivations takes codes [tokens, cols] and scales [tokens, groups] as they are.
func NewActivations(codes []int8, scale []float32, tokens, cols, group int) (*Activations, error) {
	if err := checkGroup(group, cols); err != nil {
		return nil, err
	}
	if tokens < 1 || len(codes) != tokens*cols || len(scale) != len(codes)/group {
		return nil, fmt.Errorf("quant: %d codes and %d scales for %d tokens of %d features in groups of %d", len(codes), len(scale), tokens, cols, group)
	}
	a := &Activations{}
	a.reset(tokens, cols, group)
	copy(a.Scale, scale)
	for k := range a.Scale {
		a.Sum[k] = 0
		for i, q := range codes[k*group : (k+1)*group] {
			if q == math.MinInt8 {
				return nil, fmt.Errorf("quant: activation code %d: must be −127 to 127", q)
			}
			a.Codes[k*padded(group)+i] = q
			a.Sum[k] += int32(q)
		}
		if s := float64(scale[k]); math.IsNaN(s) || math.IsInf(s, 0) {
			return nil, fmt.Errorf("quant: activation scale %d = %g: must be finite", k, s)
		}
	}
	return a, nil
}
