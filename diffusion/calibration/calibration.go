// Package calibration makes the pairs of noisy state and noise level on which the
// activations of a quantized diffusion model are calibrated: by the model itself, at
// time steps drawn from a normal distribution (NDTC), or as its rivals do it.
package calibration

import (
	"fmt"
	"math"

	"github.com/assay-lab/assay/internal/rng"
)

// Times says how time steps are chosen, from 0, the cleanest, to T−1.
type Times int8

const (
	// Normal draws from a normal distribution that leans to the clean end: NDTC, Shang
	// et al. 2023, section 3.3.
	Normal Times = iota
	// Uniform places steps evenly from 0 to T−1.
	Uniform
	// Random draws evenly from the cleaner four fifths, [0, 0.8·T).
	Random
	// Clean, Middle and Noisy take a single step: the first, T/2, T−1.
	Clean
	Middle
	Noisy
)

// Source says where the states of a step come from.
type Source int8

const (
	// Denoised states are the full-precision model's own, on the way from noise.
	Denoised Source = iota
	// Forward states are data with the noise of the step's level added.
	Forward
	// RawData takes data as they are, Gaussian pure noise, whatever the step.
	RawData
	Gaussian
)

// Pairing says which state goes with a time step.
type Pairing int8

const (
	// Matched pairs a step with the state of its level, as published.
	Matched Pairing = iota
	// Mirrored pairs step t with the state after t+1 steps from noise, as the authors'
	// code does: near the level of step T−2−t.
	Mirrored
)

// A Plan says what to calibrate on. Its zero value is the paper's: 1024 states of
// the model, at steps with mean and deviation 0.4·T.
type Plan struct {
	Times   Times
	Source  Source
	Pairing Pairing // of Denoised states
	// Mean and Std of Normal, in units of T; both 0: 0.4 and 0.4. The paper wants the
	// mean at most 0.5.
	Mean, Std float64
	N         int // pairs; 0: 1024
	Seed      uint64
}

// Named are the plans by the names that commands and experiments use.
var named = []struct {
	name, doc string
	plan      Plan
}{
	{"ndtc", "the model's own states, steps from a normal distribution", Plan{}},
	{"mirrored", "the same with time mirrored, as the authors' code", Plan{Pairing: Mirrored}},
	{"uniform", "the model's own states, steps evenly spaced", Plan{Times: Uniform}},
	{"random", "the model's own states, steps at random below 0.8 T", Plan{Times: Random}},
	{"clean", "the model's own states at the cleanest step", Plan{Times: Clean}},
	{"middle", "the model's own states at T/2", Plan{Times: Middle}},
	{"noisy", "the model's own states at the noisiest step", Plan{Times: Noisy}},
	{"data", "data as they are, at the cleanest step", Plan{Times: Clean, Source: RawData}},
	{"gaussian", "pure noise, steps evenly spaced", Plan{Times: Uniform, Source: Gaussian}},
	{"forward", "data with noise added, steps evenly spaced", Plan{Times: Uniform, Source: Forward}},
}

// Names lists the plans that [Named] knows.
func Names() []string {
	var names []string
	for _, p := range named {
		names = append(names, p.name)
	}
	return names
}

// Doc says what the plan of that name is.
func Doc(name string) string {
	for _, p := range named {
		if p.name == name {
			return p.doc
		}
	}
	return ""
}

// Named gives the plan of that name.
func Named(name string) (Plan, error) {
	for _, p := range named {
		if p.name == name {
			return p.plan, nil
		}
	}
	return Plan{}, fmt.Errorf("calibration: plan %q: must be one of %v", name, Names())
}

func (p Plan) n() int {
	if p.N == 0 {
		return 1024
	}
	return p.N
}

func (p Plan) moments() (mean, std float64) {
	if p.Mean == 0 && p.Std == 0 {
		return .4, .4
	}
	return p.Mean, p.Std
}

// Check wants settings within their ranges.
func (p Plan) Check() error {
	mean, std := p.moments()
	switch {
	case p.Times < Normal || p.Times > Noisy || p.Source < Denoised || p.Source > Gaussian || p.Pairing < Matched || p.Pairing > Mirrored:
		return fmt.Errorf("calibration: times %d, source %d, pairing %d: one of them is unknown", p.Times, p.Source, p.Pairing)
	case !(mean >= 0 && mean <= 1):
		return fmt.Errorf("calibration: mean = %g: must be in [0, 1], of T", mean)
	case !(std >= 0) || math.IsInf(std, 0):
		return fmt.Errorf("calibration: std = %g: must be finite and not negative", std)
	case p.N < 0 || p.N > 1<<24:
		return fmt.Errorf("calibration: %d pairs: must be 1 to 2^24", p.N)
	case p.Pairing == Mirrored && p.Source != Denoised:
		return fmt.Errorf("calibration: mirrored pairing: only states on the way from noise have it")
	}
	return nil
}

// NDTC turns standard normal numbers into time steps from 0 to T−1:
// t = clamp(trunc((z·std + mean)·T)). With mean and std 0.4 a sixth of all steps
// is 0, and a fifteenth T−1.
func NDTC(T int, mean, std float64, z []float64) ([]int, error) {
	if T < 1 {
		return nil, fmt.Errorf("calibration: %d time steps: at least 1 is needed", T)
	}
	ts := make([]int, len(z))
	for i, v := range z {
		t := math.Trunc((v*std + mean) * float64(T))
		if math.IsNaN(t) {
			return nil, fmt.Errorf("calibration: draw %d, %g·%g + %g, is no number", i, v, std, mean)
		}
		ts[i] = int(max(0, min(t, float64(T-1))))
	}
	return ts, nil
}

// Steps are the plan's time steps of T.
func (p Plan) Steps(T int) ([]int, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	if T < 1 {
		return nil, fmt.Errorf("calibration: %d time steps: at least 1 is needed", T)
	}
	n := p.n()
	src := rng.Stream(p.Seed, 1)
	ts := make([]int, n)
	if p.Times == Normal {
		z := make([]float64, n)
		for i := range z {
			z[i] = src.NormFloat64()
		}
		mean, std := p.moments()
		return NDTC(T, mean, std, z)
	}
	for i := range ts {
		switch p.Times {
		case Uniform:
			ts[i] = int(math.Round(float64(i) / float64(max(n-1, 1)) * float64(T-1)))
		case Random:
			ts[i] = int(src.Float64() * .8 * float64(T))
		case Middle:
			ts[i] = T / 2
		case Noisy:
			ts[i] = T - 1
		}
	}
	return ts, nil
}
