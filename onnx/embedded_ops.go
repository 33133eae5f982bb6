package onnx

import (
	"slices"
)

// The operations of which rules are made. Each checks its operands, is carried
// out at once where these are constants, and otherwise emits one node, or few.

// unary applies an operator to each element.
func (r *rewriter) unary(op string, x *value) *value {
	if data, ok := foldUnary(op, x); ok {
		return &value{typ: x.typ, shape: x.shape, data: data}
	}
	p := x.emitted()
	out := *r.emit(op, nil, x.typ, p.shape, p).logical(x.perm)
	if op == "Sigmoid" {
		out.sigmoidOf = x
	}
	return &out
}

// binary applies an operator to pairs of elements, with broadcasting.
func (r *rewriter) binary(op string, x, y *value) *value {
	if x.typ != y.typ {
		failf("operands are %v %v and %v %v: both must be of one type", x.typ, x.shape, y.typ, y.shape)
	}
	shape, ok := broadcast(x.shape, y.shape)
	if !ok {
		failf("shapes %v and %v do not go together", x.shape, y.shape)
	}
	typ := x.typ
	if compareOps[op] != nil {
		typ = Bool
	}
	data, ok, err := foldBinary(op, x, y, shape)
	check(err)
	if ok {
		return &value{typ: typ, shape: shape, data: data}
	}
	if (op == "Div" || op == "Mod") && !x.typ.Float() {
		y = r.notZero(y)
	}
	if x.typ.Float() {
		if out := r.combined(op, x, y, shape); out != nil {
			return out
		}
	}
	perm := r.layout(len(shape), x, y)
	p, q := r.operand(x, len(shape), perm), r.operand(y, len(shape), perm)
	out := *r.emit(op, nil, typ, permuted(shape, perm), p, q).logical(perm)
	if op == "Add" || op == "Mul" {
		if elements(x.shape) < elements(y.shape) {
			x, y = y, x
		}
		if slices.Equal(x.shape, shape) && elements(y.shape) < elements(shape) {
			if op == "Add" {
				out.sum = &pair{x, y}
			} else {
				out.product = &pair{x, y}
			}
		}
	}
	return &out
}

// combined saves passes over large operands: small ones are combined first, and
// x·sigmoid(x) is one operation. It gives nil where there is nothing to save.
func (r *rewriter) combined(op string, x, y *value, shape []int) *value {
	if elements(x.shape) < elements(y.shape) {
		x, y = y, x
	}
	if op != "Add" && op != "Mul" || !slices.Equal(x.shape, shape) {
		return nil
	}
	if op == "Mul" {
		if s := y.sigmoidOf; s != nil && s.isSame(x) {
			return r.silu(x)
		}
		if s := x.sigmoidOf; s != nil && s.isSame(y) {
			return r.silu(y)
		}
	}
	of := x.sum
	if op == "Mul" {
		of = x.product
	}
	if of == nil {
		return nil
	}
	both, ok := broadcast(of.y.shape, y.shape)
	if !ok || 4*elements(both) > elements(shape) {
		return nil
	}
	return r.binary(op, of.x, r.binary(op, of.y, y))
}

// isSame reports whether two values are one tensor.
func (v *value) isSame(w *value) bool {
	return v.name != "" && v.name == w.name && slices.Equal(v.shape, w.shape) && slices.Equal(v.perm, w.perm)
}

// silu is x·sigmoid(x), as x/(1+exp(−x)), for which the backend needs less time.
func (r *rewriter) silu(x *value) *value {
	return r.binary("Div", x, r.shifted(r.unary("Exp", r.unary("Neg", x)), 1))
}

// notZero keeps whole numbers from dividing by 0, which would end the process.
func (r *rewriter) notZero(y *value) *value {
	if d := toInts(y.data); d != nil {
		if slices.Contains(d, 0) {
			failf("divides by 0")
		}
		return y
	}
	return r.where(r.binary("Equal", y, r.number(y.typ, 0)), r.number(y.typ, 1), y)
}

// layout is the order of axes in which operands of an elementwise operator are
// combined: that of the largest which has an order of its own.
func (r *rewriter) layout(rank int, operands ...*value) []int {
	var perm []int
	size := 0
	for _, v := range operands {
		if len(v.shape) == rank && v.perm != nil && elements(v.shape) > size {
			perm, size = v.perm, elements(v.shape)
		}
	}
	return perm
}

// operand brings a value to a rank and an order of axes; scalars are left.
func (r *rewriter) operand(v *value, rank int, perm []int) *value {
	if len(v.shape) == 0 {
		return v
	}
	if d := rank - len(v.shape); d > 0 {
		v = r.reshape(v, slices.Concat(slices.Repeat([]int{1}, d), v.shape))
	}
	return r.arranged(v, perm)
}

// where chooses between the elements of two values.
func (r *rewriter) where(cond, x, y *value) *value {
	if x.typ != y.typ || cond.typ != Bool {
		failf("operands are %v, %v and %v: a truth value and two of one type are wanted", cond.typ, x.typ, y.typ)
	}
	shape, ok := broadcast(x.shape, y.shape)
	if ok {
		shape, ok = broadcast(shape, cond.shape)
	}
	if !ok {
		failf("shapes %v, %v and %v do not go together", cond.shape, x.shape, y.shape)
	}
	if n := elements(shape); cond.data != nil && x.data != nil && y.data != nil && n <= maxFold {
		c := toInts(r.expand(cond, shape).data)
		both := r.concat(0, r.expand(r.reshape(x, dimsOr1(x)), shape), r.expand(r.reshape(y, dimsOr1(y)), shape))
		pick := func(i int) int {
			if c[i] != 0 {
				return i
			}
			return n + i
		}
		return &value{typ: x.typ, shape: shape, data: take(both.data, n, pick)}
	}
	perm := r.layout(len(shape), cond, x, y)
	in := []*value{cond, x, y}
	for i, v := range in {
		in[i] = r.arranged(r.expand(v, shape), perm)
	}
	return r.emit("Where", nil, x.typ, permuted(shape, perm), in...).logical(perm)
}

// dimsOr1 gives a scalar one axis.
func dimsOr1(v *value) []int {
	if len(v.shape) == 0 {
		return []int{1}
	}
	return v.shape
}

// expand broadcasts a value to a shape.
func (r *rewriter) expand(v *value, shape []int) *value {
	if slices.Equal(v.shape, shape) {
		return v
	}
	bounded(shape)
	if to, ok := broadcast(v.shape, shape); !ok || !slices.Equal(to, shape) {
		failf("shape %v cannot be expanded to %v", v.shape, shape)
	}
	if v.data != nil && elements(shape) <= maxFold {
		at := walk(shape, repeatStrides(v.shape, shape), 0)
		return &value{typ: v.typ, shape: shape, data: take(v.data, elements(shape), at)}
	}
	v = r.operand(v, len(shape), nil)
	return r.emit("Expand", nil, v.typ, shape, v, r.list(shape...))
}

// cast converts the elements' type.
func (r *rewriter) cast(v *value, to Type) *value {
	if to = wide(to); v.typ == to {
		return v
	}
	if to == String {
		failf("text is not supported by the embedded engine")
	}
	if v.data != nil && (elements(v.shape) <= maxFold || v.typ.Float() && to.Float()) {
		if d := toInts(v.data); d != nil {
			return &value{typ: to, shape: v.shape, data: fromInts(to, d)}
		}
		return &value{typ: to, shape: v.shape, data: fromFloats(to, toFloats(v.data))}
	}
	p := v.emitted()
	return r.emit("Cast", Attrs{"to": int64(to)}, to, p.shape, p).logical(v.perm)
}

// reduce combines the elements along axes, keeping these with size 1.
func (r *rewriter) reduce(op string, v *value, along []int) *value {
	shape := slices.Clone(v.shape)
	for _, a := range along {
		shape[a] = 1
	}
	if len(along) == 0 {
		return v
	}
	if v.data != nil && elements(v.shape) <= maxFold {
		if data := foldReduce(op, v, shape); data != nil {
			return &value{typ: v.typ, shape: shape, data: data}
		}
	}
	places := along
	if v.perm != nil {
		places = permuted(inverse(v.perm), along)
	}
	p := v.emitted()
	sorted := make([]int64, len(places))
	for i, a := range places {
		sorted[i] = int64(a)
	}
	slices.Sort(sorted)
	return r.emit(op, Attrs{"axes": sorted, "keepdims": int64(1)}, v.typ, permuted(shape, v.perm), p).logical(v.perm)
}

// foldReduce combines the elements of a constant, nil if it cannot.
func foldReduce(op string, v *value, shape []int) any {
	f := map[string]string{"ReduceSum": "Add", "ReduceProd": "Mul", "ReduceMax": "Max", "ReduceMin": "Min"}[op]
	if f == "" || elements(v.shape) == 0 {
		return nil
	}
	to := walk(v.shape, repeatStrides(shape, v.shape), 0)
	seen := make([]bool, elements(shape))
	if d := toInts(v.data); d != nil {
		out := make([]int64, len(seen))
		for i, x := range d {
			if j := to(i); seen[j] {
				out[j] = intOps[f](out[j], x)
			} else {
				out[j], seen[j] = x, true
			}
		}
		return fromInts(v.typ, out)
	}
	out := make([]float64, len(seen))
	for i, x := range toFloats(v.data) {
		if j := to(i); seen[j] {
			out[j] = floatOps[f](out[j], x)
		} else {
			out[j], seen[j] = x, true
		}
	}
	return fromFloats(v.typ, out)
}

// matmul is the product of matrices, or of stacks of them.
func (r *rewriter) matmul(x, y *value) *value {
	if x.typ != y.typ {
		failf("operands are %v and %v: both must be of one type", x.typ, y.typ)
	}
	if len(x.shape) == 0 || len(y.shape) == 0 {
		failf("shapes %v and %v: no matrices", x.shape, y.shape)
	}
	if out := r.integerMatmul(x, y); out != nil {
		return out
	}
	if len(x.shape) == 1 {
		out := r.matmul(r.reshape(x, []int{1, x.shape[0]}), y)
		return r.reshape(out, slices.Delete(slices.Clone(out.shape), len(out.shape)-min(len(y.shape), 2), len(out.shape)-min(len(y.shape), 2)+1))
	}
	if len(y.shape) == 1 {
		out := r.matmul(x, r.reshape(y, []int{y.shape[0], 1}))
		return r.reshape(out, out.shape[:len(out.shape)-1])
	}
	xr, yr := len(x.shape), len(y.shape)
	m, k, n := x.shape[xr-2], x.shape[xr-1], y.shape[yr-1]
	stack, ok := broadcast(x.shape[:xr-2], y.shape[:yr-2])
	if !ok || y.shape[yr-2] != k {
		failf("matrices of shapes %v and %v do not fit", x.shape, y.shape)
	}
	shape := append(slices.Clone(stack), m, n)
	if elements(y.shape[:yr-2]) == 1 { // one matrix for all rows
		rows := elements(shape) / max(n, 1)
		out := r.emit("MatMul", nil, x.typ, []int{rows, n}, r.plain(r.reshape(x, []int{rows, k})), r.plain(r.reshape(y, []int{k, n})))
		return r.reshape(out, shape)
	}
	x = r.expand(x, append(slices.Clone(stack), m, k))
	y = r.expand(y, append(slices.Clone(stack), k, n))
	b := elements(stack)
	out := r.emit("MatMul", nil, x.typ, []int{b, m, n}, r.plain(r.reshape(x, []int{b, m, k})), r.plain(r.reshape(y, []int{b, k, n})))
	return r.reshape(out, shape)
}
