package dpmsolverpp

import (
	"context"
	"math"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/lab"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
)

var stochasticRivals = []mixture.Rival{
	{Name: "SDE-DPM-Solver++(2M)", Method: diffusion.DPMSolver{Eta: 1}},
	{Name: "SDE-DPM-Solver++(2M), heun", Method: diffusion.DPMSolver{Eta: 1, Expansion: diffusion.Taylor}},
	{Name: "DDIM, η = 1", Method: diffusion.DDIM{Eta: 1}},
	ddim,
}

// stochastic asks whether the SDE samplers sample the right distribution.
func stochastic() *lab.Experiment {
	return &lab.Experiment{
		Name:    "dpm-solver-pp/sde",
		Title:   "SDE samplers: are mean and covariance those of the data?",
		Help:    "Samples of the ten Gaussians against the exact moments at the end of the grid. The figure is the largest deviation of a mean or a covariance in standard errors: about 3 is what exact samples show, and more is bias. Deterministic DDIM is the control.",
		Cost:    nfe,
		Quality: lab.Axis{Name: "largest deviation", Unit: "standard errors", Log: true},
		Params: []lab.Param{
			{Name: "nfe", Help: "numbers of evaluations", Kind: lab.Ints, Default: "10,20,50,100", At: map[lab.Size]string{lab.Quick: "20,50"}, Min: 2, Max: 10000},
			{Name: "n", Help: "samples a seed", Kind: lab.Int, Default: "20000", At: map[lab.Size]string{lab.Quick: "1000"}, Min: 100, Max: 1000000},
			{Name: "seeds", Help: "independent sets of samples", Kind: lab.Int, Default: "1", At: map[lab.Size]string{lab.Full: "10"}, Min: 1, Max: 1000},
		},
		Version: 1,
		Grid: func(v lab.Values) ([]lab.Cell, error) {
			return mixture.Cells(v, []string{""}, stochasticRivals, false), nil
		},
		Run:    runStochastic,
		Claims: []lab.Claim{momentsClaim()},
	}
}

func runStochastic(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
	p, err := mixture.Lab("packed16", "ddpm-discrete")
	if err != nil {
		return lab.Outcome{}, err
	}
	m, err := mixture.RivalNamed(stochasticRivals, c.Method)
	if err != nil {
		return lab.Outcome{}, err
	}
	t := mixture.Trial{Problem: p, N: c.Values.Int("n"), Seed: c.Seed}
	s, err := t.Sample(ctx, m, int(c.Budget), nil)
	if err != nil {
		return lab.Outcome{}, err
	}
	sch, err := p.Schedule.Build()
	if err != nil {
		return lab.Outcome{}, err
	}
	mean, cov := p.Mixture().Moments()
	end := sch.At(p.TEnd)
	d := len(mean)
	for i := range mean {
		mean[i] *= end.Alpha
	}
	for i := range cov {
		cov[i] *= end.Alpha * end.Alpha
		if i%(d+1) == 0 {
			cov[i] += end.Sigma * end.Sigma
		}
	}
	return lab.Outcome{Cost: float64(s.NFE), Quality: worstDeviation(s.X, t.N, mean, cov)}, nil
}

// worstDeviation is the largest |estimate − truth| of a mean or covariance over
// its standard error, which is estimated from the samples' own second and fourth
// moments about the true mean.
func worstDeviation(x []float64, n int, mean, cov []float64) float64 {
	d := len(mean)
	var worst float64
	compare := func(truth float64, f func(row []float64) float64) {
		var s, ss float64
		for i := range n {
			v := f(x[i*d:(i+1)*d]) - truth
			s += v
			ss += v * v
		}
		m := s / float64(n)
		se := math.Sqrt((ss/float64(n) - m*m) / float64(n-1))
		worst = max(worst, math.Abs(m)/se)
	}
	for i := range d {
		compare(mean[i], func(row []float64) float64 { return row[i] })
		for j := range i + 1 {
			compare(cov[i*d+j], func(row []float64) float64 { return (row[i] - mean[i]) * (row[j] - mean[j]) })
		}
	}
	return worst
}
