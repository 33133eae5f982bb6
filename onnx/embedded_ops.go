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
	check(checkShape(shape))
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

// transpose permutes the axes, which costs nothing until a tensor is wanted in order.
func (r *rewriter) transpose(v *value, perm []int) *value {
	if slices.IsSorted(perm) {
		return v
	}
	if v.data != nil {
		t := r.arranged(v, perm)
		return &value{typ: v.typ, shape: t.shape, data: t.data}
	}
	have := v.perm
	if have == nil {
		have = upTo(len(v.shape))
	}
	moved := permuted(inverse(perm), have) // where each emitted axis goes
	out := &value{name: v.name, typ: v.typ, shape: permuted(v.shape, perm), perm: moved}
	if slices.IsSorted(moved) {
		out.perm = nil
	}
	return out
}

// reshape gives the same elements another shape.
func (r *rewriter) reshape(v *value, shape []int) *value {
	if slices.Equal(v.shape, shape) {
		return v
	}
	if elements(shape) != elements(v.shape) {
		failf("shape %v with %d elements cannot be seen as %v with %d", v.shape, elements(v.shape), shape, elements(shape))
	}
	if v.data != nil {
		return &value{typ: v.typ, shape: shape, data: v.data}
	}
	whole := v
	if v.from != nil {
		whole = v.from
	}
	if slices.Equal(whole.shape, shape) {
		return whole
	}
	out := r.reshapeInPlace(whole, shape)
	if out == nil {
		out = r.emit("Reshape", nil, v.typ, shape, r.plain(whole), r.list(shape...))
	}
	with := *out // others may share it
	with.from = whole
	return &with
}

// reshapeInPlace reshapes a value whose axes are not in order without bringing
// them into order, nil if that is not possible: axes that are merged must lie
// beside each other.
func (r *rewriter) reshapeInPlace(v *value, shape []int) *value {
	if v.perm == nil {
		return nil
	}
	at := inverse(v.perm)            // where each axis lies
	parts := make([][]int, len(at))  // the new axes of the group of old ones that begins at this place
	covered := make([]bool, len(at)) // places within a group, not at its beginning
	from, to := upTo(0), upTo(0)     // not yet matched
	p, q, have, want := 0, 0, 1, 1   // axes passed and their products
	for p < len(v.shape) || q < len(shape) {
		if p < len(v.shape) && (have <= want || q == len(shape)) {
			have *= v.shape[p]
			from = append(from, p)
			p++
		} else {
			want *= shape[q]
			to = append(to, q)
			q++
		}
		if have != want || len(from) == 0 || len(to) == 0 || trailingOnes(v.shape[p:], shape[q:]) {
			continue
		}
		for i, a := range from {
			if at[a] != at[from[0]]+i {
				return nil
			}
			covered[at[a]] = i > 0
		}
		parts[at[from[0]]] = to
		from, to, have, want = nil, nil, 1, 1
	}
	if len(from) > 0 || len(to) > 0 {
		return nil
	}
	var perm []int
	for i, part := range parts {
		if !covered[i] {
			perm = append(perm, part...)
		}
	}
	e := v.emitted()
	return r.emit("Reshape", nil, v.typ, permuted(shape, perm), e, r.list(permuted(shape, perm)...)).logical(perm)
}

// trailingOnes reports whether one of the two has axes left, all of size 1, and the
// other none: these belong to the group before.
func trailingOnes(a, b []int) bool {
	return len(a) != len(b) && (len(a) == 0 || len(b) == 0) && elements(a) == 1 && elements(b) == 1
}

// concat joins values along an axis.
func (r *rewriter) concat(along int, vs ...*value) *value {
	rank := len(vs[0].shape)
	along = axis(along, rank)
	shape := slices.Clone(vs[0].shape)
	shape[along] = 0
	folds := true
	for _, v := range vs {
		same := slices.Clone(v.shape)
		if len(same) == rank {
			same[along] = shape[along]
		}
		if !slices.Equal(same, shape) || v.typ != vs[0].typ {
			failf("%v %v and %v %v cannot be joined along axis %d", vs[0].typ, vs[0].shape, v.typ, v.shape, along)
		}
		shape[along] += v.shape[along]
		folds = folds && v.data != nil
	}
	vs = slices.DeleteFunc(slices.Clone(vs), func(v *value) bool { return v.shape[along] == 0 })
	switch {
	case len(vs) == 0:
		return &value{typ: Float32, shape: shape, data: []float32{}}
	case len(vs) == 1:
		return vs[0]
	case folds && elements(shape) <= maxFold:
		return foldConcat(along, shape, vs)
	}
	perm := r.layout(rank, vs...)
	place := along
	if perm != nil {
		place = slices.Index(perm, along)
	}
	in := make([]*value, len(vs))
	for i, v := range vs {
		in[i] = r.arranged(v, perm)
	}
	return r.emit("Concat", Attrs{"axis": int64(place)}, vs[0].typ, permuted(shape, perm), in...).logical(perm)
}

func foldConcat(along int, shape []int, vs []*value) *value {
	typ := vs[0].typ
	if typ.Float() {
		return &value{typ: typ, shape: shape, data: fromFloats(typ, join(along, shape, vs, toFloats))}
	}
	return &value{typ: typ, shape: shape, data: fromInts(typ, join(along, shape, vs, toInts))}
}

func join[T any](along int, shape []int, vs []*value, data func(any) []T) []T {
	out := make([]T, elements(shape))
	s := strides(shape)
	offset := 0
	for _, v := range vs {
		at := walk(v.shape, s, offset)
		for i, x := range data(v.data) {
			out[at(i)] = x
		}
		offset += v.shape[along] * s[along]
	}
	return out
}

// slice takes the elements start, start+step, ... below end along each axis.
func (r *rewriter) slice(v *value, start, end, step []int) *value {
	shape := make([]int, len(start))
	whole := true
	for i := range start {
		shape[i] = max((end[i]-start[i]+step[i]-1)/step[i], 0)
		whole = whole && shape[i] == v.shape[i] && step[i] == 1
	}
	if whole {
		return v
	}
	if v.data != nil {
		own, offset := strides(v.shape), 0
		for i := range own {
			offset += own[i] * start[i]
			own[i] *= step[i]
		}
		return &value{typ: v.typ, shape: shape, data: take(v.data, elements(shape), walk(shape, own, offset))}
	}
	if elements(shape) == 0 {
		return &value{typ: v.typ, shape: shape, data: fromFloats(v.typ, nil)}
	}
	p := v.emitted()
	order := r.list(upTo(len(shape))...)
	return r.emit("Slice", nil, v.typ, permuted(shape, v.perm), p, r.list(permuted(start, v.perm)...), r.list(permuted(end, v.perm)...),
		order, r.list(permuted(step, v.perm)...)).logical(v.perm)
}

// part takes the elements from start to end along one axis.
func (r *rewriter) part(v *value, along, start, end, step int) *value {
	starts, ends, steps := make([]int, len(v.shape)), slices.Clone(v.shape), slices.Repeat([]int{1}, len(v.shape))
	starts[along], ends[along], steps[along] = start, end, step
	return r.slice(v, starts, ends, steps)
}

// pick gathers elements along an axis.
func (r *rewriter) pick(v *value, along int, index []int) *value {
	shape := slices.Clone(v.shape)
	shape[along] = len(index)
	if v.data != nil {
		own := strides(v.shape)
		loose := slices.Clone(own)
		loose[along] = 0
		at, places := walk(shape, loose, 0), walk(shape, repeatStrides(onlyAxis(shape, along), shape), 0)
		return &value{typ: v.typ, shape: shape, data: take(v.data, elements(shape), func(i int) int { return at(i) + index[places(i)]*own[along] })}
	}
	p := v.emitted()
	place := along
	if v.perm != nil {
		place = slices.Index(v.perm, along)
	}
	return r.emit("Gather", Attrs{"axis": int64(place)}, v.typ, permuted(shape, v.perm), p, r.list(index...)).logical(v.perm)
}

// onlyAxis is a shape of ones but along one axis.
func onlyAxis(shape []int, along int) []int {
	out := slices.Repeat([]int{1}, len(shape))
	out[along] = shape[along]
	return out
}

// pad adds elements of one value before and after each axis.
func (r *rewriter) pad(v *value, before, after []int, fill *value) *value {
	shape := make([]int, len(before))
	none := true
	for i := range shape {
		shape[i] = v.shape[i] + before[i] + after[i]
		none = none && before[i] == 0 && after[i] == 0
	}
	if none {
		return v
	}
	if n := elements(shape); v.data != nil && fill.data != nil && v.typ.Float() {
		out := slices.Repeat([]float64{toFloats(fill.data)[0]}, n)
		s, offset := strides(shape), 0
		for i, b := range before {
			offset += b * s[i]
		}
		at := walk(v.shape, s, offset)
		for i, x := range toFloats(v.data) {
			out[at(i)] = x
		}
		return &value{typ: v.typ, shape: shape, data: fromFloats(v.typ, out)}
	}
	v = &value{name: r.ref(v), typ: v.typ, shape: v.shape, perm: v.perm}
	pads := slices.Concat(permuted(before, v.perm), permuted(after, v.perm))
	return r.emit("Pad", nil, v.typ, permuted(shape, v.perm), v.emitted(), r.list(pads...), r.cast(fill, v.typ)).logical(v.perm)
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
