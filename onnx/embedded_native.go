package onnx

import (
	"math"
	"slices"

	"github.com/assay-lab/assay/internal/gemm"
	"github.com/assay-lab/assay/internal/kern"
)

// nativeOps plan the operators that are not elementwise.
var nativeOps map[string]func(p *planner, n Node) error

func init() {
	nativeOps = map[string]func(p *planner, n Node) error{
		"Reshape": planSame, "Identity": planSame, "Transpose": planTranspose, "Concat": planConcat, "Slice": planSlice,
		"Pad": planPad, "Gather": planGather, "MatMul": planMatMul, "ConvLast": planConv, "Softmax": planSoftmax,
		"MatMulInteger": planIntegerMatMul, "MatMulIntegerLeft": planIntegerLeft, "ConvInteger": planIntegerConv,
		"ReduceSum": planReduce, "ReduceMax": planReduce, "ReduceMin": planReduce, "ReduceProd": planReduce,
	}
}

// planSame gives a value under another name or shape; both share a buffer.
func planSame(p *planner, n Node) error {
	o := p.values[n.In[0]]
	o.shape = n.Attrs["shape"].([]int)
	p.values[n.Out[0]] = o
	p.root[n.Out[0]] = n.In[0]
	p.done(n.In[1:]...)
	return nil
}

// simple plans an operator of some inputs by a function of their data.
func (p *planner) simple(n Node, run func(f *frame, dst []float32, in []operand)) error {
	in := make([]operand, len(n.In))
	for i, name := range n.In {
		in[i] = p.values[name]
	}
	out := p.give(n.Out[0], p.types[n.Out[0]], n.Attrs["shape"].([]int))
	p.done(n.In...)
	p.add(func(f *frame) error {
		run(f, f.in(out), in)
		return nil
	})
	return nil
}

// mover copies elements from places with strides into a dense array.
type mover struct {
	shape, step []int // of the outer axes
	run, inner  int   // elements of the innermost axis and their distance
}

// newMover merges axes that lie one behind the other.
func newMover(shape, step []int) mover {
	var s, t []int
	for i, d := range shape {
		if d == 1 {
			continue
		}
		if k := len(s); k > 0 && t[k-1] == step[i]*d {
			s[k-1] *= d
			t[k-1] = step[i]
		} else {
			s, t = append(s, d), append(t, step[i])
		}
	}
	if len(s) == 0 {
		return mover{run: 1, inner: 1}
	}
	k := len(s) - 1
	return mover{s[:k], t[:k], s[k], t[k]}
}

// move fills dst from src, beginning at an offset.
func (m mover) move(p *plan, dst, src []float32, offset int) {
	rows := elements(m.shape)
	p.parallel(rows, max(1<<14/m.run, 1), func(lo, hi int) {
		next := walkFrom(m.shape, m.step, lo)
		for r := lo; r < hi; r++ {
			at := offset + next(r)
			to := dst[r*m.run : (r+1)*m.run]
			if m.inner == 1 {
				copy(to, src[at:])
				continue
			}
			for i := range to {
				to[i] = src[at+i*m.inner]
			}
		}
	})
}

func planTranspose(p *planner, n Node) error {
	x := p.values[n.In[0]]
	perm := convertInts(n.Attrs.Ints("perm"))
	m := newMover(permuted(x.shape, perm), permuted(strides(x.shape), perm))
	return p.simple(n, func(f *frame, dst []float32, in []operand) { m.move(f.plan, dst, f.in(in[0]), 0) })
}

func planSlice(p *planner, n Node) error {
	x := p.values[n.In[0]]
	start, step := toInts(p.values[n.In[1]].data), toInts(p.values[n.In[4]].data)
	own, offset := strides(x.shape), 0
	for i := range own {
		offset += own[i] * int(start[i])
		own[i] *= int(step[i])
	}
	m := newMover(n.Attrs["shape"].([]int), own)
	return p.simple(n, func(f *frame, dst []float32, in []operand) { m.move(f.plan, dst, f.in(in[0]), offset) })
}

func planConcat(p *planner, n Node) error {
	shape := n.Attrs["shape"].([]int)
	along := int(n.Attrs.Int("axis", 0))
	outer, row := elements(shape[:along]), elements(shape[along:])
	return p.simple(n, func(f *frame, dst []float32, in []operand) {
		f.plan.parallel(outer, max(1<<15/row, 1), func(lo, hi int) {
			at := 0
			for _, o := range in {
				src, run := f.in(o), elements(o.shape[along:])
				for r := lo; r < hi; r++ {
					copy(dst[r*row+at:][:run], src[r*run:])
				}
				at += run
			}
		})
	})
}

func planPad(p *planner, n Node) error {
	x, shape := p.values[n.In[0]], n.Attrs["shape"].([]int)
	pads := toInts(p.values[n.In[1]].data)
	to, offset := strides(shape), 0
	for i := range shape {
		offset += int(pads[i]) * to[i]
	}
	// whole rows are copied: the axes from which on nothing is added are one
	rank := len(shape)
	k := rank
	for k > 0 && pads[k-1] == 0 && pads[rank+k-1] == 0 {
		k--
	}
	run := elements(x.shape[k:])
	return p.simple(n, func(f *frame, dst []float32, in []operand) {
		fill(dst, f.in(in[2])[0])
		src := f.in(in[0])
		next := walk(x.shape[:k], to[:k], offset)
		for r := range elements(x.shape[:k]) {
			copy(dst[next(r):][:run], src[r*run:])
		}
	})
}

// planGather picks elements that are known; others are left to onnx-gomlx.
func planGather(p *planner, n Node) error {
	x, index := p.values[n.In[0]], p.values[n.In[1]]
	if index.data == nil {
		return p.foreignNode(n)
	}
	along := int(n.Attrs.Int("axis", 0))
	places := toInts(index.data)
	outer, size, run := elements(x.shape[:along]), x.shape[along], elements(x.shape[along+1:])
	return p.simple(n, func(f *frame, dst []float32, in []operand) {
		src := f.in(in[0])
		f.plan.parallel(outer, max(1<<14/max(run*len(places), 1), 1), func(lo, hi int) {
			for r := lo; r < hi; r++ {
				for j, i := range places {
					copy(dst[(r*len(places)+j)*run:][:run], src[(r*size+int(i))*run:])
				}
			}
		})
	})
}

// planMatMul multiplies [m, k] by [k, n], or stacks of them.
func planMatMul(p *planner, n Node) error {
	x, y := p.values[n.In[0]].shape, p.values[n.In[1]].shape
	r := len(x)
	batch, m, k, c := elements(x[:r-2]), x[r-2], x[r-1], y[len(y)-1]
	return p.simple(n, func(f *frame, dst []float32, in []operand) {
		a, b := f.in(in[0]), f.in(in[1])
		work := max(1<<18/max(m*k*c, 1), 1) // stacks worth a thread
		if batch == 1 {
			f.plan.parallel(m, max(1<<18/max(k*c, 1), 16), func(lo, hi int) {
				gemm.Mul(dst[lo*c:hi*c], gemm.Matrix{X: a[lo*k : hi*k], Rows: hi - lo, Cols: k}, gemm.Matrix{X: b[:k*c], Rows: k, Cols: c}, false)
			})
			return
		}
		f.plan.parallel(batch, work, func(lo, hi int) {
			for i := lo; i < hi; i++ {
				gemm.Mul(dst[i*m*c:(i+1)*m*c], gemm.Matrix{X: a[i*m*k : (i+1)*m*k], Rows: m, Cols: k}, gemm.Matrix{X: b[i*k*c : (i+1)*k*c], Rows: k, Cols: c}, false)
			}
		})
	})
}

func planReduce(p *planner, n Node) error {
	x := p.values[n.In[0]]
	along := convertInts(n.Attrs.Ints("axes"))
	var sizes []int // of runs of axes, kept and combined in turn
	combined := false
	sizes = append(sizes, 1)
	for i, d := range x.shape {
		if c := slices.Contains(along, i); d != 1 && c != combined {
			sizes, combined = append(sizes, 1), c
		}
		sizes[len(sizes)-1] *= d
	}
	if len(sizes) > 3 {
		return p.reduceAnyhow(n, x.shape)
	}
	sizes = append(sizes, 1, 1)
	outer, count, run := sizes[0], sizes[1], sizes[2]
	op := reducers[n.Op]
	return p.simple(n, func(f *frame, dst []float32, in []operand) {
		src := f.in(in[0])
		f.plan.parallel(outer, max(1<<14/max(count*run, 1), 1), func(lo, hi int) {
			for o := lo; o < hi; o++ {
				block := src[o*count*run : (o+1)*count*run]
				if run == 1 {
					dst[o] = op.all(block)
					continue
				}
				to := dst[o*run : (o+1)*run]
				copy(to, block)
				for i := 1; i < count; i++ {
					op.rows(to, block[i*run:(i+1)*run])
				}
			}
		})
	})
}

// reduceAnyhow combines along axes that are not neighbours.
func (p *planner) reduceAnyhow(n Node, from []int) error {
	shape := n.Attrs["shape"].([]int)
	step := repeatStrides(shape, from)
	op := reducers[n.Op]
	return p.simple(n, func(f *frame, dst []float32, in []operand) {
		fill(dst, op.start)
		next := walk(from, step, 0)
		for i, x := range f.in(in[0]) {
			at := next(i)
			op.rows(dst[at:at+1], []float32{x})
		}
	})
}

// A reducer combines numbers.
type reducer struct {
	start float32
	all   func(x []float32) float32
	rows  func(dst, x []float32) // with those in dst
}

var reducers = map[string]reducer{
	"ReduceSum": {0, func(x []float32) float32 {
		var s float64
		for len(x) > 0 {
			n := min(len(x), 64)
			var part float32
			for _, v := range x[:n] {
				part += v
			}
			s += float64(part)
			x = x[n:]
		}
		return float32(s)
	}, func(dst, x []float32) { kern.Axpy(dst, 1, x) }},
	"ReduceMax":  folding(float32(math.Inf(-1)), func(a, b float32) float32 { return max(a, b) }),
	"ReduceMin":  folding(float32(math.Inf(1)), func(a, b float32) float32 { return min(a, b) }),
	"ReduceProd": folding(1, func(a, b float32) float32 { return a * b }),
}

func folding(start float32, f func(a, b float32) float32) reducer {
	return reducer{start, func(x []float32) float32 {
		s := start
		for _, v := range x {
			s = f(s, v)
		}
		return s
	}, func(dst, x []float32) {
		for i, v := range x {
			dst[i] = f(dst[i], v)
		}
	}}
}

// planSoftmax works along any axis: the numbers before it count rows, those
// after it lie beside each other.
func planSoftmax(p *planner, n Node) error {
	x := p.values[n.In[0]].shape
	along := int(n.Attrs.Int("axis", -1))
	outer, count, run := elements(x[:along]), x[along], elements(x[along+1:])
	return p.simple(n, func(f *frame, dst []float32, in []operand) {
		src := f.in(in[0])
		f.plan.parallel(outer, max(1<<13/max(count*run, 1), 1), func(lo, hi int) {
			top, sum := make([]float32, run), make([]float32, run)
			for o := lo; o < hi; o++ {
				softmaxRows(dst[o*count*run:(o+1)*count*run], src[o*count*run:(o+1)*count*run], top, sum)
			}
		})
	})
}

// softmaxRows is the softmax of each column of rows as long as top and sum.
func softmaxRows(dst, src, top, sum []float32) {
	run := len(top)
	if run == 1 {
		m := kern.Max(src)
		for i, x := range src {
			dst[i] = x - m
		}
		kern.Exp(dst, dst)
		scale := 1 / reducers["ReduceSum"].all(dst)
		for i := range dst {
			dst[i] *= scale
		}
		return
	}
	copy(top, src)
	for at := run; at < len(src); at += run {
		reducers["ReduceMax"].rows(top, src[at:at+run])
	}
	clear(sum)
	for at := 0; at < len(src); at += run {
		row := dst[at : at+run]
		for i, x := range src[at : at+run] {
			row[i] = x - top[i]
		}
		kern.Exp(row, row)
		kern.Axpy(sum, 1, row)
	}
	for i := range sum {
		sum[i] = 1 / sum[i]
	}
	for at := 0; at < len(src); at += run {
		for i, s := range sum {
			dst[at+i] *= s
		}
	}
}
