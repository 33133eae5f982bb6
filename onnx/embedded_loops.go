package onnx

import (
	"math"
	"slices"

	"github.com/assay-lab/assay/internal/kern"
)

// tile is how many elements pass through a group of elementwise operators at
// once: what is between them stays in the first-level cache.
const tile = 2048

// A loop computes dst from operands of the same length.
type loop func(dst, a, b, c []float32)

// loops are the elementwise operators. Truth values are 0 and 1.
var loops = map[string]loop{
	"Add": func(dst, a, b, _ []float32) { kern.Comb(dst, []float32{1, 1}, [][]float32{a, b}) },
	"Sub": func(dst, a, b, _ []float32) { kern.Comb(dst, []float32{1, -1}, [][]float32{a, b}) },
	"Mul": func(dst, a, b, _ []float32) { kern.CombCols(dst, [][]float32{a}, [][]float32{b}) },
	"Neg": func(dst, a, _, _ []float32) { kern.Comb(dst, []float32{-1}, [][]float32{a}) },
	"Div": func(dst, a, b, _ []float32) {
		a, b = a[:len(dst)], b[:len(dst)]
		for i := range dst {
			dst[i] = a[i] / b[i]
		}
	},
	"Exp": func(dst, a, _, _ []float32) { kern.Exp(dst, a) },
	"Log": func(dst, a, _, _ []float32) { kern.Log(dst, a) },
	"Sigmoid": func(dst, a, _, _ []float32) {
		for i, x := range a[:len(dst)] {
			dst[i] = -x
		}
		kern.Exp(dst, dst)
		for i, e := range dst {
			dst[i] = 1 / (1 + e)
		}
	},
	"Tanh":       tanh,
	"Min":        pairs(func(x, y float32) float32 { return min(x, y) }),
	"Max":        pairs(func(x, y float32) float32 { return max(x, y) }),
	"Pow":        pairs(func(x, y float32) float32 { return float32(math.Pow(float64(x), float64(y))) }),
	"Abs":        each(func(x float64) float64 { return math.Abs(x) }),
	"Sqrt":       each(math.Sqrt),
	"Sin":        each(math.Sin),
	"Cos":        each(math.Cos),
	"Erf":        each(math.Erf),
	"Ceil":       each(math.Ceil),
	"Floor":      each(math.Floor),
	"Reciprocal": each(func(x float64) float64 { return 1 / x }),
	"Relu":       each(func(x float64) float64 { return max(x, 0) }),
	"Sign": each(func(x float64) float64 {
		switch {
		case x > 0:
			return 1
		case x < 0:
			return -1
		}
		return x
	}),
	"IsNaN": each(func(x float64) float64 { return truth(math.IsNaN(x)) }),
	"Not":   each(func(x float64) float64 { return 1 - x }),
	"And":   pairs(func(x, y float32) float32 { return min(x, y) }),
	"Or":    pairs(func(x, y float32) float32 { return max(x, y) }),
	"Xor":   pairs(func(x, y float32) float32 { return max(x-y, y-x) }),
	"Equal": compared(func(x, y float32) bool { return x == y }), "Less": compared(func(x, y float32) bool { return x < y }),
	"LessOrEqual": compared(func(x, y float32) bool { return x <= y }), "Greater": compared(func(x, y float32) bool { return x > y }),
	"GreaterOrEqual": compared(func(x, y float32) bool { return x >= y }),
	"Where": func(dst, a, b, c []float32) {
		for i, yes := range a[:len(dst)] {
			if yes != 0 {
				dst[i] = b[i]
			} else {
				dst[i] = c[i]
			}
		}
	},
	"FakeQuant": fakeQuant,
	"Cast":      func(dst, a, _, _ []float32) { copy(dst, a) }, // truth values to numbers; see toTruth
	"Expand":    func(dst, a, _, _ []float32) { copy(dst, a) },
}

// toTruth is the cast to truth values.
var toTruth = each(func(x float64) float64 { return truth(x != 0) })

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func each(f func(x float64) float64) loop {
	return func(dst, a, _, _ []float32) {
		for i, x := range a[:len(dst)] {
			dst[i] = float32(f(float64(x)))
		}
	}
}

func pairs(f func(x, y float32) float32) loop {
	return func(dst, a, b, _ []float32) {
		for i, x := range a[:len(dst)] {
			dst[i] = f(x, b[i])
		}
	}
}

func compared(f func(x, y float32) bool) loop {
	return pairs(func(x, y float32) float32 { return float32(truth(f(x, y))) })
}

// tanh is (1−e)/(1+e) with e = exp(−2|x|), and a series where that would cancel.
func tanh(dst, a, _, _ []float32) {
	var e [tile]float32
	for i, x := range a[:len(dst)] {
		e[i] = -2 * max(x, -x)
	}
	kern.Exp(e[:len(dst)], e[:len(dst)])
	for i, x := range a[:len(dst)] {
		if s := x * x; s < 1.0/16 {
			dst[i] = x * (1 + s*(-1.0/3+s*(2.0/15+s*(-17.0/315+s*62.0/2835))))
			continue
		}
		t := (1 - e[i]) / (1 + e[i])
		if x < 0 {
			t = -t
		}
		dst[i] = t
	}
}

// A group is a number of elementwise operators on tensors of one shape, carried
// out together, tile by tile.
type group struct {
	shape []int
	nodes []Node
	gives map[string]int // the node that gives a value
}

func (g *group) has(name string) bool { _, ok := g.gives[name]; return ok }

// planLoop adds a node to the group of its shape.
func planLoop(p *planner, n Node) error {
	shape := n.Attrs["shape"].([]int)
	var mine *group
	for _, g := range p.open {
		if slices.Equal(g.shape, shape) {
			mine = g
		}
	}
	// What it reads from other groups must be there before its own group runs.
	var others []string
	for _, name := range n.In {
		if mine == nil || !mine.has(name) {
			others = append(others, name)
		}
	}
	p.flushGroups(others)
	if mine == nil || !slices.Contains(p.open, mine) {
		mine = &group{shape: shape, gives: map[string]int{}}
		p.open = append(p.open, mine)
	}
	mine.gives[n.Out[0]] = len(mine.nodes)
	mine.nodes = append(mine.nodes, n)
	return nil
}

// A source is where a loop finds an operand: the result of a loop before it, or
// a tensor, which it may have to be spread over the shape.
type source struct {
	register int // −1: none
	tensor   operand
	spread   func(dst, src []float32, at int) // nil: as it is
	steady   bool                             // the same for every tile
}

// A stage is a loop of a group and where its operands and results are.
type stage struct {
	loop     loop
	in       []source
	keep     bool // the result is a tensor, not only a register
	tensor   operand
	register int
}

// place makes the step of a group.
func (p *planner) place(g *group) {
	within := map[string]int{}
	var read []string
	for _, n := range g.nodes {
		for _, name := range n.In {
			within[name]++
		}
		read = append(read, n.In...)
	}
	var stages []stage
	registers := 0
	next := func() int { registers++; return registers - 1 }
	for _, n := range g.nodes {
		s := stage{loop: loops[n.Op], register: -1}
		if n.Op == "Cast" && n.Attrs["type"] == Bool {
			s.loop = toTruth
		}
		in := n.In
		if n.Op == "Expand" {
			in = in[:1]
		}
		for _, name := range in {
			if i, ok := g.gives[name]; ok {
				src := source{register: stages[i].register, tensor: stages[i].tensor}
				s.in = append(s.in, src)
				continue
			}
			src := source{register: -1, tensor: p.values[name]}
			if src.spread, src.steady = spread(src.tensor.shape, g.shape); src.spread != nil {
				src.register = next()
			}
			s.in = append(s.in, src)
		}
		if out := n.Out[0]; p.uses[out] > within[out] {
			s.keep, s.tensor = true, p.give(out, n.Attrs["type"].(Type), g.shape)
		} else {
			s.register = next()
		}
		stages = append(stages, s)
	}
	p.done(read...)
	n := elements(g.shape)
	p.add(func(f *frame) error {
		tiles := (n + tile - 1) / tile
		f.plan.parallel(tiles, 8, func(lo, hi int) { runStages(f, stages, registers, lo*tile, min(hi*tile, n)) })
		return nil
	})
}

// runStages carries out a group for the elements from lo to hi; lo is that of a tile.
func runStages(f *frame, stages []stage, registers, lo, hi int) {
	space := lend(registers * tile)
	defer scratch.Put(space)
	register := func(i, n int) []float32 { return (*space)[i*tile:][:n] }
	for at := lo; at < hi; at += tile {
		n := min(tile, hi-at)
		for _, s := range stages {
			var args [3][]float32
			for i, src := range s.in {
				switch {
				case src.spread != nil:
					args[i] = register(src.register, n)
					if at == lo || !src.steady {
						src.spread(args[i], f.in(src.tensor), at)
					}
				case src.register >= 0:
					args[i] = register(src.register, n)
				default:
					args[i] = f.in(src.tensor)[at : at+n]
				}
			}
			var dst []float32
			if s.keep {
				dst = f.in(s.tensor)[at : at+n]
			} else {
				dst = register(s.register, n)
			}
			s.loop(dst, args[0], args[1], args[2])
		}
	}
}

// spread gives what reads a tensor of one shape as one of another to which it is
// broadcast; nil if the two have the same elements. steady says that every tile
// reads the same.
func spread(from, to []int) (f func(dst, src []float32, at int), steady bool) {
	if elements(from) == elements(to) {
		return nil, false
	}
	full := slices.Concat(slices.Repeat([]int{1}, len(to)-len(from)), from)
	// Neighbouring axes that are repeated, or are not, are one.
	var sizes []int
	var repeats []bool
	for i, d := range to {
		if d == 1 {
			continue
		}
		if k := len(sizes); k > 0 && repeats[k-1] == (full[i] == 1) {
			sizes[k-1] *= d
		} else {
			sizes, repeats = append(sizes, d), append(repeats, full[i] == 1)
		}
	}
	switch k := len(sizes); {
	case k == 1:
		return func(dst, src []float32, _ int) { fill(dst, src[0]) }, true
	case k == 2 && repeats[0]:
		period := sizes[1]
		return func(dst, src []float32, at int) { cycle(dst, src[:period], at%period) }, tile%period == 0
	case k == 2:
		times := sizes[1]
		return func(dst, src []float32, at int) { stretch(dst, src, times, at) }, false
	case k == 3 && repeats[1]: // rows that are alike, within a block
		block, period := sizes[1]*sizes[2], sizes[2]
		return func(dst, src []float32, at int) {
			for len(dst) > 0 {
				b := at / block
				n := min(len(dst), (b+1)*block-at)
				cycle(dst[:n], src[b*period:(b+1)*period], (at-b*block)%period)
				dst, at = dst[n:], at+n
			}
		}, false
	}
	step := repeatStrides(from, to)
	return func(dst, src []float32, at int) {
		next := walkFrom(to, step, at)
		for i := range dst {
			dst[i] = src[next(i)]
		}
	}, false
}

func fill(dst []float32, x float32) {
	for i := range dst {
		dst[i] = x
	}
}

// cycle repeats src, from element at on.
func cycle(dst, src []float32, at int) {
	n := copy(dst, src[at:])
	for n < len(dst) && n < len(src) {
		n += copy(dst[n:], src)
	}
	for n < len(dst) { // what is there already is whole periods once it is long enough
		k := n / len(src) * len(src)
		if k == 0 {
			n += copy(dst[n:], src)
			continue
		}
		n += copy(dst[n:], dst[n-k:n])
	}
}

// stretch repeats every element of src times.
func stretch(dst, src []float32, times, at int) {
	for len(dst) > 0 {
		i := at / times
		n := min(len(dst), (i+1)*times-at)
		fill(dst[:n], src[i])
		dst, at = dst[n:], at+n
	}
}

// walkFrom is walk beginning at an element.
func walkFrom(shape, step []int, at int) func(int) int {
	index, offset := make([]int, len(shape)), 0
	for a := len(shape) - 1; a >= 0; a-- {
		index[a] = at % shape[a]
		at /= shape[a]
		offset += index[a] * step[a]
	}
	return func(int) int {
		now := offset
		for a := len(shape) - 1; a >= 0; a-- {
			offset += step[a]
			if index[a]++; index[a] < shape[a] {
				break
			}
			offset -= index[a] * step[a]
			index[a] = 0
		}
		return now
	}
}
