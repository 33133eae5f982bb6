package onnx

import (
	"errors"
	"fmt"
	"math"
	"strings"
)

// Check says what is wrong with a model whatever engine runs it: names given
// twice or never, cycles, weights that do not fit their shape or are no numbers,
// operands that do not go together.
func (m *Model) Check() error {
	g := &m.Graph
	if len(g.Outputs) == 0 {
		return errors.New("graph has no outputs")
	}
	if m.Opset < 0 || m.IR < 0 {
		return fmt.Errorf("opset %d, IR version %d: must not be negative", m.Opset, m.IR)
	}
	for _, v := range g.Inputs {
		if v.Type == 0 {
			return fmt.Errorf("input %q: has no type", v.Name)
		}
		if typeNames[v.Type] == "" {
			return fmt.Errorf("input %q: element %v is not supported", v.Name, v.Type)
		}
		if len(v.Symbols) > 0 && len(v.Symbols) != len(v.Shape) {
			return fmt.Errorf("input %q: %d symbols for %d axes", v.Name, len(v.Symbols), len(v.Shape))
		}
	}
	if err := g.check(nil, 1); err != nil {
		return err
	}
	return m.checkShapes()
}

// names of a graph's values, on top of those of the graph around it.
type names struct {
	outer *names
	here  map[string]string // what gives the value: "input", "initializer" or a node
}

func (s *names) has(name string) bool {
	for ; s != nil; s = s.outer {
		if _, ok := s.here[name]; ok {
			return true
		}
	}
	return false
}

func (s *names) add(name, giver string) error {
	if was, ok := s.here[name]; ok {
		return fmt.Errorf("%q is given twice: by %s and by %s", name, was, giver)
	}
	s.here[name] = giver
	return nil
}

// check checks a graph and those in its nodes.
func (g *Graph) check(outer *names, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("graphs nested more than %d deep", maxDepth)
	}
	scope := &names{outer: outer, here: map[string]string{}}
	if err := g.define(scope); err != nil {
		return err
	}
	for i := range g.Nodes {
		n := &g.Nodes[i]
		for _, name := range n.In {
			if name != "" && !scope.has(name) {
				return fmt.Errorf("%s: input %q is given by no node, input or initializer", n.describe(i), name)
			}
		}
		for _, sub := range n.graphs() {
			if err := sub.check(scope, depth+1); err != nil {
				return fmt.Errorf("%s: %w", n.describe(i), err)
			}
		}
	}
	for _, v := range g.Outputs {
		if !scope.has(v.Name) {
			return fmt.Errorf("output %q is given by no node, input or initializer", v.Name)
		}
	}
	if _, err := g.order(); err != nil {
		return err
	}
	return g.checkConstants()
}

// define collects the names that a graph gives.
func (g *Graph) define(scope *names) error {
	for i, v := range g.Inputs {
		if v.Name == "" {
			return fmt.Errorf("input %d has no name", i)
		}
		if err := scope.add(v.Name, "an input"); err != nil {
			return err
		}
	}
	weights := &names{here: map[string]string{}}
	for i, w := range g.Initializers {
		if w.Name == "" {
			return fmt.Errorf("initializer %d has no name", i)
		}
		if err := weights.add(w.Name, "an initializer"); err != nil {
			return err
		}
		if err := w.check(); err != nil {
			return fmt.Errorf("initializer %q: %w", w.Name, err)
		}
		scope.here[w.Name] = "an initializer" // old files list their weights as inputs too
	}
	for i := range g.Nodes {
		n := &g.Nodes[i]
		if n.Op == "" {
			return fmt.Errorf("%s: has no operator", n.describe(i))
		}
		for _, name := range n.Out {
			if name == "" {
				continue
			}
			if err := scope.add(name, n.describe(i)); err != nil {
				return err
			}
		}
	}
	seen := map[string]bool{}
	for _, v := range g.Outputs {
		if seen[v.Name] {
			return fmt.Errorf("output %q twice", v.Name)
		}
		seen[v.Name] = true
	}
	return nil
}

// graphs are those in a node's attributes.
func (n *Node) graphs() []*Graph {
	var gs []*Graph
	for _, v := range n.Attrs {
		switch v := v.(type) {
		case *Graph:
			gs = append(gs, v)
		case []*Graph:
			gs = append(gs, v...)
		}
	}
	return gs
}

// uses calls f for every name that a node reads, also within its graphs.
func (n *Node) uses(f func(string)) {
	for _, name := range n.In {
		f(name)
	}
	for _, g := range n.graphs() {
		for i := range g.Nodes {
			g.Nodes[i].uses(f)
		}
		for _, v := range g.Outputs {
			f(v.Name)
		}
	}
}

// order gives the nodes' indices in an order in which they can run: as they are
// wherever that will do.
func (g *Graph) order() ([]int, error) {
	giver := map[string]int{}
	for i, n := range g.Nodes {
		for _, name := range n.Out {
			giver[name] = i
		}
	}
	delete(giver, "")
	const open, done = 1, 2
	state := make([]int8, len(g.Nodes))
	order := make([]int, 0, len(g.Nodes))
	var path []int // of open nodes
	var visit func(i int) error
	visit = func(i int) error {
		switch state[i] {
		case done:
			return nil
		case open:
			return g.cycle(path, i)
		}
		state[i], path = open, append(path, i)
		var err error
		g.Nodes[i].uses(func(name string) {
			if j, ok := giver[name]; ok && err == nil {
				err = visit(j)
			}
		})
		state[i], path = done, path[:len(path)-1]
		order = append(order, i)
		return err
	}
	for i := range g.Nodes {
		if err := visit(i); err != nil {
			return nil, err
		}
	}
	return order, nil
}

// cycle describes the cycle that closes at node i.
func (g *Graph) cycle(path []int, i int) error {
	for len(path) > 0 && path[0] != i {
		path = path[1:]
	}
	var b strings.Builder
	for k, j := range path {
		if k == 8 {
			fmt.Fprintf(&b, " ← ... (%d nodes)", len(path))
			break
		}
		if k > 0 {
			b.WriteString(" ← ")
		}
		b.WriteString(g.Nodes[j].describe(j))
	}
	return fmt.Errorf("nodes wait for each other in a cycle: %s", b.String())
}

// sort puts the nodes in an order in which they can run, also in inner graphs.
func (g *Graph) sort() error {
	order, err := g.order()
	if err != nil {
		return err
	}
	nodes := make([]Node, len(order))
	for k, i := range order {
		nodes[k] = g.Nodes[i]
		for _, sub := range nodes[k].graphs() {
			if err := sub.sort(); err != nil {
				return err
			}
		}
	}
	g.Nodes = nodes
	return nil
}

// weighted are the operators whose constant operands are weights: an infinity
// among them is a mistake, elsewhere it may be a mask.
var weighted = map[string]bool{
	"Conv": true, "ConvTranspose": true, "Gemm": true, "MatMul": true, "BatchNormalization": true,
	"InstanceNormalization": true, "GroupNormalization": true, "LayerNormalization": true,
}

// checkConstants wants weights to be numbers and constant sizes to be sane.
func (g *Graph) checkConstants() error {
	constants := make(map[string]Tensor, len(g.Initializers))
	for _, w := range g.Initializers {
		constants[w.Name] = w.Tensor
		if i, v := w.notFinite(); i >= 0 && math.IsNaN(v) {
			return fmt.Errorf("initializer %q %v %v: element %d is NaN", w.Name, w.Type(), w.Shape, i)
		}
	}
	for i := range g.Nodes {
		n := &g.Nodes[i]
		if t, ok := n.Attrs["value"].(Tensor); ok {
			if err := t.check(); err != nil {
				return fmt.Errorf("%s: attribute \"value\": %w", n.describe(i), err)
			}
			if n.Op == "Constant" && len(n.Out) > 0 {
				constants[n.Out[0]] = t
			}
		}
	}
	for i := range g.Nodes {
		n := &g.Nodes[i]
		for k, name := range n.In {
			t, ok := constants[name]
			if !ok {
				continue
			}
			if j, v := t.notFinite(); j >= 0 && standard(n.Domain) && weighted[n.Op] {
				return fmt.Errorf("%s: weight %q %v %v: element %d is %g", n.describe(i), name, t.Type(), t.Shape, j, v)
			}
			if err := n.checkSize(k, t); err != nil {
				return fmt.Errorf("%s: %w", n.describe(i), err)
			}
		}
	}
	return nil
}

// checkSize bounds the size of what a node makes when a constant says it.
func (n *Node) checkSize(input int, t Tensor) error {
	if !(n.Op == "ConstantOfShape" && input == 0 || n.Op == "Expand" && input == 1) {
		return nil
	}
	dims, ok := t.Data.([]int64)
	if !ok {
		return nil // the engine will say so
	}
	shape := make([]int, len(dims))
	for i, d := range dims {
		shape[i] = int(d)
	}
	return checkShape(shape)
}

// notFinite finds the first infinity or, preferred, NaN; −1 if there is none.
func (t Tensor) notFinite() (index int, v float64) {
	switch d := t.Data.(type) {
	case []float32:
		return notFinite(d, func(x float32) float64 { return float64(x) })
	case []float64:
		return notFinite(d, func(x float64) float64 { return x })
	case []Half:
		return notFinite(d, func(x Half) float64 { return float64(x.Float32()) })
	case []BHalf:
		return notFinite(d, func(x BHalf) float64 { return float64(x.Float32()) })
	}
	return -1, 0
}

func notFinite[T any](d []T, f func(T) float64) (index int, v float64) {
	index = -1
	for i, x := range d {
		switch y := f(x); {
		case math.IsNaN(y):
			return i, y
		case index < 0 && math.IsInf(y, 0):
			index, v = i, y
		}
	}
	return index, v
}
