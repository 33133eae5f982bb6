package quant

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func normals(n int, seed uint64) []float64 {
	r := rand.New(rand.NewPCG(seed, 7))
	x := make([]float64, n)
	for i := range x {
		x[i] = r.NormFloat64()
	}
	return x
}

func affineOf(t *testing.T, bits int, lo, hi float64) Affine {
	t.Helper()
	q, err := NewAffine(bits, []float64{lo}, []float64{hi})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func TestAffine(t *testing.T) {
	for _, tt := range []struct {
		name   string
		bits   int
		lo, hi float64
		x      float64
		code   uint8
		back   float64
	}{
		{"a range of one sign contains zero", 2, 3, 6, 0, 0, 0},
		{"and its top stays", 2, 3, 6, 6, 3, 6},
		{"half a code rounds to the even one", 8, 0, 255, 2.5, 2, 2},
		{"and not away from zero", 8, 0, 255, 3.5, 4, 4},
		{"beyond the range is the last code", 4, -8, 7, 100, 15, 7},
		{"and below it the first", 4, -8, 7, -100, 0, -8},
		{"symmetric ranges lose half a code at the top", 8, -127.5, 127.5, 127.5, 255, 127},
		{"zero is exact", 3, -1, 2.3, 0, 2, 0},
	} {
		q := affineOf(t, tt.bits, tt.lo, tt.hi)
		code, back := make([]uint8, 1), make([]float64, 1)
		if err := q.Quantize(code, []float64{tt.x}); err != nil {
			t.Fatal(err)
		}
		if err := q.Dequantize(back, code); err != nil {
			t.Fatal(err)
		}
		if code[0] != tt.code || math.Abs(back[0]-tt.back) > 1e-12 {
			t.Errorf("%s: code %d, %g back: want %d, %g", tt.name, code[0], back[0], tt.code, tt.back)
		}
	}
}

// TestAffineError: within the range the error is at most half a step, codes are in
// their range at any bits, and what is quantized already stays.
func TestAffineError(t *testing.T) {
	x := normals(1000, 1)
	lo, hi := extremes(x)
	for bits := 2; bits <= 8; bits++ {
		q := affineOf(t, bits, lo, hi)
		y, again, codes := make([]float64, len(x)), make([]float64, len(x)), make([]uint8, len(x))
		for _, err := range []error{q.Fake(y, x), q.Fake(again, y), q.Quantize(codes, x)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(y, again) {
			t.Errorf("%d bits: quantizing again changes numbers", bits)
		}
		for i, v := range x {
			// The zero point is rounded: at the ends half a step more is lost.
			if math.Abs(v-y[i]) > q.Scale[0]*1.0001 {
				t.Fatalf("%d bits: %g becomes %g, steps of %g", bits, v, y[i], q.Scale[0])
			}
			if int(codes[i]) >= q.Levels() {
				t.Fatalf("%d bits: code %d", bits, codes[i])
			}
		}
		nudged := q
		nudged.Scale = []float64{q.Scale[0] * 1.01}
		if err := nudged.Dequantize(again, codes); err != nil || slices.Equal(y, again) {
			t.Errorf("%d bits: another scale changes nothing, %v", bits, err)
		}
	}
}

// direct is the search of an asymmetric range by its definition.
func direct(s RangeSearch, x []float64) (lo, hi float64) {
	l, h := extremes(x)
	top := 1<<s.bits() - 1
	best := math.Inf(1)
	for i := 1; i <= s.steps(); i++ {
		width := (h - l) / float64(s.steps()) * float64(i)
		for z := range top + 1 {
			a := -float64(z) * (width / float64(top))
			scale, zero := affine(s.bits(), a, width+a)
			var e float64
			for _, v := range x {
				q := max(0, min(math.RoundToEven(v/scale)+float64(zero), float64(top))) - float64(zero)
				e += math.Pow(math.Abs(v-q*scale), s.power())
			}
			if e < best {
				best, lo, hi = e, a, width+a
			}
		}
	}
	return lo, hi
}

// TestSearch2: the fast search finds what trying every range finds.
func TestSearch2(t *testing.T) {
	for seed := range uint64(4) {
		x := normals(60, seed)
		for i := range x { // skewed, with a tail
			x[i] = math.Exp(x[i]) - 1
		}
		for _, s := range []RangeSearch{{Bits: 3, Asymmetric: true, Steps: 30}, {Bits: 4, Asymmetric: true, P: 2, Steps: 30}, {Bits: 5, Asymmetric: true, P: 1, Steps: 20}} {
			lo, hi, err := s.Tensor(x, TwoSided)
			if err != nil {
				t.Fatal(err)
			}
			l, h := direct(s, x)
			if math.Abs(lo-l)+math.Abs(hi-h) > 1e-12 {
				t.Errorf("seed %d, %+v: [%g, %g], want [%g, %g]", seed, s, lo, hi, l, h)
			}
		}
	}
}

func searched(t *testing.T, s RangeSearch, x []float64) (lo, hi float64) {
	t.Helper()
	lo, hi, err := s.Tensor(x, SideOf(x))
	if err != nil {
		t.Fatal(err)
	}
	return lo, hi
}

func TestSearch(t *testing.T) {
	x := normals(4096, 3)
	x[7] = 40 // an outlier
	for _, tt := range []struct {
		name string
		s    RangeSearch
		most float64 // of the range's top
	}{
		{"the outlier is clipped at 4 bits", RangeSearch{Bits: 4}, 20},
		{"less so by a higher power", RangeSearch{Bits: 4, P: 4}, 36},
		{"L1 cares for it least", RangeSearch{Bits: 4, P: 1}, 8},
		{"cosine clips it", RangeSearch{Bits: 4, Criterion: Cosine}, 32},
		{"divergence clips it", RangeSearch{Bits: 4, Criterion: Divergence}, 12},
		{"extremes keep it", RangeSearch{Bits: 4, Criterion: Extremes}, 40},
	} {
		lo, hi := searched(t, tt.s, x)
		if lo != -hi || !(hi > 1 && hi <= tt.most) {
			t.Errorf("%s: range [%g, %g], want at most %g", tt.name, lo, hi, tt.most)
		}
	}
	// More candidates find no worse range.
	coarse, fine := RangeSearch{Bits: 4, Steps: 10}, RangeSearch{Bits: 4, Steps: 100}
	score := fine.scorer(x, spread(x))
	cl, ch := searched(t, coarse, x)
	fl, fh := searched(t, fine, x)
	if score(fl, fh) > score(cl, ch) {
		t.Errorf("100 candidates: %g, 10: %g", score(fl, fh), score(cl, ch))
	}
}

func TestSides(t *testing.T) {
	for name, tt := range map[string]struct {
		x      []float64
		side   Side
		lo, hi bool // of the range, beyond zero
	}{
		"after a ReLU":        {[]float64{0, 1, 2}, Positive, false, true},
		"zeros count as such": {[]float64{0, 0}, Positive, false, false},
		"negative":            {[]float64{-3, -1}, Negative, true, false},
		"both":                {[]float64{-3, 1}, TwoSided, true, true},
	} {
		if s := SideOf(tt.x); s != tt.side {
			t.Errorf("%s: %v", name, s)
		}
		lo, hi := searched(t, RangeSearch{}, tt.x)
		if lo < 0 != tt.lo || hi > 0 != tt.hi {
			t.Errorf("%s: range [%g, %g]", name, lo, hi)
		}
	}
}

func TestObserver(t *testing.T) {
	o := Observer{Layer: "a"}
	batch := func(scale float64) []float64 {
		x := normals(100, 1)
		for i := range x {
			x[i] *= scale
		}
		return x
	}
	if err := o.Observe(batch(1)); err != nil {
		t.Fatal(err)
	}
	_, first := o.Range()
	if err := o.Observe(batch(3)); err != nil {
		t.Fatal(err)
	}
	if lo, hi := o.Range(); math.Abs(hi-(.9*first+.1*3*first)) > 1e-12 || lo != -hi {
		t.Errorf("running range [%g, %g] after %g and three times that", lo, hi, first)
	}
	if ws := o.Warnings(); len(ws) != 0 {
		t.Errorf("warnings %v", ws)
	}
	zeros := Observer{Layer: "z"}
	if err := zeros.Observe(make([]float64, 5)); err != nil {
		t.Fatal(err)
	}
	q, err := zeros.Quantizer()
	if err != nil || q.Scale[0] != 1e-8 || q.Zero[0] != 0 {
		t.Errorf("quantizer of zeros %+v, %v", q, err)
	}
	if ws := zeros.Warnings(); len(ws) != 1 || ws[0].Kind != AllZero || ws[0].Layer != "z" {
		t.Errorf("warnings of zeros: %v", ws)
	}
	if err := zeros.Observe([]float64{-1, 1}); err != nil {
		t.Fatal(err)
	}
	if ws := zeros.Warnings(); len(ws) != 1 || ws[0].Kind != WrongSide || zeros.Side() != Positive {
		t.Errorf("warnings of another side: %v, side %v", ws, zeros.Side())
	}
}

func TestAffineErrors(t *testing.T) {
	x := []float64{1, 2, math.NaN()}
	for _, tt := range []struct {
		name string
		f    func() error
		want string
	}{
		{"one bit", func() error { _, err := NewAffine(1, []float64{0}, []float64{1}); return err }, "bits = 1: must be 2 to 8"},
		{"nine bits", func() error { return RangeSearch{Bits: 9}.Check() }, "bits = 9: must be 2 to 8"},
		{"a range upside down", func() error { _, err := NewAffine(8, []float64{1}, []float64{0}); return err }, "range 0 is [1, 0]"},
		{"an endless range", func() error { _, err := NewAffine(8, []float64{0}, []float64{math.Inf(1)}); return err }, "finite"},
		{"NaN in calibration", func() error { return (&Observer{Layer: "third"}).Observe(x) }, `layer "third": quant: calibration: element 2 = NaN`},
		{"no numbers", func() error { return (&Observer{}).Observe(nil) }, "calibration on no numbers"},
		{"no batch", func() error { _, err := (&Observer{}).Quantizer(); return err }, "no batch was observed"},
		{"fewer numbers than bins", func() error { return (&Observer{Search: RangeSearch{Criterion: Divergence}}).Observe(normals(100, 1)) }, "calibration on 100 numbers, fewer than the 2048 bins"},
		{"fewer bins than codes", func() error { return RangeSearch{Criterion: Divergence, Bins: 100}.Check() }, "100 bins for 256 codes"},
		{"a rate of 2", func() error { return (&Observer{Rate: 2}).Observe(x[:2]) }, "rate = 2: must be in (0, 1]"},
		{"p = 0", func() error { return RangeSearch{P: -1}.Check() }, "p = -1: must be in (0, 16]"},
		{"no candidates", func() error { return RangeSearch{Steps: -1}.Check() }, "-1 candidates"},
		{"an unknown criterion", func() error { _, _, err := ParseCriterion("max"); return err }, `criterion "max": must be power`},
		{"channels that do not divide", func() error { _, err := RangeSearch{}.Channels(x[:2], 3); return err }, "2 weights in 3 channels"},
		{"a code of more bits", func() error {
			return Affine{2, []float64{1}, []int{0}}.Dequantize(make([]float64, 1), []uint8{4})
		}, "code 0 = 4: has more than 2 bits"},
		{"a scale of 0", func() error { return Affine{2, []float64{0}, []int{0}}.Check() }, "scale 0 = 0: must be positive"},
		{"a zero point beyond", func() error { return Affine{2, []float64{1}, []int{4}}.Check() }, "zero point 0 = 4: must be from 0 to 3"},
		{"an array that is too short", func() error { return Affine{2, []float64{1}, []int{0}}.Fake(x[:1], x[:2]) }, "1 numbers for 2"},
	} {
		if err := tt.f(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

// BenchmarkSearch2 times the search for an asymmetric 8-bit range among 25,600.
func BenchmarkSearch2(b *testing.B) {
	x := normals(4096, 1)
	for b.Loop() {
		if _, _, err := (RangeSearch{Asymmetric: true}).Tensor(x, TwoSided); err != nil {
			b.Fatal(err)
		}
	}
}
