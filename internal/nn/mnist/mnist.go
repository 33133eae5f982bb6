// Package mnist ships the networks of the MNIST digits: a denoiser, a restorer of
// spoiled digits, and a classifier that has seen none of the examples of the other
// two. They are made by the recipes of packages mixer and classifier.
package mnist

import "github.com/assay-lab/assay/data"

// A Set is labelled images.
type Set struct {
	X      []float32 // [N, 28, 28] between −1 and 1
	Labels []uint8
}

// N is the number of images.
func (s Set) N() int { return len(s.Labels) }

// Unit is the images with pixels between 0 and 1.
func (s Set) Unit() []float32 {
	x := make([]float32, len(s.X))
	for i, v := range s.X {
		x[i] = (v + 1) / 2
	}
	return x
}

// Split cuts the 10,000 images in two: three of every five train the denoiser
// and the restorer, the others the classifier. Each is held out from the other.
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
