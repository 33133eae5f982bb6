package onnx

import "fmt"

// A Model is an ONNX file as plain data: what [Read] gives and [Model.Write]
// stores. The zero values of IR and Opset stand for those of the writer.
type Model struct {
	IR        int            // version of the file format; 0 when written: 8
	Opset     int            // version of the standard operators; 0 when written: 17
	Domains   map[string]int // versions of other operator sets, by domain
	Producer  string         // what made the model, with its version
	Metadata  map[string]string
	Functions []string // operators that the file itself defines, as "domain.Name"; kept by name only
	Graph     Graph
}

// A Graph is a network: nodes in an order in which they can be run.
type Graph struct {
	Name            string
	Nodes           []Node
	Initializers    []Initializer // the weights
	Inputs, Outputs []ValueInfo
	Values          []ValueInfo // known types of values in between; optional
}

// An Initializer is a named constant, usually a weight.
type Initializer struct {
	Name string
	Tensor
}

// A Node applies one operator.
type Node struct {
	Op     string
	Domain string // "": the standard operators
	Name   string // optional
	In     []string
	Out    []string // "" in In or Out: an optional one left out
	Attrs  Attrs
}

// Attrs are a node's attributes. Read gives int64, float32, string, Tensor,
// *Graph, []int64, []float32, []string, []Tensor and []*Graph; Write also takes
// int, []int and float64.
type Attrs map[string]any

// Int is an integer attribute, or def when it is absent or of another type.
func (a Attrs) Int(name string, def int64) int64 {
	switch v := a[name].(type) {
	case int64:
		return v
	case int:
		return int64(v)
	}
	return def
}

// Ints is a list of integers, nil when it is absent or of another type.
func (a Attrs) Ints(name string) []int64 {
	switch v := a[name].(type) {
	case []int64:
		return v
	case []int:
		out := make([]int64, len(v))
		for i, x := range v {
			out[i] = int64(x)
		}
		return out
	}
	return nil
}

// Float is a number, or def when it is absent or of another type.
func (a Attrs) Float(name string, def float32) float32 {
	switch v := a[name].(type) {
	case float32:
		return v
	case float64:
		return float32(v)
	}
	return def
}

// String is a text attribute, or def when it is absent or of another type.
func (a Attrs) String(name, def string) string {
	if v, ok := a[name].(string); ok {
		return v
	}
	return def
}

// standard reports whether a domain is that of the standard operators.
func standard(domain string) bool { return domain == "" || domain == "ai.onnx" }

// describe names a node in errors: its place in the graph, operator and name.
func (n *Node) describe(i int) string {
	op := n.Op
	if !standard(n.Domain) {
		op = n.Domain + "." + op
	}
	if n.Name == "" {
		return fmt.Sprintf("node %d (%s)", i, op)
	}
	return fmt.Sprintf("node %d (%s %q)", i, op, n.Name)
}
