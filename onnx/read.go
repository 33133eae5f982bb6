package onnx

import (
	"fmt"
	"os"
	"path/filepath"
)

// maxFile is the largest protobuf message there is: a larger model keeps its
// weights in a file beside.
const maxFile = 1<<31 - 1

// Read reads an ONNX file and checks it. Weights that the file keeps in another
// file of its folder are read too. Nodes are put in an order in which they can
// run. Errors begin with the path.
func Read(path string) (*Model, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("onnx: %w", err)
	}
	if st.IsDir() {
		return nil, fmt.Errorf("%s: is a folder: an ONNX file is wanted", path)
	}
	if st.Size() > maxFile {
		return nil, fmt.Errorf("%s: %d bytes: an ONNX file has at most %d", path, st.Size(), maxFile)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("onnx: %w", err)
	}
	m, err := decode(b, &external{dir: filepath.Dir(path), model: st})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// Decode reads the bytes of an ONNX file and checks the model, as [Read] does,
// but refuses weights kept in other files.
func Decode(b []byte) (*Model, error) {
	m, err := decode(b, nil)
	if err != nil {
		return nil, fmt.Errorf("onnx: %w", err)
	}
	return m, nil
}

func decode(b []byte, ext *external) (*Model, error) {
	if len(b) == 0 {
		return nil, fmt.Errorf("file is empty")
	}
	d := decoder{ext: ext}
	m, err := d.model(b)
	if err != nil {
		return nil, err
	}
	if err := m.Check(); err != nil {
		return nil, err
	}
	return m, m.Graph.sort()
}

// external reads weights kept in files beside the model's.
type external struct {
	dir   string
	model os.FileInfo
}

// read gives the bytes [offset, offset+length) of a file in the model's folder.
func (e *external) read(location string, offset, length int64) ([]byte, error) {
	if e == nil {
		return nil, fmt.Errorf("data is kept in another file, %q: only Read finds it", location)
	}
	if !filepath.IsLocal(location) {
		return nil, fmt.Errorf("data is kept in %q: only files in the model's own folder are read", location)
	}
	f, err := os.Open(filepath.Join(e.dir, location))
	if err != nil {
		return nil, fmt.Errorf("data is kept in another file: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("data is kept in another file: %w", err)
	}
	// Else a file of some MB could name its own bytes as the weights of any number of tensors.
	if os.SameFile(st, e.model) {
		return nil, fmt.Errorf("data is kept in %q, which is the model itself", location)
	}
	if offset < 0 || length < 0 || offset > st.Size() || length > st.Size()-offset {
		return nil, fmt.Errorf("data is bytes %d to %d of %q, which has %d", offset, offset+length, location, st.Size())
	}
	data := make([]byte, length)
	if _, err := f.ReadAt(data, offset); err != nil {
		return nil, fmt.Errorf("data is kept in another file: %w", err)
	}
	return data, nil
}
