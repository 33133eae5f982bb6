package bdia

import (
	"slices"

	"github.com/assay-lab/assay/lab"
)

// retraced are the values of γ that the claims on inversion speak of.
var retraced = []float64{0.9, 0.96, 1}

// worst is the largest error of a round trip.
func worst(panel, method string, steps float64) lab.Term {
	return lab.MetricAt(panel, method, steps, largest)
}

func inversionClaims() []lab.Claim {
	const n = 50
	ddim := worst(fromNoise, ddimInversion, n)
	calls := func(method string) lab.Term { return lab.MetricAt(fromNoise, method, n, calls) }
	exact := []lab.Predicate{lab.AtLeast(ddim, lab.Number(1e-2))}
	var answers []lab.Predicate
	for _, gamma := range retraced {
		name := bdiaName(gamma)
		exact = append(exact, lab.AtMost(worst(fromNoise, name, n), lab.Number(1e-9)), lab.AtMost(calls(name), calls(ddimInversion)))
		answers = append(answers, lab.AtMost(lab.MetricAt(fromNoise, name, n, response), lab.Number(0.1)))
	}
	bits := lab.AtMost(lab.MetricAt(fromNoise, bdiaName(1), n, onLattice), lab.Number(0))
	one := bdiaName(1) + noiseAlone
	return []lab.Claim{
		{
			Name:  "the inversion is exact at no extra calls",
			Text:  "With 50 steps and γ of 0.9, 0.96 and 1 the way back from the last two states ends within 1e-9 of the start, with no more evaluations than DDIM inversion, which misses by 1e-2 or more from the same starts.",
			Paper: "inversion is exact, and costs no evaluations beyond DDIM's (abstract)",
			Judge: lab.All(exact...),
		},
		{
			Name:  "the way back is computed, not remembered",
			Text:  "When the last state is changed by 1e-6, the result of the way back changes as the linearised inverse says, to a tenth; a stored trajectory would not change at all.",
			Judge: lab.All(answers...),
		},
		{
			Name:  "on a lattice every bit comes back",
			Text:  "With γ = 1 and states on multiples of 2⁻⁴⁰ the way back ends at the start exactly.",
			Judge: lab.All(bits),
		},
		{
			Name: "exactness needs the pair",
			Text: "A sample that is walked to noise over 50 steps and made again from the noise alone is missed by more than 1e-3 on average, even with γ = 1; from the pair it comes back within 1e-9.",
			Judge: lab.All(
				lab.AtLeast(lab.MetricAt(fromClean, one, n, meanError), lab.Number(1e-3)),
				lab.AtMost(worst(fromClean, bdiaName(1), n), lab.Number(1e-9))),
		},
	}
}

func samplingClaims() []lab.Claim {
	at := func(panel, method string, n float64) lab.Term { return lab.At(panel, method, n) }
	half, one := bdiaName(0.5), bdiaName(1)
	ratio := func(method string, n float64) lab.Term {
		return at(evenTime, method, n).Over(at(evenTime, ddim.Name, n))
	}
	return []lab.Claim{
		{
			Name:  "γ = 1 is of second order, and the error follows the law in between",
			Text:  "With steps even in time γ = 1 has at most half of DDIM's error at 20 evaluations and a fifth at 80, and order 1.7 or more from 80 to 320; γ = 0.5 has order 0.8 to 1.2, and at 160 and 320 evaluations DDIM's error times (1−γ)/(1+γ), a third, to 15 %.",
			Paper: "FID 12.62 against DDIM's 15.04 with 10 steps of Stable Diffusion 2 on COCO (from a secondary source)",
			Judge: lab.All(
				lab.AtMost(ratio(one, 20), lab.Number(0.5)),
				lab.AtMost(ratio(one, 80), lab.Number(0.2)),
				lab.AtLeast(lab.Order(evenTime, one, 80, 320), lab.Number(1.7)),
				lab.Within(lab.Order(evenTime, half, 80, 320), 0.8, 1.2),
				lab.Within(ratio(half, 160), 0.85/3, 1.15/3),
				lab.Within(ratio(half, 320), 0.85/3, 1.15/3)),
		},
		{
			Name:  "at 10 steps even in log SNR γ = 0.5 is best",
			Text:  "With 10 steps even in log SNR γ = 0.5 has a smaller error than γ = 1 and than DDIM.",
			Paper: "the authors take γ = 0.5 with some 10 steps and 1 with 40",
			Judge: lab.All(
				lab.Less(at(evenLogSNR, half, 10), at(evenLogSNR, one, 10)),
				lab.Less(at(evenLogSNR, half, 10), at(evenLogSNR, ddim.Name, 10))),
		},
	}
}

func edmClaim() lab.Claim {
	var ps []lab.Predicate
	for _, panel := range edmProblems {
		ps = append(ps, lab.Beats(panel, reuse1.Name, edm.Name, 20, 40, 80)...)
		ps = append(ps, lab.Beats(panel, reuse5.Name, edm.Name, 20, 40, 80)...)
	}
	return lab.Claim{
		Name:  "BDIA-EDM beats EDM at equal cost",
		Text:  "BDIA-EDM, which reuses slopes, has a smaller error than EDM at 20, 40 and 80 evaluations, with γ = 1 and with γ = 0.5, on both mixtures.",
		Paper: "better FID than EDM on four pretrained models at the same number of evaluations (abstract; figures not checked)",
		Judge: lab.All(ps...),
	}
}

func digitsClaims() []lab.Claim {
	return []lab.Claim{{
		Name:  "a real digit comes back to within rounding, by DDIM it does not",
		Text:  "At the largest number of steps, under every guidance, BDIA with γ of 0.96 and 1 gives a real digit back within 1e-5 in double precision and 1e-3 in single, with no gray level of 8 bits changed; DDIM misses by 1e-2 or more.",
		Paper: "inversion is exact, and costs no evaluations beyond DDIM's (abstract)",
		Judge: func(c lab.Curves) lab.Verdict {
			var ps []lab.Predicate
			for _, panel := range c.Panels() {
				cv, _ := c.Curve(panel, ddimInversion)
				if len(cv.Points) == 0 {
					continue
				}
				n := slices.MaxFunc(cv.Points, func(a, b lab.Point) int { return int(a.Budget - b.Budget) }).Budget
				ps = append(ps, lab.AtLeast(worst(panel, ddimInversion, n), lab.Number(1e-2)))
				for _, gamma := range []float64{0.96, 1} {
					name := bdiaName(gamma)
					ps = append(ps, lab.AtMost(worst(panel, name, n), lab.Number(1e-5)),
						lab.AtMost(lab.MetricAt(panel, name, n, inSingle), lab.Number(1e-3)),
						lab.AtMost(lab.MetricAt(panel, name, n, changedPix), lab.Number(0)))
				}
			}
			return lab.All(ps...)(c)
		},
	}}
}
