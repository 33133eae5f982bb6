package nn

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// A Param is one named array of a network.
type Param struct {
	Name  string
	Shape []int
	// Deviation of its normal initial values; 0 starts it at zero.
	Deviation float64
}

// Len is the number of elements.
func (p Param) Len() int {
	n := 1
	for _, d := range p.Shape {
		n *= d
	}
	return n
}

// A Layout lists the arrays of a network. Their elements lie behind each other in
// one flat slice, in this order, so that an optimizer sees a single vector.
type Layout []Param

// Len is the number of elements of all arrays.
func (l Layout) Len() int {
	n := 0
	for _, p := range l {
		n += p.Len()
	}
	return n
}

// Split cuts a flat slice into the arrays, sharing memory.
func (l Layout) Split(flat []float32) [][]float32 {
	parts := make([][]float32, len(l))
	for i, p := range l {
		n := p.Len()
		parts[i], flat = flat[:n:n], flat[n:]
	}
	return parts
}

// Init draws initial values.
func (l Layout) Init(r *rand.Rand) []float32 {
	flat := make([]float32, l.Len())
	for i, part := range l.Split(flat) {
		if l[i].Deviation == 0 {
			continue
		}
		for j := range part {
			part[j] = float32(l[i].Deviation * r.NormFloat64())
		}
	}
	return flat
}

// finite reports the first array with an element that is NaN or infinite.
func (l Layout) finite(flat []float32) error {
	for i, part := range l.Split(flat) {
		for j, x := range part {
			if f := float64(x); math.IsNaN(f) || math.IsInf(f, 0) {
				return fmt.Errorf("%s[%d] = %g", l[i].Name, j, x)
			}
		}
	}
	return nil
}
