package network

import (
	"context"
	"fmt"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/internal/nn/mixer"
	"github.com/assay-lab/assay/internal/nn/mnist"
	"github.com/assay-lab/assay/onnx"
	"gonum.org/v1/gonum/mat"
)

// MNIST is the denoiser of handwritten digits that assay ships: 28×28, classes 0
// to 9, guidance possible, velocity prediction on the cosine schedule. Pixels lie
// between −1, black, and 1. It was trained on three fifths of MNIST's test split;
// "assay train mnist-denoiser" makes it anew.
func MNIST() (*Model, error) {
	d, err := mnist.Denoiser()
	if err != nil {
		return nil, fmt.Errorf("mnist: %w", err)
	}
	return mixerModel("mnist", d), nil
}

// mixerModel is a network of package mixer as a model.
func mixerModel(name string, d *mixer.Denoiser) *Model {
	s := d.Recipe().Shape
	return &Model{
		Name: name, Engine: "built in", Schedule: diffusion.Cosine{}, Predicts: diffusion.Velocity,
		Shape: []int{1, s.Size, s.Size}, Classes: s.Classes, Null: true, denoise: d.Velocity, mixer: d,
	}
}

// MNISTONNX is the network of [MNIST] as an ONNX model: inputs sample
// [n,1,28,28], timestep [n] and label [n], 10 for none; output velocity. Its
// metadata tells [OpenONNX] the rest.
func MNISTONNX() (*onnx.Model, error) {
	d, err := mnist.Denoiser()
	if err != nil {
		return nil, fmt.Errorf("mnist: %w", err)
	}
	return d.ONNX(), nil
}

// A Classifier judges images of digits. It is safe for concurrent use.
type Classifier interface {
	// Classify gives the likeliest digit of each of n images x [n,28,28] between −1
	// and 1.
	Classify(ctx context.Context, x []float32, n int) ([]int, error)

	// Features gives dim numbers for each image, the activations of the last
	// hidden layer.
	Features(ctx context.Context, x []float32, n int) (f []float32, dim int, err error)

	// LogProb gives the logarithm of the probability that each of n images shows the
	// digit that labels names, one for all or one each, and writes its gradient with
	// respect to the image to grad [n,28,28], unless that is nil.
	LogProb(ctx context.Context, x []float32, n int, labels []int, grad []float32) ([]float64, error)
}

// MNISTClassifier is a classifier trained on the images that [MNIST] has not seen.
func MNISTClassifier() (Classifier, error) {
	c, err := mnist.Classifier()
	if err != nil {
		return nil, fmt.Errorf("mnist: %w", err)
	}
	return c, nil
}

// MNISTImages are the real digits x [n,28,28] that [MNIST] was trained on, and
// their labels, to compare its samples with.
func MNISTImages() (x []float32, labels []uint8, err error) {
	set, _, err := mnist.Split()
	return set.X, set.Labels, err
}

// FeatureMatrix is the classifier's features of n images, one a row, for
// [metrics.Frechet].
//
// [metrics.Frechet]: https://pkg.go.dev/github.com/assay-lab/assay/metrics#Frechet
func FeatureMatrix(ctx context.Context, c Classifier, x []float32, n int) (*mat.Dense, error) {
	f, dim, err := c.Features(ctx, x, n)
	if err != nil {
		return nil, err
	}
	if n < 1 {
		return nil, fmt.Errorf("mnist: features of %d images: at least 1 is needed", n)
	}
	wide := make([]float64, len(f))
	for i, v := range f {
		wide[i] = float64(v)
	}
	return mat.NewDense(n, dim, wide), nil
}
