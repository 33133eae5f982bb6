package mixer

import (
	"context"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/internal/qgemm"
)

// integers holds the intermediate results of n images on the way through integer
// products.
type integers struct {
	*network
	tokens qgemm.Tokens
	ab, y  []float32 // of blockTokens tokens
}

// blockTokens is how many tokens go through a branch together: what they need stays
// in the second-level cache.
const blockTokens = 64

// Velocity is that of [Denoiser.Velocity], by products of integers.
func (q *Quantized) Velocity(ctx context.Context, dst, x []float32, n int, at []diffusion.Level, labels []int) error {
	s := q.recipe.Shape
	return s.velocity(ctx, dst, x, n, at, labels, func(dst, x []float32, n int, at []diffusion.Level, labels []int) {
		net, ok := q.free[n].Get().(*integers)
		if !ok {
			width := 0
			for _, site := range q.sites {
				width = max(width, site.weights.Stride())
			}
			net = &integers{network: s.newNetwork(n, false), ab: make([]float32, blockTokens*width), y: make([]float32, blockTokens*width)}
		}
		defer q.free[n].Put(net)
		net.load(x, at, labels)
		net.forwardIntegers(q)
		net.unload(dst)
	})
}

// Simulated is Velocity with products of what the codes stand for, in floating
// point.
func (q *Quantized) Simulated(ctx context.Context, dst, x []float32, n int, at []diffusion.Level, labels []int) error {
	s := q.recipe.Shape
	return s.velocity(ctx, dst, x, n, at, labels, func(dst, x []float32, n int, at []diffusion.Level, labels []int) {
		net := s.newNetwork(n, false)
		net.see = func(i int, x []float32) { q.sites[i].fake(x) }
		net.load(x, at, labels)
		net.forward(q.p)
		net.unload(dst)
	})
}

// forwardIntegers is [network.forward].
func (n *integers) forwardIntegers(q *Quantized) {
	t, w := n.network.tokens(), n.Width
	n.condition(q.p)
	n.rows(&q.sites[patchSite], n.x, func(at int, y []float32, stride int) {
		for i := range min(blockTokens, t*n.n-at) {
			h, position := n.h[(at+i)*w:][:w], q.p.position[(at+i)/n.n*w:]
			copy(h, y[i*stride:][:w])
			accumulate(h, position)
		}
	})
	for i, b := range q.p.blocks {
		u := n.modulate(2*i, b.token.scale, b.token.shift)
		n.tokenMix(&q.sites[4*i+tokenIn], &q.sites[4*i+tokenOut], u)
		u = n.modulate(2*i+1, b.channel.scale, b.channel.shift)
		n.channelMix(&q.sites[4*i+channelIn], &q.sites[4*i+channelOut], u)
	}
	u := n.modulate(2*n.Blocks, q.p.headScale, q.p.headShift)
	pixels := n.pixels()
	n.rows(&q.sites[n.headSite()], u, func(at int, y []float32, stride int) {
		for i := range min(blockTokens, t*n.n-at) {
			copy(n.out[(at+i)*pixels:][:pixels], y[i*stride:])
		}
	})
}

// rows multiplies tokens, rows of x, block by block.
func (n *integers) rows(s *Site, x []float32, use func(at int, y []float32, stride int)) {
	all := len(x) / s.Cols
	for at := 0; at < all; at += blockTokens {
		n.tokens.Quantize(x[at*s.Cols:], s.Cols, min(blockTokens, all-at), s.Cols, s.input)
		s.weights.Mul(n.ab, s.weights.Stride(), &n.tokens)
		use(at, n.ab, s.weights.Stride())
	}
}

// gated multiplies the halves of a block's first products, and the result by the
// second weights.
func (n *integers) gated(out *Site, tokens, stride int) {
	k := out.Cols
	for i := range tokens {
		ab := n.ab[i*stride:][:2*k]
		multiply(n.y[i*k:][:k], ab[:k], ab[k:])
	}
	n.tokens.Quantize(n.y, k, tokens, k, out.input)
	out.weights.Mul(n.ab, out.weights.Stride(), &n.tokens)
}

// channelMix adds the branch that mixes the numbers of a token.
func (n *integers) channelMix(in, out *Site, u []float32) {
	n.rows(in, u, func(at int, _ []float32, stride int) {
		tokens := min(blockTokens, len(u)/in.Cols-at)
		n.gated(out, tokens, stride)
		for i := range tokens {
			accumulate(n.h[(at+i)*n.Width:][:n.Width], n.ab[i*out.weights.Stride():])
		}
	})
}

// tokenMix adds the branch that mixes tokens: a column of u [tokens, n·width] is
// what one product takes.
func (n *integers) tokenMix(in, out *Site, u []float32) {
	cols := n.n * n.Width
	for at := 0; at < cols; at += blockTokens {
		c := min(blockTokens, cols-at)
		n.tokens.QuantizeColumns(u[at:], cols, c, in.Cols, in.input)
		in.weights.Mul(n.ab, in.weights.Stride(), &n.tokens)
		n.gated(out, c, in.weights.Stride())
		stride := out.weights.Stride()
		for t := range out.Rows {
			h := n.h[t*cols+at:][:c]
			for i := range h {
				h[i] += n.ab[i*stride+t]
			}
		}
	}
}
