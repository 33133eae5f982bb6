package classifier

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/assay-lab/assay/internal/nn"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// A Classifier is a trained network. It is safe for concurrent use.
type Classifier struct {
	recipe  string
	weights []float32
	params  []*tensors.Tensor
	program *nn.Program // images to features and logits
	score   func() (*nn.Program, error)
}

// Load reads a classifier that Save wrote.
func Load(r io.Reader) (*Classifier, error) {
	c := &Classifier{}
	var err error
	c.weights, err = nn.ReadWeights(r, func(recipe string) (nn.Layout, error) {
		if recipe == "" {
			return nil, errors.New("the file names no recipe")
		}
		c.recipe = recipe
		return layout, nil
	})
	if err != nil {
		return nil, fmt.Errorf("classifier: %w", err)
	}
	for i, part := range layout.Split(c.weights) {
		c.params = append(c.params, nn.Array(part, layout[i].Shape...))
	}
	c.program, err = nn.NewProgram("classifier", func(in []*graph.Node) []*graph.Node {
		f, logits := forward(in[:len(layout)], in[len(layout)])
		return []*graph.Node{f, logits}
	})
	c.score = sync.OnceValues(newScore)
	return c, err
}

// Save writes the classifier as a safetensors file, its weights rounded to half
// precision.
func (c *Classifier) Save(w io.Writer) error {
	return nn.WriteWeights(w, layout, c.weights, c.recipe)
}

// maxBatch bounds the images of one pass.
const maxBatch = 128

// run hands features and logits of n images to use, some images at a time.
func (c *Classifier) run(ctx context.Context, x []float32, n int, use func(from, n int, features, logits []float32)) error {
	if n < 0 || len(x) != n*area {
		return fmt.Errorf("classifier: %d pixels: want %d for %d images", len(x), n*area, n)
	}
	for i := 0; i < n; i += maxBatch {
		if err := ctx.Err(); err != nil {
			return err
		}
		k := min(maxBatch, n-i)
		b := 1 // every power of two is compiled once
		for b < k {
			b *= 2
		}
		batch := make([]float32, b*cut)
		for j := range k {
			windows(batch[j*cut:(j+1)*cut], x[(i+j)*area:(i+j+1)*area])
		}
		in := nn.Array(batch, b*half*half, window*window)
		var f []float32
		err := c.program.Run(append(slices.Clone(c.params), in), func(out int, flat []float32) {
			if out == 0 {
				f = slices.Clone(flat[:k*features])
				return
			}
			use(i, k, f, flat[:k*classes])
		})
		if e := in.FinalizeAll(); err == nil {
			err = e
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Features gives dim numbers for each of n images x [n, 28, 28]: the activations
// of the last hidden layer.
func (c *Classifier) Features(ctx context.Context, x []float32, n int) (f []float32, dim int, err error) {
	f = make([]float32, max(n, 0)*features)
	err = c.run(ctx, x, n, func(from, _ int, part, _ []float32) { copy(f[from*features:], part) })
	return f, features, err
}

// Classify gives the likeliest label of each of n images x [n, 28, 28].
func (c *Classifier) Classify(ctx context.Context, x []float32, n int) ([]int, error) {
	labels := make([]int, max(n, 0))
	err := c.run(ctx, x, n, func(from, n int, _, logits []float32) {
		for i := range n {
			row := logits[i*classes : (i+1)*classes]
			for l := range row {
				if row[l] > row[labels[from+i]] {
					labels[from+i] = l
				}
			}
		}
	})
	return labels, err
}

// Agreement is the share of n pairs of images, of a and b [n, 28, 28], that get the same
// label.
func (c *Classifier) Agreement(ctx context.Context, a, b []float32, n int) (float64, error) {
	before, err := c.Classify(ctx, a, n)
	if err != nil {
		return 0, err
	}
	after, err := c.Classify(ctx, b, n)
	if err != nil {
		return 0, err
	}
	same := 0
	for i := range after {
		if before[i] == after[i] {
			same++
		}
	}
	return float64(same) / float64(n), nil
}
