package onnx

import (
	"math"
	"slices"
)

// A rule rewrites a node into operations. It gives the node's outputs.
type rule func(r *rewriter, n *Node) []*value

// rules are the operators that the embedded engine has.
var rules map[string]rule

func init() {
	rules = map[string]rule{
		"Constant": constantRule, "ConstantOfShape": constantOfShape, "Range": rangeRule,
		"Identity": same, "Dropout": same, "Cast": castRule, "CastLike": castLike, "Where": whereRule,
		"Clip": clip, "Pow": pow, "Mod": mod, "Min": fold("Min"), "Max": fold("Max"), "Sum": fold("Add"), "Mean": mean,
		"If": ifRule,
	}
	for _, op := range []string{"Add", "Sub", "Mul", "Div", "And", "Or", "Xor", "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"} {
		rules[op] = binaryRule
	}
	for _, op := range []string{
		"Abs", "Neg", "Exp", "Log", "Sqrt", "Sin", "Cos", "Tanh", "Sigmoid", "Erf", "Ceil", "Floor", "Sign", "Not", "Reciprocal", "Relu", "IsNaN",
	} {
		rules[op] = unaryRule
	}
	for _, group := range []map[string]rule{shapeRules, activationRules, reduceRules, linearRules, normRules, imageRules, quantRules, borrowedRules} {
		for op, f := range group {
			rules[op] = f
		}
	}
}

func one(v *value) []*value { return []*value{v} }

func unaryRule(r *rewriter, n *Node) []*value {
	x := r.in(n, 0)
	out := r.unary(n.Op, x)
	if n.Op == "IsNaN" {
		b := *out
		b.typ = Bool
		out = &b
	}
	return one(out)
}

func binaryRule(r *rewriter, n *Node) []*value {
	if n.Attrs["broadcast"] != nil {
		failf("broadcasting along an attribute's axis, as before opset 7, is not supported")
	}
	return one(r.binary(n.Op, r.in(n, 0), r.in(n, 1)))
}

// same hands its input through, as Dropout does outside training.
func same(r *rewriter, n *Node) []*value { return one(r.in(n, 0)) }

func castRule(r *rewriter, n *Node) []*value {
	return one(r.cast(r.in(n, 0), Type(n.Attrs.Int("to", 0))))
}

func castLike(r *rewriter, n *Node) []*value { return one(r.cast(r.in(n, 0), r.in(n, 1).typ)) }

func whereRule(r *rewriter, n *Node) []*value {
	return one(r.where(r.in(n, 0), r.in(n, 1), r.in(n, 2)))
}

func constantRule(r *rewriter, n *Node) []*value {
	switch v := n.Attrs; {
	case v["value"] != nil:
		t, ok := v["value"].(Tensor)
		if !ok {
			failf("attribute \"value\" is a %T: a tensor is wanted", v["value"])
		}
		return one(r.constant(t))
	case v["value_int"] != nil:
		return one(r.number(Int64, float64(v.Int("value_int", 0))))
	case v["value_float"] != nil:
		return one(r.number(Float32, float64(v.Float("value_float", 0))))
	case v["value_ints"] != nil:
		return one(r.list(convertInts(v.Ints("value_ints"))...))
	}
	if v, ok := n.Attrs["value_floats"].([]float32); ok {
		return one(&value{typ: Float32, shape: []int{len(v)}, data: v})
	}
	failf("has no value that is a number or a tensor of numbers")
	return nil
}

func constantOfShape(r *rewriter, n *Node) []*value {
	shape, _ := r.ints(n, 0)
	bounded(shape)
	fill := r.number(Float32, 0)
	if t, ok := n.Attrs["value"].(Tensor); ok {
		fill = r.reshape(r.constant(t), []int{})
	}
	return one(r.expand(fill, shape))
}

func rangeRule(r *rewriter, n *Node) []*value {
	start, limit, delta := r.in(n, 0), r.in(n, 1), r.in(n, 2)
	for i, v := range []*value{start, limit, delta} {
		if v.data == nil || elements(v.shape) != 1 {
			failf("input %d depends on the network's inputs: only one that depends on their shapes is supported", i)
		}
	}
	a, b, d := toFloats(start.data)[0], toFloats(limit.data)[0], toFloats(delta.data)[0]
	if d == 0 {
		failf("step is 0")
	}
	count := int(min(max(math.Ceil((b-a)/d), 0), maxTensor))
	listed(count)
	out := make([]float64, count)
	for i := range out {
		out[i] = a + float64(i)*d
	}
	return one(&value{typ: start.typ, shape: []int{count}, data: fromFloats(start.typ, out)})
}

func clip(r *rewriter, n *Node) []*value {
	x := r.in(n, 0)
	lo, hi := r.opt(n, 1), r.opt(n, 2)
	if n.Attrs["min"] != nil {
		lo = r.number(x.typ, float64(n.Attrs.Float("min", 0)))
	}
	if n.Attrs["max"] != nil {
		hi = r.number(x.typ, float64(n.Attrs.Float("max", 0)))
	}
	if lo != nil {
		x = r.binary("Max", x, lo)
	}
	if hi != nil {
		x = r.binary("Min", x, hi)
	}
	return one(x)
}

func pow(r *rewriter, n *Node) []*value {
	x, y := r.in(n, 0), r.cast(r.in(n, 1), r.in(n, 0).typ)
	if y.data == nil || elements(y.shape) != 1 {
		return one(r.binary("Pow", x, y))
	}
	switch toFloats(y.data)[0] {
	case 1:
		return one(x)
	case 2:
		return one(r.binary("Mul", x, x))
	case 3:
		return one(r.binary("Mul", r.binary("Mul", x, x), x))
	case 0.5:
		return one(r.unary("Sqrt", x))
	case -1:
		return one(r.unary("Reciprocal", x))
	}
	return one(r.binary("Pow", x, y))
}

// mod is the remainder with the sign of the divisor, or with fmod of the dividend.
func mod(r *rewriter, n *Node) []*value {
	x, y := r.in(n, 0), r.in(n, 1)
	if n.Attrs.Int("fmod", 0) == 0 {
		if x.typ.Float() {
			failf("remainders of %v need fmod", x.typ)
		}
		return one(r.binary("Mod", x, y))
	}
	if !x.typ.Float() {
		failf("fmod of %v is not supported", x.typ)
	}
	q := r.binary("Div", x, y)
	down := r.binary("Mul", r.unary("Sign", q), r.unary("Floor", r.unary("Abs", q)))
	return one(r.binary("Sub", x, r.binary("Mul", down, y)))
}

// fold applies an operator to any number of inputs.
func fold(op string) rule {
	return func(r *rewriter, n *Node) []*value {
		out := r.in(n, 0)
		for i := 1; i < len(n.In); i++ {
			out = r.binary(op, out, r.in(n, i))
		}
		return one(out)
	}
}

func mean(r *rewriter, n *Node) []*value {
	sum := fold("Add")(r, n)[0]
	return one(r.binary("Div", sum, r.number(sum.typ, float64(len(n.In)))))
}

// ifRule takes the branch that a condition known before the run chooses.
func ifRule(r *rewriter, n *Node) []*value {
	cond := r.in(n, 0)
	if cond.data == nil || elements(cond.shape) != 1 {
		failf("the condition depends on the network's inputs: only one that depends on their shapes is supported")
	}
	name := "else_branch"
	if toFloats(cond.data)[0] != 0 {
		name = "then_branch"
	}
	g, ok := n.Attrs[name].(*Graph)
	if !ok {
		failf("has no %s", name)
	}
	for _, w := range g.Initializers {
		r.values[w.Name] = r.constant(w.Tensor)
	}
	check(r.graph(g))
	var out []*value
	for _, v := range g.Outputs {
		out = append(out, r.values[v.Name])
	}
	return out
}

// activationRules are functions of each element made of simpler ones.
var activationRules = map[string]rule{
	"Swish": activation(func(r *rewriter, n *Node, x *value) *value {
		return r.binary("Mul", x, r.unary("Sigmoid", r.scaled(x, float64(n.Attrs.Float("alpha", 1)))))
	}),
	"Gelu": activation(func(r *rewriter, n *Node, x *value) *value {
		var inner *value
		if n.Attrs.String("approximate", "none") == "tanh" {
			cube := r.binary("Mul", r.binary("Mul", x, x), x)
			inner = r.unary("Tanh", r.scaled(r.binary("Add", x, r.scaled(cube, 0.044715)), math.Sqrt(2/math.Pi)))
		} else {
			inner = r.unary("Erf", r.scaled(x, math.Sqrt(0.5)))
		}
		return r.binary("Mul", r.scaled(x, 0.5), r.shifted(inner, 1))
	}),
	"LeakyRelu": activation(func(r *rewriter, n *Node, x *value) *value {
		return r.split(x, x, r.scaled(x, float64(n.Attrs.Float("alpha", 0.01))))
	}),
	"PRelu": activation(func(r *rewriter, n *Node, x *value) *value { return r.split(x, x, r.binary("Mul", x, r.in(n, 1))) }),
	"Elu": activation(func(r *rewriter, n *Node, x *value) *value {
		return r.split(x, x, r.scaled(r.expm1(x), float64(n.Attrs.Float("alpha", 1))))
	}),
	"Selu": activation(func(r *rewriter, n *Node, x *value) *value {
		alpha, gamma := float64(n.Attrs.Float("alpha", 1.67326319217681884765625)), float64(n.Attrs.Float("gamma", 1.05070102214813232421875))
		return r.scaled(r.split(x, x, r.scaled(r.expm1(x), alpha)), gamma)
	}),
	"Softplus": activation(func(r *rewriter, _ *Node, x *value) *value { return r.softplus(x) }),
	"Mish": activation(func(r *rewriter, _ *Node, x *value) *value {
		return r.binary("Mul", x, r.unary("Tanh", r.softplus(x)))
	}),
	"Softsign": activation(func(r *rewriter, _ *Node, x *value) *value {
		return r.binary("Div", x, r.shifted(r.unary("Abs", x), 1))
	}),
	"HardSigmoid": activation(func(r *rewriter, n *Node, x *value) *value {
		return r.hardSigmoid(x, float64(n.Attrs.Float("alpha", 0.2)), float64(n.Attrs.Float("beta", 0.5)))
	}),
	"HardSwish": activation(func(r *rewriter, _ *Node, x *value) *value {
		return r.binary("Mul", x, r.hardSigmoid(x, 1.0/6, 0.5))
	}),
	"Round": activation(func(r *rewriter, _ *Node, x *value) *value { // half to even
		half := r.unary("Floor", r.shifted(x, 0.5))
		tie := r.binary("Equal", r.binary("Sub", half, x), r.number(x.typ, 0.5))
		even := r.scaled(r.unary("Floor", r.scaled(half, 0.5)), 2)
		return r.where(tie, even, half)
	}),
}

func activation(f func(r *rewriter, n *Node, x *value) *value) rule {
	return func(r *rewriter, n *Node) []*value {
		x := r.in(n, 0)
		if !x.typ.Float() {
			failf("elements are %v: numbers with fractions are wanted", x.typ)
		}
		return one(f(r, n, x))
	}
}

func (r *rewriter) scaled(x *value, by float64) *value {
	if by == 1 {
		return x
	}
	return r.binary("Mul", x, r.number(x.typ, by))
}

func (r *rewriter) shifted(x *value, by float64) *value {
	return r.binary("Add", x, r.number(x.typ, by))
}

// split is a where x is positive, else b.
func (r *rewriter) split(x, a, b *value) *value {
	return r.where(r.binary("Greater", x, r.number(x.typ, 0)), a, b)
}

// expm1 is exp(x)−1 for x below 0, which is all that is used of it.
func (r *rewriter) expm1(x *value) *value {
	return r.shifted(r.unary("Exp", r.binary("Min", x, r.number(x.typ, 0))), -1)
}

// softplus is log(1+exp(x)), without overflow.
func (r *rewriter) softplus(x *value) *value {
	small := r.unary("Exp", r.unary("Neg", r.unary("Abs", x)))
	return r.binary("Add", r.binary("Max", x, r.number(x.typ, 0)), r.unary("Log", r.shifted(small, 1)))
}

func (r *rewriter) hardSigmoid(x *value, alpha, beta float64) *value {
	y := r.shifted(r.scaled(x, alpha), beta)
	return r.binary("Min", r.binary("Max", y, r.number(x.typ, 0)), r.number(x.typ, 1))
}

// reduceRules combine elements along axes.
var reduceRules = map[string]rule{
	"ReduceSum":  reduction(func(r *rewriter, x *value, along []int) *value { return r.reduce("ReduceSum", x, along) }),
	"ReduceMean": reduction(func(r *rewriter, x *value, along []int) *value { return r.mean(x, along) }),
	"ReduceMax":  reduction(func(r *rewriter, x *value, along []int) *value { return r.reduce("ReduceMax", x, along) }),
	"ReduceMin":  reduction(func(r *rewriter, x *value, along []int) *value { return r.reduce("ReduceMin", x, along) }),
	"ReduceProd": reduction(func(r *rewriter, x *value, along []int) *value { return r.reduce("ReduceProd", x, along) }),
	"ReduceL1": reduction(func(r *rewriter, x *value, along []int) *value {
		return r.reduce("ReduceSum", r.unary("Abs", x), along)
	}),
	"ReduceL2": reduction(func(r *rewriter, x *value, along []int) *value {
		return r.unary("Sqrt", r.reduce("ReduceSum", r.binary("Mul", x, x), along))
	}),
	"ReduceSumSquare": reduction(func(r *rewriter, x *value, along []int) *value {
		return r.reduce("ReduceSum", r.binary("Mul", x, x), along)
	}),
	"ReduceLogSum": reduction(func(r *rewriter, x *value, along []int) *value {
		return r.unary("Log", r.reduce("ReduceSum", x, along))
	}),
	"ReduceLogSumExp": reduction(func(r *rewriter, x *value, along []int) *value {
		top := r.reduce("ReduceMax", x, along)
		sum := r.reduce("ReduceSum", r.unary("Exp", r.binary("Sub", x, top)), along)
		return r.binary("Add", top, r.unary("Log", sum))
	}),
}

func reduction(f func(r *rewriter, x *value, along []int) *value) rule {
	return func(r *rewriter, n *Node) []*value {
		x := r.in(n, 0)
		along, ok := r.intsOr(n, "axes", 1)
		if !ok || len(along) == 0 {
			if n.Attrs.Int("noop_with_empty_axes", 0) != 0 {
				return one(x)
			}
			along = upTo(len(x.shape))
		}
		along = axes(along, len(x.shape))
		out := f(r, x, along)
		if n.Attrs.Int("keepdims", 1) == 0 {
			out = r.reshape(out, dropAxes(out.shape, along))
		}
		return one(out)
	}
}

// dropAxes leaves axes out of a shape.
func dropAxes(shape, along []int) []int {
	out := []int{}
	for i, d := range shape {
		if !slices.Contains(along, i) {
			out = append(out, d)
		}
	}
	return out
}

// mean is the mean along axes, which keep size 1.
func (r *rewriter) mean(x *value, along []int) *value {
	n := 1
	for _, a := range along {
		n *= x.shape[a]
	}
	sum := r.reduce("ReduceSum", x, along)
	return r.binary("Div", sum, r.number(x.typ, float64(n)))
}
