package quant

import "math"

// A histogram counts numbers from −most to most in equal bins.
type histogram struct {
	count       []float64
	most, width float64
}

func newHistogram(x []float64, most float64, bins int) *histogram {
	h := &histogram{count: make([]float64, bins), most: most, width: 2 * most / float64(bins)}
	for _, v := range x {
		h.count[h.bin(v)]++
	}
	return h
}

func (h *histogram) bin(v float64) int {
	if h.width == 0 {
		return 0
	}
	return clamp(math.Floor((v+h.most)/h.width), len(h.count)-1)
}

// divergence is that of the numbers clipped to a range from what codes keep of
// them (Migacz 2017): P has the clipped numbers in its outermost bins; Q spreads the
// numbers within the range that share a code evenly over those of the code's bins
// that are not empty. A bin that P has and Q lacks counts as a thousandth of a number.
func (h *histogram) divergence(bits int, lo, hi float64) float64 {
	scale, zero := affine(bits, lo, hi)
	first, last := h.bin(lo), h.bin(math.Nextafter(hi, lo))
	n := last - first + 1
	p, q := make([]float64, n), make([]float64, n)
	sum, filled := make([]float64, 1<<bits), make([]float64, 1<<bits)
	code := make([]int, n)
	for i := range n {
		center := -h.most + (float64(first+i)+.5)*h.width
		code[i] = clamp(math.RoundToEven(center/scale)+float64(zero), 1<<bits-1)
		if p[i] = h.count[first+i]; p[i] > 0 {
			sum[code[i]] += p[i]
			filled[code[i]]++
		}
	}
	var total, kept float64
	for i, c := range h.count {
		total += c
		switch {
		case i < first:
			p[0] += c
		case i > last:
			p[n-1] += c
		}
	}
	const missing = 1e-3
	for i := range q {
		if p[i] > 0 && filled[code[i]] > 0 && h.count[first+i] > 0 {
			q[i] = sum[code[i]] / filled[code[i]]
		} else if p[i] > 0 {
			q[i] = missing
		}
		kept += q[i]
	}
	var d float64
	for i, x := range p {
		if x > 0 {
			d += x / total * math.Log(x/total*kept/q[i])
		}
	}
	return d
}
