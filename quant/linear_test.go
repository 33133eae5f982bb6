package quant

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/assay-lab/assay/data"
	"github.com/assay-lab/assay/internal/kern/kerntest"
)

// mixed is a layer with rows of two widths, alternating as in bits.
func mixed(t *testing.T, w Dense, group int, bits ...int) *Layer {
	t.Helper()
	m := MixLLM{Group: group, Rounding: ToNearest}
	p := Plan{make([]int, w.Rows)}
	for o := range p[0] {
		p[0][o] = bits[o%len(bits)]
	}
	ls, _, err := m.Quantize([]*Calibration{must[*Calibration](t)(m.Calibrate("layer", w))}, p)
	if err != nil {
		t.Fatal(err)
	}
	return ls[0]
}

// TestLinear holds the fast product, at every level, against the exact sums.
func TestLinear(t *testing.T) {
	kerntest.Levels(t, func(t *testing.T) {
		for _, tt := range []struct{ rows, cols, group, tokens int }{
			{1, 8, 8, 1}, {16, 128, 128, 1}, {17, 256, 128, 3}, {40, 96, 32, 5}, {33, 64, 16, 9},
			{5, 60, 20, 2}, {7, 9, 3, 4}, {50, 512, 256, 13}, {3, 4, 1, 2},
		} {
			t.Run(fmt.Sprint(tt), func(t *testing.T) {
				l := mixed(t, normal(1, tt.rows, tt.cols), tt.group, 4, 8, 3)
				x := float32s(normal(2, tt.tokens, tt.cols).X)
				var a Activations
				if err := QuantizeActivations(&a, x, tt.tokens, tt.cols, tt.group); err != nil {
					t.Fatal(err)
				}
				y := make([]float32, tt.tokens*tt.rows)
				if err := must[*Linear](t)(l.Linear()).Forward(y, x, tt.tokens); err != nil {
					t.Fatal(err)
				}
				for i, want := range exact(t, l, &a) {
					// A rounding of every group's term and sum.
					if math.Abs(float64(y[i])-want.y) > 3e-7*want.size {
						t.Fatalf("token %d, row %d: %g, want %g", i/tt.rows, i%tt.rows, y[i], want.y)
					}
				}
			})
		}
	})
}

type exactSum struct{ y, size float64 }

// exact computes a layer's product from exact partial sums.
func exact(t *testing.T, l *Layer, a *Activations) []exactSum {
	ys := make([]exactSum, a.Tokens*l.Rows)
	for _, p := range l.Parts {
		ps := must[[]int64](t)(Partials(p.Matrix, a))
		n := p.Matrix.Groups()
		for i, v := range ps {
			tok, o, k := i/n/len(p.Rows), i/n%len(p.Rows), i%n
			term := float64(v) * p.Matrix.Scale[o*n+k] * float64(a.Scale[tok*n+k])
			y := &ys[tok*l.Rows+p.Rows[o]]
			y.y += term
			y.size += math.Abs(term)
		}
	}
	return ys
}

func float32s(x []float64) []float32 {
	y := make([]float32, len(x))
	for i, v := range x {
		y[i] = float32(v)
	}
	return y
}

// TestForwardIsNearFloat: all of it together is a product of the dequantized
// weights and nearly the same activations.
func TestForwardIsNearFloat(t *testing.T) {
	w, x := normal(1, 24, 128), normal(2, 6, 128)
	l := mixed(t, w, 32, 8)
	y := make([]float32, 6*24)
	if err := must[*Linear](t)(l.Linear()).Forward(y, float32s(x.X), 6); err != nil {
		t.Fatal(err)
	}
	for i, v := range y {
		var want float64
		for j, xi := range x.Row(i / 24) {
			want += xi * w.Row(i % 24)[j]
		}
		// 256 products of errors of about 1/250 of a step of 1/60, in quadrature.
		if math.Abs(float64(v)-want) > 0.4 {
			t.Errorf("%d: %g, want about %g", i, v, want)
		}
	}
}

func TestFileRoundTrip(t *testing.T) {
	for _, bits := range [][]int{{4, 8}, {3, 5, 8}, {2}, {7, 6}} {
		l := mixed(t, normal(3, 12, 40), 20, bits...)
		for _, p := range l.Parts {
			for i, s := range p.Matrix.Scale {
				p.Matrix.Scale[i] = float64(float32(s))
			}
		}
		var b bytes.Buffer
		norm := data.Tensor{Shape: []int{2}, Data: []float32{1, 2}}
		if err := Write(&b, []*Layer{l}, map[string]data.Tensor{"norm": norm}); err != nil {
			t.Fatal(err)
		}
		ls, rest, err := Read(&b)
		if err != nil {
			t.Fatal(err)
		}
		got := ls[0]
		if !slices.Equal(got.Dequantize().X, l.Dequantize().X) || !slices.Equal(got.Bits(), l.Bits()) || got.Name != l.Name {
			t.Errorf("%v bits: the layer changed", bits)
		}
		if len(rest) != 1 || !slices.Equal(rest["norm"].Float32(), norm.Float32()) {
			t.Errorf("other tensors: %v", rest)
		}
	}
}

func TestReadErrors(t *testing.T) {
	file := func(change func(s *data.Safetensors)) []byte {
		var b bytes.Buffer
		if err := Write(&b, []*Layer{mixed(t, normal(3, 4, 16), 8, 4, 8)}, nil); err != nil {
			t.Fatal(err)
		}
		s := must[*data.Safetensors](t)(data.ReadSafetensors(&b))
		change(s)
		b.Reset()
		if err := data.WriteSafetensors(&b, s); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	replaced := func(old, new string) func(*data.Safetensors) {
		return func(s *data.Safetensors) {
			if !strings.Contains(s.Metadata["layers"], old) {
				t.Fatalf("no %s in %s", old, s.Metadata["layers"])
			}
			s.Metadata["layers"] = strings.Replace(s.Metadata["layers"], old, new, 1)
		}
	}
	set := func(name string, x data.Tensor) func(*data.Safetensors) {
		return func(s *data.Safetensors) { s.Tensors[name] = x }
	}
	for _, tt := range []struct {
		name   string
		change func(*data.Safetensors)
		want   string
	}{
		{"another format", func(s *data.Safetensors) { s.Metadata["format"] = "pt" }, `format "pt"`},
		{"a list that is none", func(s *data.Safetensors) { s.Metadata["layers"] = "{" }, "list of layers"},
		{"a missing tensor", func(s *data.Safetensors) { delete(s.Tensors, "layer.q4.scale") }, `"layer.q4.scale" is missing`},
		{"a misshapen tensor", set("layer.q4.scale", data.Tensor{Shape: []int{4}, Data: make([]float32, 4)}), `"layer.q4.scale" has shape [4], want [2 2]`},
		{"a tensor of another type", set("layer.q4.codes", data.Tensor{Shape: []int{2}, Data: make([]float32, 2)}), "[]float32, want []uint8"},
		{"a row twice", set("layer.q4.rows", data.Tensor{Shape: []int{2}, Data: []int32{1, 1}}), "row list names 1"},
		{"a row out of range", set("layer.q4.rows", data.Tensor{Shape: []int{2}, Data: []int32{0, 9}}), "row list names 9"},
		{"too few rows", replaced(`"rows":4`, `"rows":5`), "parts have 4 of 5 rows"},
		{"negative columns", replaced(`"cols":16`, `"cols":-16`), "layer"},
		{"a group of 0", replaced(`"group":8`, `"group":0`), "group = 0"},
		{"a group that does not divide", replaced(`"group":8`, `"group":5`), "group = 5: does not divide 16"},
		{"bits out of range", replaced(`"bits":4`, `"bits":40`), "bits = 40"},
		{"a scale that is NaN", set("layer.q4.scale", data.Tensor{Shape: []int{2, 2}, Data: []float32{1, float32(math.NaN()), 1, 1}}), "scale of group 1 is NaN"},
		{"a zero point beyond its bits", set("layer.q4.zero", data.Tensor{Shape: []int{2, 2}, Data: []uint8{1, 16, 1, 1}}), "zero point 16"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, _, err := Read(bytes.NewReader(file(tt.change))); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v: want %q in it", err, tt.want)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	var b bytes.Buffer
	m := MixLLM{Group: 8, Rounding: ToNearest}
	c, err := m.Calibrate("layer", normal(3, 4, 16))
	if err != nil {
		f.Fatal(err)
	}
	ls, _, err := m.Quantize([]*Calibration{c}, Plan{{4, 8, 4, 3}})
	if err != nil {
		f.Fatal(err)
	}
	if err := Write(&b, ls, nil); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, file []byte) {
		ls, _, err := Read(bytes.NewReader(file))
		if err != nil {
			return
		}
		for _, l := range ls {
			if l.Rows*l.Cols > 1<<16 {
				continue
			}
			x, err := l.Linear()
			if err != nil {
				t.Fatal(err)
			}
			if err := x.Forward(make([]float32, l.Rows), make([]float32, l.Cols), 1); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func Example() {
	// A layer of 32 outputs and 64 inputs, and what it saw during calibration.
	m := MixLLM{Group: 32, High: []Width{{Bits: 8, Percent: 25}}}
	c, err := m.Calibrate("up", normal(1, 32, 64))
	if err != nil {
		fmt.Println(err)
		return
	}
	for seq := range uint64(8) {
		if err := c.Add(normal(seq, 16, 64), normal(seq+100, 16, 32)); err != nil {
			fmt.Println(err)
			return
		}
	}
	layers := []*Calibration{c}
	plan, err := m.Plan(layers)
	if err != nil {
		fmt.Println(err)
		return
	}
	quantized, _, err := m.Quantize(layers, plan)
	if err != nil {
		fmt.Println(err)
		return
	}
	codes, all := AverageBits(quantized)
	fmt.Printf("%d rows of 8 bits; %g bits a weight, %g with scales and zero points\n", len(plan.Rows(0, 8)), codes, all)
	// Output: 8 rows of 8 bits; 5 bits a weight, 6.09375 with scales and zero points
}
