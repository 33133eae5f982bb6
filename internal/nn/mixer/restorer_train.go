package mixer

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/internal/degrade"
	"github.com/assay-lab/assay/internal/nn"
)

// A RestorerRecipe says how a restorer is made: a network with two channels, the
// noisy image and the degraded one, whose classes are the tasks.
type RestorerRecipe struct {
	Recipe
	Process diffusion.Reversion
}

// MNISTRestorer is the recipe of the shipped restorer. Pixels lie between 0 and 1.
var MNISTRestorer = RestorerRecipe{
	Recipe: Recipe{
		Shape: Shape{Size: 28, Patch: 4, Width: 96, Blocks: 6, Tokens: 64, Hidden: 192, Times: 64, Frequency: 30, Classes: 3, Channels: 2},
		Steps: 6000, Batch: 64, Rate: 2e-3, Warmup: 200, Clip: 1, EMA: .999, Unlabel: .1, Seed: 1,
	},
	Process: diffusion.Reversion{S: 50.0 / 255, T: 100, Eps: 0.005},
}

func (r RestorerRecipe) check() (*diffusion.MeanReverting, error) {
	if err := r.Shape.check(); err != nil {
		return nil, err
	}
	if r.Shape.Channels != 2 || r.Shape.Classes != len(degrade.Tasks()) {
		return nil, fmt.Errorf("mixer: a restorer of %d channels and %d classes: must have 2 and %d", r.Shape.Channels, r.Shape.Classes, len(degrade.Tasks()))
	}
	return diffusion.NewMeanReverting(r.Process)
}

// TrainRestorer makes a restorer from clean images [n, Size, Size] between 0 and 1,
// which it spoils itself.
func TrainRestorer(ctx context.Context, r RestorerRecipe, images []float32, opt nn.Options) (*Restorer, error) {
	p, err := r.check()
	if err != nil {
		return nil, err
	}
	size := r.Shape.Size * r.Shape.Size
	task, err := r.task(images, make([]uint8, len(images)/size))
	if err != nil {
		return nil, err
	}
	id, err := json.Marshal(struct {
		RestorerRecipe
		Data string
	}{r, digest(images, nil)})
	if err != nil {
		return nil, fmt.Errorf("mixer: recipe: %w", err)
	}
	t := newTrainer(r.Recipe, images, nil)
	t.fill = func(src *rand.Rand) { r.draw(t, p, len(images)/size, src) }
	task.Recipe, task.Gradient = string(id), t.gradient
	w, err := nn.Train(ctx, task, opt)
	if err != nil {
		return nil, err
	}
	return newRestorer(r, p, w), nil
}

// draw fills in one batch: images spoiled at random, at times spread evenly over the
// process.
func (r RestorerRecipe) draw(t *trainer, p *diffusion.MeanReverting, images int, src *rand.Rand) {
	size := r.Shape.Size * r.Shape.Size
	mu, noisy, velocity := make([]float32, size), make([]float32, size), make([]float32, size)
	offset := src.Float64()
	for i := range r.Batch {
		s, k := t.shards[i/shard], i%shard
		x0 := t.images[src.IntN(images)*size:][:size]
		task := degrade.Task(src.IntN(r.Shape.Classes))
		task.Apply(mu, x0, r.Shape.Size, src)
		at := p.At((float64(i) + offset) / float64(r.Batch) * float64(p.T))
		for l, x := range x0 {
			e, y0 := src.NormFloat64(), float64(x-mu[l])/p.S
			noisy[l] = float32(at.Alpha*y0 + at.Sigma*e)
			velocity[l] = float32(at.Alpha*e - at.Sigma*y0)
		}
		r.Shape.see(s.net, noisy, mu, k)
		r.Shape.cut(s.velocity, velocity, k, s.net.n)
		r.Shape.timeFeatures(s.net.time[k*r.Shape.Times:][:r.Shape.Times], at.T/float64(p.T))
		s.net.label[k] = int(task)
		if src.Float64() < r.Unlabel {
			s.net.label[k] = r.Shape.Classes
		}
	}
}

// see shows image k to the network: y = (x − μ)/s, which has about unit variance,
// and μ between −1 and 1.
func (s Shape) see(net *network, y, mu []float32, k int) {
	signed := make([]float32, len(mu))
	for i, m := range mu {
		signed[i] = 2*m - 1
	}
	s.cutChannel(net.x, y, k, net.n, 0, 2)
	s.cutChannel(net.x, signed, k, net.n, 1, 2)
}
