package onnx

import (
	"errors"
	"fmt"
	"runtime/debug"
	"slices"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/onnx-gomlx/onnx/parser"

	"github.com/assay-lab/assay/internal/nn/backend"
)

// compiled is a rewritten model ready to run.
type compiled struct {
	backend compute.Backend
	graph   *graph.Graph
	inputs  []ValueInfo
	shapes  []shapes.Shape
	outputs []ValueInfo // with the types and shapes that they have
}

// compileGraph makes a model whose inputs have fixed shapes ready to run.
func compileGraph(m *Model) (c *compiled, err error) {
	defer recovered("preparing the network", &err)
	b, err := backend.Get()
	if err != nil {
		return nil, err
	}
	file, err := m.Encode()
	if err != nil {
		return nil, err
	}
	parsed, err := parser.Parse(file)
	if err != nil {
		return nil, fmt.Errorf("onnx-gomlx: %w", err)
	}
	parsed.DisableFusion()
	c = &compiled{backend: b, graph: graph.NewGraph(b, "onnx"), inputs: m.Graph.Inputs}
	params := map[string]*graph.Node{}
	for _, v := range m.Graph.Inputs {
		shape := shapes.Make(dtypeOf[v.Type], v.Shape...)
		c.shapes = append(c.shapes, shape)
		params[v.Name] = graph.Parameter(c.graph, v.Name, shape)
	}
	out := parsed.CallGraph(nil, c.graph, params)
	if err := c.graph.Compile(out...); err != nil {
		return nil, err
	}
	for i, n := range out {
		t := typeOf(n.DType())
		if t == 0 {
			return nil, fmt.Errorf("output %d is %v, which is not supported", i, n.DType())
		}
		if n.Shape().Size() > maxTensor {
			return nil, fmt.Errorf("output %d has shape %v: the embedded engine is bound to %d elements", i, n.Shape().Dimensions, maxTensor)
		}
		c.outputs = append(c.outputs, ValueInfo{Name: m.Graph.Outputs[i].Name, Type: t, Shape: n.Shape().Dimensions})
	}
	return c, nil
}

// run evaluates the network. It is safe for concurrent use.
func (c *compiled) run(in map[string]Tensor) (out map[string]Tensor, err error) {
	defer recovered("running the network", &err)
	buffers, donate := make([]compute.Buffer, len(c.inputs)), make([]bool, len(c.inputs))
	for i, v := range c.inputs {
		t := in[v.Name]
		if buffers[i], err = c.backend.BufferFromFlatData(0, t.Data, c.shapes[i]); err != nil {
			return nil, err
		}
		donate[i] = true
	}
	results := c.graph.RunWithBuffers(buffers, donate, 0)
	out = make(map[string]Tensor, len(results))
	for i, r := range results {
		v := c.outputs[i]
		if err := r.ConstFlatData(func(flat any) {
			out[v.Name] = Tensor{Shape: slices.Clone(v.Shape), Data: clone(flat)}
		}); err != nil {
			return nil, err
		}
		if err := r.FinalizeAll(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (c *compiled) close() {
	var err error // the graph is not used any more whatever comes
	defer recovered("freeing the network", &err)
	c.graph.Finalize()
}

// recovered turns a panic into an error: it is how GoMLX reports most of its own.
func recovered(doing string, err *error) {
	p := recover()
	if p == nil {
		return
	}
	e, ok := p.(error)
	if !ok {
		e = fmt.Errorf("%v", p)
	}
	var bug interface{ RuntimeError() }
	if errors.As(e, &bug) {
		e = fmt.Errorf("%w\n%s", e, debug.Stack())
	}
	*err = fmt.Errorf("%s: %w", doing, e)
}

// dtypeOf are GoMLX's names of the types.
var dtypeOf = map[Type]dtypes.DType{
	Float32: dtypes.Float32, Float64: dtypes.Float64, Int64: dtypes.Int64, Int32: dtypes.Int32, Bool: dtypes.Bool,
	Int8: dtypes.Int8, Uint8: dtypes.Uint8, Int16: dtypes.Int16, Uint16: dtypes.Uint16, Uint32: dtypes.Uint32, Uint64: dtypes.Uint64,
}

func typeOf(d dtypes.DType) Type {
	for t, have := range dtypeOf {
		if have == d {
			return t
		}
	}
	return 0
}

// borrowedRules are operators that onnx-gomlx converts as they are. Their
// results' shapes are found by converting the node alone.
var borrowedRules = map[string]rule{
	"Einsum": borrow, "CumSum": borrow, "ArgMax": borrow, "ArgMin": borrow, "TopK": borrow, "Trilu": borrow,
	"GatherElements": borrow, "GatherND": borrow, "ScatterND": borrow,
}

func borrow(r *rewriter, n *Node) []*value {
	single := &Model{IR: 8, Opset: max(r.opset, 17), Graph: Graph{Name: "one"}}
	g := &single.Graph
	node := Node{Op: n.Op, Attrs: n.Attrs}
	for i := range n.In {
		v := r.opt(n, i)
		if v == nil {
			node.In = append(node.In, "")
			continue
		}
		v = r.plain(v)
		name := fmt.Sprint("x", i)
		if v.data != nil {
			g.Nodes = append(g.Nodes, Node{Op: "Constant", Out: []string{name}, Attrs: Attrs{"value": Tensor{v.shape, v.data}}})
		} else {
			g.Inputs = append(g.Inputs, ValueInfo{Name: name, Type: v.typ, Shape: v.shape})
		}
		node.In = append(node.In, name)
	}
	for i := range n.Out {
		node.Out = append(node.Out, fmt.Sprint("y", i))
		g.Outputs = append(g.Outputs, ValueInfo{Name: fmt.Sprint("y", i), Type: Float32})
	}
	g.Nodes = append(g.Nodes, node)
	c, err := compileGraph(single)
	check(err)
	defer c.close()
	out := make([]*value, len(n.Out))
	emitted := Node{Op: n.Op, Attrs: n.Attrs}
	for i, name := range node.In {
		if name == "" {
			emitted.In = append(emitted.In, "")
		} else {
			emitted.In = append(emitted.In, r.ref(r.plain(r.in(n, i))))
		}
	}
	for i := range n.Out {
		out[i] = &value{name: r.unique(), typ: c.outputs[i].Type, shape: c.outputs[i].Shape}
		emitted.Out = append(emitted.Out, out[i].name)
	}
	r.nodes = append(r.nodes, emitted)
	return out
}

// foreignNode leaves a node to onnx-gomlx.
func (p *planner) foreignNode(n Node) error {
	p.flushGroups(n.In)
	p.foreign = append(p.foreign, n)
	for _, name := range n.Out {
		p.made[name] = true
	}
	return nil
}

// flushForeign places the nodes for onnx-gomlx as one program, if they give one of
// these values; nil: in any case.
func (p *planner) flushForeign(names []string) error {
	if len(p.foreign) == 0 || names != nil && !slices.ContainsFunc(names, func(s string) bool { return p.made[s] }) {
		return nil
	}
	m, read := p.foreignModel()
	p.foreign = nil
	clear(p.made)
	c, err := compileGraph(m)
	if err != nil {
		return err
	}
	var in, out []operand
	for _, v := range m.Graph.Inputs {
		in = append(in, p.values[v.Name])
	}
	for _, v := range c.outputs {
		p.types[v.Name] = v.Type
		out = append(out, p.give(v.Name, v.Type, v.Shape))
	}
	p.done(read...)
	p.add(func(f *frame) error { return f.program(c, in, out) })
	return nil
}

// foreignModel is a model of the nodes for onnx-gomlx, and what these read.
func (p *planner) foreignModel() (m *Model, read []string) {
	m = &Model{IR: 8, Opset: 17, Graph: Graph{Name: "part"}}
	g := &m.Graph
	within := map[string]int{}
	for _, n := range p.foreign {
		read = append(read, n.In...)
		for _, name := range n.In {
			if within[name]++; name == "" || within[name] > 1 || p.made[name] {
				continue
			}
			o := p.values[name]
			if o.data == nil {
				g.Inputs = append(g.Inputs, ValueInfo{Name: name, Type: o.typ, Shape: o.shape})
				continue
			}
			t := Tensor{o.shape, (&frame{}).any(o)}
			g.Nodes = append(g.Nodes, Node{Op: "Constant", Out: []string{name}, Attrs: Attrs{"value": t}})
		}
	}
	for _, n := range p.foreign {
		n.Attrs = withoutType(n.Attrs)
		g.Nodes = append(g.Nodes, n)
		for _, name := range n.Out {
			if p.uses[name] > within[name] {
				g.Outputs = append(g.Outputs, ValueInfo{Name: name, Type: Float32})
			}
		}
	}
	return m, read
}

// program runs a part on onnx-gomlx.
func (f *frame) program(c *compiled, in, out []operand) error {
	args := map[string]Tensor{}
	for i, o := range in {
		args[c.inputs[i].Name] = Tensor{o.shape, f.any(o)}
	}
	results, err := c.run(args)
	if err != nil {
		return err
	}
	for i, o := range out {
		data := results[c.outputs[i].Name].Data
		if o.slot < 0 {
			f.other[o.index] = data
		} else {
			copy(f.in(o), asFloats(data))
		}
	}
	return nil
}

// withoutType leaves out the attribute that only the planner reads.
func withoutType(a Attrs) Attrs {
	out := Attrs{}
	for k, v := range a {
		if k != "type" && k != "shape" {
			out[k] = v
		}
	}
	return out
}
