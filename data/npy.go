package data

import (
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"strings"
)

const npyMagic = "\x93NUMPY"

// maxHeader bounds the text header of an NPY file; real ones have about 100 bytes.
const maxHeader = 1 << 20

// ReadNPY reads an array from a NumPy .npy file, version 1, 2 or 3, of element
// type f2, f4, f8, i1, i4, i8, u1 or bool (read as uint8), in C or Fortran order; the
// result is in row-major order either way. It reads no further than the array.
func ReadNPY(r io.Reader) (Tensor, error) {
	t, err := readNPY(r)
	if err != nil {
		return Tensor{}, fmt.Errorf("data: NPY: %w", err)
	}
	return t, nil
}

func readNPY(r io.Reader) (Tensor, error) {
	head, err := readBytes(r, 8)
	if err != nil {
		return Tensor{}, err
	}
	if string(head[:6]) != npyMagic {
		return Tensor{}, fmt.Errorf("begins with % x: not an NPY file", head[:6])
	}
	var n int64
	switch major := head[6]; major {
	case 1:
		b, err := readBytes(r, 2)
		if err != nil {
			return Tensor{}, err
		}
		n = int64(binary.LittleEndian.Uint16(b))
	case 2, 3:
		b, err := readBytes(r, 4)
		if err != nil {
			return Tensor{}, err
		}
		n = int64(binary.LittleEndian.Uint32(b))
	default:
		return Tensor{}, fmt.Errorf("version %d.%d: 1, 2 and 3 are read", major, head[7])
	}
	if n > maxHeader {
		return Tensor{}, fmt.Errorf("header of %d bytes: at most %d are read", n, maxHeader)
	}
	text, err := readBytes(r, n)
	if err != nil {
		return Tensor{}, fmt.Errorf("header: %w", err)
	}
	h, err := parseNPYHeader(string(text))
	if err != nil {
		return Tensor{}, fmt.Errorf("header %.80q: %w", text, err)
	}
	return h.read(r)
}

type npyHeader struct {
	descr   string
	fortran bool
	shape   []int
}

func (h npyHeader) read(r io.Reader) (Tensor, error) {
	var order binary.ByteOrder = binary.LittleEndian
	if strings.HasPrefix(h.descr, ">") {
		order = binary.BigEndian
	}
	kind := strings.TrimLeft(h.descr, "<>=|")
	if len(h.descr)-len(kind) > 1 {
		kind = ""
	}
	size, ok := map[string]int64{"f2": 2, "f4": 4, "f8": 8, "i1": 1, "i4": 4, "i8": 8, "u1": 1, "b1": 1}[kind]
	if !ok {
		return Tensor{}, fmt.Errorf("element type %.20q: must be f2, f4, f8, i1, i4, i8, u1 or b1", h.descr)
	}
	n, err := elements(h.shape, size)
	if err != nil {
		return Tensor{}, err
	}
	b, err := readBytes(r, n*size)
	if err != nil {
		return Tensor{}, err
	}
	if h.fortran && n > 0 {
		b = rowMajor(b, h.shape, int(size))
	}
	t := Tensor{Shape: h.shape}
	switch kind {
	case "f2":
		t.Data = halves(b, order)
	case "f4":
		t.Data = decode[float32](b, order)
	case "f8":
		t.Data = decode[float64](b, order)
	case "i1":
		t.Data = decode[int8](b, order)
	case "i4":
		t.Data = decode[int32](b, order)
	case "i8":
		t.Data = decode[int64](b, order)
	default:
		t.Data = b
	}
	return t, nil
}

// rowMajor reorders the elements of an array stored with its first index fastest.
func rowMajor(b []byte, shape []int, size int) []byte {
	out := make([]byte, 0, len(b))
	stride := make([]int, len(shape))
	for i, s := 0, 1; i < len(shape); i++ {
		stride[i] = s
		s *= shape[i]
	}
	index := make([]int, len(shape))
	for at := 0; len(out) < len(b); {
		out = append(out, b[at*size:(at+1)*size]...)
		for k := len(shape) - 1; k >= 0; k-- {
			index[k]++
			at += stride[k]
			if index[k] < shape[k] {
				break
			}
			at -= stride[k] * shape[k]
			index[k] = 0
		}
	}
	return out
}

// parseNPYHeader reads a Python dict such as
// {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }.
func parseNPYHeader(s string) (npyHeader, error) {
	p := &pyScanner{rest: s}
	var h npyHeader
	seen := map[string]bool{}
	if err := p.want('{'); err != nil {
		return h, err
	}
	for !p.take('}') {
		key, err := p.text()
		if err != nil {
			return h, err
		}
		if err := p.want(':'); err != nil {
			return h, err
		}
		if seen[key] {
			return h, fmt.Errorf("%s is given twice", key)
		}
		seen[key] = true
		switch key {
		case "descr":
			if p.peek() == '[' {
				return h, fmt.Errorf("descr: structured arrays are not read")
			}
			h.descr, err = p.text()
		case "fortran_order":
			h.fortran, err = p.boolean()
		case "shape":
			h.shape, err = p.tuple()
		default:
			err = fmt.Errorf("unknown key %.20q", key)
		}
		if err != nil {
			return h, err
		}
		if !p.take(',') && p.peek() != '}' {
			return h, p.want('}')
		}
	}
	for _, key := range []string{"descr", "fortran_order", "shape"} {
		if !seen[key] {
			return h, fmt.Errorf("no %s", key)
		}
	}
	if strings.TrimSpace(p.rest) != "" {
		return h, fmt.Errorf("%.20q follows the dict", p.rest)
	}
	return h, nil
}

// pyScanner takes Python literals off the front of a string.
type pyScanner struct{ rest string }

// peek is the next byte that is not white space; 0 at the end.
func (p *pyScanner) peek() byte {
	p.rest = strings.TrimLeft(p.rest, " \t\r\n")
	if p.rest == "" {
		return 0
	}
	return p.rest[0]
}

func (p *pyScanner) take(c byte) bool {
	if p.peek() != c || c == 0 {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

func (p *pyScanner) want(c byte) error {
	if !p.take(c) {
		return fmt.Errorf("%q expected before %.20q", string(c), p.rest)
	}
	return nil
}

func (p *pyScanner) text() (string, error) {
	quote := p.peek()
	if quote != '\'' && quote != '"' {
		return "", fmt.Errorf("a string expected before %.20q", p.rest)
	}
	s, rest, ok := strings.Cut(p.rest[1:], string(quote))
	if !ok || strings.Contains(s, `\`) {
		return "", fmt.Errorf("bad string %.20q", p.rest)
	}
	p.rest = rest
	return s, nil
}

func (p *pyScanner) boolean() (bool, error) {
	p.peek()
	for word, b := range map[string]bool{"True": true, "False": false} {
		if rest, ok := strings.CutPrefix(p.rest, word); ok {
			p.rest = rest
			return b, nil
		}
	}
	return false, fmt.Errorf("neither True nor False before %.20q", p.rest)
}

func (p *pyScanner) tuple() ([]int, error) {
	if err := p.want('('); err != nil {
		return nil, err
	}
	dims := []int{}
	for !p.take(')') {
		p.peek()
		digits := p.rest[:len(p.rest)-len(strings.TrimLeft(p.rest, "0123456789"))]
		p.rest = strings.TrimPrefix(p.rest[len(digits):], "L") // Python 2 wrote 3L
		d, err := strconv.ParseInt(digits, 10, 0)
		if err != nil {
			return nil, fmt.Errorf("dimension %.20q: must be a whole number from 0", digits+p.rest)
		}
		if dims = append(dims, int(d)); len(dims) > maxRank {
			return nil, fmt.Errorf("more than %d dimensions", maxRank)
		}
		if !p.take(',') && p.peek() != ')' {
			return nil, p.want(')')
		}
	}
	return dims, nil
}

// WriteNPY writes an array as a NumPy .npy file, version 1, little-endian, in C order.
func WriteNPY(w io.Writer, t Tensor) error {
	if err := t.check(); err != nil {
		return fmt.Errorf("data: NPY: %w", err)
	}
	var descr string
	switch t.Data.(type) {
	case []float32:
		descr = "<f4"
	case []float64:
		descr = "<f8"
	case []int8:
		descr = "|i1"
	case []int32:
		descr = "<i4"
	case []int64:
		descr = "<i8"
	case []uint8:
		descr = "|u1"
	case []Half:
		descr = "<f2"
	}
	var shape strings.Builder
	for i, d := range t.Shape {
		if i > 0 {
			shape.WriteString(", ")
		}
		fmt.Fprint(&shape, d)
	}
	if len(t.Shape) == 1 {
		shape.WriteByte(',')
	}
	text := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr, shape.String())
	// Elements begin at a multiple of 64 bytes, after a newline.
	pad := 63 - (len(npyMagic)+4+len(text))%64
	text += strings.Repeat(" ", pad) + "\n"
	b := []byte(npyMagic + "\x01\x00")
	b = binary.LittleEndian.AppendUint16(b, uint16(len(text)))
	b = append(b, text...)
	b, err := binary.Append(b, binary.LittleEndian, t.Data)
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}
