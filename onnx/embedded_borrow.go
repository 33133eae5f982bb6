package onnx

import "fmt"

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
