package backend

import (
	"slices"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/shapes"
)

// transposed says of which value another is the transpose.
type transposed struct {
	from compute.Value
	perm []int
}

// Transpose composes with the transposes that x came from, so that those which
// undo each other cost nothing, and only reshapes when just axes of size 1 move.
func (f *function) Transpose(x compute.Value, perm ...int) (compute.Value, error) {
	shape, err := f.Shape(x)
	if err != nil {
		return nil, err
	}
	if !isPermutation(perm, shape.Rank()) {
		return f.Function.Transpose(x, perm...) // which knows how to complain
	}
	if t, ok := f.transposed[x]; ok {
		composed := make([]int, len(perm))
		for i, p := range perm {
			composed[i] = t.perm[p]
		}
		x, perm = t.from, composed
		if shape, err = f.Shape(x); err != nil {
			return nil, err
		}
	}
	if slices.IsSorted(perm) {
		return x, nil
	}
	if c, ok := f.constants[x]; ok {
		c = c.transpose(perm)
		return f.Constant(c.flat, c.dims...)
	}
	perm = slices.Clone(perm) // it is kept
	var y compute.Value
	if keepsOrder(shape, perm) {
		dims := make([]int, len(perm))
		for i, p := range perm {
			dims[i] = shape.Dimensions[p]
		}
		y, err = f.Reshape(x, dims...)
	} else {
		y, err = f.Function.Transpose(x, perm...)
	}
	if err != nil {
		return nil, err
	}
	f.transposed[y] = transposed{x, perm}
	return y, nil
}

func isPermutation(perm []int, rank int) bool {
	if len(perm) != rank {
		return false
	}
	seen := make([]bool, rank)
	for _, p := range perm {
		if p < 0 || p >= rank || seen[p] {
			return false
		}
		seen[p] = true
	}
	return true
}

// keepsOrder reports whether the permutation leaves the elements in their order.
func keepsOrder(shape shapes.Shape, perm []int) bool {
	last := -1
	for _, p := range perm {
		switch d := shape.Dimensions[p]; {
		case d == shapes.DynamicDim:
			return false
		case d == 1:
		case p < last:
			return false
		default:
			last = p
		}
	}
	return true
}

// isDynamic reports whether a size is known only at run time.
func isDynamic(s shapes.Shape) bool {
	return slices.Contains(s.Dimensions, shapes.DynamicDim)
}
