package mixer

import (
	"math"

	"github.com/assay-lab/assay/internal/gemm"
)

// epsilon keeps the root mean square of a zero token from dividing by zero.
const epsilon = 1e-6

// parameters are the arrays of the layout by their use; gradients have the same
// form.
type parameters struct {
	timeIn, timeOut, label, patch, position []float32
	blocks                                  []blockParameters
	headScale, headShift, head              []float32
}

type blockParameters struct{ token, channel branchParameters }

// branchParameters are those of h += Out·((A·u) ∘ (B·u)), u the modulated norm of
// h. in is A and B: above each other where tokens are mixed, beside each other
// where channels are.
type branchParameters struct{ scale, shift, in, out []float32 }

func (s Shape) parameters(flat []float32) *parameters {
	parts := s.layout().Split(flat)
	next := func() []float32 {
		x := parts[0]
		parts = parts[1:]
		return x
	}
	branch := func() branchParameters { return branchParameters{next(), next(), next(), next()} }
	p := &parameters{timeIn: next(), timeOut: next(), label: next(), patch: next(), position: next()}
	for range s.Blocks {
		p.blocks = append(p.blocks, blockParameters{branch(), branch()})
	}
	p.headScale, p.headShift, p.head = next(), next(), next()
	return p
}

// network holds the intermediate results of n images. Tokens are the
// first axis, images the second: both mixings are then matrix products of the
// same memory, [tokens, images·width] and [tokens·images, width].
type network struct {
	Shape
	n     int
	x     []float32    // patches [tokens, n, inputs]
	time  []float32    // features [n, Times]
	label []int        // [n], Classes for none
	pre   [2][]float32 // before the two SiLUs of the condition [n, width]
	hid   []float32    // after the first
	c     []float32    // condition [n, width]
	norms []norm       // of all branches, then the head; shared when nothing is kept
	gates []gate
	h     []float32 // tokens after the last block [tokens, n, width]
	out   []float32 // velocity [tokens, n, pixels]
	// see, if not nil, is shown the second factor of every product but those of the
	// condition before it is multiplied, and may change it.
	see func(site int, x []float32)
}

// The sites of products that see is shown: the patches, four in each block, the
// head.
const (
	patchSite = iota
	tokenIn   // in block b: tokenIn + 4·b
	tokenOut
	channelIn
	channelOut
)

func (s Shape) headSite() int { return 1 + 4*s.Blocks }

// seen gives x when it was shown.
func (n *network) seen(site int, x []float32) []float32 {
	if n.see != nil {
		n.see(site, x)
	}
	return x
}

// norm is u = h/rms(h)·scale + shift.
type norm struct {
	h, u         []float32 // [tokens, n, width]; h is the network's own when nothing is kept
	inverse      []float32 // 1/rms [tokens, n]
	scale, shift []float32 // [n, width]
}

// gate is the product y of two linear maps, both in ab.
type gate struct{ ab, y []float32 }

// newNetwork makes room for n images. With keep, every branch keeps what the
// backward pass needs; without, they share it.
func (s Shape) newNetwork(n int, keep bool) *network {
	t, w := s.tokens(), s.Width
	net := &network{Shape: s, n: n,
		x: make([]float32, t*n*s.inputs()), time: make([]float32, n*s.Times), label: make([]int, n),
		pre: [2][]float32{make([]float32, n*w), make([]float32, n*w)}, hid: make([]float32, n*w), c: make([]float32, n*w),
		h: make([]float32, t*n*w), out: make([]float32, t*n*s.pixels()),
	}
	for i := range 2*s.Blocks + 1 {
		if !keep && i > 0 {
			net.norms = append(net.norms, net.norms[0])
			net.gates = append(net.gates, net.gates[0])
			continue
		}
		h := net.h
		if keep {
			h = make([]float32, t*n*w)
		}
		net.norms = append(net.norms, norm{h, make([]float32, t*n*w), make([]float32, t*n), make([]float32, n*w), make([]float32, n*w)})
		size := max(s.Tokens*n*w, t*n*s.Hidden)
		net.gates = append(net.gates, gate{make([]float32, 2*size), make([]float32, size)})
	}
	return net
}

// matrix is a plain matrix, transpose that of its transpose.
func matrix(x []float32, rows, cols int) gemm.Matrix {
	return gemm.Matrix{X: x, Rows: rows, Cols: cols}
}

func transpose(x []float32, rows, cols int) gemm.Matrix {
	return gemm.Matrix{X: x, Rows: rows, Cols: cols, T: true}
}

// forward computes out from x, time and label.
func (n *network) forward(p *parameters) {
	t, w := n.tokens(), n.Width
	n.condition(p)
	gemm.Mul(n.h, matrix(n.seen(patchSite, n.x), t*n.n, n.inputs()), matrix(p.patch, n.inputs(), w), false)
	for i := range t {
		for j := range n.n {
			accumulate(n.h[(i*n.n+j)*w:][:w], p.position[i*w:])
		}
	}
	for i, b := range p.blocks {
		u, g := n.modulate(2*i, b.token.scale, b.token.shift), n.gate(2*i, n.Tokens*n.n*w)
		gemm.Mul(g.ab, matrix(b.token.in, 2*n.Tokens, t), matrix(n.seen(4*i+tokenIn, u), t, n.n*w), false)
		g.multiply(1)
		gemm.Mul(n.h, matrix(b.token.out, t, n.Tokens), matrix(n.seen(4*i+tokenOut, g.y), n.Tokens, n.n*w), true)

		u, g = n.modulate(2*i+1, b.channel.scale, b.channel.shift), n.gate(2*i+1, t*n.n*n.Hidden)
		gemm.Mul(g.ab, matrix(n.seen(4*i+channelIn, u), t*n.n, w), matrix(b.channel.in, w, 2*n.Hidden), false)
		g.multiply(t * n.n)
		gemm.Mul(n.h, matrix(n.seen(4*i+channelOut, g.y), t*n.n, n.Hidden), matrix(b.channel.out, n.Hidden, w), true)
	}
	u := n.modulate(2*n.Blocks, p.headScale, p.headShift)
	gemm.Mul(n.out, matrix(n.seen(n.headSite(), u), t*n.n, w), matrix(p.head, w, n.pixels()), false)
}

// gate returns the gate of a branch, cut to size.
func (n *network) gate(i, size int) gate {
	g := n.gates[i]
	return gate{g.ab[:2*size], g.y[:size]}
}

// multiply computes y. ab has that many rows, A's part and B's in each.
func (g gate) multiply(rows int) {
	n := len(g.y) / rows
	for i := range rows {
		ab := g.ab[2*n*i:][:2*n]
		multiply(g.y[n*i:][:n], ab[:n], ab[n:])
	}
}

// multiplyBack computes the gradient of ab from that of y.
func (g gate) multiplyBack(dab, dy []float32, rows int) {
	n := len(g.y) / rows
	for i := range rows {
		ab, dab, dy := g.ab[2*n*i:][:2*n], dab[2*n*i:][:2*n], dy[n*i:][:n]
		multiply(dab[:n], dy, ab[n:])
		multiply(dab[n:], dy, ab[:n])
	}
}

// condition computes c = silu(silu(time·In)·Out + label's row).
func (n *network) condition(p *parameters) {
	w := n.Width
	gemm.Mul(n.pre[0], matrix(n.time, n.n, n.Times), matrix(p.timeIn, n.Times, w), false)
	for i, x := range n.pre[0] {
		n.hid[i] = x * sigmoid(x)
	}
	gemm.Mul(n.pre[1], matrix(n.hid, n.n, w), matrix(p.timeOut, w, w), false)
	for i, l := range n.label {
		accumulate(n.pre[1][i*w:][:w], p.label[l*w:])
	}
	for i, x := range n.pre[1] {
		n.c[i] = x * sigmoid(x)
	}
}

func sigmoid(x float32) float32 { return float32(1 / (1 + math.Exp(-float64(x)))) }

// modulate computes norm i of the tokens and returns it.
func (n *network) modulate(i int, scale, shift []float32) []float32 {
	w, m := n.Width, n.norms[i]
	if &m.h[0] != &n.h[0] {
		copy(m.h, n.h)
	}
	gemm.Mul(m.scale, matrix(n.c, n.n, w), matrix(scale, w, w), false)
	gemm.Mul(m.shift, matrix(n.c, n.n, w), matrix(shift, w, w), false)
	for i := range m.scale {
		m.scale[i]++
	}
	for k := range m.inverse {
		j := k % n.n * w
		h, u, s, t := m.h[k*w:][:w], m.u[k*w:][:w], m.scale[j:][:w], m.shift[j:][:w]
		r := float32(1 / math.Sqrt(float64(dot(h, h)/float32(w)+epsilon)))
		m.inverse[k] = r
		for j, x := range h {
			u[j] = x*r*s[j] + t[j]
		}
	}
	return m.u
}
