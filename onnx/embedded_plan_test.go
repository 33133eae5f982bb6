package onnx

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// byGoMLX evaluates a rewritten model wholly with onnx-gomlx.
func byGoMLX(t *testing.T, m *Model, in map[string]Tensor) map[string]Tensor {
	t.Helper()
	plain := *m
	plain.Graph.Nodes = slices.Clone(m.Graph.Nodes)
	for i := range plain.Graph.Nodes {
		plain.Graph.Nodes[i].Attrs = withoutType(plain.Graph.Nodes[i].Attrs)
	}
	c, err := compileGraph(&plain)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	args := map[string]Tensor{}
	for name, x := range in {
		args["in:"+name] = x
	}
	out, err := c.run(args)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func shapesOf(in map[string]Tensor) map[string][]int {
	shapes := map[string][]int{}
	for name, x := range in {
		shapes[name] = x.Shape
	}
	return shapes
}

// TestOperatorsByGoMLX holds the rewritten operators, as onnx-gomlx computes them,
// against ONNX Runtime too: networks of float64 run that way.
func TestOperatorsByGoMLX(t *testing.T) {
	want := goldens(t)
	for _, c := range operatorCases() {
		t.Run(c.name, func(t *testing.T) {
			m, in := c.model()
			r, err := m.rewrite(shapesOf(in))
			if err != nil {
				t.Fatal(err)
			}
			out := byGoMLX(t, r, in)
			for i, w := range want[c.name] {
				w.compare(t, out[fmt.Sprint("out:y", i)])
			}
		})
	}
}

func TestDoublePrecision(t *testing.T) {
	want := goldens(t)
	for _, c := range operatorCases() {
		if !slices.Contains([]string{"Conv", "ConvTranspose", "InstanceNormalization", "Gemm", "Softmax", "Sigmoid", "Concat"}, c.op) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			m, in := c.model()
			for name, x := range in {
				in[name] = Tensor{x.Shape, toFloats(x.Data)}
			}
			for i := range m.Graph.Inputs {
				m.Graph.Inputs[i].Type = Float64
			}
			for i, w := range m.Graph.Initializers {
				if w.Type() == Float32 {
					m.Graph.Initializers[i].Tensor = Tensor{w.Shape, toFloats(w.Data)}
				}
			}
			for i := range m.Graph.Outputs {
				m.Graph.Outputs[i].Type = Float64
			}
			out, err := open(t, m, Options{Engine: Embedded}).Run(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			for i, w := range want[c.name] {
				y := out[fmt.Sprint("y", i)]
				if _, err := Data[float64](y); err != nil {
					t.Fatal(err)
				}
				w.compare(t, y)
			}
		})
	}
}

// randomNet is a network of operators chosen at random: tensors of a few shapes
// that are combined, reordered, joined, cut and read again much later.
func randomNet(rng *rand.Rand) *Model {
	var n net
	shapes := map[string][]int{}
	var names []string
	add := func(name string, shape ...int) string {
		shapes[name] = shape
		names = append(names, name)
		return name
	}
	add(n.input("x", 2, 3, 4, 5), 2, 3, 4, 5)
	add(n.input("z", 1, 3, 1, 1), 1, 3, 1, 1)
	pick := func() string { return names[rng.IntN(len(names))] }
	for range 30 {
		a := pick()
		s := shapes[a]
		switch rng.IntN(9) {
		case 0:
			add(n.node("Tanh", nil, a), s...)
		case 1:
			add(n.node("Mul", nil, a, n.node("Sigmoid", nil, a)), s...)
		case 2, 3:
			b := pick()
			if to, ok := broadcast(s, shapes[b]); ok {
				add(n.node([]string{"Add", "Sub", "Mul", "Max"}[rng.IntN(4)], nil, a, b), to...)
			}
		case 4:
			perm := rng.Perm(len(s))
			p64 := make([]int64, len(perm))
			for i, p := range perm {
				p64[i] = int64(p)
			}
			add(n.node("Transpose", Attrs{"perm": p64}, a), permuted(s, perm)...)
		case 5:
			along := rng.IntN(len(s))
			keep := slices.Clone(s)
			keep[along] = 1
			add(n.node("ReduceMean", Attrs{"axes": []int64{int64(along)}}, a), keep...)
		case 6:
			if i := slices.IndexFunc(s, func(d int) bool { return d > 1 }); i >= 0 {
				cut := slices.Clone(s)
				cut[i]--
				add(n.node("Slice", nil, a, n.weight([]int{1}, []int64{1}), n.weight([]int{1}, []int64{9}), n.weight([]int{1}, []int64{int64(i)})), cut...)
			}
		case 7:
			if len(s) == 4 && s[1] > 0 {
				w := n.weight([]int{3, s[1], 1, 1}, random32(rng, 3*s[1]))
				add(n.node("Conv", nil, a, w), s[0], 3, s[2], s[3])
			}
		case 8:
			flat := []int{s[0], elements(s[1:])}
			y := n.node("Softmax", Attrs{"axis": 1}, n.node("Reshape", nil, a, n.weight([]int{2}, []int64{int64(flat[0]), -1})))
			back := make([]int64, len(s))
			for i, d := range s {
				back[i] = int64(d)
			}
			add(n.node("Reshape", nil, y, n.weight([]int{len(s)}, back)), s...)
		}
	}
	n.output(names[len(names)-1])
	n.output(names[len(names)/2])
	if n.Graph.Outputs[0].Name == n.Graph.Outputs[1].Name {
		n.Graph.Outputs = n.Graph.Outputs[:1]
	}
	return &n.Model
}

// TestPlansAgreeWithGoMLX would show a buffer that is reused too early, or steps
// in the wrong order.
func TestPlansAgreeWithGoMLX(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 5))
		m := randomNet(rng)
		in := map[string]Tensor{"x": {[]int{2, 3, 4, 5}, random32(rng, 120)}, "z": {[]int{1, 3, 1, 1}, random32(rng, 3)}}
		r, err := m.rewrite(shapesOf(in))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		p, err := newPlan(r, 2)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		want := byGoMLX(t, r, in)
		for range 2 { // the second time with buffers that have been used
			got, err := p.run(in)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			for name, w := range want {
				if d := maxDiff(got[name].Data.([]float32), w.Data.([]float32)); !(d < 1e-4) {
					t.Fatalf("seed %d: output %q differs by %g", seed, name, d)
				}
			}
		}
	}
}

// TestThreadsGiveTheSame runs a network with one thread and with several.
func TestThreadsGiveTheSame(t *testing.T) {
	ref := loadReference(t)
	in := map[string]Tensor{"sample": {[]int{5, 1, 28, 28}, ramp(5 * 784)}, "timestep": {[]int{5}, ramp(5)}}
	var first map[string]Tensor
	for _, threads := range []int{1, 2, 5} {
		s, err := Open(ref.path, Options{Engine: Embedded, Threads: threads})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		out, err := s.Run(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = out
		} else if !reflect.DeepEqual(out, first) {
			t.Errorf("%d threads give another result than 1", threads)
		}
	}
}

// TestMixedTypes has whole numbers at run time between two native parts.
func TestMixedTypes(t *testing.T) {
	var n net
	n.input("x", -1)
	whole := n.node("Cast", Attrs{"to": int(Int64)}, n.node("Mul", nil, "x", "x"))
	double := n.node("Add", nil, whole, whole)
	table := n.node("Gather", nil, n.weight([]int{3, 2}, []float32{1, 2, 3, 4, 5, 6}), n.node("Clip", nil, double, n.weight([]int{}, []int64{0}), n.weight([]int{}, []int64{2})))
	mask := n.node("Cast", Attrs{"to": int(Float32)}, n.node("Greater", nil, double, n.weight([]int{}, []int64{3})))
	m := n.output(n.node("Add", nil, table, n.node("Unsqueeze", nil, mask, n.weight([]int{1}, []int64{1}))))
	near(t, m, map[string]Tensor{"x": {[]int{3}, []float32{0.5, 1.2, 3}}}, []float32{1, 2, 5, 6, 6, 7})
}

// FuzzPrepare plans whatever is read as a model: that must not panic or take all memory.
func FuzzPrepare(f *testing.F) {
	f.Add(mustEncode(f, smallNet()))
	for i, c := range operatorCases() {
		if i%5 == 0 {
			m, _ := c.model()
			f.Add(mustEncode(f, m))
		}
	}
	f.Add(mustEncode(f, randomNet(rand.New(rand.NewPCG(1, 5)))))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Decode(b)
		if err != nil || asksForMuch(m) {
			return
		}
		shapes := map[string][]int{}
		for _, v := range m.Graph.Inputs {
			shape := slices.Clone(v.Shape)
			for i, d := range shape {
				shape[i] = min(max(d, 1), 8)
			}
			shapes[v.Name] = shape
		}
		_, err = m.prepare(shapes, 1)
		if err != nil && strings.Contains(err.Error(), "cannot be prepared") {
			t.Fatal(err)
		}
	})
}

// asksForMuch reports whether a weight may be a size that is allowed, but slow.
func asksForMuch(m *Model) bool {
	return slices.ContainsFunc(m.Graph.Initializers, func(w Initializer) bool {
		return slices.ContainsFunc(toFloats(widened(w.Data)), func(x float64) bool { return math.Abs(x) > 1<<10 })
	})
}

func TestPanicsBecomeErrors(t *testing.T) {
	p := &plan{threads: 2, steps: []step{func(f *frame) error {
		f.plan.parallel(4, 1, func(lo, hi int) { panic("broken") })
		return nil
	}}}
	p.frames.New = func() any { return &frame{plan: p} }
	if _, err := p.run(nil); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("error %v", err)
	}
}
