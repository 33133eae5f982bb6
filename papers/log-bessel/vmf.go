package logbessel

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/assay-lab/assay/directional"
	"github.com/assay-lab/assay/internal/cache"
	"github.com/assay-lab/assay/internal/rng"
	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/special"
)

// How κ is estimated from the length of the mean, R.
const (
	mle       = "log-Bessel, maximum likelihood"
	corrected = "log-Bessel, chance removed from R"
	closed    = "closed form (Banerjee)"
	viaScaled = "maximum likelihood by the scaled function"
)

var estimators = []string{mle, corrected, closed, viaScaled}

func vonMisesFisher() *lab.Experiment {
	return &lab.Experiment{
		Name:    "log-bessel/vmf",
		Title:   "The concentration of directions in thousands of dimensions",
		Help:    "Samples of a von Mises–Fisher distribution of known concentration κ, and its estimates. The rival solves the same equation with the exponentially scaled function, I at its best in float64.",
		Cost:    lab.Axis{Name: "samples", Log: true},
		Quality: lab.Axis{Name: "relative error of κ", Log: true},
		Params: []lab.Param{
			{Name: "p", Help: "dimensions, a panel each", Kind: lab.Ints, Default: "2048,8192,32768", Min: 2, Max: 1 << 20},
			{Name: "resultant", Help: "length of the distribution's mean", Kind: lab.Float, Default: "0.5", Min: 0.01, Max: 0.99},
			{Name: "n", Help: "numbers of samples", Kind: lab.Ints, Default: "50,500", At: map[lab.Size]string{lab.Full: "50,500,5000"}, Min: 2, Max: 1e6},
			{Name: "seeds", Help: "independent samples", Kind: lab.Int, Default: "5", At: map[lab.Size]string{lab.Quick: "1"}, Min: 1, Max: 1000},
		},
		Version: 1,
		Grid: func(v lab.Values) ([]lab.Cell, error) {
			var cs []lab.Cell
			for _, p := range v.Ints("p") {
				for _, name := range estimators {
					for _, n := range v.Ints("n") {
						for seed := range v.Int("seeds") {
							cs = append(cs, lab.Cell{Panel: dimension(p), Method: name, Budget: float64(n), Seed: uint64(seed), Values: v})
						}
					}
				}
			}
			return cs, nil
		},
		Run:    runVonMisesFisher,
		Claims: vmfClaims(),
	}
}

// dimension names a panel.
func dimension(p int) string { return fmt.Sprint("p = ", p) }

func runVonMisesFisher(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
	var p int
	if _, err := fmt.Sscanf(c.Panel, "p = %d", &p); err != nil {
		return lab.Outcome{}, fmt.Errorf("no panel is called %q", c.Panel)
	}
	kappa, err := directional.Concentration(p, c.Values.Float("resultant"))
	if err != nil {
		return lab.Outcome{}, err
	}
	n := int(c.Budget)
	r, err := meanLength(ctx, sampled{p, n, kappa, c.Seed})
	if err != nil {
		return lab.Outcome{}, err
	}
	got, err := estimate(c.Method, p, n, r)
	if err != nil {
		return lab.Outcome{}, err
	}
	slope := special.DRatioI(float64(p)/2-1, kappa)
	return lab.Outcome{Cost: float64(n), Quality: math.Abs(got/kappa - 1), Metrics: map[string]float64{
		"standard errors": math.Abs(got-kappa) * math.Sqrt(float64(n)*slope),
		"residual":        math.Abs(directional.MeanResultant(p, got) - r),
	}}, nil
}

// sampled is a sample of n vectors, and its recipe in the cache.
type sampled struct {
	P, N  int
	Kappa float64
	Seed  uint64
}

// meanLength is the length of the mean of a sample.
func meanLength(ctx context.Context, s sampled) (float64, error) {
	b, err := cache.Get(ctx, "vmf-mean", s, func(ctx context.Context) ([]byte, error) {
		d := directional.VonMisesFisher{Mu: make([]float64, s.P), Kappa: s.Kappa, Src: rng.Stream(s.Seed, uint64(s.P), uint64(s.N))}
		d.Mu[0] = 1
		sum, x := make([]float64, s.P), make([]float64, s.P)
		for range s.N {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			for j, xj := range d.Rand(x) {
				sum[j] += xj
			}
		}
		var sq float64
		for _, t := range sum {
			sq += t * t
		}
		return binary.Append(nil, binary.LittleEndian, math.Sqrt(sq)/float64(s.N))
	})
	if err != nil {
		return 0, err
	}
	var r float64
	_, err = binary.Decode(b, binary.LittleEndian, &r)
	return r, err
}

// estimate is κ from the mean length of n vectors. NaN where a method has none.
func estimate(method string, p, n int, r float64) (float64, error) {
	switch method {
	case mle:
		return directional.Concentration(p, r)
	case corrected:
		return directional.Concentration(p, math.Sqrt(max(0, (float64(n)*r*r-1)/float64(n-1))))
	case closed:
		return directional.Banerjee(p, r), nil
	case viaScaled:
		return scaledConcentration(p, r), nil
	}
	return 0, fmt.Errorf("no rival is called %q", method)
}

// scaledConcentration takes Sra's Newton steps with the ratio of two values of
// the scaled function; NaN where these underflow.
func scaledConcentration(p int, r float64) float64 {
	v := float64(p)/2 - 1
	ive := func(v, x float64) float64 { return math.Exp(special.LogI(v, x) - x) }
	kappa := directional.Banerjee(p, r)
	for range 20 {
		a := ive(v+1, kappa) / ive(v, kappa)
		kappa -= (a - r) / (1 - a*a - float64(p-1)/kappa*a)
	}
	return kappa
}
