package backend

import (
	"slices"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
)

// ops adds operations to a function until the first error, which it keeps.
type ops struct {
	f   *function
	err error
}

// do adds an operation.
func (b *ops) do(op func() (compute.Value, error)) compute.Value {
	if b.err != nil {
		return nil
	}
	v, err := op()
	b.err = err
	return v
}

// dims are the sizes of v; a slice of zeros after an error.
func (b *ops) dims(v compute.Value) []int {
	if b.err == nil {
		s, err := b.f.Shape(v)
		if b.err = err; err == nil {
			return s.Dimensions
		}
	}
	return make([]int, 16)
}

func (b *ops) transpose(x compute.Value, perm ...int) compute.Value {
	return b.do(func() (compute.Value, error) { return b.f.Transpose(x, perm...) })
}

func (b *ops) reshape(x compute.Value, dims ...int) compute.Value {
	if slices.Equal(b.dims(x), dims) {
		return x
	}
	return b.do(func() (compute.Value, error) { return b.f.Reshape(x, dims...) })
}

func (b *ops) concat(axis int, x ...compute.Value) compute.Value {
	if len(x) == 1 {
		return x[0]
	}
	return b.do(func() (compute.Value, error) { return b.f.Concatenate(axis, x...) })
}

func (b *ops) add(x, y compute.Value) compute.Value {
	return b.do(func() (compute.Value, error) { return b.f.Add(x, y) })
}

func (b *ops) mul(x, y compute.Value) compute.Value {
	return b.do(func() (compute.Value, error) { return b.f.Mul(x, y) })
}

func (b *ops) sum(x compute.Value, axes ...int) compute.Value {
	return b.do(func() (compute.Value, error) { return b.f.ReduceSum(x, axes...) })
}

func (b *ops) slice(x compute.Value, starts, limits, strides []int) compute.Value {
	whole := slices.Equal(limits, b.dims(x)) && slices.Max(starts) == 0 && (strides == nil || slices.Max(strides) == 1)
	if whole {
		return x
	}
	return b.do(func() (compute.Value, error) { return b.f.Slice(x, starts, limits, strides) })
}

// dot contracts one axis of x with one of y.
func (b *ops) dot(x compute.Value, xAxis int, y compute.Value, yAxis int) compute.Value {
	return b.do(func() (compute.Value, error) {
		return b.f.DotGeneral(x, []int{xAxis}, nil, y, []int{yAxis}, nil, compute.DotGeneralConfig{})
	})
}

// matmul multiplies the channels of x [..., in] by w [in, out].
func (b *ops) matmul(x, w compute.Value) compute.Value {
	xd, wd := b.dims(x), b.dims(w)
	y := b.dot(b.reshape(x, product(xd[:len(xd)-1]), xd[len(xd)-1]), 1, w, 0)
	return b.reshape(y, append(slices.Clone(xd[:len(xd)-1]), wd[1])...)
}

// constant makes a constant of the type.
func (b *ops) constant(v []float32, dtype dtypes.DType, dims ...int) compute.Value {
	return b.do(func() (compute.Value, error) {
		if dtype == dtypes.Float32 {
			return b.f.Constant(v, dims...)
		}
		wide := make([]float64, len(v))
		for i, x := range v {
			wide[i] = float64(x)
		}
		return b.f.Constant(wide, dims...)
	})
}

// pad pads the spatial axes of x [batch, spatial..., channels] with zeros; pads
// may name only the first of them.
func (b *ops) pad(x compute.Value, dtype dtypes.DType, pads []compute.PadAxis) compute.Value {
	all := make([]compute.PadAxis, len(b.dims(x)))
	copy(all[1:], pads)
	return b.padAll(x, dtype, all)
}

// padAll pads every axis of x, or crops it where the padding is negative. The
// backend's own Pad may crash the process on negative padding.
func (b *ops) padAll(x compute.Value, dtype dtypes.DType, pads []compute.PadAxis) compute.Value {
	outer := make([]compute.PadAxis, len(pads))
	starts, ends := make([]int, len(pads)), make([]int, len(pads))
	for i, p := range pads {
		outer[i] = compute.PadAxis{Start: max(p.Start, 0), End: max(p.End, 0), Interior: p.Interior}
		starts[i], ends[i] = max(-p.Start, 0), max(-p.End, 0)
	}
	if slices.ContainsFunc(outer, func(p compute.PadAxis) bool { return p != compute.PadAxis{} }) {
		zero := b.constant([]float32{0}, dtype)
		x = b.do(func() (compute.Value, error) { return b.f.Pad(x, zero, outer...) })
	}
	limits := slices.Clone(b.dims(x))
	for i := range ends {
		limits[i] -= ends[i]
	}
	return b.slice(x, starts, limits, nil)
}

// spatial gives the padding of each of n spatial axes.
func spatial(n int, axis func(i int) compute.PadAxis) []compute.PadAxis {
	pads := make([]compute.PadAxis, n)
	for i := range pads {
		pads[i] = axis(i)
	}
	return pads
}

// channelsLast is the order of axes that puts the channels last.
func channelsLast(batch int, spatial []int, channels int) []int {
	return slices.Concat([]int{batch}, spatial, []int{channels})
}

func inverse(perm []int) []int {
	inv := make([]int, len(perm))
	for i, p := range perm {
		inv[p] = i
	}
	return inv
}

func permuted(dims, perm []int) []int {
	out := make([]int, len(perm))
	for i, p := range perm {
		out[i] = dims[p]
	}
	return out
}

func ones(n int) []int { return slices.Repeat([]int{1}, n) }

func product(v []int) int {
	p := 1
	for _, x := range v {
		p *= x
	}
	return p
}

// unravel gives the index of element j of an array of these sizes.
func unravel(j int, dims []int) []int {
	index := make([]int, len(dims))
	for i := len(dims) - 1; i >= 0; i-- {
		index[i] = j % dims[i]
		j /= dims[i]
	}
	return index
}
