package onnx

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// net builds a model node by node.
type net struct{ Model }

func (n *net) node(op string, attrs Attrs, in ...string) string {
	out := fmt.Sprint("t", len(n.Graph.Nodes))
	n.Graph.Nodes = append(n.Graph.Nodes, Node{Op: op, Name: op + " " + out, Attrs: attrs, In: in, Out: []string{out}})
	return out
}

func (n *net) weight(shape []int, data any) string {
	name := fmt.Sprint("w", len(n.Graph.Initializers))
	n.Graph.Initializers = append(n.Graph.Initializers, Initializer{name, Tensor{shape, data}})
	return name
}

func (n *net) input(name string, shape ...int) string {
	n.Graph.Inputs = append(n.Graph.Inputs, ValueInfo{Name: name, Type: Float32, Shape: shape})
	return name
}

func (n *net) output(name string) *Model {
	n.Graph.Outputs = append(n.Graph.Outputs, ValueInfo{Name: name, Type: Float32})
	n.Opset = 17
	return &n.Model
}

func random32(rng *rand.Rand, n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(rng.NormFloat64())
	}
	return v
}

// near runs a model on the embedded engine and compares its one output.
func near(t *testing.T, m *Model, in map[string]Tensor, want []float32) {
	t.Helper()
	out, err := open(t, m, Options{Engine: Embedded}).Run(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	got := out[m.Graph.Outputs[0].Name].Data.([]float32)
	if d := maxDiff(got, want); !(d < 2e-5) {
		t.Fatalf("differs by %g:\n got %.6v\nwant %.6v", d, got[:min(8, len(got))], want[:min(8, len(want))])
	}
}

// TestGroupNormAsExported is the way frameworks write a group norm with SiLU:
// it runs on images kept with their channels last, after a bias that is never added.
func TestGroupNormAsExported(t *testing.T) {
	const batch, channels, size, groups, eps = 3, 6, 20, 2, 1e-3
	rng := rand.New(rand.NewPCG(1, 1))
	kernel, bias := random32(rng, channels*channels), random32(rng, channels)
	scale, shift := random32(rng, channels), random32(rng, channels)
	x := random32(rng, batch*channels*size)

	var n net
	n.input("x", -1, channels, 4, 5)
	c := n.node("Conv", Attrs{"kernel_shape": []int{1, 1}}, "x", n.weight([]int{channels, channels, 1, 1}, kernel), n.weight([]int{channels}, bias))
	flat := n.node("Reshape", nil, c, n.weight([]int{3}, []int64{0, groups, -1}))
	norm := n.node("InstanceNormalization", Attrs{"epsilon": eps}, flat, n.weight([]int{groups}, []float32{1, 1}), n.weight([]int{groups}, []float32{0, 0}))
	back := n.node("Reshape", nil, norm, n.node("Shape", nil, c))
	y := n.node("Add", nil, n.node("Mul", nil, back, n.weight([]int{channels, 1, 1}, scale)), n.weight([]int{channels, 1, 1}, shift))
	m := n.output(n.node("Mul", nil, y, n.node("Sigmoid", nil, y)))

	want := make([]float32, len(x))
	for b := range batch {
		var v [channels][size]float64
		for o := range channels {
			for p := range size {
				v[o][p] = float64(bias[o])
				for i := range channels {
					v[o][p] += float64(kernel[o*channels+i]) * float64(x[(b*channels+i)*size+p])
				}
			}
		}
		for o := range channels {
			per := channels / groups
			var sum, square float64
			for _, row := range v[o/per*per : o/per*per+per] {
				for _, e := range row {
					sum += e / float64(per*size)
					square += e * e / float64(per*size)
				}
			}
			for p, e := range v[o] {
				e = (e-sum)/math.Sqrt(square-sum*sum+eps)*float64(scale[o]) + float64(shift[o])
				want[(b*channels+o)*size+p] = float32(e / (1 + math.Exp(-e)))
			}
		}
	}
	near(t, m, map[string]Tensor{"x": {[]int{batch, channels, 4, 5}, x}}, want)
}

// TestAttention is self-attention over the pixels of an image, all by products
// of matrices, between convolutions that keep channels last.
func TestAttention(t *testing.T) {
	const batch, channels, size, heads = 2, 4, 6, 2
	const d = channels / heads
	rng := rand.New(rand.NewPCG(2, 2))
	w := random32(rng, 3*channels*channels)
	x := random32(rng, batch*channels*size)

	var n net
	n.input("x", -1, channels, 2, 3)
	qkv := n.node("Conv", nil, "x", n.weight([]int{3 * channels, channels, 1, 1}, w))
	split := n.node("Reshape", nil, qkv, n.weight([]int{5}, []int64{0, 3, heads, d, -1}))
	part := func(i int64, perm ...int64) string {
		one := n.node("Gather", Attrs{"axis": 1}, split, n.weight([]int{}, []int64{i}))
		return n.node("Transpose", Attrs{"perm": perm}, one)
	}
	q, k, v := part(0, 0, 1, 3, 2), part(1, 0, 1, 2, 3), part(2, 0, 1, 3, 2)
	scores := n.node("Softmax", Attrs{"axis": -1}, n.node("Mul", nil, n.node("MatMul", nil, q, k), n.weight([]int{}, []float32{0.7})))
	mixed := n.node("Transpose", Attrs{"perm": []int64{0, 1, 3, 2}}, n.node("MatMul", nil, scores, v))
	y := n.node("Reshape", nil, mixed, n.node("Shape", nil, "x"))
	m := n.output(n.node("Add", nil, y, "x"))

	want := make([]float32, len(x))
	for b := range batch {
		at := func(row, p int) (sum float64) { // of qkv
			for i := range channels {
				sum += float64(w[row*channels+i]) * float64(x[(b*channels+i)*size+p])
			}
			return sum
		}
		for h := range heads {
			for p := range size {
				weights, total := make([]float64, size), 0.0
				for o := range size {
					for i := range d {
						weights[o] += 0.7 * at(h*d+i, p) * at(channels+h*d+i, o)
					}
					weights[o] = math.Exp(weights[o])
					total += weights[o]
				}
				for i := range d {
					at0 := (b*channels+h*d+i)*size + p
					sum := float64(x[at0])
					for o := range size {
						sum += weights[o] / total * at(2*channels+h*d+i, o)
					}
					want[at0] = float32(sum)
				}
			}
		}
	}
	near(t, m, map[string]Tensor{"x": {[]int{batch, channels, 2, 3}, x}}, want)
}

// TestShapesAreComputed takes sizes from an input's shape by arithmetic, and a
// branch by a comparison.
func TestShapesAreComputed(t *testing.T) {
	var n net
	n.input("x", -1, -1)
	shape := n.node("Shape", nil, "x")
	rows := n.node("Gather", nil, shape, n.weight([]int{}, []int64{0}))
	columns := n.node("Slice", nil, shape, n.weight([]int{1}, []int64{1}), n.weight([]int{1}, []int64{math.MaxInt64}))
	half := n.node("Div", nil, columns, n.weight([]int{}, []int64{2}))
	wanted := n.node("Concat", Attrs{"axis": 0}, n.node("Unsqueeze", nil, rows, n.weight([]int{1}, []int64{0})), half, n.weight([]int{1}, []int64{-1}))
	y := n.node("Reshape", nil, "x", wanted)
	z := n.node("ReduceMax", Attrs{"axes": []int64{2}, "keepdims": 0}, y)
	steps := n.node("Cast", Attrs{"to": int(Float32)}, n.node("Range", nil, n.weight([]int{}, []int64{0}), rows, n.weight([]int{}, []int64{1})))
	z = n.node("Mul", nil, z, n.node("Unsqueeze", nil, steps, n.weight([]int{1}, []int64{1})))
	even := n.node("Equal", nil, n.node("Mod", nil, rows, n.weight([]int{}, []int64{2})), n.weight([]int{}, []int64{0}))
	branch := func(op string) *Graph {
		return &Graph{Name: op, Nodes: []Node{{Op: op, In: []string{z}, Out: []string{"in " + op}}}, Outputs: []ValueInfo{{Name: "in " + op, Type: Float32}}}
	}
	m := n.output(n.node("If", Attrs{"then_branch": branch("Neg"), "else_branch": branch("Identity")}, even))
	near(t, m, map[string]Tensor{"x": {[]int{2, 4}, []float32{1, 2, 3, 4, 6, 5, 8, 7}}}, []float32{0, 0, -6, -8})
	near(t, m, map[string]Tensor{"x": {[]int{3, 2}, []float32{1, 2, 3, 4, 6, 5}}}, []float32{0, 4, 12})
}

func TestEmbeddedRefuses(t *testing.T) {
	run := func(build func(n *net) string) error {
		var n net
		n.input("x", -1, -1)
		s, err := NewSession(n.output(build(&n)), Options{Engine: Embedded})
		if err != nil {
			return err
		}
		defer s.Close()
		_, err = s.Run(t.Context(), map[string]Tensor{"x": {[]int{2, 3}, []float32{1, 2, 3, 4, 5, 6}}})
		return err
	}
	for _, c := range []struct {
		name  string
		build func(n *net) string
		want  []string
	}{
		{"unknown operator", func(n *net) string { return n.node("Frobnicate", nil, "x") }, []string{`node 0 (Frobnicate "Frobnicate t0")`, "Conv"}},
		{"shapes that do not go together", func(n *net) string {
			return n.node("Add", nil, "x", n.weight([]int{4}, []float32{1, 2, 3, 4}))
		}, []string{`node 0 (Add "Add t0")`, "[2 3] and [4]"}},
		{"reshape to another number of elements", func(n *net) string {
			return n.node("Reshape", nil, "x", n.weight([]int{2}, []int64{4, 2}))
		}, []string{"Reshape", "[2 3]", "[4 2]"}},
		{"shape from the data", func(n *net) string {
			return n.node("Reshape", nil, "x", n.node("Cast", Attrs{"to": int(Int64)}, "x"))
		}, []string{"Reshape", "depends on the network's inputs"}},
		{"division of sizes by 0", func(n *net) string {
			return n.node("Reshape", nil, "x", n.node("Div", nil, n.node("Shape", nil, "x"), n.weight([]int{}, []int64{0})))
		}, []string{"Div", "divided by 0"}},
		{"axis out of range", func(n *net) string { return n.node("Softmax", Attrs{"axis": 2}, "x") }, []string{"Softmax", "axis 2", "2 axes"}},
		{"types mixed", func(n *net) string { return n.node("Mul", nil, "x", n.weight([]int{}, []int64{2})) }, []string{"Mul", "float32", "int64"}},
		{"kernel larger than the image", func(n *net) string {
			image := n.node("Reshape", nil, "x", n.weight([]int{4}, []int64{1, 1, 2, 3}))
			return n.node("Conv", nil, image, n.weight([]int{1, 1, 3, 3}, make([]float32, 9)))
		}, []string{"Conv", "does not fit"}},
		{"too much memory", func(n *net) string {
			return n.node("Expand", nil, "x", n.node("Mul", nil, n.node("Shape", nil, "x"), n.weight([]int{}, []int64{1 << 40})))
		}, []string{"Expand"}},
		{"gather beyond the end", func(n *net) string { return n.node("Gather", nil, "x", n.weight([]int{}, []int64{7})) }, []string{"Gather", "7"}},
		{"einsum of misfits", func(n *net) string { return n.node("Einsum", Attrs{"equation": "ij,jk->ik"}, "x", "x") }, []string{"Einsum"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := run(c.build)
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Fatalf("error %v lacks %q", err, want)
				}
			}
		})
	}
}

// TestWholeNumbersDividedByZero would end the process if it reached the backend.
func TestWholeNumbersDividedByZero(t *testing.T) {
	m := &Model{Opset: 17, Graph: Graph{
		Nodes:   []Node{{Op: "Div", In: []string{"x", "y"}, Out: []string{"q"}}},
		Inputs:  []ValueInfo{{Name: "x", Type: Int64, Shape: []int{2}}, {Name: "y", Type: Int64, Shape: []int{2}}},
		Outputs: []ValueInfo{{Name: "q", Type: Int64}},
	}}
	out, err := open(t, m, Options{Engine: Embedded}).Run(t.Context(), map[string]Tensor{"x": {[]int{2}, []int64{7, 7}}, "y": {[]int{2}, []int64{2, 0}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := out["q"].Data.([]int64)[0]; got != 3 {
		t.Errorf("7/2 = %d", got)
	}
}

func TestEmbeddedManyShapes(t *testing.T) {
	var n net
	n.input("x", -1, 3)
	s := open(t, n.output(n.node("Add", nil, "x", "x")), Options{Engine: Embedded})
	for range 2 {
		for rows := 1; rows <= maxPrograms+3; rows++ {
			x := ramp(3 * rows)
			out, err := s.Run(t.Context(), map[string]Tensor{"x": {[]int{rows, 3}, x}})
			if err != nil {
				t.Fatal(err)
			}
			if y := out[n.Graph.Outputs[0].Name].Data.([]float32); len(y) != len(x) || y[1] != 2*x[1] {
				t.Fatalf("%d rows: %v", rows, y)
			}
		}
	}
	if kept := len(s.(*embedded).programs); kept > maxPrograms {
		t.Errorf("%d programs are kept, at most %d should be", kept, maxPrograms)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Run(ctx, map[string]Tensor{"x": {[]int{1, 3}, ramp(3)}}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled run: %v", err)
	}
}

func TestConstantOutputs(t *testing.T) {
	var n net
	n.input("x", 2)
	m := n.output(n.node("Identity", nil, n.weight([]int{2}, []float32{3, 4})))
	m.Graph.Outputs = append(m.Graph.Outputs, ValueInfo{Name: "x", Type: Float32})
	near(t, m, map[string]Tensor{"x": {[]int{2}, []float32{1, 2}}}, []float32{3, 4})
}
