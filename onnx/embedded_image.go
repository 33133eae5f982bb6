package onnx

import (
	"math"
	"slices"

	"github.com/assay-lab/assay/internal/qgemm"
)

// imageRules work on images [batch, channels, height, width], or on ones with
// fewer or more axes.
var imageRules = map[string]rule{
	"Conv": conv, "ConvTranspose": convTranspose, "MaxPool": maxPool, "AveragePool": averagePool,
	"GlobalAveragePool": globalPool(func(r *rewriter, x *value, along []int) *value { return r.mean(x, along) }),
	"GlobalMaxPool":     globalPool(func(r *rewriter, x *value, along []int) *value { return r.reduce("ReduceMax", x, along) }),
	"Resize":            resizeRule, "Upsample": upsample,
}

// window is how a kernel moves over an image.
type window struct {
	kernel, stride, dilation, before, after []int
	ceil                                    bool
}

// window reads a node's attributes for an image of this shape.
func (r *rewriter) window(n *Node, x *value, kernel []int) window {
	rank := len(x.shape) - 2
	list := func(name string, def int) []int {
		v := n.Attrs.Ints(name)
		if v == nil {
			return slices.Repeat([]int{def}, rank)
		}
		if len(v) != rank {
			failf("%s %v for images with %d axes", name, v, rank)
		}
		return convertInts(v)
	}
	w := window{kernel: kernel, stride: list("strides", 1), dilation: list("dilations", 1), ceil: n.Attrs.Int("ceil_mode", 0) != 0}
	pads := convertInts(n.Attrs.Ints("pads"))
	if len(pads) == 0 {
		pads = make([]int, 2*rank)
	}
	if len(pads) != 2*rank || len(kernel) != rank {
		failf("pads %v and a kernel of %v for images with %d axes", pads, kernel, rank)
	}
	for i := range rank {
		if kernel[i] < 1 || w.stride[i] < 1 || w.dilation[i] < 1 || pads[i] < 0 || pads[rank+i] < 0 {
			failf("kernel %v, strides %v, dilations %v, pads %v", kernel, w.stride, w.dilation, pads)
		}
	}
	w.before, w.after = pads[:rank], pads[rank:]
	return w
}

// autoPad sets the padding that the attribute auto_pad asks for.
func (w *window) autoPad(mode string, size []int) {
	if mode == "NOTSET" || mode == "" {
		return
	}
	w.before, w.after = make([]int, len(size)), make([]int, len(size))
	if mode == "VALID" {
		return
	}
	for i, d := range size {
		out := (d + w.stride[i] - 1) / w.stride[i]
		w.split(i, (out-1)*w.stride[i]+w.reach(i)+1-d, mode)
	}
}

// split divides padding between the two ends of an axis.
func (w *window) split(i, total int, mode string) {
	total = max(total, 0)
	w.before[i], w.after[i] = total/2, total-total/2
	switch mode {
	case "SAME_UPPER":
	case "SAME_LOWER":
		w.before[i], w.after[i] = w.after[i], w.before[i]
	default:
		failf("auto_pad %q", mode)
	}
}

// reach is how far the kernel extends along an axis.
func (w *window) reach(i int) int { return (w.kernel[i] - 1) * w.dilation[i] }

// out is the number of places of the kernel along an axis of this size.
func (w *window) out(i, size int) int {
	free := size + w.before[i] + w.after[i] - w.reach(i) - 1
	if free < 0 {
		failf("a kernel of %v does not fit axis %d of size %d, padded by %d and %d", w.kernel, i+2, size, w.before[i], w.after[i])
	}
	n := free/w.stride[i] + 1
	if w.ceil && free%w.stride[i] != 0 && n*w.stride[i] < size+w.before[i] { // begins within the image
		n++
	}
	return n
}

// kernelOf checks a weight and gives its sizes along the image's axes.
func kernelOf(n *Node, x, w *value) []int {
	if len(x.shape) < 3 || len(w.shape) != len(x.shape) {
		failf("image of shape %v, weight of shape %v", x.shape, w.shape)
	}
	if x.typ != w.typ || !x.typ.Float() {
		failf("image of %v, weight of %v: both must be of one type of numbers with fractions", x.typ, w.typ)
	}
	if k := n.Attrs.Ints("kernel_shape"); k != nil && !slices.Equal(convertInts(k), w.shape[2:]) {
		failf("kernel_shape %v, but weight has shape %v", k, w.shape)
	}
	return w.shape[2:]
}

func conv(r *rewriter, n *Node) []*value {
	x, w := r.in(n, 0), r.in(n, 1)
	win := r.window(n, x, kernelOf(n, x, w))
	win.autoPad(n.Attrs.String("auto_pad", "NOTSET"), x.shape[2:])
	groups := int(n.Attrs.Int("group", 1))
	if groups < 1 || x.shape[1] != w.shape[1]*groups || w.shape[0]%groups != 0 {
		failf("weight has %d channels a group and %d groups, input has %d channels, output %d", w.shape[1], groups, x.shape[1], w.shape[0])
	}
	y := r.convolve(x, w, win, groups)
	if b := r.opt(n, 2); b != nil {
		y = r.binary("Add", y, r.channel(b, w.shape[0], len(x.shape)))
	}
	return one(y)
}

// convolve keeps the image with its channels last; the backend cancels the
// transposes around the operator.
func (r *rewriter) convolve(x, w *value, win window, groups int) *value {
	shape := []int{x.shape[0], w.shape[0]}
	for i, d := range x.shape[2:] {
		shape = append(shape, win.out(i, d))
	}
	if elements(shape) == 0 {
		failf("result of shape %v is empty", shape)
	}
	var weights *qgemm.Weights
	var input qgemm.Input
	if x.fake != nil && x.fake.of.typ == Float32 && w.codes != nil && w.codes.axis == 0 && groups == 1 {
		weights, input = w.codes.kernel(w.shape[1]), x.fake.input
		x = x.fake.of
	}
	x = r.image(x)
	if weights != nil {
		y := r.integers("ConvInteger", weights, input, Attrs{
			"kernel_shape": win.kernel, "strides": win.stride, "dilations": win.dilation, "pads": slices.Concat(win.before, win.after),
		}, permuted(shape, channelsLast(len(shape))), r.arranged(x, channelsLast(len(shape))).emitted())
		return y.logical(channelsLast(len(shape)))
	}
	if slices.Max(win.stride) > 1 && slices.Max(win.dilation) > 1 { // GoMLX takes only one of the two
		for i, d := range win.dilation {
			w = r.spread(w, i+2, d)
		}
		win.kernel, win.dilation = w.shape[2:], slices.Repeat([]int{1}, len(win.dilation))
	}
	y := r.emit("Conv", Attrs{
		"kernel_shape": win.kernel, "strides": win.stride, "dilations": win.dilation,
		"pads": slices.Concat(win.before, win.after), "group": groups,
	}, x.typ, shape, r.plain(x), r.plain(w))
	return r.image(y)
}

// convTranspose convolves an image spread out with zeros with the reversed kernel.
func convTranspose(r *rewriter, n *Node) []*value {
	x, w := r.in(n, 0), r.in(n, 1)
	win := r.window(n, x, kernelOf(n, x, w))
	groups := int(n.Attrs.Int("group", 1))
	if groups < 1 || x.shape[1] != w.shape[0] || w.shape[0]%groups != 0 {
		failf("weight has %d channels in %d groups, input has %d", w.shape[0], groups, x.shape[1])
	}
	rank := len(win.kernel)
	extra := convertInts(n.Attrs.Ints("output_padding"))
	if len(extra) == 0 {
		extra = make([]int, rank)
	}
	if len(extra) != rank {
		failf("output_padding %v for images with %d axes", extra, rank)
	}
	r.outputShape(n, &win, x.shape[2:], extra)
	for i := range rank {
		x = r.spread(x, i+2, win.stride[i])
		before, after := win.reach(i)-win.before[i], win.reach(i)-win.after[i]+extra[i]
		x = r.part(x, i+2, max(-before, 0), x.shape[i+2]-max(-after, 0), 1)
		win.before[i], win.after[i], win.stride[i] = max(before, 0), max(after, 0), 1
		w = r.cut(w, i+2, -1, -win.kernel[i]-1, -1)
	}
	// [in, out/groups, ...] to [out, in/groups, ...]
	in, out := w.shape[0]/groups, w.shape[1]
	w = r.reshape(w, slices.Concat([]int{groups, in, out}, win.kernel))
	order := upTo(len(w.shape))
	order[1], order[2] = 2, 1
	w = r.reshape(r.transpose(w, order), slices.Concat([]int{groups * out, in}, win.kernel))
	y := r.convolve(x, w, win, groups)
	if b := r.opt(n, 2); b != nil {
		y = r.binary("Add", y, r.channel(b, groups*out, len(x.shape)))
	}
	return one(y)
}

// outputShape derives the padding where the node gives the output's shape, or auto_pad.
func (r *rewriter) outputShape(n *Node, win *window, size, extra []int) {
	want := convertInts(n.Attrs.Ints("output_shape"))
	mode := n.Attrs.String("auto_pad", "NOTSET")
	if mode == "VALID" {
		win.before, win.after = make([]int, len(size)), make([]int, len(size))
	}
	if len(want) == 0 && mode[0] != 'S' {
		return
	}
	if len(want) > len(size) {
		want = want[len(want)-len(size):]
	}
	win.before, win.after = make([]int, len(size)), make([]int, len(size))
	for i, d := range size {
		out := d * win.stride[i]
		if len(want) == len(size) {
			out = want[i]
		}
		total := win.stride[i]*(d-1) + extra[i] + win.reach(i) + 1 - out
		if mode[0] != 'S' {
			win.split(i, total, "SAME_LOWER") // the larger half first unless SAME_UPPER
		} else {
			win.split(i, total, mode)
		}
		if total < 0 {
			extra[i] -= total
		}
	}
}

// spread puts zeros between the elements along an axis.
func (r *rewriter) spread(x *value, along, step int) *value {
	if step == 1 {
		return x
	}
	shape := slices.Clone(x.shape)
	apart := slices.Insert(slices.Clone(shape), along+1, 1)
	after := make([]int, len(apart))
	after[along+1] = step - 1
	x = r.pad(r.reshape(x, apart), make([]int, len(apart)), after, r.number(x.typ, 0))
	shape[along] *= step
	return r.part(r.reshape(x, shape), along, 0, shape[along]-(step-1), 1)
}

func globalPool(f func(r *rewriter, x *value, along []int) *value) rule {
	return func(r *rewriter, n *Node) []*value {
		x := r.in(n, 0)
		if len(x.shape) < 3 {
			failf("shape %v is not that of images", x.shape)
		}
		return one(f(r, x, upTo(len(x.shape))[2:]))
	}
}

// poolWindow reads the window of a pooling node.
func poolWindow(r *rewriter, n *Node, x *value) window {
	if len(x.shape) < 3 || !x.typ.Float() {
		failf("%v %v are not images", x.typ, x.shape)
	}
	win := r.window(n, x, convertInts(n.Attrs.Ints("kernel_shape")))
	win.autoPad(n.Attrs.String("auto_pad", "NOTSET"), x.shape[2:])
	for i := range win.kernel {
		if win.before[i] > win.reach(i) || win.after[i] > win.reach(i) {
			failf("pads %v and %v are as large as the kernel %v", win.before, win.after, win.kernel)
		}
	}
	return win
}

// pooled combines the elements under each place of the window, axis by axis.
func (r *rewriter) pooled(op string, x *value, win window, fill float64) *value {
	x = r.image(x)
	for i, k := range win.kernel {
		a := i + 2
		out := win.out(i, x.shape[a])
		span := (out-1)*win.stride[i] + win.reach(i) + 1
		before, after := make([]int, len(x.shape)), make([]int, len(x.shape))
		before[a], after[a] = win.before[i], max(span-win.before[i]-x.shape[a], 0)
		x = r.pad(x, before, after, r.number(x.typ, fill))
		var y *value
		for j := range k {
			start := j * win.dilation[i]
			part := r.part(x, a, start, start+(out-1)*win.stride[i]+1, win.stride[i])
			if y == nil {
				y = part
			} else {
				y = r.binary(op, y, part)
			}
		}
		x = y
	}
	return x
}

func maxPool(r *rewriter, n *Node) []*value {
	x := r.in(n, 0)
	return one(r.pooled("Max", x, poolWindow(r, n, x), math.Inf(-1)))
}

func averagePool(r *rewriter, n *Node) []*value {
	x := r.in(n, 0)
	win := poolWindow(r, n, x)
	sum := r.pooled("Add", x, win, 0)
	counts := r.expand(r.number(x.typ, 1), slices.Concat([]int{1, 1}, x.shape[2:]))
	if n.Attrs.Int("count_include_pad", 0) != 0 {
		before, after := append([]int{0, 0}, win.before...), append([]int{0, 0}, win.after...)
		counts = r.expand(r.number(x.typ, 1), addInts(addInts(counts.shape, before), after))
		win.before, win.after = make([]int, len(win.before)), make([]int, len(win.after))
	}
	return one(r.binary("Div", sum, r.pooled("Add", counts, win, 0)))
}

func addInts(a, b []int) []int {
	out := slices.Clone(a)
	for i, x := range b {
		out[i] += x
	}
	return out
}
