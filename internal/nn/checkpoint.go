package nn

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/assay-lab/assay/data"
)

// state is all that training remembers between steps: batches are drawn from the
// step's own random stream.
type state struct {
	step         int
	w, ema, m, v []float32
}

func (s *state) arrays() map[string]*[]float32 {
	return map[string]*[]float32{"weights": &s.w, "average": &s.ema, "moment1": &s.m, "moment2": &s.v}
}

// save replaces the checkpoint. A crash at any moment leaves the old one or the
// new one, whole.
func (s *state) save(path string, task Task) error {
	st := &data.Safetensors{
		Tensors:  map[string]data.Tensor{},
		Metadata: map[string]string{"recipe": task.Recipe, "step": strconv.Itoa(s.step)},
	}
	for name, xs := range s.arrays() {
		st.Tensors[name] = data.Tensor{Shape: []int{len(*xs)}, Data: *xs}
	}
	err := replace(path, st)
	if err != nil {
		return fmt.Errorf("nn: checkpoint: %w", err)
	}
	return nil
}

func replace(path string, st *data.Safetensors) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails after the rename
	w := bufio.NewWriterSize(f, 1<<20)
	err = data.WriteSafetensors(w, st)
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// load reads a checkpoint of the task. It returns nil if there is none.
func load(path string, task Task) (*state, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("nn: checkpoint: %w", err)
	}
	defer f.Close()
	st, err := data.ReadSafetensors(bufio.NewReaderSize(f, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("nn: checkpoint %s: %w", path, err)
	}
	if got := st.Metadata["recipe"]; got != task.Recipe {
		return nil, fmt.Errorf("nn: checkpoint %s is of recipe %s, want %s: give another folder or remove it", path, got, task.Recipe)
	}
	s := &state{}
	if s.step, err = strconv.Atoi(st.Metadata["step"]); err != nil || s.step < 0 || s.step > task.Steps {
		return nil, fmt.Errorf("nn: checkpoint %s: step %q of %d", path, st.Metadata["step"], task.Steps)
	}
	for name, xs := range s.arrays() {
		var ok bool
		if *xs, ok = st.Tensors[name].Data.([]float32); !ok || len(*xs) != task.Layout.Len() {
			return nil, fmt.Errorf("nn: checkpoint %s: %s has %d numbers of type float32, want %d", path, name, len(*xs), task.Layout.Len())
		}
		if err := task.Layout.finite(*xs); err != nil {
			return nil, fmt.Errorf("nn: checkpoint %s: %s: %w", path, name, err)
		}
	}
	return s, nil
}
