package mixer

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/internal/rng"
)

// shard is the number of images that one goroutine works on at a time. It is
// fixed, so that sums do not depend on the number of processors.
const shard = 16

// each calls f for 0 to n−1, on as many goroutines as there are processors.
func each(n int, f func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	wg.Wait()
}

// trainer computes gradients on batches of noisy images.
type trainer struct {
	Recipe
	images []float32 // [n, Size, Size]
	labels []uint8
	shards []*trainShard
	fill   func(*rand.Rand) // draws one batch
}

// trainShard is a part of the batch.
type trainShard struct {
	net      *network
	scratch  *scratch
	velocity []float32 // wanted, then the loss's gradient [tokens, n, pixels]
	grad     []float32
	g        *parameters // views of grad
	loss     float64
}

func newTrainer(r Recipe, images []float32, labels []uint8) *trainer {
	t := &trainer{Recipe: r, images: images, labels: labels}
	for i := 0; i < r.Batch; i += shard {
		net, grad := r.Shape.newNetwork(min(shard, r.Batch-i), true), make([]float32, r.Shape.layout().Len())
		t.shards = append(t.shards, &trainShard{
			net: net, scratch: net.newScratch(), velocity: make([]float32, len(net.out)),
			grad: grad, g: r.Shape.parameters(grad),
		})
	}
	t.fill = t.draw
	return t
}

// gradient is the mean square of the velocity's error and its gradient.
func (t *trainer) gradient(step int, w, grad []float32) (float64, error) {
	p := t.Shape.parameters(w)
	t.fill(rng.Stream(t.Seed, 1, uint64(step)))
	each(len(t.shards), func(i int) {
		s := t.shards[i]
		s.net.forward(p)
		s.lossBack(t.Batch * t.Shape.Size * t.Shape.Size)
		s.net.backward(p, s.g, s.velocity, s.scratch)
	})
	const block = 1 << 14
	each((len(grad)+block-1)/block, func(i int) {
		from, to := i*block, min((i+1)*block, len(grad))
		copy(grad[from:to], t.shards[0].grad[from:to])
		for _, s := range t.shards[1:] {
			accumulate(grad[from:to], s.grad[from:to])
		}
	})
	var loss float64
	for _, s := range t.shards {
		loss += s.loss
	}
	return loss, nil
}

// lossBack computes the part of the loss, a mean over count numbers, and replaces
// velocity by its gradient.
func (s *trainShard) lossBack(count int) {
	var sum float64
	for i, v := range s.net.out {
		e := v - s.velocity[i]
		sum += float64(e) * float64(e)
		s.velocity[i] = 2 / float32(count) * e
	}
	s.loss = sum / float64(count)
}

// draw fills in one batch. Times are spread evenly over it, which makes the loss
// less noisy.
func (t *trainer) draw(src *rand.Rand) {
	size := t.Shape.Size * t.Shape.Size
	noisy, velocity := make([]float32, size), make([]float32, size)
	offset := src.Float64()
	for i := range t.Batch {
		s, k := t.shards[i/shard], i%shard
		j := src.IntN(len(t.labels))
		at := diffusion.Cosine{}.At((float64(i) + offset) / float64(t.Batch))
		for l, x0 := range t.images[j*size : (j+1)*size] {
			e := src.NormFloat64()
			noisy[l] = float32(at.Alpha*float64(x0) + at.Sigma*e)
			velocity[l] = float32(at.Alpha*e - at.Sigma*float64(x0))
		}
		t.Shape.cut(s.net.x, noisy, k, s.net.n)
		t.Shape.cut(s.velocity, velocity, k, s.net.n)
		t.Shape.timeFeatures(s.net.time[k*t.Shape.Times:][:t.Shape.Times], at.T)
		s.net.label[k] = int(t.labels[j])
		if src.Float64() < t.Unlabel {
			s.net.label[k] = t.Shape.Classes
		}
	}
}
