package backend

import (
	"slices"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
)

// small is the number of elements below which the backend's general loops do.
const small = 4096

func (f *function) Add(x, y compute.Value) (compute.Value, error) {
	return f.binary(f.Function.Add, x, y)
}

func (f *function) Sub(x, y compute.Value) (compute.Value, error) {
	return f.binary(f.Function.Sub, x, y)
}

func (f *function) Mul(x, y compute.Value) (compute.Value, error) {
	return f.binary(f.Function.Mul, x, y)
}

func (f *function) Div(x, y compute.Value) (compute.Value, error) {
	return f.binary(f.Function.Div, x, y)
}

// binary expands an operand that is broadcast before op combines the two: an
// outer product with ones and a pass over equal shapes are faster than the
// backend's broadcasting loop.
func (f *function) binary(op func(x, y compute.Value) (compute.Value, error), x, y compute.Value) (compute.Value, error) {
	xs, err := f.Shape(x)
	if err != nil {
		return op(x, y)
	}
	ys, err := f.Shape(y)
	if err != nil || xs.DType != ys.DType || xs.Rank() != ys.Rank() {
		return op(x, y)
	}
	if e, ok, err := f.expand(y, ys, xs.Dimensions); ok {
		if err != nil {
			return nil, err
		}
		return op(x, e)
	}
	if e, ok, err := f.expand(x, xs, ys.Dimensions); ok {
		if err != nil {
			return nil, err
		}
		return op(e, y)
	}
	return op(x, y)
}

// expand broadcasts x to dims as an outer product with ones. It is not ok where
// that is no gain.
func (f *function) expand(x compute.Value, shape shapes.Shape, dims []int) (y compute.Value, ok bool, err error) {
	if !isFloat(shape.DType) || isDynamic(shape) || slices.Contains(dims, shapes.DynamicDim) || product(dims) < small || shape.Size() <= 1 {
		return nil, false, nil
	}
	runs, ok := mergeAxes(shape.Dimensions, dims)
	if !ok {
		return nil, false, nil
	}
	b := &ops{f: f}
	switch {
	case len(runs) == 2 && runs[0].repeat: // rows that are all alike
		n, m := runs[0].size, runs[1].size
		y = b.dot(b.ones(shape.DType, n, 1), 1, b.reshape(x, 1, m), 0)
	case len(runs) == 2: // columns that are all alike
		n, m := runs[0].size, runs[1].size
		y = b.dot(b.reshape(x, n, 1), 1, b.ones(shape.DType, 1, m), 0)
	case len(runs) == 3 && runs[1].repeat: // in each batch, rows that are all alike
		batch, n, m := runs[0].size, runs[1].size, runs[2].size
		y = b.batchDot(b.ones(shape.DType, batch, n, 1), b.reshape(x, batch, 1, m))
	default:
		return nil, false, nil
	}
	return b.reshape(y, dims...), true, b.err
}

// run is a number of neighbouring axes over which an operand is repeated, or is not.
type run struct {
	size   int
	repeat bool
}

// mergeAxes describes the broadcast from x to dims; not ok if there is none.
func mergeAxes(x, dims []int) ([]run, bool) {
	var runs []run
	repeats := false
	for i, d := range dims {
		if x[i] != d && x[i] != 1 {
			return nil, false
		}
		if d == 1 {
			continue
		}
		repeat := x[i] == 1
		repeats = repeats || repeat
		if n := len(runs); n > 0 && runs[n-1].repeat == repeat {
			runs[n-1].size *= d
		} else {
			runs = append(runs, run{d, repeat})
		}
	}
	return runs, repeats
}

// ReduceSum sums as a product with ones.
func (f *function) ReduceSum(x compute.Value, axes ...int) (compute.Value, error) {
	plain := func() (compute.Value, error) { return f.Function.ReduceSum(x, axes...) }
	shape, err := f.Shape(x)
	if err != nil || !isFloat(shape.DType) || isDynamic(shape) || shape.Size() < small {
		return plain()
	}
	kept, dims := slices.Clone(shape.Dimensions), []int{}
	for i, d := range shape.Dimensions {
		if len(axes) == 0 || slices.Contains(axes, i) {
			kept[i] = 1
		} else {
			dims = append(dims, d)
		}
	}
	runs, ok := mergeAxes(kept, shape.Dimensions)
	if !ok {
		return plain()
	}
	b := &ops{f: f}
	var y compute.Value
	switch {
	case len(runs) == 1:
		y = b.dot(b.ones(shape.DType, 1, runs[0].size), 1, b.reshape(x, runs[0].size, 1), 0)
	case len(runs) == 2 && runs[0].repeat:
		y = b.dot(b.ones(shape.DType, 1, runs[0].size), 1, b.reshape(x, runs[0].size, runs[1].size), 0)
	case len(runs) == 2:
		y = b.dot(b.reshape(x, runs[0].size, runs[1].size), 1, b.ones(shape.DType, runs[1].size, 1), 0)
	case len(runs) == 3 && runs[1].repeat:
		y = b.batchDot(b.ones(shape.DType, runs[0].size, 1, runs[1].size), b.reshape(x, runs[0].size, runs[1].size, runs[2].size))
	default:
		return plain()
	}
	y = b.reshape(y, dims...)
	return y, b.err
}

func isFloat(t dtypes.DType) bool { return t == dtypes.Float32 || t == dtypes.Float64 }

// ones is an array of ones.
func (b *ops) ones(dtype dtypes.DType, dims ...int) compute.Value {
	return b.constant(slices.Repeat([]float32{1}, product(dims)), dtype, dims...)
}

// batchDot multiplies [batch, M, K] with [batch, K, N].
func (b *ops) batchDot(x, y compute.Value) compute.Value {
	return b.do(func() (compute.Value, error) {
		return b.f.DotGeneral(x, []int{2}, []int{0}, y, []int{1}, []int{0}, compute.DotGeneralConfig{})
	})
}
