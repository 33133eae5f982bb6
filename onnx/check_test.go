package onnx

import (
	"math"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	if err := smallNet().Check(); err != nil {
		t.Fatal(err)
	}
	weight := func(m *Model) []float32 { return m.Graph.Initializers[0].Data.([]float32) }
	for _, c := range []struct {
		name   string
		change func(m *Model)
		want   string
	}{
		{"no outputs", func(m *Model) { m.Graph.Outputs = nil }, "graph has no outputs"},
		{"output that nothing gives", func(m *Model) { m.Graph.Outputs[0].Name = "z" }, `output "z" is given by no node`},
		{"output twice", func(m *Model) { m.Graph.Outputs = append(m.Graph.Outputs, m.Graph.Outputs[0]) }, `output "y" twice`},
		{"node reads what nothing gives", func(m *Model) { m.Graph.Nodes[2].In[1] = "q" }, `node 2 (Add "shift"): input "q" is given by no node`},
		{"cycle", func(m *Model) { m.Graph.Nodes[0].In[2] = "y" }, `cycle: node 0 (Conv "conv") ← node 3 (ReduceSum "sum") ← node 2 (Add "shift")`},
		{"node that waits for itself", func(m *Model) { m.Graph.Nodes[2].In[1] = "s" }, `cycle: node 2 (Add "shift")`},
		{"value given twice", func(m *Model) { m.Graph.Nodes[2].Out[0] = "c" }, `"c" is given twice: by node 0 (Conv "conv") and by node 2 (Add "shift")`},
		{"node gives an input", func(m *Model) { m.Graph.Nodes[2].Out[0] = "x" }, `"x" is given twice: by an input`},
		{"input twice", func(m *Model) { m.Graph.Inputs[1].Name = "x" }, `"x" is given twice`},
		{"input without a name", func(m *Model) { m.Graph.Inputs[1].Name = "" }, "input 1 has no name"},
		{"input without a type", func(m *Model) { m.Graph.Inputs[1].Type = 0 }, `input "t": has no type`},
		{"input of an odd type", func(m *Model) { m.Graph.Inputs[1].Type = 17 }, `input "t": element type 17`},
		{"initializer twice", func(m *Model) { m.Graph.Initializers[1].Name = "w" }, `"w" is given twice`},
		{"initializer without a name", func(m *Model) { m.Graph.Initializers[1].Name = "" }, "initializer 1 has no name"},
		{"initializer too short", func(m *Model) { m.Graph.Initializers[0].Data = weight(m)[:17] }, `initializer "w": shape [2 1 3 3] needs 18 elements, data has 17`},
		{"initializer of no type", func(m *Model) { m.Graph.Initializers[0].Data = 3 }, `initializer "w": data is a int`},
		{"initializer of negative size", func(m *Model) { m.Graph.Initializers[0].Shape[0] = -2 }, `initializer "w": shape [-2 1 3 3]: size -2 of axis 0 is negative`},
		{"initializer of absurd size", func(m *Model) { m.Graph.Initializers[0].Shape = []int{1 << 40, 1 << 40} }, `initializer "w": shape`},
		{"NaN in a weight", func(m *Model) { weight(m)[5] = float32(math.NaN()) }, `initializer "w" float32 [2 1 3 3]: element 5 is NaN`},
		{"infinity in a weight", func(m *Model) { weight(m)[5] = float32(math.Inf(-1)) }, `node 0 (Conv "conv"): weight "w" float32 [2 1 3 3]: element 5 is -Inf`},
		{"NaN in a half", func(m *Model) { m.Graph.Initializers[1].Data = []Half{0, 0x7e00} }, `initializer "b" float16 [2]: element 1 is NaN`},
		{"node without operator", func(m *Model) { m.Graph.Nodes[1].Op = "" }, "node 1"},
		{"absurd constant size", func(m *Model) {
			m.Graph.Nodes[2] = Node{Op: "ConstantOfShape", In: []string{"axes"}, Out: []string{"s"}}
			m.Graph.Initializers[2].Data = []int64{1 << 20, 1 << 20, 1 << 20}
		}, "node 2 (ConstantOfShape): shape [1048576 1048576 1048576]: more than"},
		{"inner graph that reads what nothing gives", func(m *Model) {
			m.Graph.Nodes[1].Attrs["body"] = &Graph{Nodes: []Node{{Op: "Neg", In: []string{"inner"}, Out: []string{"o"}}}, Outputs: []ValueInfo{{Name: "o"}}}
		}, `node 1 (Unsqueeze "widen"): node 0 (Neg): input "inner"`},
		{"graphs too deep", func(m *Model) {
			g := &Graph{}
			for range 2 * maxDepth {
				g = &Graph{Nodes: []Node{{Op: "If", Attrs: Attrs{"g": g}}}}
			}
			m.Graph.Nodes[1].Attrs["body"] = g
		}, "nested more than 8 deep"},
		{"symbols that do not fit the axes", func(m *Model) { m.Graph.Inputs[1].Symbols = []string{"a", "b"} }, `input "t": 2 symbols for 1 axes`},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := smallNet()
			c.change(m)
			if err := m.Check(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
			if _, err := NewSession(m, Options{}); err == nil {
				t.Error("a session is opened all the same")
			}
			if _, err := m.Encode(); err == nil {
				t.Error("it is written all the same")
			}
		})
	}
}

func TestMaskOfInfinities(t *testing.T) {
	m := smallNet() // an attention mask may hold −∞: only weights may not
	m.Graph.Initializers = append(m.Graph.Initializers, Initializer{"mask", Tensor{[]int{1}, []float32{float32(math.Inf(-1))}}})
	m.Graph.Nodes[2].In[1] = "mask"
	if err := m.Check(); err != nil {
		t.Error(err)
	}
}

func TestOldFilesListWeightsAsInputs(t *testing.T) {
	m := smallNet()
	m.Graph.Inputs = append(m.Graph.Inputs, ValueInfo{Name: "w", Type: Float32, Shape: []int{2, 1, 3, 3}})
	if err := m.Check(); err != nil {
		t.Fatal(err)
	}
	if got := m.info("", "").Inputs; len(got) != 2 {
		t.Errorf("weights count as inputs: %v", got)
	}
}

func TestDecodeSortsNodes(t *testing.T) {
	m := smallNet()
	n := m.Graph.Nodes
	n[0], n[1], n[2], n[3] = n[3], n[2], n[1], n[0]
	got, err := Decode(mustEncode(t, m))
	if err != nil {
		t.Fatal(err)
	}
	at := map[string]int{}
	for i, n := range got.Graph.Nodes {
		at[n.Name] = i
	}
	if len(at) != 4 || at["conv"] > at["shift"] || at["widen"] > at["shift"] || at["shift"] > at["sum"] {
		t.Errorf("order is %v", at)
	}
}
