package onnx

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/onnx-gomlx/onnx/parser"

	"github.com/assay-lab/assay/internal/nn/backend"
)

// maxPrograms bounds the shapes of inputs for which a session keeps what it
// compiled, and maxCached the bytes of weights in that.
const (
	maxPrograms = 16
	maxCached   = 1 << 30
)

// embedded runs a network on GoMLX's pure-Go backend, by way of onnx-gomlx. A
// network is compiled for the shapes of its inputs when these first come.
type embedded struct {
	model *Model
	info  Info
	keep  int // programs kept

	threads int // 0: one a core

	mu       sync.Mutex
	programs map[string]*program
	recent   []string // keys of programs, the last used last
	running  sync.WaitGroup
	closed   bool
}

// A program is compiled once, by the first that wants it.
type program struct {
	once sync.Once
	*plan
	err error
}

// newEmbedded makes a checked model ready on the embedded engine. It names the
// node of an operator that the engine lacks.
func newEmbedded(m *Model, opt Options) (Session, error) {
	if err := m.supported(&m.Graph); err != nil {
		return nil, err
	}
	bytes := 0
	for _, w := range m.Graph.Initializers {
		bytes += w.Len() * elementSize(w.Type())
	}
	e := &embedded{
		model: m, info: m.info(Embedded, ""), programs: map[string]*program{}, threads: opt.Threads,
		keep: min(max(maxCached/max(bytes, 1), 1), maxPrograms),
	}
	if shapes := e.fixedShapes(); shapes != nil { // find faults now rather than at the first run
		if p := e.program(shapes); p.err != nil {
			return nil, p.err
		}
	}
	return e, nil
}

// supported checks that the engine has the operators of a graph.
func (m *Model) supported(g *Graph) error {
	for i := range g.Nodes {
		n := &g.Nodes[i]
		if rules[n.Op] == nil || !standard(n.Domain) {
			return fmt.Errorf("%s: %w", n.describe(i), unsupported(n))
		}
		for _, sub := range n.graphs() {
			if err := m.supported(sub); err != nil {
				return fmt.Errorf("%s: %w", n.describe(i), err)
			}
		}
	}
	return nil
}

// fixedShapes are the inputs' shapes for a batch of one, nil if other axes than
// that of the batch are dynamic: networks refuse some sizes, as of images.
func (e *embedded) fixedShapes() map[string][]int {
	shapes := map[string][]int{}
	for _, v := range e.info.Inputs {
		if v.Shape == nil {
			return nil
		}
		shape := slices.Clone(v.Shape)
		for i, d := range shape {
			if d < 0 {
				if shape[i] = 1; i > 0 {
					return nil
				}
			}
		}
		shapes[v.Name] = shape
	}
	return shapes
}

func (e *embedded) Info() Info { return e.info }

func (e *embedded) Close() error {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.running.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	clear(e.programs)
	e.recent = nil
	return nil
}

func (e *embedded) Run(ctx context.Context, in map[string]Tensor, outputs ...string) (map[string]Tensor, error) {
	outputs, err := e.info.checkRun(in, outputs)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil, ErrClosed
	}
	e.running.Add(1)
	e.mu.Unlock()
	defer e.running.Done()

	shapes := map[string][]int{}
	for name, t := range in {
		if t.Len() == 0 {
			return nil, fmt.Errorf("onnx: input %q: shape %v has no elements", name, t.Shape)
		}
		shapes[name] = t.Shape
	}
	p := e.program(shapes)
	if p.err != nil {
		return nil, fmt.Errorf("onnx: inputs %s: %w", describeShapes(shapes), p.err)
	}
	all, err := p.run(in)
	if err != nil {
		return nil, fmt.Errorf("onnx: %w", err)
	}
	out := make(map[string]Tensor, len(outputs))
	for _, name := range outputs {
		out[name] = all["out:"+name]
	}
	return out, ctx.Err()
}

// program gives what runs inputs of these shapes.
func (e *embedded) program(shapes map[string][]int) *program {
	key := describeShapes(shapes)
	e.mu.Lock()
	p := e.programs[key]
	if p == nil {
		p = &program{}
		e.programs[key] = p
	}
	e.recent = append(slices.DeleteFunc(e.recent, func(k string) bool { return k == key }), key)
	for len(e.recent) > e.keep { // what is running there keeps it until it ends
		delete(e.programs, e.recent[0])
		e.recent = e.recent[1:]
	}
	e.mu.Unlock()
	p.once.Do(func() {
		m, err := e.model.rewrite(shapes)
		if err == nil {
			p.plan, err = newPlan(m, e.threads)
		}
		p.err = err
	})
	return p
}

func describeShapes(shapes map[string][]int) string {
	var b strings.Builder
	for i, name := range slices.Sorted(maps.Keys(shapes)) {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s %v", name, shapes[name])
	}
	return b.String()
}

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

// recovered turns a panic of GoMLX, which is how it reports most errors, into an error.
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
	*err = fmt.Errorf("%s: GoMLX: %w", doing, e)
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
