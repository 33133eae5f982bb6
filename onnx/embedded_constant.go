package onnx

import (
	"fmt"
	"math"
	"slices"
)

// maxFold is the largest result, in elements, of an operation on constants that
// is carried out when a model is rewritten. Sizes and masks are smaller; weights
// are only ever reordered.
const maxFold = 1 << 16

// take gathers elements: the i-th of n is that at index at(i).
func take(data any, n int, at func(i int) int) any {
	switch d := data.(type) {
	case []float32:
		return gather(d, n, at)
	case []float64:
		return gather(d, n, at)
	case []int64:
		return gather(d, n, at)
	case []int32:
		return gather(d, n, at)
	case []bool:
		return gather(d, n, at)
	case []int8:
		return gather(d, n, at)
	case []uint8:
		return gather(d, n, at)
	case []int16:
		return gather(d, n, at)
	case []uint16:
		return gather(d, n, at)
	case []uint32:
		return gather(d, n, at)
	case []uint64:
		return gather(d, n, at)
	}
	return nil
}

func gather[T any](d []T, n int, at func(i int) int) []T {
	out := make([]T, n)
	for i := range out {
		out[i] = d[at(i)]
	}
	return out
}

// strides are those of a dense array.
func strides(shape []int) []int {
	s := make([]int, len(shape))
	n := 1
	for i := len(shape) - 1; i >= 0; i-- {
		s[i] = n
		n *= shape[i]
	}
	return s
}

// walk gives a function for the offset of the next element of an array of this
// shape, row by row, that lies in memory with the strides given.
func walk(shape, strides []int, offset int) func(int) int {
	index := make([]int, len(shape))
	return func(int) int {
		at := offset
		for a := len(shape) - 1; a >= 0; a-- {
			offset += strides[a]
			if index[a]++; index[a] < shape[a] {
				break
			}
			offset -= index[a] * strides[a]
			index[a] = 0
		}
		return at
	}
}

// permuted gives v in the order of perm; perm nil: as it is.
func permuted(v, perm []int) []int {
	if perm == nil {
		return v
	}
	out := make([]int, len(perm))
	for i, p := range perm {
		out[i] = v[p]
	}
	return out
}

func inverse(perm []int) []int {
	inv := make([]int, len(perm))
	for i, p := range perm {
		inv[p] = i
	}
	return inv
}

// repeatStrides are the strides with which an array is read when it is broadcast
// to a shape of the same or higher rank.
func repeatStrides(shape, to []int) []int {
	own := strides(shape)
	s := make([]int, len(to))
	for i, d := range shape {
		if d != 1 {
			s[len(to)-len(shape)+i] = own[i]
		}
	}
	return s
}

// broadcast is the shape to which both broadcast.
func broadcast(a, b []int) ([]int, bool) {
	if len(a) < len(b) {
		a, b = b, a
	}
	out := slices.Clone(a)
	for i, d := range b {
		j := len(a) - len(b) + i
		switch {
		case out[j] == 1:
			out[j] = d
		case d != 1 && d != out[j]:
			return nil, false
		}
	}
	return out, true
}

func elements(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// toInts converts whole numbers and truth values, nil if they are others.
func toInts(data any) []int64 {
	switch d := data.(type) {
	case []int64:
		return d
	case []int32:
		return convert[int64](d)
	case []int8:
		return convert[int64](d)
	case []uint8:
		return convert[int64](d)
	case []int16:
		return convert[int64](d)
	case []uint16:
		return convert[int64](d)
	case []uint32:
		return convert[int64](d)
	case []uint64:
		return convert[int64](d)
	case []bool:
		out := make([]int64, len(d))
		for i, b := range d {
			if b {
				out[i] = 1
			}
		}
		return out
	}
	return nil
}

// toFloats converts any numbers.
func toFloats(data any) []float64 {
	switch d := data.(type) {
	case []float64:
		return d
	case []float32:
		return convert[float64](d)
	}
	return convert[float64](toInts(data))
}

func convert[T, S int64 | int32 | int8 | uint8 | int16 | uint16 | uint32 | uint64 | float32 | float64](s []S) []T {
	out := make([]T, len(s))
	for i, x := range s {
		out[i] = T(x)
	}
	return out
}

// fromInts stores whole numbers as a type, nil if it has no such data.
func fromInts(t Type, v []int64) any {
	switch t {
	case Int64:
		return v
	case Int32:
		return convert[int32](v)
	case Int8:
		return convert[int8](v)
	case Uint8:
		return convert[uint8](v)
	case Int16:
		return convert[int16](v)
	case Uint16:
		return convert[uint16](v)
	case Uint32:
		return convert[uint32](v)
	case Uint64:
		return convert[uint64](v)
	case Bool:
		out := make([]bool, len(v))
		for i, x := range v {
			out[i] = x != 0
		}
		return out
	}
	return fromFloats(t, convert[float64](v))
}

// fromFloats stores numbers as a type.
func fromFloats(t Type, v []float64) any {
	switch t {
	case Float64:
		return v
	case Float32:
		return convert[float32](v)
	case Bool:
		out := make([]bool, len(v))
		for i, x := range v {
			out[i] = x != 0
		}
		return out
	}
	whole := make([]int64, len(v))
	for i, x := range v {
		whole[i] = int64(x) // truncates, as Cast does
	}
	return fromInts(t, whole)
}

// widened gives half-precision numbers as float32, other data as they are.
func widened(data any) any {
	switch d := data.(type) {
	case []Half:
		out := make([]float32, len(d))
		for i, h := range d {
			out[i] = h.Float32()
		}
		return out
	case []BHalf:
		out := make([]float32, len(d))
		for i, h := range d {
			out[i] = h.Float32()
		}
		return out
	}
	return data
}

// wide is the type in which the engine computes with one.
func wide(t Type) Type {
	if t == Float16 || t == BFloat16 {
		return Float32
	}
	return t
}

// intOps and floatOps are the operators on two numbers that are carried out on
// constants.
var intOps = map[string]func(a, b int64) int64{
	"Add": func(a, b int64) int64 { return a + b },
	"Sub": func(a, b int64) int64 { return a - b },
	"Mul": func(a, b int64) int64 { return a * b },
	"Div": func(a, b int64) int64 { return a / b },
	"Min": func(a, b int64) int64 { return min(a, b) },
	"Max": func(a, b int64) int64 { return max(a, b) },
	"Mod": func(a, b int64) int64 { return ((a % b) + b) % b },
	"And": func(a, b int64) int64 { return a & b },
	"Or":  func(a, b int64) int64 { return a | b },
	"Xor": func(a, b int64) int64 { return a ^ b },
}

var floatOps = map[string]func(a, b float64) float64{
	"Add": func(a, b float64) float64 { return a + b },
	"Sub": func(a, b float64) float64 { return a - b },
	"Mul": func(a, b float64) float64 { return a * b },
	"Div": func(a, b float64) float64 { return a / b },
	"Min": func(a, b float64) float64 { return min(a, b) },
	"Max": func(a, b float64) float64 { return max(a, b) },
	"Pow": math.Pow,
}

// compareOps give truth values.
var compareOps = map[string]func(a, b float64) bool{
	"Equal":          func(a, b float64) bool { return a == b },
	"Less":           func(a, b float64) bool { return a < b },
	"LessOrEqual":    func(a, b float64) bool { return a <= b },
	"Greater":        func(a, b float64) bool { return a > b },
	"GreaterOrEqual": func(a, b float64) bool { return a >= b },
}

var unaryOps = map[string]func(float64) float64{
	"Neg": func(x float64) float64 { return -x }, "Abs": math.Abs, "Floor": math.Floor, "Ceil": math.Ceil,
	"Sqrt": math.Sqrt, "Exp": math.Exp, "Log": math.Log, "Sin": math.Sin, "Cos": math.Cos, "Tanh": math.Tanh,
	"Sigmoid":    func(x float64) float64 { return 1 / (1 + math.Exp(-x)) },
	"Reciprocal": func(x float64) float64 { return 1 / x },
}

// foldUnary applies an operator to a constant; ok is false if it cannot.
func foldUnary(op string, x *value) (any, bool) {
	f := unaryOps[op]
	if f == nil || x.data == nil || elements(x.shape) > maxFold {
		return nil, false
	}
	if !x.typ.Float() && op != "Neg" && op != "Abs" {
		return nil, false
	}
	v := toFloats(x.data)
	out := make([]float64, len(v))
	for i, a := range v {
		out[i] = f(a)
	}
	return fromFloats(x.typ, out), true
}

// foldBinary applies an operator to constants; ok is false if it cannot.
func foldBinary(op string, x, y *value, shape []int) (data any, ok bool, err error) {
	n := elements(shape)
	if x.data == nil || y.data == nil || n > maxFold {
		return nil, false, nil
	}
	ix, iy := walk(shape, repeatStrides(x.shape, shape), 0), walk(shape, repeatStrides(y.shape, shape), 0)
	if f := compareOps[op]; f != nil {
		a, b := toFloats(x.data), toFloats(y.data)
		out := make([]bool, n)
		for i := range out {
			out[i] = f(a[ix(i)], b[iy(i)])
		}
		return out, true, nil
	}
	if x.typ.Float() {
		f := floatOps[op]
		if f == nil {
			return nil, false, nil
		}
		a, b := toFloats(x.data), toFloats(y.data)
		out := make([]float64, n)
		for i := range out {
			out[i] = f(a[ix(i)], b[iy(i)])
		}
		return fromFloats(x.typ, out), true, nil
	}
	f := intOps[op]
	if f == nil {
		return nil, false, nil
	}
	a, b := toInts(x.data), toInts(y.data)
	out := make([]int64, n)
	for i := range out {
		p, q := a[ix(i)], b[iy(i)]
		if q == 0 && (op == "Div" || op == "Mod") {
			return nil, false, fmt.Errorf("%d is divided by 0", p)
		}
		out[i] = f(p, q)
	}
	return fromInts(x.typ, out), true, nil
}
