package quant

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// normal draws a matrix of independent normal numbers.
func normal(seed uint64, rows, cols int) Dense {
	r := rand.New(rand.NewPCG(seed, 1))
	d := Dense{rows, cols, make([]float64, rows*cols)}
	for i := range d.X {
		d.X[i] = r.NormFloat64()
	}
	return d
}

// correlated draws tokens whose features share a few causes.
func correlated(seed uint64, tokens, cols int) Dense {
	causes, mix, own := normal(seed, tokens, 6), normal(seed+1, 6, cols), normal(seed+2, tokens, cols)
	for t := range tokens {
		for i := range cols {
			x := &own.X[t*cols+i]
			*x *= 0.3
			for j, c := range causes.Row(t) {
				*x += c * mix.X[j*cols+i]
			}
		}
	}
	return own
}

func must[T any](t *testing.T) func(T, error) T {
	return func(x T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
}

func inputs(t *testing.T, batches ...Dense) *Inputs {
	t.Helper()
	in := &Inputs{}
	for _, b := range batches {
		if err := in.Add(b); err != nil {
			t.Fatal(err)
		}
	}
	return in
}

func TestRTN(t *testing.T) {
	tests := []struct {
		name  string
		w     []float64
		spec  Spec
		codes []int
		scale float64
		zero  uint8
	}{
		{"halves round to even", []float64{-1.5, -0.5, 0.5, 1.5, 2.5, 7}, Spec{Bits: 4, Symmetric: true}, []int{-2, 0, 0, 2, 2, 7}, 1, 8},
		{"an asymmetric range uses all codes", []float64{-5, 10}, Spec{Bits: 4}, []int{0, 15}, 1, 5},
		{"positive weights keep zero in range", []float64{0.5, 1.5, 3}, Spec{Bits: 4}, []int{2, 8, 15}, 0.2, 0},
		{"negative weights keep zero in range", []float64{-3, -1.5}, Spec{Bits: 4}, []int{0, 7}, 0.2, 15},
		{"the published range flattens one sign", []float64{0.5, 0.75, 1}, Spec{Bits: 4, Range: Published}, []int{15, 15, 15}, 0.5 / 15, 0},
		{"zeros stay zeros", []float64{0, 0}, Spec{Bits: 4}, []int{0, 0}, 1e-5 / 15, 0},
		{"zeros stay zeros without a zero point", []float64{0, 0}, Spec{Bits: 8, Symmetric: true}, []int{0, 0}, 1e-5 / 127, 128},
		{"a constant is exact", []float64{0.3, 0.3}, Spec{Bits: 4}, []int{15, 15}, 0.02, 0},
		{"two bits", []float64{-1, 0, 1, 2}, Spec{Bits: 2}, []int{0, 1, 2, 3}, 1, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.spec.Group = len(tt.w)
			m := must[*Matrix](t)(RTN(Dense{1, len(tt.w), tt.w}, tt.spec))
			for i, want := range tt.codes {
				if got := m.Code(0, i); got != want {
					t.Errorf("code %d is %d, want %d", i, got, want)
				}
			}
			if math.Abs(m.Scale[0]-tt.scale) > 1e-15*tt.scale*8 || m.Zero[0] != tt.zero {
				t.Errorf("scale %g, zero %d: want %g, %d", m.Scale[0], m.Zero[0], tt.scale, tt.zero)
			}
		})
	}
}

// TestRTNIsNearest: no weight is further than half a step, at any width.
func TestRTNIsNearest(t *testing.T) {
	w := normal(1, 5, 64)
	for bits := 2; bits <= 8; bits++ {
		for _, sym := range []bool{false, true} {
			m := must[*Matrix](t)(RTN(w, Spec{Bits: bits, Group: 16, Symmetric: sym}))
			for i, x := range m.Dequantize().X {
				// Zero is a code, so an end of the range may be off by another half.
				if d := math.Abs(x-w.X[i]) / m.Scale[i/16]; d > 1.0001 {
					t.Fatalf("%d bits, symmetric %v: weight %d is %g steps off", bits, sym, i, d)
				}
			}
		}
	}
}

func TestClipSearch(t *testing.T) {
	w := normal(2, 6, 64)
	w.X[5], w.X[100] = 6, -7 // outliers, worth cutting
	in := inputs(t, normal(3, 200, 64))
	m, r, err := ClipSearch(w, in, Spec{Bits: 3, Group: 32})
	if err != nil {
		t.Fatal(err)
	}
	if r.FellBack || !(r.MSE < 0.9*r.BaseMSE) {
		t.Errorf("error %g with clipping, %g without, fell back %v", r.MSE, r.BaseMSE, r.FellBack)
	}
	direct := outputError(w, m, normal(3, 200, 64))
	if math.Abs(direct-r.MSE) > 1e-10*direct {
		t.Errorf("reported error %g, from outputs %g", r.MSE, direct)
	}
	if slices.Min(r.Percent) < 80 || slices.Max(r.Percent) > 100 || slices.Min(r.Percent) == 100 {
		t.Errorf("ratios %v", r.Percent)
	}
	zeros, rz, err := ClipSearch(Dense{1, 4, make([]float64, 4)}, inputs(t, normal(1, 3, 4)), Spec{Bits: 4, Group: 4})
	if err != nil || rz.Percent[0] != 80 || zeros.Code(0, 0) != 0 {
		t.Errorf("ties do not go to the smallest ratio: %v, %v", rz.Percent, err)
	}
}

// TestClipFallsBack: each group by itself gains by clipping, but the errors of two
// groups, which had cancelled, then do not.
func TestClipFallsBack(t *testing.T) {
	for seed := range uint64(400) {
		w, x := normal(seed, 1, 8), normal(seed+1000, 1, 2)
		// Both groups see the same input, so that their errors add up.
		both := Dense{1, 8, slices.Repeat(x.X, 4)}
		m, r, err := ClipSearch(w, inputs(t, both), Spec{Bits: 2, Group: 4})
		if err != nil {
			t.Fatal(err)
		}
		if r.MSE > r.BaseMSE != r.FellBack {
			t.Fatalf("seed %d: error %g with, %g without clipping, fell back %v", seed, r.MSE, r.BaseMSE, r.FellBack)
		}
		if r.FellBack {
			if base := must[*Matrix](t)(RTN(w, m.Spec)); !slices.Equal(base.Codes, m.Codes) {
				t.Error("fell back to something other than the full range")
			}
			return
		}
	}
	t.Error("no example falls back")
}

// outputError is the mean square of x·(w − m)ᵀ, the long way.
func outputError(w Dense, m *Matrix, x Dense) float64 {
	d := m.Dequantize()
	var s float64
	for t := range x.Rows {
		for o := range w.Rows {
			var y float64
			for i, v := range x.Row(t) {
				y += v * (d.Row(o)[i] - w.Row(o)[i])
			}
			s += y * y
		}
	}
	return s / float64(x.Rows*w.Rows)
}

func TestGPTQ(t *testing.T) {
	w, x := normal(4, 8, 96), correlated(5, 300, 96)
	in := inputs(t, Dense{100, 96, x.X[:9600]}, Dense{200, 96, x.X[9600:]})
	s := Spec{Bits: 4, Group: 32}
	errors := map[string]float64{}
	for name, g := range map[string]GPTQ{"plain": {FullRange: true}, "in order": {FullRange: true, InOrder: true}, "clipped": {}} {
		m, r, err := g.Quantize(w, in, s)
		if err != nil || r.Singular {
			t.Fatalf("%s: %v, singular %v", name, err, r.Singular)
		}
		if direct := outputError(w, m, x); math.Abs(direct-r.MSE) > 1e-8*direct {
			t.Errorf("%s: reported error %g, from outputs %g", name, r.MSE, direct)
		}
		if r.MSE > 0.7*r.NearestMSE {
			t.Errorf("%s: error %g, rounding to nearest has %g", name, r.MSE, r.NearestMSE)
		}
		errors[name] = r.MSE
	}
	if errors["plain"] == errors["in order"] || errors["plain"] == errors["clipped"] {
		t.Errorf("options without effect: %v", errors)
	}
}

func TestGPTQDeadInput(t *testing.T) {
	w, x := normal(6, 3, 16), normal(7, 40, 16)
	for i := range x.Rows {
		x.X[i*16+3] = 0
	}
	m, r, err := GPTQ{FullRange: true}.Quantize(w, inputs(t, x), Spec{Bits: 4, Group: 8})
	if err != nil || r.Singular {
		t.Fatal(err, r)
	}
	for o := range 3 {
		if got := m.Dequantize().Row(o)[3]; got != 0 {
			t.Errorf("row %d: the weight of an input that is always 0 is %g", o, got)
		}
	}
}

// TestGPTQSingular: all that can go wrong with the factorization leaves rounding.
func TestGPTQSingular(t *testing.T) {
	w := normal(8, 2, 8)
	x := Dense{1, 8, []float64{1e38, 1e38, 1, 1, 1, 1, 1, 1}}
	m, r, err := GPTQ{Damp: 1e-300}.Quantize(w, inputs(t, x), Spec{Bits: 4, Group: 8})
	if err != nil {
		t.Fatal(err)
	}
	if !r.Singular || !slices.Equal(m.Codes, must[*Matrix](t)(RTN(w, m.Spec)).Codes) {
		t.Errorf("singular %v, or not rounded to nearest", r.Singular)
	}
}

func TestErrors(t *testing.T) {
	w := normal(1, 2, 8)
	nan := normal(1, 2, 8)
	nan.X[9] = math.NaN()
	in := inputs(t, normal(2, 3, 8))
	s := Spec{Bits: 4, Group: 8}
	scorer := must[*Scorer](t)(Salience{Spec: s}.Scorer(w))
	var a Activations
	tests := []struct {
		name string
		err  func() error
		want string
	}{
		{"one bit", func() error { _, err := RTN(w, Spec{Bits: 1, Group: 8}); return err }, "bits = 1: must be 2 to 8"},
		{"nine bits", func() error { _, err := RTN(w, Spec{Bits: 9, Group: 8}); return err }, "bits = 9"},
		{"a group that does not divide", func() error { _, err := RTN(w, Spec{Bits: 4, Group: 3}); return err }, "group = 3: does not divide 8 inputs"},
		{"the default group is 128", func() error { _, err := RTN(w, Spec{Bits: 4}); return err }, "group = 128: does not divide 8"},
		{"a negative group", func() error { _, err := RTN(w, Spec{Bits: 4, Group: -8}); return err }, "group = -8"},
		{"NaN", func() error { _, err := RTN(nan, s); return err }, "weights: element [1, 1] = NaN"},
		{"beyond float32", func() error { _, err := RTN(Dense{1, 1, []float64{1e39}}, Spec{Bits: 4, Group: 1}); return err }, "1e+39"},
		{"a wrong length", func() error { _, err := RTN(Dense{2, 8, w.X[:9]}, s); return err }, "9 numbers for 2 rows of 8"},
		{"a shape that overflows", func() error { _, err := RTN(Dense{math.MaxInt / 2, 8, nil}, s); return err }, "0 numbers for"},
		{"inputs of another width", func() error { _, _, err := ClipSearch(normal(1, 2, 16), in, s); return err }, "inputs of 8 features: the weights have 16"},
		{"no inputs", func() error { _, _, err := ClipSearch(w, &Inputs{}, s); return err }, "no calibration inputs"},
		{"nil inputs", func() error { _, _, err := GPTQ{}.Quantize(w, nil, s); return err }, "no calibration inputs"},
		{"an empty batch", func() error { return (&Inputs{}).Add(Dense{0, 8, nil}) }, "0 tokens"},
		{"infinite inputs", func() error { return (&Inputs{}).Add(Dense{1, 1, []float64{math.Inf(1)}}) }, "+Inf"},
		{"negative damping", func() error { _, _, err := GPTQ{Damp: -1}.Quantize(w, in, s); return err }, "damp = -1"},
		{"gradients of another shape", func() error { return scorer.Add(normal(1, 3, 8), normal(1, 4, 2)) }, "gradient [4, 2]: want [n, 8] and [n, 2]"},
		{"gradients that are NaN", func() error { return scorer.Add(normal(1, 2, 8), Dense{2, 2, []float64{0, math.NaN(), 0, 0}}) }, "gradient: element [0, 1]"},
		{"scores without sequences", func() error { _, err := scorer.Scores(); return err }, "without calibration"},
		{"percent below 0", func() error { _, err := Select([][]float64{{1}}, -1, 4, 8); return err }, "percent = -1"},
		{"percent NaN", func() error { _, err := Select([][]float64{{1}}, math.NaN(), 4, 8); return err }, "percent = NaN"},
		{"percent above 100", func() error { _, err := Select([][]float64{{1}}, 101, 4, 8); return err }, "percent = 101"},
		{"scores that are NaN", func() error { _, err := Select([][]float64{{1}, {math.NaN()}}, 10, 4, 8); return err }, "row 0 of layer 1 is NaN"},
		{"no rows", func() error { _, err := Select(nil, 10, 4, 8); return err }, "no rows"},
		{"high bits below low", func() error { _, err := Select([][]float64{{1}}, 10, 8, 4); return err }, "8 bits"},
		{"no tokens", func() error { return QuantizeActivations(&a, []float32{}, 0, 8, 8) }, "0 numbers for 0 tokens"},
		{"activations that are NaN", func() error { return QuantizeActivations(&a, []float32{0, float32(math.NaN())}, 1, 2, 2) }, "activation [0, 1] = NaN"},
		{"activations beyond float32", func() error { return QuantizeActivations(&a, []float64{1e300, 1}, 1, 2, 2) }, "beyond float32"},
		{"code −128", func() error { _, err := NewActivations([]int8{-128}, []float32{1}, 1, 1, 1); return err }, "-128"},
		{"scale NaN", func() error {
			_, err := NewActivations([]int8{1}, []float32{float32(math.NaN())}, 1, 1, 1)
			return err
		}, "scale 0 = NaN"},
		{"an unknown rounding", func() error { _, err := ParseRounding("up"); return err }, `"up"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.err(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v: want %q in it", err, tt.want)
			}
		})
	}
}
