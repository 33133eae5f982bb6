package onnx

import "slices"

// shapeRules rearrange elements, or compute shapes.
var shapeRules = map[string]rule{
	"Shape":   shapeRule,
	"Size":    func(r *rewriter, n *Node) []*value { return one(r.number(Int64, float64(elements(r.in(n, 0).shape)))) },
	"Reshape": reshapeRule, "Flatten": flatten, "Squeeze": squeeze, "Unsqueeze": unsqueeze, "Transpose": transposeRule,
	"Concat": concatRule, "Split": splitRule, "Slice": sliceRule, "Gather": gatherRule,
	"Expand": expandRule, "Tile": tileRule, "Pad": padRule,
	"DepthToSpace": depthToSpace, "SpaceToDepth": spaceToDepth,
}

func shapeRule(r *rewriter, n *Node) []*value {
	shape := r.in(n, 0).shape
	clamp := func(a int) int {
		if a < 0 {
			a += len(shape)
		}
		return min(max(a, 0), len(shape))
	}
	start, end := clamp(int(n.Attrs.Int("start", 0))), clamp(int(n.Attrs.Int("end", int64(len(shape)))))
	return one(r.list(shape[start:max(start, end)]...))
}

func reshapeRule(r *rewriter, n *Node) []*value {
	x := r.in(n, 0)
	want, ok := r.intsOr(n, "shape", 1)
	if !ok {
		failf("has no shape")
	}
	shape := slices.Clone(want)
	free, known := -1, 1
	for i, d := range shape {
		switch {
		case d == 0 && n.Attrs.Int("allowzero", 0) == 0:
			if i >= len(x.shape) {
				failf("shape %v keeps axis %d, which a tensor of shape %v lacks", want, i, x.shape)
			}
			shape[i] = x.shape[i]
		case d == -1 && free < 0:
			free = i
			continue
		case d < 0:
			failf("shape %v", want)
		}
		known *= shape[i]
	}
	if free >= 0 {
		if known == 0 || elements(x.shape)%known != 0 {
			failf("%d elements, of shape %v, cannot be seen as %v", elements(x.shape), x.shape, want)
		}
		shape[free] = elements(x.shape) / known
	}
	return one(r.reshape(x, shape))
}

func flatten(r *rewriter, n *Node) []*value {
	x := r.in(n, 0)
	a := int(n.Attrs.Int("axis", 1))
	if a != len(x.shape) {
		a = axis(a, len(x.shape))
	}
	return one(r.reshape(x, []int{elements(x.shape[:a]), elements(x.shape[a:])}))
}

func squeeze(r *rewriter, n *Node) []*value {
	x := r.in(n, 0)
	along, ok := r.intsOr(n, "axes", 1)
	if !ok {
		for i, d := range x.shape {
			if d == 1 {
				along = append(along, i)
			}
		}
	}
	along = axes(along, len(x.shape))
	for _, a := range along {
		if x.shape[a] != 1 {
			failf("axis %d of shape %v cannot be left out", a, x.shape)
		}
	}
	return one(r.reshape(x, dropAxes(x.shape, along)))
}

func unsqueeze(r *rewriter, n *Node) []*value {
	x := r.in(n, 0)
	along, ok := r.intsOr(n, "axes", 1)
	if !ok {
		failf("has no axes")
	}
	rank := len(x.shape) + len(along)
	along = axes(along, rank)
	shape := make([]int, 0, rank)
	left := x.shape
	for i := range rank {
		if slices.Contains(along, i) {
			shape = append(shape, 1)
		} else {
			shape, left = append(shape, left[0]), left[1:]
		}
	}
	return one(r.reshape(x, shape))
}

func transposeRule(r *rewriter, n *Node) []*value {
	x := r.in(n, 0)
	perm := n.Attrs.Ints("perm")
	if perm == nil {
		p := upTo(len(x.shape))
		slices.Reverse(p)
		return one(r.transpose(x, p))
	}
	if len(perm) != len(x.shape) {
		failf("perm %v for a tensor of shape %v", perm, x.shape)
	}
	return one(r.transpose(x, axes(convertInts(perm), len(x.shape))))
}

func concatRule(r *rewriter, n *Node) []*value {
	vs := make([]*value, len(n.In))
	for i := range vs {
		vs[i] = r.in(n, i)
	}
	if len(vs) == 0 {
		failf("has no inputs")
	}
	return one(r.concat(int(n.Attrs.Int("axis", 1)), vs...))
}

func splitRule(r *rewriter, n *Node) []*value {
	x := r.in(n, 0)
	along := axis(int(n.Attrs.Int("axis", 0)), len(x.shape))
	size := x.shape[along]
	sizes, ok := r.intsOr(n, "split", 1)
	if !ok {
		parts := len(n.Out)
		each := (size + parts - 1) / parts // the last may be smaller
		if n.Attrs["num_outputs"] == nil && size%parts != 0 {
			failf("axis %d of shape %v cannot be split into %d equal parts", along, x.shape, parts)
		}
		for range parts {
			sizes = append(sizes, max(min(each, size-len(sizes)*each), 0))
		}
	}
	sum := 0
	for _, s := range sizes {
		sum += s
	}
	if len(sizes) != len(n.Out) || sum != size || slices.Min(sizes) < 0 {
		failf("axis %d of shape %v cannot be split into %d parts of sizes %v", along, x.shape, len(n.Out), sizes)
	}
	out := make([]*value, len(sizes))
	at := 0
	for i, s := range sizes {
		out[i] = r.part(x, along, at, at+s, 1)
		at += s
	}
	return out
}

func sliceRule(r *rewriter, n *Node) []*value {
	x := r.in(n, 0)
	starts, ok1 := r.intsOr(n, "starts", 1)
	ends, ok2 := r.intsOr(n, "ends", 2)
	along, ok := r.intsOr(n, "axes", 3)
	if !ok {
		along = upTo(len(starts))
	}
	steps, ok := r.ints(n, 4)
	if !ok {
		steps = slices.Repeat([]int{1}, len(starts))
	}
	if !ok1 || !ok2 || len(ends) != len(starts) || len(along) != len(starts) || len(steps) != len(starts) {
		failf("starts %v, ends %v, axes %v and steps %v do not go together", starts, ends, along, steps)
	}
	for i, a := range axes(along, len(x.shape)) {
		x = r.cut(x, a, starts[i], ends[i], steps[i])
	}
	return one(x)
}

// cut slices along one axis, with places counted from the end when negative and
// clamped as ONNX says.
func (r *rewriter) cut(x *value, along, start, end, step int) *value {
	size := x.shape[along]
	if start < 0 {
		start += size
	}
	if end < 0 {
		end += size
	}
	switch {
	case step == 0:
		failf("step is 0")
	case step > 0:
		return r.part(x, along, min(max(start, 0), size), min(max(end, 0), size), step)
	}
	var index []int
	for i := min(max(start, 0), size-1); i > max(end, -1); i += step {
		index = append(index, i)
	}
	if len(index) == 0 {
		return r.part(x, along, 0, 0, 1)
	}
	return r.pick(x, along, index)
}

func gatherRule(r *rewriter, n *Node) []*value {
	x, index := r.in(n, 0), r.in(n, 1)
	along := axis(int(n.Attrs.Int("axis", 0)), len(x.shape))
	shape := slices.Concat(x.shape[:along], index.shape, x.shape[along+1:])
	if index.data == nil {
		if index.typ.Float() {
			failf("indices are %v", index.typ)
		}
		return one(r.emit("Gather", Attrs{"axis": int64(along)}, x.typ, shape, r.plain(x), r.plain(index)))
	}
	at := toInts(index.data)
	places := make([]int, len(at))
	inOrder := true
	for i, p := range at {
		places[i] = axis(int(p), x.shape[along])
		inOrder = inOrder && places[i] == places[0]+i
	}
	switch {
	case len(places) == 0:
		x = r.part(x, along, 0, 0, 1)
	case inOrder:
		x = r.part(x, along, places[0], places[0]+len(places), 1)
	default:
		x = r.pick(x, along, places)
	}
	return one(r.reshape(x, shape))
}

func expandRule(r *rewriter, n *Node) []*value {
	x := r.in(n, 0)
	want, ok := r.ints(n, 1)
	if !ok {
		failf("has no shape")
	}
	bounded(want)
	shape, ok := broadcast(x.shape, want)
	if !ok {
		failf("shape %v cannot be expanded to %v", x.shape, want)
	}
	return one(r.expand(x, shape))
}

func tileRule(r *rewriter, n *Node) []*value {
	x := r.in(n, 0)
	repeats, _ := r.ints(n, 1)
	if len(repeats) != len(x.shape) {
		failf("repeats %v for a tensor of shape %v", repeats, x.shape)
	}
	for i, k := range repeats {
		if k < 1 {
			failf("repeats %v: must be positive", repeats)
		}
		bounded([]int{k, elements(x.shape)})
		if listed(k); k > 1 {
			x = r.concat(i, slices.Repeat([]*value{x}, k)...)
		}
	}
	return one(x)
}

func padRule(r *rewriter, n *Node) []*value {
	x := r.in(n, 0)
	rank := len(x.shape)
	pads, ok := r.intsOr(n, "pads", 1)
	along, some := r.ints(n, 3)
	if !some {
		along = upTo(rank)
	}
	along = axes(along, rank)
	if !ok || len(pads) != 2*len(along) {
		failf("pads %v for %d axes", pads, len(along))
	}
	before, after := make([]int, rank), make([]int, rank)
	for i, a := range along {
		before[a], after[a] = pads[i], pads[i+len(along)]
		x = r.cut(x, a, max(-before[a], 0), x.shape[a]-max(-after[a], 0), 1)
		before[a], after[a] = max(before[a], 0), max(after[a], 0)
	}
	mode := n.Attrs.String("mode", "constant")
	if mode == "constant" {
		fill := r.number(x.typ, float64(n.Attrs.Float("value", 0)))
		if v := r.opt(n, 2); v != nil {
			fill = r.reshape(v, []int{})
		}
		return one(r.pad(x, before, after, fill))
	}
	for i := range rank {
		x = r.border(x, i, before[i], after[i], mode)
	}
	return one(x)
}

// border pads one axis with elements of the tensor.
func (r *rewriter) border(x *value, along, before, after int, mode string) *value {
	size := x.shape[along]
	if before == 0 && after == 0 {
		return x
	}
	var from func(i int) int
	switch mode {
	case "edge":
		from = func(i int) int { return min(max(i, 0), size-1) }
	case "reflect":
		from = func(i int) int { return max(i, -i) - 2*max(i-(size-1), 0) }
	case "wrap":
		from = func(i int) int { return ((i % size) + size) % size }
	default:
		failf("mode %q", mode)
	}
	if size == 0 || mode == "reflect" && max(before, after) >= size {
		failf("pads %d and %d of an axis of size %d", before, after, size)
	}
	bounded([]int{before, elements(x.shape)})
	bounded([]int{after, elements(x.shape)})
	index := func(from0, to int) []int {
		listed(to - from0)
		var v []int
		for i := from0; i < to; i++ {
			v = append(v, from(i))
		}
		return v
	}
	parts := []*value{x}
	if before > 0 {
		parts = slices.Insert(parts, 0, r.pick(x, along, index(-before, 0)))
	}
	if after > 0 {
		parts = append(parts, r.pick(x, along, index(size, size+after)))
	}
	return r.concat(along, parts...)
}

func depthToSpace(r *rewriter, n *Node) []*value {
	x, b := r.in(n, 0), int(n.Attrs.Int("blocksize", 0))
	if len(x.shape) != 4 || b < 1 || x.shape[1]%(b*b) != 0 {
		failf("blocks of %d×%d of a tensor of shape %v", b, b, x.shape)
	}
	batch, c, h, w := x.shape[0], x.shape[1]/(b*b), x.shape[2], x.shape[3]
	if n.Attrs.String("mode", "DCR") == "CRD" {
		x = r.transpose(r.reshape(x, []int{batch, c, b, b, h, w}), []int{0, 1, 4, 2, 5, 3})
	} else {
		x = r.transpose(r.reshape(x, []int{batch, b, b, c, h, w}), []int{0, 3, 4, 1, 5, 2})
	}
	return one(r.reshape(x, []int{batch, c, h * b, w * b}))
}

func spaceToDepth(r *rewriter, n *Node) []*value {
	x, b := r.in(n, 0), int(n.Attrs.Int("blocksize", 0))
	if len(x.shape) != 4 || b < 1 || x.shape[2]%b != 0 || x.shape[3]%b != 0 {
		failf("blocks of %d×%d of a tensor of shape %v", b, b, x.shape)
	}
	batch, c, h, w := x.shape[0], x.shape[1], x.shape[2]/b, x.shape[3]/b
	x = r.transpose(r.reshape(x, []int{batch, c, h, b, w, b}), []int{0, 3, 5, 1, 2, 4})
	return one(r.reshape(x, []int{batch, c * b * b, h, w}))
}
