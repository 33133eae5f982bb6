package quant

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// A Plan is the number of bits of every row of every layer.
type Plan [][]int

// A Width is a share of the rows that get that many bits.
type Width struct {
	Bits    int
	Percent float64 // of all rows
}

// Uniform gives all rows the same number of bits; rows are counted by layer.
func Uniform(rows []int, bits int) Plan {
	p := make(Plan, len(rows))
	for l, n := range rows {
		p[l] = slices.Repeat([]int{bits}, n)
	}
	return p
}

// Select gives high bits to the rows with the highest scores over all layers,
// floor(total·percent/100) of them, and low bits to the others. Among equal scores
// the first layer's, then the first row, is chosen.
func Select(scores [][]float64, percent float64, low, high int) (Plan, error) {
	return Allocate(low, []Width{{high, percent}}, map[int][][]float64{low: scores})
}

// SelectPerLayer does the same within every layer by itself.
func SelectPerLayer(scores [][]float64, percent float64, low, high int) (Plan, error) {
	p := make(Plan, len(scores))
	for l := range scores {
		one, err := Select(scores[l:l+1], percent, low, high)
		if err != nil {
			return nil, err
		}
		p[l] = one[0]
	}
	return p, nil
}

// Allocate distributes several widths, from the widest to the narrowest: each
// takes its share of the rows that are left, by the scores at the next narrower
// width. What remains gets low bits. Scores are by width, then layer and row.
func Allocate(low int, widths []Width, scores map[int][][]float64) (Plan, error) {
	widths = slices.Clone(widths)
	slices.SortFunc(widths, func(a, b Width) int { return cmp.Compare(b.Bits, a.Bits) })
	rows, total, err := checkScores(low, widths, scores)
	if err != nil {
		return nil, err
	}
	plan := Uniform(rows, low)
	for i, w := range widths {
		n := int(math.Floor(float64(total) * w.Percent / 100))
		for _, r := range ranked(plan, low, scores[nextWidth(low, widths, i)])[:n] {
			plan[r.layer][r.row] = w.Bits
		}
	}
	return plan, nil
}

func nextWidth(low int, widths []Width, i int) int {
	if i+1 < len(widths) {
		return widths[i+1].Bits
	}
	return low
}

func checkScores(low int, widths []Width, scores map[int][][]float64) (rows []int, total int, err error) {
	var all float64
	for i, w := range widths {
		next := nextWidth(low, widths, i)
		all += w.Percent
		switch {
		case !(w.Percent >= 0 && w.Percent <= 100):
			return nil, 0, fmt.Errorf("quant: percent = %g: must be from 0 to 100", w.Percent)
		case all > 100:
			return nil, 0, fmt.Errorf("quant: widths for %g %% of the rows: at most 100", all)
		case w.Bits <= next:
			return nil, 0, fmt.Errorf("quant: widths of %d and %d bits: must differ, and be above the lowest, %d", w.Bits, next, low)
		case i > 0 && len(scores[next]) != len(rows):
			return nil, 0, fmt.Errorf("quant: scores at %d bits of %d layers: want %d", next, len(scores[next]), len(rows))
		}
		for l, s := range scores[next] {
			if i == 0 {
				rows = append(rows, len(s))
				total += len(s)
			} else if len(s) != rows[l] {
				return nil, 0, fmt.Errorf("quant: scores at %d bits of %d rows of layer %d: want %d", next, len(s), l, rows[l])
			}
			for o, x := range s {
				if math.IsNaN(x) || math.IsInf(x, 0) {
					return nil, 0, fmt.Errorf("quant: score at %d bits of row %d of layer %d is %g", next, o, l, x)
				}
			}
		}
	}
	if total == 0 {
		return nil, 0, fmt.Errorf("quant: no rows to choose from")
	}
	return rows, total, nil
}

type ranking struct {
	layer, row int
	score      float64
}

// ranked lists the rows that still have low bits, the highest score first.
func ranked(p Plan, low int, scores [][]float64) []ranking {
	var rs []ranking
	for l, s := range scores {
		for o, x := range s {
			if p[l][o] == low {
				rs = append(rs, ranking{l, o, x})
			}
		}
	}
	// Layers and rows are in order already.
	slices.SortStableFunc(rs, func(a, b ranking) int { return cmp.Compare(b.score, a.score) })
	return rs
}

// Rows lists the rows of a layer that have that many bits.
func (p Plan) Rows(layer, bits int) []int {
	var rows []int
	for o, b := range p[layer] {
		if b == bits {
			rows = append(rows, o)
		}
	}
	return rows
}

// Widths lists the numbers of bits that a layer uses, the smallest first.
func (p Plan) Widths(layer int) []int {
	bs := slices.Clone(p[layer])
	slices.Sort(bs)
	return slices.Compact(bs)
}
