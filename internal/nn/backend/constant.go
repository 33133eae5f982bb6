package backend

import (
	"slices"

	"github.com/gomlx/compute"
)

// constant is the content of a constant: weights given as constants are brought
// into the order that their operation wants when the graph is built.
type constant struct {
	flat any // []float32 or []float64
	dims []int
}

// Constant remembers what it adds.
func (f *function) Constant(flat any, dims ...int) (compute.Value, error) {
	v, err := f.Function.Constant(flat, dims...)
	if err != nil {
		return nil, err
	}
	c := constant{dims: slices.Clone(dims)}
	switch flat := flat.(type) { // the caller may use its slice again
	case []float32:
		c.flat = slices.Clone(flat)
	case []float64:
		c.flat = slices.Clone(flat)
	default:
		return v, nil
	}
	f.constants[v] = c
	return v, nil
}

// Reshape gives a constant for a constant.
func (f *function) Reshape(x compute.Value, dims ...int) (compute.Value, error) {
	if c, ok := f.constants[x]; ok && product(c.dims) == product(dims) {
		return f.Constant(c.flat, dims...)
	}
	return f.Function.Reshape(x, dims...)
}

// Slice gives a constant for a constant.
func (f *function) Slice(x compute.Value, starts, limits, strides []int) (compute.Value, error) {
	c, ok := f.constants[x]
	if !ok || !contains(c.dims, starts, limits) || len(strides) > 0 && len(strides) != len(c.dims) {
		return f.Function.Slice(x, starts, limits, strides)
	}
	dims, steps := make([]int, len(starts)), ones(len(starts))
	for i := range dims {
		if len(strides) > 0 {
			steps[i] = max(strides[i], 1)
		}
		dims[i] = (limits[i] - starts[i] + steps[i] - 1) / steps[i]
	}
	own := strided(c.dims)
	offset := 0
	for i, s := range starts {
		offset += s * own[i]
		own[i] *= steps[i]
	}
	return f.Constant(c.gather(dims, own, offset), dims...)
}

// contains reports whether a slice lies within an array.
func contains(dims, starts, limits []int) bool {
	if len(starts) != len(dims) || len(limits) != len(dims) {
		return false
	}
	for i, d := range dims {
		if starts[i] < 0 || starts[i] > limits[i] || limits[i] > d {
			return false
		}
	}
	return true
}

// transpose permutes the axes.
func (c constant) transpose(perm []int) constant {
	own := strided(c.dims)
	return constant{c.gather(permuted(c.dims, perm), permuted(own, perm), 0), permuted(c.dims, perm)}
}

// gather reads an array of the sizes dims with these strides.
func (c constant) gather(dims, strides []int, offset int) any {
	if v, ok := c.flat.([]float64); ok {
		return gather(v, dims, strides, offset)
	}
	return gather(c.flat.([]float32), dims, strides, offset)
}

func gather[T any](v []T, dims, strides []int, offset int) []T {
	out := make([]T, product(dims))
	index := make([]int, len(dims))
	for i := range out {
		out[i] = v[offset]
		for a := len(dims) - 1; a >= 0; a-- {
			offset += strides[a]
			if index[a]++; index[a] < dims[a] {
				break
			}
			offset -= index[a] * strides[a]
			index[a] = 0
		}
	}
	return out
}

// strided gives the strides of a dense array.
func strided(dims []int) []int {
	s := make([]int, len(dims))
	n := 1
	for i := len(dims) - 1; i >= 0; i-- {
		s[i] = n
		n *= dims[i]
	}
	return s
}
