// Package qgemm multiplies matrices whose numbers are codes of at most 8 bits with
// static scales: products and sums are exact integers of 32 bits, scaled once. Its
// inner loops are those of package kern.
//
//	y[t, o] = s_o·s_x·Σ_i (w[o, i] − z_o)·(x[t, i] − z_x)
package qgemm

import (
	"encoding/binary"
	"fmt"

	"github.com/assay-lab/assay/internal/kern"
)

// Weights are codes [Rows, Cols] with a scale and a zero point for each row, in the
// layout of the kernels.
type Weights struct {
	Rows, Cols int
	codes      kern.Codes
	sums       []int32 // Σ_i code − zero of each row
}

// maxCols keeps sums of products in 32 bits: 255·255·maxCols < 2³¹.
const maxCols = 1 << 15

// NewWeights lays out codes [rows, cols].
func NewWeights(codes []uint8, rows, cols int, scale []float64, zero []int) (*Weights, error) {
	switch {
	case rows < 1 || cols < 1 || len(codes) != rows*cols:
		return nil, fmt.Errorf("qgemm: %d codes for %d rows of %d", len(codes), rows, cols)
	case cols > maxCols:
		return nil, fmt.Errorf("qgemm: %d columns: at most %d", cols, maxCols)
	case len(scale) != rows || len(zero) != rows:
		return nil, fmt.Errorf("qgemm: %d scales and %d zero points for %d rows", len(scale), len(zero), rows)
	}
	w := &Weights{rows, cols, kern.NewCodes(false, rows, 1, padded(cols)), make([]int32, rows)}
	for o := range rows {
		if zero[o] < 0 || zero[o] > 255 {
			return nil, fmt.Errorf("qgemm: zero point of row %d is %d: must be 0 to 255", o, zero[o])
		}
		row := codes[o*cols : (o+1)*cols]
		w.codes.SetGroup(o, 0, row, float32(scale[o]), int32(zero[o]))
		for _, q := range row {
			w.sums[o] += int32(q) - int32(zero[o])
		}
	}
	return w, nil
}

func padded(cols int) int { return (cols + 7) &^ 7 }

// Stride is the least distance between rows of a product.
func (w *Weights) Stride() int { return kern.TileRows * w.codes.Tiles }

// An Input says how the other factor is quantized.
type Input struct {
	Scale float32
	Zero  int // 0 to Top
	Top   int // the largest code, at most 255
}

// Check wants a scale and codes that make a quantizer.
func (in Input) Check() error {
	if !(in.Scale > 0) || in.Scale-in.Scale != 0 || in.Top < 1 || in.Top > 255 || in.Zero < 0 || in.Zero > in.Top {
		return fmt.Errorf("qgemm: input with scale %g, zero point %d, largest code %d", in.Scale, in.Zero, in.Top)
	}
	return nil
}

// laid is how an input's codes are laid out in signed bytes: c = q − zero if that
// fits, and else less offset. An 8-bit code with zero point 127 fits with its sign
// turned round, as that of a negative scale.
type laid struct {
	scale          float32
	lo, hi, offset int
}

func (in Input) laid() laid {
	l := laid{in.Scale, -in.Zero, in.Top - in.Zero, 0}
	switch {
	case l.lo >= -128 && l.hi <= 127:
	case l.lo >= -127 && l.hi <= 128:
		l.scale, l.lo, l.hi = -l.scale, -l.hi, -l.lo
	default:
		l.offset = 128 - in.Zero
	}
	return l
}

// Tokens are rows of quantized numbers. They are used again and again, by one
// goroutine.
type Tokens struct {
	n, cols int
	in      laid
	code    []int8 // [n, cols padded to 8]
	sum     []int32
	scale   []float32
	rows    []int8 // scratch: before they are transposed
}

// reset gives the tokens their size, keeping memory where it is enough.
func (t *Tokens) reset(n, cols int, in Input) {
	if t.cols != cols { // what fills up a row must be 0
		clear(t.code[:cap(t.code)])
	}
	t.n, t.cols, t.in = n, cols, in.laid()
	t.code = resized(t.code, n*padded(cols))
	t.sum, t.scale = resized(t.sum, n), resized(t.scale, n)
	for i := range t.scale {
		t.scale[i] = t.in.scale
	}
}

func resized[T any](x []T, n int) []T {
	if cap(x) < n {
		return make([]T, n)
	}
	return x[:n]
}

// Quantize takes n rows of cols numbers that lie stride apart.
func (t *Tokens) Quantize(x []float32, stride, n, cols int, in Input) {
	t.reset(n, cols, in)
	w := padded(cols)
	for i := range n {
		t.sum[i] = kern.QuantizeStaticI8(t.code[i*w:i*w+cols], x[i*stride:i*stride+cols], t.in.scale, t.in.lo, t.in.hi, -t.in.offset)
	}
}

// QuantizeColumns takes n columns of cols numbers as rows: x has cols rows that
// lie stride apart.
func (t *Tokens) QuantizeColumns(x []float32, stride, n, cols int, in Input) {
	t.reset(n, cols, in)
	w, side := padded(cols), (n+7)&^7
	t.rows = resized(t.rows, w*side)
	for i := range cols {
		kern.QuantizeStaticI8(t.rows[i*side:i*side+n], x[i*stride:i*stride+n], t.in.scale, t.in.lo, t.in.hi, -t.in.offset)
	}
	clear(t.rows[cols*side:])
	transpose8(t.code, w, t.rows, side, n, w)
	for i := range n {
		var sum int32
		for _, q := range t.code[i*w : (i+1)*w] {
			sum += int32(q)
		}
		t.sum[i] = sum
	}
}

// transpose8 writes columns of src, rows side apart, as n rows of dst, w apart, in
// blocks of 8 by 8 bytes. w and side are multiples of 8.
func transpose8(dst []int8, w int, src []int8, side, n, rows int) {
	d, s := bytesOf(dst), bytesOf(src)
	for i := 0; i < rows; i += 8 {
		for j := 0; j < n; j += 8 {
			var m [8]uint64
			for k := range m {
				m[k] = binary.LittleEndian.Uint64(s[(i+k)*side+j:])
			}
			swap(&m, 4, 32, 0x00000000ffffffff)
			swap(&m, 2, 16, 0x0000ffff0000ffff)
			swap(&m, 1, 8, 0x00ff00ff00ff00ff)
			for k := range min(8, n-j) {
				binary.LittleEndian.PutUint64(d[(j+k)*w+i:], m[k])
			}
		}
	}
}

// swap exchanges the blocks off the diagonal: rows at that distance, by that many bits.
func swap(m *[8]uint64, distance int, bits uint, low uint64) {
	for k := range m {
		if k&distance == 0 {
			a, b := m[k], m[k+distance]
			m[k] = a&low | b&low<<bits
			m[k+distance] = b&^low | a>>bits&low
		}
	}
}

// Mul writes the product of the tokens and the weights to dst, whose rows, one a
// token, lie stride apart; stride is at least [Weights.Stride]. What is behind Rows in
// a row is overwritten.
func (w *Weights) Mul(dst []float32, stride int, t *Tokens) {
	if t.cols != w.Cols {
		panic(fmt.Sprintf("qgemm: tokens of %d numbers for %d columns", t.cols, w.Cols))
	}
	kern.MulCodes(dst, stride, w.codes, 0, w.codes.Tiles, kern.Tokens{N: t.n, Code: t.code, Scale: t.scale, Sum: t.sum})
	if t.in.offset == 0 {
		return
	}
	// The kernel takes the codes less the offset for the numbers themselves; what is
	// missing is the same for all tokens.
	missing := make([]float32, w.Rows)
	for o, sum := range w.sums {
		missing[o] = float32(t.in.offset) * float32(sum) * w.codes.Scale[o] * t.in.scale
	}
	for i := range t.n {
		kern.Axpy(dst[i*stride:i*stride+w.Rows], 1, missing)
	}
}
