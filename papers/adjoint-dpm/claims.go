package adjointdpm

import "github.com/assay-lab/assay/lab"

func gradientClaims() []lab.Claim {
	at := func(panel string, r rival, n float64) lab.Term { return lab.At(panel, r.name, n) }
	var exact []lab.Predicate
	for _, panel := range []string{starts, params} {
		for _, r := range []rival{eulerD, midpointD, rk4D} {
			for _, n := range []float64{10, 20, 40} {
				exact = append(exact, lab.AtMost(lab.MetricAt(panel, r.name, n, differences), lab.Number(1e-6)))
			}
		}
	}
	return []lab.Claim{
		{
			Name:  "the adjoint ODE by rk4 is accurate",
			Text:  "The continuous adjoint by the 3/8 rule has a relative error of at most 3e-4 in the gradient of the start states with 20 steps, and at most an eighth of it with 40.",
			Paper: "gradients of the noise, by the adjoint ODE in the changed variables (sections 3 and 4)",
			Judge: lab.All(
				lab.AtMost(at(starts, rk4C, 20), lab.Number(3e-4)),
				lab.AtLeast(at(starts, rk4C, 20).Over(at(starts, rk4C, 40)), lab.Number(8))),
		},
		{
			Name:  "the discrete gradient is that of the sampler",
			Text:  "The transposed sampler agrees with finite differences of the sampler to a relative 1e-6, for Euler, midpoint and the 3/8 rule, in start states and parameters.",
			Judge: lab.All(exact...),
		},
		{
			Name: "low-order continuous gradients of the noise are wrong",
			Text: "With Euler and midpoint the continuous gradient of the start states has a relative error above 0.1 at 10, 20 and 40 steps, where the discrete one of the same sampler is the nearer one.",
			Judge: lab.All(
				lab.More(at(starts, eulerC, 10), lab.Number(.1)), lab.More(at(starts, eulerC, 20), lab.Number(.1)), lab.More(at(starts, eulerC, 40), lab.Number(.1)),
				lab.More(at(starts, midpointC, 10), lab.Number(.1)), lab.More(at(starts, midpointC, 20), lab.Number(.1)), lab.More(at(starts, midpointC, 40), lab.Number(.1)),
				lab.Less(at(starts, eulerD, 10), at(starts, eulerC, 10)), lab.Less(at(starts, eulerD, 20), at(starts, eulerC, 20)), lab.Less(at(starts, eulerD, 40), at(starts, eulerC, 40)),
				lab.Less(at(starts, midpointD, 10), at(starts, midpointC, 10)), lab.Less(at(starts, midpointD, 20), at(starts, midpointC, 20)), lab.Less(at(starts, midpointD, 40), at(starts, midpointC, 40))),
		},
	}
}

// spare is the room of one evaluation with its product, in states: the state, the
// prediction, the gradient before and behind.
const spare = 4

func memoryClaim() lab.Claim {
	var ps []lab.Predicate
	for _, w := range widths {
		for _, r := range []rival{kept, keptD} {
			for _, n := range []float64{10, 20, 200} {
				ps = append(ps, lab.AtMost(lab.MetricAt(widthPanel(w), r.name, n, states), lab.Number(n+2+spare)))
			}
		}
	}
	for _, w := range widths[1:] {
		ps = append(ps, lab.Within(lab.At(widthPanel(w), kept.name, 20).Over(lab.At(widthPanel(widths[0]), kept.name, 20)), 1, 1),
			lab.More(lab.At(widthPanel(w), plain.name, 20), lab.At(widthPanel(widths[0]), plain.name, 20)))
	}
	return lab.Claim{
		Name:  "kept states cost N + 2 states, whatever the network",
		Text:  "Keeping the states of the grid takes at most N + 2 states beyond the four of one evaluation with its product, with 10, 20 and 200 steps, and the same for networks of width 8, 64 and 512, whereas plain back-propagation grows with the width.",
		Paper: "memory constant in the depth of the network's graph: no activations are kept (section 3)",
		Judge: lab.All(ps...),
	}
}

func constantClaim() lab.Claim {
	var ps []lab.Predicate
	for _, w := range widths {
		for _, r := range []rival{none, noneD} {
			ps = append(ps, lab.Within(lab.At(widthPanel(w), r.name, 200).Over(lab.At(widthPanel(w), r.name, 10)), .9, 1.1))
		}
	}
	return lab.Claim{
		Name:  "without kept states memory does not depend on the steps",
		Text:  "Integrating the state back takes the same memory with 10 and with 200 steps, to 10 %.",
		Paper: "memory constant in the number of steps, by solving the state backwards (section 3)",
		Judge: lab.All(ps...),
	}
}

func reparametrisationClaim() lab.Claim {
	var ps []lab.Predicate
	for _, panel := range []string{onePanel, narrowPanel} {
		for _, n := range []float64{10, 20} {
			ps = append(ps, lab.AtMost(lab.At(panel, onRho.Name, n), lab.At(panel, onT.Name, n).Times(.65)))
		}
	}
	return lab.Claim{
		Name:  "the change of variables helps on narrow data",
		Text:  "On narrow data, of one and of two components, Euler's method in the paper's variables has at most 0.65 times the error of Euler's method on the raw ODE, with 10 and with 20 steps.",
		Paper: "the reparametrised ODE has a smaller discretization error (section 3.2)",
		Judge: lab.All(ps...),
	}
}

func conditionClaim() lab.Claim {
	return lab.Claim{
		Name:  "Euler's continuous gradient finds a condition",
		Text:  "In 60 steps of Adam through 20 steps of Euler the loss falls at least twentyfold, and the condition found is within 5 % of that found with the discrete gradient.",
		Paper: "text embeddings found by the adjoint method, and weights fine-tuned (section 5)",
		Judge: lab.All(
			lab.AtMost(lab.At("", eulerC.name, adamSteps), lab.Number(1./20)),
			lab.AtMost(lab.MetricAt("", eulerC.name, adamSteps, apart), lab.Number(.05))),
	}
}

func digitsClaim() lab.Claim {
	var ps []lab.Predicate
	for _, panel := range []string{noisePanel, embeddingPanel} {
		for _, control := range []string{jacobian, chance} {
			ps = append(ps, lab.AtMost(lab.At(panel, through, 20), lab.At(panel, control, 20).Times(.5)))
		}
	}
	return lab.Claim{
		Name:  "a trained network is guided to another digit",
		Text:  "After 20 iterations the gradient through the run has at most half the negative log probability of the wanted digit that is left by the gradient without the network's Jacobian, and by random search with as many calls, for the start noise and for the embedding.",
		Paper: "noise, text embeddings and weights follow a loss of the final image (section 5)",
		Judge: lab.All(ps...),
	}
}
