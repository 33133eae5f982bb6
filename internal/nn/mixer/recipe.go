package mixer

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"

	"github.com/assay-lab/assay/internal/nn"
)

// A Recipe says how a denoiser is made. Equal recipes and data give equal
// weights on one machine.
type Recipe struct {
	Shape   Shape
	Steps   int
	Batch   int
	Rate    float64 // peak learning rate
	Warmup  int     // steps
	Clip    float64 // largest gradient norm
	EMA     float64 // decay of the averaged weights
	Unlabel float64 // fraction of the examples that lose their label
	Seed    uint64
}

// MNIST is the recipe of the shipped denoiser.
var MNIST = Recipe{
	Shape: Shape{Size: 28, Patch: 4, Width: 128, Blocks: 8, Tokens: 98, Hidden: 256, Times: 64, Frequency: 30, Classes: 10},
	Steps: 6000, Batch: 64, Rate: 2e-3, Warmup: 200, Clip: 1, EMA: .999, Unlabel: .1, Seed: 1,
}

// Train makes a denoiser from images [n, Size, Size] between −1 and 1 and their
// labels.
func Train(ctx context.Context, r Recipe, images []float32, labels []uint8, opt nn.Options) (*Denoiser, error) {
	task, err := r.task(images, labels)
	if err == nil {
		err = r.Shape.single()
	}
	if err != nil {
		return nil, err
	}
	w, err := nn.Train(ctx, task, opt)
	if err != nil {
		return nil, err
	}
	return newDenoiser(r, w), nil
}

func (r Recipe) task(images []float32, labels []uint8) (nn.Task, error) {
	s := r.Shape
	if err := s.check(); err != nil {
		return nn.Task{}, err
	}
	if r.Batch < 1 {
		return nn.Task{}, fmt.Errorf("mixer: batches of %d: at least 1 is needed", r.Batch)
	}
	if len(labels) == 0 || len(images) != len(labels)*s.Size*s.Size {
		return nn.Task{}, fmt.Errorf("mixer: %d pixels for %d labels: want %d each", len(images), len(labels), s.Size*s.Size)
	}
	for i, l := range labels {
		if int(l) >= s.Classes {
			return nn.Task{}, fmt.Errorf("mixer: label[%d] = %d: must be below %d", i, l, s.Classes)
		}
	}
	id, err := json.Marshal(struct {
		Recipe
		Data string
	}{r, digest(images, labels)})
	if err != nil {
		return nn.Task{}, fmt.Errorf("mixer: recipe: %w", err)
	}
	return nn.Task{
		Recipe: string(id), Layout: s.layout(), Gradient: newTrainer(r, images, labels).gradient,
		Steps: r.Steps, Seed: r.Seed, EMA: r.EMA,
		Adam: nn.Adam{Rate: r.Rate, Beta1: .9, Beta2: .99, Epsilon: 1e-8, Clip: r.Clip, Warmup: r.Warmup},
	}, nil
}

// digest identifies training data.
func digest(images []float32, labels []uint8) string {
	h := sha256.New()
	binary.Write(h, binary.LittleEndian, images) // a hash never fails
	h.Write(labels)
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// cut writes image i of n as patches [tokens, n, pixels].
func (s Shape) cut(patches, image []float32, i, n int) { s.cutChannel(patches, image, i, n, 0, 1) }

// cutChannel writes an image as channel c of patches [tokens, n, channels, pixels].
func (s Shape) cutChannel(patches, image []float32, i, n, c, channels int) {
	for t := range s.tokens() {
		for r := range s.Patch {
			from := (t/s.side()*s.Patch+r)*s.Size + t%s.side()*s.Patch
			copy(patches[(((t*n+i)*channels+c)*s.Patch+r)*s.Patch:][:s.Patch], image[from:])
		}
	}
}

// paste is the inverse of cut.
func (s Shape) paste(image, patches []float32, i, n int) {
	for t := range s.tokens() {
		for r := range s.Patch {
			to := (t/s.side()*s.Patch+r)*s.Size + t%s.side()*s.Patch
			copy(image[to:to+s.Patch], patches[((t*n+i)*s.Patch+r)*s.Patch:])
		}
	}
}

// frequency of the k-th pair of time features: evenly spaced on a log scale from
// 1 to Frequency.
func (s Shape) frequency(k int) float64 {
	return math.Pow(s.Frequency, float64(k)/float64(max(s.Times/2-1, 1)))
}

// timeFeatures are sines, then cosines of the time at all frequencies.
func (s Shape) timeFeatures(dst []float32, t float64) {
	half := s.Times / 2
	for k := range half {
		sin, cos := math.Sincos(t * s.frequency(k))
		dst[k], dst[half+k] = float32(sin), float32(cos)
	}
}
