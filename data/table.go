package data

import (
	"fmt"
	"strings"
)

// OpenTable reads a file of numbers in rows: a .npy array with one or two
// dimensions (one is a single row), or else CSV, plain or gzip.
func OpenTable(path string) (*Table, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if !strings.HasSuffix(strings.TrimSuffix(strings.ToLower(path), ".gz"), ".npy") {
		t, err := ReadCSV(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return t, nil
	}
	a, err := ReadNPY(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	t := &Table{Values: a.Float64()}
	switch len(a.Shape) {
	case 1:
		t.Rows, t.Cols = 1, a.Shape[0]
	case 2:
		t.Rows, t.Cols = a.Shape[0], a.Shape[1]
	default:
		return nil, fmt.Errorf("%s: array of shape %v: want rows and columns", path, a.Shape)
	}
	return t, nil
}
