package quant

import (
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
)

// A Dense is a matrix in row-major order: X has Rows·Cols elements. As weights,
// row o belongs to output feature o.
type Dense struct {
	Rows, Cols int
	X          []float64
}

// NewDense makes a matrix of numbers of either type.
func NewDense[T float32 | float64](x []T, rows, cols int) Dense {
	d := Dense{rows, cols, make([]float64, len(x))}
	for i, v := range x {
		d.X[i] = float64(v)
	}
	return d
}

// Row is row o, sharing memory.
func (d Dense) Row(o int) []float64 { return d.X[o*d.Cols : (o+1)*d.Cols] }

// Select copies the rows of a list of indices.
func (d Dense) Select(rows []int) Dense {
	s := Dense{len(rows), d.Cols, make([]float64, 0, len(rows)*d.Cols)}
	for _, o := range rows {
		s.X = append(s.X, d.Row(o)...)
	}
	return s
}

// check wants a matrix whose elements are finite as float32.
func (d Dense) check(what string) error {
	if d.Rows < 0 || d.Cols < 0 || d.Cols > 0 && d.Rows > math.MaxInt/d.Cols || len(d.X) != d.Rows*d.Cols {
		return fmt.Errorf("quant: %s: %d numbers for %d rows of %d", what, len(d.X), d.Rows, d.Cols)
	}
	for i, x := range d.X {
		if !(math.Abs(x) <= math.MaxFloat32) {
			return fmt.Errorf("quant: %s: element [%d, %d] = %g: must be finite in float32", what, i/d.Cols, i%d.Cols, x)
		}
	}
	return nil
}

// each calls f for 0 to n−1, on as many goroutines as there are processors.
func each(n int, f func(i int)) {
	workers := min(n, runtime.GOMAXPROCS(0))
	if workers < 2 {
		for i := range n {
			f(i)
		}
		return
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	wg.Wait()
}
