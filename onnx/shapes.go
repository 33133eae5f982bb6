package onnx

import (
	"fmt"
	"math"
	"slices"
)

// inference finds operands whose shapes cannot go together, before an engine
// meets them in the middle of a run. It knows the operators of which diffusion
// networks are built; of others, and of sizes only known when a network runs,
// it claims nothing.
type inference struct {
	shapes map[string]dims
	consts map[string]Tensor
	sizes  map[string]dims // values made by Shape, −1 where a size is not known
}

// dims is a shape; −1: a size not known, nil: a rank not known.
type dims []int

// checkShapes infers shapes through the graph and reports the first misfit.
func (m *Model) checkShapes() error {
	if m.Opset != 0 && m.Opset < 7 {
		return nil // other rules of broadcasting
	}
	g := &m.Graph
	in := inference{map[string]dims{}, map[string]Tensor{}, map[string]dims{}}
	for _, v := range g.Inputs {
		if v.Shape != nil {
			in.shapes[v.Name] = v.Shape
		}
	}
	for _, w := range g.Initializers {
		in.shapes[w.Name], in.consts[w.Name] = append(dims{}, w.Shape...), w.Tensor
	}
	order, err := g.order()
	if err != nil {
		return err
	}
	for _, i := range order {
		n := &g.Nodes[i]
		if !standard(n.Domain) || len(n.Out) == 0 {
			continue
		}
		out, err := in.node(n)
		if err != nil {
			return fmt.Errorf("%s: %w", n.describe(i), err)
		}
		if out != nil {
			in.shapes[n.Out[0]] = out
		}
	}
	return nil
}

// arg is the shape of a node's operand, nil when it is absent or not known.
func (in *inference) arg(n *Node, i int) dims {
	if i >= len(n.In) {
		return nil
	}
	return in.shapes[n.In[i]]
}

// ints is a constant operand of integers.
func (in *inference) ints(n *Node, i int) ([]int64, bool) {
	if i >= len(n.In) {
		return nil, false
	}
	v, ok := in.consts[n.In[i]].Data.([]int64)
	return v, ok
}

// node gives the shape of a node's first output.
func (in *inference) node(n *Node) (dims, error) {
	x := in.arg(n, 0)
	switch n.Op {
	case "Constant":
		if t, ok := n.Attrs["value"].(Tensor); ok {
			in.consts[n.Out[0]] = t
			return append(dims{}, t.Shape...), nil
		}
	case "Shape":
		if x != nil && n.Attrs["start"] == nil && n.Attrs["end"] == nil {
			in.sizes[n.Out[0]] = x
		}
		return nil, nil
	case "Cast", "Identity", "Relu", "Sigmoid", "Tanh", "Sin", "Cos", "Exp", "Log", "Sqrt", "Abs", "Neg", "Erf", "Gelu",
		"Softmax", "LogSoftmax", "Clip", "LeakyRelu", "Elu", "Selu", "Softplus", "Softsign", "HardSigmoid", "HardSwish",
		"Mish", "Floor", "Ceil", "Round", "Reciprocal", "Not", "Sign", "Dropout", "LayerNormalization":
		return x, nil
	case "Add", "Sub", "Mul", "Div", "Pow", "PRelu", "Where", "Min", "Max", "Equal", "Less", "Greater", "LessOrEqual",
		"GreaterOrEqual", "And", "Or":
		return in.broadcast(n)
	case "Conv", "ConvTranspose":
		return in.conv(n)
	case "Gemm":
		return in.gemm(n)
	case "MatMul":
		return matMulDims(x, in.arg(n, 1))
	case "InstanceNormalization", "BatchNormalization":
		return x, in.channels(n)
	case "GroupNormalization":
		if g := int(n.Attrs.Int("num_groups", 1)); len(x) > 1 && x[1] >= 0 && (g < 1 || x[1]%g != 0) {
			return nil, fmt.Errorf("%d groups of %d channels", g, x[1])
		}
		return x, nil
	case "Concat":
		return in.concat(n)
	case "Reshape":
		return in.reshape(n)
	case "Transpose":
		return transposeDims(x, n.Attrs.Ints("perm"))
	case "Unsqueeze":
		return in.unsqueeze(n)
	case "Resize", "Upsample":
		return in.resize(n)
	case "GlobalAveragePool", "AveragePool", "MaxPool":
		return pooledDims(x, n.Op), nil
	}
	return nil, nil
}

// broadcast is the shape of an elementwise operation.
func (in *inference) broadcast(n *Node) (dims, error) {
	out := dims{}
	for i := range n.In {
		x := in.arg(n, i)
		if x == nil {
			return nil, nil
		}
		next, ok := broadcastDims(out, x)
		if !ok {
			return nil, fmt.Errorf("operands of shapes %v and %v do not go together", out, x)
		}
		out = next
	}
	return out, nil
}

func broadcastDims(a, b dims) (dims, bool) {
	if len(a) < len(b) {
		a, b = b, a
	}
	out := slices.Clone(a)
	for i, y := range b {
		k := len(a) - len(b) + i
		switch x := a[k]; {
		case x == y, y == 1:
		case x == 1:
			out[k] = y
		case x < 0:
			out[k] = y
		case y < 0:
		default:
			return nil, false
		}
	}
	return out, true
}

// conv is the shape of a convolution, or of a transposed one.
func (in *inference) conv(n *Node) (dims, error) {
	x, w, b := in.arg(n, 0), in.arg(n, 1), in.arg(n, 2)
	if x == nil || w == nil {
		return nil, nil
	}
	if len(w) < 3 || len(x) != len(w) {
		return nil, fmt.Errorf("weight %q has shape %v, input %q has %v: must be of one rank, at least 3", n.In[1], w, n.In[0], x)
	}
	group := int(n.Attrs.Int("group", 1))
	if group < 1 || w[0] >= 0 && w[0]%group != 0 {
		return nil, fmt.Errorf("%d groups of %d filters", group, w[0])
	}
	given, made := w[1], w[0] // channels of the input in each group, channels of the output
	if n.Op == "ConvTranspose" {
		given, made = w[0]/group, w[1]*group
	}
	if x[1] >= 0 && given >= 0 && x[1] != given*group {
		return nil, fmt.Errorf("weight %q has %d channels, input %q has %d", n.In[1], given*group, n.In[0], x[1])
	}
	if len(b) == 1 && b[0] >= 0 && made >= 0 && b[0] != made {
		return nil, fmt.Errorf("bias %q has %d numbers for %d channels", n.In[2], b[0], made)
	}
	kernel := n.Attrs.Ints("kernel_shape")
	for i, k := range kernel {
		if len(kernel) != len(w)-2 || w[i+2] >= 0 && int(k) != w[i+2] {
			return nil, fmt.Errorf("kernel_shape is %v, weight %q has shape %v", kernel, n.In[1], w)
		}
	}
	out := dims{x[0], made}
	for i := range len(w) - 2 {
		d, err := convSize(n, x[i+2], w[i+2], i, len(w)-2)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}

// convSize is the size of a convolution along one of its axes, −1 when it is not known.
func convSize(n *Node, size, kernel, axis, axes int) (int, error) {
	pads, strides, dilations := n.Attrs.Ints("pads"), n.Attrs.Ints("strides"), n.Attrs.Ints("dilations")
	for name, v := range map[string][]int64{"pads": pads, "strides": strides, "dilations": dilations} {
		want := axes
		if name == "pads" {
			want *= 2
		}
		if v != nil && len(v) != want {
			return 0, fmt.Errorf("%s has %d numbers: %d are needed", name, len(v), want)
		}
	}
	at := func(v []int64, i int, def int64) int {
		if v == nil {
			return int(def)
		}
		return int(v[i])
	}
	pad := at(pads, axis, 0) + at(pads, min(axis+axes, max(len(pads)-1, 0)), 0)
	stride, dilation := at(strides, axis, 1), at(dilations, axis, 1)
	if stride < 1 || dilation < 1 {
		return 0, fmt.Errorf("stride %d, dilation %d: must be positive", stride, dilation)
	}
	auto := n.Attrs.String("auto_pad", "NOTSET")
	if size < 0 || kernel < 0 || n.Op != "Conv" || auto != "NOTSET" && auto != "" {
		return -1, nil
	}
	span := size + pad - dilation*(kernel-1) - 1
	if span < 0 {
		return 0, fmt.Errorf("a kernel of %d does not fit into %d values with %d of padding", kernel, size, pad)
	}
	return span/stride + 1, nil
}

// channels checks the lengths of a normalisation's operands.
func (in *inference) channels(n *Node) error {
	x := in.arg(n, 0)
	for i := 1; i < len(n.In) && len(x) > 1 && x[1] >= 0; i++ {
		if p := in.arg(n, i); len(p) == 1 && p[0] >= 0 && p[0] != x[1] {
			return fmt.Errorf("operand %q has %d numbers, input %q has %d channels", n.In[i], p[0], n.In[0], x[1])
		}
	}
	return nil
}

// gemm is the shape of a matrix product with optional transposition.
func (in *inference) gemm(n *Node) (dims, error) {
	a, b := in.arg(n, 0), in.arg(n, 1)
	if len(a) != 2 || len(b) != 2 {
		return nil, nil
	}
	if n.Attrs.Int("transA", 0) != 0 {
		a = dims{a[1], a[0]}
	}
	if n.Attrs.Int("transB", 0) != 0 {
		b = dims{b[1], b[0]}
	}
	if a[1] >= 0 && b[0] >= 0 && a[1] != b[0] {
		return nil, fmt.Errorf("weight %q takes %d numbers, input %q has %d", n.In[1], b[0], n.In[0], a[1])
	}
	return dims{a[0], b[1]}, nil
}

// matMulDims is the shape of a product of stacks of matrices.
func matMulDims(a, b dims) (dims, error) {
	if len(a) < 2 || len(b) < 2 {
		return nil, nil
	}
	k, l := a[len(a)-1], b[len(b)-2]
	if k >= 0 && l >= 0 && k != l {
		return nil, fmt.Errorf("a product of shapes %v and %v: %d columns for %d rows", a, b, k, l)
	}
	out, ok := broadcastDims(a[:len(a)-2], b[:len(b)-2])
	if !ok {
		return nil, fmt.Errorf("a product of shapes %v and %v: the stacks do not go together", a, b)
	}
	return append(out, a[len(a)-2], b[len(b)-1]), nil
}

// concat is the shape of operands laid end to end.
func (in *inference) concat(n *Node) (dims, error) {
	axis := int(n.Attrs.Int("axis", 1))
	var out dims
	for i := range n.In {
		x := in.arg(n, i)
		if x == nil {
			return nil, nil
		}
		if i == 0 {
			if out = slices.Clone(x); axis < 0 {
				axis += len(x)
			}
			if axis < 0 || axis >= len(x) {
				return nil, fmt.Errorf("axis %d of shape %v", n.Attrs.Int("axis", 1), x)
			}
			continue
		}
		if len(x) != len(out) {
			return nil, fmt.Errorf("shapes %v and %v differ in rank", out, x)
		}
		for k, d := range x {
			switch {
			case k == axis && (d < 0 || out[k] < 0):
				out[k] = -1
			case k == axis:
				out[k] += d
			case out[k] < 0:
				out[k] = d
			case d >= 0 && d != out[k]:
				return nil, fmt.Errorf("operand %q has shape %v, the ones before make %v: they differ in axis %d", n.In[i], x, out, k)
			}
		}
	}
	return out, nil
}

// reshape is a shape that a constant says, or that of another value.
func (in *inference) reshape(n *Node) (dims, error) {
	if len(n.In) > 1 && in.sizes[n.In[1]] != nil {
		return in.sizes[n.In[1]], nil
	}
	want, ok := in.ints(n, 1)
	if !ok {
		return nil, nil
	}
	x := in.arg(n, 0)
	out, open := make(dims, len(want)), -1
	for i, d := range want {
		switch {
		case d == 0 && n.Attrs.Int("allowzero", 0) == 0:
			if out[i] = -1; i < len(x) {
				out[i] = x[i]
			}
		case d == -1:
			out[i], open = -1, i
		default:
			out[i] = int(d)
		}
	}
	total, part := countDims(x), countDims(slices.DeleteFunc(slices.Clone(out), func(d int) bool { return open >= 0 && d < 0 }))
	if total < 0 || part < 0 || slices.ContainsFunc(without(out, open), func(d int) bool { return d < 0 }) {
		return out, nil
	}
	if open < 0 && part != total || open >= 0 && (part == 0 || total%part != 0) {
		return nil, fmt.Errorf("shape %v cannot become %v", x, want)
	}
	if open >= 0 {
		out[open] = total / part
	}
	return out, nil
}

func without(x dims, i int) dims {
	if i < 0 {
		return x
	}
	return slices.Delete(slices.Clone(x), i, i+1)
}

// countDims is the number of elements, −1 when it is not known or absurd.
func countDims(x dims) int {
	if x == nil {
		return -1
	}
	n := 1
	for _, d := range x {
		if d < 0 || d > 0 && n > math.MaxInt32/d {
			return -1
		}
		n *= d
	}
	return n
}

func transposeDims(x dims, perm []int64) (dims, error) {
	if x == nil {
		return nil, nil
	}
	out := slices.Clone(x)
	if perm == nil {
		slices.Reverse(out)
		return out, nil
	}
	if len(perm) != len(x) {
		return nil, fmt.Errorf("perm %v of shape %v", perm, x)
	}
	for i, p := range perm {
		if p < 0 || int(p) >= len(x) {
			return nil, fmt.Errorf("perm %v of shape %v", perm, x)
		}
		out[i] = x[p]
	}
	return out, nil
}

// unsqueeze adds axes of size 1.
func (in *inference) unsqueeze(n *Node) (dims, error) {
	x := in.arg(n, 0)
	axes := n.Attrs.Ints("axes")
	if len(n.In) > 1 {
		axes, _ = in.ints(n, 1)
	}
	if x == nil || axes == nil {
		return nil, nil
	}
	rank := len(x) + len(axes)
	added := make([]bool, rank)
	for _, a := range axes {
		if a < 0 {
			a += int64(rank)
		}
		if a < 0 || int(a) >= rank || added[a] {
			return nil, fmt.Errorf("axes %v of shape %v", axes, x)
		}
		added[a] = true
	}
	out := make(dims, rank)
	for i := range out {
		if out[i] = 1; !added[i] {
			out[i], x = x[0], x[1:]
		}
	}
	return out, nil
}

// resize keeps the axes whose constant scale is 1 and forgets the others.
func (in *inference) resize(n *Node) (dims, error) {
	x, at := in.arg(n, 0), 2
	if n.Op == "Upsample" {
		at = 1
	}
	if x == nil || at >= len(n.In) {
		return nil, nil
	}
	scales, ok := in.consts[n.In[at]].Data.([]float32)
	if !ok || len(scales) == 0 || n.Attrs["axes"] != nil {
		return nil, nil
	}
	if len(scales) != len(x) {
		return nil, fmt.Errorf("%d scales for shape %v", len(scales), x)
	}
	out := slices.Clone(x)
	for i, s := range scales {
		if !(s > 0) {
			return nil, fmt.Errorf("scale %g of axis %d: must be positive", s, i)
		}
		if s != 1 && x[i] >= 0 {
			out[i] = int(math.Floor(float64(x[i]) * float64(s)))
		}
	}
	return out, nil
}

// pooledDims keeps the first two axes.
func pooledDims(x dims, op string) dims {
	if len(x) < 2 {
		return nil
	}
	out := slices.Clone(x)
	for i := 2; i < len(out); i++ {
		if out[i] = -1; op == "GlobalAveragePool" {
			out[i] = 1
		}
	}
	return out
}
