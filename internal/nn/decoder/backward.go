package decoder

import (
	"math"

	"github.com/assay-lab/assay/internal/gemm"
)

// scratch is what the backward pass writes to; all but the last are gradients.
type scratch struct {
	x, u                   []float32
	linear                 [perBlock][]float32 // of outputs
	rectified, mixed       []float32
	qh, kh, vh, ah, scores []float32
}

func (n *network) newScratch() *scratch {
	t := len(n.tokens)
	f := func(k int) []float32 { return make([]float32, t*k) }
	d := &scratch{x: f(n.Width), u: f(n.Width), rectified: f(n.Hidden), mixed: f(n.Width),
		qh: f(n.Width), kh: f(n.Width), vh: f(n.Width), ah: f(n.Width), scores: make([]float32, n.length*n.length)}
	for kind := range perBlock {
		rows, _ := n.dims(kind)
		d.linear[kind] = f(rows)
	}
	return d
}

// watch, unless nil, is shown the inputs of a linear layer and the gradient of its
// outputs.
type watch func(layer int, x, grad []float32) error

// backward writes the gradient of all parameters to g, the loss being the mean of
// those of the sequences times weight. Forward and loss must have run.
func (n *network) backward(p, g *parameters, targets []int, weight float64, d *scratch, see watch) error {
	t, w := len(n.tokens), n.Width
	scale := float32(weight / float64(t))
	for i, want := range targets {
		row := n.logits[i*n.Vocab : (i+1)*n.Vocab]
		row[want]--
		for j := range row {
			row[j] *= scale
		}
	}
	gemm.Mul(g.head, transpose(n.logits, n.Vocab, t), matrix(n.u, t, w), false)
	gemm.Mul(d.u, matrix(n.logits, t, n.Vocab), matrix(p.head, n.Vocab, w), false)
	clear(d.x)
	clear(g.norm)
	normalizeBack(d.x, g.norm, d.u, n.inverse, n.x, p.norm)
	for i := n.Blocks - 1; i >= 0; i-- {
		if err := n.blockBack(i, &p.blocks[i], &g.blocks[i], d, see); err != nil {
			return err
		}
	}
	clear(g.embedding)
	clear(g.position)
	for i, tok := range n.tokens {
		accumulate(g.embedding[tok*w:(tok+1)*w], d.x[i*w:])
		at := i % n.length * w
		accumulate(g.position[at:at+w], d.x[i*w:])
	}
	return nil
}

// blockBack turns d.x, the gradient by a block's result, into that by what it was
// given.
func (n *network) blockBack(i int, p, g *blockParameters, d *scratch, see watch) error {
	b := &n.blocks[i]
	back := func(kind int, dx, x []float32, add bool) error {
		if see != nil {
			if err := see(i*perBlock+kind, x, d.linear[kind]); err != nil {
				return err
			}
		}
		rows, cols := n.dims(kind)
		grad := matrix(d.linear[kind], len(n.tokens), rows)
		gemm.Mul(g.linear[kind], transpose(d.linear[kind], rows, len(n.tokens)), matrix(x, len(n.tokens), cols), false)
		gemm.Mul(dx, grad, matrix(p.linear[kind], rows, cols), add)
		return nil
	}
	copy(d.linear[down], d.x)
	if err := back(down, d.rectified, b.rectified, false); err != nil {
		return err
	}
	for j, v := range b.rectified {
		d.linear[up][j] = 0
		if v > 0 {
			d.linear[up][j] = d.rectified[j]
		}
	}
	if err := back(up, d.u, b.u2, false); err != nil {
		return err
	}
	clear(g.mlpNorm)
	normalizeBack(d.x, g.mlpNorm, d.u, b.inverse2, b.x2, p.mlpNorm)
	copy(d.linear[out], d.x)
	if err := back(out, d.mixed, b.mixed, false); err != nil {
		return err
	}
	n.attendBack(b, d)
	for kind := query; kind <= value; kind++ {
		if err := back(kind, d.u, b.u, kind > query); err != nil {
			return err
		}
	}
	clear(g.norm)
	normalizeBack(d.x, g.norm, d.u, b.inverse, b.x, p.norm)
	return nil
}

// attendBack turns the gradient by the mixed values into those by queries, keys
// and values.
func (n *network) attendBack(b *block, d *scratch) {
	l, w := n.length, n.Width/n.Heads
	scale := float32(1 / math.Sqrt(float64(w)))
	n.split(d.ah, d.mixed)
	for h := range n.n * n.Heads {
		q, k, v, a := part(b.qh, h, l*w), part(b.kh, h, l*w), part(b.vh, h, l*w), part(b.attention, h, l*l)
		da := matrix(part(d.ah, h, l*w), l, w)
		gemm.Mul(part(d.vh, h, l*w), transpose(a, l, l), da, false)
		gemm.Mul(d.scores, da, transpose(v, w, l), false)
		for t := range l {
			s, row := d.scores[t*l:(t+1)*l], a[t*l:(t+1)*l]
			var mean float32
			for j := range t + 1 {
				mean += s[j] * row[j]
			}
			for j := range t + 1 {
				s[j] = scale * row[j] * (s[j] - mean)
			}
			clear(s[t+1:])
		}
		gemm.Mul(part(d.qh, h, l*w), matrix(d.scores, l, l), matrix(k, l, w), false)
		gemm.Mul(part(d.kh, h, l*w), transpose(d.scores, l, l), matrix(q, l, w), false)
	}
	n.join(d.linear[query], d.qh)
	n.join(d.linear[key], d.kh)
	n.join(d.linear[value], d.vh)
}
