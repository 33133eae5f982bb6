package quant

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"

	"github.com/assay-lab/assay/data"
)

// format names the layout of files in their metadata.
const format = "assay-quant 1"

// fileLayer describes a layer in the metadata. Part b of layer NAME is four
// tensors: NAME.q<b>.codes, U8, rows of bits, the lowest first, each row filled up
// to whole bytes; .scale, F32 [rows, groups]; .zero, U8 [rows, groups], absent if
// symmetric; .rows, I32, the output features.
type fileLayer struct {
	Name  string     `json:"name"`
	Rows  int        `json:"rows"`
	Cols  int        `json:"cols"`
	Group int        `json:"group"`
	Parts []filePart `json:"parts"`
}

type filePart struct {
	Bits      int  `json:"bits"`
	Symmetric bool `json:"symmetric"`
}

func (p filePart) name(layer, what string) string {
	return fmt.Sprintf("%s.q%d.%s", layer, p.Bits, what)
}

// Write writes quantized layers, and other tensors as they are, as a safetensors
// file. Scales are rounded to float32.
func Write(w io.Writer, layers []*Layer, rest map[string]data.Tensor) error {
	s := &data.Safetensors{Tensors: maps.Clone(rest)}
	if s.Tensors == nil {
		s.Tensors = map[string]data.Tensor{}
	}
	var index []fileLayer
	for _, l := range layers {
		if err := l.check(); err != nil {
			return err
		}
		f := fileLayer{Name: l.Name, Rows: l.Rows, Cols: l.Cols, Group: l.Parts[0].Matrix.Spec.group()}
		for _, p := range l.Parts {
			fp := filePart{p.Matrix.Spec.Bits, p.Matrix.Spec.Symmetric}
			f.Parts = append(f.Parts, fp)
			for what, t := range partTensors(p) {
				name := fp.name(l.Name, what)
				if _, twice := s.Tensors[name]; twice {
					return fmt.Errorf("quant: tensor %q is there twice", name)
				}
				s.Tensors[name] = t
			}
		}
		index = append(index, f)
	}
	text, err := json.Marshal(index)
	if err != nil {
		return fmt.Errorf("quant: %w", err)
	}
	s.Metadata = map[string]string{"format": format, "layers": string(text)}
	return data.WriteSafetensors(w, s)
}

func partTensors(p Part) map[string]data.Tensor {
	m := p.Matrix
	rows, scale := make([]int32, m.Rows), make([]float32, len(m.Scale))
	for i, o := range p.Rows {
		rows[i] = int32(o)
	}
	for i, s := range m.Scale {
		scale[i] = float32(s)
	}
	bytes := rowBytes(m.Cols, m.Spec.Bits)
	codes := make([]uint8, m.Rows*bytes)
	for o := range m.Rows {
		packBits(codes[o*bytes:(o+1)*bytes], m.Codes[o*m.Cols:(o+1)*m.Cols], m.Spec.Bits)
	}
	ts := map[string]data.Tensor{
		"rows":  {Shape: []int{m.Rows}, Data: rows},
		"scale": {Shape: []int{m.Rows, m.Groups()}, Data: scale},
		"codes": {Shape: []int{m.Rows, bytes}, Data: codes},
	}
	if !m.Spec.Symmetric {
		ts["zero"] = data.Tensor{Shape: []int{m.Rows, m.Groups()}, Data: m.Zero}
	}
	return ts
}

func rowBytes(cols, bits int) int { return (cols*bits + 7) / 8 }

// packBits writes codes of that many bits one after the other.
func packBits(dst, codes []uint8, bits int) {
	at := 0
	for _, q := range codes {
		v := uint16(q) << (at % 8)
		dst[at/8] |= uint8(v)
		if v > 0xff {
			dst[at/8+1] |= uint8(v >> 8)
		}
		at += bits
	}
}

// unpackBits is its inverse.
func unpackBits(codes, src []uint8, bits int) {
	at := 0
	for i := range codes {
		v := uint16(src[at/8])
		if at/8+1 < len(src) {
			v |= uint16(src[at/8+1]) << 8
		}
		codes[i] = uint8(v>>(at%8)) & (1<<bits - 1)
		at += bits
	}
}

// Read reads what [Write] wrote: the layers, and the other tensors.
func Read(r io.Reader) (layers []*Layer, rest map[string]data.Tensor, err error) {
	s, err := data.ReadSafetensors(r)
	if err != nil {
		return nil, nil, err
	}
	if got := s.Metadata["format"]; got != format {
		return nil, nil, fmt.Errorf("quant: file of format %.40q: want %q", got, format)
	}
	var index []fileLayer
	if err := json.Unmarshal([]byte(s.Metadata["layers"]), &index); err != nil {
		return nil, nil, fmt.Errorf("quant: list of layers: %w", err)
	}
	names := map[string]bool{}
	for _, f := range index {
		if names[f.Name] {
			return nil, nil, fmt.Errorf("quant: layer %q is listed twice", f.Name)
		}
		names[f.Name] = true
		l, err := f.read(s.Tensors)
		if err != nil {
			return nil, nil, err
		}
		layers = append(layers, l)
	}
	return layers, s.Tensors, nil
}

// read takes a layer's tensors out of the file's.
func (f fileLayer) read(ts map[string]data.Tensor) (*Layer, error) {
	l := &Layer{Name: f.Name, Rows: f.Rows, Cols: f.Cols}
	for _, fp := range f.Parts {
		s := Spec{Bits: fp.Bits, Group: f.Group, Symmetric: fp.Symmetric}
		if f.Group == 0 {
			return nil, fmt.Errorf("quant: layer %q: group = 0", f.Name)
		}
		if err := s.check(f.Cols); err != nil {
			return nil, fmt.Errorf("quant: layer %q: %w", f.Name, err)
		}
		p, err := fp.read(ts, f, s)
		if err != nil {
			return nil, err
		}
		l.Parts = append(l.Parts, p)
	}
	if err := l.check(); err != nil {
		return nil, err
	}
	return l, nil
}

func (fp filePart) read(ts map[string]data.Tensor, f fileLayer, s Spec) (p Part, err error) {
	var list []int32
	if list, err = take[int32](ts, fp.name(f.Name, "rows")); err != nil {
		return p, err
	}
	n, groups := len(list), f.Cols/s.group()
	bytes := rowBytes(f.Cols, s.Bits)
	var codes, zero []uint8
	var scale []float32
	if codes, err = take[uint8](ts, fp.name(f.Name, "codes"), n, bytes); err != nil {
		return p, err
	}
	if scale, err = take[float32](ts, fp.name(f.Name, "scale"), n, groups); err != nil {
		return p, err
	}
	if !s.Symmetric {
		if zero, err = take[uint8](ts, fp.name(f.Name, "zero"), n, groups); err != nil {
			return p, err
		}
	}
	m := newMatrix(n, f.Cols, s)
	for i := range m.Zero {
		m.Scale[i], m.Zero[i] = float64(scale[i]), uint8(s.middle())
		if !s.Symmetric {
			m.Zero[i] = zero[i]
		}
	}
	for i, o := range list {
		p.Rows = append(p.Rows, int(o))
		unpackBits(m.Codes[i*m.Cols:(i+1)*m.Cols], codes[i*bytes:(i+1)*bytes], s.Bits)
	}
	p.Matrix = m
	return p, nil
}

// take removes a tensor and wants it to have that type and, if given, shape; else
// any number of elements in one dimension.
func take[T int32 | uint8 | float32](ts map[string]data.Tensor, name string, shape ...int) ([]T, error) {
	t, ok := ts[name]
	if !ok {
		return nil, fmt.Errorf("quant: tensor %q is missing", name)
	}
	delete(ts, name)
	x, ok := t.Data.([]T)
	if !ok {
		return nil, fmt.Errorf("quant: tensor %q has elements of type %T, want %T", name, t.Data, x)
	}
	if shape == nil {
		shape = []int{len(x)}
	}
	if fmt.Sprint(t.Shape) != fmt.Sprint(shape) {
		return nil, fmt.Errorf("quant: tensor %q has shape %v, want %v", name, t.Shape, shape)
	}
	return x, nil
}
