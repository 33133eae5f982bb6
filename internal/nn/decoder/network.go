package decoder

import (
	"math"

	"github.com/assay-lab/assay/internal/gemm"
)

// A Product computes a linear layer's outputs dst [tokens, outputs] from its
// inputs x [tokens, inputs].
type Product func(dst, x []float32, tokens int) error

// network holds the intermediate results of n sequences of equal length. Tokens
// of a sequence follow each other: all arrays are [n·length, ...].
type network struct {
	Shape
	n, length int
	tokens    []int
	x         []float32 // representation after the last block
	inverse   []float32 // of the last norm
	u         []float32
	logits    []float32 // softmax of them, after the loss
	blocks    []block
}

// block is what the backward pass needs of a block.
type block struct {
	x, inverse, u  []float32 // before the attention, and normalized
	linear         [perBlock][]float32
	attention      []float32 // [n, heads, length, length], softmax of the scores
	mixed          []float32 // attention's values, before its last layer
	x2, inverse2   []float32 // before the ReLU network
	u2, rectified  []float32
	qh, kh, vh, ah []float32 // [n, heads, length, width/heads]
}

func (s Shape) newNetwork(n, length int) *network {
	t := n * length
	f := func(k int) []float32 { return make([]float32, t*k) }
	net := &network{Shape: s, n: n, length: length, tokens: make([]int, t),
		x: f(s.Width), inverse: f(1), u: f(s.Width), logits: f(s.Vocab)}
	for range s.Blocks {
		b := block{x: f(s.Width), inverse: f(1), u: f(s.Width), attention: f(s.Heads * length), mixed: f(s.Width),
			x2: f(s.Width), inverse2: f(1), u2: f(s.Width), rectified: f(s.Hidden),
			qh: f(s.Width), kh: f(s.Width), vh: f(s.Width), ah: f(s.Width)}
		for kind := range perBlock {
			rows, _ := s.dims(kind)
			b.linear[kind] = f(rows)
		}
		net.blocks = append(net.blocks, b)
	}
	return net
}

// forward computes the logits. products, unless nil, replace linear layers, those
// that are not nil themselves.
func (n *network) forward(p *parameters, products []Product) error {
	w := n.Width
	for t, tok := range n.tokens {
		row := n.x[t*w : (t+1)*w]
		copy(row, p.embedding[tok*w:])
		accumulate(row, p.position[t%n.length*w:])
	}
	for i := range n.blocks {
		if err := n.blockForward(i, p, products); err != nil {
			return err
		}
	}
	normalize(n.u, n.inverse, n.x, p.norm)
	gemm.Mul(n.logits, matrix(n.u, len(n.tokens), w), transpose(p.head, w, n.Vocab), false)
	return nil
}

func (n *network) blockForward(i int, p *parameters, products []Product) error {
	b, pb := &n.blocks[i], &p.blocks[i]
	linear := func(kind int, x []float32) error { return n.linearForward(i, kind, p, products, x) }
	copy(b.x, n.x)
	normalize(b.u, b.inverse, b.x, pb.norm)
	for kind := query; kind <= value; kind++ {
		if err := linear(kind, b.u); err != nil {
			return err
		}
	}
	n.attend(b)
	if err := linear(out, b.mixed); err != nil {
		return err
	}
	accumulate(n.x, b.linear[out])
	copy(b.x2, n.x)
	normalize(b.u2, b.inverse2, b.x2, pb.mlpNorm)
	if err := linear(up, b.u2); err != nil {
		return err
	}
	for j, v := range b.linear[up] {
		b.rectified[j] = max(v, 0)
	}
	if err := linear(down, b.rectified); err != nil {
		return err
	}
	accumulate(n.x, b.linear[down])
	return nil
}

func (n *network) linearForward(i, kind int, p *parameters, products []Product, x []float32) error {
	b := &n.blocks[i]
	if products != nil && products[i*perBlock+kind] != nil {
		return products[i*perBlock+kind](b.linear[kind], x, len(n.tokens))
	}
	rows, cols := n.dims(kind)
	gemm.Mul(b.linear[kind], matrix(x, len(n.tokens), cols), transpose(p.blocks[i].linear[kind], cols, rows), false)
	return nil
}

// attend computes causal attention, head by head.
func (n *network) attend(b *block) {
	l, d := n.length, n.Width/n.Heads
	scale := float32(1 / math.Sqrt(float64(d)))
	n.split(b.qh, b.linear[query])
	n.split(b.kh, b.linear[key])
	n.split(b.vh, b.linear[value])
	for h := range n.n * n.Heads {
		q, k, v, a := part(b.qh, h, l*d), part(b.kh, h, l*d), part(b.vh, h, l*d), part(b.attention, h, l*l)
		gemm.Mul(a, matrix(q, l, d), transpose(k, d, l), false)
		for t := range l {
			row := a[t*l : (t+1)*l]
			for j := range t + 1 {
				row[j] *= scale
			}
			softmax(row[:t+1])
			clear(row[t+1:])
		}
		gemm.Mul(part(b.ah, h, l*d), matrix(a, l, l), matrix(v, l, d), false)
	}
	n.join(b.mixed, b.ah)
}

func part(x []float32, i, n int) []float32 { return x[i*n : (i+1)*n] }

// split rearranges [n, length, heads, d] to [n, heads, length, d]; join is its
// inverse.
func (n *network) split(dst, src []float32) {
	n.rearrange(src, func(h, s []float32) { copy(h, s) }, dst)
}

func (n *network) join(dst, src []float32) {
	n.rearrange(dst, func(h, s []float32) { copy(s, h) }, src)
}

func (n *network) rearrange(flat []float32, move func(head, flat []float32), heads []float32) {
	l, d := n.length, n.Width/n.Heads
	for s := range n.n {
		for t := range l {
			for h := range n.Heads {
				move(part(heads, (s*n.Heads+h)*l+t, d), part(flat, (s*l+t)*n.Heads+h, d))
			}
		}
	}
}

// loss is the mean cross entropy of every sequence, and turns the logits into
// probabilities.
func (n *network) loss(targets []int) []float64 {
	sums := make([]float64, n.n)
	for t, want := range targets {
		row := n.logits[t*n.Vocab : (t+1)*n.Vocab]
		logit := float64(row[want])
		sums[t/n.length] += (softmax(row) - logit) / float64(n.length)
	}
	return sums
}
