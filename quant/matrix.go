package quant

// A Matrix is quantized weights.
type Matrix struct {
	Rows, Cols int
	Spec       Spec
	// Codes are the stored codes [Rows, Cols], from 0 to 2^Bits − 1; a symmetric
	// code q is stored as q + 2^(Bits−1).
	Codes []uint8
	Scale []float64 // [Rows, Groups]
	// Zero is the stored code that means zero [Rows, Groups], 2^(Bits−1) everywhere
	// if symmetric.
	Zero []uint8
}

func newMatrix(rows, cols int, s Spec) *Matrix {
	n := rows * (cols / s.group())
	return &Matrix{rows, cols, s, make([]uint8, rows*cols), make([]float64, n), make([]uint8, n)}
}

// Groups is the number of groups in a row.
func (m *Matrix) Groups() int { return m.Cols / m.Spec.group() }

// Code is the code of a weight: from 0 if asymmetric, around 0 if symmetric.
func (m *Matrix) Code(o, i int) int {
	q := int(m.Codes[o*m.Cols+i])
	if m.Spec.Symmetric {
		q -= m.Spec.middle()
	}
	return q
}

// Dequantize gives the weights that the codes stand for: (q − z)·s.
func (m *Matrix) Dequantize() Dense {
	d := Dense{m.Rows, m.Cols, make([]float64, len(m.Codes))}
	g := m.Spec.group()
	for i, q := range m.Codes {
		k := i / g // rows are whole groups
		d.X[i] = float64(int(q)-int(m.Zero[k])) * m.Scale[k]
	}
	return d
}

// encode rounds one group of row o to nearest, in a range cut to the ratio.
func (m *Matrix) encode(o, k int, w []float64, ratio float64) {
	scale, zero := m.Spec.fit(w, ratio)
	m.Scale[o*m.Groups()+k], m.Zero[o*m.Groups()+k] = scale, uint8(zero)
	codes := m.Codes[o*m.Cols+k*len(w):]
	for i, x := range w {
		codes[i] = uint8(m.Spec.code(x, scale, zero))
	}
}

// RTN rounds weights to nearest.
func RTN(w Dense, s Spec) (*Matrix, error) {
	if err := checkWeights(w, s); err != nil {
		return nil, err
	}
	return nearest(w, s), nil
}

func checkWeights(w Dense, s Spec) error {
	if err := w.check("weights"); err != nil {
		return err
	}
	return s.check(w.Cols)
}

func nearest(w Dense, s Spec) *Matrix {
	m := newMatrix(w.Rows, w.Cols, s)
	g := s.group()
	for o := range w.Rows {
		for k := range m.Groups() {
			m.encode(o, k, w.Row(o)[k*g:(k+1)*g], 1)
		}
	}
	return m
}
