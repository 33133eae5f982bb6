package decoder

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/assay-lab/assay/internal/nn"
	"github.com/assay-lab/assay/internal/rng"
)

// A Recipe says how a model is made. Equal recipes and texts give equal weights on
// one machine.
type Recipe struct {
	Shape  Shape
	Steps  int
	Batch  int // sequences a step
	Rate   float64
	Warmup int     // steps
	Clip   float64 // largest gradient norm
	EMA    float64 // decay of the averaged weights
	Seed   uint64
}

// Train makes a model that predicts the next token of a text.
func Train(ctx context.Context, r Recipe, text []int, opt nn.Options) (*Model, error) {
	task, err := r.task(text)
	if err != nil {
		return nil, err
	}
	w, err := nn.Train(ctx, task, opt)
	if err != nil {
		return nil, err
	}
	return New(r.Shape, w)
}

func (r Recipe) task(text []int) (nn.Task, error) {
	if err := r.Shape.check(); err != nil {
		return nn.Task{}, err
	}
	if r.Batch < 1 {
		return nn.Task{}, fmt.Errorf("decoder: batches of %d: at least 1 is needed", r.Batch)
	}
	if len(text) <= r.Shape.Context {
		return nn.Task{}, fmt.Errorf("decoder: text of %d tokens: more than the context, %d, are needed", len(text), r.Shape.Context)
	}
	if err := r.Shape.checkTokens(text); err != nil {
		return nn.Task{}, err
	}
	h := sha256.New()
	for _, t := range text {
		binary.Write(h, binary.LittleEndian, uint32(t)) // a hash never fails
	}
	id, err := json.Marshal(struct {
		Recipe
		Text string
	}{r, hex.EncodeToString(h.Sum(nil)[:8])})
	if err != nil {
		return nn.Task{}, fmt.Errorf("decoder: recipe: %w", err)
	}
	return nn.Task{
		Recipe: string(id), Layout: r.Shape.layout(), Gradient: newTrainer(r, text).gradient,
		Steps: r.Steps, Seed: r.Seed, EMA: r.EMA,
		Adam: nn.Adam{Rate: r.Rate, Beta1: .9, Beta2: .99, Epsilon: 1e-8, Clip: r.Clip, Warmup: r.Warmup},
	}, nil
}

// shard is the number of sequences that one goroutine works on at a time. It is
// fixed, so that sums do not depend on the number of processors.
const shard = 4

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

type trainer struct {
	Recipe
	text   []int
	shards []*trainShard
}

// trainShard is a part of the batch.
type trainShard struct {
	*network
	*scratch
	targets []int
	grad    []float32
	g       *parameters // views of grad
	loss    float64
}

func newTrainer(r Recipe, text []int) *trainer {
	t := &trainer{Recipe: r, text: text}
	for i := 0; i < r.Batch; i += shard {
		net := r.Shape.newNetwork(min(shard, r.Batch-i), r.Shape.Context)
		s := &trainShard{network: net, scratch: net.newScratch(), targets: make([]int, len(net.tokens)), grad: make([]float32, r.Shape.layout().Len())}
		s.g = r.Shape.parameters(s.grad)
		t.shards = append(t.shards, s)
	}
	return t
}

// gradient is the mean cross entropy of a step's batch and its gradient.
func (t *trainer) gradient(step int, w, grad []float32) (float64, error) {
	p := t.Shape.parameters(w)
	src := rng.Stream(t.Seed, 1, uint64(step))
	l := t.Shape.Context
	for _, s := range t.shards {
		for i := range s.n {
			at := src.IntN(len(t.text) - l)
			copy(s.tokens[i*l:(i+1)*l], t.text[at:])
			copy(s.targets[i*l:(i+1)*l], t.text[at+1:])
		}
	}
	each(len(t.shards), func(i int) {
		s := t.shards[i]
		// No product is replaced and nothing watched: neither can fail.
		_ = s.forward(p, nil)
		s.loss = 0
		for _, x := range s.network.loss(s.targets) {
			s.loss += x / float64(t.Batch)
		}
		_ = s.backward(p, s.g, s.targets, float64(s.n)/float64(t.Batch), s.scratch, nil)
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
