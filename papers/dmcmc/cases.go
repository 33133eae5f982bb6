// Package dmcmc assays Denoising MCMC (Kim & Ye 2023): its conformance cases and its
// experiments. The chains are those of package diffusion/mcmc, the integrators
// diffusion.KarrasHeun, ReverseDiffusion, EulerMaruyama and Flow.
package dmcmc

import (
	"context"
	"fmt"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/gmm"
	"github.com/assay-lab/assay/diffusion/mcmc"
	"github.com/assay-lab/assay/lab/conform"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
)

// Case runs a conformance case.
func Case(ctx context.Context, c conform.Case) (conform.Got, error) {
	switch c.Method {
	case "deterministic Heun integrator (KAR1), per-sample start level":
		return karras(ctx, c, false)
	case "stochastic Heun integrator (KAR2), per-sample start level":
		return karras(ctx, c, true)
	case "reverse diffusion predictor", "predictor (reverse diffusion) - corrector (Langevin)":
		return reverse(ctx, c, func(in *sdeInput) diffusion.Method {
			return diffusion.ReverseDiffusion{Eps: in.Eps, Corrector: in.corrector()}
		}, func(in *sdeInput) diffusion.Method {
			return diffusion.ReverseDiffusion{Eps: in.Eps, Corrector: in.corrector(), Noisy: true}
		})
	case "Euler-Maruyama":
		return reverse(ctx, c, func(in *sdeInput) diffusion.Method {
			return diffusion.EulerMaruyama{Eps: in.Eps, Corrector: in.corrector()}
		}, func(in *sdeInput) diffusion.Method {
			return diffusion.EulerMaruyama{Eps: in.Eps, Corrector: in.corrector(), Noisy: true}
		})
	case "exact conditional of the noise level given x on a level grid":
		return gibbs(ctx, c)
	case "Denoising Langevin Gibbs: argmax level update, smallest-level state, KAR1 denoising, Tweedie step":
		return chain(ctx, c, true)
	case "Denoising Langevin Gibbs: sample level update, smallest-level state, KAR1 denoising, Tweedie step":
		return chain(ctx, c, false)
	}
	return nil, fmt.Errorf("method %q is unknown", c.Method)
}

// A fixture is the mixture of a case.
type fixture struct {
	Fixture struct {
		W  []float64   `json:"w"`
		Mu [][]float64 `json:"mu"`
		S  []float64   `json:"s"`
	} `json:"fixture"`
	Guidance *struct{} `json:"guidance"` // null: the cases have none
	SigmaMin float64   `json:"sigma_min"`
}

func (f *fixture) mixture() *gmm.Mixture {
	return &gmm.Mixture{W: f.Fixture.W, Mu: f.Fixture.Mu, S: f.Fixture.S}
}

// A starts is where the chains of a case start, each at its own level.
type starts struct {
	fixture
	SigmaStart []float64   `json:"sigma_start"`
	XStart     [][]float64 `json:"x_start"`
}

func (s *starts) state() (mcmc.State[float64], error) {
	x, err := flat(s.XStart, s.mixture().Dim())
	if err == nil && len(s.SigmaStart) != len(s.XStart) {
		err = fmt.Errorf("sigma_start has %d levels for %d chains", len(s.SigmaStart), len(s.XStart))
	}
	return mcmc.State[float64]{X: x, Sigma: s.SigmaStart}, err
}

// problem is the case from its start states. The model predicts noise.
func (s *starts) problem(steps int, noise diffusion.Recorded) (p diffusion.Problem[float64], err error) {
	if s.Guidance != nil {
		return p, fmt.Errorf("guidance must be null")
	}
	if p.Model, err = gmm.Model[float64](s.mixture(), diffusion.Noise); err != nil {
		return p, err
	}
	st, err := s.state()
	if err != nil {
		return p, err
	}
	p.X, p.N, p.Noise = st.X, st.N(), noise
	p.Grid = diffusion.Grid{Schedule: diffusion.EDM{}, Steps: steps, End: s.SigmaMin, ToZero: true}
	return p, nil
}

func flat(rows [][]float64, d int) ([]float64, error) {
	var x []float64
	for i, row := range rows {
		if len(row) != d {
			return nil, fmt.Errorf("row %d of the states has %d coordinates: want %d", i, len(row), d)
		}
		x = append(x, row...)
	}
	if len(x) == 0 {
		return nil, fmt.Errorf("no states")
	}
	return x, nil
}

func karras(ctx context.Context, c conform.Case, churn bool) (conform.Got, error) {
	var in struct {
		starts
		Rho    float64            `json:"rho"`
		N      int                `json:"N"`
		Churn  float64            `json:"S_churn"`
		Min    float64            `json:"S_tmin"`
		Max    float64            `json:"S_tmax"`
		SNoise float64            `json:"S_noise"`
		Noise  diffusion.Recorded `json:"noise"`
	}
	if err := mixture.Decode(c, &in); err != nil {
		return nil, err
	}
	if in.Rho != 7 || in.N < 2 {
		return nil, fmt.Errorf("rho = %g with %d knots: must be 7 with at least 2", in.Rho, in.N)
	}
	m := diffusion.KarrasHeun{}
	if churn {
		m = diffusion.KarrasHeun{Churn: in.Churn, Min: in.Min, Max: in.Max, NoiseScale: in.SNoise, Knots: true}
	}
	p, err := in.problem(in.N-1, in.Noise)
	if err != nil {
		return nil, err
	}
	sol, err := diffusion.SolveFrom(ctx, p, m, in.SigmaStart)
	if err != nil {
		return nil, err
	}
	return conform.Got{"x_final": mixture.Rows(sol.X, p.N), "nfe": sol.NFE}, nil
}

// sdeInput is the input of the samplers of the reverse SDE.
type sdeInput struct {
	starts
	N         int                `json:"N"`
	Eps       float64            `json:"eps_time"`
	SNR       float64            `json:"snr"`
	Corrector int                `json:"corrector_steps"`
	Noise     diffusion.Recorded `json:"noise"`
}

func (in *sdeInput) corrector() diffusion.Langevin {
	return diffusion.Langevin{Steps: in.Corrector, SNR: in.SNR}
}

// reverse runs a sampler that ends with the mean, and the same one that ends with
// the noise that the authors' loop adds last, for its trajectory.
func reverse(ctx context.Context, c conform.Case, mean, noisy func(*sdeInput) diffusion.Method) (conform.Got, error) {
	var in sdeInput
	if err := mixture.Decode(c, &in); err != nil {
		return nil, err
	}
	p, err := in.problem(in.N, in.Noise)
	if err != nil {
		return nil, err
	}
	sol, err := diffusion.SolveFrom(ctx, p, mean(&in), in.SigmaStart)
	if err != nil {
		return nil, err
	}
	var trajectory [][][]float64
	p.OnStep = func(s diffusion.Step[float64]) error {
		trajectory = append(trajectory, mixture.Rows(s.X, p.N))
		return nil
	}
	if _, err := diffusion.SolveFrom(ctx, p, noisy(&in), in.SigmaStart); err != nil {
		return nil, err
	}
	return conform.Got{"x_final_mean": mixture.Rows(sol.X, p.N), "trajectory": trajectory, "nfe": sol.NFE}, nil
}

func gibbs(ctx context.Context, c conform.Case) (conform.Got, error) {
	var in struct {
		fixture
		SigmaMax float64     `json:"sigma_max"` // the first of levels
		Levels   []float64   `json:"levels"`
		X        [][]float64 `json:"x"`
		U        []float64   `json:"u"`
	}
	if err := mixture.Decode(c, &in); err != nil {
		return nil, err
	}
	if in.Guidance != nil || len(in.U) != len(in.X) {
		return nil, fmt.Errorf("guidance %v, %d numbers u for %d states: must be null, and as many", in.Guidance, len(in.U), len(in.X))
	}
	post, err := mcmc.Exact[float64](in.mixture(), in.Levels)
	if err != nil {
		return nil, err
	}
	x, err := flat(in.X, in.mixture().Dim())
	if err != nil {
		return nil, err
	}
	n, k := len(in.X), len(in.Levels)
	logp := make([]float64, n*k)
	if err := post.LogProbs(ctx, logp, x, n); err != nil {
		return nil, err
	}
	var probs [][]float64
	var drawn, likeliest []int
	for i, u := range in.U {
		row := logp[i*k : (i+1)*k]
		p, err := mcmc.Probs(row)
		if err != nil {
			return nil, err
		}
		j, err := mcmc.Draw(row, u)
		if err != nil {
			return nil, err
		}
		best, err := mcmc.Argmax(row)
		if err != nil {
			return nil, err
		}
		probs, drawn, likeliest = append(probs, p), append(drawn, j), append(likeliest, best)
	}
	return conform.Got{"log_marginal": mixture.Rows(logp, n), "prob": probs, "sampled_index": drawn, "argmax_index": likeliest}, nil
}

// recorded replays a case's normal and uniform numbers.
type recorded struct {
	diffusion.Recorded
	u [][]float64
}

func (r recorded) Uniform(iteration, chain int) (float64, error) {
	if iteration >= len(r.u) || chain >= len(r.u[iteration]) {
		return 0, fmt.Errorf("no recorded u for iteration %d of chain %d", iteration, chain)
	}
	return r.u[iteration][chain], nil
}

func chain(ctx context.Context, c conform.Case, argmax bool) (conform.Got, error) {
	var in struct {
		starts
		SigmaMax  float64            `json:"sigma_max"`
		Levels    int                `json:"levels"`
		Eta       float64            `json:"eta"`
		Skip      int                `json:"n_skip"`
		Noise     diffusion.Recorded `json:"noise"`
		U         [][]float64        `json:"u"`
		Denoiser  string             `json:"denoiser"`
		DenoiserN int                `json:"denoiser_N"`
		Tweedie   float64            `json:"tweedie_sigma"`
	}
	if err := mixture.Decode(c, &in); err != nil {
		return nil, err
	}
	if in.Denoiser != "kar1" || in.DenoiserN < 2 || in.Guidance != nil || in.Tweedie == 0 {
		return nil, fmt.Errorf("denoiser %q with %d knots and a Tweedie step of %g: must be kar1 with at least 2, not 0, and guidance null", in.Denoiser, in.DenoiserN, in.Tweedie)
	}
	post, err := mcmc.Exact[float64](in.mixture(), mcmc.Ladder(in.SigmaMin, in.SigmaMax, in.Levels))
	if err != nil {
		return nil, err
	}
	model, err := gmm.Model[float64](in.mixture(), diffusion.Score)
	if err != nil {
		return nil, err
	}
	st, err := in.state()
	if err != nil {
		return nil, err
	}
	start := func() (*mcmc.Chains[float64], error) {
		return mcmc.New(mcmc.Target[float64]{Model: model, Schedule: diffusion.EDM{}, Posterior: post},
			mcmc.Config{Eta: in.Eta, Skip: in.Skip, Argmax: argmax}, st, recorded{in.Noise, in.U})
	}
	chains, err := start()
	if err != nil {
		return nil, err
	}
	got, err := walk(ctx, chains, in.Skip)
	if err != nil {
		return nil, err
	}
	if chains, err = start(); err != nil { // the same walk again, as a sample
		return nil, err
	}
	g := mcmc.Integrator[float64]{Model: model, Schedule: diffusion.EDM{}, Steps: in.DenoiserN - 1, SigmaMin: in.SigmaMin, Tweedie: in.Tweedie}
	for s, err := range chains.Samples(ctx, g.Denoise) {
		if err != nil {
			return nil, err
		}
		n := s.From.N()
		got["x_min"], got["sigma_min_state"] = mixture.Rows(s.From.X, n), s.From.Sigma
		got["x_denoised"], got["nfe_denoise"] = mixture.Rows(s.X, n), s.NFE-in.Skip-1 // without the Tweedie step
		break
	}
	return got, nil
}

// walk is the states of the chains, iteration by iteration.
func walk(ctx context.Context, chains *mcmc.Chains[float64], iterations int) (conform.Got, error) {
	var x [][][]float64
	var sigma [][]float64
	for range iterations {
		if err := chains.Step(ctx); err != nil {
			return nil, err
		}
		s := chains.State()
		x, sigma = append(x, mixture.Rows(s.X, s.N())), append(sigma, s.Sigma)
	}
	return conform.Got{"x_chain": x, "sigma_chain": sigma}, nil
}
