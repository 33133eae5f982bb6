package onnx

import (
	"sync"

	"github.com/assay-lab/assay/internal/qgemm"
)

// integerRows is how many rows of a product go through together: their codes stay in
// the first-level cache.
const integerRows = 64

// An integerScratch is what one goroutine needs.
type integerScratch struct {
	tokens qgemm.Tokens
	out    []float32
	window []float32
}

var integerPool = sync.Pool{New: func() any { return &integerScratch{} }}

func (s *integerScratch) result(n int) []float32 {
	if cap(s.out) < n {
		s.out = make([]float32, n)
	}
	return s.out[:n]
}

func integerOperands(n Node) (*qgemm.Weights, qgemm.Input) {
	return n.Attrs["weights"].(*qgemm.Weights), n.Attrs["input"].(qgemm.Input)
}

// multiply quantizes rows of x and writes their products to dst, dense.
func (s *integerScratch) multiply(dst, x []float32, rows int, w *qgemm.Weights, in qgemm.Input) {
	s.tokens.Quantize(x, w.Cols, rows, w.Cols, in)
	if w.Stride() == w.Rows {
		w.Mul(dst, w.Rows, &s.tokens)
		return
	}
	out := s.result(rows * w.Stride())
	w.Mul(out, w.Stride(), &s.tokens)
	for i := range rows {
		copy(dst[i*w.Rows:(i+1)*w.Rows], out[i*w.Stride():])
	}
}

// planIntegerMatMul multiplies [m, k] by weights.
func planIntegerMatMul(p *planner, n Node) error {
	w, in := integerOperands(n)
	rows := elements(n.Attrs["shape"].([]int)) / w.Rows
	return p.simple(n, func(f *frame, dst []float32, ops []operand) {
		x := f.in(ops[0])
		f.plan.parallel(rows, max(1<<20/(w.Rows*w.Cols), 16), func(lo, hi int) {
			s := integerPool.Get().(*integerScratch)
			defer integerPool.Put(s)
			for at := lo; at < hi; at += integerRows {
				s.multiply(dst[at*w.Rows:], x[at*w.Cols:], min(integerRows, hi-at), w, in)
			}
		})
	})
}

// planIntegerLeft multiplies weights by [k, n].
func planIntegerLeft(p *planner, n Node) error {
	w, in := integerOperands(n)
	cols := elements(n.Attrs["shape"].([]int)) / w.Rows
	return p.simple(n, func(f *frame, dst []float32, ops []operand) {
		x := f.in(ops[0])
		f.plan.parallel(cols, max(1<<20/(w.Rows*w.Cols), 16), func(lo, hi int) {
			s := integerPool.Get().(*integerScratch)
			defer integerPool.Put(s)
			for at := lo; at < hi; at += integerRows {
				c := min(integerRows, hi-at)
				s.tokens.QuantizeColumns(x[at:], cols, c, w.Cols, in)
				out := s.result(c * w.Stride())
				w.Mul(out, w.Stride(), &s.tokens)
				for o := range w.Rows {
					to := dst[o*cols+at:][:c]
					for i := range to {
						to[i] = out[i*w.Stride()+o]
					}
				}
			}
		})
	})
}

// planIntegerConv convolves images with their channels last. The kernel's codes are
// [out, in, kernel...]; windows have their channels last.
func planIntegerConv(p *planner, n Node) error {
	w, in := integerOperands(n)
	x, shape := p.values[n.In[0]], n.Attrs["shape"].([]int)
	rank := len(x.shape) - 2
	ints := func(name string) []int { return convertInts(n.Attrs.Ints(name)) }
	c := convolution{
		in: x.shape[1 : 1+rank], out: shape[1 : 1+rank],
		kernel: ints("kernel_shape"), stride: ints("strides"), dilated: ints("dilations"), before: ints("pads")[:rank],
		groups: 1, channels: x.shape[1+rank], outChannels: w.Rows,
	}
	pixels := x.shape[0] * elements(c.out)
	return p.simple(n, func(f *frame, dst []float32, ops []operand) {
		src := f.in(ops[0])
		f.plan.parallel(pixels, max(1<<20/(w.Rows*w.Cols), 16), func(lo, hi int) {
			s := integerPool.Get().(*integerScratch)
			defer integerPool.Put(s)
			if len(s.window) < integerRows*w.Cols {
				s.window = make([]float32, integerRows*w.Cols)
			}
			for at := lo; at < hi; at += integerRows {
				rows := min(integerRows, hi-at)
				c.windows(s.window, src, at, rows, 0)
				s.multiply(dst[at*w.Rows:], s.window, rows, w, in)
			}
		})
	})
}
