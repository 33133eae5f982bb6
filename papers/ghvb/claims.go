package ghvb

import (
	"fmt"
	"math"

	"github.com/assay-lab/assay/lab"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
)

func divergenceClaims() []lab.Claim {
	at := func(panel string, r mixture.Rival, n float64) lab.Term { return lab.At(panel, r.Name, n) }
	score := func(r mixture.Rival, n float64) lab.Term { return lab.MetricAt(narrow, r.Name, n, magnitude) }
	tenth := at(equal, plms4, 10).Times(0.1)
	var falls, scores []lab.Predicate
	for _, n := range []float64{10, 15} {
		falls = append(falls,
			lab.AtMost(at(narrow, ghvb33, n), at(narrow, plms4, n).Times(0.2)),
			lab.AtMost(at(narrow, ghvb23, n), at(narrow, ghvb33, n).Times(0.2)))
	}
	for _, n := range []float64{10, 15, 20} {
		scores = append(scores, lab.Less(score(hb38, n), score(plms4, n)), lab.Less(score(ghvb33, n), score(plms4, n)),
			lab.Less(score(m2hb, n), score(m2, n)), lab.Less(score(unipcHB, n), score(unipc, n)))
	}
	return []lab.Claim{
		{
			Name:  "momentum cures divergence in few steps",
			Text:  "At guidance 15 and 10 steps PLMS 4 diverges to twice the exact solution's magnitude and more, and GHVB 3.3 and HB 3.8 have at most a tenth of its error.",
			Paper: "HB and GHVB reduce divergence artifacts of PLMS 4 at 10 to 25 steps and guidance 15 (abstract; shown in pictures)",
			Judge: lab.All(
				lab.AtMost(at(equal, ghvb33, 10), tenth), lab.AtMost(at(equal, hb38, 10), tenth),
				lab.AtLeast(lab.MetricAt(equal, plms4.Name, 10, largest), lab.Number(2))),
		},
		{
			Name:  "with many steps nothing is gained",
			Text:  "At 60 steps DDIM, PLMS 2 and 4, GHVB 3.3 and 2.3 and HB 3.8 are within 0.02 of each other, or PLMS 4 is the best.",
			Paper: "momentum trades accuracy for stability: where there is no divergence it only costs accuracy",
			Judge: lab.All(noneBetter(60, 0.02)),
		},
		{
			Name:  "a lower order number is steadier",
			Text:  "Where the condition is much narrower than the rest, GHVB 3.3 has at most a fifth of PLMS 4's error at 10 and 15 steps, and GHVB 2.3 a fifth of that again.",
			Paper: "the order number moves between accuracy and stability (section 4.2)",
			Judge: lab.All(falls...),
		},
		{
			Name: "momentum is worth more than a lower order",
			Text: "GHVB 2.3 is nearer to the exact solution than PLMS 2 and DDIM, which are steady without momentum, at 10 steps in both settings.",
			Judge: lab.All(
				lab.Less(at(equal, ghvb23, 10), at(equal, plms2, 10)), lab.Less(at(equal, ghvb23, 10), at(equal, ddim, 10)),
				lab.Less(at(narrow, ghvb23, 10), at(narrow, plms2, 10)), lab.Less(at(narrow, ghvb23, 10), at(narrow, ddim, 10))),
		},
		{
			Name:  "fewer values out of range",
			Text:  "Where the condition is much narrower than the rest, the share of coordinates beyond 1.5 times the exact solution's largest falls for PLMS 4 with HB 3.8 and as GHVB 3.3, and for DPM-Solver++(2M) and UniPC with heavy ball, at 10, 15 and 20 steps.",
			Paper: "lower magnitude scores for PLMS 4, DPM-Solver++(2M) and UniPC with momentum at 10 to 25 steps, guidance 15 (figures)",
			Judge: lab.All(scores...),
		},
	}
}

// noneBetter holds where the samplers of the paper's case are within a distance of
// each other, or PLMS 4 is the best.
func noneBetter(steps, distance float64) lab.Predicate {
	return func(c lab.Curves) (lab.Figure, error) {
		f := lab.Figure{Name: fmt.Sprintf("largest distance between errors at %g steps", steps), Want: fmt.Sprintf("≤ %g, or PLMS 4 the best", distance)}
		best, worst, plain := math.Inf(1), 0.0, 0.0
		for _, r := range []mixture.Rival{ddim, plms2, plms4, ghvb33, ghvb23, hb38} {
			_, x, err := lab.At(equal, r.Name, steps)(c)
			if err != nil {
				return f, err
			}
			if r.Name == plms4.Name {
				plain = x
			}
			best, worst = min(best, x), max(worst, x)
		}
		f.Value = worst - best
		f.OK = f.Value <= distance || plain == best
		return f, nil
	}
}

func stabilityClaims() []lab.Claim {
	var ends, further, all []lab.Predicate
	for k := 1; k <= maxSlopes; k++ {
		for _, m := range members {
			end, err := leftEnd(m.kind, k, m.beta)
			if err != nil {
				end = math.NaN() // holds against nothing
			}
			ends = append(ends, endsAt(slopesPanel(k), m.name, end))
		}
		for _, name := range []string{ghvbWeak, ghvbHard, hbWeak, hbHard} {
			p := onEveryRay(slopesPanel(k), name)
			if isGHVB := name == ghvbWeak || name == ghvbHard; k >= 3 && isGHVB {
				further = append(further, p)
			} else {
				all = append(all, p)
			}
		}
	}
	return []lab.Claim{
		{
			Name:  "real intervals are as the closed form has them",
			Text:  "The regions, computed from the samplers' tapes, end on the negative real axis where the characteristic polynomials have the root −1, to 10⁻⁶, for PLMS, GHVB and HB with one to four slopes.",
			Judge: lab.All(ends...),
		},
		{
			Name:  "GHVB 3.x and 2.x reach further than PLMS on every ray",
			Text:  "With three and four slopes, and β of 0.8 and 0.5, GHVB's region reaches at least as far as that of PLMS along every ray from 95° to 180°.",
			Paper: "GHVB enlarges the region of stability (figure of stability regions)",
			Judge: lab.All(further...),
		},
		{
			Name:  "every momentum enlarges every region",
			Text:  "The same for GHVB with one and two slopes, and for heavy ball with one to four.",
			Paper: "heavy ball and GHVB enlarge the region of stability; nothing is said of rays near the imaginary axis",
			Judge: lab.All(all...),
		},
	}
}

// endsAt holds where a real interval ends within 10⁻⁶ of −end.
func endsAt(panel, method string, end float64) lab.Predicate {
	return func(c lab.Curves) (lab.Figure, error) {
		f := lab.Figure{Name: fmt.Sprintf("distance of the left end of %s, %s, from −%s", method, panel, lab.Digits(end)), Want: "≤ 1e-6"}
		_, x, err := lab.At(panel, method, 180)(c)
		f.Value = math.Abs(x - end)
		f.OK = f.Value <= 1e-6
		return f, err
	}
}

// onEveryRay counts the rays on which a method reaches less far than PLMS does.
func onEveryRay(panel, method string) lab.Predicate {
	return func(c lab.Curves) (lab.Figure, error) {
		f := lab.Figure{Name: fmt.Sprintf("rays shorter than PLMS's: %s, %s", method, panel), Want: "none"}
		cv, ok := c.Curve(panel, method)
		if !ok {
			return f, fmt.Errorf("no results of %s, %s", method, panel)
		}
		last := 0.0
		for _, p := range cv.Points {
			_, reach, err := lab.At(panel, plainPLMS, p.Budget)(c)
			if err != nil {
				return f, err
			}
			if !(p.Mean() >= reach*(1-1e-9)) { // bisection is exact to 10⁻¹⁶ or so
				f.Value, last = f.Value+1, p.Budget
			}
		}
		if f.OK = f.Value == 0; !f.OK {
			f.Name += fmt.Sprintf(", the last at %g°", last)
		}
		return f, nil
	}
}

func orderClaims() []lab.Claim {
	const lo, hi = 32, 256
	order := func(panel string, r mixture.Rival) lab.Term { return lab.Order(panel, r.Name, lo, hi) }
	within := func(r mixture.Rival, k float64) lab.Predicate {
		return lab.Within(order(ordinary, r), k-0.2, k+0.2)
	}
	atLeast := func(r mixture.Rival, k float64) lab.Predicate {
		return lab.AtLeast(order(quadrature, r), lab.Number(k-0.2))
	}
	return []lab.Claim{
		{
			Name:  "GHVB keeps its order",
			Text:  "Given exact history, GHVB with k slopes converges at order k for β of 1 and 0.5, k from 1 to 4.",
			Paper: "GHVB of order r + β converges with order r + 1 (theorem)",
			Judge: lab.All(atLeast(ddim, 1), atLeast(plms2, 2), atLeast(plms3, 3), atLeast(plms4, 4),
				atLeast(ghvb05, 1), atLeast(ghvb15, 2), atLeast(ghvb25, 3), atLeast(ghvb35, 4)),
		},
		{
			Name:  "heavy ball and Nesterov are of first order",
			Text:  "With β = 0.5 and four slopes, heavy ball and Nesterov momentum converge at order 1, GHVB with two slopes at order 2.",
			Paper: "heavy ball is first-order convergent (theorem)",
			Judge: lab.All(within(hb35, 1), within(nt35, 1), within(ghvb15, 2)),
		},
		{
			Name:  "the first step limits the order to 2",
			Text:  "With the samplers' own start, an Euler step, PLMS and GHVB of three and four slopes show order 2 only.",
			Judge: lab.All(within(plms3, 2), within(plms4, 2), within(ghvb25, 2), within(ghvb35, 2)),
		},
	}
}

func networkClaims() []lab.Claim {
	beats := func(pairs ...[2]mixture.Rival) func(lab.Curves) lab.Verdict {
		return func(c lab.Curves) lab.Verdict {
			var ps []lab.Predicate
			for _, p := range pairs {
				ps = append(ps, lab.Beats(c.Panels()[0], p[0].Name, p[1].Name, 10, 15)...)
			}
			return lab.All(ps...)(c)
		}
	}
	return []lab.Claim{
		{
			Name:  "momentum helps PLMS on a trained network",
			Text:  "At guidance 15, GHVB 3.3 and HB 3.8 are nearer to the network's own exact solution than PLMS 4, at 10 and 15 evaluations.",
			Paper: "fewer artifacts for PLMS 4 with HB and for GHVB on Stable Diffusion at 10 to 25 steps, guidance 15 (figures)",
			Judge: beats([2]mixture.Rival{ghvb33, plms4}, [2]mixture.Rival{hb38, plms4}),
		},
		{
			Name:  "momentum is worth more than a lower order",
			Text:  "The control: GHVB 2.3 and 3.3 are nearer to it than PLMS 2, which is steady without momentum, at 10 and 15 evaluations.",
			Judge: beats([2]mixture.Rival{ghvb23, plms2}, [2]mixture.Rival{ghvb33, plms2}),
		},
	}
}
