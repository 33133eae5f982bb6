package onnx

import (
	"math"
	"slices"
)

// upsample is what Resize was called before opset 10.
func upsample(r *rewriter, n *Node) []*value {
	x := r.in(n, 0)
	s := resizer{mode: n.Attrs.String("mode", "nearest"), coordinates: "asymmetric", nearest: "floor"}
	scales := r.opt(n, 1)
	if f, ok := n.Attrs["scales"].([]float32); ok && scales == nil {
		scales = &value{typ: Float32, shape: []int{len(f)}, data: f}
	}
	return one(s.resize(r, x, upTo(len(x.shape)), scales, nil))
}

func resizeRule(r *rewriter, n *Node) []*value {
	x := r.in(n, 0)
	s := resizer{
		mode:        n.Attrs.String("mode", "nearest"),
		coordinates: n.Attrs.String("coordinate_transformation_mode", "half_pixel"),
		nearest:     n.Attrs.String("nearest_mode", "round_prefer_floor"),
		cubic:       float64(n.Attrs.Float("cubic_coeff_a", -0.75)),
		inside:      n.Attrs.Int("exclude_outside", 0) != 0,
	}
	scales, at := r.opt(n, 2), 2
	if r.opset < 11 {
		scales, at = r.opt(n, 1), 1
		s.coordinates, s.nearest = "asymmetric", "floor"
	}
	if n.Attrs.Int("antialias", 0) != 0 {
		failf("antialias is not supported")
	}
	if p := n.Attrs.String("keep_aspect_ratio_policy", "stretch"); p != "stretch" {
		failf("keep_aspect_ratio_policy %q is not supported", p)
	}
	along := upTo(len(x.shape))
	if a := n.Attrs.Ints("axes"); a != nil {
		along = axes(convertInts(a), len(x.shape))
	}
	sizes, _ := r.ints(n, at+1)
	if scales != nil && elements(scales.shape) == 0 {
		scales = nil
	}
	return one(s.resize(r, x, along, scales, sizes))
}

// resizer says how an image is resized. Every way is linear along each axis: a
// choice of elements, or a product with a matrix.
type resizer struct {
	mode, coordinates, nearest string
	cubic                      float64
	inside                     bool
}

func (s resizer) resize(r *rewriter, x *value, along []int, scales *value, sizes []int) *value {
	var factors []float64
	if len(sizes) == 0 {
		if scales == nil || scales.data == nil {
			failf("has neither scales nor sizes that are known before the run")
		}
		factors = toFloats(scales.data)
	}
	if len(sizes) != len(along) && len(factors) != len(along) {
		failf("%d scales or %d sizes for %d axes", len(factors), len(sizes), len(along))
	}
	for i, a := range along {
		in := x.shape[a]
		var out int
		var scale float64
		if factors != nil {
			scale = factors[i]
			if !(scale > 0) || scale*float64(in) > maxElements {
				failf("scale %g of axis %d", scale, a)
			}
			out = int(math.Floor(float64(in)*scale + 1e-6)) // scales are float32
		} else {
			out, scale = sizes[i], float64(sizes[i])/float64(in)
		}
		if out < 1 || in < 1 {
			failf("axis %d of size %d is resized to %d", a, in, out)
		}
		if out == in && scale == 1 {
			continue
		}
		bounded([]int{out, elements(x.shape) / in})
		listed(out)
		if s.mode == "nearest" {
			x = s.choose(r, x, a, out, scale)
		} else {
			x = s.blend(r, x, a, out, scale)
		}
	}
	return x
}

// source is the place in the input of an element of the output.
func (s resizer) source(i, in, out int, scale float64) float64 {
	x := float64(i)
	switch s.coordinates {
	case "half_pixel":
		return (x+0.5)/scale - 0.5
	case "half_pixel_symmetric":
		exact := scale * float64(in)
		offset := float64(in) / 2 * (1 - float64(out)/exact)
		return offset + (x+0.5)/scale - 0.5
	case "pytorch_half_pixel":
		if out > 1 {
			return (x+0.5)/scale - 0.5
		}
		return 0
	case "align_corners":
		if out > 1 {
			return x * float64(in-1) / float64(out-1)
		}
		return 0
	case "asymmetric":
		return x / scale
	}
	failf("coordinate_transformation_mode %q is not supported", s.coordinates)
	return 0
}

// choose resizes to the nearest elements.
func (s resizer) choose(r *rewriter, x *value, along, out int, scale float64) *value {
	in := x.shape[along]
	index := make([]int, out)
	repeated := out%in == 0 // every element as often
	for i := range index {
		p := s.source(i, in, out, scale)
		switch s.nearest {
		case "round_prefer_floor":
			p = math.Ceil(p - 0.5)
		case "round_prefer_ceil":
			p = math.Floor(p + 0.5)
		case "floor":
			p = math.Floor(p)
		case "ceil":
			p = math.Ceil(p)
		default:
			failf("nearest_mode %q is not supported", s.nearest)
		}
		index[i] = min(max(int(p), 0), in-1)
		repeated = repeated && index[i] == i/(out/in)
	}
	if !repeated {
		return r.pick(x, along, index)
	}
	shape := slices.Clone(x.shape)
	shape[along] = out
	x = r.reshape(x, slices.Insert(slices.Clone(x.shape), along+1, 1))
	return r.reshape(r.concat(along+1, slices.Repeat([]*value{x}, out/in)...), shape)
}

// blend resizes to weighted means of neighbours.
func (s resizer) blend(r *rewriter, x *value, along, out int, scale float64) *value {
	in := x.shape[along]
	listed(in * out)
	m := make([]float64, in*out) // [in, out]
	for i := range out {
		p := s.source(i, in, out, scale)
		first := int(math.Floor(p))
		t := p - float64(first)
		var weights []float64
		switch s.mode {
		case "linear":
			weights = []float64{1 - t, t}
		case "cubic":
			weights = []float64{s.bump(1 + t), s.bump(t), s.bump(1 - t), s.bump(2 - t)}
			first--
		default:
			failf("mode %q is not supported", s.mode)
		}
		sum := 1.0
		if s.inside {
			sum = 0
			for j, w := range weights {
				if k := first + j; k >= 0 && k < in {
					sum += w
				}
			}
		}
		for j, w := range weights {
			k := first + j
			if s.inside && (k < 0 || k >= in) {
				continue
			}
			m[min(max(k, 0), in-1)*out+i] += w / sum
		}
	}
	if !x.typ.Float() {
		failf("elements are %v: numbers with fractions are wanted", x.typ)
	}
	w := &value{typ: x.typ, shape: []int{in, out}, data: fromFloats(x.typ, m)}
	return r.along(x, along, w)
}

// bump is the kernel of cubic interpolation at distance t.
func (s resizer) bump(t float64) float64 {
	a := s.cubic
	if t <= 1 {
		return ((a+2)*t-(a+3))*t*t + 1
	}
	return ((a*t-5*a)*t+8*a)*t - 4*a
}

// along multiplies one axis of x by a matrix [size, new size].
func (r *rewriter) along(x *value, axis int, w *value) *value {
	p := x.emitted()
	if x.data != nil {
		p = x
	}
	place := axis
	if x.perm != nil {
		place = slices.Index(x.perm, axis)
	}
	before, after := elements(p.shape[:place]), elements(p.shape[place+1:])
	shape := slices.Clone(p.shape)
	shape[place] = w.shape[1]
	if after == 1 {
		return r.reshape(r.matmul(r.reshape(p, []int{before, w.shape[0]}), w), shape).logical(x.perm)
	}
	y := r.matmul(r.transpose(w, []int{1, 0}), r.reshape(p, []int{before, w.shape[0], after}))
	return r.reshape(y, shape).logical(x.perm)
}
