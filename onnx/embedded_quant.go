package onnx

import (
	"math"

	"github.com/assay-lab/assay/internal/qgemm"
)

// quantRules are those of networks whose tensors are quantized and dequantized
// again (QDQ). Where both factors of a product are, it is one of integers.
var quantRules = map[string]rule{"QuantizeLinear": quantizeLinear, "DequantizeLinear": dequantizeLinear}

// faked says of which value, and how, one is what codes stand for.
type faked struct {
	of    *value
	input qgemm.Input
}

// onlyCodes reports whether a value is what QuantizeLinear gives: it is never
// emitted.
func (v *value) onlyCodes() bool { return v != nil && v.fake != nil && v.typ != Float32 }

// encoded are the codes of a constant matrix or kernel, one row an output: the
// constant is [outputs, ...] for axis 0, and its transpose for axis 1.
type encoded struct {
	axis       int
	rows, cols int
	codes      []uint8
	scale      []float64
	zero       []int
	laid       *qgemm.Weights
}

// weights lays the codes out, once.
func (e *encoded) weights() *qgemm.Weights {
	if e.laid == nil {
		w, err := qgemm.NewWeights(e.codes, e.rows, e.cols, e.scale, e.zero)
		check(err)
		e.laid = w
	}
	return e.laid
}

// kernel lays out the codes of a kernel [outputs, channels, ...] with its channels
// last, as windows are.
func (e *encoded) kernel(channels int) *qgemm.Weights {
	last := *e
	last.codes, last.laid = make([]uint8, len(e.codes)), nil
	places := e.cols / channels
	for i, q := range e.codes {
		o, c, j := i/e.cols, i%e.cols/places, i%places
		last.codes[o*e.cols+j*channels+c] = q
	}
	return last.weights()
}

// transposed are the codes of the transpose of a matrix.
func (e *encoded) transposed() *encoded {
	if e == nil {
		return nil
	}
	t := *e
	t.axis = 1 - e.axis
	return &t
}

// quantizeLinear is only half of what the engine can do: its codes can be
// dequantized and nothing else.
func quantizeLinear(r *rewriter, n *Node) []*value {
	x := r.in(n, 0)
	if x.typ != Float32 {
		failf("quantizes %v: float32 is wanted", x.typ)
	}
	scale := r.in(n, 1)
	in, typ := qgemm.Input{Top: 255}, Uint8
	zero := 0
	if z := r.opt(n, 2); z != nil {
		if z.data == nil || elements(z.shape) != 1 || z.typ != Uint8 && z.typ != Int8 {
			failf("zero point of %v %v: one constant of 8 bits for the whole tensor is wanted", z.typ, z.shape)
		}
		typ, zero = z.typ, int(toInts(z.data)[0])
	}
	if scale.data == nil || elements(scale.shape) != 1 || scale.typ != Float32 {
		failf("scale of %v %v: one constant of float32 for the whole tensor is wanted", scale.typ, scale.shape)
	}
	in.Scale, in.Zero = float32(toFloats(scale.data)[0]), zero
	if typ == Int8 {
		in.Zero += 128
	}
	check(in.Check())
	return one(&value{typ: typ, shape: x.shape, name: "quantized", fake: &faked{x, in}})
}

func dequantizeLinear(r *rewriter, n *Node) []*value {
	x, scale, zero := r.in(n, 0), r.in(n, 1), r.opt(n, 2)
	if scale.data == nil || scale.typ != Float32 || zero != nil && (zero.data == nil || zero.typ != x.typ || elements(zero.shape) != elements(scale.shape)) {
		failf("scale of %v and zero point: constants are wanted, the scale of float32, as many of the one as of the other", scale.typ)
	}
	if x.data == nil {
		return one(r.fakeQuantized(x, scale, zero))
	}
	codes := toInts(x.data)
	if codes == nil || x.typ == Int64 {
		failf("dequantizes %v: whole numbers of at most 32 bits are wanted", x.typ)
	}
	along := 0
	if k := elements(scale.shape); k > 1 {
		along = axis(int(n.Attrs.Int("axis", 1)), len(x.shape))
		if x.shape[along] != k || len(scale.shape) != 1 {
			failf("%v scales along axis %d of %v", scale.shape, along, x.shape)
		}
	}
	return one(dequantized(x, codes, toFloats(scale.data), zero, along))
}

// dequantized is a constant of codes, which it keeps where a product can use them.
func dequantized(x *value, codes []int64, scale []float64, zero *value, along int) *value {
	zeros := make([]int, len(scale))
	if zero != nil {
		for i, z := range toInts(zero.data) {
			zeros[i] = int(z)
		}
	}
	run := elements(x.shape[min(along+1, len(x.shape)):])
	data := make([]float32, len(codes))
	channel := func(i int) int { return i / run % len(scale) }
	for i, q := range codes {
		c := channel(i)
		data[i] = float32(int(q)-zeros[c]) * float32(scale[c])
	}
	v := &value{typ: Float32, shape: x.shape, data: data}
	if len(x.shape) < 2 || x.typ != Uint8 && x.typ != Int8 || len(scale) == 1 && x.shape[along] != 1 || along > 1 || along == 1 && len(x.shape) != 2 {
		return v
	}
	e := &encoded{axis: along, rows: len(scale), cols: len(codes) / len(scale), codes: make([]uint8, len(codes)), scale: scale, zero: zeros}
	move := 0
	if x.typ == Int8 {
		move = 128
		for i := range zeros {
			zeros[i] += move
		}
	}
	for i, q := range codes {
		at := i
		if along == 1 {
			at = i%e.rows*e.cols + i/e.rows
		}
		e.codes[at] = uint8(int(q) + move)
	}
	v.codes = e
	return v
}

// fakeQuantized is what codes that are not kept stand for.
func (r *rewriter) fakeQuantized(x, scale, zero *value) *value {
	if x.fake == nil {
		failf("dequantizes %v that was not quantized in front of it", x.typ)
	}
	in := x.fake.input
	z := 0
	if zero != nil {
		z = int(toInts(zero.data)[0])
	}
	if x.typ == Int8 {
		z += 128
	}
	if elements(scale.shape) != 1 || float32(toFloats(scale.data)[0]) != in.Scale || z != in.Zero {
		failf("dequantizes with another scale or zero point than it was quantized with")
	}
	of := x.fake.of
	p := of.emitted()
	if of.data != nil {
		p = of
	}
	out := *r.emit("FakeQuant", nil, Float32, p.shape, p, r.number(Float32, float64(in.Scale)), r.number(Float32, float64(in.Zero))).logical(of.perm)
	out.fake = x.fake
	return &out
}

// fakeQuant is (clamp(round(x/s) + z, 0, 255) − z)·s.
func fakeQuant(dst, x, scale, zero []float32) {
	for i, v := range x[:len(dst)] {
		s, z := scale[i], zero[i]
		q := max(-z, min(float32(math.RoundToEven(float64(v/s))), 255-z))
		dst[i] = q * s
	}
}

// integerMatmul is a product of codes, nil where one factor has none.
func (r *rewriter) integerMatmul(x, y *value) *value {
	switch {
	case x.fake != nil && y.codes != nil && y.codes.axis == 1 && len(y.shape) == 2 && len(x.shape) > 1:
		k, n := y.shape[0], y.shape[1]
		if x.shape[len(x.shape)-1] != k {
			return nil // found out where it is reported
		}
		rows := elements(x.shape) / k
		shape := append(append([]int{}, x.shape[:len(x.shape)-1]...), n)
		in := r.plain(r.reshape(x.fake.of, []int{rows, k}))
		return r.reshape(r.integers("MatMulInteger", y.codes.weights(), x.fake.input, nil, []int{rows, n}, in), shape)
	case y.fake != nil && x.codes != nil && x.codes.axis == 0 && len(x.shape) == 2 && len(y.shape) == 2 && y.shape[0] == x.shape[1]:
		return r.integers("MatMulIntegerLeft", x.codes.weights(), y.fake.input, nil, []int{x.shape[0], y.shape[1]}, r.plain(y.fake.of))
	}
	return nil
}

// integers emits a product of integers.
func (r *rewriter) integers(op string, w *qgemm.Weights, in qgemm.Input, attrs Attrs, shape []int, x *value) *value {
	with := Attrs{"number": len(r.nodes)} // none is emitted twice
	for k, v := range attrs {
		with[k] = v
	}
	out := r.emit(op, with, Float32, shape, x)
	last := &r.nodes[len(r.nodes)-1]
	last.Attrs["weights"], last.Attrs["input"] = w, in
	return out
}
