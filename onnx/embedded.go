package onnx

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// maxPrograms bounds the shapes of inputs for which a session keeps its plan, and
// maxCached the bytes of weights in these.
const (
	maxPrograms = 16
	maxCached   = 1 << 30
)

// embedded runs a network in Go: by loops and products of matrices of this
// package, and by onnx-gomlx what is not float32 and the rarer operators. A
// network is planned for the shapes of its inputs when these first come.
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

// A program is a plan made once, by the first that wants it.
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
	p.once.Do(func() { p.plan, p.err = e.model.prepare(shapes, e.threads) })
	return p
}

// prepare plans a model for inputs of these shapes.
func (m *Model) prepare(shapes map[string][]int, threads int) (p *plan, err error) {
	defer recovered("preparing the network", &err)
	r, err := m.rewrite(shapes)
	if err != nil {
		return nil, err
	}
	return newPlan(r, threads)
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
