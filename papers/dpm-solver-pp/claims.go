package dpmsolverpp

import (
	"slices"

	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/papers/internal/nets"
)

const (
	plain  = "guidance 1"
	strong = "guidance 7.5"
)

func guidedClaims() []lab.Claim {
	return []lab.Claim{
		{
			Name:  "2M beats DDIM under strong guidance",
			Text:  "At guidance 7.5, DPM-Solver++(2M) is nearer to the exact guided solution than DDIM at 15 and 20 evaluations.",
			Paper: "15 to 20 steps give samples of high quality from guided pixel- and latent-space models, where DDIM needs 100 and more (abstract)",
			Judge: lab.All(lab.Beats(strong, m2.Name, ddim.Name, 15, 20)...),
		},
		{
			Name:  "singlestep noise form is unstable under strong guidance",
			Text:  "At guidance 7.5 the third-order noise-form solver has more than three times DDIM's error at 10 and 15 evaluations.",
			Paper: "high-order noise-form solvers become unstable at large guidance and even slower than DDIM (abstract)",
			Judge: lab.All(
				lab.More(lab.At(strong, fast3.Name, 10), lab.At(strong, ddim.Name, 10).Times(3)),
				lab.More(lab.At(strong, fast3.Name, 15), lab.At(strong, ddim.Name, 15).Times(3)),
			),
		},
		{
			Name:  "multistep noise form is unstable as well",
			Text:  "At guidance 7.5 the second-order multistep solver in noise form, too, is worse than DDIM at 10 and 15 evaluations: it is the noise form that is at fault.",
			Paper: "the same sentence of the abstract, read for multistep solvers",
			Judge: lab.All(lab.Beats(strong, ddim.Name, noise.Name, 10, 15)...),
		},
		{
			Name:  "without guidance the order turns round",
			Text:  "At guidance 1 the third-order noise-form solver is nearer to the exact solution than DDIM at 20 evaluations.",
			Judge: lab.All(lab.Beats(plain, fast3.Name, ddim.Name, 20)...),
		},
	}
}

func orderClaim() lab.Claim {
	const lo, hi = 120, 480
	order := func(method string) lab.Term { return lab.Order("", method, lo, hi) }
	return lab.Claim{
		Name:  "orders of convergence",
		Text:  "2S and 2M converge at order 2. 3M converges at order 3 with the second derivative corrected, and only at order 2 as the authors' code has it.",
		Paper: "DPM-Solver++ of order k converges at order k for k = 2, 3 (theorem, under smoothness)",
		Judge: lab.All(
			lab.Within(order(s2.Name), 1.85, 2.1),
			lab.Within(order(m2.Name), 1.85, 2.1),
			lab.More(order(m3c.Name), lab.Number(2.7)),
			lab.Less(order(m3.Name), lab.Number(2.3)),
		),
	}
}

func thresholdingClaim() lab.Claim {
	var ps []lab.Predicate
	for _, nfe := range []float64{10, 20} {
		without := lab.At("", noThreshold, nfe)
		ps = append(ps,
			lab.More(without, lab.Number(1)), // or there is nothing to threshold
			lab.AtMost(lab.At("", dynamicThreshold, nfe), without.Times(0.2)))
	}
	return lab.Claim{
		Name:  "thresholding keeps samples in range",
		Text:  "At guidance 8, dynamic thresholding leaves at most a fifth of the coordinates out of range that are so without it.",
		Paper: "dynamic thresholding is what makes large guidance usable in pixel space (section 4.2); no number is given",
		Judge: lab.All(ps...),
	}
}

func momentsClaim() lab.Claim {
	const nfe = 50
	return lab.Claim{
		Name: "the SDE sampler samples the data",
		Text: "Mean and covariance of SDE-DPM-Solver++(2M) at 50 steps match those of the data within four standard errors of 20,000 samples.",
		Judge: lab.All(
			lab.AtMost(lab.At("", stochasticRivals[0].Name, nfe), lab.Number(4)),
			lab.AtMost(lab.At("", stochasticRivals[1].Name, nfe), lab.Number(4)),
		),
	}
}

// hardest is the panel under the strongest guidance, or the only one of a network
// that takes no labels.
func hardest(c lab.Curves) string {
	if slices.Contains(c.Panels(), nets.Unguided) {
		return nets.Unguided
	}
	return strong
}

func denoiserClaims() []lab.Claim {
	return []lab.Claim{{
		Name:  "2M beats DDIM on a trained network",
		Text:  "DPM-Solver++(2M) is nearer to the network's own exact solution than DDIM at 15 and 20 evaluations, at guidance 7.5 where the network takes labels.",
		Paper: "on Stable Diffusion, the distance to the converged latent is smallest for DPM-Solver++ at every number of evaluations",
		Judge: func(c lab.Curves) lab.Verdict {
			return lab.All(lab.Beats(hardest(c), m2.Name, ddim.Name, 15, 20)...)(c)
		},
	}}
}

func digitsClaims() []lab.Claim {
	return []lab.Claim{
		{
			Name:  "15 to 20 evaluations are enough",
			Text:  "The Fréchet distance of DPM-Solver++(2M) with 15 and 20 evaluations is within a tenth of that with 40, at guidance 7.5 where the network takes labels.",
			Paper: "15 to 20 steps give samples of high quality (abstract)",
			Judge: func(c lab.Curves) lab.Verdict {
				fine := lab.At(hardest(c), m2.Name, 40).Times(1.1)
				return lab.All(lab.AtMost(lab.At(hardest(c), m2.Name, 15), fine), lab.AtMost(lab.At(hardest(c), m2.Name, 20), fine))(c)
			},
		},
		{
			Name:  "2M samples look better than DDIM's",
			Text:  "At 10 and 15 evaluations DPM-Solver++(2M) has the smaller Fréchet distance.",
			Paper: "better FID than DDIM at every number of evaluations, on guided ImageNet 256×256",
			Judge: func(c lab.Curves) lab.Verdict {
				return lab.All(lab.Beats(hardest(c), m2.Name, ddim.Name, 10, 15)...)(c)
			},
		},
	}
}
