package onnx

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// maxDepth bounds how deep graphs may be nested in attributes.
const maxDepth = 8

// decoder reads the messages of onnx.proto, whose field numbers stand in the
// switches below. Fields not needed here are passed over.
type decoder struct {
	ext   *external
	depth int
}

// A field is one field of a protobuf message.
type field struct {
	num protowire.Number
	typ protowire.Type
	u   uint64 // varint and fixed
	b   []byte // length-delimited
}

// fields calls f for each field of a message.
func fields(b []byte, f func(field) error) error {
	total := len(b)
	for len(b) > 0 {
		at := total - len(b)
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return broken(at, n)
		}
		b = b[n:]
		fd := field{num: num, typ: typ}
		switch typ {
		case protowire.VarintType:
			fd.u, n = protowire.ConsumeVarint(b)
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(b)
			fd.u = uint64(v)
		case protowire.Fixed64Type:
			fd.u, n = protowire.ConsumeFixed64(b)
		case protowire.BytesType:
			fd.b, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		if n < 0 {
			return broken(at, n)
		}
		b = b[n:]
		if err := f(fd); err != nil {
			return err
		}
	}
	return nil
}

// errWire marks bytes that are no protobuf message.
var errWire = errors.New("cut off or not an ONNX file")

func broken(at, code int) error {
	return fmt.Errorf("%w (byte %d: %v)", errWire, at, protowire.ParseError(code))
}

// bytes gives the content of a length-delimited field.
func (f field) bytes() ([]byte, error) {
	if f.typ != protowire.BytesType {
		return nil, fmt.Errorf("%w (field %d has wire type %d)", errWire, f.num, f.typ)
	}
	return f.b, nil
}

// text sets a string.
func (f field) text(dst *string) error {
	b, err := f.bytes()
	if err != nil {
		return err
	}
	if !utf8.Valid(b) {
		return fmt.Errorf("%w (field %d is not UTF-8: %.20q)", errWire, f.num, b)
	}
	*dst = string(b)
	return nil
}

// int sets an integer.
func (f field) int(dst *int64) error {
	if f.typ != protowire.VarintType {
		return fmt.Errorf("%w (field %d has wire type %d)", errWire, f.num, f.typ)
	}
	*dst = int64(f.u)
	return nil
}

// pair adds a StringStringEntryProto to a map.
func (f field) pair(dst map[string]string) error {
	b, err := f.bytes()
	if err != nil {
		return err
	}
	var k, v string
	if err := fields(b, func(f field) error {
		switch f.num {
		case 1:
			return f.text(&k)
		case 2:
			return f.text(&v)
		}
		return nil
	}); err != nil {
		return err
	}
	dst[k] = v
	return nil
}

// in names the part of the file in which an error lies.
func in(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), err)
}

// model reads a ModelProto.
func (d *decoder) model(b []byte) (*Model, error) {
	m := &Model{Metadata: map[string]string{}, Domains: map[string]int{}}
	var ir int64
	var producer, version string
	var graph *Graph
	err := fields(b, func(f field) error {
		switch f.num {
		case 1:
			return f.int(&ir)
		case 2:
			return f.text(&producer)
		case 3:
			return f.text(&version)
		case 7:
			b, err := f.bytes()
			if err != nil {
				return err
			}
			if graph != nil {
				return errors.New("two graphs")
			}
			graph, err = d.graph(b)
			return err
		case 8:
			return m.opset(f)
		case 14:
			return f.pair(m.Metadata)
		case 25:
			return m.function(f)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if graph == nil {
		return nil, errors.New("no graph: cut off or not an ONNX file")
	}
	m.IR, m.Graph, m.Producer = int(ir), *graph, producer
	if version != "" && producer != "" {
		m.Producer += " " + version
	}
	return m, nil
}

// opset reads an OperatorSetIdProto.
func (m *Model) opset(f field) error {
	b, err := f.bytes()
	if err != nil {
		return err
	}
	var domain string
	var version int64
	if err := fields(b, func(f field) error {
		switch f.num {
		case 1:
			return f.text(&domain)
		case 2:
			return f.int(&version)
		}
		return nil
	}); err != nil {
		return in(err, "opset")
	}
	if version < 1 || version > 1<<20 {
		return fmt.Errorf("opset %q: version %d", domain, version)
	}
	if standard(domain) {
		m.Opset = int(version)
	} else {
		m.Domains[domain] = int(version)
	}
	return nil
}

// function reads the name of a FunctionProto.
func (m *Model) function(f field) error {
	b, err := f.bytes()
	if err != nil {
		return err
	}
	var name, domain string
	err = fields(b, func(f field) error {
		switch f.num {
		case 1:
			return f.text(&name)
		case 10:
			return f.text(&domain)
		}
		return nil
	})
	m.Functions = append(m.Functions, domain+"."+name)
	return in(err, "function")
}

// graph reads a GraphProto.
func (d *decoder) graph(b []byte) (*Graph, error) {
	if d.depth++; d.depth > maxDepth {
		return nil, fmt.Errorf("graphs nested more than %d deep", maxDepth)
	}
	defer func() { d.depth-- }()
	g := &Graph{}
	err := fields(b, func(f field) error {
		if f.num == 2 {
			return f.text(&g.Name)
		}
		switch f.num {
		case 1, 5, 11, 12, 13:
		case 15:
			return errors.New("sparse initializers are not supported")
		default:
			return nil
		}
		b, err := f.bytes()
		if err != nil {
			return err
		}
		switch f.num {
		case 1:
			n, err := d.node(b)
			g.Nodes = append(g.Nodes, n)
			return in(err, "%s", n.describe(len(g.Nodes)-1))
		case 5:
			name, t, err := d.tensor(b)
			g.Initializers = append(g.Initializers, Initializer{name, t})
			return in(err, "initializer %q", name)
		case 11:
			v, err := decodeValue(b)
			g.Inputs = append(g.Inputs, v)
			return in(err, "input %q", v.Name)
		case 12:
			v, err := decodeValue(b)
			g.Outputs = append(g.Outputs, v)
			return in(err, "output %q", v.Name)
		}
		if v, err := decodeValue(b); !errors.Is(err, errNoTensor) {
			g.Values = append(g.Values, v)
			return in(err, "value %q", v.Name)
		}
		return nil
	})
	return g, err
}

// node reads a NodeProto.
func (d *decoder) node(b []byte) (Node, error) {
	n := Node{Attrs: Attrs{}}
	var attrs [][]byte // read last, so that errors name the node
	err := fields(b, func(f field) error {
		switch f.num {
		case 1, 2:
			var s string
			err := f.text(&s)
			if f.num == 1 {
				n.In = append(n.In, s)
			} else {
				n.Out = append(n.Out, s)
			}
			return err
		case 3:
			return f.text(&n.Name)
		case 4:
			return f.text(&n.Op)
		case 5:
			b, err := f.bytes()
			attrs = append(attrs, b)
			return err
		case 7:
			return f.text(&n.Domain)
		}
		return nil
	})
	for _, b := range attrs {
		if err != nil {
			break
		}
		name, v, aerr := d.attr(b)
		err = in(aerr, "attribute %q", name)
		if _, twice := n.Attrs[name]; twice && err == nil {
			err = fmt.Errorf("attribute %q twice", name)
		}
		n.Attrs[name] = v
	}
	return n, err
}

// errNoTensor marks inputs and outputs that are sequences, maps and the like.
var errNoTensor = errors.New("is not a tensor: sequences, maps and optional values are not supported")

// decodeValue reads a ValueInfoProto.
func decodeValue(b []byte) (ValueInfo, error) {
	var v ValueInfo
	var typ []byte
	err := fields(b, func(f field) error {
		switch f.num {
		case 1:
			return f.text(&v.Name)
		case 2:
			var err error
			typ, err = f.bytes()
			return err
		}
		return nil
	})
	if err != nil {
		return v, err
	}
	return v, fields(typ, func(f field) error {
		switch f.num {
		case 1: // TypeProto.Tensor
			b, err := f.bytes()
			if err != nil {
				return err
			}
			return v.tensorType(b)
		case 4, 5, 7, 8, 9:
			return errNoTensor
		}
		return nil
	})
}

// tensorType reads a TypeProto.Tensor.
func (v *ValueInfo) tensorType(b []byte) error {
	return fields(b, func(f field) error {
		switch f.num {
		case 1:
			var t int64
			err := f.int(&t)
			v.Type = Type(t)
			return err
		case 2: // TensorShapeProto
			b, err := f.bytes()
			if err != nil {
				return err
			}
			v.Shape = []int{}
			return fields(b, v.dim)
		}
		return nil
	})
}

// dim adds a TensorShapeProto.Dimension.
func (v *ValueInfo) dim(f field) error {
	if f.num != 1 {
		return nil
	}
	b, err := f.bytes()
	if err != nil {
		return err
	}
	size, symbol := int64(-1), ""
	if err := fields(b, func(f field) error {
		switch f.num {
		case 1:
			return f.int(&size)
		case 2:
			return f.text(&symbol)
		}
		return nil
	}); err != nil {
		return err
	}
	v.Shape = append(v.Shape, int(max(size, -1))) // some writers store −1 for a dynamic axis
	if symbol != "" && v.Symbols == nil {
		v.Symbols = make([]string, len(v.Shape)-1)
	}
	if v.Symbols != nil {
		v.Symbols = append(v.Symbols, symbol)
	}
	return nil
}
