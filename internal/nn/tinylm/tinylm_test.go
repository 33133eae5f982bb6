package tinylm

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/assay-lab/assay/data"
	"github.com/assay-lab/assay/internal/nn"
	"github.com/assay-lab/assay/internal/nn/decoder"
)

func TestText(t *testing.T) {
	train, rest, err := Text()
	if err != nil || len(train)+len(rest) != 1115394 || len(rest) != 111539 {
		t.Fatalf("%d and %d bytes, %v", len(train), len(rest), err)
	}
	if l := letters(train + rest); len(l) != 65 || letters(train) != l {
		t.Errorf("letters %q", l)
	}
}

// TestShipped: the model predicts text that it has not read, far better than
// letters' frequencies (3.3 nats) or pairs of letters (2.5).
func TestShipped(t *testing.T) {
	m, err := Shipped()
	if err != nil {
		t.Fatal(err)
	}
	_, rest, err := Text()
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := m.Encode(rest)
	if err != nil {
		t.Fatal(err)
	}
	var seqs [][]int
	for at := 0; at < len(tokens)-65; at += 1000 {
		seqs = append(seqs, tokens[at:at+65])
	}
	if loss, err := m.Loss(context.Background(), seqs, nil); err != nil || loss > 1.7 {
		t.Errorf("loss %g, %v", loss, err)
	}
	if _, err := m.Encode("naïve"); err == nil || !strings.Contains(err.Error(), "at byte 2") {
		t.Errorf("a letter that it does not know: %v", err)
	}
}

// TestTrain: a small model of the same text, to a file and back.
func TestTrain(t *testing.T) {
	r := decoder.Recipe{Shape: decoder.Shape{Context: 8, Width: 16, Heads: 2, Blocks: 1, Hidden: 32}, Steps: 40, Batch: 8, Rate: 1e-2, Warmup: 5, EMA: .9, Seed: 3}
	m, err := Train(context.Background(), r, nn.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := m.Save(&b); err != nil {
		t.Fatal(err)
	}
	file := slices.Clone(b.Bytes())
	again, err := Read(&b)
	if err != nil {
		t.Fatal(err)
	}
	seqs := [][]int{{1, 2, 3, 4, 5}}
	want, err := m.Loss(context.Background(), seqs, nil)
	if err != nil {
		t.Fatal(err)
	}
	// Half precision has 11 bits.
	if got, err := again.Loss(context.Background(), seqs, nil); err != nil || got < want-0.01 || got > want+0.01 || again.Letters != m.Letters {
		t.Errorf("loss %g after reading, %g before, %v", got, want, err)
	}
	for name, change := range map[string]func(*data.Safetensors){
		"no shape":         func(s *data.Safetensors) { delete(s.Metadata, "shape") },
		"other letters":    func(s *data.Safetensors) { s.Metadata["letters"] = "abc" },
		"a missing tensor": func(s *data.Safetensors) { delete(s.Tensors, "head") },
		"an absurd shape":  func(s *data.Safetensors) { s.Metadata["shape"] = `{"Vocab":65,"Context":-1}` },
	} {
		s, err := data.ReadSafetensors(bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		change(s)
		var b bytes.Buffer
		if err := data.WriteSafetensors(&b, s); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(&b); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(file[:2000])
	f.Fuzz(func(t *testing.T, b []byte) { _, _ = Read(bytes.NewReader(b)) })
}
