package quant

import (
	"fmt"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/floats"
)

// Inputs sums up what a layer was given during calibration: all that [ClipSearch]
// and [GPTQ] need of it is Σ x·xᵀ.
type Inputs struct {
	Cols            int
	Batches, Tokens int // how many were added
	gram            []float64
}

// Add adds a batch of tokens x [tokens, Cols]. The first sets Cols if it is 0.
func (in *Inputs) Add(x Dense) error {
	if err := x.check("calibration input"); err != nil {
		return err
	}
	if in.Cols == 0 {
		in.Cols = x.Cols
	}
	if x.Cols != in.Cols || x.Rows == 0 {
		return fmt.Errorf("quant: calibration input: %d tokens of %d features: want at least one of %d", x.Rows, x.Cols, in.Cols)
	}
	if in.gram == nil {
		in.gram = make([]float64, in.Cols*in.Cols)
	}
	in.Batches++
	in.Tokens += x.Rows
	a := blas64.General{Rows: x.Rows, Cols: x.Cols, Stride: x.Cols, Data: x.X}
	blas64.Syrk(blas.Trans, 1, a, 1, blas64.Symmetric{N: in.Cols, Stride: in.Cols, Data: in.gram, Uplo: blas.Upper})
	for i := range in.Cols { // keep both halves: rows are then contiguous
		for j := range i {
			in.gram[i*in.Cols+j] = in.gram[j*in.Cols+i]
		}
	}
	return nil
}

func (in *Inputs) check(cols int) error {
	switch {
	case in == nil || in.Tokens == 0:
		return fmt.Errorf("quant: no calibration inputs")
	case in.Cols != cols:
		return fmt.Errorf("quant: calibration inputs of %d features: the weights have %d", in.Cols, cols)
	}
	return nil
}

// square is Σ (x·e)² over all tokens, for an error e of the inputs from i on.
func (in *Inputs) square(e []float64, i int) float64 {
	var s float64
	for j, ej := range e {
		if ej != 0 {
			row := in.gram[(i+j)*in.Cols+i:]
			s += ej * floats.Dot(row[:len(e)], e)
		}
	}
	return s
}

// MSE is the mean square of a layer's output error, over tokens and rows, when its
// weights w are replaced by m.
func (in *Inputs) MSE(w Dense, m *Matrix) (float64, error) {
	if err := in.check(w.Cols); err != nil {
		return 0, err
	}
	if m.Rows != w.Rows || m.Cols != w.Cols || len(w.X) != len(m.Codes) {
		return 0, fmt.Errorf("quant: %d×%d weights, quantized %d×%d", w.Rows, w.Cols, m.Rows, m.Cols)
	}
	return in.mse(w, m), nil
}

func (in *Inputs) mse(w Dense, m *Matrix) float64 {
	if w.Rows == 0 {
		return 0
	}
	d := m.Dequantize()
	squares := make([]float64, w.Rows)
	each(w.Rows, func(o int) {
		e := d.Row(o)
		floats.Sub(e, w.Row(o))
		squares[o] = in.square(e, 0)
	})
	return floats.Sum(squares) / float64(in.Tokens) / float64(w.Rows)
}
