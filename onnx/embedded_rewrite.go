package onnx

import (
	"errors"
	"fmt"
	"slices"
)

// maxTensor bounds the elements of one tensor, and maxList those of a list that is
// made while a model is rewritten, so that a broken file cannot ask for all memory.
const (
	maxTensor = 1 << 30
	maxList   = 1 << 24
)

// bounded wants a shape to be that of a tensor the engine can have.
func bounded(shape []int) {
	check(checkShape(shape))
	if elements(shape) > maxTensor {
		failf("makes a tensor of shape %v: the embedded engine is bound to %d elements", shape, maxTensor)
	}
}

// listed wants a number to be that of a list the engine can make.
func listed(n int) {
	if n > maxList {
		failf("makes a list of %d: the embedded engine is bound to %d", n, maxList)
	}
}

// A rewriter turns a model, for inputs of known shapes, into one of the few
// operators that the embedded engine has and is fast at. All sizes are known
// then: misfits are found here, not in the engine, and what computes sizes is
// carried out. Images are kept with their channels last.
type rewriter struct {
	opset  int
	nodes  []Node            // emitted
	inputs []ValueInfo       // of what is emitted
	values map[string]*value // of the model, by name
	done   map[string]*value // emitted operations, so that none is emitted twice
	count  int               // of names given
}

// A value is a tensor of the model.
type value struct {
	name  string // of the emitted tensor; "" for a constant that is not emitted yet
	typ   Type   // float32 where the model has half precision
	shape []int
	perm  []int  // the emitted tensor's axes: its axis i is axis perm[i] of the value; nil: in order
	data  any    // of a constant, in the order of shape
	from  *value // the value of which this one is another shape

	sum, product *pair  // operands, when it is the sum or the product of one like it and a smaller one
	sigmoidOf    *value // operand, when it is a sigmoid

	fake  *faked   // when it is quantized and dequantized
	codes *encoded // of a constant that is dequantized
}

// A pair is a tensor and one that is broadcast to it.
type pair struct{ x, y *value }

// A failure is an error within a rule; rewriteNode recovers it.
type failure struct{ error }

func failf(format string, args ...any) { panic(failure{fmt.Errorf(format, args...)}) }

func check(err error) {
	if err != nil {
		panic(failure{err})
	}
}

// rewrite gives the model to run for inputs of these shapes.
func (m *Model) rewrite(shapes map[string][]int) (*Model, error) {
	opset := m.Opset
	if opset == 0 {
		opset = defaultOpset
	}
	r := &rewriter{opset: opset, values: map[string]*value{}, done: map[string]*value{}}
	g := &m.Graph
	for _, w := range g.Initializers {
		r.values[w.Name] = r.constant(w.Tensor)
	}
	for _, v := range g.Inputs {
		if r.values[v.Name] != nil { // a weight
			continue
		}
		shape, typ := shapes[v.Name], wide(v.Type)
		in := &value{name: "in:" + v.Name, typ: typ, shape: shape}
		r.inputs = append(r.inputs, ValueInfo{Name: in.name, Type: typ, Shape: shape})
		r.values[v.Name] = in
	}
	if err := r.graph(g); err != nil {
		return nil, err
	}
	out := &Model{IR: 8, Opset: 17, Graph: Graph{Name: "rewritten", Inputs: r.inputs}}
	for _, v := range g.Outputs {
		if r.values[v.Name].onlyCodes() {
			return nil, fmt.Errorf("output %q: the embedded engine can only dequantize codes", v.Name)
		}
		x := r.plain(r.values[v.Name])
		r.nodes = append(r.nodes, Node{
			Op: "Identity", In: []string{r.ref(x)}, Out: []string{"out:" + v.Name}, Attrs: Attrs{"type": x.typ, "shape": x.shape},
		})
		out.Graph.Outputs = append(out.Graph.Outputs, ValueInfo{Name: "out:" + v.Name, Type: x.typ, Shape: x.shape})
	}
	out.Graph.Nodes = live(r.nodes, out.Graph.Outputs)
	return out, nil
}

// graph rewrites the nodes of a graph.
func (r *rewriter) graph(g *Graph) error {
	for i := range g.Nodes {
		n := &g.Nodes[i]
		if err := r.node(n); err != nil {
			return fmt.Errorf("%s: %w", n.describe(i), err)
		}
	}
	return nil
}

// node applies the rule of a node's operator.
func (r *rewriter) node(n *Node) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case failure:
			err = p.error
		default: // a fault of the rule, which must not end the process
			err = fmt.Errorf("cannot be prepared for the embedded engine: %v", p)
		}
	}()
	rule := rules[n.Op]
	if rule == nil || !standard(n.Domain) {
		return unsupported(n)
	}
	for _, name := range n.In {
		if v := r.values[name]; name != "" && v != nil && v.typ == String {
			return errors.New("text is not supported by the embedded engine")
		}
		if v := r.values[name]; name != "" && v.onlyCodes() && n.Op != "DequantizeLinear" {
			return fmt.Errorf("takes the codes %q: the embedded engine can only dequantize them", name)
		}
	}
	out := rule(r, n)
	for i, name := range n.Out {
		if name == "" {
			continue
		}
		if i >= len(out) || out[i] == nil {
			return fmt.Errorf("output %d is not supported by the embedded engine", i)
		}
		r.values[name] = out[i]
	}
	return nil
}

// live leaves out the nodes on which no output depends.
func live(nodes []Node, outputs []ValueInfo) []Node {
	used := map[string]bool{}
	for _, v := range outputs {
		used[v.Name] = true
	}
	var kept []Node
	for _, n := range slices.Backward(nodes) {
		if !slices.ContainsFunc(n.Out, func(name string) bool { return used[name] }) {
			continue
		}
		for _, name := range n.In {
			used[name] = true
		}
		kept = append(kept, n)
	}
	slices.Reverse(kept)
	return kept
}

// in is the i-th input of a node, which must be there.
func (r *rewriter) in(n *Node, i int) *value {
	v := r.opt(n, i)
	if v == nil {
		failf("input %d is missing", i)
	}
	return v
}

// opt is the i-th input of a node, nil if it is left out.
func (r *rewriter) opt(n *Node, i int) *value {
	if i >= len(n.In) || n.In[i] == "" {
		return nil
	}
	v := r.values[n.In[i]]
	if v == nil {
		failf("input %d, %q, is not known", i, n.In[i])
	}
	return v
}

// ints is a constant input that gives sizes or axes; ok is false if it is left out.
func (r *rewriter) ints(n *Node, i int) (v []int, ok bool) {
	x := r.opt(n, i)
	if x == nil {
		return nil, false
	}
	if x.data == nil {
		failf("input %d, %q, depends on the network's inputs: only one that depends on their shapes is supported", i, n.In[i])
	}
	d := toInts(x.data)
	if d == nil {
		failf("input %d, %q, is %v: whole numbers are wanted", i, n.In[i], x.typ)
	}
	v = make([]int, len(d))
	for j, e := range d {
		v[j] = int(e)
	}
	return v, true
}

// intsOr is an attribute that newer operator sets have as an input.
func (r *rewriter) intsOr(n *Node, attr string, i int) ([]int, bool) {
	if v, ok := r.ints(n, i); ok {
		return v, true
	}
	v := n.Attrs.Ints(attr)
	if v == nil {
		return nil, false
	}
	return convertInts(v), true
}

func convertInts(v []int64) []int {
	out := make([]int, len(v))
	for i, x := range v {
		out[i] = int(x)
	}
	return out
}

// constant is a value known before the run.
func (r *rewriter) constant(t Tensor) *value {
	return &value{typ: wide(t.Type()), shape: t.Shape, data: widened(t.Data)}
}

// number is a constant scalar of a type.
func (r *rewriter) number(t Type, x float64) *value {
	return &value{typ: t, shape: []int{}, data: fromFloats(t, []float64{x})}
}

// list is a constant of one axis.
func (r *rewriter) list(v ...int) *value {
	d := make([]int64, len(v))
	for i, x := range v {
		d[i] = int64(x)
	}
	return &value{typ: Int64, shape: []int{len(v)}, data: d}
}

// unique makes a name.
func (r *rewriter) unique() string {
	r.count++
	return fmt.Sprint("v", r.count)
}

// ref names the emitted tensor of a value whose axes are in order.
func (r *rewriter) ref(v *value) string {
	if v.name == "" {
		v.name = r.unique()
		r.nodes = append(r.nodes, Node{Op: "Constant", Out: []string{v.name}, Attrs: Attrs{"value": Tensor{v.shape, v.data}}})
	}
	return v.name
}

// emit adds a node with one output; in are values whose axes are in order, nil
// for inputs left out.
func (r *rewriter) emit(op string, attrs Attrs, typ Type, shape []int, in ...*value) *value {
	bounded(shape)
	n := Node{Op: op, Attrs: Attrs{"type": typ, "shape": shape}}
	for k, v := range attrs {
		n.Attrs[k] = v
	}
	for _, v := range in {
		name := ""
		if v != nil {
			name = r.ref(v)
		}
		n.In = append(n.In, name)
	}
	key := fmt.Sprint(op, n.In, attrs, typ, shape)
	if v := r.done[key]; v != nil {
		return v
	}
	v := &value{name: r.unique(), typ: typ, shape: shape}
	n.Out = []string{v.name}
	r.nodes = append(r.nodes, n)
	r.done[key] = v
	return v
}

// emitted is the emitted tensor of v as a value of its own.
func (v *value) emitted() *value {
	if v.perm == nil {
		return v
	}
	return &value{name: v.name, typ: v.typ, shape: permuted(v.shape, v.perm)}
}

// logical sees the axes of an emitted tensor as in order of perm.
func (v *value) logical(perm []int) *value {
	if perm == nil || slices.IsSorted(perm) {
		return v
	}
	return &value{name: v.name, typ: v.typ, shape: permuted(v.shape, inverse(perm)), perm: perm}
}

// arranged is a tensor with the axes of v in the order of perm.
func (r *rewriter) arranged(v *value, perm []int) *value {
	if perm == nil {
		perm = upTo(len(v.shape))
	}
	if v.data != nil {
		if slices.IsSorted(perm) {
			return v
		}
		shape := permuted(v.shape, perm)
		at := walk(shape, permuted(strides(v.shape), perm), 0)
		return &value{typ: v.typ, shape: shape, data: take(v.data, elements(shape), at)}
	}
	have := v.perm
	if have == nil {
		have = upTo(len(v.shape))
	}
	if slices.Equal(have, perm) {
		return v.emitted()
	}
	move := permuted(inverse(have), perm)
	p := v.emitted()
	return r.emit("Transpose", Attrs{"perm": move}, v.typ, permuted(p.shape, move), p)
}

// plain is v with its axes in order in memory.
func (r *rewriter) plain(v *value) *value { return r.arranged(v, nil) }

// channelsLast is the order of axes in which images are kept.
func channelsLast(rank int) []int {
	perm := make([]int, 0, rank)
	perm = append(perm, 0)
	for i := 2; i < rank; i++ {
		perm = append(perm, i)
	}
	return append(perm, 1)
}

// image is v kept with its channels last.
func (r *rewriter) image(v *value) *value {
	if v.data != nil || len(v.shape) < 3 {
		return v
	}
	last := channelsLast(len(v.shape))
	if slices.Equal(v.perm, last) {
		return v
	}
	return r.arranged(v, last).logical(last)
}

func upTo(n int) []int {
	v := make([]int, n)
	for i := range v {
		v[i] = i
	}
	return v
}

// axis makes an axis counted from the end one counted from the front.
func axis(a, rank int) int {
	if a < -rank || a >= rank {
		failf("axis %d of a tensor with %d axes", a, rank)
	}
	if a < 0 {
		a += rank
	}
	return a
}

func axes(as []int, rank int) []int {
	out := make([]int, len(as))
	for i, a := range as {
		if out[i] = axis(a, rank); slices.Contains(out[:i], out[i]) {
			failf("axes %v: %d twice", as, a)
		}
	}
	return out
}

// unsupported says what could be done instead.
func unsupported(n *Node) error {
	names := make([]string, 0, len(rules))
	for op := range rules {
		names = append(names, op)
	}
	slices.Sort(names)
	return fmt.Errorf("operator is not supported by the embedded engine, which has %v; ONNX Runtime may have it", names)
}
