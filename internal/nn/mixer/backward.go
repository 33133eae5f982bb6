package mixer

import "github.com/assay-lab/assay/internal/gemm"

// scratch is what the backward pass writes to.
type scratch struct {
	h, u         []float32 // gradients of tokens and of modulated norms [tokens, n, width]
	ab, y        []float32 // of gates
	c            []float32 // of the condition [n, width]
	scale, shift []float32 // [n, width]
	row          []float32 // [width]
}

func (n *network) newScratch() *scratch {
	size := len(n.gates[0].y)
	w := n.Width
	return &scratch{make([]float32, len(n.h)), make([]float32, len(n.h)),
		make([]float32, 2*size), make([]float32, size),
		make([]float32, n.n*w), make([]float32, n.n*w), make([]float32, n.n*w), make([]float32, w)}
}

// product is dst = A·B, unless dst is nil: a gradient that nobody wants.
func product(dst []float32, a, b gemm.Matrix) {
	if dst != nil {
		gemm.Mul(dst, a, b, false)
	}
}

// backward writes the gradient of all parameters to g, given that of out; arrays of
// g that are nil are left out. d.h then has the gradient of the tokens that the
// patches became. The network must have kept its intermediate results.
func (n *network) backward(p, g *parameters, out []float32, d *scratch) {
	t, w, last := n.tokens(), n.Width, 2*n.Blocks
	clear(d.h)
	clear(d.c)
	product(g.head, transpose(n.norms[last].u, w, t*n.n), matrix(out, t*n.n, n.pixels()))
	gemm.Mul(d.u, matrix(out, t*n.n, n.pixels()), transpose(p.head, n.pixels(), w), false)
	n.modulateBack(last, p.headScale, p.headShift, g.headScale, g.headShift, d)
	for i := n.Blocks - 1; i >= 0; i-- {
		n.channelBack(2*i+1, p.blocks[i].channel, g.blocks[i].channel, d)
		n.tokenBack(2*i, p.blocks[i].token, g.blocks[i].token, d)
	}
	if g.position != nil {
		clear(g.position)
		for i := range t {
			for j := range n.n {
				accumulate(g.position[i*w:][:w], d.h[(i*n.n+j)*w:])
			}
		}
	}
	product(g.patch, transpose(n.x, n.inputs(), t*n.n), matrix(d.h, t*n.n, w))
	n.conditionBack(p, g, d)
}

// channelBack turns the gradient of the tokens after a channel mixing into that
// before it.
func (n *network) channelBack(i int, p, g branchParameters, d *scratch) {
	rows, w, hidden := n.tokens()*n.n, n.Width, n.Hidden
	k, u := n.gate(i, rows*hidden), n.norms[i].u
	ab, y := d.ab[:2*rows*hidden], d.y[:rows*hidden]
	product(g.out, transpose(k.y, hidden, rows), matrix(d.h, rows, w))
	gemm.Mul(y, matrix(d.h, rows, w), transpose(p.out, w, hidden), false)
	k.multiplyBack(ab, y, rows)
	product(g.in, transpose(u, w, rows), matrix(ab, rows, 2*hidden))
	gemm.Mul(d.u, matrix(ab, rows, 2*hidden), transpose(p.in, 2*hidden, w), false)
	n.modulateBack(i, p.scale, p.shift, g.scale, g.shift, d)
}

// tokenBack does the same for a token mixing.
func (n *network) tokenBack(i int, p, g branchParameters, d *scratch) {
	t, cols, hidden := n.tokens(), n.n*n.Width, n.Tokens
	k, u := n.gate(i, hidden*cols), n.norms[i].u
	ab, y := d.ab[:2*hidden*cols], d.y[:hidden*cols]
	product(g.out, matrix(d.h, t, cols), transpose(k.y, cols, hidden))
	gemm.Mul(y, transpose(p.out, hidden, t), matrix(d.h, t, cols), false)
	k.multiplyBack(ab, y, 1)
	product(g.in, matrix(ab, 2*hidden, cols), transpose(u, cols, t))
	gemm.Mul(d.u, transpose(p.in, t, 2*hidden), matrix(ab, 2*hidden, cols), false)
	n.modulateBack(i, p.scale, p.shift, g.scale, g.shift, d)
}

// modulateBack adds to the gradient of the tokens what norm i makes of d.u, and
// to that of the condition.
func (n *network) modulateBack(i int, scale, shift, gScale, gShift []float32, d *scratch) {
	w, m := n.Width, n.norms[i]
	clear(d.scale)
	clear(d.shift)
	for k, r := range m.inverse {
		j := k % n.n * w
		normBack(d.h[k*w:][:w], d.scale[j:][:w], d.shift[j:][:w], d.u[k*w:][:w], m.h[k*w:][:w], m.scale[j:][:w], d.row, r)
	}
	product(gScale, transpose(n.c, w, n.n), matrix(d.scale, n.n, w))
	product(gShift, transpose(n.c, w, n.n), matrix(d.shift, n.n, w))
	gemm.Mul(d.c, matrix(d.scale, n.n, w), transpose(scale, w, w), true)
	gemm.Mul(d.c, matrix(d.shift, n.n, w), transpose(shift, w, w), true)
}

// normBack is the backward pass of u = y·scale + shift, y = h·r, for one token:
// dh += r·(dy − y·mean(y·dy)).
func normBack(dh, dScale, dShift, du, h, scale, dy []float32, r float32) {
	n := len(h)
	dh, dScale, dShift, du, scale, dy = dh[:n], dScale[:n], dShift[:n], du[:n], scale[:n], dy[:n]
	for j, g := range du {
		dShift[j] += g
		dScale[j] += g * h[j] * r
		dy[j] = g * scale[j]
	}
	c := dot(dy, h) * r * r / float32(n)
	for j, g := range dy {
		dh[j] += r * (g - c*h[j])
	}
}

// conditionBack is the backward pass of condition.
func (n *network) conditionBack(p, g *parameters, d *scratch) {
	w := n.Width
	siluBack(d.c, n.pre[1])
	if g.label != nil {
		clear(g.label)
		for i, l := range n.label {
			accumulate(g.label[l*w:][:w], d.c[i*w:])
		}
	}
	if g.timeOut == nil && g.timeIn == nil {
		return
	}
	product(g.timeOut, transpose(n.hid, w, n.n), matrix(d.c, n.n, w))
	gemm.Mul(d.scale, matrix(d.c, n.n, w), transpose(p.timeOut, w, w), false)
	siluBack(d.scale, n.pre[0])
	product(g.timeIn, transpose(n.time, n.Times, n.n), matrix(d.scale, n.n, w))
}

// siluBack multiplies d by the derivative of x·sigmoid(x).
func siluBack(d, x []float32) {
	for i, x := range x {
		s := sigmoid(x)
		d[i] *= s * (1 + x*(1-s))
	}
}
