package usfs3

import (
	"context"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/search"
	"github.com/assay-lab/assay/lab"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
	"github.com/assay-lab/assay/papers/internal/nets"
)

// searchSeed is the seed of the starts that schedules are scored on, apart from those
// of the tests.
const searchSeed = 1e6

var (
	bestRival  = mixture.Rival{Name: standard}
	foundRival = mixture.Rival{Name: s3}
)

// onNetwork is the same question on a trained network.
func onNetwork() *lab.Experiment {
	return nets.Arena{
		Name:  "usf-s3/denoiser",
		Title: "A schedule searched for a trained network: error over network evaluations",
		Help:  "A network trained on handwritten digits, or one that you bring as an ONNX file. The best standard solver is the best on the very noises that it is judged on; the searched schedule has not seen them. The error is the distance to the same network's own solution with 1000 steps.",
		Rivals: []mixture.Rival{
			{Name: "DDIM", Method: diffusion.DDIM{}},
			{Name: "DPM-Solver++(2M)", Method: diffusion.DPMSolver{}},
			{Name: "UniPC-3 bh1", Method: diffusion.UniPC{}},
			bestRival, foundRival,
		},
		Budgets:  map[lab.Size]string{lab.Quick: "5", lab.Desk: "5,8", lab.Full: "3,4,5,6,8,10"},
		Guidance: "1",
		Params: []lab.Param{
			{Name: "scores", Help: "schedules that a search scores", Kind: lab.Int, Default: "250", At: map[lab.Size]string{lab.Quick: "60", lab.Full: "1500"}, Min: 60, Max: 1000000},
			{Name: "starts", Help: "noises that they are scored on", Kind: lab.Int, Default: "16", At: map[lab.Size]string{lab.Quick: "4", lab.Full: "128"}, Min: 1, Max: 100000},
		},
		Make: scheduleFor,
		Claims: []lab.Claim{{
			Name:  "a searched schedule improves a trained network's samples",
			Text:  "On noises that it has not seen the schedule found is nearer the network's own solution than the best of 36 standard solvers, at 5 and 8 evaluations.",
			Paper: "FID 13.3, 5.40 and 2.70 at 3, 5 and 10 evaluations on CIFAR-10, the best other solver with tuned settings 91.2, 12.7 and 3.39 (repository)",
			Judge: func(c lab.Curves) lab.Verdict {
				return lab.All(lab.Beats(c.Panels()[0], s3, standard, 5, 8)...)(c)
			},
		}},
	}.Experiment()
}

// scheduleFor is the schedule of a rival that has none: searched, or the best standard
// one for the trial's own noises.
func scheduleFor(ctx context.Context, t nets.Trial, r mixture.Rival, steps int, v lab.Values) (diffusion.Method, error) {
	sp := search.Space{Noise: t.Model.Schedule, NFE: steps}
	scores := v.Int("scores")
	if r.Name == s3 {
		t.N, t.Seed = v.Int("starts"), searchSeed
	}
	s, err := nets.Fitted(ctx, t, "network-schedule", []any{r.Name, steps, scores, v.Int("truth"), 1}, func(ctx context.Context) (search.Schedule, error) {
		sc, err := networkScorer(ctx, t, v.Int("truth"))
		if err != nil {
			return nil, err
		}
		if r.Name == standard {
			return bestStandard(ctx, sp, sc)
		}
		e, err := sp.Evolution(sc.Score, scores, 1)
		if err != nil {
			return nil, err
		}
		e.Screen = sp.Screen()
		found, err := e.Run(ctx)
		return found.Best.X, err
	})
	return diffusion.USF{Schedule: s}, err
}

// networkScorer scores by the distance to the network's own fine solution.
func networkScorer(ctx context.Context, t nets.Trial, truth int) (sc search.Scorer[float32], err error) {
	sc.Noise, sc.N = t.Model.Schedule, t.N
	if sc.Model, err = t.Denoiser(); err != nil {
		return sc, err
	}
	if sc.X, err = t.Starts(); err != nil {
		return sc, err
	}
	sc.Truth, err = t.Truth(ctx, truth)
	return sc, err
}
