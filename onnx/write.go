package onnx

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// The versions that a model is written with when it names none.
const (
	defaultIR    = 8
	defaultOpset = 17
)

// Write checks the model and stores it as an ONNX file, whole or not at all.
func (m *Model) Write(path string) error {
	b, err := m.Encode()
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("onnx: %w", err)
	}
	defer os.Remove(f.Name()) // gone after the rename
	_, err = f.Write(b)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("onnx: %w", err)
	}
	return nil
}

// Encode checks the model and gives the bytes of its ONNX file. The same model
// gives the same bytes.
func (m *Model) Encode() ([]byte, error) {
	if err := m.Check(); err != nil {
		return nil, fmt.Errorf("onnx: %w", err)
	}
	if len(m.Functions) > 0 {
		return nil, fmt.Errorf("onnx: operators defined in the file itself (%s) cannot be written", m.Functions[0])
	}
	var e encoder
	ir, opset := m.IR, m.Opset
	if ir == 0 {
		ir = defaultIR
	}
	if opset == 0 {
		opset = defaultOpset
	}
	e.int(1, int64(ir))
	if m.Producer != "" {
		e.text(2, m.Producer)
	}
	e.message(7, func(e *encoder) { e.graph(&m.Graph) })
	e.opset("", opset)
	for _, d := range slices.Sorted(maps.Keys(m.Domains)) {
		e.opset(d, m.Domains[d])
	}
	for _, k := range slices.Sorted(maps.Keys(m.Metadata)) {
		e.message(14, func(e *encoder) {
			e.text(1, k)
			e.text(2, m.Metadata[k])
		})
	}
	if e.err != nil {
		return nil, fmt.Errorf("onnx: %w", e.err)
	}
	if len(e.b) > maxFile {
		return nil, fmt.Errorf("onnx: the file would have %d bytes: at most %d are possible", len(e.b), maxFile)
	}
	return e.b, nil
}

// encoder writes the messages of onnx.proto; see decoder for the field numbers.
type encoder struct {
	b   []byte
	err error // the first one
}

func (e *encoder) int(num protowire.Number, v int64) {
	e.b = protowire.AppendTag(e.b, num, protowire.VarintType)
	e.b = protowire.AppendVarint(e.b, uint64(v))
}

func (e *encoder) text(num protowire.Number, s string) {
	e.b = protowire.AppendTag(e.b, num, protowire.BytesType)
	e.b = protowire.AppendString(e.b, s)
}

func (e *encoder) float(num protowire.Number, v float32) {
	e.b = protowire.AppendTag(e.b, num, protowire.Fixed32Type)
	e.b = protowire.AppendFixed32(e.b, math.Float32bits(v))
}

func (e *encoder) message(num protowire.Number, write func(*encoder)) {
	var in encoder
	write(&in)
	e.b = protowire.AppendTag(e.b, num, protowire.BytesType)
	e.b = protowire.AppendBytes(e.b, in.b)
	if e.err == nil {
		e.err = in.err
	}
}

func (e *encoder) opset(domain string, version int) {
	e.message(8, func(e *encoder) {
		e.text(1, domain)
		e.int(2, int64(version))
	})
}

func (e *encoder) graph(g *Graph) {
	for i := range g.Nodes {
		e.message(1, func(e *encoder) { e.node(&g.Nodes[i], i) })
	}
	name := g.Name
	if name == "" {
		name = "graph" // the standard wants one
	}
	e.text(2, name)
	for _, w := range g.Initializers {
		e.message(5, func(e *encoder) { e.tensor(w.Name, w.Tensor) })
	}
	for _, v := range g.Inputs {
		e.message(11, func(e *encoder) { e.value(v) })
	}
	for _, v := range g.Outputs {
		e.message(12, func(e *encoder) { e.value(v) })
	}
	for _, v := range g.Values {
		e.message(13, func(e *encoder) { e.value(v) })
	}
}

func (e *encoder) node(n *Node, i int) {
	for _, s := range n.In {
		e.text(1, s)
	}
	for _, s := range n.Out {
		e.text(2, s)
	}
	if n.Name != "" {
		e.text(3, n.Name)
	}
	e.text(4, n.Op)
	for _, name := range slices.Sorted(maps.Keys(n.Attrs)) {
		e.message(5, func(e *encoder) {
			if e.attr(name, n.Attrs[name]); e.err != nil {
				e.err = fmt.Errorf("%s: attribute %q: %w", n.describe(i), name, e.err)
			}
		})
	}
	if n.Domain != "" {
		e.text(7, n.Domain)
	}
}

func (e *encoder) attr(name string, v any) {
	e.text(1, name)
	kind := 0
	switch v := v.(type) {
	case float32:
		e.float(2, v)
		kind = attrFloat
	case float64:
		e.float(2, float32(v))
		kind = attrFloat
	case int64:
		e.int(3, v)
		kind = attrInt
	case int:
		e.int(3, int64(v))
		kind = attrInt
	case string:
		e.text(4, v)
		kind = attrString
	case Tensor:
		e.message(5, func(e *encoder) { e.tensor("", v) })
		kind = attrTensor
	case *Graph:
		e.message(6, func(e *encoder) { e.graph(v) })
		kind = attrGraph
	default:
		kind = e.listAttr(v)
	}
	e.int(20, int64(kind))
}

// listAttr writes an attribute of many values.
func (e *encoder) listAttr(v any) (kind int) {
	switch v := v.(type) {
	case []float32:
		for _, x := range v {
			e.float(7, x)
		}
		return attrFloats
	case []int64:
		for _, x := range v {
			e.int(8, x)
		}
		return attrInts
	case []int:
		for _, x := range v {
			e.int(8, int64(x))
		}
		return attrInts
	case []string:
		for _, s := range v {
			e.text(9, s)
		}
		return attrStrings
	case []Tensor:
		for _, t := range v {
			e.message(10, func(e *encoder) { e.tensor("", t) })
		}
		return attrTensors
	case []*Graph:
		for _, g := range v {
			e.message(11, func(e *encoder) { e.graph(g) })
		}
		return attrGraphs
	}
	e.err = fmt.Errorf("a %T cannot be an attribute", v)
	return 0
}

func (e *encoder) tensor(name string, t Tensor) {
	if err := t.check(); err != nil {
		e.err = err
		return
	}
	for _, d := range t.Shape {
		e.int(1, int64(d))
	}
	e.int(2, int64(t.Type()))
	if name != "" {
		e.text(8, name)
	}
	if d, ok := t.Data.([]string); ok {
		for _, s := range d {
			e.text(6, s)
		}
		return
	}
	e.b = protowire.AppendTag(e.b, 9, protowire.BytesType)
	e.b = protowire.AppendVarint(e.b, uint64(t.Len()*elementSize(t.Type())))
	b, err := binary.Append(e.b, binary.LittleEndian, t.Data)
	if err != nil { // not with the types that check lets pass
		e.err = err
		return
	}
	e.b = b
}

func (e *encoder) value(v ValueInfo) {
	e.text(1, v.Name)
	if v.Type == 0 {
		return
	}
	e.message(2, func(e *encoder) {
		e.message(1, func(e *encoder) {
			e.int(1, int64(v.Type))
			if v.Shape == nil {
				return
			}
			e.message(2, func(e *encoder) {
				for i, d := range v.Shape {
					e.message(1, func(e *encoder) {
						if d >= 0 {
							e.int(1, int64(d))
						} else if s := v.symbol(i); s != "" {
							e.text(2, s)
						}
					})
				}
			})
		})
	})
}
