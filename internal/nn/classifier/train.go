package classifier

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/assay-lab/assay/internal/nn"
	"github.com/assay-lab/assay/internal/rng"
)

// A Recipe says how a classifier is made.
type Recipe struct {
	Steps  int
	Batch  int
	Rate   float64 // peak learning rate
	Warmup int     // steps
	EMA    float64 // decay of the averaged weights
	Shift  float64 // images are moved by up to so many pixels each way,
	Turn   float64 // turned by up to so many radians
	Zoom   float64 // and scaled by up to this fraction
	Seed   uint64
}

// MNIST is the recipe of the shipped classifier.
var MNIST = Recipe{Steps: 4000, Batch: 64, Rate: 2e-3, Warmup: 100, EMA: .999, Shift: 2, Turn: .2, Zoom: .1, Seed: 1}

// Train makes a classifier of images [n, 28, 28] between −1 and 1.
func Train(ctx context.Context, r Recipe, images []float32, labels []uint8, opt nn.Options) (*Classifier, error) {
	if r.Batch < 1 {
		return nil, fmt.Errorf("classifier: batches of %d: at least 1 is needed", r.Batch)
	}
	if len(labels) == 0 || len(images) != len(labels)*area {
		return nil, fmt.Errorf("classifier: %d pixels for %d labels: want %d each", len(images), len(labels), area)
	}
	for i, l := range labels {
		if l >= classes {
			return nil, fmt.Errorf("classifier: label[%d] = %d: must be below %d", i, l, classes)
		}
	}
	h := sha256.New()
	binary.Write(h, binary.LittleEndian, images) // a hash never fails
	id, err := json.Marshal(struct {
		Recipe
		Data string
	}{r, hex.EncodeToString(h.Sum(labels)[:8])})
	if err != nil {
		return nil, fmt.Errorf("classifier: recipe: %w", err)
	}
	batch := func(step int, in [][]float32) {
		r.draw(rng.Stream(r.Seed, 1, uint64(step)), images, labels, in[0], in[1])
	}
	gradient, err := nn.GraphGradient(layout, [][]int{{r.Batch * half * half, window * window}, {r.Batch, classes}}, batch, loss)
	if err != nil {
		return nil, err
	}
	w, err := nn.Train(ctx, nn.Task{
		Recipe: string(id), Layout: layout, Gradient: gradient, Steps: r.Steps, Seed: r.Seed, EMA: r.EMA,
		Adam: nn.Adam{Rate: r.Rate, Beta1: .9, Beta2: .999, Epsilon: 1e-8, Warmup: r.Warmup},
	}, opt)
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	if err := nn.WriteWeights(&buf, layout, w, string(id)); err != nil {
		return nil, err
	}
	return Load(&buf) // with weights as they will be stored
}

// draw fills in one batch of warped images and one-hot labels.
func (r Recipe) draw(src *rand.Rand, images []float32, labels []uint8, x, onehot []float32) {
	clear(onehot)
	image := make([]float32, area)
	for i := range r.Batch {
		j := src.IntN(len(labels))
		either := func(most float64) float64 { return most * (2*src.Float64() - 1) }
		warp(image, images[j*area:(j+1)*area], either(r.Shift), either(r.Shift), either(r.Turn), 1+either(r.Zoom))
		windows(x[i*cut:(i+1)*cut], image)
		onehot[i*classes+int(labels[j])] = 1
	}
}

// warp moves, turns and scales an image about its middle, interpolating linearly;
// what comes from outside is black.
func warp(dst, src []float32, dx, dy, angle, zoom float64) {
	sin, cos := math.Sincos(angle)
	const mid = (size - 1) / 2.
	at := func(x, y int) float32 {
		if x < 0 || y < 0 || x >= size || y >= size {
			return -1
		}
		return src[y*size+x]
	}
	for y := range size {
		for x := range size {
			u, v := (float64(x)-mid-dx)/zoom, (float64(y)-mid-dy)/zoom
			u, v = cos*u+sin*v+mid, cos*v-sin*u+mid
			i, j := math.Floor(u), math.Floor(v)
			a, b := float32(u-i), float32(v-j)
			k, l := int(i), int(j)
			dst[y*size+x] = (1-b)*((1-a)*at(k, l)+a*at(k+1, l)) + b*((1-a)*at(k, l+1)+a*at(k+1, l+1))
		}
	}
}
