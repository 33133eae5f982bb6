package onnx

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

func mustEncode(t testing.TB, m *Model) []byte {
	t.Helper()
	b, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRoundTrip(t *testing.T) {
	m := smallNet()
	m.Domains["org.example"] = 3
	m.Graph.Values = []ValueInfo{{Name: "c", Type: Float32, Shape: []int{}}, {Name: "s", Type: Float32}}
	m.Graph.Initializers = append(m.Graph.Initializers,
		Initializer{"f64", Tensor{[]int{2}, []float64{math.Pi, -1}}},
		Initializer{"i32", Tensor{[]int{}, []int32{-7}}},
		Initializer{"bool", Tensor{[]int{3}, []bool{true, false, true}}},
		Initializer{"i8", Tensor{[]int{2}, []int8{-128, 127}}},
		Initializer{"u8", Tensor{[]int{2}, []uint8{0, 255}}},
		Initializer{"i16", Tensor{[]int{1}, []int16{-300}}},
		Initializer{"u16", Tensor{[]int{1}, []uint16{65535}}},
		Initializer{"u32", Tensor{[]int{1}, []uint32{1 << 31}}},
		Initializer{"u64", Tensor{[]int{1}, []uint64{1 << 63}}},
		Initializer{"half", Tensor{[]int{1}, []Half{0x3c00}}},
		Initializer{"bhalf", Tensor{[]int{1}, []BHalf{0x3f80}}},
		Initializer{"text", Tensor{[]int{2}, []string{"", "a\xff"}}},
		Initializer{"none", Tensor{[]int{0, 4}, []float32{}}},
	)
	sub := &Graph{Name: "sub", Nodes: []Node{{Op: "Identity", In: []string{"c"}, Out: []string{"z"}, Attrs: Attrs{}}}, Outputs: []ValueInfo{{Name: "z"}}}
	m.Graph.Nodes = append(m.Graph.Nodes, Node{Op: "Odd", Domain: "org.example", Out: []string{"", "odd"}, Attrs: Attrs{
		"f": float32(0.25), "i": int64(-3), "s": "text", "t": Tensor{[]int{1}, []int64{9}}, "g": sub,
		"fs": []float32{1, 2}, "is": []int64{1, -2}, "ss": []string{"a", "b"}, "ts": []Tensor{{[]int{}, []int32{1}}}, "gs": []*Graph{sub},
	}})
	b := mustEncode(t, m)
	got, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, m) {
		t.Errorf("read back differently:\n got %+v\nwant %+v", got, m)
	}
	if !bytes.Equal(mustEncode(t, got), b) {
		t.Error("written again, the bytes differ")
	}
}

func TestWriteTakesPlainNumbers(t *testing.T) {
	m := smallNet()
	m.IR, m.Opset = 0, 0
	m.Graph.Nodes[0].Attrs = Attrs{"pads": []int{1, 1, 1, 1}, "group": 1, "alpha": 0.5}
	path := filepath.Join(t.TempDir(), "m.onnx")
	if err := m.Write(path); err != nil {
		t.Fatal(err)
	}
	got, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	want := Attrs{"pads": []int64{1, 1, 1, 1}, "group": int64(1), "alpha": float32(0.5)}
	if !reflect.DeepEqual(got.Graph.Nodes[0].Attrs, want) || got.IR != defaultIR || got.Opset != defaultOpset {
		t.Errorf("read back %v, IR %d, opset %d", got.Graph.Nodes[0].Attrs, got.IR, got.Opset)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); len(left) != 1 {
		t.Errorf("Write left %v", left)
	}
}

func TestSharedNetworkRoundTrip(t *testing.T) {
	ref := loadReference(t)
	m, err := Read(ref.path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Decode(mustEncode(t, m))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(again, m) {
		t.Error("a file of another framework is read back differently")
	}
	if in := m.info("", ""); in.Params != 493089 || in.Opset != 16 || in.Ops["Conv"] != 19 || in.Producer != "pytorch 1.13.0" {
		t.Errorf("described as %+v", in)
	}
}

// typed gives a model whose weight "w" is stored in typed fields instead of raw bytes.
func typed(data func(b []byte) []byte, typ Type) []byte {
	var tensor []byte
	tensor = protowire.AppendTag(tensor, 1, protowire.BytesType) // dims, packed
	tensor = protowire.AppendBytes(tensor, []byte{2})
	tensor = protowire.AppendTag(tensor, 2, protowire.VarintType)
	tensor = protowire.AppendVarint(tensor, uint64(typ))
	tensor = protowire.AppendTag(tensor, 8, protowire.BytesType)
	tensor = protowire.AppendString(tensor, "w")
	return withInitializer(data(tensor))
}

// withInitializer is a model file that returns its one weight.
func withInitializer(tensor []byte) []byte {
	var out, graph, model []byte
	out = protowire.AppendTag(out, 1, protowire.BytesType)
	out = protowire.AppendString(out, "w")
	graph = protowire.AppendTag(graph, 5, protowire.BytesType)
	graph = protowire.AppendBytes(graph, tensor)
	graph = protowire.AppendTag(graph, 12, protowire.BytesType)
	graph = protowire.AppendBytes(graph, out)
	model = protowire.AppendTag(model, 7, protowire.BytesType)
	return protowire.AppendBytes(model, graph)
}

func TestTypedData(t *testing.T) {
	varints := func(num protowire.Number, packed bool, v ...int64) func([]byte) []byte {
		return func(b []byte) []byte {
			var p []byte
			for _, x := range v {
				if !packed {
					b = protowire.AppendTag(b, num, protowire.VarintType)
					b = protowire.AppendVarint(b, uint64(x))
				}
				p = protowire.AppendVarint(p, uint64(x))
			}
			if packed {
				b = protowire.AppendTag(b, num, protowire.BytesType)
				b = protowire.AppendBytes(b, p)
			}
			return b
		}
	}
	floats := func(b []byte) []byte {
		for _, x := range []float32{1.5, -2} {
			b = protowire.AppendTag(b, 4, protowire.Fixed32Type)
			b = protowire.AppendFixed32(b, math.Float32bits(x))
		}
		return b
	}
	doubles := func(b []byte) []byte {
		var p []byte
		for _, x := range []float64{1.5, -2} {
			p = protowire.AppendFixed64(p, math.Float64bits(x))
		}
		b = protowire.AppendTag(b, 10, protowire.BytesType)
		return protowire.AppendBytes(b, p)
	}
	for _, c := range []struct {
		name string
		file []byte
		want any
	}{
		{"float_data, one field a number", typed(floats, Float32), []float32{1.5, -2}},
		{"double_data, packed", typed(doubles, Float64), []float64{1.5, -2}},
		{"int64_data", typed(varints(7, true, -1, 5), Int64), []int64{-1, 5}},
		{"int32_data", typed(varints(5, false, -1, 5), Int32), []int32{-1, 5}},
		{"int32_data of int8", typed(varints(5, true, -1, 5), Int8), []int8{-1, 5}},
		{"int32_data of bool", typed(varints(5, true, 0, 1), Bool), []bool{false, true}},
		{"int32_data of float16", typed(varints(5, true, 0x3c00, 0), Float16), []Half{0x3c00, 0}},
		{"uint64_data", typed(varints(11, true, 3, 5), Uint64), []uint64{3, 5}},
	} {
		m, err := Decode(c.file)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := m.Graph.Initializers[0].Data; !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: read %v, want %v", c.name, got, c.want)
		}
	}
}

// kept is a tensor whose data lie in another file.
func kept(location, offset, length string) []byte {
	var b []byte
	b = protowire.AppendTag(b, 1, protowire.VarintType)
	b = protowire.AppendVarint(b, 2)
	b = protowire.AppendTag(b, 2, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(Float32))
	b = protowire.AppendTag(b, 8, protowire.BytesType)
	b = protowire.AppendString(b, "w")
	for _, kv := range [][2]string{{"location", location}, {"offset", offset}, {"length", length}} {
		var p []byte
		p = protowire.AppendTag(p, 1, protowire.BytesType)
		p = protowire.AppendString(p, kv[0])
		p = protowire.AppendTag(p, 2, protowire.BytesType)
		p = protowire.AppendString(p, kv[1])
		b = protowire.AppendTag(b, 13, protowire.BytesType)
		b = protowire.AppendBytes(b, p)
	}
	b = protowire.AppendTag(b, 14, protowire.VarintType)
	b = protowire.AppendVarint(b, 1)
	return withInitializer(b)
}

func TestExternalData(t *testing.T) {
	dir := t.TempDir()
	raw := []byte{9, 9, 9, 9, 0, 0, 128, 63, 0, 0, 0, 64} // 1 and 2 after four bytes
	if err := os.WriteFile(filepath.Join(dir, "m.data"), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "m.onnx")
	read := func(b []byte) (*Model, error) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return Read(path)
	}
	m, err := read(kept("m.data", "4", "8"))
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Graph.Initializers[0].Data; !reflect.DeepEqual(got, []float32{1, 2}) {
		t.Errorf("read %v", got)
	}
	for _, c := range []struct {
		name string
		file []byte
		want string
	}{
		{"beyond the file's end", kept("m.data", "8", "8"), `bytes 8 to 16 of "m.data", which has 12`},
		{"negative offset", kept("m.data", "-4", "8"), "bytes -4"},
		{"offset that overflows", kept("m.data", "9223372036854775807", "8"), "which has 12"},
		{"offset that is no number", kept("m.data", "x", "8"), `offset = "x"`},
		{"length that does not fit the shape", kept("m.data", "0", "12"), "2 elements need 8 bytes, the file says 12"},
		{"missing file", kept("n.data", "0", "8"), "n.data"},
		{"file of another folder", kept("../m.data", "0", "8"), "only files in the model's own folder"},
		{"absolute path", kept("/etc/hostname", "0", "8"), "only files in the model's own folder"},
	} {
		if _, err := read(c.file); err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), path) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
		}
	}
	if _, err := Decode(kept("m.data", "4", "8")); err == nil || !strings.Contains(err.Error(), "another file") {
		t.Errorf("without a folder: %v", err)
	}
}

func TestTruncated(t *testing.T) {
	b := mustEncode(t, smallNet())
	whole := 0
	for n := range len(b) {
		if _, err := Decode(b[:n]); err == nil {
			whole++ // cut between two fields, what is left may be a model
			if n < len(b)*3/4 {
				t.Errorf("the first %d of %d bytes are read as a model", n, len(b))
			}
		}
	}
	if whole > 3 {
		t.Errorf("%d truncations are read as models", whole)
	}
}

func TestNotAModel(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"empty": "", "text": "this is a text, not a network\n", "zip": "PK\x03\x04\x14\x00\x00\x00", "zeros": string(make([]byte, 64)),
		"html": "<!DOCTYPE html><html><body>Sign in</body></html>", "pointer": "version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 1\n",
	} {
		path := filepath.Join(dir, name+".onnx")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Read(path)
		if err == nil || !strings.HasPrefix(err.Error(), path+": ") || !(strings.Contains(err.Error(), "not an ONNX file") || name == "empty") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Read(dir); err == nil || !strings.Contains(err.Error(), "is a folder") {
		t.Errorf("a folder: %v", err)
	}
	if _, err := Read(filepath.Join(dir, "missing")); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("a missing file: %v", err)
	}
}

func TestHalf(t *testing.T) {
	for h, want := range map[Half]float32{
		0x0000: 0, 0x3c00: 1, 0xc000: -2, 0x7bff: 65504, 0x0001: 0x1p-24, 0x8001: -0x1p-24, 0x0400: 0x1p-14,
		0x7c00: float32(math.Inf(1)), 0xfc00: float32(math.Inf(-1)), 0x3555: 0.33325195,
	} {
		if got := h.Float32(); got != want {
			t.Errorf("half %#04x is %g, want %g", uint16(h), got, want)
		}
	}
	if got := Half(0x7e00).Float32(); got == got {
		t.Errorf("half NaN is %g", got)
	}
	if got := BHalf(0x3f80).Float32(); got != 1 {
		t.Errorf("bfloat16 1 is %g", got)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(mustEncode(f, smallNet()))
	f.Add(kept("m.data", "4", "8"))
	f.Add(withInitializer([]byte{8, 255, 255, 255, 255, 15}))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Decode(b)
		if err != nil || len(m.Functions) > 0 {
			return
		}
		once, err := m.Encode()
		if err != nil {
			t.Fatalf("read but not written: %v", err)
		}
		again, err := Decode(once)
		if err != nil {
			t.Fatalf("written but not read: %v", err)
		}
		if twice := mustEncode(t, again); !bytes.Equal(once, twice) {
			t.Fatalf("written differently the second time")
		}
	})
}
