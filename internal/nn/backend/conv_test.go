package backend

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
)

// convCase is a convolution in any arrangement of axes.
type convCase struct {
	name                      string
	batch, in, out            int
	n, k                      []int
	stride, inner, dilation   []int
	pad                       [][2]int
	groups, batchGroups       int
	inPerm, kernPerm, outPerm []int // axes (batch, spatial..., channels), (spatial..., in, out), as in channels-last
	dtype                     dtypes.DType
	native                    bool // also compare with the inner backend, which fails on the others
}

func (c convCase) axes() compute.ConvolveAxesConfig {
	r := len(c.n)
	identity := make([]int, r+2)
	for i := range identity {
		identity[i] = i
	}
	in, kern, out := identity, identity, identity
	if c.inPerm != nil {
		in = c.inPerm
	}
	if c.kernPerm != nil {
		kern = c.kernPerm
	}
	if c.outPerm != nil {
		out = c.outPerm
	}
	return compute.ConvolveAxesConfig{
		InputBatch: in[0], InputSpatial: in[1 : r+1], InputChannels: in[r+1],
		KernelSpatial: kern[:r], KernelInputChannels: kern[r], KernelOutputChannels: kern[r+1],
		OutputBatch: out[0], OutputSpatial: out[1 : r+1], OutputChannels: out[r+1],
	}
}

func (c convCase) check(t *testing.T, rng *rand.Rand) {
	t.Helper()
	axes := c.axes()
	r := len(c.n)
	groups, batchGroups := max(c.groups, 1), max(c.batchGroups, 1)
	x, w := make([]int, r+2), make([]int, r+2)
	x[axes.InputBatch], x[axes.InputChannels] = c.batch, c.in
	w[axes.KernelInputChannels], w[axes.KernelOutputChannels] = c.in/groups, c.out
	for i := range r {
		x[axes.InputSpatial[i]], w[axes.KernelSpatial[i]] = c.n[i], c.k[i]
	}
	dtype := c.dtype
	if dtype == 0 {
		dtype = dtypes.Float32
	}
	in := []array{random(rng, dtype, x...), random(rng, dtype, w...)}
	build := func(f compute.Function, v []compute.Value) (compute.Value, error) {
		return f.ConvGeneral(v[0], v[1], axes, c.stride, c.pad, c.inner, c.dilation, groups, batchGroups)
	}
	p, err := compile(t, decorated(t), in, build)
	if err != nil {
		t.Fatal(err)
	}
	got := p.run(t)
	want := c.direct(in[0], in[1], got)
	compare(t, got, want)
	if p, err = compile(t, decorated(t), in[:1], func(f compute.Function, v []compute.Value) (compute.Value, error) {
		w, err := f.Constant(in[1].data, in[1].dims...)
		if err != nil {
			return nil, err
		}
		return build(f, append(v, w))
	}); err != nil {
		t.Fatal("constant kernel:", err)
	}
	compare(t, p.run(t), want)
	if c.native {
		same(t, in, build)
	}
}

// direct convolves by the definition. Sizes and type are those of like.
func (c convCase) direct(x, w, like array) array {
	axes, r := c.axes(), len(c.n)
	get := func(v []int, i int) int {
		if v == nil {
			return 1
		}
		return v[i]
	}
	xv, wv := floats(x.data), floats(w.data)
	y := make([]float64, product(like.dims))
	for j := range y {
		at := unravel(j, like.dims)
		o := at[axes.OutputChannels]
		batch := at[axes.OutputBatch] + o/(c.out/max(c.batchGroups, 1))*like.dims[axes.OutputBatch]
		first := o / (c.out / max(c.groups, 1)) * (c.in / max(c.groups, 1))
		for kj := range product(w.dims) {
			k := unravel(kj, w.dims)
			if k[axes.KernelOutputChannels] != o {
				continue
			}
			from := make([]int, r+2)
			from[axes.InputBatch], from[axes.InputChannels] = batch, first+k[axes.KernelInputChannels]
			inside := true
			for i := range r {
				p := at[axes.OutputSpatial[i]]*get(c.stride, i) + k[axes.KernelSpatial[i]]*get(c.dilation, i)
				if c.pad != nil {
					p -= c.pad[i][0]
				}
				d := get(c.inner, i)
				inside = inside && p >= 0 && p%d == 0 && p/d < c.n[i]
				from[axes.InputSpatial[i]] = p / d
			}
			if !inside {
				continue
			}
			flat := 0
			for a, d := range x.dims {
				flat = flat*d + from[a]
			}
			y[j] += xv[flat] * wv[kj]
		}
	}
	if _, ok := like.data.([]float64); ok {
		return array{like.dims, y}
	}
	narrow := make([]float32, len(y))
	for i, v := range y {
		narrow[i] = float32(v)
	}
	return array{like.dims, narrow}
}

var (
	channelsFirst = []int{0, 2, 3, 1} // NCHW: where batch, height, width and channels are
	oihw          = []int{2, 3, 1, 0}
	same3         = [][2]int{{1, 1}, {1, 1}}
)

func TestConvAgreesWithDefinition(t *testing.T) {
	cases := []convCase{
		{name: "3x3 same", native: true, batch: 2, in: 3, out: 4, n: []int{6, 5}, k: []int{3, 3}, pad: same3},
		{name: "3x3 same, float64", native: true, batch: 2, in: 3, out: 4, n: []int{6, 5}, k: []int{3, 3}, pad: same3, dtype: dtypes.Float64},
		{name: "few channels out: results are shifted", batch: 2, in: 7, out: 2, n: []int{6, 5}, k: []int{3, 3}, pad: same3},
		{name: "channels first", native: true, batch: 2, in: 3, out: 4, n: []int{6, 5}, k: []int{3, 3}, pad: same3, inPerm: channelsFirst, kernPerm: oihw, outPerm: channelsFirst},
		{name: "1x1", native: true, batch: 2, in: 5, out: 4, n: []int{6, 5}, k: []int{1, 1}},
		{name: "valid", native: true, batch: 2, in: 3, out: 4, n: []int{9, 8}, k: []int{3, 2}},
		{name: "valid, waste too large for shifts", batch: 2, in: 3, out: 4, n: []int{30, 16}, k: []int{9, 9}},
		{name: "asymmetric padding", native: true, batch: 1, in: 3, out: 4, n: []int{6, 5}, k: []int{3, 3}, pad: [][2]int{{2, 0}, {0, 1}}},
		{name: "padding beyond the kernel", batch: 1, in: 3, out: 4, n: []int{6, 5}, k: []int{3, 3}, pad: [][2]int{{4, 3}, {0, 5}}},
		{name: "negative padding", batch: 1, in: 3, out: 4, n: []int{8, 9}, k: []int{3, 3}, pad: [][2]int{{-1, 0}, {1, -2}}},
		{name: "stride 2", native: true, batch: 2, in: 3, out: 4, n: []int{8, 7}, k: []int{3, 3}, stride: []int{2, 2}, pad: same3},
		{name: "stride 2 and 1", batch: 2, in: 3, out: 4, n: []int{8, 7}, k: []int{3, 3}, stride: []int{2, 1}, pad: same3},
		{name: "stride beyond the kernel", batch: 2, in: 3, out: 4, n: []int{9, 9}, k: []int{2, 2}, stride: []int{3, 3}},
		{name: "dilated kernel", native: true, batch: 2, in: 3, out: 4, n: []int{9, 8}, k: []int{3, 3}, dilation: []int{2, 3}, pad: [][2]int{{2, 2}, {3, 3}}},
		{name: "dilated input", batch: 2, in: 3, out: 4, n: []int{5, 4}, k: []int{3, 3}, inner: []int{2, 3}, pad: same3},
		{name: "dilated input, negative padding", batch: 2, in: 3, out: 4, n: []int{5, 4}, k: []int{2, 2}, inner: []int{2, 2}, pad: [][2]int{{1, -1}, {-1, 1}}},
		{name: "groups", batch: 2, in: 4, out: 6, n: []int{6, 5}, k: []int{3, 3}, groups: 2, pad: same3},
		{name: "depthwise", batch: 2, in: 4, out: 4, n: []int{6, 5}, k: []int{3, 3}, groups: 4, pad: same3},
		{name: "depthwise with multiplier, stride 2", batch: 2, in: 3, out: 6, n: []int{6, 5}, k: []int{3, 3}, groups: 3, stride: []int{2, 2}},
		{name: "batch groups", batch: 4, in: 3, out: 6, n: []int{6, 5}, k: []int{3, 3}, batchGroups: 2, pad: same3},
		{name: "kernel as large as the input", batch: 2, in: 3, out: 4, n: []int{6, 5}, k: []int{6, 5}},
		{name: "gradient of a kernel", native: true, batch: 3, in: 2, out: 4, n: []int{8, 7}, k: []int{8, 7}, pad: same3, inPerm: []int{3, 1, 2, 0}, kernPerm: []int{1, 2, 0, 3}},
		{name: "gradient of a kernel, channels first", batch: 3, in: 2, out: 4, n: []int{8, 7}, k: []int{8, 7}, pad: same3, inPerm: []int{1, 2, 3, 0}, kernPerm: []int{2, 3, 0, 1}},
		{name: "gradient of a strided kernel", batch: 3, in: 2, out: 4, n: []int{9, 8}, k: []int{4, 4}, dilation: []int{2, 2}, pad: [][2]int{{1, 0}, {1, 1}}},
		{name: "large kernel, batch in the middle", batch: 3, in: 2, out: 4, n: []int{6, 5}, k: []int{5, 5}, inPerm: []int{1, 0, 2, 3}},
		{name: "large kernel, dilated input", batch: 3, in: 2, out: 4, n: []int{4, 4}, k: []int{6, 6}, inner: []int{2, 2}},
		{name: "large kernel, negative padding", batch: 3, in: 2, out: 4, n: []int{9, 9}, k: []int{6, 6}, pad: [][2]int{{-1, -1}, {0, -2}}},
		{name: "one axis", native: true, batch: 2, in: 3, out: 4, n: []int{9}, k: []int{3}, pad: [][2]int{{1, 1}}},
		{name: "three axes", batch: 2, in: 3, out: 2, n: []int{4, 5, 6}, k: []int{2, 3, 2}, pad: [][2]int{{1, 0}, {1, 1}, {0, 1}}},
		{name: "three axes, results shifted", batch: 2, in: 8, out: 2, n: []int{4, 5, 6}, k: []int{2, 3, 2}, pad: [][2]int{{1, 0}, {1, 1}, {0, 1}}},
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.check(t, rng) })
	}
}

func TestConvAgreesWithDefinitionAtRandom(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	pick := func(n int) int { return 1 + rng.IntN(n) }
	for range 150 {
		r := pick(2)
		c := convCase{batch: pick(3), in: pick(4), out: pick(4), inPerm: rng.Perm(r + 2), kernPerm: rng.Perm(r + 2), outPerm: rng.Perm(r + 2)}
		if rng.IntN(4) == 0 {
			c.groups = pick(2)
		} else if rng.IntN(6) == 0 {
			c.batchGroups = 2
			c.batch *= 2
		}
		g := max(c.groups, 1)
		c.in, c.out = c.in*g, c.out*g*max(c.batchGroups, 1)
		for range r {
			n, k, inner, dil := pick(7), pick(4), 1, 1
			if rng.IntN(3) == 0 {
				inner = pick(2)
			}
			if rng.IntN(3) == 0 {
				dil = pick(2)
			}
			lo, hi := rng.IntN(4), rng.IntN(4)
			if full := (n-1)*inner + 1; rng.IntN(5) == 0 && full > 3 && rng.IntN(2) == 0 {
				lo = -1
			}
			if short := (k-1)*dil + 1 - ((n-1)*inner + 1 + lo + hi); short > 0 {
				hi += short
			}
			c.n, c.k = append(c.n, n), append(c.k, k)
			c.inner, c.dilation, c.stride = append(c.inner, inner), append(c.dilation, dil), append(c.stride, pick(3))
			c.pad = append(c.pad, [2]int{lo, hi})
		}
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) { c.check(t, rng) })
	}
}

func TestConvReportsBadShapes(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	in := []array{random(rng, dtypes.Float32, 1, 4, 4, 3), random(rng, dtypes.Float32, 3, 3, 2, 5)}
	_, err := compile(t, decorated(t), in, func(f compute.Function, v []compute.Value) (compute.Value, error) {
		return f.ConvGeneral(v[0], v[1], convCase{n: []int{4, 4}}.axes(), nil, nil, nil, nil, 1, 1)
	})
	if err == nil {
		t.Fatal("a kernel for 2 channels was applied to 3")
	}
}

func TestTransposesCompose(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	in := []array{random(rng, dtypes.Float32, 2, 3, 1, 4)}
	for _, perms := range [][][]int{
		{{0, 2, 3, 1}, {0, 3, 1, 2}}, // there and back
		{{1, 0, 2, 3}, {3, 2, 1, 0}},
		{{0, 2, 1, 3}}, // only an axis of size 1 moves
		{{2, 0, 1, 3}, {0, 1, 3, 2}, {3, 1, 2, 0}},
	} {
		t.Run(fmt.Sprint(perms), func(t *testing.T) {
			same(t, in, func(f compute.Function, v []compute.Value) (y compute.Value, err error) {
				y = v[0]
				for _, p := range perms {
					if y, err = f.Transpose(y, p...); err != nil {
						return nil, err
					}
				}
				return f.Add(y, y)
			})
		})
	}
	p, err := compile(t, decorated(t), in, func(f compute.Function, v []compute.Value) (compute.Value, error) {
		y, err := f.Transpose(v[0], 0, 2, 3, 1)
		if err != nil {
			return nil, err
		}
		y, err = f.Transpose(y, 0, 3, 1, 2)
		if y != v[0] {
			t.Error("two transposes that undo each other are carried out")
		}
		return y, err
	})
	if err != nil {
		t.Fatal(err)
	}
	compare(t, p.run(t), in[0])
	if _, err := compile(t, decorated(t), in, func(f compute.Function, v []compute.Value) (compute.Value, error) {
		return f.Transpose(v[0], 0, 1, 2, 2)
	}); err == nil {
		t.Error("no error for a permutation with an axis twice")
	}
}

func TestDotGeneralAgreesWithNative(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	for _, c := range []struct {
		name           string
		l, r           []int
		lc, lb, rc, rb []int
	}{
		{"plain", []int{3, 4}, []int{4, 5}, []int{1}, nil, []int{0}, nil},
		{"both contract first, left smaller", []int{40, 3}, []int{40, 50}, []int{0}, nil, []int{0}, nil},
		{"both contract first, right smaller", []int{40, 50}, []int{40, 3}, []int{0}, nil, []int{0}, nil},
		{"left first, right last", []int{4, 30}, []int{5, 4}, []int{0}, nil, []int{1}, nil},
		{"left first, right last, left smaller", []int{4, 3}, []int{50, 4}, []int{0}, nil, []int{1}, nil},
		{"a batch", []int{2, 40, 3}, []int{2, 40, 5}, []int{1}, []int{0}, []int{1}, []int{0}},
		{"a batch, exchanged", []int{2, 4, 30}, []int{2, 3, 4}, []int{1}, []int{0}, []int{2}, []int{0}},
		{"many axes", []int{2, 3, 4, 5, 6}, []int{2, 4, 3, 7}, []int{1, 2}, []int{0}, []int{2, 1}, []int{0}},
		{"many axes, in order", []int{2, 3, 4, 5, 6}, []int{2, 3, 4, 7}, []int{1, 2}, []int{0}, []int{1, 2}, []int{0}},
		{"many axes, listed backwards", []int{3, 4, 5}, []int{3, 4, 7}, []int{1, 0}, nil, []int{1, 0}, nil},
		{"contracted in the middle", []int{3, 4, 5}, []int{2, 4, 7}, []int{1}, nil, []int{1}, nil},
		{"no cross axes", []int{4, 5}, []int{4, 5}, []int{0, 1}, nil, []int{0, 1}, nil},
		{"batch axes not in front", []int{3, 2, 4}, []int{4, 2, 5}, []int{0}, []int{1}, []int{0}, []int{1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "batch axes not in front" {
				c.r = []int{3, 2, 5}
			}
			in := []array{random(rng, dtypes.Float32, c.l...), random(rng, dtypes.Float32, c.r...)}
			same(t, in, func(f compute.Function, v []compute.Value) (compute.Value, error) {
				return f.DotGeneral(v[0], slices.Clone(c.lc), slices.Clone(c.lb), v[1], slices.Clone(c.rc), slices.Clone(c.rb), compute.DotGeneralConfig{})
			})
		})
	}
}
