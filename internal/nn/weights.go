package nn

import (
	"fmt"
	"io"
	"slices"

	"github.com/assay-lab/assay/data"
)

// WriteWeights stores a network's arrays by name as a safetensors file, rounded
// to half precision, together with the recipe that made them.
func WriteWeights(w io.Writer, l Layout, flat []float32, recipe string) error {
	if err := l.finite(flat); err != nil {
		return fmt.Errorf("nn: weights: %w", err)
	}
	s := &data.Safetensors{Tensors: map[string]data.Tensor{}, Metadata: map[string]string{"recipe": recipe}}
	for i, part := range l.Split(flat) {
		half := make([]data.Half, len(part))
		for j, x := range part {
			half[j] = data.ToHalf(x)
		}
		s.Tensors[l[i].Name] = data.Tensor{Shape: l[i].Shape, Data: half}
	}
	return data.WriteSafetensors(w, s)
}

// ReadWeights reads what WriteWeights wrote: layout gives the arrays of the
// network that a recipe describes.
func ReadWeights(r io.Reader, layout func(recipe string) (Layout, error)) ([]float32, error) {
	s, err := data.ReadSafetensors(r)
	if err != nil {
		return nil, err
	}
	l, err := layout(s.Metadata["recipe"])
	if err != nil {
		return nil, err
	}
	if len(s.Tensors) != len(l) {
		return nil, fmt.Errorf("nn: weights: %d arrays, want %d", len(s.Tensors), len(l))
	}
	for _, p := range l {
		t, ok := s.Tensors[p.Name]
		if !ok || !slices.Equal(t.Shape, p.Shape) {
			return nil, fmt.Errorf("nn: weights: %s has shape %v, want %v", p.Name, t.Shape, p.Shape)
		}
	}
	flat := make([]float32, l.Len())
	for i, part := range l.Split(flat) {
		copy(part, s.Tensors[l[i].Name].Float32())
	}
	if err := l.finite(flat); err != nil {
		return nil, fmt.Errorf("nn: weights: %w", err)
	}
	return flat, nil
}
