package mrs

import (
	"github.com/assay-lab/assay/internal/degrade"
	"github.com/assay-lab/assay/lab"
)

func convergenceClaims() []lab.Claim {
	at := func(r rival, n float64) lab.Term { return lab.At("", r.Name, n) }
	order := func(r rival) lab.Term { return lab.Order("", r.Name, 20, 80) }
	return []lab.Claim{
		{
			Name:  "10 evaluations do what Euler needs 80 for",
			Text:  "The second-order ODE in noise form is at 10 evaluations at least as near to the exact solution as Euler's method at 80, both in the process's own time ∫θ (as a table of 80 entries has it) and with θ taken at the start of the step.",
			Paper: "10 to 20 times fewer evaluations than posterior or Euler sampling with 100 steps, at equal quality, on ten restoration tasks (abstract)",
			Judge: lab.All(
				lab.AtMost(at(ode2noise, 10), at(eulerOwn, 80)),
				lab.AtMost(at(ode2noise, 10), at(euler, 80))),
		},
		{
			Name: "orders of convergence",
			Text: "Between 20 and 80 evaluations the first-order ODE converges at order 0.9 to 1.1, the second-order one at 1.6 at least, in both forms.",
			Judge: lab.All(
				lab.Within(order(ode1), .9, 1.1),
				lab.AtLeast(order(ode2noise), lab.Number(1.6)),
				lab.AtLeast(order(ode2), lab.Number(1.6))),
		},
	}
}

func stabilityClaims() []lab.Claim {
	at := func(r rival, n float64) lab.Term { return lab.At("", r.Name, n) }
	return []lab.Claim{{
		Name:  "the data form is stable where the noise form is not",
		Text:  "At 5 evaluations the second-order SDE in data form has at most a fifth of the noise form's distance to the data.",
		Paper: "data prediction is more stable than noise prediction when evaluations are few (abstract)",
		Judge: lab.All(lab.AtMost(at(sde2, 5), at(sde2noise, 5).Times(.2))),
	}}
}

func restorationClaims() []lab.Claim {
	var ps []lab.Predicate
	for _, task := range degrade.Names() {
		at := func(r rival, n float64) lab.Term { return lab.At(task, r.Name, n) }
		ps = append(ps,
			lab.AtLeast(at(ode2, 10), at(posterior, 100)),
			lab.AtLeast(at(ode2, 10), at(eulerSDE, 100)),
			lab.AtMost(lab.MetricAt(task, ode2.Name, 10, featureDistance), lab.MetricAt(task, posterior.Name, 100, featureDistance)))
	}
	return []lab.Claim{{
		Name:  "10 evaluations restore as well as 100",
		Text:  "On each task the second-order ODE in data form has at 10 evaluations at least the PSNR of posterior and of Euler sampling at 100, and a feature distance at most that of posterior sampling.",
		Paper: "10 to 20 times fewer evaluations than posterior or Euler sampling with 100 steps, at equal quality, on ten restoration tasks (abstract)",
		Judge: lab.All(ps...),
	}}
}
