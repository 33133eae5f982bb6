// Package mrs assays the MR Sampler (Li et al., ICLR 2025): its conformance cases and
// its experiments. The methods are diffusion.MRSampler and, as rivals, the samplers of
// IR-SDE on a diffusion.MeanReverting process.
package mrs

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strings"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/gmm"
	"github.com/assay-lab/assay/lab/conform"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
)

// sdeInput is an IR-SDE process as its code is given it.
type sdeInput struct {
	MaxSigma float64 `json:"max_sigma"`
	T        int     `json:"T"`
	Eps      float64 `json:"eps"`
	Schedule string  `json:"schedule"`

	// What follows from the others, and is checked against them.
	DeltaT        float64 `json:"delta_t"`
	SigmaInfinity float64 `json:"sigma_infinity"`
}

// process reads a noise level as IR-SDE does: of 255 where it is 1 or more.
func (in sdeInput) process() (*diffusion.MeanReverting, error) {
	s := in.MaxSigma
	if s >= 1 {
		s /= 255
	}
	theta, err := diffusion.ParseThetaTable(in.Schedule)
	if err != nil {
		return nil, err
	}
	if in.T < 1 || !(in.Eps > 0) {
		return nil, fmt.Errorf("sde with T = %d, eps = %g: both must be positive", in.T, in.Eps)
	}
	p, err := diffusion.NewMeanReverting(diffusion.Reversion{S: s, T: in.T, Eps: in.Eps, Theta: theta, Interp: diffusion.OfficialInterp})
	if err != nil {
		return nil, err
	}
	for _, f := range []struct {
		name      string
		got, want float64
	}{{"delta_t", in.DeltaT, p.Dt()}, {"sigma_infinity", in.SigmaInfinity, p.S}} {
		if f.got != 0 && math.Abs(f.got-f.want) > 1e-9*f.want {
			return nil, fmt.Errorf("%s = %g: the process has %g", f.name, f.got, f.want)
		}
	}
	return p, nil
}

var samplerNames = regexp.MustCompile(`^MR Sampler (ODE|SDE) order ([1-3]), (data|noise) prediction`)

// Case runs a conformance case.
func Case(ctx context.Context, c conform.Case) (conform.Got, error) {
	switch {
	case c.Method == "IR-SDE schedule table":
		return tableCase(c)
	case strings.HasPrefix(c.Method, "IR-SDE baselines"):
		return baselineCase(ctx, c)
	case samplerNames.MatchString(c.Method):
		return samplerCase(ctx, c)
	}
	return nil, fmt.Errorf("method %q is unknown", c.Method)
}

func tableCase(c conform.Case) (conform.Got, error) {
	var in sdeInput
	if err := mixture.Decode(c, &in); err != nil {
		return nil, err
	}
	p, err := in.process()
	if err != nil {
		return nil, err
	}
	got := map[string][]float64{}
	for i := range p.T + 1 {
		t := float64(i)
		l := p.Outer(p.At(t))
		for name, v := range map[string]float64{"thetas": p.Rate(t), "thetas_cumsum": p.Sum(t), "sigmas_dispersion": p.Dispersion(t), "sigma_bars": l.Sigma, "alphas": l.Alpha, "lambdas": l.Lambda} {
			got[name] = append(got[name], v)
		}
	}
	all := conform.Got{"delta_t": p.Dt(), "sigma_infinity": p.S}
	for name, vs := range got {
		all[name] = vs
	}
	return all, nil
}

// meanProblem is a mixture seen through a mean-reverting process.
type meanProblem struct {
	mixture.Problem
	Mean []float64 `json:"mean"`
	SDE  sdeInput  `json:"sde"`
}

// open makes process, exact model and n copies of the mean.
func (in *meanProblem) open(n int, predicts diffusion.Prediction) (*diffusion.MeanReverting, diffusion.MeanModel[float64], []float64, error) {
	if in.Schedule != (mixture.Schedule{}) || in.TStart != 0 || in.TEnd != 0 {
		return nil, nil, nil, fmt.Errorf("a mean-reverting problem takes no schedule, t_start or t_end")
	}
	p, err := in.SDE.process()
	if err != nil {
		return nil, nil, nil, err
	}
	noise, err := in.Model()
	if err != nil {
		return nil, nil, nil, err
	}
	if d := in.Mixture().Dim(); len(in.Mean) != d {
		return nil, nil, nil, fmt.Errorf("mean has %d coordinates: want %d", len(in.Mean), d)
	}
	m, err := gmm.Reverting(noise, p.S, predicts)
	return p, m, repeat(in.Mean, n), err
}

// repeat is n copies of x behind each other.
func repeat(x []float64, n int) []float64 {
	var xs []float64
	for range n {
		xs = append(xs, x...)
	}
	return xs
}

func baselineCase(ctx context.Context, c conform.Case) (conform.Got, error) {
	var in struct {
		meanProblem
		Steps []struct {
			T     int         `json:"t"`
			X     [][]float64 `json:"x"`
			Noise [][]float64 `json:"noise"`
		} `json:"steps"`
	}
	if err := mixture.Decode(c, &in); err != nil {
		return nil, err
	}
	got := map[string][][][]float64{}
	for _, s := range in.Steps {
		in.XT = s.X
		x, n, err := in.Starts()
		if err != nil {
			return nil, err
		}
		p, m, mu, err := in.open(n, diffusion.Noise)
		if err != nil {
			return nil, err
		}
		from := float64(s.T)
		g := diffusion.Grid{Schedule: p, Steps: 1, Start: from, End: from - 1, Spacing: diffusion.Explicit(from, from-1)}
		r := diffusion.Restoration[float64]{Model: m, Grid: g, Mu: mu, N: n, X: x, Noise: diffusion.Recorded{s.Noise}}
		for name, method := range map[string]diffusion.Method{
			"posterior": diffusion.RevertingPosterior{Published: true}, "euler_sde": diffusion.RevertingEuler{SDE: true}, "euler_ode": diffusion.RevertingEuler{},
		} {
			sol, err := diffusion.Restore(ctx, r, method)
			if err != nil {
				return nil, err
			}
			got[name] = append(got[name], mixture.Rows(sol.X, n))
		}
	}
	all := conform.Got{}
	for name, rows := range got {
		all[name] = rows
	}
	return all, nil
}

type samplerInput struct {
	meanProblem
	Solver      string        `json:"solver"`
	Form        string        `json:"parameterization"`
	Order       int           `json:"order"`
	Grid        string        `json:"time_schedule"`
	LambdaMin   lambdaBound   `json:"lambda_min"`
	Offset      int           `json:"timestep_offset"`
	Rho         float64       `json:"rho"`
	Steps       int           `json:"steps"`
	ModelOutput string        `json:"model_output"`
	DenoiseLast bool          `json:"denoise_last"`
	Threshold   bool          `json:"thresholding"`
	Quantile    float64       `json:"threshold_ratio"` // 0: 0.995
	Most        float64       `json:"threshold_max"`   // 0: 1.5
	Noise       [][][]float64 `json:"noise"`
}

// lambdaBound is a number, or null or "-Inf" for none.
type lambdaBound float64

func (b *lambdaBound) UnmarshalJSON(text []byte) error {
	switch string(text) {
	case "null", `"-Inf"`:
		*b = 0
		return nil
	}
	return json.Unmarshal(text, (*float64)(b))
}

// sampler is the method that the case's fields describe, which its name must agree with.
func (in *samplerInput) sampler(name string) (m diffusion.MRSampler, predicts diffusion.Prediction, err error) {
	if want := fmt.Sprintf("MR Sampler %s order %d, %s prediction", strings.ToUpper(in.Solver), in.Order, in.Form); !strings.HasPrefix(name, want) {
		return m, 0, fmt.Errorf("method %q: the input describes %q", name, want)
	}
	word, _, _ := strings.Cut(in.ModelOutput, " ")
	if predicts, err = diffusion.ParsePrediction(word); err != nil {
		return m, 0, err
	}
	m = diffusion.MRSampler{SDE: in.Solver == "sde", Order: in.Order, OfficialOrders: true, DenoiseLast: in.DenoiseLast}
	if in.Form == "noise" {
		m.Form = diffusion.NoiseForm
	}
	return m, predicts, nil
}

func (in *samplerInput) times(p *diffusion.MeanReverting) ([]float64, error) {
	kind, err := diffusion.ParseIndexGridKind(in.Grid)
	if err != nil {
		return nil, err
	}
	g := diffusion.IndexGrid{Kind: kind, LambdaMin: float64(in.LambdaMin), Offset: in.Offset, Rho: in.Rho}
	return g.Times(p, in.Steps)
}

func (in *samplerInput) hook() (diffusion.Hook[float64], error) {
	if !in.Threshold {
		return nil, nil
	}
	if in.Quantile == 0 {
		in.Quantile = 0.995
	}
	if in.Most == 0 {
		in.Most = 1.5
	}
	return diffusion.BoundedThreshold[float64](in.Quantile, 1, in.Most)
}

func samplerCase(ctx context.Context, c conform.Case) (conform.Got, error) {
	var in samplerInput
	if err := mixture.Decode(c, &in); err != nil {
		return nil, err
	}
	m, predicts, err := in.sampler(c.Method)
	if err != nil {
		return nil, err
	}
	x, n, err := in.Starts()
	if err != nil {
		return nil, err
	}
	p, model, mu, err := in.open(n, predicts)
	if err != nil {
		return nil, err
	}
	times, err := in.times(p)
	if err != nil {
		return nil, err
	}
	hook, err := in.hook()
	if err != nil {
		return nil, err
	}
	steps := len(times) - 1
	if k := len(in.Noise); m.SDE && k != steps && !(m.DenoiseLast && k == steps-1) {
		return nil, fmt.Errorf("noise for %d steps: want %d", k, steps)
	}
	got := conform.Got{"timesteps": times}
	levels(p, times, got)
	trajectory := [][][]float64{mixture.Rows(x, n)}
	sol, err := diffusion.Restore(ctx, diffusion.Restoration[float64]{
		Model: model, Mu: mu, N: n, X: x, Noise: diffusion.Recorded(in.Noise), Hook: hook,
		Grid: diffusion.Grid{Schedule: p, Steps: steps, Spacing: diffusion.Explicit(times...)},
		OnStep: func(s diffusion.Step[float64]) error {
			trajectory = append(trajectory, mixture.Rows(s.X, n))
			return nil
		},
	}, m)
	if err != nil {
		return nil, err
	}
	got["trajectory"], got["x_final_unclipped"], got["nfe"] = trajectory, mixture.Rows(sol.X, n), sol.NFE
	got["x_final"] = clipped(mixture.Rows(sol.X, n))
	return got, nil
}

// levels adds α, σ and λ of x at the times.
func levels(p *diffusion.MeanReverting, times []float64, got conform.Got) {
	var alphas, sigmas, lambdas []float64
	for _, t := range times {
		l := p.Outer(p.At(t))
		alphas, sigmas, lambdas = append(alphas, l.Alpha), append(sigmas, l.Sigma), append(lambdas, l.Lambda)
	}
	got["alphas"], got["sigmas"], got["lambdas"] = alphas, sigmas, lambdas
}

// clipped is what the authors' driver returns.
func clipped(rows [][]float64) [][]float64 {
	for _, row := range rows {
		for i, v := range row {
			row[i] = min(max(v, 0), 1)
		}
	}
	return rows
}
