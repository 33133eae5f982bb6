package classifier

import (
	"context"
	"fmt"
	"slices"

	"github.com/assay-lab/assay/internal/nn"
	"github.com/gomlx/gomlx/core/graph"
)

// newScore is the program of windows and one-hot labels to the log probabilities and
// the gradient of their sum with respect to the windows.
func newScore() (*nn.Program, error) {
	return nn.NewProgram("score", func(in []*graph.Node) []*graph.Node {
		x, hot := in[len(layout)], in[len(layout)+1]
		_, logits := forward(in[:len(layout)], x)
		log := graph.ReduceSum(graph.Mul(hot, graph.LogSoftmax(logits)), -1)
		return []*graph.Node{log, graph.Gradient(graph.ReduceAllSum(log), x)[0]}
	})
}

// LogProb gives the logarithm of the probability of a label for each of n images x
// [n, 28, 28], labels having one label for all or one each, and writes its gradient
// to grad, unless that is nil.
func (c *Classifier) LogProb(ctx context.Context, x []float32, n int, labels []int, grad []float32) ([]float64, error) {
	switch {
	case n < 0 || len(x) != n*area || grad != nil && len(grad) != len(x):
		return nil, fmt.Errorf("classifier: %d pixels, %d of the gradient: want %d for %d images", len(x), len(grad), n*area, n)
	case len(labels) != 1 && len(labels) != n:
		return nil, fmt.Errorf("classifier: %d labels for %d images: want 1 or %[2]d", len(labels), n)
	}
	for _, l := range labels {
		if l < 0 || l >= classes {
			return nil, fmt.Errorf("classifier: label %d: must be from 0 to %d", l, classes-1)
		}
	}
	program, err := c.score()
	if err != nil {
		return nil, err
	}
	logs := make([]float64, n)
	for i := 0; i < n; i += maxBatch {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		k := min(maxBatch, n-i)
		b := 1 // every power of two is compiled once
		for b < k {
			b *= 2
		}
		batch, hot := make([]float32, b*cut), make([]float32, b*classes)
		for j := range k {
			windows(batch[j*cut:(j+1)*cut], x[(i+j)*area:(i+j+1)*area])
			hot[j*classes+labels[min(i+j, len(labels)-1)]] = 1
		}
		in, one := nn.Array(batch, b*half*half, window*window), nn.Array(hot, b, classes)
		err := program.Run(append(slices.Clone(c.params), in, one), func(out int, flat []float32) {
			for j := range k {
				if out == 0 {
					logs[i+j] = float64(flat[j])
				} else if grad != nil {
					windowsBack(grad[(i+j)*area:(i+j+1)*area], flat[j*cut:(j+1)*cut])
				}
			}
		})
		for _, t := range []interface{ FinalizeAll() error }{in, one} {
			if e := t.FinalizeAll(); err == nil {
				err = e
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return logs, nil
}

// windowsBack is the transpose of windows: the gradient of an image from that of its
// windows.
func windowsBack(image, d []float32) {
	const reach = window / 2
	clear(image)
	for i := range half * half {
		y0, x0 := 2*(i/half)-reach, 2*(i%half)-reach
		for j := range window * window {
			y, x := y0+j/window, x0+j%window
			if y >= 0 && x >= 0 && y < size && x < size {
				image[y*size+x] += d[i*window*window+j]
			}
		}
	}
}
