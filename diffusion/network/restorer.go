package network

import (
	"context"
	"fmt"
	"strings"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/internal/degrade"
	"github.com/assay-lab/assay/internal/nn/mnist"
)

// A Restorer is a trained mean-reverting network with all that [diffusion.Restore]
// must know of it. It is safe for concurrent use.
type Restorer struct {
	Name     string
	Engine   string // what computes it
	Process  *diffusion.MeanReverting
	Predicts diffusion.Prediction
	Shape    []int    // of one image: channels, height, width
	Tasks    []string // what it has learned to repair; none: it takes no task

	// denoise writes the prediction for n ≥ 1 images that revert to mu. at are levels
	// of x. task is an index into Tasks, or −1.
	denoise func(ctx context.Context, dst, x, mu []float32, n int, at []diffusion.Level, task int) error
	close   func() error // nil: nothing to free
}

// Close frees what the network holds; its models fail from then on.
func (r *Restorer) Close() error {
	if r.close == nil {
		return nil
	}
	return r.close()
}

// MNISTRestorer is the restorer of handwritten digits that assay ships: 28×28, pixels
// between 0, black, and 1, velocity prediction on IR-SDE's cosine table with s =
// 50/255. It repairs noise, blur and holes, and was trained on three fifths of MNIST's
// test split; "assay train restorer" makes it anew.
func MNISTRestorer() (*Restorer, error) {
	d, err := mnist.Restorer()
	if err != nil {
		return nil, fmt.Errorf("mnist restorer: %w", err)
	}
	p, size := d.Process(), d.Recipe().Shape.Size
	return &Restorer{
		Name: "mnist-restorer", Engine: "built in", Process: p, Predicts: diffusion.Velocity,
		Shape: []int{1, size, size}, Tasks: degrade.Names(),
		denoise: func(ctx context.Context, dst, x, mu []float32, n int, at []diffusion.Level, task int) error {
			inner := make([]diffusion.Level, len(at))
			for i, l := range at {
				inner[i] = p.Inner(l)
			}
			return d.Velocity(ctx, dst, x, mu, n, inner, []int{task})
		},
	}, nil
}

// Len is the number of values in one image.
func (r *Restorer) Len() int {
	n := 1
	for _, d := range r.Shape {
		n *= d
	}
	return n
}

// Model binds a task to the network; "" leaves it unsaid.
func (r *Restorer) Model(task string) (diffusion.MeanModel[float32], error) {
	k := -1
	for i, name := range r.Tasks {
		if name == task {
			k = i
		}
	}
	switch {
	case k < 0 && task != "" && len(r.Tasks) == 0:
		return nil, fmt.Errorf("%s: task %q: the network takes no task", r.Name, task)
	case k < 0 && task != "":
		return nil, fmt.Errorf("%s: task %q: must be one of %s", r.Name, task, strings.Join(r.Tasks, ", "))
	}
	size := r.Len()
	f := func(ctx context.Context, dst, x, mu []float32, n int, at []diffusion.Level) error {
		if n < 1 || len(x) != n*size || len(mu) != len(x) || len(dst) != len(x) {
			return fmt.Errorf("%s: %d values of x and %d of mu for %d images: each has %d, shape %v", r.Name, len(x), len(mu), n, size, r.Shape)
		}
		return r.denoise(ctx, dst, x, mu, n, at, k)
	}
	return diffusion.MeanFunc[float32]{Prediction: r.Predicts, F: f}, nil
}
