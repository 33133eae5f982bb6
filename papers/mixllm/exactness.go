package mixllm

import (
	"context"
	"fmt"

	"github.com/assay-lab/assay/internal/rng"
	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/quant"
)

// Integer products.
const (
	w4a8  = "W4A8"
	w8a8  = "W8A8"
	pairs = "W8A8, pairs in 16 bits"
)

// exactness holds the integer kernels against 64-bit arithmetic.
func exactness() *lab.Experiment {
	return &lab.Experiment{
		Name:    "mixllm/kernel",
		Title:   "Is the integer product exact? Wrong sums over tokens",
		Help:    "Layers of 80 outputs and 512 inputs with random codes, extremes among them, are multiplied with scales of 1, where every result is an integer, and compared with 64-bit arithmetic. As a control, 8-bit codes whose pairs of products saturate at 16 bits, which is what the instruction for 4-bit codes does with them on processors without VNNI. Speed is measured by make bench.",
		Cost:    lab.Axis{Name: "tokens"},
		Quality: lab.Axis{Name: "wrong sums", Unit: "%"},
		Params: []lab.Param{
			{Name: "tokens", Help: "tokens at once", Kind: lab.Ints, Default: "1,2,3,4,5,6,7,8,9,64", At: map[lab.Size]string{lab.Quick: "1,4,64"}, Min: 1, Max: 4096},
			{Name: "group", Help: "inputs that share a scale", Kind: lab.Int, Default: "128", Min: 1, Max: 512},
			seedsParam("draws of the codes", "3", "20"),
		},
		Version: 1,
		Grid: func(v lab.Values) ([]lab.Cell, error) {
			var cs []lab.Cell
			for _, m := range []string{w4a8, w8a8, pairs} {
				for _, n := range v.Ints("tokens") {
					for seed := range v.Int("seeds") {
						cs = append(cs, lab.Cell{Method: m, Budget: float64(n), Seed: uint64(seed), Values: v})
					}
				}
			}
			return cs, nil
		},
		Run:    runExactness,
		Claims: exactnessClaims(),
	}
}

func runExactness(_ context.Context, c lab.Cell) (lab.Outcome, error) {
	s := quant.Spec{Bits: 8, Group: c.Values.Int("group"), Symmetric: true}
	switch c.Method {
	case w4a8:
		s.Bits, s.Symmetric = 4, false
	case w8a8, pairs:
	default:
		return lab.Outcome{}, fmt.Errorf("no product is called %q", c.Method)
	}
	m, a, err := randomCodes(s, int(c.Budget), c.Seed)
	if err != nil {
		return lab.Outcome{}, err
	}
	ps, err := quant.Partials(m, a)
	if err != nil {
		return lab.Outcome{}, err
	}
	var got [][]float32
	if c.Method == pairs {
		got = saturating(m, a)
	} else if got, err = multiply(whole(m), a); err != nil {
		return lab.Outcome{}, err
	}
	wrong := 0
	n := m.Groups()
	for i := range a.Tokens * m.Rows {
		var want int64
		for _, p := range ps[i*n : (i+1)*n] {
			want += p
		}
		if float64(got[i/m.Rows][i%m.Rows]) != float64(want) {
			wrong++
		}
	}
	return lab.Outcome{Cost: c.Budget, Quality: 100 * float64(wrong) / float64(a.Tokens*m.Rows)}, nil
}

// whole is a layer of one part.
func whole(m *quant.Matrix) *quant.Layer {
	all := make([]int, m.Rows)
	for i := range all {
		all[i] = i
	}
	return &quant.Layer{Rows: m.Rows, Cols: m.Cols, Parts: []quant.Part{{Rows: all, Matrix: m}}}
}

// randomCodes draws codes, a fifth of them at either end of their range; scales
// are 1.
func randomCodes(s quant.Spec, tokens int, seed uint64) (*quant.Matrix, *quant.Activations, error) {
	const rows, cols = 80, 512
	src := rng.Stream(seed, 21, uint64(tokens), uint64(s.Bits))
	draw := func(lo, hi int) int {
		switch u := src.Float64(); {
		case u < 0.2:
			return lo
		case u < 0.4:
			return hi
		}
		return lo + src.IntN(hi-lo+1)
	}
	n := rows * cols / s.Group
	m := &quant.Matrix{Rows: rows, Cols: cols, Spec: s, Codes: make([]uint8, rows*cols), Scale: make([]float64, n), Zero: make([]uint8, n)}
	for i := range m.Codes {
		m.Codes[i] = uint8(draw(0, 1<<s.Bits-1))
	}
	for i := range m.Zero {
		m.Scale[i], m.Zero[i] = 1, 128
		if !s.Symmetric {
			m.Zero[i] = uint8(draw(0, 1<<s.Bits-1))
		}
	}
	codes, scale := make([]int8, tokens*cols), make([]float32, tokens*cols/s.Group)
	for i := range codes {
		codes[i] = int8(draw(-127, 127))
	}
	for i := range scale {
		scale[i] = 1
	}
	a, err := quant.NewActivations(codes, scale, tokens, cols, s.Group)
	return m, a, err
}

// saturating is the product whose pairs of byte products are kept in 16 bits.
func saturating(m *quant.Matrix, a *quant.Activations) [][]float32 {
	y := make([]float32, 0, a.Tokens*m.Rows)
	for t := range a.Tokens {
		for o := range m.Rows {
			var sum, pair int
			for i := range m.Cols {
				x := int(a.Code(t, i))
				pair += int(m.Codes[o*m.Cols+i]) * x
				sum -= int(m.Zero[o*m.Groups()+i/m.Spec.Group]) * x
				if i%2 == 1 {
					sum += max(-1<<15, min(pair, 1<<15-1))
					pair = 0
				}
			}
			y = append(y, float32(sum))
		}
	}
	return table(y, m.Rows)
}
