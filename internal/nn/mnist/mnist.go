// Package mnist trains and ships the networks of the MNIST digits: a denoiser,
// and a classifier that has seen none of the denoiser's examples.
package mnist

import (
	"context"
	"io"

	"github.com/assay-lab/assay/data"
	"github.com/assay-lab/assay/internal/nn"
	"github.com/assay-lab/assay/internal/nn/classifier"
	"github.com/assay-lab/assay/internal/nn/mixer"
)

// A Set is labelled images.
type Set struct {
	X      []float32 // [N, 28, 28] between −1 and 1
	Labels []uint8
}

// N is the number of images.
func (s Set) N() int { return len(s.Labels) }

// Split cuts the 10,000 images in two: three of every five train the denoiser,
// the others the classifier. Each is held out from the other.
func Split() (denoiser, judge Set, err error) {
	m, err := data.MNIST()
	if err != nil {
		return Set{}, Set{}, err
	}
	x, area := m.Float32(data.Signed), m.H*m.W
	for i, l := range m.Labels {
		s := &judge
		if i%5 < 3 {
			s = &denoiser
		}
		s.X, s.Labels = append(s.X, x[i*area:(i+1)*area]...), append(s.Labels, l)
	}
	return denoiser, judge, nil
}

// TrainDenoiser makes the shipped denoiser and writes its weights.
func TrainDenoiser(ctx context.Context, w io.Writer, opt nn.Options) error {
	set, _, err := Split()
	if err != nil {
		return err
	}
	d, err := mixer.Train(ctx, mixer.MNIST, set.X, set.Labels, opt)
	if err != nil {
		return err
	}
	return d.Save(w)
}

// TrainClassifier makes the shipped classifier and writes its weights.
func TrainClassifier(ctx context.Context, w io.Writer, opt nn.Options) error {
	_, set, err := Split()
	if err != nil {
		return err
	}
	c, err := classifier.Train(ctx, classifier.MNIST, set.X, set.Labels, opt)
	if err != nil {
		return err
	}
	return c.Save(w)
}
