package onnx

import "slices"

// widen gives a model whose half-precision inputs and outputs are float32, with
// casts inside: Go has no half type, and neither has the binding of ONNX
// Runtime. It reports false when there is nothing to do.
func (m *Model) widen() (*Model, bool) {
	half := func(t Type) bool { return t == Float16 || t == BFloat16 }
	w := *m
	g := &w.Graph
	inner := map[string]string{} // names of the half-precision values within
	var before, after []Node
	weights := map[string]bool{}
	for _, i := range g.Initializers {
		weights[i.Name] = true
	}
	g.Inputs = slices.Clone(g.Inputs)
	for i := range g.Inputs {
		v := &g.Inputs[i]
		if !half(v.Type) || weights[v.Name] {
			continue
		}
		inner[v.Name] = v.Name + "/half"
		before = append(before, castNode(v.Name, inner[v.Name], v.Type))
		v.Type = Float32
	}
	g.Outputs = slices.Clone(g.Outputs)
	for i := range g.Outputs {
		v := &g.Outputs[i]
		if !half(v.Type) {
			continue
		}
		v.Type = Float32
		if _, input := inner[v.Name]; input || weights[v.Name] {
			continue // an input handed through is float32 already
		}
		inner[v.Name] = v.Name + "/half"
		after = append(after, castNode(inner[v.Name], v.Name, Float32))
	}
	if len(inner) == 0 {
		return m, false
	}
	g.Nodes = slices.Concat(before, renamed(g.Nodes, inner), after)
	g.Values = nil
	return &w, true
}

func castNode(from, to string, t Type) Node {
	return Node{Op: "Cast", Name: "cast " + from, In: []string{from}, Out: []string{to}, Attrs: Attrs{"to": int64(t)}}
}

// renamed copies nodes with other names for some values, also in their graphs.
func renamed(nodes []Node, names map[string]string) []Node {
	rename := func(list []string) []string {
		list = slices.Clone(list)
		for i, s := range list {
			if n, ok := names[s]; ok {
				list[i] = n
			}
		}
		return list
	}
	inGraph := func(g *Graph) *Graph {
		c := *g
		c.Nodes = renamed(g.Nodes, names)
		c.Outputs = slices.Clone(g.Outputs)
		for i, v := range c.Outputs {
			if n, ok := names[v.Name]; ok {
				c.Outputs[i].Name = n
			}
		}
		return &c
	}
	out := slices.Clone(nodes)
	for i := range out {
		n := &out[i]
		n.In, n.Out = rename(n.In), rename(n.Out)
		if len(n.graphs()) == 0 {
			continue
		}
		attrs := Attrs{}
		for k, v := range n.Attrs {
			switch v := v.(type) {
			case *Graph:
				attrs[k] = inGraph(v)
			case []*Graph:
				gs := make([]*Graph, len(v))
				for j, g := range v {
					gs[j] = inGraph(g)
				}
				attrs[k] = gs
			default:
				attrs[k] = v
			}
		}
		n.Attrs = attrs
	}
	return out
}
