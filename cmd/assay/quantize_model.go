package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/assay-lab/assay/data"
	"github.com/assay-lab/assay/internal/nn/tinylm"
	"github.com/assay-lab/assay/papers/mixllm"
	"github.com/assay-lab/assay/quant"
)

// defaultSkip matches the names of what is usually kept as it is.
const defaultSkip = `(?i)(embed|wte|wpe|position|head|norm|\bln)`

// weights are a model's tensors.
type weights struct {
	tensors map[string]data.Tensor
	names   []string      // of the matrices to quantize
	letters *tinylm.Model // nil for what assay cannot run
	bytes   int           // of the tensors, as float32
}

// openWeights reads a model and picks its matrices.
func openWeights(f quantizeFlags) (*weights, error) {
	w := &weights{}
	var err error
	if f.model == mixllm.Builtin {
		w.letters, err = tinylm.Shipped()
	} else {
		err = w.read(f.model)
	}
	if err != nil {
		return nil, err
	}
	if w.letters != nil {
		w.tensors = w.letters.Tensors()
	}
	for _, t := range w.tensors {
		w.bytes += 4 * t.Len()
	}
	return w, w.pick(f)
}

func (w *weights) read(path string) error {
	if strings.HasPrefix(path, "builtin:") {
		return usagef("Built in: "+mixllm.Builtin+".", "model %q is unknown", path)
	}
	s, file, err := readSafetensors("model", path)
	if err != nil {
		return err
	}
	w.tensors = s.Tensors
	if s.Metadata["letters"] != "" && s.Metadata["shape"] != "" {
		if w.letters, err = tinylm.Read(bytes.NewReader(file)); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

func readSafetensors(what, path string) (*data.Safetensors, []byte, error) {
	file, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, usagef("", "--%s %s: no such file", what, path)
	}
	if err != nil {
		return nil, nil, err
	}
	s, err := data.ReadSafetensors(bytes.NewReader(file))
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, file, nil
}

// pick lists the matrices to quantize.
func (w *weights) pick(f quantizeFlags) error {
	only, err := regexp.Compile(f.only)
	if err != nil {
		return usagef("", "--only %s: %v", f.only, err)
	}
	skip, err := regexp.Compile(f.skip)
	if err != nil {
		return usagef("", "--skip %s: %v", f.skip, err)
	}
	var matrices []string
	for _, name := range slices.Sorted(maps.Keys(w.tensors)) {
		t := w.tensors[name]
		_, single := t.Data.([]float32)
		_, double := t.Data.([]float64)
		if len(t.Shape) != 2 || !single && !double || t.Len() == 0 {
			continue
		}
		matrices = append(matrices, name)
		if !only.MatchString(name) || f.skip != "" && skip.MatchString(name) {
			continue
		}
		if t.Shape[1]%f.group != 0 {
			return usagef("Give a --group that divides it, or leave it out with --skip.", "%s is %d × %d: groups of %d do not divide its %d inputs", name, t.Shape[0], t.Shape[1], f.group, t.Shape[1])
		}
		w.names = append(w.names, name)
	}
	if len(w.names) == 0 {
		return usagef("Choose others with --only and --skip.", "%s has no matrix to quantize: of its %d tensors %d are matrices of floating-point numbers, and all are left out by name", f.model, len(w.tensors), len(matrices))
	}
	return nil
}

// calibrate prepares the layers, with inputs and gradients where there are any.
func (c *console) calibrate(ctx context.Context, f quantizeFlags, m quant.MixLLM, w *weights) ([]*quant.Calibration, error) {
	if w.letters != nil && f.calibration == "" {
		return c.calibrateLetters(ctx, f, m, w)
	}
	var layers []*quant.Calibration
	for _, name := range w.names {
		t := w.tensors[name]
		l, err := m.Calibrate(name, quant.Dense{Rows: t.Shape[0], Cols: t.Shape[1], X: t.Float64()})
		if err != nil {
			return nil, err
		}
		layers = append(layers, l)
	}
	if f.calibration == "" {
		return layers, nil
	}
	s, _, err := readSafetensors("calibration", f.calibration)
	if err != nil {
		return nil, err
	}
	bar := c.progress("calibrate", "matrices")
	defer bar.close()
	for i, l := range layers {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		bar.set(i, len(layers), l.Name)
		if err := addCalibration(l, s.Tensors); err != nil {
			return nil, fmt.Errorf("%s: %w", f.calibration, err)
		}
	}
	return layers, nil
}

// calibrateLetters runs the model on text that it was trained on.
func (c *console) calibrateLetters(ctx context.Context, f quantizeFlags, m quant.MixLLM, w *weights) ([]*quant.Calibration, error) {
	seqs, err := mixllm.CalibrationText(w.letters, f.sequences, 0)
	if err != nil {
		return nil, err
	}
	bar := c.progress("calibrate", "sequences")
	defer bar.close()
	all, err := mixllm.Calibrate(ctx, w.letters.Model, m, seqs, func(done int) { bar.set(done, len(seqs), "") })
	if err != nil {
		return nil, err
	}
	var layers []*quant.Calibration
	for _, l := range all {
		if slices.Contains(w.names, l.Name) {
			layers = append(layers, l)
		}
	}
	if len(layers) != len(w.names) {
		return nil, usagef("", "--only and --skip choose %d matrices, of which %d are linear layers of its blocks: others cannot be calibrated", len(w.names), len(layers))
	}
	return layers, nil
}

// addCalibration adds what a file has of a layer: NAME.input, and NAME.grad.
func addCalibration(l *quant.Calibration, ts map[string]data.Tensor) error {
	in, ok := ts[l.Name+".input"]
	if !ok {
		return fmt.Errorf("tensor %q is missing", l.Name+".input")
	}
	x, err := sequencesOf(l.Name+".input", in, l.Weights.Cols)
	if err != nil {
		return err
	}
	grads := make([]quant.Dense, len(x))
	if t, ok := ts[l.Name+".grad"]; ok {
		if grads, err = sequencesOf(l.Name+".grad", t, l.Weights.Rows); err != nil {
			return err
		}
		if len(grads) != len(x) {
			return fmt.Errorf("%d sequences in %q, %d in %q", len(x), l.Name+".input", len(grads), l.Name+".grad")
		}
	}
	for i := range x {
		if err := l.Add(x[i], grads[i]); err != nil {
			return err
		}
	}
	return nil
}

// sequencesOf cuts a tensor [sequences, tokens, features], or of one sequence.
func sequencesOf(name string, t data.Tensor, features int) ([]quant.Dense, error) {
	shape := t.Shape
	if len(shape) == 2 {
		shape = append([]int{1}, shape...)
	}
	x := t.Float64()
	if len(shape) != 3 || shape[2] != features || shape[0] == 0 || shape[1] == 0 || x == nil {
		return nil, fmt.Errorf("tensor %q has shape %v: want [sequences, tokens, %d]", name, t.Shape, features)
	}
	n := shape[1] * shape[2]
	var ds []quant.Dense
	for i := range shape[0] {
		ds = append(ds, quant.Dense{Rows: shape[1], Cols: features, X: x[i*n : (i+1)*n]})
	}
	return ds, nil
}
