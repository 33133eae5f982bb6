package onnx

import (
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"sync"
)

// A plan runs a rewritten model. What works on float32 or truth values, which is
// nearly all of a network, is done by loops of this package over plain slices;
// the rest, in stretches as long as possible, by programs of onnx-gomlx.
type plan struct {
	inputs  []operand
	names   []string // of the inputs
	outputs []operand
	infos   []ValueInfo // of the outputs
	steps   []step
	slots   []int // sizes of the buffers of a run
	threads int
	frames  sync.Pool
}

// A step does its work on the buffers of a run.
type step func(f *frame) error

// A frame holds the buffers of a run.
type frame struct {
	plan  *plan
	slots [][]float32
	other []any // data of other types than float32
}

// An operand is a tensor of a plan: a constant, or a buffer of the frame. Truth
// values are 0 and 1.
type operand struct {
	typ   Type
	shape []int
	data  any // of a constant
	slot  int // −1: in other
	index int // in other
}

func (o operand) len() int { return elements(o.shape) }

// in gives the numbers of an operand.
func (f *frame) in(o operand) []float32 {
	if o.data != nil {
		return o.data.([]float32)
	}
	return f.slots[o.slot][:o.len()]
}

// any gives the data of an operand of any type.
func (f *frame) any(o operand) any {
	switch {
	case o.data != nil && o.typ == Bool:
		return fromFloats(Bool, convert[float64](o.data.([]float32)))
	case o.data != nil:
		return o.data
	case o.slot < 0:
		return f.other[o.index]
	case o.typ == Bool:
		return fromFloats(Bool, convert[float64](f.in(o)))
	}
	return f.in(o)
}

// planner makes a plan of the nodes of a rewritten model.
type planner struct {
	plan    *plan
	values  map[string]operand
	types   map[string]Type
	uses    map[string]int    // how often a value is still to be read
	root    map[string]string // of a reshaped value: the value whose buffer it shares
	free    []int             // slots that are not in use
	open    []*group          // elementwise operators not yet placed
	foreign []Node            // nodes for onnx-gomlx, not yet placed
	made    map[string]bool   // what these give
}

// newPlan plans a model as rewrite gives it.
func newPlan(m *Model, threads int) (*plan, error) {
	if threads == 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	p := &planner{
		plan:   &plan{threads: threads},
		values: map[string]operand{}, types: map[string]Type{}, uses: map[string]int{}, root: map[string]string{}, made: map[string]bool{},
	}
	g := &m.Graph
	nodes := joinConvolutions(g.Nodes)
	for _, n := range nodes {
		for _, name := range n.In {
			p.uses[name]++
		}
	}
	for _, v := range g.Outputs {
		p.uses[v.Name]++
	}
	for _, v := range g.Inputs {
		p.input(v)
	}
	for _, n := range nodes {
		if err := p.node(n); err != nil {
			return nil, err
		}
	}
	if err := p.flush(); err != nil {
		return nil, err
	}
	for _, v := range g.Outputs {
		o := p.values[v.Name]
		p.plan.outputs = append(p.plan.outputs, o)
		p.plan.infos = append(p.plan.infos, ValueInfo{Name: v.Name, Type: o.typ, Shape: o.shape})
	}
	p.plan.frames.New = func() any {
		f := &frame{plan: p.plan, slots: make([][]float32, len(p.plan.slots)), other: make([]any, p.others())}
		for i, n := range p.plan.slots {
			f.slots[i] = make([]float32, n)
		}
		return f
	}
	return p.plan, nil
}

// input makes the operand of an input, whose buffer is the caller's and never reused.
func (p *planner) input(v ValueInfo) {
	o := operand{typ: v.Type, shape: v.Shape, slot: -1, index: p.others()}
	if native(v.Type) {
		o.slot = len(p.plan.slots)
		p.plan.slots = append(p.plan.slots, 0)
	}
	p.values[v.Name], p.types[v.Name] = o, v.Type
	p.plan.inputs, p.plan.names = append(p.plan.inputs, o), append(p.plan.names, v.Name)
	p.uses[v.Name]++
}

// others is the number of values of other types.
func (p *planner) others() int {
	n := 0
	for _, o := range p.values {
		if o.data == nil && o.slot < 0 {
			n = max(n, o.index+1)
		}
	}
	return n
}

// run evaluates the model.
func (p *plan) run(in map[string]Tensor) (out map[string]Tensor, err error) {
	defer recovered("running the network", &err)
	f := p.frames.Get().(*frame)
	for i, o := range p.inputs {
		t := in[p.names[i][len("in:"):]]
		if o.slot < 0 {
			f.other[o.index] = t.Data
		} else {
			f.slots[o.slot] = asFloats(t.Data)
		}
	}
	for _, s := range p.steps {
		if err := s(f); err != nil {
			return nil, err
		}
	}
	out = make(map[string]Tensor, len(p.outputs))
	for i, o := range p.outputs {
		v := p.infos[i]
		data := f.any(o)
		out[v.Name] = Tensor{Shape: slices.Clone(v.Shape), Data: clone(data)}
	}
	for _, o := range p.inputs { // let go of what is the caller's
		if o.slot >= 0 {
			f.slots[o.slot] = nil
		}
	}
	clear(f.other)
	p.frames.Put(f)
	return out, nil
}

// clone copies a slice of any type.
func clone(data any) any {
	if d, ok := data.([]float32); ok {
		return slices.Clone(d)
	}
	return reflect.AppendSlice(reflect.Zero(reflect.TypeOf(data)), reflect.ValueOf(data)).Interface()
}

// asFloats gives float32 data as they are, and truth values as numbers.
func asFloats(data any) []float32 {
	if d, ok := data.([]float32); ok {
		return d
	}
	return convert[float32](toInts(data))
}

// native reports whether a type is kept as float32.
func native(t Type) bool { return t == Float32 || t == Bool }

// give makes the operand of a node's output, in the smallest buffer that is free
// and large enough.
func (p *planner) give(name string, t Type, shape []int) operand {
	o := operand{typ: t, shape: shape, slot: -1}
	if !native(t) {
		o.index = p.others()
		p.values[name] = o
		return o
	}
	n := elements(shape)
	best := -1
	for i, s := range p.free {
		if p.plan.slots[s] >= n && (best < 0 || p.plan.slots[s] < p.plan.slots[p.free[best]]) {
			best = i
		}
	}
	if best >= 0 {
		o.slot = p.free[best]
		p.free = slices.Delete(p.free, best, best+1)
	} else {
		o.slot = len(p.plan.slots)
		p.plan.slots = append(p.plan.slots, n)
	}
	p.values[name] = o
	return o
}

// done counts the inputs of a node as read, and frees the buffers of those that
// nothing else reads.
func (p *planner) done(names ...string) {
	for _, name := range names {
		if name == "" {
			continue
		}
		if p.uses[name]--; p.uses[name] > 0 {
			continue
		}
		if up, ok := p.root[name]; ok {
			p.done(up)
			continue
		}
		if o, ok := p.values[name]; ok && o.data == nil && o.slot >= 0 {
			p.free = append(p.free, o.slot)
		}
	}
}

func (p *planner) add(s step) { p.plan.steps = append(p.plan.steps, s) }

// node plans a node.
func (p *planner) node(n Node) error {
	if n.Op == "Constant" {
		t := n.Attrs["value"].(Tensor)
		o := operand{typ: t.Type(), shape: t.Shape, data: t.Data, slot: -1}
		if o.typ == Bool {
			o.data = asFloats(t.Data)
		}
		p.values[n.Out[0]], p.types[n.Out[0]] = o, o.typ
		return nil
	}
	if t, ok := n.Attrs["type"].(Type); ok {
		p.types[n.Out[0]] = t
	}
	plan := nativeOps[n.Op]
	if loops[n.Op] != nil {
		plan = planLoop
	}
	if plan == nil || !p.isNative(&n) {
		return p.foreignNode(n)
	}
	if err := p.flushForeign(n.In); err != nil {
		return err
	}
	if loops[n.Op] == nil {
		p.flushGroups(n.In)
	}
	return plan(p, n)
}

// isNative reports whether a node's tensors are all kept as float32; those that
// give sizes, places and axes are constants of the plan.
func (p *planner) isNative(n *Node) bool {
	if !native(p.types[n.Out[0]]) {
		return false
	}
	for i, name := range n.In {
		o := p.values[name]
		if !native(p.types[name]) && !(i > 0 && o.data != nil && o.typ == Int64 && sized[n.Op]) {
			return false
		}
	}
	return true
}

// sized are the operators whose inputs after the first are sizes, places or axes.
var sized = map[string]bool{"Reshape": true, "Expand": true, "Slice": true, "Pad": true, "Gather": true}

// flush places everything that is not yet placed.
func (p *planner) flush() error {
	p.flushGroups(nil)
	return p.flushForeign(nil)
}

// flushGroups places the elementwise operators that give one of these values; nil: all.
func (p *planner) flushGroups(names []string) {
	for {
		i := slices.IndexFunc(p.open, func(g *group) bool { return names == nil || slices.ContainsFunc(names, g.has) })
		if i < 0 {
			return
		}
		g := p.open[i]
		p.open = slices.Delete(p.open, i, i+1)
		p.place(g)
	}
}

// joinConvolutions makes one node of a convolution and the transposes around it
// that keep images with their channels last.
func joinConvolutions(nodes []Node) []Node {
	by := map[string]*Node{}
	uses := map[string]int{}
	for i := range nodes {
		for _, name := range nodes[i].Out {
			by[name] = &nodes[i]
		}
		for _, name := range nodes[i].In {
			uses[name]++
		}
	}
	out := make([]Node, 0, len(nodes))
	for _, n := range nodes {
		if n.Op == "Transpose" && n.Attrs["type"] == Float32 {
			conv := by[n.In[0]]
			if conv != nil && conv.Op == "Conv" && uses[n.In[0]] == 1 {
				before := by[conv.In[0]]
				last := channelsLast(len(n.Attrs.Ints("perm")))
				if before != nil && before.Op == "Transpose" && slices.Equal(convertInts(n.Attrs.Ints("perm")), last) &&
					slices.Equal(convertInts(before.Attrs.Ints("perm")), inverse(last)) {
					joined := *conv
					joined.Op, joined.In, joined.Out = "ConvLast", []string{before.In[0], conv.In[1]}, n.Out
					joined.Attrs = Attrs{}
					for k, v := range conv.Attrs {
						joined.Attrs[k] = v
					}
					joined.Attrs["type"], joined.Attrs["shape"] = n.Attrs["type"], n.Attrs["shape"]
					out = append(out, joined)
					continue
				}
			}
		}
		out = append(out, n)
	}
	return live(out, lastOutputs(nodes))
}

// lastOutputs are what the Identity nodes at the end give.
func lastOutputs(nodes []Node) []ValueInfo {
	var out []ValueInfo
	for _, n := range nodes {
		for _, name := range n.Out {
			if len(name) > 4 && name[:4] == "out:" {
				out = append(out, ValueInfo{Name: name})
			}
		}
	}
	return out
}

// parallel calls f for parts of 0..n, each of at least grain, on the plan's threads.
func (p *plan) parallel(n, grain int, f func(lo, hi int)) {
	parts := min(p.threads, max(n/max(grain, 1), 1))
	if parts <= 1 {
		f(0, n)
		return
	}
	var wg sync.WaitGroup
	failures := make([]any, parts)
	for i := range parts {
		wg.Go(func() {
			defer func() { failures[i] = recover() }()
			f(i*n/parts, (i+1)*n/parts)
		})
	}
	wg.Wait()
	for _, e := range failures {
		if e != nil {
			panic(fmt.Sprint(e)) // on the caller's goroutine, which recovers it
		}
	}
}

// scratch keeps the arrays that steps need for a moment; their content is arbitrary.
var scratch = sync.Pool{New: func() any { return new([]float32) }}

// lend gives an array of n numbers, to be put back into scratch.
func lend(n int) *[]float32 {
	s := scratch.Get().(*[]float32)
	if cap(*s) < n {
		*s = make([]float32, n)
	}
	*s = (*s)[:n]
	return s
}
