package data

import (
	"bytes"
	"compress/gzip"
	"reflect"
	"testing"
)

var fuzzTensors = []Tensor{
	{Shape: []int{2, 2}, Data: []float32{1, 2, 3, 4}},
	{Shape: []int{1}, Data: []int32{1}},
	{Shape: []int{}, Data: []uint8{1}},
	{Shape: []int{3, 0}, Data: []float64{}},
}

// checkTensor fails unless a tensor that was read can be trusted by its reader.
func checkTensor(t *testing.T, x Tensor) {
	t.Helper()
	if err := x.check(); err != nil {
		t.Fatalf("read a tensor that is not one: %v", err)
	}
}

func FuzzReadIDX(f *testing.F) {
	for _, x := range fuzzTensors {
		var b bytes.Buffer
		WriteIDX(&b, x)
		f.Add(b.Bytes())
	}
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	WriteIDX(w, fuzzTensors[0])
	w.Close()
	f.Add(z.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		if x, err := ReadIDX(bytes.NewReader(b)); err == nil {
			checkTensor(t, x)
		}
	})
}

func FuzzReadNPY(f *testing.F) {
	for _, x := range fuzzTensors {
		var b bytes.Buffer
		WriteNPY(&b, x)
		f.Add(b.Bytes())
	}
	f.Add([]byte(npyFile(2, "{'descr': '>f8', 'fortran_order': True, 'shape': (1, 1), }", 1, 2, 3, 4, 5, 6, 7, 8)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if x, err := ReadNPY(bytes.NewReader(b)); err == nil {
			checkTensor(t, x)
		}
	})
}

func FuzzReadSafetensors(f *testing.F) {
	for _, x := range fuzzTensors {
		var b bytes.Buffer
		WriteSafetensors(&b, &Safetensors{Tensors: map[string]Tensor{"x": x, "y": x}, Metadata: map[string]string{"k": "v"}})
		f.Add(b.Bytes())
	}
	f.Add([]byte(safetensorsFile(`{"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}`, "abcd")))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ReadSafetensors(bytes.NewReader(b))
		if err != nil {
			return
		}
		for _, x := range s.Tensors {
			checkTensor(t, x)
		}
		var w bytes.Buffer
		if err := WriteSafetensors(&w, s); err != nil {
			t.Fatalf("cannot write what was read: %v", err)
		}
	})
}

func FuzzReadCSV(f *testing.F) {
	f.Add([]byte("a,b\n1,2\n"))
	f.Add([]byte("1;?\nNA;4e5\n"))
	f.Add([]byte("\"1\"\t2\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := ReadCSV(bytes.NewReader(b))
		if err != nil {
			return
		}
		if x.Rows < 1 || len(x.Values) != x.Rows*x.Cols || x.Names != nil && len(x.Names) != x.Cols {
			t.Fatalf("%d rows × %d, %d values, %d names", x.Rows, x.Cols, len(x.Values), len(x.Names))
		}
		var w bytes.Buffer
		if err := WriteCSV(&w, x); err != nil {
			t.Fatalf("cannot write what was read: %v", err)
		}
	})
}

func FuzzReadPNG(f *testing.F) {
	for _, c := range []int{1, 3} {
		var b bytes.Buffer
		WritePNG(&b, Tensor{[]int{c, 2, 2}, make([]float32, c*4)}, Unit)
		f.Add(b.Bytes())
	}
	f.Add([]byte(pngHeader(1<<20, 1<<20)))
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := ReadPNG(bytes.NewReader(b), Signed)
		if err != nil {
			return
		}
		checkTensor(t, x)
		var w bytes.Buffer
		if err := WritePNG(&w, x, Signed); err != nil {
			t.Fatalf("cannot write what was read: %v", err)
		}
		if y, err := ReadPNG(&w, Signed); err != nil || !reflect.DeepEqual(y.Shape, x.Shape) {
			t.Fatalf("written and read again: shape %v, %v", y.Shape, err)
		}
	})
}
