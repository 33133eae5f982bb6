package qgemm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/assay-lab/assay/internal/kern/kerntest"
)

// TestMulExact: with scales of 1 a product is the integer that 64-bit arithmetic
// gives, at every level of instructions. Sums stay below 2²⁴, where float32 is exact.
func TestMulExact(t *testing.T) {
	kerntest.Levels(t, func(t *testing.T) {
		for _, s := range []struct{ rows, cols, n, zero, top int }{
			{16, 8, 1, 128, 255}, {196, 49, 64, 128, 255}, {49, 98, 37, 127, 255}, {512, 128, 9, 128, 255},
			{5, 3, 2, 0, 255}, {33, 256, 12, 255, 255}, {20, 72, 5, 7, 15},
		} {
			t.Run(fmt.Sprint(s), func(t *testing.T) { checkExact(t, s.rows, s.cols, s.n, s.zero, s.top) })
		}
	})
}

func checkExact(t *testing.T, rows, cols, n, zero, top int) {
	r := rand.New(rand.NewPCG(uint64(rows), uint64(cols)))
	codes, scale, zeros := make([]uint8, rows*cols), make([]float64, rows), make([]int, rows)
	for i := range codes {
		codes[i] = uint8(r.IntN(256))
	}
	for o := range rows {
		scale[o], zeros[o] = 1, 127+r.IntN(2)
	}
	w, err := NewWeights(codes, rows, cols, scale, zeros)
	if err != nil {
		t.Fatal(err)
	}
	in := Input{Scale: 1, Zero: zero, Top: top}
	x, xt := make([]float32, n*cols), make([]float32, n*cols)
	for i := range x {
		x[i] = float32(r.IntN(top+21) - 10 - zero) // some beyond the codes
		xt[i%cols*n+i/cols] = x[i]
	}
	var a, b Tokens
	a.Quantize(x, cols, n, cols, in)
	b.QuantizeColumns(xt, n, n, cols, in)
	for _, tokens := range []*Tokens{&a, &b} {
		y := make([]float32, n*w.Stride())
		w.Mul(y, w.Stride(), tokens)
		for i := range n {
			for o := range rows {
				var want int64
				for j := range cols {
					q := max(0, min(int64(x[i*cols+j])+int64(zero), int64(top)))
					want += (int64(codes[o*cols+j]) - int64(zeros[o])) * (q - int64(zero))
				}
				if got := float64(y[i*w.Stride()+o]); got != float64(want) {
					t.Fatalf("token %d, row %d is %v, want %d", i, o, got, want)
				}
			}
		}
	}
}

// TestTokensAgain: tokens that were longer before leave nothing behind.
func TestTokensAgain(t *testing.T) {
	var a Tokens
	in := Input{Scale: 1, Zero: 128, Top: 255}
	x := make([]float32, 64)
	for i := range x {
		x[i] = 100
	}
	a.Quantize(x, 16, 4, 16, in)
	w, err := NewWeights([]uint8{255, 255, 255}, 1, 3, []float64{1}, []int{0})
	if err != nil {
		t.Fatal(err)
	}
	a.Quantize(x, 3, 4, 3, in)
	y := make([]float32, 4*w.Stride())
	w.Mul(y, w.Stride(), &a)
	if y[0] != 3*255*100 {
		t.Errorf("product %v, want %v", y[0], 3*255*100)
	}
}

func TestRefuses(t *testing.T) {
	for name, f := range map[string]func() error{
		"codes that are too few": func() error {
			_, err := NewWeights(make([]uint8, 5), 2, 3, make([]float64, 2), make([]int, 2))
			return err
		},
		"a zero point of 256": func() error {
			_, err := NewWeights(make([]uint8, 6), 2, 3, make([]float64, 2), []int{0, 256})
			return err
		},
		"scales that are too few": func() error {
			_, err := NewWeights(make([]uint8, 6), 2, 3, make([]float64, 1), make([]int, 2))
			return err
		},
		"sums beyond 32 bits": func() error {
			_, err := NewWeights(make([]uint8, maxCols+1), 1, maxCols+1, make([]float64, 1), make([]int, 1))
			return err
		},
		"an infinite scale": func() error { return Input{float32(math.Inf(1)), 0, 255}.Check() },
		"a zero beyond":     func() error { return Input{1, 16, 15}.Check() },
	} {
		if f() == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
