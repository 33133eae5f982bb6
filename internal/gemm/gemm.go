// Package gemm multiplies matrices of float32. Its inner loops are assembly on
// amd64 with AVX-512, or with AVX2 and FMA.
package gemm

import (
	"fmt"
	"sync"
)

//go:generate go run gen.go

// A Matrix is a dense matrix in row-major order, or, if T, the transpose of one:
// X then holds its columns one behind the other.
type Matrix struct {
	X          []float32
	Rows, Cols int
	T          bool
}

// strides are the distances between rows and between columns.
func (m Matrix) strides() (row, col int) {
	if m.T {
		return 1, m.Rows
	}
	return m.Cols, 1
}

// A kernel is an inner loop. It computes a tile of C: m rows, at most rows, and
// columns columns, from m rows and k columns of A. B is packed: k rows of columns
// numbers. C is replaced, or added to if add.
type kernel struct {
	rows, columns int
	tile          func(m, k int, a []float32, rowA, colA int, b, c []float32, rowC int, add bool)
}

const (
	blockK = 256 // a packed panel stays in the first-level cache
	blockN = 512 // a packed block stays in the second-level cache
)

type buffers struct{ packed, edge []float32 }

var pool = sync.Pool{New: func() any {
	return &buffers{make([]float32, blockK*blockN), make([]float32, 16*32)}
}}

// Mul computes C = A·B, or C += A·B if add; C is dense. It runs on the calling
// goroutine. A row of C is the same whatever the other rows of A. Mul panics if
// shapes do not match.
func Mul(c []float32, a, b Matrix, add bool) { current().mul(c, a, b, add) }

func (kern *kernel) mul(c []float32, a, b Matrix, add bool) {
	if a.Cols != b.Rows || len(a.X) != a.Rows*a.Cols || len(b.X) != b.Rows*b.Cols || len(c) != a.Rows*b.Cols {
		panic(fmt.Sprintf("gemm: [%d,%d] of %d times [%d,%d] of %d into %d", a.Rows, a.Cols, len(a.X), b.Rows, b.Cols, len(b.X), len(c)))
	}
	if len(c) == 0 {
		return
	}
	if a.Cols == 0 {
		if !add {
			clear(c)
		}
		return
	}
	buf := pool.Get().(*buffers)
	defer pool.Put(buf)
	row, col := a.strides()
	for j := 0; j < b.Cols; j += blockN {
		n := min(blockN, b.Cols-j)
		for p := 0; p < a.Cols; p += blockK {
			k := min(blockK, a.Cols-p)
			kern.pack(buf.packed, b, p, k, j, n)
			for jj := 0; jj < n; jj += kern.columns {
				kern.panel(buf.edge, c[j+jj:], b.Cols, min(kern.columns, n-jj), a.X[p*col:], a.Rows, row, col, k, buf.packed[jj*k:], add || p > 0)
			}
		}
	}
}

// panel computes some columns, at most kern.columns, of all rows.
func (kern *kernel) panel(edge, c []float32, rowC, columns int, a []float32, rows, row, col, k int, packed []float32, add bool) {
	tiles := (rows + kern.rows - 1) / kern.rows
	for t, from := 0, 0; t < tiles; t++ {
		to := (t + 1) * rows / tiles // of nearly equal height
		if columns == kern.columns {
			kern.tile(to-from, k, a[from*row:], row, col, packed, c[from*rowC:], rowC, add)
		} else {
			kern.tile(to-from, k, a[from*row:], row, col, packed, edge, kern.columns, false)
			for i := range to - from {
				store(c[(from+i)*rowC:][:columns], edge[i*kern.columns:], add)
			}
		}
		from = to
	}
}

func store(c, tile []float32, add bool) {
	if !add {
		copy(c, tile)
		return
	}
	for i := range c {
		c[i] += tile[i]
	}
}

// pack copies k rows and n columns of b in panels of kern.columns columns, the
// last filled up with zeros.
func (kern *kernel) pack(dst []float32, b Matrix, p, k, j, n int) {
	w := kern.columns
	row, col := b.strides()
	for jj := 0; jj < n; jj += w {
		m := min(w, n-jj)
		panel := dst[jj*k : (jj+w)*k]
		if m < w {
			clear(panel)
		}
		if !b.T {
			for i := range k {
				copy(panel[i*w:i*w+m], b.X[(p+i)*row+j+jj:])
			}
			continue
		}
		for c := range m {
			src := b.X[(j+jj+c)*col+p:][:k]
			for i, x := range src {
				panel[i*w+c] = x
			}
		}
	}
}
