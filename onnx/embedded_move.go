package onnx

import "slices"

// The operations that rearrange elements.

// transpose permutes the axes, which costs nothing until a tensor is wanted in order.
func (r *rewriter) transpose(v *value, perm []int) *value {
	if slices.IsSorted(perm) {
		return v
	}
	if v.data != nil {
		t := r.arranged(v, perm)
		return &value{typ: v.typ, shape: t.shape, data: t.data, codes: v.codes.transposed()}
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
	bounded(shape)
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
	bounded(shape)
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
