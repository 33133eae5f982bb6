package mixllm

import "github.com/assay-lab/assay/lab"

// share10 is the paper's setting: 10 % of the rows.
const share10 = 10

// atTen is the quality of a way of choosing at the paper's setting.
func atTen(low int, method string) lab.Term { return lab.At(panel(low), method, budget(low, share10)) }

func atLow(low int) lab.Term { return lab.At(panel(low), uniform, float64(low)) }

// both judges at 3 and 4 low bits.
func both(ps func(low int) []lab.Predicate) func(lab.Curves) lab.Verdict {
	return lab.All(append(ps(3), ps(4)...)...)
}

func markovClaims() []lab.Claim {
	return []lab.Claim{
		{
			Name:  "10 % of the rows at 8 bits help, if they are the right ones",
			Text:  "With 10 % of the rows at 8 bits, chosen by salience over all layers, the loss increases by at most 0.80 times what it does with low bits everywhere, and by at most 0.85 times what it does with as many random rows.",
			Paper: "with 10 % more bits the perplexity increase of Llama 3.1 70B falls from about 0.5 to within 0.2 (abstract)",
			Judge: both(func(low int) []lab.Predicate {
				return []lab.Predicate{
					lab.AtMost(atTen(low, mixLLM), atLow(low).Times(0.80)),
					lab.AtMost(atTen(low, mixLLM), atTen(low, random).Times(0.85)),
				}
			}),
		},
		{
			Name:  "choosing over the whole model beats choosing within layers",
			Text:  "At the same bits MixLLM's choice increases the loss less than choosing 10 % of every layer by the same salience.",
			Paper: "rows of different layers matter differently, so the choice must be global (section 3)",
			Judge: both(func(low int) []lab.Predicate {
				return []lab.Predicate{lab.Less(atTen(low, mixLLM), atTen(low, perLayer))}
			}),
		},
		{
			Name: "salience beats weight error",
			Text: "At the same bits MixLLM's choice increases the loss less than giving 8 bits to the rows with the largest rounding error.",
			Judge: both(func(low int) []lab.Predicate {
				return []lab.Predicate{lab.Less(atTen(low, mixLLM), atTen(low, weightError))}
			}),
		},
		{
			Name: "some layers need many 8-bit rows, others none",
			Text: "The layer with the largest share of 8-bit rows has at least three times the mean share.",
			Judge: both(func(low int) []lab.Predicate {
				return []lab.Predicate{lab.AtLeast(lab.MetricAt(panel(low), mixLLM, budget(low, share10), largestShare), lab.Number(3))}
			}),
		},
	}
}

func letterClaims() []lab.Claim {
	return []lab.Claim{
		{
			Name: "MixLLM's choice is the best of its size",
			Text: "With 10 % of the rows at 8 bits, perplexity is lower for MixLLM's choice than for random rows, those of the largest weight error, and the most salient of every layer.",
			Judge: both(func(low int) []lab.Predicate {
				var ps []lab.Predicate
				for _, rival := range []string{random, weightError, perLayer} {
					ps = append(ps, lab.Less(atTen(low, mixLLM), atTen(low, rival)))
				}
				return ps
			}),
		},
		{
			Name:  "10 % more bits take away most of the loss",
			Text:  "With 10 % of the rows at 8 bits, perplexity increases by at most 0.4 times what it does at 4 bits everywhere.",
			Paper: "from about 0.5 to within 0.2 on Llama 3.1 70B (abstract)",
			Judge: lab.All(lab.AtMost(atTen(4, mixLLM), atLow(4).Times(0.4))),
		},
		{
			Name: "more 8-bit rows are better",
			Text: "From 10 to 50 % of the rows and on to all of them perplexity falls.",
			Judge: both(func(low int) []lab.Predicate {
				half := lab.At(panel(low), mixLLM, budget(low, 50))
				return []lab.Predicate{lab.Less(half, atTen(low, mixLLM)), lab.Less(lab.At(panel(low), eightBits, 8), half)}
			}),
		},
	}
}

func propagationClaims() []lab.Claim {
	const n = 64
	return []lab.Claim{
		{
			Name: "salience predicts the loss",
			Text: "Over 200 rows the rank correlation of salience with how the loss changes is above 0.3; that of random scores is not.",
			Judge: lab.All(
				lab.More(lab.At("", byRow, n), lab.Number(0.3)),
				lab.Less(lab.At("", random, n), lab.Number(0.3)),
			),
		},
		{
			Name:  "better than the weights' error alone",
			Text:  "Salience predicts better than the rounding error of the weights, which knows nothing of the loss.",
			Judge: lab.All(lab.More(lab.At("", byRow, n), lab.At("", weightError, n))),
		},
	}
}

func roundingClaims() []lab.Claim {
	return []lab.Claim{{
		Name: "GPTQ lessens the error on correlated inputs",
		Text: "On correlated inputs GPTQ's output error is at most 0.7 times that of rounding to nearest, at 3 and 4 bits.",
		Judge: lab.All(
			lab.AtMost(lab.At("", gptq, 3), lab.Number(0.7)),
			lab.AtMost(lab.At("", gptq, 4), lab.Number(0.7)),
		),
	}}
}

func exactnessClaims() []lab.Claim {
	exact := func(method string, tokens float64) lab.Predicate {
		return lab.AtMost(lab.At("", method, tokens), lab.Number(0))
	}
	return []lab.Claim{{
		Name: "integer products are exact",
		Text: "W4A8 and W8A8 products equal 64-bit arithmetic before they are scaled, for 1, 4 and 64 tokens; the control does not.",
		Judge: lab.All(
			exact(w4a8, 1), exact(w4a8, 4), exact(w4a8, 64),
			exact(w8a8, 1), exact(w8a8, 4), exact(w8a8, 64),
			lab.More(lab.At("", pairs, 64), lab.Number(0)),
		),
	}}
}
