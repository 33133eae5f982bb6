package data

import (
	"encoding/binary"
	"fmt"
	"math"
)

// A Tensor is a dense array in row-major order.
type Tensor struct {
	Shape []int // empty for a scalar
	// Data holds the elements as one of []float32, []float64, []int8, []int32,
	// []int64, []uint8 and, to be written only, []Half.
	Data any
}

// A Half holds the bits of an IEEE 754 half-precision number. Readers widen them
// to float32.
type Half uint16

// ToHalf rounds to nearest, ties to even; what is too large becomes infinite.
func ToHalf(x float32) Half {
	bits := math.Float32bits(x)
	sign, abs := Half(bits>>16&0x8000), bits&^(1<<31)
	switch {
	case abs > 0xff<<23: // NaN
		return sign | 0x7e00
	case abs >= 0x477ff000: // 65520, halfway to 2^16
		return sign | 0x7c00
	case abs < 0x38800000: // 2^-14: subnormal, a multiple of 2^-24
		return sign | Half(math.RoundToEven(float64(math.Float32frombits(abs))*0x1p24))
	}
	abs += 0xfff + abs>>13&1 // may carry into the exponent
	return sign | Half((abs-0x38000000)>>13)
}

// Float32 is the number that the bits stand for.
func (h Half) Float32() float32 {
	sign, exp, frac := uint32(h)>>15<<31, uint32(h)>>10&0x1f, uint32(h)&0x3ff
	switch exp {
	case 0: // zero and subnormal: frac·2^-24
		x := float32(frac) * 0x1p-24
		return math.Float32frombits(math.Float32bits(x) | sign)
	case 0x1f:
		return math.Float32frombits(sign | 0xff<<23 | frac<<13)
	}
	return math.Float32frombits(sign | (exp+127-15)<<23 | frac<<13)
}

// Len is the number of elements that the shape asks for.
func (t Tensor) Len() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// Float32 returns the elements as float32: the data itself when it is of that
// type, a rounded copy otherwise, nil for a type that Tensor does not know.
func (t Tensor) Float32() []float32 {
	if xs, ok := t.Data.([]float32); ok {
		return xs
	}
	return converted[float32](t.Data)
}

// Float64 returns the elements as float64: the data itself when it is of that
// type, a copy otherwise, nil for a type that Tensor does not know.
func (t Tensor) Float64() []float64 {
	if xs, ok := t.Data.([]float64); ok {
		return xs
	}
	return converted[float64](t.Data)
}

type number interface {
	~float32 | ~float64 | ~int8 | ~int16 | ~int32 | ~int64 | ~uint8
}

func converted[T number](data any) []T {
	switch xs := data.(type) {
	case []float32:
		return convert[T](xs)
	case []float64:
		return convert[T](xs)
	case []int8:
		return convert[T](xs)
	case []int32:
		return convert[T](xs)
	case []int64:
		return convert[T](xs)
	case []uint8:
		return convert[T](xs)
	case []Half:
		ys := make([]T, len(xs))
		for i, x := range xs {
			ys[i] = T(x.Float32())
		}
		return ys
	}
	return nil
}

func convert[T, S number](xs []S) []T {
	ys := make([]T, len(xs))
	for i, x := range xs {
		ys[i] = T(x)
	}
	return ys
}

// check reports an error unless the data is of a known type and fills the shape.
func (t Tensor) check() error {
	n, err := elements(t.Shape, 1)
	if err != nil {
		return err
	}
	var have int
	switch xs := t.Data.(type) {
	case []float32:
		have = len(xs)
	case []float64:
		have = len(xs)
	case []int8:
		have = len(xs)
	case []int32:
		have = len(xs)
	case []int64:
		have = len(xs)
	case []uint8:
		have = len(xs)
	case []Half:
		have = len(xs)
	default:
		return fmt.Errorf("elements of type %T: must be []float32, []float64, []int8, []int32, []int64, []uint8 or []Half", t.Data)
	}
	if int64(have) != n {
		return fmt.Errorf("%d elements for shape %v, which needs %d", have, t.Shape, n)
	}
	return nil
}

const maxRank = 32

// elements is the number of elements of a shape, whose bytes must not exceed MaxBytes.
func elements(shape []int, size int64) (int64, error) {
	if len(shape) > maxRank {
		return 0, fmt.Errorf("%d dimensions: at most %d are read", len(shape), maxRank)
	}
	n := int64(1)
	for _, d := range shape {
		if d < 0 {
			return 0, fmt.Errorf("shape %v: negative dimension", shape)
		}
		if d == 0 {
			return 0, nil
		}
	}
	for _, d := range shape {
		if int64(d) > MaxBytes/size/n {
			return 0, fmt.Errorf("shape %v of %d-byte elements: more than %d bytes", shape, size, int64(MaxBytes))
		}
		n *= int64(d)
	}
	return n, nil
}

// decode reads whole elements of type T from b.
func decode[T number](b []byte, order binary.ByteOrder) []T {
	var zero T
	xs := make([]T, len(b)/binary.Size(zero))
	binary.Decode(b, order, xs) // cannot fail: b holds them all
	return xs
}

// halves converts IEEE 754 binary16 numbers, exactly.
func halves(b []byte, order binary.ByteOrder) []float32 {
	xs := make([]float32, len(b)/2)
	for i := range xs {
		xs[i] = Half(order.Uint16(b[2*i:])).Float32()
	}
	return xs
}

// brains converts bfloat16 numbers, exactly.
func brains(b []byte) []float32 {
	xs := make([]float32, len(b)/2)
	for i := range xs {
		xs[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(b[2*i:])) << 16)
	}
	return xs
}
