package data

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestMNISTIsTheTestSplit(t *testing.T) {
	m, err := MNIST()
	if err != nil {
		t.Fatal(err)
	}
	if m.N != 10000 || m.H != 28 || m.W != 28 || len(m.Pixels) != 10000*28*28 || len(m.Labels) != 10000 {
		t.Fatalf("%d images %d×%d, %d pixels, %d labels", m.N, m.H, m.W, len(m.Pixels), len(m.Labels))
	}
	if got, want := m.Labels[:10], []uint8{7, 2, 1, 0, 4, 1, 4, 9, 5, 9}; !bytes.Equal(got, want) {
		t.Errorf("labels begin %v, want %v", got, want)
	}
	var perClass [10]int
	for _, y := range m.Labels {
		perClass[y]++
	}
	if want := [10]int{980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009}; perClass != want {
		t.Errorf("classes have %v images, want %v", perClass, want)
	}
	if again, _ := MNIST(); again != m {
		t.Error("decoded a second time")
	}
	x := m.Float32(Signed)
	if x[0] != -1 {
		t.Errorf("black is %g, want -1", x[0])
	}
	for i, p := range m.Image(3) {
		if want := float32(p)/255*2 - 1; math.Abs(float64(x[3*784+i]-want)) > 1e-6 {
			t.Fatalf("pixel %d is %g, want %g", i, x[3*784+i], want)
		}
	}
}

func TestReadImagesRefusesPairsThatDoNotMatch(t *testing.T) {
	idx := func(t *testing.T, x Tensor) *bytes.Buffer {
		var b bytes.Buffer
		if err := WriteIDX(&b, x); err != nil {
			t.Fatal(err)
		}
		return &b
	}
	images := Tensor{Shape: []int{2, 1, 1}, Data: []uint8{1, 2}}
	for _, row := range []struct {
		name           string
		images, labels Tensor
		want           string
	}{
		{"labels missing", images, Tensor{Shape: []int{1}, Data: []uint8{1}}, "must be []uint8, [2]"},
		{"labels are floats", images, Tensor{Shape: []int{2}, Data: []float32{1, 2}}, "labels of type []float32"},
		{"images are flat", Tensor{Shape: []int{2}, Data: []uint8{1, 2}}, Tensor{Shape: []int{2}, Data: []uint8{1, 2}}, "[N H W]"},
	} {
		_, err := ReadImages(idx(t, row.images), idx(t, row.labels))
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: error %v, want %q in it", row.name, err, row.want)
		}
	}
}

// Every type that a format has comes back as it went in.
func TestRoundTrip(t *testing.T) {
	f32 := []float32{0, -1.5, math.MaxFloat32, float32(math.Inf(1)), math.SmallestNonzeroFloat32, 7}
	for _, x := range []Tensor{
		{Shape: []int{2, 3}, Data: f32},
		{Shape: []int{6}, Data: []float64{0, -1.5, math.MaxFloat64, math.Inf(-1), 1e-320, 7}},
		{Shape: []int{1, 2}, Data: []int8{-128, 127}},
		{Shape: []int{2, 1}, Data: []int32{math.MinInt32, math.MaxInt32}},
		{Shape: []int{2}, Data: []int64{math.MinInt64, math.MaxInt64}},
		{Shape: []int{3}, Data: []uint8{0, 1, 255}},
		{Shape: []int{}, Data: []float64{3}},
		{Shape: []int{0, 5}, Data: []float32{}},
	} {
		for _, f := range []struct {
			name string
			trip func() (Tensor, error)
		}{
			{"IDX", func() (Tensor, error) {
				var b bytes.Buffer
				if err := WriteIDX(&b, x); err != nil {
					return Tensor{}, err
				}
				return ReadIDX(&b)
			}},
			{"NPY", func() (Tensor, error) {
				var b bytes.Buffer
				if err := WriteNPY(&b, x); err != nil {
					return Tensor{}, err
				}
				return ReadNPY(&b)
			}},
			{"safetensors", func() (Tensor, error) {
				var b bytes.Buffer
				if err := WriteSafetensors(&b, &Safetensors{Tensors: map[string]Tensor{"x": x}}); err != nil {
					return Tensor{}, err
				}
				s, err := ReadSafetensors(&b)
				if err != nil {
					return Tensor{}, err
				}
				return s.Tensors["x"], nil
			}},
		} {
			got, err := f.trip()
			if _, wide := x.Data.([]int64); wide && f.name == "IDX" {
				if err == nil {
					t.Error("IDX has no 64-bit integers, but wrote them")
				}
				continue
			}
			if err != nil {
				t.Errorf("%s of %T: %v", f.name, x.Data, err)
			} else if !reflect.DeepEqual(got, x) {
				t.Errorf("%s: got %v, want %v", f.name, got, x)
			}
		}
	}
}

func TestWritersRefuseDataThatDoesNotFillItsShape(t *testing.T) {
	for _, x := range []Tensor{
		{Shape: []int{2, 2}, Data: []float32{1}},
		{Shape: []int{-1}, Data: []float32{}},
		{Shape: []int{1}, Data: []string{"x"}},
		{Shape: []int{1}},
		{Shape: []int{1 << 31, 1 << 31, 1 << 31}, Data: []uint8{}},
	} {
		var b bytes.Buffer
		if err := WriteNPY(&b, x); err == nil {
			t.Errorf("NPY wrote %v", x)
		}
		if err := WriteIDX(&b, x); err == nil {
			t.Errorf("IDX wrote %v", x)
		}
		if err := WriteSafetensors(&b, &Safetensors{Tensors: map[string]Tensor{"x": x}}); err == nil {
			t.Errorf("safetensors wrote %v", x)
		}
		if err := WritePNG(&b, x, Unit); err == nil {
			t.Errorf("PNG wrote %v", x)
		}
	}
}

func TestConversions(t *testing.T) {
	x := Tensor{Shape: []int{3}, Data: []int64{-1, 0, 1 << 40}}
	if got := x.Float64(); !reflect.DeepEqual(got, []float64{-1, 0, 1 << 40}) {
		t.Errorf("int64 to float64: %v", got)
	}
	y := Tensor{Shape: []int{2}, Data: []float32{1, 2}}
	if got := y.Float32(); &got[0] != &y.Data.([]float32)[0] {
		t.Error("float32 data was copied")
	}
	if got := (Tensor{Data: []string{"a"}}).Float32(); got != nil {
		t.Errorf("unknown type gives %v", got)
	}
}

func TestHalfPrecision(t *testing.T) {
	bits := []uint16{0x0000, 0x8000, 0x3c00, 0xc000, 0x7bff, 0x0001, 0x83ff, 0x7c00, 0xfc00, 0x3555}
	want := []float32{0, float32(math.Copysign(0, -1)), 1, -2, 65504, 0x1p-24, -0x3ffp-24, float32(math.Inf(1)), float32(math.Inf(-1)), 0.333251953125}
	var b []byte
	for _, h := range bits {
		b = binary.LittleEndian.AppendUint16(b, h)
	}
	for i, got := range halves(b, binary.LittleEndian) {
		if math.Float32bits(got) != math.Float32bits(want[i]) {
			t.Errorf("half %#04x: got %g, want %g", bits[i], got, want[i])
		}
	}
	if x := halves([]byte{0x01, 0x7e}, binary.LittleEndian)[0]; x == x {
		t.Errorf("half NaN: got %g", x)
	}
	if got := brains([]byte{0x80, 0x3f, 0x49, 0xc0}); got[0] != 1 || got[1] != -3.140625 {
		t.Errorf("bfloat16: got %v, want 1 and -3.140625", got)
	}
}

func TestToHalf(t *testing.T) {
	for bits := range 1 << 16 {
		h := Half(bits)
		if got := ToHalf(h.Float32()); got != h && !math.IsNaN(float64(h.Float32())) {
			t.Fatalf("half %#04x comes back as %#04x", bits, got)
		}
	}
	for _, tt := range []struct {
		name string
		x    float32
		want Half
	}{
		{"a tie to even, down", 1 + 0x1p-11, 0x3c00},
		{"a tie to even, up", 1 + 3*0x1p-11, 0x3c02},
		{"above a tie", 1 + 0x1p-11 + 0x1p-20, 0x3c01},
		{"into the next power of two", 2 - 0x1p-12, 0x4000},
		{"into infinity", 65520, 0x7c00},
		{"below infinity", 65519, 0x7bff},
		{"far above", -1e30, 0xfc00},
		{"into the normal numbers", 0x1p-14 - 0x1p-26, 0x0400},
		{"a tie of subnormals", 3 * 0x1p-25, 0x0002},
		{"half of the smallest", -0x1p-25, 0x8000},
		{"NaN", float32(math.NaN()), 0x7e00},
	} {
		if got := ToHalf(tt.x); got != tt.want {
			t.Errorf("%s: %g gives %#04x, want %#04x", tt.name, tt.x, got, tt.want)
		}
	}
}

func TestWriteHalf(t *testing.T) {
	var b bytes.Buffer
	in := &Safetensors{Tensors: map[string]Tensor{"w": {Shape: []int{2, 1}, Data: []Half{ToHalf(.5), ToHalf(-3)}}, "x": {Shape: []int{1}, Data: []float32{7}}}}
	if err := WriteSafetensors(&b, in); err != nil {
		t.Fatal(err)
	}
	out, err := ReadSafetensors(&b)
	if err != nil {
		t.Fatal(err)
	}
	if w := out.Tensors["w"].Float32(); len(w) != 2 || w[0] != .5 || w[1] != -3 || out.Tensors["x"].Float32()[0] != 7 {
		t.Errorf("halves come back as %v", out.Tensors)
	}
	if err := WriteNPY(&b, in.Tensors["w"]); err != nil {
		t.Fatal(err)
	}
	if y, err := ReadNPY(&b); err != nil || y.Float32()[1] != -3 {
		t.Errorf("halves come back from NPY as %v, %v", y, err)
	}
}

func npyFile(version byte, header string, payload ...byte) string {
	n := binary.LittleEndian.AppendUint16(nil, uint16(len(header)))
	if version > 1 {
		n = binary.LittleEndian.AppendUint32(nil, uint32(len(header)))
	}
	return npyMagic + string([]byte{version, 0}) + string(n) + header + string(payload)
}

func TestReadNPY(t *testing.T) {
	for _, row := range []struct {
		name, file string
		want       Tensor
	}{
		{"Fortran order read as C", npyFile(1, "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }\n", 1, 2, 3, 4, 5, 6),
			Tensor{[]int{2, 3}, []uint8{1, 3, 5, 2, 4, 6}}},
		{"three Fortran dimensions", npyFile(1, "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 1, 3)}", 1, 2, 3, 4, 5, 6),
			Tensor{[]int{2, 1, 3}, []uint8{1, 3, 5, 2, 4, 6}}},
		{"big-endian taken for little", npyFile(2, `{"shape": (1,), "fortran_order": False, "descr": ">i4"}`, 0, 0, 1, 2),
			Tensor{[]int{1}, []int32{258}}},
		{"version 3", npyFile(3, "{'descr': '<f4', 'fortran_order': False, 'shape': ()}", 0, 0, 0x80, 0x3f),
			Tensor{[]int{}, []float32{1}}},
		{"booleans", npyFile(1, "{'descr': '|b1', 'fortran_order': False, 'shape': (2L,)}", 0, 1),
			Tensor{[]int{2}, []uint8{0, 1}}},
	} {
		got, err := ReadNPY(strings.NewReader(row.file))
		if err != nil {
			t.Errorf("%s: %v", row.name, err)
		} else if !reflect.DeepEqual(got, row.want) {
			t.Errorf("%s: got %v, want %v", row.name, got, row.want)
		}
	}
}

func TestNPYElementsAreAligned(t *testing.T) {
	for n := range 70 {
		var b bytes.Buffer
		x := Tensor{Shape: make([]int, n%maxRank+1), Data: []float64{}}
		if err := WriteNPY(&b, x); err != nil {
			t.Fatal(err)
		}
		if b.Len()%64 != 0 {
			t.Fatalf("rank %d: elements begin at byte %d, not a multiple of 64", len(x.Shape), b.Len())
		}
	}
}

func safetensorsFile(header, payload string) string {
	return string(binary.LittleEndian.AppendUint64(nil, uint64(len(header)))) + header + payload
}

// What is wrong with a file is said, whatever the format.
func TestDamagedFiles(t *testing.T) {
	u8 := func(extra string) string {
		return `{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}` + extra + `}`
	}
	huge := npyFile(1, "{'descr': '<f8', 'fortran_order': False, 'shape': (100000000, 2), }")
	for _, row := range []struct {
		name, format, file, want string
	}{
		{"empty", "IDX", "", "truncated: 0 of 4"},
		{"other file", "IDX", "PK\x03\x04", "not an IDX file"},
		{"unknown type", "IDX", "\x00\x00\x0a\x01", "not an IDX file"},
		{"no dimensions", "IDX", "\x00\x00\x08\x03\x00", "truncated: 1 of 12"},
		{"short", "IDX", "\x00\x00\x08\x01\x00\x00\x00\x05ab", "truncated: 2 of 5"},
		{"long", "IDX", "\x00\x00\x08\x01\x00\x00\x00\x01ab", "bytes follow"},
		{"claims 2^96 bytes", "IDX", "\x00\x00\x08\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "more than 2147483648 bytes"},
		{"rank 255", "IDX", "\x00\x00\x08\xff" + strings.Repeat("\x00\x00\x00\x01", 255), "255 dimensions"},
		{"bad gzip", "IDX", "\x1f\x8b123", "gzip"},

		{"other file", "NPY", "PK\x03\x04....", "not an NPY file"},
		{"version 9", "NPY", npyFile(9, "{}"), "version 9.0"},
		{"no dict", "NPY", npyFile(1, "hello"), `"{" expected`},
		{"no shape", "NPY", npyFile(1, "{'descr': '<f4', 'fortran_order': False}"), "no shape"},
		{"shape twice", "NPY", npyFile(1, "{'shape': (1,), 'shape': (2,)}"), "given twice"},
		{"negative", "NPY", npyFile(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}"), "whole number"},
		{"structured", "NPY", npyFile(1, "{'descr': [('a', '<f4')], }"), "structured"},
		{"complex", "NPY", npyFile(1, "{'descr': '<c8', 'fortran_order': False, 'shape': (1,)}"), `element type "<c8"`},
		{"two byte orders", "NPY", npyFile(1, "{'descr': '<>f4', 'fortran_order': False, 'shape': (0,)}"), "element type"},
		{"missing elements", "NPY", huge, "truncated: 0 of 1600000000"},
		{"too large", "NPY", strings.Replace(huge, "100000000, 2", "100000000, 9", 1), "more than 2147483648 bytes"},
		{"huge header", "NPY", npyMagic + "\x02\x00\xff\xff\xff\xff", "header of 4294967295 bytes"},

		{"header size", "safetensors", "\xff\xff\xff\xff\xff\xff\xff\xff", "header of"},
		{"no header", "safetensors", "\x10\x00\x00\x00\x00\x00\x00\x00{", "truncated: 1 of 16"},
		{"array", "safetensors", safetensorsFile("[]", ""), "must begin with {"},
		{"space first", "safetensors", safetensorsFile(" {}", ""), "must begin with {"},
		{"short", "safetensors", safetensorsFile(u8(""), "a"), `tensor "a": truncated`},
		{"long", "safetensors", safetensorsFile(u8(""), "abc"), "bytes follow"},
		{"overlap", "safetensors", safetensorsFile(u8(`,"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}`), "abc"), `tensor "b" begins at byte 1`},
		{"gap", "safetensors", safetensorsFile(u8(`,"b":{"dtype":"U8","shape":[1],"data_offsets":[3,4]}`), "abcd"), `tensor "b" begins at byte 3`},
		{"wrong size", "safetensors", safetensorsFile(u8(`,"b":{"dtype":"F32","shape":[2],"data_offsets":[2,4]}`), "abcd"), "has 8 bytes"},
		{"backwards", "safetensors", safetensorsFile(u8(`,"b":{"dtype":"U8","shape":[1],"data_offsets":[3,2]}`), "abcd"), "data_offsets [3 2]"},
		{"dtype", "safetensors", safetensorsFile(u8(`,"b":{"dtype":"F8","shape":[1],"data_offsets":[2,3]}`), "abc"), `dtype "F8"`},
		{"twice", "safetensors", safetensorsFile(u8(`,"a":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}`), "abc"), `"a" is given twice`},
		{"no offsets", "safetensors", safetensorsFile(`{"a":{"dtype":"U8","shape":[0]}}`, ""), "data_offsets [-1 -1]"},
		{"no shape", "safetensors", safetensorsFile(`{"a":{"dtype":"U8","data_offsets":[0,1]}}`, "a"), "no shape"},
		{"metadata not text", "safetensors", safetensorsFile(`{"__metadata__":{"a":1}}`, ""), "__metadata__"},
		{"text after", "safetensors", safetensorsFile(`{} x`, ""), "follows the object"},

		{"empty", "CSV", "", "no rows"},
		{"header only", "CSV", "a,b\n", "no rows"},
		{"ragged", "CSV", "1,2\n3\n", "line 2 has 1 fields, line 1 has 2"},
		{"text", "CSV", "a,b\n1,2\n3,x\n", `line 3, column 2: "x" is not a number`},
		{"quote", "CSV", "1,2\n\"3,4\n", "quote"},
		{"overflow", "CSV", "1,2\n3,1e999\n", `"1e999" is not a number`},

		{"other file", "PNG", "GIF89a..", "not a PNG"},
		{"size only", "PNG", pngHeader(1<<20, 1<<20), "1048576×1048576: more than"},
		{"no pixels", "PNG", pngHeader(4, 4), "EOF"},
	} {
		var err error
		r := strings.NewReader(row.file)
		switch row.format {
		case "IDX":
			_, err = ReadIDX(r)
		case "NPY":
			_, err = ReadNPY(r)
		case "safetensors":
			_, err = ReadSafetensors(r)
		case "CSV":
			_, err = ReadCSV(r)
		case "PNG":
			_, err = ReadPNG(r, Unit)
		}
		if err == nil || !strings.Contains(err.Error(), row.want) || !strings.Contains(err.Error(), row.format) {
			t.Errorf("%s, %s: error %v, want %q in it", row.format, row.name, err, row.want)
		}
	}
}

func TestSafetensorsFileIsTheSameForTheSameContent(t *testing.T) {
	s := &Safetensors{
		Metadata: map[string]string{"recipe": "abc", "a": `"quoted"`},
		Tensors: map[string]Tensor{
			"bytes": {Shape: []int{3}, Data: []uint8{1, 2, 3}},
			"b":     {Shape: []int{1}, Data: []float32{1}},
			"a":     {Shape: []int{1}, Data: []float32{2}},
			"wide":  {Data: []float64{3}},
		},
	}
	var first []byte
	for range 5 {
		var b bytes.Buffer
		if err := WriteSafetensors(&b, s); err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = b.Bytes()
		}
		if !bytes.Equal(first, b.Bytes()) {
			t.Fatal("two files differ")
		}
	}
	if n := binary.LittleEndian.Uint64(first); n%8 != 0 {
		t.Errorf("header of %d bytes leaves elements unaligned", n)
	}
	if !bytes.Contains(first, []byte(`"wide":{"dtype":"F64","shape":[],"data_offsets":[0,8]},"a":`)) {
		t.Errorf("wide elements do not come first: %s", first)
	}
	got, err := ReadSafetensors(bytes.NewReader(first))
	if err != nil {
		t.Fatal(err)
	}
	s.Tensors["wide"] = Tensor{Shape: []int{}, Data: []float64{3}}
	if !reflect.DeepEqual(got, s) {
		t.Errorf("got %v, want %v", got, s)
	}
}

func TestReadCSV(t *testing.T) {
	nan := math.NaN()
	for _, row := range []struct {
		name, file string
		names      []string
		values     []float64
	}{
		{"numbers taken for a header", "1,2\n3,4\n", nil, []float64{1, 2, 3, 4}},
		{"header taken for numbers", "\ufeffx, y\n1, 2\n3, 4", []string{"x", "y"}, []float64{1, 2, 3, 4}},
		{"header with a number", "0,label\n1,2\n3,4\n", []string{"0", "label"}, []float64{1, 2, 3, 4}},
		{"semicolons", "x;y\r\n1e-3;-2\r\n3;4\r\n", []string{"x", "y"}, []float64{1e-3, -2, 3, 4}},
		{"tabs", "1\t2\n\t4\n", nil, []float64{1, 2, nan, 4}},
		{"missing values", "1,?\nNA,\n", nil, []float64{1, nan, nan, nan}},
	} {
		got, err := ReadCSV(strings.NewReader(row.file))
		if err != nil {
			t.Errorf("%s: %v", row.name, err)
			continue
		}
		if got.Rows != 2 || got.Cols != 2 || !reflect.DeepEqual(got.Names, row.names) || !same(got.Values, row.values) {
			t.Errorf("%s: got %+v", row.name, got)
		}
		var b bytes.Buffer
		if err := WriteCSV(&b, got); err != nil {
			t.Fatal(err)
		}
		again, err := ReadCSV(&b)
		if err != nil || !same(again.Values, got.Values) || !reflect.DeepEqual(again.Names, got.Names) {
			t.Errorf("%s: written and read again: %+v, %v", row.name, again, err)
		}
	}
}

func same(a, b []float64) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] && !(math.IsNaN(a[i]) && math.IsNaN(b[i])) {
			return false
		}
	}
	return true
}

func TestTableRowsAndColumns(t *testing.T) {
	x := &Table{Rows: 2, Cols: 3, Values: []float64{1, 2, 3, 4, 5, 6}}
	if got := x.Row(1); !same(got, []float64{4, 5, 6}) {
		t.Errorf("row 1 is %v", got)
	}
	if got := x.Col(1); !same(got, []float64{2, 5}) {
		t.Errorf("column 1 is %v", got)
	}
}

func TestOpenDecompresses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.csv.gz")
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte("1,2\n"))
	z.Close()
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if x, err := ReadCSV(f); err != nil || x.Rows != 1 {
		t.Errorf("%v, %v", x, err)
	}
	if _, err := Open(path + "x"); err == nil {
		t.Error("a missing file was opened")
	}
}

// The digits are a real file of another kind; they stand beside the project.
func TestReadDigits(t *testing.T) {
	f, err := Open("../../shared/data/digits.csv.gz")
	if os.IsNotExist(err) {
		t.Skip("no shared data")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	x, err := ReadCSV(f)
	if err != nil {
		t.Fatal(err)
	}
	if x.Rows != 1797 || x.Cols != 65 {
		t.Errorf("%d rows × %d, want 1797 × 65", x.Rows, x.Cols)
	}
}

func TestGzipChecksumIsChecked(t *testing.T) {
	b := bytes.Clone(mnistLabels)
	b[len(b)-6] ^= 1 // the CRC
	if _, err := ReadIDX(bytes.NewReader(b)); err == nil {
		t.Error("a damaged file was read")
	}
}
