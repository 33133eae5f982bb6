package onnx

import "slices"

// linearRules are products of matrices.
var linearRules = map[string]rule{
	"MatMul": func(r *rewriter, n *Node) []*value { return one(r.matmul(r.in(n, 0), r.in(n, 1))) },
	"Gemm":   gemmRule,
}

func gemmRule(r *rewriter, n *Node) []*value {
	x, y := r.in(n, 0), r.in(n, 1)
	if len(x.shape) != 2 || len(y.shape) != 2 {
		failf("operands of shapes %v and %v: matrices are wanted", x.shape, y.shape)
	}
	if n.Attrs.Int("transA", 0) != 0 {
		x = r.transpose(x, []int{1, 0})
	}
	if n.Attrs.Int("transB", 0) != 0 {
		y = r.transpose(y, []int{1, 0})
	}
	out := r.scaled(r.matmul(x, y), float64(n.Attrs.Float("alpha", 1)))
	if c := r.opt(n, 2); c != nil {
		shape := out.shape
		if out = r.binary("Add", out, r.scaled(c, float64(n.Attrs.Float("beta", 1)))); !slices.Equal(out.shape, shape) {
			failf("input 2 of shape %v is added to a matrix of shape %v", c.shape, shape)
		}
	}
	return one(out)
}

// normRules bring elements to a common scale.
var normRules = map[string]rule{
	"BatchNormalization": batchNorm, "InstanceNormalization": instanceNorm, "GroupNormalization": groupNormRule,
	"LayerNormalization": layerNorm, "RMSNormalization": rmsNorm,
	"Softmax":    softmaxRule(func(r *rewriter, x *value, along int) *value { return r.softmax(x, along) }),
	"LogSoftmax": softmaxRule(func(r *rewriter, x *value, along int) *value { return r.logSoftmax(x, along) }),
}

// channel sees a list with one element a channel as a factor of tensors of a rank.
func (r *rewriter) channel(v *value, channels, rank int) *value {
	if len(v.shape) != 1 || v.shape[0] != channels {
		failf("%d channels, but scale, shift, mean or variance has shape %v", channels, v.shape)
	}
	return r.reshape(v, slices.Concat([]int{channels}, slices.Repeat([]int{1}, rank-2)))
}

func batchNorm(r *rewriter, n *Node) []*value {
	x := r.in(n, 0)
	if len(x.shape) < 2 {
		failf("shape %v has no channels", x.shape)
	}
	if n.Attrs.Int("training_mode", 0) != 0 {
		failf("training is not supported")
	}
	at := func(i int) *value { return r.channel(r.in(n, i), x.shape[1], len(x.shape)) }
	scale, shift, mean, variance := at(1), at(2), at(3), at(4)
	std := r.unary("Sqrt", r.shifted(variance, float64(n.Attrs.Float("epsilon", 1e-5))))
	a := r.binary("Div", scale, std)
	b := r.binary("Sub", shift, r.binary("Mul", mean, a))
	return one(r.binary("Add", r.binary("Mul", x, a), b))
}

// instanceNorm is also how exporters write a group norm: between two reshapes,
// with the groups as channels, which the values' origins show.
func instanceNorm(r *rewriter, n *Node) []*value {
	x := r.in(n, 0)
	if len(x.shape) < 3 {
		failf("shape %v has no channels of several elements", x.shape)
	}
	channels := x.shape[1]
	scale, shift := r.channel(r.in(n, 1), channels, len(x.shape)), r.channel(r.in(n, 2), channels, len(x.shape))
	eps := float64(n.Attrs.Float("epsilon", 1e-5))
	whole, groups := x, channels
	if o := x.from; o != nil && len(o.shape) >= 3 && o.shape[0] == x.shape[0] && o.shape[1]%channels == 0 {
		whole = o
	}
	y := r.reshape(r.groupNorm(whole, groups, eps), x.shape)
	if !all(scale, 1) {
		y = r.binary("Mul", y, scale)
	}
	if !all(shift, 0) {
		y = r.binary("Add", y, shift)
	}
	return one(y)
}

// all reports whether a value is a constant with all elements x.
func all(v *value, x float64) bool {
	return v.data != nil && !slices.ContainsFunc(toFloats(v.data), func(e float64) bool { return e != x })
}

func groupNormRule(r *rewriter, n *Node) []*value {
	x := r.in(n, 0)
	groups := int(n.Attrs.Int("num_groups", 0))
	if len(x.shape) < 3 || groups < 1 || x.shape[1]%groups != 0 {
		failf("%d groups of the channels of a tensor of shape %v", groups, x.shape)
	}
	channels := x.shape[1]
	at := func(i int) *value {
		v := r.in(n, i)
		if len(v.shape) == 1 && v.shape[0] == groups && groups != channels { // opset 18: one a group
			v = r.reshape(r.expand(r.reshape(v, []int{groups, 1}), []int{groups, channels / groups}), []int{channels})
		}
		return r.channel(v, channels, len(x.shape))
	}
	y := r.groupNorm(x, groups, float64(n.Attrs.Float("epsilon", 1e-5)))
	return one(r.binary("Add", r.binary("Mul", y, at(1)), at(2)))
}

// groupNorm gives each group of channels of x [batch, channels, ...] mean 0 and
// variance 1.
func (r *rewriter) groupNorm(x *value, groups int, eps float64) *value {
	x = r.image(x)
	batch, channels := x.shape[0], x.shape[1]
	spatial := upTo(len(x.shape))[2:]
	flat := slices.Concat([]int{batch, channels}, slices.Repeat([]int{1}, len(spatial)))
	group := func(v *value) *value { // the mean over each group, for each of its channels
		if groups == channels {
			return v
		}
		parts := []int{batch, groups, channels / groups}
		v = r.mean(r.reshape(v, parts), []int{2})
		return r.reshape(r.expand(v, parts), flat)
	}
	// Where x is a tensor plus a number a channel, that need not be added first.
	whole, plus := x, (*value)(nil)
	if s := x.sum; s != nil && onePerChannel(s.y, x) {
		whole, plus = s.x, s.y
	}
	m := r.mean(whole, spatial)
	if plus != nil {
		m = r.binary("Add", m, plus)
	}
	shift := r.unary("Neg", group(m))
	if plus != nil {
		shift = r.binary("Add", plus, shift)
	}
	centred := r.binary("Add", whole, shift)
	variance := group(r.mean(r.binary("Mul", centred, centred), spatial))
	return r.binary("Mul", centred, r.unary("Reciprocal", r.unary("Sqrt", r.shifted(variance, eps))))
}

// onePerChannel reports whether v broadcasts over all axes of x but the first two.
func onePerChannel(v, x *value) bool {
	tail := v.shape[max(len(v.shape)-len(x.shape)+2, 0):]
	return elements(tail) == 1
}

func layerNorm(r *rewriter, n *Node) []*value {
	x := r.in(n, 0)
	first := axis(int(n.Attrs.Int("axis", -1)), len(x.shape))
	along := upTo(len(x.shape))[first:]
	centred := r.binary("Sub", x, r.mean(x, along))
	y := r.binary("Mul", centred, r.inverseRoot(centred, along, n))
	if y = r.binary("Mul", y, r.in(n, 1)); r.opt(n, 2) != nil {
		y = r.binary("Add", y, r.in(n, 2))
	}
	return one(y)
}

func rmsNorm(r *rewriter, n *Node) []*value {
	x := r.in(n, 0)
	first := axis(int(n.Attrs.Int("axis", -1)), len(x.shape))
	y := r.binary("Mul", x, r.inverseRoot(x, upTo(len(x.shape))[first:], n))
	return one(r.binary("Mul", y, r.in(n, 1)))
}

// inverseRoot is one over the root of the mean square.
func (r *rewriter) inverseRoot(x *value, along []int, n *Node) *value {
	square := r.mean(r.binary("Mul", x, x), along)
	return r.unary("Reciprocal", r.unary("Sqrt", r.shifted(square, float64(n.Attrs.Float("epsilon", 1e-5)))))
}

// softmaxRule applies f along the axis; before opset 13, along all from there.
func softmaxRule(f func(r *rewriter, x *value, along int) *value) rule {
	return func(r *rewriter, n *Node) []*value {
		x := r.in(n, 0)
		if r.opset >= 13 {
			return one(f(r, x, axis(int(n.Attrs.Int("axis", -1)), len(x.shape))))
		}
		a := axis(int(n.Attrs.Int("axis", 1)), len(x.shape))
		rows := r.reshape(x, []int{elements(x.shape[:a]), elements(x.shape[a:])})
		return one(r.reshape(f(r, rows, 1), x.shape))
	}
}

func (r *rewriter) softmax(x *value, along int) *value {
	if !x.typ.Float() {
		failf("elements are %v: numbers with fractions are wanted", x.typ)
	}
	place := along
	if x.perm != nil {
		place = slices.Index(x.perm, along)
	}
	p := x.emitted()
	return r.emit("Softmax", Attrs{"axis": int64(place)}, x.typ, p.shape, p).logical(x.perm)
}

func (r *rewriter) logSoftmax(x *value, along int) *value {
	x = r.binary("Sub", x, r.reduce("ReduceMax", x, []int{along}))
	return r.binary("Sub", x, r.unary("Log", r.reduce("ReduceSum", r.unary("Exp", x), []int{along})))
}
