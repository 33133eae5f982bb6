package usfs3

import (
	"fmt"

	"github.com/assay-lab/assay/lab"
)

func foundClaims() []lab.Claim {
	at := func(panel, method string, n float64) lab.Term { return lab.At(panel, method, n) }
	return []lab.Claim{
		{
			Name:  "a searched schedule halves the error",
			Text:  "On new starts the schedule found has at most half the error of the best of 36 standard solvers on overlap8, at 5 and 10 evaluations, and at most 0.7 times at 5 on FA.",
			Paper: "FID 13.3, 5.40 and 2.70 at 3, 5 and 10 evaluations on CIFAR-10, the best other solver with tuned settings 91.2, 12.7 and 3.39 (repository)",
			Judge: lab.All(
				lab.AtMost(at(smooth, s3, 5), at(smooth, standard, 5).Times(0.5)),
				lab.AtMost(at(smooth, s3, 10), at(smooth, standard, 10).Times(0.5)),
				lab.AtMost(at(small, s3, 5), at(small, standard, 5).Times(0.7))),
		},
		{
			Name: "freedom at every step pays",
			Text: "On new starts the schedule found is better than the best one with searched times but one order, form and corrector for all steps.",
			Judge: lab.All(
				lab.Less(at(smooth, s3, 5), at(smooth, s3Uniform, 5)),
				lab.Less(at(smooth, s3, 10), at(smooth, s3Uniform, 10)),
				lab.Less(at(small, s3, 5), at(small, s3Uniform, 5))),
		},
		{
			Name: "evolution pays",
			Text: "On new starts the schedule found is better than the best of as many mutations of standard solvers.",
			Judge: lab.All(
				lab.Less(at(smooth, s3, 5), at(smooth, s3Random, 5)),
				lab.Less(at(smooth, s3, 10), at(smooth, s3Random, 10))),
		},
		{
			Name:  "what is found carries over to new starts",
			Text:  "At 10 evaluations the schedule found has at most twice its error in the search on new starts, also where the paths split into separated modes.",
			Paper: "schedules are scored on some 1000 images and reported on 50,000",
			Judge: lab.All(
				lab.AtMost(at(smooth, s3, 10), lab.MetricAt(smooth, s3, 10, inSearch).Times(2)),
				lab.AtMost(at(sharp, s3, 10), lab.MetricAt(sharp, s3, 10, inSearch).Times(2)),
				lab.AtMost(at(sharp, s3More, 10), lab.MetricAt(sharp, s3More, 10, inSearch).Times(2))),
		},
		{
			Name: "the typical new start gains also on separated modes",
			Text: "On packed16 at 10 evaluations the median over new starts of their errors is at most half that of the best standard solver: what does not carry over are the few starts whose paths split.",
			Judge: lab.All(
				lab.AtMost(lab.MetricAt(sharp, s3, 10, median), lab.MetricAt(sharp, standard, 10, median).Times(0.5)),
				lab.AtMost(lab.MetricAt(sharp, s3More, 10, median), lab.MetricAt(sharp, standard, 10, median).Times(0.5))),
		},
	}
}

func budgetClaims() []lab.Claim {
	return []lab.Claim{
		{
			Name:  "a predictor saves two thirds of the scores",
			Text:  "In two of three seeds the search with a predictor reaches, with 500 schedules scored, the mean error of the plain search with 1500.",
			Paper: "the search takes some GPU hours, of which the predictor saves most (section 4)",
			Judge: lab.All(most(gaussian, 500, evolution, 1500), most(recurrent, 500, evolution, 1500)),
		},
		{
			Name:  "a predictor saves half of the scores",
			Text:  "In two of three seeds the search with a predictor reaches, with 500 schedules scored, the mean error of the plain search with 1000.",
			Judge: lab.All(most(gaussian, 500, evolution, 1000), most(recurrent, 500, evolution, 1000)),
		},
		{
			Name: "predictors rank schedules that they have not seen",
			Text: "On schedules not learnt from, the rank correlation of predicted and true scores is at least 0.5.",
			Judge: lab.All(
				lab.AtLeast(lab.MetricAt("", gaussian, 500, rankCorrelation), lab.Number(.5)),
				lab.AtLeast(lab.MetricAt("", recurrent, 500, rankCorrelation), lab.Number(.5))),
		},
	}
}

// most holds if a method at a budget is at most the mean of a rival at another, in two
// thirds of the seeds.
func most(method string, budget float64, rival string, rivalBudget float64) lab.Predicate {
	return func(c lab.Curves) (lab.Figure, error) {
		name := fmt.Sprintf("share of seeds in which %s with %g scores reaches %s with %g", method, budget, rival, rivalBudget)
		goal, err := c.MeanAt("", rival, rivalBudget)
		if err != nil {
			return lab.Figure{}, err
		}
		cv, _ := c.Curve("", method)
		p, ok := cv.At(budget)
		if !ok {
			return lab.Figure{}, fmt.Errorf("no result of %s with %g scores", method, budget)
		}
		reached := 0
		for _, q := range p.Quality {
			if q <= goal {
				reached++
			}
		}
		share := float64(reached) / float64(len(p.Quality))
		return lab.Figure{Name: name, Value: share, Want: "≥ 2/3", OK: 3*reached >= 2*len(p.Quality)}, nil
	}
}
