package onnx

import (
	"slices"

	"github.com/assay-lab/assay/internal/gemm"
)

// convRows is the number of numbers for which the windows of an image are laid
// out at once, to be multiplied by the kernel: they stay in the second-level cache.
const convRows = 1 << 16

// A convolution of images with their channels last, as products of matrices.
type convolution struct {
	in, out                 []int // spatial sizes
	kernel, stride, dilated []int
	before                  []int
	channels, outChannels   int // of one group
	groups                  int
}

// planConv plans a convolution of x [batch, spatial..., in] with w [out,
// in/groups, kernel...].
func planConv(p *planner, n Node) error {
	x, w := p.values[n.In[0]], p.values[n.In[1]]
	rank := len(x.shape) - 2
	ints := func(name string) []int { return convertInts(n.Attrs.Ints(name)) }
	c := convolution{
		in: x.shape[1 : 1+rank], out: n.Attrs["shape"].([]int)[1 : 1+rank],
		kernel: ints("kernel_shape"), stride: ints("strides"), dilated: ints("dilations"), before: ints("pads")[:rank],
		groups: int(n.Attrs.Int("group", 1)),
	}
	c.channels, c.outChannels = x.shape[1+rank]/c.groups, w.shape[0]/c.groups
	var weights [][]float32
	if w.data != nil {
		weights = c.weights(w.data.([]float32))
	}
	batch := x.shape[0]
	return p.simple(n, func(f *frame, dst []float32, in []operand) {
		weights := weights
		if weights == nil {
			weights = c.weights(f.in(in[1]))
		}
		pixels := batch * elements(c.out)
		flops := elements(c.kernel) * c.channels * c.outChannels
		f.plan.parallel(pixels, max(1<<18/max(flops, 1), 8), func(lo, hi int) { c.run(dst, f.in(in[0]), weights, lo, hi) })
	})
}

// weights gives, for each group, the kernel as a matrix [kernel·in, out].
func (c *convolution) weights(w []float32) [][]float32 {
	k, each := elements(c.kernel), c.channels*elements(c.kernel)
	out := make([][]float32, c.groups)
	for g := range out {
		m := make([]float32, each*c.outChannels)
		for o := range c.outChannels {
			for i := range c.channels {
				for j := range k {
					m[(j*c.channels+i)*c.outChannels+o] = w[((g*c.outChannels+o)*c.channels+i)*k+j]
				}
			}
		}
		out[g] = m
	}
	return out
}

// run computes the outputs from lo to hi of all images.
func (c *convolution) run(dst, src []float32, weights [][]float32, lo, hi int) {
	k := elements(c.kernel) * c.channels
	in, out := c.channels*c.groups, c.outChannels*c.groups
	plain := c.groups == 1 && elements(c.kernel) == 1 && slices.Max(c.stride) == 1 && slices.Equal(c.in, c.out)
	if plain {
		gemm.Mul(dst[lo*out:hi*out], gemm.Matrix{X: src[lo*in : hi*in], Rows: hi - lo, Cols: in}, gemm.Matrix{X: weights[0], Rows: in, Cols: out}, false)
		return
	}
	rows := min(max(convRows/k, 16), hi-lo)
	space := lend(rows * (k + c.outChannels))
	defer scratch.Put(space)
	windows, result := (*space)[:rows*k], (*space)[rows*k:]
	for at := lo; at < hi; at += rows {
		n := min(rows, hi-at)
		for g, w := range weights {
			c.windows(windows, src, at, n, g)
			a, b := gemm.Matrix{X: windows[:n*k], Rows: n, Cols: k}, gemm.Matrix{X: w, Rows: k, Cols: c.outChannels}
			if c.groups == 1 {
				gemm.Mul(dst[at*out:(at+n)*out], a, b, false)
				continue
			}
			gemm.Mul(result[:n*c.outChannels], a, b, false)
			for i := range n {
				copy(dst[(at+i)*out+g*c.outChannels:], result[i*c.outChannels:(i+1)*c.outChannels])
			}
		}
	}
}

// windows lays out what n outputs from the one at see of a group's channels.
func (c *convolution) windows(dst, src []float32, at, n, group int) {
	rank := len(c.out)
	all := c.channels * c.groups
	place := make([]int, rank)
	step := strides(c.in)
	for i := range n {
		rest := at + i
		for a := rank - 1; a >= 0; a-- {
			place[a] = (rest%c.out[a])*c.stride[a] - c.before[a]
			rest /= c.out[a]
		}
		image := src[rest*elements(c.in)*all:]
		dst = c.window(dst, image, place, step, group)
	}
}

// window lays out the window that begins at a place and gives what follows it in
// dst. Along the last axis neighbours are copied together where they lie together.
func (c *convolution) window(dst, image []float32, place, step []int, group int) []float32 {
	last := len(place) - 1
	all := c.channels * c.groups
	lines := elements(c.kernel[:last])
	run := c.kernel[last] * c.channels
	for line := range lines {
		offset, inside, rest := 0, true, line
		for a := last - 1; a >= 0; a-- {
			p := place[a] + rest%c.kernel[a]*c.dilated[a]
			rest /= c.kernel[a]
			inside = inside && p >= 0 && p < c.in[a]
			offset += p * step[a]
		}
		to := dst[:run]
		dst = dst[run:]
		if !inside {
			clear(to)
			continue
		}
		first := place[last]
		if c.dilated[last] == 1 && c.groups == 1 {
			lo, hi := max(0, -first), min(c.kernel[last], c.in[last]-first) // elements within the image
			if lo >= hi {
				clear(to)
				continue
			}
			clear(to[:lo*all])
			copy(to[lo*all:hi*all], image[(offset+first+lo)*all:])
			clear(to[hi*all:])
			continue
		}
		for j := range c.kernel[last] {
			part := to[j*c.channels : (j+1)*c.channels]
			if p := first + j*c.dilated[last]; p >= 0 && p < c.in[last] {
				copy(part, image[(offset+p)*all+group*c.channels:])
			} else {
				clear(part)
			}
		}
	}
	return dst
}
