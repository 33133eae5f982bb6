package logbessel

import "github.com/assay-lab/assay/lab"

func reachClaims() []lab.Claim {
	var always, never []lab.Predicate
	for _, panel := range []string{panelI, panelK} {
		for _, d := range decades {
			always = append(always,
				lab.AtMost(lab.At(panel, refined.Name, d), lab.Number(0)),
				lab.AtMost(lab.At(panel, published.Name, d), lab.Number(0)))
		}
		for _, r := range []rival{naive, scaled} {
			for _, d := range []float64{1000, 10000} {
				never = append(never, lab.More(lab.At(panel, r.Name, d), lab.Number(30)))
			}
		}
	}
	return []lab.Claim{
		{
			Name:  "there is always an answer",
			Text:  "Both log-Bessel tables give a finite number at every point.",
			Paper: "no under- or overflow over the whole range (abstract)",
			Judge: lab.All(always...),
		},
		{
			Name:  "other ways fail at large orders",
			Text:  "For v above 1,000, more than 30 % of the answers are not finite when the logarithm is taken of I or K, or of their exponentially scaled forms.",
			Paper: "SciPy and the C++ libraries under- or overflow for most points of a wide range (section 5)",
			Judge: lab.All(never...),
		},
	}
}

func accuracyClaims() []lab.Claim {
	var precise, better []lab.Predicate
	for _, panel := range []string{panelI, panelK} {
		for _, begin := range ranges {
			precise = append(precise, lab.Less(lab.At(panel, refined.Name, begin), lab.Number(1e-14)))
		}
	}
	for _, panel := range []string{panelI, panelK} {
		better = append(better,
			lab.More(lab.At(panel, onlyDebye.Name, ranges[0]), lab.Number(1e-6)),
			lab.More(lab.At(panel, hankel.Name, 100), lab.Number(1e-6)))
	}
	return []lab.Claim{
		{
			Name:  "errors are those of rounding",
			Text:  "The refined table's error is below 1e-14 everywhere.",
			Paper: "relative error of the order of machine precision (abstract)",
			Judge: lab.All(precise...),
		},
		{
			Name:  "the published table is as precise",
			Text:  "The same holds for the table as published, whose fallback for K is Simpson's rule, here with 600 panels.",
			Paper: "relative error of the order of machine precision (abstract)",
			Judge: lab.All(publishedPrecise()...),
		},
		{
			Name:  "no single expansion would do",
			Text:  "Debye's expansion alone is wrong at small orders, and the one for large x at large orders.",
			Judge: lab.All(better...),
		},
	}
}

func publishedPrecise() []lab.Predicate {
	var ps []lab.Predicate
	for _, panel := range []string{panelI, panelK} {
		for _, begin := range ranges {
			ps = append(ps, lab.Less(lab.At(panel, published.Name, begin), lab.Number(1e-14)))
		}
	}
	return ps
}

func costClaims() []lab.Claim {
	const enough = 1e-14
	var ps []lab.Predicate
	for _, region := range regions[:len(regions)-1] {
		ps = append(ps, lab.AtMost(
			lab.CostTo(region, refined.Name, enough).Times(8), lab.CostTo(region, adaptive.Name, enough)))
	}
	return []lab.Claim{{
		Name:  "an eighth of the operations",
		Text:  "Wherever an expansion serves, it takes at most an eighth of the operations of the adaptive series for an error below 1e-14. Where it takes more, what makes it faster is that all values of a region do the same, as vector instructions want.",
		Paper: "17 times faster in the median on one CPU than C++ libraries, which choose among adaptive series (abstract); in operations here, and without what vector instructions add",
		Judge: lab.All(ps...),
	}}
}

func vmfClaims() []lab.Claim {
	var solved, recovered, unbiased, fails []lab.Predicate
	for _, p := range []int{2048, 8192, 32768} {
		panel := dimension(p)
		at := func(method, metric string) lab.Term { return lab.MetricAt(panel, method, 500, metric) }
		solved = append(solved, lab.Less(at(mle, "residual"), lab.Number(1e-12)))
		recovered = append(recovered, lab.Less(at(mle, "standard errors"), lab.Number(5)))
		unbiased = append(unbiased, lab.Less(at(corrected, "standard errors"), lab.Number(5)))
		if p >= 8192 {
			fails = append(fails, lab.AtLeast(lab.At(panel, viaScaled, 500), lab.Number(1e300)))
		}
	}
	return []lab.Claim{
		{
			Name:  "the likelihood equation is solved",
			Text:  "In 2,048, 8,192 and 32,768 dimensions the fit solves A(κ) = R to 1e-12.",
			Paper: "fits in these dimensions succeed (section 5, features of CIFAR-10)",
			Judge: lab.All(solved...),
		},
		{
			Name:  "the scaled function has no answer",
			Text:  "From 8,192 dimensions on, the same fit by the exponentially scaled function has none.",
			Paper: "SciPy and mpmath fail (section 5)",
			Judge: lab.All(fails...),
		},
		{
			Name:  "κ is recovered within five standard errors",
			Text:  "The maximum-likelihood κ of 500 samples is within five standard errors of the true one. It is not where p is far above the number of samples: chance lengthens the mean, which is no error of the Bessel functions.",
			Judge: lab.All(recovered...),
		},
		{
			Name:  "κ is recovered once chance is removed",
			Text:  "With what chance adds to R² taken off, κ of 500 samples is within five standard errors.",
			Judge: lab.All(unbiased...),
		},
	}
}

func featuresClaims() []lab.Claim {
	return []lab.Claim{{
		Name: "the fit is the most likely",
		Text: "Of 1,000 rows, the exact maximum of the likelihood is at least as likely as the closed form, and the equation is solved to 1e-12.",
		Judge: lab.All(
			lab.AtLeast(lab.At("", mle, 1000), lab.At("", closed, 1000)),
			lab.Less(lab.MetricAt("", mle, 1000, "residual"), lab.Number(1e-12)),
		),
	}}
}
