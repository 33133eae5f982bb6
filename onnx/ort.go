//go:build (linux || darwin || windows) && (amd64 || arm64)

package onnx

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"

	ort "github.com/getcharzp/onnxruntime_purego"
)

// ortSession runs a network on ONNX Runtime.
type ortSession struct {
	info   Info
	mu     sync.RWMutex // held for reading by Run, for writing by Close
	s      *ort.Session
	freed  runtime.Cleanup // for who does not close it
	closed bool
}

// newORT makes a checked model ready on ONNX Runtime. The error is
// fs.ErrNotExist when its library is nowhere to be found.
func newORT(m *Model, path string, opt Options) (Session, error) {
	lib, err := loadORT()
	if err != nil {
		return nil, err
	}
	for _, v := range m.Graph.Outputs {
		if v.Type == Bool || v.Type == String {
			return nil, fmt.Errorf("output %v: the binding of ONNX Runtime gives numbers only", v)
		}
	}
	if path == "" { // the library opens files only
		file, err := m.tempFile()
		if err != nil {
			return nil, err
		}
		defer os.Remove(file)
		path = file
	}
	o, err := lib.engine.NewSessionOptions()
	if err != nil {
		return nil, fmt.Errorf("ONNX Runtime %s: %w", lib.version, err)
	}
	defer o.Destroy()
	if opt.Threads > 0 {
		if err := o.SetIntraOpNumThreads(int32(opt.Threads)); err != nil {
			return nil, fmt.Errorf("ONNX Runtime %s: %d threads: %w", lib.version, opt.Threads, err)
		}
	}
	s, err := lib.engine.NewSession(path, o)
	if err != nil {
		return nil, fmt.Errorf("ONNX Runtime %s: %w", lib.version, m.blame(err))
	}
	session := &ortSession{info: m.info(ONNXRuntime, lib.version), s: s}
	session.freed = runtime.AddCleanup(session, (*ort.Session).Destroy, s)
	return session, nil
}

// tempFile stores the model in a file for the library to open.
func (m *Model) tempFile() (string, error) {
	b, err := m.Encode()
	if err != nil {
		return "", err
	}
	f, err := os.CreateTemp("", "assay-*.onnx")
	if err != nil {
		return "", err
	}
	_, err = f.Write(b)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}

// blame makes one line of the library's error and names the node of an operator
// that it does not know.
func (m *Model) blame(err error) error {
	msg := err.Error()
	if _, reason, ok := strings.Cut(msg, " failed:"); ok && strings.Contains(msg, "Load model from ") {
		msg = reason
	}
	msg = strings.TrimSpace(msg)
	for i := range m.Graph.Nodes {
		n := &m.Graph.Nodes[i]
		op := n.Op
		if !standard(n.Domain) {
			op = n.Domain + ":" + op
		}
		if strings.Contains(msg, "No Op registered for "+n.Op+" ") ||
			strings.Contains(msg, op+"(") && strings.Contains(msg, "is not a registered function/op") {
			return fmt.Errorf("%s: unknown operator: %s", n.describe(i), msg)
		}
		if strings.Contains(msg, "Could not find an implementation for "+n.Op+"(") {
			return fmt.Errorf("%s: operator not supported in opset %d: %s", n.describe(i), m.Opset, msg)
		}
	}
	return errors.New(msg)
}

func (s *ortSession) Info() Info { return s.info }

func (s *ortSession) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.freed.Stop()
		s.s.Destroy()
		s.closed = true
	}
	return nil
}

func (s *ortSession) Run(ctx context.Context, in map[string]Tensor, outputs ...string) (map[string]Tensor, error) {
	outputs, err := s.info.checkRun(in, outputs)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, ErrClosed
	}
	values := make(map[string]*ort.Value, len(in))
	defer destroy(values)
	for name, t := range in {
		if values[name], err = ortValue(t); err != nil {
			delete(values, name)
			return nil, fmt.Errorf("onnx: input %q: %w", name, err)
		}
	}
	run := *s.s // a copy that asks for the wanted outputs only
	run.OutputNames = outputs
	results, err := run.Run(values)
	runtime.KeepAlive(in) // the library read the tensors in place
	if err != nil {
		return nil, fmt.Errorf("onnx: ONNX Runtime: %w", err)
	}
	defer destroy(results)
	out := make(map[string]Tensor, len(results))
	for name, v := range results {
		if out[name], err = ortTensor(v); err != nil {
			return nil, fmt.Errorf("onnx: output %q: %w", name, err)
		}
	}
	return out, ctx.Err()
}

func destroy(values map[string]*ort.Value) {
	for _, v := range values {
		v.Destroy()
	}
}

// ortValue wraps a tensor, which has elements and whose data must stay alive as
// long as the value.
func ortValue(t Tensor) (*ort.Value, error) {
	shape := make([]int64, len(t.Shape))
	for i, d := range t.Shape {
		shape[i] = int64(d)
	}
	return ort.NewTensor(shape, t.Data)
}

// ortTensor copies a value's shape and data.
func ortTensor(v *ort.Value) (Tensor, error) {
	var t Tensor
	shape, err := ortShape(v)
	if err != nil {
		return t, err
	}
	t.Shape = shape
	if t.Len() == 0 {
		return t, fmt.Errorf("shape %v has no elements", shape)
	}
	for _, get := range []func(*ort.Value) (any, error){
		ortData[float32], ortData[float64], ortData[int64], ortData[int32], ortData[uint8],
		ortData[int8], ortData[int16], ortData[uint16], ortData[uint32], ortData[uint64],
	} {
		if t.Data, err = get(v); err == nil {
			return t, nil
		}
	}
	return t, err
}

// ortData copies a value's data when its elements are of type T.
func ortData[T float32 | float64 | int64 | int32 | uint8 | int8 | int16 | uint16 | uint32 | uint64](v *ort.Value) (any, error) {
	d, err := ort.GetTensorData[T](v)
	return slices.Clone(d), err
}

// ortShape is a value's shape. The binding's GetShape fails with an index out of
// range on a scalar, after it has freed what it holds.
func ortShape(v *ort.Value) (shape []int, err error) {
	defer func() {
		if recover() != nil {
			shape, err = []int{}, nil
		}
	}()
	dims, err := v.GetShape()
	for _, d := range dims {
		shape = append(shape, int(d))
	}
	return shape, err
}
