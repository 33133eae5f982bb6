// Package tinylm is the language model that assay ships: a decoder of 0.6 million
// weights that has read plays of Shakespeare, letter by letter.
package tinylm

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/assay-lab/assay/data"
	"github.com/assay-lab/assay/internal/nn"
	"github.com/assay-lab/assay/internal/nn/decoder"
)

// Recipe is how the shipped model was made: assay train tiny-lm.
var Recipe = decoder.Recipe{
	Shape: decoder.Shape{Context: 64, Width: 128, Heads: 4, Blocks: 3, Hidden: 512},
	Steps: 2400, Batch: 32, Rate: 2e-3, Warmup: 100, Clip: 1, EMA: .99, Seed: 1,
}

// heldOut is the part of the text, at its end, that the model has not read: one
// in so many.
const heldOut = 10

// A Model is a language model of letters.
type Model struct {
	*decoder.Model
	Letters string // token i is letter i
}

// Text is the text that the model is trained on, and the rest.
func Text() (train, rest string, err error) {
	text, err := data.Shakespeare()
	if err != nil {
		return "", "", err
	}
	n := len(text) - len(text)/heldOut
	return text[:n], text[n:], nil
}

// letters lists the letters of a text in order.
func letters(text string) string {
	set := []byte(text)
	slices.Sort(set)
	return string(slices.Compact(set))
}

// Encode turns a text into tokens.
func (m *Model) Encode(text string) ([]int, error) { return encode(text, m.Letters) }

func encode(text, letters string) ([]int, error) {
	tokens := make([]int, len(text))
	for i := range tokens {
		if tokens[i] = strings.IndexByte(letters, text[i]); tokens[i] < 0 {
			return nil, fmt.Errorf("tinylm: letter %q at byte %d: the model knows %q", text[i], i, letters)
		}
	}
	return tokens, nil
}

// Train makes a model.
func Train(ctx context.Context, r decoder.Recipe, opt nn.Options) (*Model, error) {
	train, rest, err := Text()
	if err != nil {
		return nil, err
	}
	l := letters(train + rest)
	tokens, err := encode(train, l)
	if err != nil {
		return nil, err
	}
	r.Shape.Vocab = len(l)
	m, err := decoder.Train(ctx, r, tokens, opt)
	if err != nil {
		return nil, err
	}
	return &Model{m, l}, nil
}

// Save writes the model as a safetensors file, its weights rounded to half
// precision.
func (m *Model) Save(w io.Writer) error {
	shape, err := json.Marshal(m.Shape)
	if err != nil {
		return fmt.Errorf("tinylm: %w", err)
	}
	s := &data.Safetensors{Tensors: m.Tensors(), Metadata: map[string]string{"shape": string(shape), "letters": m.Letters}}
	for name, t := range s.Tensors {
		x := t.Float32()
		half := make([]data.Half, len(x))
		for i, v := range x {
			half[i] = data.ToHalf(v)
		}
		s.Tensors[name] = data.Tensor{Shape: t.Shape, Data: half}
	}
	return data.WriteSafetensors(w, s)
}

// Read reads what Save wrote.
func Read(r io.Reader) (*Model, error) {
	s, err := data.ReadSafetensors(r)
	if err != nil {
		return nil, err
	}
	var shape decoder.Shape
	if err := json.Unmarshal([]byte(s.Metadata["shape"]), &shape); err != nil {
		return nil, fmt.Errorf("tinylm: no shape in the file's metadata: it is not a tiny-lm: %w", err)
	}
	l := s.Metadata["letters"]
	if len(l) != shape.Vocab || l != letters(l) {
		return nil, fmt.Errorf("tinylm: letters %q: want %d, in order", l, shape.Vocab)
	}
	m, err := decoder.FromTensors(shape, s.Tensors)
	if err != nil {
		return nil, err
	}
	return &Model{m, l}, nil
}

//go:embed tiny-lm.safetensors
var file []byte

var shipped = sync.OnceValues(func() (*Model, error) { return Read(bytes.NewReader(file)) })

// Shipped returns the model that comes with assay. It is shared: its weights must
// not be changed.
func Shipped() (*Model, error) { return shipped() }
