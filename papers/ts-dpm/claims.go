package tsdpm

import "github.com/assay-lab/assay/lab"

// over is the distance of one rival over that of another.
func over(panel, a, b string, nfe float64) lab.Term {
	return lab.At(panel, a, nfe).Over(lab.At(panel, b, nfe))
}

func oracleClaims() []lab.Claim {
	large, exact, negative := deltaPanel(0.05), deltaPanel(0), deltaPanel(-0.03)
	return []lab.Claim{
		{
			Name:  "time shift repairs a model that predicts too much noise",
			Text:  "At δ = 0.05 TS-DDIM has at most 0.9 of DDIM's distance with 20 steps and at most 0.8 with 50, and really shifts at least 30 % of the times.",
			Paper: "better FID than the same sampler without, for DDIM on CIFAR-10 and CelebA at 5 to 100 steps (tables)",
			Judge: lab.All(
				lab.AtMost(over(large, shifted.name, plain.name, 20), lab.Number(0.9)),
				lab.AtMost(over(large, shifted.name, plain.name, 50), lab.Number(0.8)),
				lab.AtLeast(lab.MetricAt(large, shifted.name, 20, shiftedShare), lab.Number(0.3)),
				lab.AtLeast(lab.MetricAt(large, shifted.name, 50, shiftedShare), lab.Number(0.3)),
			),
		},
		{
			Name: "time shift does little harm to an exact model",
			Text: "At δ = 0, where there is nothing to repair, TS-DDIM has at most 1.1 times DDIM's distance with 20 and 50 steps.",
			Judge: lab.All(
				lab.AtMost(over(exact, shifted.name, plain.name, 20), lab.Number(1.1)),
				lab.AtMost(over(exact, shifted.name, plain.name, 50), lab.Number(1.1)),
			),
		},
		{
			Name: "the released coupling repairs it as well",
			Text: "The same thresholds at δ = 0.05 for the coupling of the authors' sampler, which shifts the target of the step.",
			Judge: lab.All(
				lab.AtMost(over(large, target.name, plain.name, 20), lab.Number(0.9)),
				lab.AtMost(over(large, target.name, plain.name, 50), lab.Number(0.8)),
			),
		},
		{
			Name: "an error of the other sign does no harm",
			Text: "At δ = −0.03, where the model predicts too little noise, TS-DDIM is no worse than DDIM with 20 and 50 steps.",
			Judge: lab.All(
				lab.AtMost(over(negative, shifted.name, plain.name, 20), lab.Number(1)),
				lab.AtMost(over(negative, shifted.name, plain.name, 50), lab.Number(1)),
			),
		},
		{
			Name: "knowing the data's variance helps",
			Text: "Comparing with σ² + α²·v₀ instead of σ² gives a smaller distance than the paper's rule with 20 steps, at δ = 0.05 and at δ = 0 (ours).",
			Judge: lab.All(
				lab.Less(lab.At(large, withData.name, 20), lab.At(large, shifted.name, 20)),
				lab.Less(lab.At(exact, withData.name, 20), lab.At(exact, shifted.name, 20)),
			),
		},
	}
}
