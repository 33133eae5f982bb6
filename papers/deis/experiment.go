package deis

import (
	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/lab"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
	"github.com/assay-lab/assay/papers/internal/nets"
)

// Experiments lists the paper's experiments, the main one first.
func Experiments() []*lab.Experiment {
	return []*lab.Experiment{ablation(), convergence(), onNetwork()}
}

var (
	euler    = mixture.Rival{Name: "Euler on the ODE", Method: mixture.RawEuler{}}
	score    = mixture.Rival{Name: "exponential Euler, score", Method: scoreEuler{}}
	ddim     = mixture.Rival{Name: "DDIM", Method: diffusion.PNDM{Order: 1}, Spacing: diffusion.TimeQuadratic}
	tab1     = mixture.Rival{Name: "tAB1-DEIS", Method: diffusion.DEIS{Order: 1}}
	tab2     = mixture.Rival{Name: "tAB2-DEIS", Method: diffusion.DEIS{Order: 2}}
	tab3     = mixture.Rival{Name: "tAB3-DEIS", Method: diffusion.DEIS{}}
	tab3u    = mixture.Rival{Name: "tAB3-DEIS, uniform grid", Method: diffusion.DEIS{}, Spacing: diffusion.TimeUniform}
	rhoab3   = mixture.Rival{Name: "ρAB3-DEIS", Method: diffusion.DEIS{Variable: diffusion.Rho}}
	rhoHeun  = mixture.Rival{Name: "ρ2Heun-DEIS", Method: diffusion.RhoRK{}, Spacing: diffusion.TimeQuadratic, PerStep: 2}
	rhoKutta = mixture.Rival{Name: "ρ3Kutta-DEIS", Method: diffusion.RhoRK{Tableau: kutta()}, Spacing: diffusion.TimeQuadratic, PerStep: 3}
	ipndm    = mixture.Rival{Name: "iPNDM", Method: diffusion.PNDM{Start: diffusion.PseudoEuler}}
	fast3    = mixture.Rival{Name: "DPM-Solver-fast-3", Method: diffusion.DPMSolver{Form: diffusion.NoiseForm, Mode: diffusion.Singlestep, Order: 3}, Least: 3}
	m2       = mixture.Rival{Name: "DPM-Solver++(2M)", Method: diffusion.DPMSolver{}, Least: 2}
)

func kutta() diffusion.Tableau {
	t, err := diffusion.TableauNamed("3kutta")
	if err != nil {
		panic(err)
	}
	return t
}

var (
	overlap = mixture.Setting{Problem: "overlap8", Schedule: "vp-linear"}
	packed  = mixture.Setting{Problem: "packed16", Schedule: "vp-linear"}
	guided  = mixture.Setting{Problem: "packed16-cfg", Schedule: "vp-linear", Guidance: 7.5}
	smooth  = mixture.Setting{Problem: "smooth", Schedule: "vp-linear", End: 1e-2}
)

func ablation() *lab.Experiment {
	return mixture.Arena{
		Name:     "deis/ablation",
		Title:    "The ingredients of DEIS: error over network evaluations",
		Help:     "Two unconditional mixtures of Gaussians, and one guided at 7.5, on the linear VP schedule. All methods use the grid that is even in √t, but for the uniform one and the solvers of other papers, which use their own.",
		Settings: []mixture.Setting{overlap, packed, guided},
		Rivals:   []mixture.Rival{euler, score, ddim, tab1, tab2, tab3, tab3u, rhoab3, rhoHeun, rhoKutta, ipndm, fast3, m2},
		Budgets:  map[lab.Size]string{lab.Quick: "10,20", lab.Desk: "5,8,10,15,20,30,50", lab.Full: "5,6,8,10,12,15,20,25,30,50,100"},
		Claims:   ablationClaims(),
	}.Experiment()
}

func convergence() *lab.Experiment {
	u := func(r mixture.Rival) mixture.Rival { r.Spacing = diffusion.TimeUniform; return r }
	return mixture.Arena{
		Name:     "deis/convergence",
		Title:    "Order of convergence of tAB-DEIS",
		Help:     "Three Gaussians in two dimensions on the linear VP schedule from t = 1 to 0.01, steps evenly in time. On logarithmic axes a method of order p is a line of slope −p.",
		Settings: []mixture.Setting{smooth},
		Rivals:   []mixture.Rival{u(ddim), u(tab1), u(tab2), u(tab3)},
		Budgets:  map[lab.Size]string{lab.Quick: "50,100,200", lab.Desk: "25,50,100,200,400"},
		Claims:   []lab.Claim{orderClaim()},
	}.Experiment()
}

func ablationClaims() []lab.Claim {
	at := func(s mixture.Setting, r mixture.Rival, n float64) lab.Term { return lab.At(s.String(), r.Name, n) }
	var orders []lab.Predicate
	for _, n := range []float64{10, 15, 20} {
		orders = append(orders, lab.Less(at(overlap, tab1, n), at(overlap, ddim, n)),
			lab.Less(at(overlap, tab2, n), at(overlap, tab1, n)), lab.Less(at(overlap, tab3, n), at(overlap, tab2, n)))
	}
	return []lab.Claim{
		{
			Name:  "every order of the polynomial helps",
			Text:  "On overlap8 the error falls strictly from DDIM over tAB1 and tAB2 to tAB3, at 10, 15 and 20 evaluations.",
			Paper: "polynomial extrapolation improves FID at every number of evaluations (ablation on CIFAR-10)",
			Judge: lab.All(orders...),
		},
		{
			Name:  "tAB3 at 10 evaluations is far ahead of DDIM",
			Text:  "tAB3-DEIS has at most a quarter of DDIM's error at 10 evaluations.",
			Paper: "FID 4.17 on CIFAR-10 at 10 evaluations, 3.37 at 15 (abstract)",
			Judge: lab.All(
				lab.AtMost(at(overlap, tab3, 10), at(overlap, ddim, 10).Times(0.25)),
				lab.AtMost(at(packed, tab3, 10), at(packed, ddim, 10).Times(0.25))),
		},
		{
			Name:  "the grid matters",
			Text:  "tAB3-DEIS is better on the grid even in √t than on the one even in t, at 10 evaluations.",
			Paper: "the time grid is the last ingredient of the ablation, and helps",
			Judge: lab.All(
				lab.Less(at(overlap, tab3, 10), at(overlap, tab3u, 10)),
				lab.Less(at(packed, tab3, 10), at(packed, tab3u, 10))),
		},
		{
			Name:  "the exponential integrator alone helps",
			Text:  "DDIM, the exponential integrator on the noise prediction, beats both Euler's method on the ODE and the exponential integrator on the score, at 10 evaluations.",
			Paper: "the first rungs of the ablation: Euler, then the exponential integrator, then the noise parametrisation",
			Judge: lab.All(
				lab.Less(at(overlap, ddim, 10), at(overlap, euler, 10)), lab.Less(at(packed, ddim, 10), at(packed, euler, 10)),
				lab.Less(at(overlap, ddim, 10), at(overlap, score, 10)), lab.Less(at(packed, ddim, 10), at(packed, score, 10))),
		},
	}
}

func orderClaim() lab.Claim {
	order := func(r mixture.Rival) lab.Term { return lab.Order(smooth.String(), r.Name, 50, 200) }
	return lab.Claim{
		Name: "orders of convergence",
		Text: "tAB-DEIS with polynomials of degree r converges at order r + 1 before the first-order first step shows.",
		Judge: lab.All(
			lab.Within(order(tab1), 1.8, 2.1),
			lab.More(order(tab2), lab.Number(2.6)),
			lab.More(order(tab3), lab.Number(3.4))),
	}
}

// scoreEuler is the exponential integrator with the score −ε/σ held constant over
// the step: x' = Ψx + (Ψ − 1)·score, Ψ = α'/α.
type scoreEuler struct{}

// Spacing is that of DEIS.
func (scoreEuler) Spacing() diffusion.Spacing { return diffusion.TimeQuadratic }

// Trace writes the method down.
func (scoreEuler) Trace(t *diffusion.Tracer, g diffusion.Grid) error {
	ls, err := g.Levels(g.Steps)
	if err != nil {
		return err
	}
	x := t.Input()
	for i := range g.Steps {
		from, to := ls[i], ls[i+1]
		psi := to.Alpha / from.Alpha
		x = t.Step(x.Mul(psi).Add(-(psi-1)/from.Sigma, t.Eval(x, from, diffusion.Noise)), to)
	}
	t.Return(x)
	return nil
}

// onNetwork is the same question on a trained network.
func onNetwork() *lab.Experiment {
	return nets.Arena{
		Name:     "deis/denoiser",
		Title:    "DEIS on a trained network: error over network evaluations",
		Help:     "A network trained on handwritten digits, or one that you bring as an ONNX file. The error is the distance, in a pixel's units of [−1, 1], to the same network's own solution with 1000 steps from the same start.",
		Rivals:   []mixture.Rival{ddim, tab1, tab2, tab3, rhoab3, ipndm, m2},
		Budgets:  map[lab.Size]string{lab.Quick: "10,15", lab.Desk: "5,8,10,15,20,30"},
		Guidance: "1",
		Claims: []lab.Claim{{
			Name:  "tAB3 beats DDIM on a trained network",
			Text:  "tAB3-DEIS is nearer to the network's own exact solution than DDIM at 10 and 15 evaluations.",
			Paper: "FID 4.17 on CIFAR-10 at 10 evaluations, 3.37 at 15 (abstract)",
			Judge: func(c lab.Curves) lab.Verdict {
				panel := c.Panels()[0]
				return lab.All(lab.Beats(panel, tab3.Name, ddim.Name, 10, 15)...)(c)
			},
		}},
	}.Experiment()
}
