package data

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Safetensors is the content of a .safetensors file: named tensors and text.
type Safetensors struct {
	Tensors  map[string]Tensor
	Metadata map[string]string
}

// maxSafetensorsHeader is the reference implementation's limit.
const maxSafetensorsHeader = 100_000_000

var safetensorsSize = map[string]int64{
	"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I8": 1, "U8": 1,
}

type safetensorsEntry struct {
	DType   string   `json:"dtype"`
	Shape   []int    `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`
	name    string
}

// ReadSafetensors reads a .safetensors file with elements of type F64, F32,
// F16 and BF16 (both widened to float32), I64, I32, I8 and U8. As the format
// demands, tensors must fill the file without gap or overlap.
func ReadSafetensors(r io.Reader) (*Safetensors, error) {
	s, err := readSafetensors(r)
	if err != nil {
		return nil, fmt.Errorf("data: safetensors: %w", err)
	}
	return s, nil
}

func readSafetensors(r io.Reader) (*Safetensors, error) {
	b, err := readBytes(r, 8)
	if err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint64(b)
	if n > maxSafetensorsHeader {
		return nil, fmt.Errorf("header of %d bytes: at most %d are read", n, maxSafetensorsHeader)
	}
	text, err := readBytes(r, int64(n))
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	s := &Safetensors{Tensors: map[string]Tensor{}}
	entries, err := s.parseHeader(text)
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	// In the order of the file, each tensor must begin where the one before ended.
	slices.SortFunc(entries, func(a, b safetensorsEntry) int {
		return cmp.Or(cmp.Compare(a.Offsets[0], b.Offsets[0]), cmp.Compare(a.Offsets[1], b.Offsets[1]))
	})
	var end int64
	for _, e := range entries {
		if e.Offsets[0] != end {
			return nil, fmt.Errorf("tensor %q begins at byte %d: the one before it ends at %d", e.name, e.Offsets[0], end)
		}
		end = e.Offsets[1]
		if end > MaxBytes {
			return nil, fmt.Errorf("tensor %q ends at byte %d: more than %d bytes", e.name, end, int64(MaxBytes))
		}
	}
	for _, e := range entries {
		b, err := readBytes(r, e.Offsets[1]-e.Offsets[0])
		if err != nil {
			return nil, fmt.Errorf("tensor %q: %w", e.name, err)
		}
		s.Tensors[e.name] = Tensor{Shape: e.Shape, Data: e.decode(b)}
	}
	return s, atEnd(r)
}

// parseHeader fills in the metadata and returns the checked entries. Offsets
// fit their shapes but are not yet held against each other.
func (s *Safetensors) parseHeader(text []byte) ([]safetensorsEntry, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if t, err := d.Token(); err != nil || t != json.Delim('{') || text[0] != '{' {
		return nil, errors.New("must begin with {")
	}
	seen := map[string]bool{}
	var entries []safetensorsEntry
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, _ := key.(string)
		if seen[name] {
			return nil, fmt.Errorf("%q is given twice", name)
		}
		seen[name] = true
		if name == "__metadata__" {
			if err := d.Decode(&s.Metadata); err != nil {
				return nil, fmt.Errorf("__metadata__: %w", err)
			}
			continue
		}
		e := safetensorsEntry{name: name, Offsets: [2]int64{-1, -1}}
		if err := d.Decode(&e); err != nil {
			return nil, fmt.Errorf("tensor %q: %w", name, err)
		}
		if err := e.check(); err != nil {
			return nil, fmt.Errorf("tensor %q: %w", name, err)
		}
		entries = append(entries, e)
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if rest := bytes.Trim(text[d.InputOffset():], " "); len(rest) > 0 {
		return nil, fmt.Errorf("%.20q follows the object", rest)
	}
	return entries, nil
}

func (e safetensorsEntry) check() error {
	size, ok := safetensorsSize[e.DType]
	if !ok {
		return fmt.Errorf("dtype %.20q: must be F64, F32, F16, BF16, I64, I32, I8 or U8", e.DType)
	}
	if e.Shape == nil {
		return errors.New("no shape")
	}
	n, err := elements(e.Shape, size)
	if err != nil {
		return err
	}
	// The subtraction cannot overflow once both are at least 0.
	if e.Offsets[0] < 0 || e.Offsets[1] < e.Offsets[0] || e.Offsets[1]-e.Offsets[0] != n*size {
		return fmt.Errorf("data_offsets %v: %s of shape %v has %d bytes", e.Offsets, e.DType, e.Shape, n*size)
	}
	return nil
}

func (e safetensorsEntry) decode(b []byte) any {
	le := binary.LittleEndian
	switch e.DType {
	case "F64":
		return decode[float64](b, le)
	case "F32":
		return decode[float32](b, le)
	case "F16":
		return halves(b, le)
	case "BF16":
		return brains(b)
	case "I64":
		return decode[int64](b, le)
	case "I32":
		return decode[int32](b, le)
	case "I8":
		return decode[int8](b, le)
	}
	return b
}

// WriteSafetensors writes a .safetensors file. Equal content gives equal bytes:
// wide elements come first, so that all are aligned, then names decide.
func WriteSafetensors(w io.Writer, s *Safetensors) error {
	var names []string
	for name, t := range s.Tensors {
		if err := t.check(); err != nil {
			return fmt.Errorf("data: safetensors: tensor %q: %w", name, err)
		}
		if name == "__metadata__" {
			return errors.New("data: safetensors: a tensor cannot be named __metadata__")
		}
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		wide := safetensorsSize[dtype(s.Tensors[b].Data)] - safetensorsSize[dtype(s.Tensors[a].Data)]
		return cmp.Or(int(wide), cmp.Compare(a, b))
	})
	head := []byte("{")
	if len(s.Metadata) > 0 {
		head = append(head, `"__metadata__":`...)
		head = append(head, mustJSON(s.Metadata)...)
	}
	var end int64
	for _, name := range names {
		t := s.Tensors[name]
		e := safetensorsEntry{DType: dtype(t.Data), Shape: append([]int{}, t.Shape...)}
		e.Offsets = [2]int64{end, end + int64(t.Len())*safetensorsSize[e.DType]}
		end = e.Offsets[1]
		if len(head) > 1 {
			head = append(head, ',')
		}
		head = append(append(append(head, mustJSON(name)...), ':'), mustJSON(e)...)
	}
	head = append(head, '}')
	for len(head)%8 != 0 {
		head = append(head, ' ')
	}
	if _, err := w.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(head)))); err != nil {
		return err
	}
	if _, err := w.Write(head); err != nil {
		return err
	}
	for _, name := range names {
		if err := binary.Write(w, binary.LittleEndian, s.Tensors[name].Data); err != nil {
			return err
		}
	}
	return nil
}

func dtype(data any) string {
	switch data.(type) {
	case []float64:
		return "F64"
	case []float32:
		return "F32"
	case []Half:
		return "F16"
	case []int64:
		return "I64"
	case []int32:
		return "I32"
	case []int8:
		return "I8"
	}
	return "U8"
}

// mustJSON encodes strings, maps of strings and entries, which cannot fail.
func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
