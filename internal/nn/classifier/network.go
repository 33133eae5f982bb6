package classifier

import (
	"math"

	"github.com/assay-lab/assay/internal/nn"
	"github.com/gomlx/gomlx/core/graph"
)

// The network: two convolutions of stride 2, a layer of features, the classes.
// The first convolution is a product with windows that are cut out here.
const (
	size     = 28 // pixels a side
	area     = size * size
	half     = size / 2
	window   = 5 // pixels a side
	maps1    = 16
	maps2    = 32
	flat     = size / 4 * size / 4 * maps2
	features = 64
	classes  = 10
)

var layout = nn.Layout{
	{Name: "conv1", Shape: []int{window * window, maps1}, Deviation: he(window * window)},
	{Name: "bias1", Shape: []int{maps1}},
	{Name: "conv2", Shape: []int{3, 3, maps1, maps2}, Deviation: he(3 * 3 * maps1)},
	{Name: "bias2", Shape: []int{maps2}},
	{Name: "features", Shape: []int{flat, features}, Deviation: he(flat)},
	{Name: "bias3", Shape: []int{features}},
	{Name: "classes", Shape: []int{features, classes}, Deviation: he(features)},
	{Name: "bias4", Shape: []int{classes}},
}

// he is the deviation that keeps the scale of rectified sums of n inputs.
func he(n int) float64 { return math.Sqrt(2 / float64(n)) }

// forward gives the features [n, features] and the logits [n, classes] of the
// windows [n·half·half, window·window] of images.
func forward(p []*graph.Node, x *graph.Node) (f, logits *graph.Node) {
	n := x.Shape().Dim(0) / (half * half)
	h := relu(graph.Add(graph.MatMul(x, p[0]), graph.Reshape(p[1], 1, maps1)))
	h = graph.Convolve(graph.Reshape(h, n, half, half, maps1), p[2]).Strides(2).PadSame().Done()
	h = relu(graph.Add(h, graph.Reshape(p[3], 1, 1, 1, maps2)))
	h = graph.Reshape(h, n, flat)
	f = relu(graph.Add(graph.MatMul(h, p[4]), graph.Reshape(p[5], 1, features)))
	return f, graph.Add(graph.MatMul(f, p[6]), graph.Reshape(p[7], 1, classes))
}

func relu(x *graph.Node) *graph.Node {
	return graph.MaxScalar(x, 0)
}

// loss is the mean cross-entropy to one-hot labels.
func loss(p, in []*graph.Node) *graph.Node {
	_, logits := forward(p, in[0])
	return graph.Neg(graph.MulScalar(graph.ReduceAllMean(graph.Mul(in[1], graph.LogSoftmax(logits))), classes))
}

// windows cuts the windows around every other pixel out of an image; beyond its
// edges all is black.
func windows(dst, image []float32) {
	const reach = window / 2
	for i := range half * half {
		y0, x0 := 2*(i/half)-reach, 2*(i%half)-reach
		for j := range window * window {
			y, x := y0+j/window, x0+j%window
			dst[i*window*window+j] = -1
			if y >= 0 && x >= 0 && y < size && x < size {
				dst[i*window*window+j] = image[y*size+x]
			}
		}
	}
}

// cut is the number of elements of an image's windows.
const cut = half * half * window * window
