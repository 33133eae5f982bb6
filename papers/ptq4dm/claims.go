package ptq4dm

import "github.com/assay-lab/assay/lab"

// The calibration sets that claims name.
const (
	ndtc    = "ndtc"
	uniform = "uniform"
)

// keeps are the predicates of quality kept: the sliced distance is at most 1.6 times
// that of full precision, and samples are at most 0.1 away.
func keeps(panel string) []lab.Predicate {
	return []lab.Predicate{
		lab.AtMost(lab.MetricAt(panel, ndtc, 8, sliced), lab.MetricAt(panel, ndtc, 8, exact).Times(1.6)),
		lab.AtMost(lab.At(panel, ndtc, 8), lab.Number(.1)),
	}
}

func setsClaims() []lab.Claim {
	at := func(method string, bits float64) lab.Term { return lab.At(ddim, method, bits) }
	distance := func(method string) lab.Term { return lab.MetricAt(ddim, method, 4, sliced) }
	return []lab.Claim{
		{
			Name:  "W8A8 keeps the quality",
			Text:  "With weights and activations in 8 bits, calibrated by NDTC, the samples' sliced Wasserstein distance to the data is at most 1.6 times that of full precision, and they differ from its samples by at most 0.1.",
			Paper: "8-bit models keep or improve the FID (abstract); the authors' demonstration: 21.7 to 24.3 on ImageNet 64",
			Judge: lab.All(keeps(ddim)...),
		},
		{
			Name:  "one clean time step does not do",
			Text:  "Calibrated at the cleanest time step alone, the error is at least three times that of NDTC, at 8 bits.",
			Paper: "calibration at a single time step collapses (figure)",
			Judge: lab.All(lab.AtLeast(at("clean", 8), at(ndtc, 8).Times(3))),
		},
		{
			Name:  "fewer bits, more error",
			Text:  "The error grows from 8 over 6 to 4 bits of activations.",
			Judge: lab.All(lab.Less(at(ndtc, 8), at(ndtc, 6)), lab.Less(at(ndtc, 6), at(ndtc, 4))),
		},
		{
			Name:  "NDTC is best at 4 bits",
			Text:  "With 4-bit activations, in the mean over the seeds, NDTC's sliced Wasserstein distance is no larger than that of uniform times and of every single time step.",
			Paper: "NDTC beats uniform and single-step calibration sets (table, not checked)",
			Judge: lab.All(lab.AtMost(distance(ndtc), distance(uniform)), lab.AtMost(distance(ndtc), distance("clean")),
				lab.AtMost(distance(ndtc), distance("middle")), lab.AtMost(distance(ndtc), distance("noisy"))),
		},
		{
			Name:  "the quantized network works in other samplers",
			Text:  "The same network, calibrated on DDIM's states, keeps the quality in DPM-Solver++(2M) and in BDIA.",
			Paper: "plug-and-play, also with DDIM (abstract)",
			Judge: lab.All(append(keeps(multi), keeps(bdia)...)...),
		},
		{
			Name:  "clipped predictions are needed",
			Text:  "Without clipping predicted data to their range the error at 8 bits is at least three times as large: at the noisy end it is amplified by 1/α.",
			Judge: lab.All(lab.AtLeast(lab.At(unclipped, ndtc, 8), at(ndtc, 8).Times(3))),
		},
	}
}

func criteriaClaims() []lab.Claim {
	var ps []lab.Predicate
	for _, b := range []float64{4, 6, 8} {
		for _, rival := range []string{"L1", "cosine", "KL divergence"} {
			ps = append(ps, lab.Beats(ddim, ways[0].name, rival, b)...)
		}
	}
	return []lab.Claim{{
		Name:  "the mean of |x − x̂|^2.4 is the best criterion",
		Text:  "Ranges chosen by it leave less error than those chosen by L1, cosine or KL divergence, at 4, 6 and 8 bits.",
		Paper: "the MSE family beats L1, cosine and KL (table, not checked)",
		Judge: lab.All(ps...),
	}}
}

func roundingClaims() []lab.Claim {
	return []lab.Claim{
		{
			Name:  "learned rounding helps at few bits",
			Text:  "AdaRound leaves less error than rounding to nearest at 3 and 4 bits of weights.",
			Judge: lab.All(lab.Beats(ddim, learned, nearest, 3, 4)...),
		},
		{
			Name:  "the ends need their 8 bits",
			Text:  "With the first and the last layer in as few bits as the others the error is larger, at 3 and 4 bits.",
			Judge: lab.All(lab.Beats(ddim, nearest, oneRange, 3, 4)...),
		},
	}
}
