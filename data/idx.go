package data

import (
	"encoding/binary"
	"fmt"
	"io"
)

// IDX is the format of MNIST: two zero bytes, a type, a rank, big-endian
// dimensions, big-endian elements.
var idxSize = map[byte]int64{0x08: 1, 0x09: 1, 0x0b: 2, 0x0c: 4, 0x0d: 4, 0x0e: 8}

// ReadIDX reads an array in IDX format, plain or gzip. 16-bit integers are
// widened to int32.
func ReadIDX(r io.Reader) (Tensor, error) {
	t, err := readIDX(r)
	if err != nil {
		return Tensor{}, fmt.Errorf("data: IDX: %w", err)
	}
	return t, nil
}

func readIDX(r io.Reader) (Tensor, error) {
	r, err := gunzip(r)
	if err != nil {
		return Tensor{}, err
	}
	head, err := readBytes(r, 4)
	if err != nil {
		return Tensor{}, err
	}
	size, ok := idxSize[head[2]]
	if head[0] != 0 || head[1] != 0 || !ok {
		return Tensor{}, fmt.Errorf("begins with % x: not an IDX file", head)
	}
	dims, err := readBytes(r, 4*int64(head[3]))
	if err != nil {
		return Tensor{}, err
	}
	shape := make([]int, head[3])
	for i := range shape {
		shape[i] = int(binary.BigEndian.Uint32(dims[4*i:]))
	}
	n, err := elements(shape, size)
	if err != nil {
		return Tensor{}, err
	}
	b, err := readBytes(r, n*size)
	if err != nil {
		return Tensor{}, err
	}
	if err := atEnd(r); err != nil {
		return Tensor{}, err
	}
	t := Tensor{Shape: shape}
	switch head[2] {
	case 0x08:
		t.Data = b
	case 0x09:
		t.Data = decode[int8](b, binary.BigEndian)
	case 0x0b:
		t.Data = convert[int32](decode[int16](b, binary.BigEndian))
	case 0x0c:
		t.Data = decode[int32](b, binary.BigEndian)
	case 0x0d:
		t.Data = decode[float32](b, binary.BigEndian)
	case 0x0e:
		t.Data = decode[float64](b, binary.BigEndian)
	}
	return t, nil
}

// WriteIDX writes an array in IDX format, which has no 64-bit integers.
func WriteIDX(w io.Writer, t Tensor) error {
	if err := t.check(); err != nil {
		return fmt.Errorf("data: IDX: %w", err)
	}
	var kind byte
	switch t.Data.(type) {
	case []uint8:
		kind = 0x08
	case []int8:
		kind = 0x09
	case []int32:
		kind = 0x0c
	case []float32:
		kind = 0x0d
	case []float64:
		kind = 0x0e
	default:
		return fmt.Errorf("data: IDX: elements of type %T: the format has none", t.Data)
	}
	b := []byte{0, 0, kind, byte(len(t.Shape))}
	for _, d := range t.Shape {
		if int64(d) > 1<<32-1 { // possible beside a dimension of 0
			return fmt.Errorf("data: IDX: shape %v: dimensions have 32 bits", t.Shape)
		}
		b = binary.BigEndian.AppendUint32(b, uint32(d))
	}
	b, err := binary.Append(b, binary.BigEndian, t.Data)
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}
