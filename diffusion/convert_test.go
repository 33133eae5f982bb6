package diffusion_test

import (
	"context"
	"math"
	"testing"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/gmm"
)

// TestAsNoise holds every prediction of one mixture against its noise prediction.
func TestAsNoise(t *testing.T) {
	m := &gmm.Mixture{W: []float64{0.3, 0.7}, Mu: [][]float64{{1, -1}, {-0.5, 2}}, S: []float64{0.4, 0.8}}
	want, err := gmm.Model[float64](m, diffusion.Noise)
	if err != nil {
		t.Fatal(err)
	}
	x := []float64{0.3, -1.2, 2, 0.1}
	for _, s := range []diffusion.Schedule{diffusion.VPLinear{}, diffusion.EDM{}} {
		lo, hi := s.Range()
		at := []diffusion.Level{s.At(hi * 0.7), s.At(lo + 0.1*(hi-lo))}
		ref := make([]float64, len(x))
		if err := want.Denoise(context.Background(), ref, x, 2, at); err != nil {
			t.Fatal(err)
		}
		for _, p := range []diffusion.Prediction{diffusion.Noise, diffusion.Data, diffusion.Velocity, diffusion.Score} {
			model, err := gmm.Model[float64](m, p)
			if err != nil {
				t.Fatal(err)
			}
			noise := diffusion.AsNoise(model)
			if noise.Predicts() != diffusion.Noise {
				t.Errorf("%v as noise predicts %v", p, noise.Predicts())
			}
			got := make([]float64, len(x))
			if err := noise.Denoise(context.Background(), got, x, 2, at); err != nil {
				t.Fatal(err)
			}
			for i := range got {
				// x₀ = (x − σε)/α cancels: at σ = 56 of EDM the data form keeps 13 digits
				if math.Abs(got[i]-ref[i]) > 1e-12*(1+math.Abs(ref[i])) {
					t.Errorf("%T, %v: ε[%d] = %g, want %g", s, p, i, got[i], ref[i])
				}
			}
		}
	}
}

// TestAsNoiseCounts keeps what a guided evaluation costs.
func TestAsNoiseCounts(t *testing.T) {
	v := diffusion.Func[float32]{Prediction: diffusion.Velocity, F: func(_ context.Context, dst, x []float32, _ int, _ []diffusion.Level) error {
		copy(dst, x)
		return nil
	}}
	g, err := diffusion.NewGuided[float32](v, v, 3)
	if err != nil {
		t.Fatal(err)
	}
	m := diffusion.AsNoise(diffusion.Widen(g))
	if n := diffusion.Passes(m); n != 2 {
		t.Errorf("%d passes: want 2", n)
	}
	at := []diffusion.Level{diffusion.VPLinear{}.At(0.5)}
	dst := make([]float64, 2)
	if err := m.Denoise(context.Background(), dst, []float64{1, 2}, 1, at); err != nil {
		t.Fatal(err)
	}
	if want := at[0].Alpha + at[0].Sigma; math.Abs(dst[0]-want) > 1e-6 { // float32 inside
		t.Errorf("ε = %g, want %g", dst[0], want)
	}
	if err := m.Denoise(context.Background(), dst, []float64{1, 2}, 2, make([]diffusion.Level, 3)); err == nil {
		t.Error("3 levels for 2 samples are accepted")
	}
}
