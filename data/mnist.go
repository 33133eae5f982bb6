package data

import (
	"bytes"
	_ "embed"
	"fmt"
	"io"
	"sync"
)

// Images are N labelled gray images of one size.
type Images struct {
	Pixels  []uint8 // [N, H, W], 0 is black
	N, H, W int
	Labels  []uint8 // [N]
}

//go:embed mnist/mnist-t10k-images-idx3-ubyte.gz
var mnistImages []byte

//go:embed mnist/mnist-t10k-labels-idx1-ubyte.gz
var mnistLabels []byte

var mnist = sync.OnceValues(func() (*Images, error) {
	return ReadImages(bytes.NewReader(mnistImages), bytes.NewReader(mnistLabels))
})

// MNIST returns the test split of MNIST: 10,000 digits, 28×28, labels 0 to 9
// (LeCun, Cortes and Burges, CC BY-SA 3.0). It is embedded, decoded at the
// first call and shared: callers must not write to it.
func MNIST() (*Images, error) { return mnist() }

// ReadImages reads a pair of IDX files in the layout of MNIST: images [N, H, W]
// and labels [N], both uint8, plain or gzip.
func ReadImages(images, labels io.Reader) (*Images, error) {
	x, err := ReadIDX(images)
	if err != nil {
		return nil, fmt.Errorf("images: %w", err)
	}
	y, err := ReadIDX(labels)
	if err != nil {
		return nil, fmt.Errorf("labels: %w", err)
	}
	pixels, ok := x.Data.([]uint8)
	if !ok || len(x.Shape) != 3 {
		return nil, fmt.Errorf("data: images of type %T and shape %v: must be []uint8, [N H W]", x.Data, x.Shape)
	}
	classes, ok := y.Data.([]uint8)
	if !ok || len(y.Shape) != 1 || y.Shape[0] != x.Shape[0] {
		return nil, fmt.Errorf("data: labels of type %T and shape %v: must be []uint8, [%d]", y.Data, y.Shape, x.Shape[0])
	}
	return &Images{Pixels: pixels, N: x.Shape[0], H: x.Shape[1], W: x.Shape[2], Labels: classes}, nil
}

// Image returns the pixels [H, W] of image i, sharing memory.
func (m *Images) Image(i int) []uint8 {
	n := m.H * m.W
	return m.Pixels[i*n : (i+1)*n : (i+1)*n]
}

// Float32 returns all pixels [N, H, W] with black at r.Lo and white at r.Hi.
func (m *Images) Float32(r Range) []float32 {
	var level [256]float32
	for i := range level {
		level[i] = r.at(float64(i) / 255)
	}
	xs := make([]float32, len(m.Pixels))
	for i, p := range m.Pixels {
		xs[i] = level[p]
	}
	return xs
}
