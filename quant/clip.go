package quant

// The grid of clipping ratios, in percent.
const (
	clipFirst = 80
	clipStep  = 2
)

// A ClipReport says what [ClipSearch] found.
type ClipReport struct {
	Percent  []int   // [Rows, Groups], the best of 80, 82, ..., 100 % of the range
	FellBack bool    // clipping made the whole worse and was left out
	MSE      float64 // of the output with clipped ranges, over tokens and rows
	BaseMSE  float64 // and with full ranges
}

// ClipSearch rounds to nearest in ranges that are cut where this lessens the
// output's error: for each row and group the smallest of the best ratios from 0.80
// to 1. If the whole output comes out worse for it, full ranges are used instead.
func ClipSearch(w Dense, in *Inputs, s Spec) (*Matrix, ClipReport, error) {
	if err := checkWeights(w, s); err != nil {
		return nil, ClipReport{}, err
	}
	if err := in.check(w.Cols); err != nil {
		return nil, ClipReport{}, err
	}
	base, m := nearest(w, s), newMatrix(w.Rows, w.Cols, s)
	n, g := m.Groups(), s.group()
	r := ClipReport{Percent: make([]int, w.Rows*n)}
	each(w.Rows, func(o int) {
		e := make([]float64, g)
		for k := range n {
			part := w.Row(o)[k*g : (k+1)*g]
			p := in.bestClip(part, k*g, s, e)
			r.Percent[o*n+k] = p
			m.encode(o, k, part, float64(p)/100)
		}
	})
	r.MSE, r.BaseMSE = in.mse(w, m), in.mse(w, base)
	if r.MSE > r.BaseMSE {
		r.FellBack, m = true, base
	}
	return m, r, nil
}

// bestClip is the best ratio, in percent, for the group of inputs from i on. e is
// scratch.
func (in *Inputs) bestClip(w []float64, i int, s Spec, e []float64) int {
	best, least := 0, 0.0
	for p := clipFirst; p <= 100; p += clipStep {
		scale, zero := s.fit(w, float64(p)/100)
		for j, x := range w {
			e[j] = x - float64(s.code(x, scale, zero)-zero)*scale
		}
		if q := in.square(e, i); best == 0 || q < least {
			best, least = p, q
		}
	}
	return best
}
