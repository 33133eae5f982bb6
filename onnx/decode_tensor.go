package onnx

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
)

// tensorProto is a TensorProto before its data is given a type.
type tensorProto struct {
	name     string
	dims     []int64
	typ      int64
	raw      []byte
	hasRaw   bool
	numbers  []uint64 // int32_data, int64_data and uint64_data as varints, float_data and double_data as bits
	strings  []string
	location int64 // 1: external
	external map[string]string
	segment  bool
}

// tensor reads a TensorProto.
func (d *decoder) tensor(b []byte) (name string, t Tensor, err error) {
	p := tensorProto{external: map[string]string{}}
	if err := fields(b, p.field); err != nil {
		return p.name, t, err
	}
	if p.segment {
		return p.name, t, errors.New("tensors in segments are not supported")
	}
	t.Shape = make([]int, len(p.dims))
	for i, n := range p.dims {
		if n < 0 || n > maxElements {
			return p.name, t, fmt.Errorf("dims %v: axis %d is %d", p.dims, i, n)
		}
		t.Shape[i] = int(n)
	}
	if err := checkShape(t.Shape); err != nil {
		return p.name, t, err
	}
	n := t.Len()
	if p.location == 1 {
		if p.raw, err = p.readExternal(d.ext, n); err != nil {
			return p.name, t, err
		}
		p.hasRaw = true
	}
	t.Data, err = p.data(n)
	return p.name, t, in(err, "%v %v", Type(p.typ), t.Shape)
}

// field reads one field.
func (p *tensorProto) field(f field) error {
	switch f.num {
	case 1:
		return f.repeated(protowire.VarintType, func(u uint64) { p.dims = append(p.dims, int64(u)) })
	case 2:
		return f.int(&p.typ)
	case 3:
		p.segment = true
	case 4:
		return f.repeated(protowire.Fixed32Type, p.number)
	case 5, 7, 11:
		return f.repeated(protowire.VarintType, p.number)
	case 10:
		return f.repeated(protowire.Fixed64Type, p.number)
	case 6:
		b, err := f.bytes()
		p.strings = append(p.strings, string(b))
		return err
	case 8:
		return f.text(&p.name)
	case 9:
		var err error
		p.raw, err = f.bytes()
		p.hasRaw = true
		return err
	case 13:
		return f.pair(p.external)
	case 14:
		return f.int(&p.location)
	}
	return nil
}

func (p *tensorProto) number(u uint64) { p.numbers = append(p.numbers, u) }

// repeated calls add for the numbers of a repeated field, packed or not.
func (f field) repeated(typ protowire.Type, add func(uint64)) error {
	if f.typ == typ {
		add(f.u)
		return nil
	}
	b, err := f.bytes()
	if err != nil {
		return err
	}
	for at := 0; at < len(b); {
		var u uint64
		var n int
		switch typ {
		case protowire.VarintType:
			u, n = protowire.ConsumeVarint(b[at:])
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(b[at:])
			u = uint64(v)
		default:
			u, n = protowire.ConsumeFixed64(b[at:])
		}
		if n < 0 {
			return broken(at, n)
		}
		add(u)
		at += n
	}
	return nil
}

// readExternal reads the n elements of a tensor kept in another file.
func (p *tensorProto) readExternal(ext *external, n int) ([]byte, error) {
	size := elementSize(Type(p.typ))
	if size == 0 {
		return nil, fmt.Errorf("%v cannot be kept in another file", Type(p.typ))
	}
	number := func(key string, def int64) (int64, error) {
		s, ok := p.external[key]
		if !ok {
			return def, nil
		}
		v, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("data is kept in another file: %s = %q is no number", key, s)
		}
		return v, nil
	}
	offset, err := number("offset", 0)
	if err != nil {
		return nil, err
	}
	length, err := number("length", int64(n*size))
	if err != nil {
		return nil, err
	}
	if length != int64(n*size) {
		return nil, fmt.Errorf("%d elements need %d bytes, the file says %d", n, n*size, length)
	}
	return ext.read(p.external["location"], offset, length)
}

// elementSize is the size of an element in bytes, 0 for strings and unknown types.
func elementSize(t Type) int {
	switch t {
	case Uint8, Int8, Bool:
		return 1
	case Uint16, Int16, Float16, BFloat16:
		return 2
	case Float32, Int32, Uint32:
		return 4
	case Float64, Int64, Uint64:
		return 8
	}
	return 0
}

// data gives the n elements their Go type.
func (p *tensorProto) data(n int) (any, error) {
	switch Type(p.typ) {
	case Float32:
		return decodeElements(p, n, 4, func(u uint64) float32 { return math.Float32frombits(uint32(u)) })
	case Float64:
		return decodeElements(p, n, 8, math.Float64frombits)
	case Int8:
		return decodeElements(p, n, 1, func(u uint64) int8 { return int8(u) })
	case Uint8:
		return decodeElements(p, n, 1, func(u uint64) uint8 { return uint8(u) })
	case Int16:
		return decodeElements(p, n, 2, func(u uint64) int16 { return int16(u) })
	case Uint16:
		return decodeElements(p, n, 2, func(u uint64) uint16 { return uint16(u) })
	case Int32:
		return decodeElements(p, n, 4, func(u uint64) int32 { return int32(u) })
	case Uint32:
		return decodeElements(p, n, 4, func(u uint64) uint32 { return uint32(u) })
	case Int64:
		return decodeElements(p, n, 8, func(u uint64) int64 { return int64(u) })
	case Uint64:
		return decodeElements(p, n, 8, func(u uint64) uint64 { return u })
	case Bool:
		return decodeElements(p, n, 1, func(u uint64) bool { return u != 0 })
	case Float16:
		return decodeElements(p, n, 2, func(u uint64) Half { return Half(u) })
	case BFloat16:
		return decodeElements(p, n, 2, func(u uint64) BHalf { return BHalf(u) })
	case String:
		if len(p.strings) != n {
			return nil, fmt.Errorf("the shape needs %d strings, the file has %d", n, len(p.strings))
		}
		return append([]string{}, p.strings...), nil
	}
	return nil, errors.New("element type not supported")
}

// decodeElements converts n elements of size bytes from the bits of each.
func decodeElements[T any](p *tensorProto, n, size int, conv func(uint64) T) ([]T, error) {
	if !p.hasRaw {
		if len(p.numbers) != n {
			return nil, fmt.Errorf("the shape needs %d numbers, the file has %d", n, len(p.numbers))
		}
		out := make([]T, n)
		for i, u := range p.numbers {
			out[i] = conv(u)
		}
		return out, nil
	}
	if len(p.raw) != n*size {
		return nil, fmt.Errorf("the shape needs %d bytes, the file has %d", n*size, len(p.raw))
	}
	out := make([]T, n)
	for i := range out {
		b := p.raw[i*size:]
		switch size {
		case 1:
			out[i] = conv(uint64(b[0]))
		case 2:
			out[i] = conv(uint64(binary.LittleEndian.Uint16(b)))
		case 4:
			out[i] = conv(uint64(binary.LittleEndian.Uint32(b)))
		default:
			out[i] = conv(binary.LittleEndian.Uint64(b))
		}
	}
	return out, nil
}

// attr reads an AttributeProto.
func (d *decoder) attr(b []byte) (name string, v any, err error) {
	var a attrProto
	if err := fields(b, func(f field) error { return a.field(d, f) }); err != nil {
		return a.name, nil, err
	}
	if a.ref != "" {
		return a.name, nil, errors.New("refers to the attribute of a function")
	}
	v, err = a.value()
	return a.name, v, err
}

// attrProto is an AttributeProto before its value is chosen.
type attrProto struct {
	name, ref string
	typ       int64
	f         float32
	i         int64
	s         string
	t         *Tensor
	g         *Graph
	floats    []float32
	ints      []int64
	strings   []string
	tensors   []Tensor
	graphs    []*Graph
}

func (a *attrProto) field(d *decoder, f field) error {
	switch f.num {
	case 1:
		return f.text(&a.name)
	case 2:
		if f.typ != protowire.Fixed32Type {
			return fmt.Errorf("%w (field 2 has wire type %d)", errWire, f.typ)
		}
		a.f = math.Float32frombits(uint32(f.u))
	case 3:
		return f.int(&a.i)
	case 4, 9:
		b, err := f.bytes()
		a.s = string(b)
		if f.num == 9 {
			a.strings = append(a.strings, string(b))
		}
		return err
	case 5, 10:
		b, err := f.bytes()
		if err != nil {
			return err
		}
		_, t, err := d.tensor(b)
		a.t = &t
		if f.num == 10 {
			a.tensors = append(a.tensors, t)
		}
		return err
	case 6, 11:
		b, err := f.bytes()
		if err != nil {
			return err
		}
		a.g, err = d.graph(b)
		if f.num == 11 {
			a.graphs = append(a.graphs, a.g)
		}
		return err
	case 7:
		return f.repeated(protowire.Fixed32Type, func(u uint64) { a.floats = append(a.floats, math.Float32frombits(uint32(u))) })
	case 8:
		return f.repeated(protowire.VarintType, func(u uint64) { a.ints = append(a.ints, int64(u)) })
	case 20:
		return f.int(&a.typ)
	case 21:
		return f.text(&a.ref)
	}
	return nil
}

// The attribute types of ONNX.
const (
	attrFloat = 1 + iota
	attrInt
	attrString
	attrTensor
	attrGraph
	attrFloats
	attrInts
	attrStrings
	attrTensors
	attrGraphs
)

func (a *attrProto) value() (any, error) {
	switch a.typ {
	case attrFloat:
		return a.f, nil
	case attrInt:
		return a.i, nil
	case attrString:
		return a.s, nil
	case attrTensor:
		if a.t == nil {
			return nil, errors.New("no tensor")
		}
		return *a.t, nil
	case attrGraph:
		if a.g == nil {
			return nil, errors.New("no graph")
		}
		return a.g, nil
	case attrFloats:
		return a.floats, nil
	case attrInts:
		return a.ints, nil
	case attrStrings:
		return a.strings, nil
	case attrTensors:
		return a.tensors, nil
	case attrGraphs:
		return a.graphs, nil
	}
	return nil, fmt.Errorf("attribute type %d is not supported", a.typ)
}
