// Package gru ranks candidates that are sequences of steps by a recurrent network:
// the predictor of Liu et al. 2024 (arXiv 2312.07243), section 4.2.
package gru

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"

	"github.com/assay-lab/assay/internal/nn"
	"github.com/assay-lab/assay/search/evo"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// A Ranker is an [evo.Predictor]: every step is embedded, a gated recurrent unit
// reads the embeddings in order, and its last state gives the score. It is trained
// from scratch at every stage, by the hinge loss Σ max(0, Margin − (p_worse −
// p_better)) over pairs.
type Ranker[T any] struct {
	// Steps describes a candidate's steps, at most Length, by as many features each.
	Steps  func(x T) [][]float64
	Length int
	Width  int     // of embedding and state; 0: 32
	Margin float64 // 0: 0.1
	Train  int     // updates a stage, of 64 candidates each; 0: 300
	Rate   float64 // peak learning rate; 0: 0.01

	features    int
	mean, scale []float64 // of the features
	w           []float32
	once        sync.Once
	forward     *nn.Program
	err         error
}

// batch is the number of candidates of an update; predictions take as many at once.
const batch = 64

func (g *Ranker[T]) width() int {
	if g.Width == 0 {
		return 32
	}
	return g.Width
}

func (g *Ranker[T]) layout() nn.Layout {
	f, h := g.features, g.width()
	deviation := func(n int) float64 { return 1 / math.Sqrt(float64(n)) }
	return nn.Layout{
		{Name: "embed", Shape: []int{f, h}, Deviation: math.Sqrt2 * deviation(f)},
		{Name: "embed bias", Shape: []int{1, h}},
		{Name: "input", Shape: []int{h, 3 * h}, Deviation: deviation(h)},
		{Name: "state", Shape: []int{h, 3 * h}, Deviation: deviation(h)},
		{Name: "bias", Shape: []int{1, 3 * h}},
		{Name: "hidden", Shape: []int{h, h}, Deviation: math.Sqrt2 * deviation(h)},
		{Name: "hidden bias", Shape: []int{1, h}},
		{Name: "score", Shape: []int{h, 1}, Deviation: deviation(h)},
	}
}

// rank gives the scores [batch, 1] of steps [Length·batch, features + 1], all first
// steps before all second ones; the last feature is 0 where a candidate has no such
// step.
func (g *Ranker[T]) rank(p []*graph.Node, x *graph.Node) *graph.Node {
	h := g.width()
	part := func(y *graph.Node, k int) *graph.Node {
		return graph.Slice(y, graph.AxisRange(), graph.AxisRange(k*h, (k+1)*h))
	}
	there := graph.Slice(x, graph.AxisRange(), graph.AxisRange(g.features, g.features+1))
	x = graph.Slice(x, graph.AxisRange(), graph.AxisRange(0, g.features))
	x = graph.MaxScalar(graph.Add(graph.MatMul(x, p[0]), p[1]), 0)
	x = graph.Add(graph.MatMul(x, p[2]), p[4])
	var state *graph.Node
	for s := range g.Length {
		rows := graph.AxisRange(s*batch, (s+1)*batch)
		in, mask := graph.Slice(x, rows), graph.Slice(there, rows)
		var old, change *graph.Node
		if state == nil {
			change = graph.Mul(graph.Sigmoid(part(in, 0)), graph.Tanh(part(in, 2)))
			state = graph.Mul(mask, change)
			continue
		}
		old = graph.MatMul(state, p[3])
		update := graph.Sigmoid(graph.Add(part(in, 0), part(old, 0)))
		reset := graph.Sigmoid(graph.Add(part(in, 1), part(old, 1)))
		fresh := graph.Tanh(graph.Add(part(in, 2), graph.Mul(reset, part(old, 2))))
		change = graph.Mul(update, graph.Sub(fresh, state))
		state = graph.Add(state, graph.Mul(mask, change))
	}
	hidden := graph.MaxScalar(graph.Add(graph.MatMul(state, p[5]), p[6]), 0)
	return graph.MatMul(hidden, p[7])
}

// Fit trains the network.
func (g *Ranker[T]) Fit(ctx context.Context, r *rand.Rand, known []evo.Scored[T]) error {
	if g.Steps == nil || g.Length < 1 || len(known) < 2 {
		return errors.New("a ranker needs a description of steps, their greatest number, and two scored candidates")
	}
	rows, err := g.describe(known)
	if err != nil {
		return err
	}
	order := evo.Ranks(scores(known))
	gradient, err := nn.GraphGradient(g.layout(), [][]int{{g.Length * batch, g.features + 1}, {batch, batch}},
		func(step int, in [][]float32) {
			pick := rand.New(rand.NewPCG(uint64(step), 0x67727a))
			for i := range batch {
				k := pick.IntN(len(known))
				g.fill(in[0], i, rows[k])
				in[1][i] = float32(order[k])
			}
			pairs(in[1])
		},
		func(p, in []*graph.Node) *graph.Node {
			score := g.rank(p, in[0])
			margin := graph.Sub(graph.Reshape(score, batch, 1), graph.Reshape(score, 1, batch)) // of i over j
			hinge := graph.MaxScalar(graph.AddScalar(graph.Neg(margin), g.margin()), 0)
			return graph.MulScalar(graph.ReduceAllSum(graph.Mul(in[1], hinge)), 2/float64(batch*(batch-1)))
		})
	if err != nil {
		return err
	}
	task := nn.Task{
		Recipe: "ranker", Layout: g.layout(), Gradient: stopped(ctx, gradient), Steps: g.Train, Seed: r.Uint64(), EMA: .95,
		Adam: nn.Adam{Rate: g.Rate, Beta1: .9, Beta2: .99, Epsilon: 1e-8, Clip: 1, Warmup: 20},
	}
	if task.Steps == 0 {
		task.Steps = 300
	}
	if task.Adam.Rate == 0 {
		task.Adam.Rate = .01
	}
	g.w, err = nn.Train(ctx, task, nn.Options{})
	return err
}

// stopped has a gradient fail once ctx is cancelled.
func stopped(ctx context.Context, f func(int, []float32, []float32) (float64, error)) func(int, []float32, []float32) (float64, error) {
	return func(step int, w, grad []float32) (float64, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return f(step, w, grad)
	}
}

func (g *Ranker[T]) margin() float64 {
	if g.Margin == 0 {
		return .1
	}
	return g.Margin
}

func scores[T any](known []evo.Scored[T]) []float64 {
	s := make([]float64, len(known))
	for i, k := range known {
		s[i] = k.Score
	}
	return s
}

// pairs turns the ranks in the first row of a square into 1 where the row's
// candidate ranks behind the column's, else 0.
func pairs(square []float32) {
	ranks := append([]float32(nil), square[:batch]...)
	for i, a := range ranks {
		for j, b := range ranks {
			square[i*batch+j] = 0
			if a > b {
				square[i*batch+j] = 1
			}
		}
	}
}

// describe gives the steps of all candidates, and takes the features' means and
// deviations from them.
func (g *Ranker[T]) describe(known []evo.Scored[T]) ([][][]float64, error) {
	rows := make([][][]float64, len(known))
	var n float64
	g.features = 0
	for i, k := range known {
		rows[i] = g.Steps(k.X)
		if i == 0 && len(rows[0]) > 0 {
			g.features = len(rows[0][0])
			g.mean, g.scale = make([]float64, g.features), make([]float64, g.features)
		}
		if err := g.check(rows[i]); err != nil {
			return nil, err
		}
		for _, row := range rows[i] {
			n++
			for j, v := range row {
				g.mean[j] += v
				g.scale[j] += v * v
			}
		}
	}
	for j := range g.mean {
		g.mean[j] /= n
		variance := g.scale[j]/n - g.mean[j]*g.mean[j]
		if g.scale[j] = 0; variance > 1e-12 {
			g.scale[j] = 1 / math.Sqrt(variance)
		}
	}
	return rows, nil
}

func (g *Ranker[T]) check(rows [][]float64) error {
	if len(rows) == 0 || len(rows) > g.Length {
		return fmt.Errorf("a candidate of %d steps: must be 1 to %d", len(rows), g.Length)
	}
	for _, row := range rows {
		if len(row) != g.features || len(row) == 0 {
			return fmt.Errorf("a step of %d features: want %d", len(row), g.features)
		}
	}
	return nil
}

// fill writes a candidate's steps as the i-th of a batch, the last step last.
func (g *Ranker[T]) fill(x []float32, i int, rows [][]float64) {
	for s := range g.Length {
		dst := x[(s*batch+i)*(g.features+1):][:g.features+1]
		k := s - (g.Length - len(rows))
		if k < 0 {
			clear(dst)
			continue
		}
		for j, v := range rows[k] {
			dst[j] = float32((v - g.mean[j]) * g.scale[j])
		}
		dst[g.features] = 1
	}
}

// Predict ranks candidates: lower is better.
func (g *Ranker[T]) Predict(xs []T) ([]float64, error) {
	if g.w == nil {
		return nil, errors.New("the ranker has not been fitted")
	}
	g.once.Do(func() {
		n := len(g.layout())
		g.forward, g.err = nn.NewProgram("rank", func(in []*graph.Node) []*graph.Node {
			return []*graph.Node{g.rank(in[:n], in[n])}
		})
	})
	if g.err != nil {
		return nil, g.err
	}
	layout := g.layout()
	in := make([]*tensors.Tensor, len(layout), len(layout)+1)
	for i, part := range layout.Split(g.w) {
		in[i] = nn.Array(part, layout[i].Shape...)
	}
	out := make([]float64, 0, len(xs))
	x := make([]float32, g.Length*batch*(g.features+1))
	for len(xs) > 0 {
		n := min(batch, len(xs))
		for i, c := range xs[:n] {
			rows := g.Steps(c)
			if err := g.check(rows); err != nil {
				return nil, err
			}
			g.fill(x, i, rows)
		}
		err := g.forward.Run(append(in, nn.Array(x, g.Length*batch, g.features+1)), func(_ int, flat []float32) {
			for _, v := range flat[:n] {
				out = append(out, float64(v))
			}
		})
		if err != nil {
			return nil, err
		}
		xs = xs[n:]
	}
	return out, nil
}
