package backend

import (
	"slices"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapeinference"
)

// ConvGeneral lowers a convolution to matrix products. What it does not handle
// (other types than float32 and float64, sizes not known before) goes to the
// backend's own loop.
func (f *function) ConvGeneral(input, kernel compute.Value, axes compute.ConvolveAxesConfig, strides []int, paddings [][2]int,
	inputDilations, kernelDilations []int, channelGroups, batchGroups int) (compute.Value, error) {
	plain := func() (compute.Value, error) {
		return f.Function.ConvGeneral(input, kernel, axes, strides, paddings, inputDilations, kernelDilations, channelGroups, batchGroups)
	}
	xs, err := f.Shape(input)
	if err != nil {
		return plain()
	}
	ws, err := f.Shape(kernel)
	if err != nil {
		return plain()
	}
	channelGroups, batchGroups = max(channelGroups, 1), max(batchGroups, 1)
	out, err := shapeinference.ConvGeneral(xs, ws, axes, strides, paddings, inputDilations, kernelDilations, channelGroups, batchGroups)
	if err != nil {
		return nil, err
	}
	if xs.DType != ws.DType || xs.DType != dtypes.Float32 && xs.DType != dtypes.Float64 || isDynamic(xs) || isDynamic(ws) ||
		out.Size() == 0 || ws.Size() == 0 {
		return plain()
	}
	c := &conv{b: &ops{f: f}, dtype: xs.DType, out: make([]int, len(axes.OutputSpatial))}
	for i, a := range axes.OutputSpatial {
		c.out[i] = out.Dimensions[a]
	}
	c.setWindow(strides, paddings, inputDilations, kernelDilations)
	toLast := channelsLast(axes.InputBatch, axes.InputSpatial, axes.InputChannels)
	w := c.b.transpose(kernel, slices.Concat(axes.KernelSpatial, []int{axes.KernelInputChannels, axes.KernelOutputChannels})...)
	c.setSizes(permuted(xs.Dimensions, toLast), c.b.dims(w))
	w = c.ungroup(w, channelGroups)
	var y compute.Value
	if c.kernelDominates() {
		y = c.perPosition(input, axes, w)
	} else {
		y = c.run(c.b.transpose(input, toLast...), w)
	}
	y = c.unbatch(y, batchGroups)
	y = c.b.transpose(y, inverse(channelsLast(axes.OutputBatch, axes.OutputSpatial, axes.OutputChannels))...)
	return y, c.b.err
}

// conv is a convolution of x [batch, n..., in] with w [k..., in, out], channels
// last, into y [batch, out..., out channels].
type conv struct {
	b     *ops
	dtype dtypes.DType

	batch, in, outChannels int
	n, k, out              []int    // sizes of input, kernel and output along each spatial axis
	stride                 []int    // between outputs
	pad                    [][2]int // before and after; negative: cropped
	inner, dilation        []int    // distance of input and of kernel elements
}

func (c *conv) setWindow(strides []int, pads [][2]int, inner, dilations []int) {
	or1 := func(v []int) []int {
		if len(v) > 0 {
			return v
		}
		return ones(len(c.out))
	}
	c.stride, c.inner, c.dilation = or1(strides), or1(inner), or1(dilations)
	c.pad = pads
	if len(pads) == 0 {
		c.pad = make([][2]int, len(c.out))
	}
}

func (c *conv) setSizes(x, w []int) {
	r := len(c.out)
	c.batch, c.n, c.in = x[0], x[1:r+1], x[r+1]
	c.k, c.outChannels = w[:r], w[r+1]
}

// ungroup makes the kernel of a grouped convolution, [k..., in/groups, out], one
// over all channels, zero between groups: more multiplications, but fast ones.
func (c *conv) ungroup(w compute.Value, groups int) compute.Value {
	if groups == 1 {
		return w
	}
	copies := slices.Repeat([]compute.Value{w}, groups)
	w = c.b.concat(len(c.k), copies...)
	mask := make([]float32, c.in*c.outChannels)
	for i := range c.in {
		for j := range c.outChannels {
			if i/(c.in/groups) == j/(c.outChannels/groups) {
				mask[i*c.outChannels+j] = 1
			}
		}
	}
	return c.b.mul(w, c.b.constant(mask, c.dtype, append(ones(len(c.k)), c.in, c.outChannels)...))
}

// unbatch keeps, of the results for all groups of the batch, each channel's own.
func (c *conv) unbatch(y compute.Value, groups int) compute.Value {
	if groups == 1 {
		return y
	}
	mask := make([]float32, groups*c.outChannels)
	for j := range c.outChannels {
		mask[j/(c.outChannels/groups)*c.outChannels+j] = 1
	}
	y = c.b.reshape(y, groups, c.batch/groups, product(c.out), c.outChannels)
	y = c.b.mul(y, c.b.constant(mask, c.dtype, groups, 1, 1, c.outChannels))
	y = c.b.sum(y, 0)
	return c.b.reshape(y, slices.Concat([]int{c.batch / groups}, c.out, []int{c.outChannels})...)
}

// kernelDominates reports whether the kernel is as large as the input and
// the outputs are few, as in the gradient of a kernel.
func (c *conv) kernelDominates() bool { return product(c.k) > 2*product(c.out) }

// run convolves with a small kernel.
func (c *conv) run(x, w compute.Value) compute.Value {
	if !slices.Equal(c.inner, ones(len(c.n))) {
		x = c.b.pad(x, c.dtype, spatial(len(c.n), func(i int) compute.PadAxis { return compute.PadAxis{Interior: c.inner[i] - 1} }))
		c.n = c.b.dims(x)[1 : 1+len(c.n)]
	}
	if c.shiftable() {
		return c.shifted(x, w)
	}
	return c.sliced(x, w)
}

// reach is how far the kernel extends along an axis.
func (c *conv) reach(i int) int { return (c.k[i] - 1) * c.dilation[i] }

// shiftable reports whether shifted pays: it computes all positions that the
// kernel touches, and needs stride 1.
func (c *conv) shiftable() bool {
	computed := 1
	for i := range c.n {
		if c.stride[i] != 1 {
			return false
		}
		computed *= c.n[i] + max(0, c.pad[i][0]-c.reach(i)) + max(0, c.pad[i][1]-c.reach(i)) + c.reach(i)
	}
	return computed <= 2*product(c.out)+64
}

// shifted convolves by adding up shifted copies of x. They are padded, rather
// than cut out, which copies long runs; and where the results are smaller than
// x, it is those that are shifted along the outer axes.
//
// Along an axis with reach r, the copy for kernel element k is padded by r−k·d
// before and by k·d after, so that all have the size n+r; the outputs begin at r−pad.
func (c *conv) shifted(x, w compute.Value) compute.Value {
	x = c.padExcess(x)
	last := len(c.n) - 1
	x = c.beside(x, last)
	channels, outer := c.k[last]*c.in, product(c.k[:last])
	if 5*channels < 6*c.outChannels { // as measured
		for i := last - 1; i >= 0; i-- {
			x = c.beside(x, i)
		}
		return c.crop(c.b.matmul(x, c.b.reshape(w, outer*channels, c.outChannels)))
	}
	w = c.b.reshape(w, outer, channels, c.outChannels)
	var y compute.Value
	for j := range outer {
		wj := c.b.reshape(c.b.slice(w, []int{j, 0, 0}, []int{j + 1, channels, c.outChannels}, nil), channels, c.outChannels)
		index := unravel(j, c.k[:last])
		yj := c.b.pad(c.b.matmul(x, wj), c.dtype, spatial(last, func(i int) compute.PadAxis { return c.shift(i, index[i]) }))
		if j == 0 {
			y = yj
		} else {
			y = c.b.add(y, yj)
		}
	}
	return c.crop(y)
}

// padExcess pads x where the padding goes beyond the kernel's reach, and cuts
// from x what negative padding leaves out.
func (c *conv) padExcess(x compute.Value) compute.Value {
	pads := slices.Clone(c.pad)
	excess := spatial(len(c.n), func(i int) compute.PadAxis {
		a := compute.PadAxis{Start: excess(c.pad[i][0], c.reach(i)), End: excess(c.pad[i][1], c.reach(i))}
		pads[i] = [2]int{c.pad[i][0] - a.Start, c.pad[i][1] - a.End}
		return a
	})
	c.pad = pads
	x = c.b.pad(x, c.dtype, excess)
	c.n = c.b.dims(x)[1 : 1+len(c.n)]
	return x
}

// excess is the part of a padding below 0 or above reach.
func excess(pad, reach int) int { return min(pad, 0) + max(pad-reach, 0) }

// shift pads the copy for kernel element k along axis i.
func (c *conv) shift(i, k int) compute.PadAxis {
	return compute.PadAxis{Start: c.reach(i) - k*c.dilation[i], End: k * c.dilation[i]}
}

// beside puts the copies of x shifted along axis i beside each other as channels.
func (c *conv) beside(x compute.Value, i int) compute.Value {
	copies := make([]compute.Value, c.k[i])
	for k := range copies {
		pads := make([]compute.PadAxis, len(c.n))
		pads[i] = c.shift(i, k)
		copies[k] = c.b.pad(x, c.dtype, pads)
	}
	return c.b.concat(len(c.n)+1, copies...)
}

// crop takes the outputs from all the positions computed.
func (c *conv) crop(y compute.Value) compute.Value {
	starts, limits := make([]int, len(c.n)+2), slices.Clone(c.b.dims(y))
	for i := range c.n {
		starts[i+1] = c.reach(i) - c.pad[i][0]
		limits[i+1] = starts[i+1] + c.out[i]
	}
	return c.b.slice(y, starts, limits, nil)
}

// sliced convolves by cutting out the inputs of each kernel element.
func (c *conv) sliced(x, w compute.Value) compute.Value {
	r := len(c.n)
	x = c.b.pad(x, c.dtype, spatial(r, func(i int) compute.PadAxis { return compute.PadAxis{Start: c.pad[i][0], End: c.pad[i][1]} }))
	cuts := make([]compute.Value, product(c.k))
	for j := range cuts {
		index := unravel(j, c.k)
		starts, limits := make([]int, r+2), slices.Clone(c.b.dims(x))
		strides := ones(r + 2)
		for i := range r {
			starts[i+1] = index[i] * c.dilation[i]
			limits[i+1] = starts[i+1] + (c.out[i]-1)*c.stride[i] + 1
			strides[i+1] = c.stride[i]
		}
		cuts[j] = c.b.slice(x, starts, limits, strides)
	}
	return c.b.matmul(c.b.concat(r+1, cuts...), c.b.reshape(w, len(cuts)*c.in, c.outChannels))
}

// perPosition convolves with one matrix product for each position of the output:
// the kernel, padded to the size of the input, times the input. It takes the
// input as it lies in memory, with the batch first or last.
func (c *conv) perPosition(input compute.Value, axes compute.ConvolveAxesConfig, w compute.Value) compute.Value {
	r := len(c.n)
	order := append([]int{axes.InputChannels}, axes.InputSpatial...)
	slices.Sort(order) // contracted axes as they lie in the input
	at := func(axis int) int {
		if i := slices.Index(axes.InputSpatial, axis); i >= 0 {
			return i
		}
		return r
	}
	inputPerm, kernelPerm := []int(nil), []int{r + 1} // the kernel with its output channels first
	for _, a := range order {
		inputPerm = append(inputPerm, a)
		kernelPerm = append(kernelPerm, at(a))
	}
	batchFirst := axes.InputBatch == 0
	if batchFirst {
		inputPerm = append([]int{axes.InputBatch}, inputPerm...)
	} else {
		inputPerm = append(inputPerm, axes.InputBatch)
	}
	x := c.b.transpose(input, inputPerm...)
	w = c.b.transpose(w, kernelPerm...)
	pads := make([]compute.PadAxis, r+2)
	for j, a := range inputPerm {
		if i := slices.Index(axes.InputSpatial, a); i >= 0 {
			pads[j] = compute.PadAxis{Start: c.pad[i][0], End: c.pad[i][1], Interior: c.inner[i] - 1}
		}
	}
	x = c.b.padAll(x, c.dtype, pads)
	size := product(c.b.dims(x)) / c.batch
	if batchFirst {
		x = c.b.reshape(x, c.batch, size)
	} else {
		x = c.b.reshape(x, size, c.batch)
	}
	parts := make([]compute.Value, product(c.out))
	for p := range parts {
		index := unravel(p, c.out)
		for j, a := range kernelPerm {
			if pads[j] = (compute.PadAxis{}); a < r {
				start := index[a] * c.stride[a]
				full := (c.n[a]-1)*c.inner[a] + 1 + c.pad[a][0] + c.pad[a][1]
				pads[j] = compute.PadAxis{Start: start, End: full - start - c.reach(a) - 1, Interior: c.dilation[a] - 1}
			}
		}
		wp := c.b.reshape(c.b.padAll(w, c.dtype, pads), c.outChannels, size)
		yp := c.b.dot(wp, 1, x, map[bool]int{true: 1, false: 0}[batchFirst]) // [out channels, batch]
		parts[p] = c.b.reshape(yp, 1, c.outChannels, c.batch)
	}
	y := c.b.transpose(c.b.concat(0, parts...), 2, 0, 1)
	return c.b.reshape(y, slices.Concat([]int{c.batch}, c.out, []int{c.outChannels})...)
}
