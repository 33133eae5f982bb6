package kern_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/assay-lab/assay/internal/kern"
	"github.com/assay-lab/assay/internal/kern/kerntest"
)

// A product is a matrix and tokens at the ends of their memory.
type product struct {
	codes kern.Codes
	t     kern.Tokens
}

// randomProduct draws all codes at their extremes as often as between.
func randomProduct(t testing.TB, packed bool, rows, groups, width, tokens int, seed uint64) product {
	r := rand.New(rand.NewPCG(seed, 7))
	top, zero := 255, 256
	if packed {
		top, zero = 15, 16
	}
	extreme := func(lo, hi int) int {
		switch r.IntN(4) {
		case 0:
			return lo
		case 1:
			return hi
		}
		return lo + r.IntN(hi-lo+1)
	}
	c := kern.NewCodes(packed, rows, groups, width)
	codes := make([]uint8, width)
	for o := range rows {
		for k := range groups {
			for i := range codes {
				codes[i] = uint8(extreme(0, top))
			}
			c.SetGroup(o, k, codes, float32(r.ExpFloat64()), int32(r.IntN(zero)))
		}
	}
	c.Code = placed(t, c.Code)
	c.Scale, c.Zero = placed(t, c.Scale), placed(t, c.Zero)
	x := kern.Tokens{N: tokens, Code: make([]int8, tokens*groups*width), Scale: make([]float32, tokens*groups), Sum: make([]int32, tokens*groups)}
	for i := range x.Code {
		x.Code[i] = int8(extreme(-127, 127))
		x.Sum[i/width] += int32(x.Code[i])
	}
	for i := range x.Scale {
		x.Scale[i] = float32(r.ExpFloat64())
	}
	x.Code, x.Scale, x.Sum = placed(t, x.Code), placed(t, x.Scale), placed(t, x.Sum)
	return product{c, x}
}

// placed copies a slice to where nothing may be read behind it.
func placed[T any](t testing.TB, x []T) []T {
	y := kerntest.NewPlace[T](t, len(x)).High(len(x))
	copy(y, x)
	return y
}

// code reads a code back from the layout, by the rule that is documented.
func (p product) code(o, k, i int) int64 {
	c := p.codes
	tile, r := o/16, o%16
	if !c.Packed {
		return int64(c.Code[((tile*c.Groups+k)*c.Width/4+i/4)*64+4*r+i%4])
	}
	b := c.Code[((tile*c.Groups+k)*c.Width/8+i/8)*64+4*r+i%4]
	if i%8 >= 4 {
		b >>= 4
	}
	return int64(b & 15)
}

// exact is one result and the sum of the sizes of its terms.
func (p product) exact(t, o int) (y, size float64) {
	c := p.codes
	for k := range c.Groups {
		at := (o/16*c.Groups+k)*16 + o%16
		var sum int64
		for i := range c.Width {
			sum += (p.code(o, k, i) - int64(c.Zero[at])) * int64(p.t.Code[(t*c.Groups+k)*c.Width+i])
		}
		term := float64(sum) * float64(c.Scale[at]) * float64(p.t.Scale[t*c.Groups+k])
		y += term
		size += math.Abs(term)
	}
	return y, size
}

func TestMulCodes(t *testing.T) {
	kerntest.Levels(t, func(t *testing.T) {
		for _, packed := range []bool{true, false} {
			for _, s := range []struct{ rows, groups, width, tokens int }{
				{16, 1, 8, 1}, {32, 1, 8, 1}, {48, 2, 128, 2}, {5, 3, 16, 3}, {33, 2, 24, 4}, {64, 4, 128, 5},
				{16, 1, 256, 6}, {40, 3, 32, 7}, {80, 2, 40, 8}, {32, 2, 64, 9}, {20, 1, 72, 17}, {32, 1, 4096, 3},
			} {
				t.Run(fmt.Sprint(packed, s), func(t *testing.T) {
					p := randomProduct(t, packed, s.rows, s.groups, s.width, s.tokens, 1)
					width := 16 * p.codes.Tiles
					dst := kerntest.NewPlace[float32](t, s.tokens*width).High(s.tokens * width)
					for i := range dst {
						dst[i] = float32(math.NaN()) // that all is written
					}
					kern.MulCodes(dst, width, p.codes, 0, p.codes.Tiles, p.t)
					for i, got := range dst {
						want, size := p.exact(i/width, i%width)
						// The sum of a group is exact in 24 bits or rounded once; its scale,
						// its product and its addition are rounded.
						if math.Abs(float64(got)-want) > 3e-7*size {
							t.Fatalf("token %d, row %d: %g, want %g", i/width, i%width, got, want)
						}
					}
				})
			}
		}
	})
}

// TestMulCodesExact: with scales of 1 results are integers, the same at all levels
// and in 64 bits.
func TestMulCodesExact(t *testing.T) {
	kerntest.Levels(t, func(t *testing.T) {
		for _, packed := range []bool{true, false} {
			for tokens := 1; tokens <= 20; tokens++ {
				p := randomProduct(t, packed, 37, 3, 128, tokens, uint64(tokens))
				for i := range p.codes.Scale {
					p.codes.Scale[i] = 1
				}
				for i := range p.t.Scale {
					p.t.Scale[i] = 1
				}
				dst := make([]float32, tokens*48)
				kern.MulCodes(dst, 48, p.codes, 0, 3, p.t)
				for i, got := range dst {
					if want, _ := p.exact(i/48, i%48); float64(got) != want {
						t.Fatalf("packed %v, %d tokens: token %d, row %d is %v, want %v", packed, tokens, i/48, i%48, got, want)
					}
				}
			}
		}
	})
}

// TestMulCodesTiles: some tiles alone write the same and nothing else.
func TestMulCodesTiles(t *testing.T) {
	kerntest.Levels(t, func(t *testing.T) {
		p := randomProduct(t, true, 80, 2, 32, 5, 3)
		all := make([]float32, 5*80)
		kern.MulCodes(all, 80, p.codes, 0, 5, p.t)
		for from := range 6 {
			for to := from; to <= 5; to++ {
				dst := make([]float32, 5*80)
				kern.MulCodes(dst, 80, p.codes, from, to, p.t)
				for i, got := range dst {
					want := all[i]
					if tile := i % 80 / 16; tile < from || tile >= to {
						want = 0
					}
					if got != want {
						t.Fatalf("tiles %d to %d: token %d, row %d is %v, want %v", from, to, i/80, i%80, got, want)
					}
				}
			}
		}
	})
}

func TestQuantizeI8(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 9))
	x := kerntest.NewPlace[float32](t, kerntest.MaxLen)
	q := kerntest.NewPlace[int8](t, kerntest.MaxLen)
	kerntest.Levels(t, func(t *testing.T) {
		for n := range kerntest.MaxLen {
			for at := range 5 {
				x, dst := x.At(at, n), q.High(n)
				for i := range x {
					x[i] = float32(r.NormFloat64())
				}
				if n > 3 {
					// The largest is 127 steps of exactly 1/64, and there are halves.
					for i := range x {
						x[i] = max(-127, min(float32(math.Round(float64(x[i])*80))/2, 127)) / 64
					}
					x[n-1] = -127.0 / 64
				}
				scale, sum := kern.QuantizeI8(dst, x, 1e-5)
				var want []int8
				var wantSum int32
				for _, v := range x {
					q := math.RoundToEven(float64(v / scale))
					want = append(want, int8(q))
					wantSum += int32(q)
				}
				if !slices.Equal(dst, want) || sum != wantSum || n > 3 && scale != 1.0/64 {
					t.Fatalf("%d numbers: scale %g, sum %d, %v of %v: want sum %d, %v", n, scale, sum, dst, x, wantSum, want)
				}
			}
		}
	})
	for _, v := range []float32{0, 1e-30, math.MaxFloat32, -math.MaxFloat32, 1e-5} {
		dst := make([]int8, 16)
		scale, _ := kern.QuantizeI8(dst, slices.Repeat([]float32{v}, 16), 1e-5)
		want := int8(math.RoundToEven(float64(v / scale)))
		if dst[0] != want || scale < 1e-5/127*(1-1e-6) || math.IsInf(float64(scale), 0) {
			t.Errorf("%g: scale %g, code %d, want %d", v, scale, dst[0], want)
		}
	}
}

// TestMulCodesAllocates nothing.
func TestMulCodesAllocates(t *testing.T) {
	kerntest.Levels(t, func(t *testing.T) {
		p := randomProduct(t, true, 48, 2, 64, 9, 5)
		dst, q := make([]float32, 9*48), make([]int8, 100)
		x := make([]float32, 100)
		if n := testing.AllocsPerRun(10, func() {
			kern.MulCodes(dst, 48, p.codes, 0, 3, p.t)
			kern.QuantizeI8(q, x, 1)
		}); n != 0 {
			t.Errorf("%g allocations", n)
		}
	})
}
