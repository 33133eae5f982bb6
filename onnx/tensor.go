package onnx

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Type is the element type of a tensor, numbered as in ONNX.
type Type int32

// The element types read and written here.
const (
	Float32  Type = 1
	Uint8    Type = 2
	Int8     Type = 3
	Uint16   Type = 4
	Int16    Type = 5
	Int32    Type = 6
	Int64    Type = 7
	String   Type = 8
	Bool     Type = 9
	Float16  Type = 10
	Float64  Type = 11
	Uint32   Type = 12
	Uint64   Type = 13
	BFloat16 Type = 16
)

var typeNames = map[Type]string{
	Float32: "float32", Uint8: "uint8", Int8: "int8", Uint16: "uint16", Int16: "int16", Int32: "int32",
	Int64: "int64", String: "string", Bool: "bool", Float16: "float16", Float64: "float64", Uint32: "uint32",
	Uint64: "uint64", BFloat16: "bfloat16",
}

func (t Type) String() string {
	if s, ok := typeNames[t]; ok {
		return s
	}
	return fmt.Sprintf("type %d", int32(t))
}

// Float reports whether the type is a floating-point one.
func (t Type) Float() bool {
	return t == Float32 || t == Float64 || t == Float16 || t == BFloat16
}

// Half holds the bits of IEEE 754 half-precision numbers, [BHalf] those of bfloat16.
type (
	Half  uint16
	BHalf uint16
)

// Float32 is the number that the bits stand for.
func (h Half) Float32() float32 {
	sign, exp, frac := uint32(h>>15)<<31, uint32(h>>10)&31, uint32(h)&1023
	switch {
	case exp == 31: // infinity, NaN
		return math.Float32frombits(sign | 0xff<<23 | frac<<13)
	case exp == 0: // zero, subnormal: frac·2⁻²⁴, exact
		f := float32(frac) * 0x1p-24
		return math.Float32frombits(math.Float32bits(f) | sign)
	}
	return math.Float32frombits(sign | (exp+112)<<23 | frac<<13)
}

// Float32 is the number that the bits stand for.
func (b BHalf) Float32() float32 { return math.Float32frombits(uint32(b) << 16) }

// Element lists the Go types of a tensor's elements.
type Element interface {
	float32 | float64 | int64 | int32 | bool | int8 | uint8 | int16 | uint16 | uint32 | uint64 | string | Half | BHalf
}

// A Tensor is a dense array, row by row. Data is a slice of one of the types of
// [Element], its length the product of Shape; an empty Shape is a scalar.
type Tensor struct {
	Shape []int
	Data  any
}

// Data gives a tensor's elements, without a copy, or an error when they are of another type.
func Data[T Element](t Tensor) ([]T, error) {
	d, ok := t.Data.([]T)
	if !ok {
		return nil, fmt.Errorf("onnx: tensor of %v %v: %T wanted", t.Type(), t.Shape, []T(nil))
	}
	return d, nil
}

// Type is the element type, 0 when Data is nothing that a tensor may hold.
func (t Tensor) Type() Type {
	switch t.Data.(type) {
	case []float32:
		return Float32
	case []float64:
		return Float64
	case []int64:
		return Int64
	case []int32:
		return Int32
	case []bool:
		return Bool
	case []int8:
		return Int8
	case []uint8:
		return Uint8
	case []int16:
		return Int16
	case []uint16:
		return Uint16
	case []uint32:
		return Uint32
	case []uint64:
		return Uint64
	case []string:
		return String
	case []Half:
		return Float16
	case []BHalf:
		return BFloat16
	}
	return 0
}

// Len is the number of elements that Shape asks for.
func (t Tensor) Len() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// dataLen is the length of Data.
func (t Tensor) dataLen() int {
	switch d := t.Data.(type) {
	case []float32:
		return len(d)
	case []float64:
		return len(d)
	case []int64:
		return len(d)
	case []int32:
		return len(d)
	case []bool:
		return len(d)
	case []int8:
		return len(d)
	case []uint8:
		return len(d)
	case []int16:
		return len(d)
	case []uint16:
		return len(d)
	case []uint32:
		return len(d)
	case []uint64:
		return len(d)
	case []string:
		return len(d)
	case []Half:
		return len(d)
	case []BHalf:
		return len(d)
	}
	return 0
}

// check says what is wrong with a tensor by itself.
func (t Tensor) check() error {
	if t.Type() == 0 {
		return fmt.Errorf("data is a %T: must be a slice of numbers, bools or strings", t.Data)
	}
	if err := checkShape(t.Shape); err != nil {
		return err
	}
	if got, want := t.dataLen(), t.Len(); got != want {
		return fmt.Errorf("shape %v needs %d elements, data has %d", t.Shape, want, got)
	}
	return nil
}

// maxElements bounds a tensor's size, so that a broken file cannot ask for all memory.
const maxElements = 1 << 33

// checkShape wants sizes that are not negative and have a product in bounds.
func checkShape(shape []int) error {
	n := 1
	for i, d := range shape {
		if d < 0 {
			return fmt.Errorf("shape %v: size %d of axis %d is negative", shape, d, i)
		}
		if d > 0 && n > maxElements/d {
			return fmt.Errorf("shape %v: more than %d elements", shape, maxElements)
		}
		n *= d
	}
	return nil
}

// A ValueInfo describes an input or output.
type ValueInfo struct {
	Name    string
	Type    Type
	Shape   []int    // −1: a dynamic axis; nil: rank not known, empty: a scalar
	Symbols []string // names of the dynamic axes, "" for the others; nil: none is named
}

// String is like "sample float32 [n,1,28,28]".
func (v ValueInfo) String() string {
	if v.Shape == nil {
		return fmt.Sprintf("%s %v of any shape", v.Name, v.Type)
	}
	dims := make([]string, len(v.Shape))
	for i, d := range v.Shape {
		switch sym := v.symbol(i); {
		case d >= 0:
			dims[i] = fmt.Sprint(d)
		case sym != "":
			dims[i] = sym
		default:
			dims[i] = "?"
		}
	}
	return fmt.Sprintf("%s %v [%s]", v.Name, v.Type, strings.Join(dims, ","))
}

// symbol is the name of a dynamic axis, "" if it has none.
func (v ValueInfo) symbol(axis int) string {
	if axis < len(v.Symbols) && v.Shape[axis] < 0 {
		return v.Symbols[axis]
	}
	return ""
}

// checkRun checks the arguments of [Session.Run] against a network and gives the
// outputs wanted.
func (in Info) checkRun(tensors map[string]Tensor, outputs []string) ([]string, error) {
	sizes := map[string]int{} // of the symbolic axes
	for _, want := range in.Inputs {
		t, ok := tensors[want.Name]
		if !ok {
			return nil, fmt.Errorf("onnx: no tensor for input %q: the network wants %s", want.Name, list(in.Inputs))
		}
		if err := want.accepts(t, sizes); err != nil {
			return nil, err
		}
	}
	for name := range tensors {
		if !slices.ContainsFunc(in.Inputs, func(v ValueInfo) bool { return v.Name == name }) {
			return nil, fmt.Errorf("onnx: no input is named %q: the network wants %s", name, list(in.Inputs))
		}
	}
	if len(outputs) == 0 {
		for _, v := range in.Outputs {
			outputs = append(outputs, v.Name)
		}
	}
	for _, name := range outputs {
		if !slices.ContainsFunc(in.Outputs, func(v ValueInfo) bool { return v.Name == name }) {
			return nil, fmt.Errorf("onnx: no output is named %q: the network has %s", name, list(in.Outputs))
		}
	}
	return outputs, nil
}

// accepts checks a tensor's type and shape; sizes collects those of symbolic axes.
func (v ValueInfo) accepts(t Tensor, sizes map[string]int) error {
	if err := t.check(); err != nil {
		return fmt.Errorf("onnx: input %q: %w", v.Name, err)
	}
	bad := func(format string, args ...any) error {
		return fmt.Errorf("onnx: input %q: %s: the network wants %v", v.Name, fmt.Sprintf(format, args...), v)
	}
	if t.Type() != v.Type {
		return bad("elements are %v", t.Type())
	}
	if t.Len() == 0 {
		return bad("shape %v has no elements", t.Shape)
	}
	if v.Shape == nil {
		return nil
	}
	if len(t.Shape) != len(v.Shape) {
		return bad("shape is %v", t.Shape)
	}
	for i, d := range t.Shape {
		if v.Shape[i] >= 0 && v.Shape[i] != d {
			return bad("shape is %v", t.Shape)
		}
		sym := v.symbol(i)
		if sym == "" {
			continue
		}
		if was, ok := sizes[sym]; ok && was != d {
			return bad("axis %q is %d, but %d in another input", sym, d, was)
		}
		sizes[sym] = d
	}
	return nil
}

func list(vs []ValueInfo) string {
	s := make([]string, len(vs))
	for i, v := range vs {
		s[i] = v.String()
	}
	return strings.Join(s, ", ")
}
