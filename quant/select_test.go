package quant

import (
	"fmt"
	"math"
	"testing"
)

// TestSalienceFormula: one token, one weight, by hand. Δ of the weight −0.9 with
// two bits and scale 1 is −0.1, so d is −0.1·g.
func TestSalienceFormula(t *testing.T) {
	w := Dense{1, 2, []float64{-0.9, 3 - 0.9}}
	s := Spec{Bits: 2, Group: 2}
	delta := must[*Matrix](t)(RTN(w, s)).Dequantize().X[0] - w.X[0]
	score := func(v Salience, ds ...float64) float64 {
		v.Spec = s
		sc := must[*Scorer](t)(v.Scorer(w))
		for _, d := range ds {
			if err := sc.Add(Dense{1, 2, []float64{1, 0}}, Dense{1, 1, []float64{d / delta}}); err != nil {
				t.Fatal(err)
			}
		}
		return must[[]float64](t)(sc.Scores())[0]
	}
	w.X[1] = 2.1
	for _, tt := range []struct {
		name string
		got  float64
		want float64
	}{
		{"d = −2 scores zero", score(Salience{}, -2), 0},
		{"the sign of d matters", score(Salience{}, 1), 1.5},
		{"and the other one", score(Salience{}, -1), 0.5},
		{"absolute values are added, not sums", score(Salience{}, 1, -1), 2},
		{"without the first order", score(Salience{SecondOrderOnly: true}, -2), 2},
		{"diagonal", score(Salience{Diagonal: true}, 1), 1.5},
	} {
		if math.Abs(tt.got-tt.want) > 1e-12 {
			t.Errorf("%s: %g, want %g", tt.name, tt.got, tt.want)
		}
	}
}

// TestSalienceDiagonal: with two weights the full row and the diagonal differ:
// errors of opposite sign cancel in the row only.
func TestSalienceDiagonal(t *testing.T) {
	w := Dense{1, 4, []float64{0, 3, 1.2, 1.8}}
	s := Spec{Bits: 2, Group: 4}
	x, g := Dense{1, 4, []float64{0, 0, 1, 1}}, Dense{1, 1, []float64{1}}
	for _, tt := range []struct {
		v    Salience
		want float64
	}{
		{Salience{Spec: s}, 0}, // Δ = −0.2 and 0.2
		{Salience{Spec: s, Diagonal: true}, 0.04},
	} {
		sc := must[*Scorer](t)(tt.v.Scorer(w))
		if err := sc.Add(x, g); err != nil {
			t.Fatal(err)
		}
		if got := must[[]float64](t)(sc.Scores())[0]; math.Abs(got-tt.want) > 1e-12 {
			t.Errorf("diagonal %v: %g, want %g", tt.v.Diagonal, got, tt.want)
		}
	}
}

func TestSelect(t *testing.T) {
	scores := [][]float64{{1, 9, 2, 2}, {8, 0}, {2, 2, 2, 7}}
	for _, tt := range []struct {
		name    string
		percent float64
		want    string
	}{
		{"nothing", 0, "[[4 4 4 4] [4 4] [4 4 4 4]]"},
		{"rounded down", 19.9, "[[4 8 4 4] [4 4] [4 4 4 4]]"},
		{"over all layers", 30, "[[4 8 4 4] [8 4] [4 4 4 8]]"},
		{"ties go to the first layer, then row", 50, "[[4 8 8 8] [8 4] [4 4 4 8]]"},
		{"everything", 100, "[[8 8 8 8] [8 8] [8 8 8 8]]"},
	} {
		if got := fmt.Sprint(must[Plan](t)(Select(scores, tt.percent, 4, 8))); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	if got := fmt.Sprint(must[Plan](t)(SelectPerLayer(scores, 50, 4, 8))); got != "[[4 8 8 4] [8 4] [8 4 4 8]]" {
		t.Errorf("in every layer: %s", got)
	}
}

// TestAllocate: the widest width is chosen by the scores at the next one, the next
// by those at the lowest, without the rows that have theirs.
func TestAllocate(t *testing.T) {
	scores := map[int][][]float64{
		3: {{9, 8, 1, 2}},
		4: {{1, 2, 3, 9}},
	}
	p, err := Allocate(3, []Width{{4, 25}, {8, 25}}, scores)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(p); got != "[[4 3 3 8]]" {
		t.Error(got)
	}
	if got := fmt.Sprint(p.Widths(0), p.Rows(0, 3)); got != "[3 4 8] [1 2]" {
		t.Error(got)
	}
	for name, bad := range map[string][]Width{
		"more than all":     {{8, 60}, {4, 60}},
		"a width twice":     {{8, 10}, {8, 10}},
		"the lowest again":  {{3, 10}},
		"scores that lack":  {{8, 10}, {5, 10}},
		"a negative amount": {{8, -1}},
	} {
		if p, err := Allocate(3, bad, scores); err == nil {
			t.Errorf("%s: %v", name, p)
		}
	}
}

// TestMixLLM runs the method on two layers of which one matters far more.
func TestMixLLM(t *testing.T) {
	m := MixLLM{Group: 16, High: []Width{{8, 20}, {6, 20}}, Low: 3}
	var layers []*Calibration
	for i, strength := range []float64{0.01, 1} {
		c := must[*Calibration](t)(m.Calibrate(fmt.Sprint("layer", i), normal(uint64(i), 10, 32)))
		for seq := range uint64(4) {
			g := normal(seq+50, 12, 10)
			for j := range g.X {
				g.X[j] *= strength
			}
			if err := c.Add(correlated(seq, 12, 32), g); err != nil {
				t.Fatal(err)
			}
		}
		layers = append(layers, c)
	}
	p := must[Plan](t)(m.Plan(layers))
	if len(p.Rows(0, 3)) != 10 || len(p.Rows(1, 8)) != 4 || len(p.Rows(1, 6)) != 4 {
		t.Errorf("plan %v: all wide rows should be the second layer's", p)
	}
	for _, m.Rounding = range []Rounding{ByGPTQ, ByClip, ToNearest} {
		ls, rs, err := m.Quantize(layers, p)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range rs {
			if r.Rounding != m.Rounding || r.Note != "" && m.Rounding != ByClip || m.Rounding == ByGPTQ && !(r.MSE < 0.9*r.NearestMSE) {
				t.Errorf("%v, layer %d: error %g of %g, note %q", m.Rounding, i, r.MSE, r.NearestMSE, r.Note)
			}
		}
		codes, all := AverageBits(ls)
		// 12 rows of 3, 4 of 6 and 4 of 8; two groups of 16, with 32 bits of scale.
		if wantAll := 4.6 + 2 + (3*12+6*4)/20.0/16; codes != 4.6-3+(3*12+6*4+8*4)/20.0-1.6 || math.Abs(all-(codes+2+(3*12+6*4)/20.0/16)) > 1e-12 {
			t.Errorf("average bits %g, with scales %g, want %g", codes, all, wantAll)
		}
	}
	bare := must[*Calibration](t)(MixLLM{Group: 16}.Calibrate("bare", normal(1, 4, 16)))
	_, rs, err := MixLLM{Group: 16}.Quantize([]*Calibration{bare}, Uniform([]int{4}, 4))
	if err != nil || rs[0].Rounding != ToNearest || rs[0].Note == "" {
		t.Errorf("without inputs: %+v, %v", rs, err)
	}
	if _, err := (MixLLM{Group: 16}).Plan([]*Calibration{bare}); err == nil {
		t.Error("a plan without calibration")
	}
}
