package quant

import (
	"fmt"
	"slices"
)

// A Layer is a linear layer whose rows have different widths.
type Layer struct {
	Name       string
	Rows, Cols int
	Parts      []Part
}

// A Part is the rows of one width.
type Part struct {
	Rows   []int // output features, ascending: one for each row of Matrix
	Matrix *Matrix
}

// check wants every row in exactly one part, and parts that fit the layer.
func (l *Layer) check() error {
	n := 0
	for _, p := range l.Parts {
		n += len(p.Rows)
	}
	if n != l.Rows || n == 0 {
		return fmt.Errorf("quant: layer %q: parts have %d of %d rows", l.Name, n, l.Rows)
	}
	seen := make([]bool, n)
	for _, p := range l.Parts {
		m := p.Matrix
		if err := m.check(); err != nil {
			return fmt.Errorf("quant: layer %q: %w", l.Name, err)
		}
		if m.Cols != l.Cols || m.Rows != len(p.Rows) {
			return fmt.Errorf("quant: layer %q: a part of %d×%d for %d rows of %d", l.Name, m.Rows, m.Cols, len(p.Rows), l.Cols)
		}
		if g := l.Parts[0].Matrix.Spec.group(); m.Spec.group() != g {
			return fmt.Errorf("quant: layer %q: groups of %d and %d", l.Name, g, m.Spec.group())
		}
		for i, o := range p.Rows {
			if o < 0 || o >= l.Rows || seen[o] || i > 0 && o < p.Rows[i-1] {
				return fmt.Errorf("quant: layer %q: row list names %d: must ascend below %d, no row twice", l.Name, o, l.Rows)
			}
			seen[o] = true
		}
	}
	return nil
}

// Dequantize gives the weights that the codes stand for.
func (l *Layer) Dequantize() Dense {
	d := Dense{l.Rows, l.Cols, make([]float64, l.Rows*l.Cols)}
	for _, p := range l.Parts {
		part := p.Matrix.Dequantize()
		for i, o := range p.Rows {
			copy(d.Row(o), part.Row(i))
		}
	}
	return d
}

// Bits lists the number of bits of every row.
func (l *Layer) Bits() []int {
	bits := make([]int, l.Rows)
	for _, p := range l.Parts {
		for _, o := range p.Rows {
			bits[o] = p.Matrix.Spec.Bits
		}
	}
	return bits
}

// Size is the number of bits that the layer takes: its codes alone, and with
// scales, in float32, and zero points.
func (l *Layer) Size() (codes, all int) {
	for _, p := range l.Parts {
		s := p.Matrix.Spec
		codes += len(p.Matrix.Codes) * s.Bits
		all += len(p.Matrix.Scale) * 32
		if !s.Symmetric {
			all += len(p.Matrix.Zero) * s.Bits
		}
	}
	return codes, codes + all
}

// AverageBits is the mean number of bits of a weight: in the codes alone, and with
// scales and zero points.
func AverageBits(layers []*Layer) (codes, all float64) {
	var c, a, n int
	for _, l := range layers {
		lc, la := l.Size()
		c, a, n = c+lc, a+la, n+l.Rows*l.Cols
	}
	if n == 0 {
		return 0, 0
	}
	return float64(c) / float64(n), float64(a) / float64(n)
}

// check wants codes, scales and zero points to fit the shape.
func (m *Matrix) check() error {
	if m.Rows < 0 || len(m.Codes) != m.Rows*m.Cols {
		return fmt.Errorf("%d codes for %d rows of %d", len(m.Codes), m.Rows, m.Cols)
	}
	if err := m.Spec.check(m.Cols); err != nil {
		return err
	}
	if n := m.Rows * m.Groups(); len(m.Scale) != n || len(m.Zero) != n {
		return fmt.Errorf("%d scales and %d zero points: want %d", len(m.Scale), len(m.Zero), n)
	}
	if i := slices.IndexFunc(m.Codes, func(q uint8) bool { return int(q) > m.Spec.top() }); i >= 0 {
		return fmt.Errorf("code %d has more than %d bits", m.Codes[i], m.Spec.Bits)
	}
	for i, z := range m.Zero {
		if int(z) > m.Spec.top() || m.Spec.Symmetric && int(z) != m.Spec.middle() {
			return fmt.Errorf("zero point %d of group %d does not suit %d bits", z, i, m.Spec.Bits)
		}
	}
	for i, s := range m.Scale {
		if s32 := float32(s); !(s >= 0) || s32-s32 != 0 {
			return fmt.Errorf("scale of group %d is %g: must be finite and not negative", i, s)
		}
	}
	return nil
}
