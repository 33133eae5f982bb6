package data

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestOpenTable(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, a Tensor) string {
		var b bytes.Buffer
		if a.Data != nil {
			if err := WriteNPY(&b, a); err != nil {
				t.Fatal(err)
			}
		} else {
			b.WriteString("a,b\n1,2\n3,4\n")
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, a := range map[string]Tensor{
		"table.csv": {},
		"f64.npy":   {Shape: []int{2, 2}, Data: []float64{1, 2, 3, 4}},
		"F32.NPY":   {Shape: []int{2, 2}, Data: []float32{1, 2, 3, 4}},
		"i32.npy":   {Shape: []int{2, 2}, Data: []int32{1, 2, 3, 4}},
	} {
		got, err := OpenTable(write(name, a))
		if err != nil || got.Rows != 2 || got.Cols != 2 || !slices.Equal(got.Values, []float64{1, 2, 3, 4}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if got, err := OpenTable(write("row.npy", Tensor{Shape: []int{3}, Data: []float64{1, 2, 3}})); err != nil || got.Rows != 1 || got.Cols != 3 {
		t.Errorf("one dimension: %+v, %v", got, err)
	}
	for name, path := range map[string]string{
		"want rows and columns": write("cube.npy", Tensor{Shape: []int{1, 1, 1}, Data: []float64{1}}),
		"NPY":                   func() string { p := write("text.npy", Tensor{}); return p }(),
		"no such file":          filepath.Join(dir, "missing.npy"),
	} {
		if _, err := OpenTable(path); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
