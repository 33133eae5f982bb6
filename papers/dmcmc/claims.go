package dmcmc

import "github.com/assay-lab/assay/lab"

// few is the budget of the main claim: calls a sample, the Tweedie step included.
const few = 10

func at(r rival, n float64) lab.Term { return lab.At("", r.name, n) }

func halvesClaim() lab.Claim {
	return lab.Claim{
		Name:  "chains halve the distance of KAR1 and KAR2 at ten calls",
		Text:  "At ten calls a sample, KAR1 and KAR2 from chains with η = 0.05 have at most half the sliced Wasserstein distance that they have from pure noise, and the modes' weights are within 0.12 in total variation.",
		Paper: "FID 3.86 on CIFAR-10 at about 10 calls, 2.63 at about 20 (abstract)",
		Judge: lab.All(
			lab.AtMost(at(dlgKAR1, few), at(kar1, few).Times(.5)),
			lab.AtMost(at(dlgKAR2, few), at(kar2, few).Times(.5)),
			lab.AtMost(lab.MetricAt("", dlgKAR1.name, few, "mode TV"), lab.Number(.12)),
			lab.AtMost(lab.MetricAt("", dlgKAR2.name, few, "mode TV"), lab.Number(.12))),
	}
}

func networkClaim() lab.Claim {
	return lab.Claim{
		Name:  "chains help a trained network at ten calls",
		Text:  "At ten calls a sample, KAR1 and KAR2 from chains are nearer to real digits than from pure noise.",
		Paper: "FID 3.86 on CIFAR-10 at about 10 calls (abstract)",
		Judge: lab.All(lab.Less(at(dlgKAR1, few), at(kar1, few)), lab.Less(at(dlgKAR2, few), at(kar2, few))),
	}
}

func flowClaim() lab.Claim {
	const digits = 5
	return lab.Claim{
		Name:  "chains save the ODE solver four calls in ten",
		Text:  "At tolerance 10⁻⁵ the adaptive solver from chains needs at most 0.6 of the calls that it needs from pure noise, the walk included, and its distance is at most 1.5 times as large.",
		Paper: "all six integrators are accelerated (abstract)",
		Judge: lab.All(
			lab.AtMost(lab.MetricAt("", dlgODE.name, digits, "calls"), lab.MetricAt("", ode.name, digits, "calls").Times(.6)),
			lab.AtMost(at(dlgODE, digits), at(ode, digits).Times(1.5))),
	}
}

func exactClaim() lab.Claim {
	return lab.Claim{
		Name: "drawing the level is exact, taking the likeliest is not",
		Text: "Over the longest run with drawn levels the share of every level is within 3 standard errors of uniform; with the likeliest level it is not.",
		Judge: func(c lab.Curves) lab.Verdict {
			longest := 0.0
			if cv, ok := c.Curve("", byDraw); ok {
				for _, p := range cv.Points {
					longest = max(longest, p.Budget)
				}
			}
			return lab.All(
				lab.AtMost(lab.At("", byDraw, longest), lab.Number(3)),
				lab.More(lab.At("", byArgmax, longest), lab.Number(3)))(c)
		},
	}
}
