package diffusion

import (
	"fmt"
	"strings"
)

// A NamedMethod is a method under the name that users know it by.
type NamedMethod struct {
	Name   string
	Doc    string // one line
	Method Method
}

// Methods lists the methods by name.
func Methods() []NamedMethod { return append([]NamedMethod(nil), methods...) }

var methods = []NamedMethod{
	{"ddim", "DDIM, Song et al. 2021: order 1; --eta 1 is the ancestral sampler", DDIM{}},
	{"dpmpp-1", "DPM-Solver++ of order 1, which is DDIM", DPMSolver{Order: 1}},
	{"dpmpp-2s", "DPM-Solver++(2S), Lu et al. 2022: singlestep, order 2", DPMSolver{Mode: Singlestep}},
	{"dpmpp-3s", "DPM-Solver++(3S): singlestep, order 3", DPMSolver{Mode: Singlestep, Order: 3}},
	{"dpmpp-2m", "DPM-Solver++(2M): multistep, order 2; the usual choice under guidance", DPMSolver{}},
	{"dpmpp-2m-heun", "DPM-Solver++(2M) with the exact linear term", DPMSolver{Expansion: Taylor}},
	{"dpmpp-3m", "DPM-Solver++(3M) as the authors' code has it (second order in fact)", DPMSolver{Order: 3}},
	{"dpmpp-3m-corrected", "DPM-Solver++(3M) with the second derivative corrected: order 3", DPMSolver{Order: 3, ThirdOrder: Corrected}},
	{"dpmpp-2m-sde", "SDE-DPM-Solver++(2M): stochastic, midpoint", DPMSolver{Eta: 1}},
	{"dpmpp-2m-sde-heun", "SDE-DPM-Solver++(2M): stochastic, exact linear term", DPMSolver{Eta: 1, Expansion: Taylor}},
	{"dpmpp-3m-sde", "SDE-DPM-Solver++(3M) with exact weights", DPMSolver{Eta: 1, Order: 3, ThirdOrder: Corrected}},
	{"dpm-fast-2", "DPM-Solver-2, noise form: singlestep, order 2", DPMSolver{Form: NoiseForm, Mode: Singlestep}},
	{"dpm-fast-3", "DPM-Solver-fast, noise form: singlestep, order 3", DPMSolver{Form: NoiseForm, Mode: Singlestep, Order: 3}},
	{"dpm-2m", "DPM-Solver of order 2, noise form: multistep", DPMSolver{Form: NoiseForm}},
	{"pndm", "F-PNDM, Liu et al. 2022: Runge–Kutta start, then order 4; wants a time-uniform grid", PNDM{VariableStep: true}},
	{"s-pndm", "S-PNDM: improved Euler start, then order 2", PNDM{Start: PseudoImprovedEuler, Order: 2, VariableStep: true}},
	{"plms", "PLMS: improved Euler start, then rising to order 4", PNDM{Start: PseudoImprovedEuler, VariableStep: true}},
	{"ipndm", "iPNDM, Zhang & Chen 2023: rising to order 4 from the first step", PNDM{Start: PseudoEuler, VariableStep: true}},
	{"deis-tab1", "tAB1-DEIS, Zhang & Chen 2023: exponential integrator, linear in time", DEIS{Order: 1}},
	{"deis-tab2", "tAB2-DEIS: quadratic in time", DEIS{Order: 2}},
	{"deis-tab3", "tAB3-DEIS: cubic in time; strong at 5 to 15 evaluations without guidance", DEIS{}},
	{"deis-rhoab3", "ρAB3-DEIS: cubic in σ/α", DEIS{Variable: Rho}},
	{"rho-heun", "ρ2Heun-DEIS, the sampler of Karras et al. 2022: two evaluations a step", RhoRK{}},
	{"rho-kutta", "ρ3Kutta-DEIS: three evaluations a step", RhoRK{Tableau: Tableaux[3]}},
	{"edm", "Heun's method of Karras et al. 2022 on their grid: two evaluations a step", KarrasHeun{}},
	{"edm-churn", "edm with fresh noise in the middle, as Kim & Ye 2023 set it", Churned},
	{"reverse-diffusion", "the reversed variance-exploding process, Song et al. 2021: stochastic", ReverseDiffusion{}},
	{"ve-ancestral", "reverse-diffusion with the posterior's noise", ReverseDiffusion{Ancestral: true}},
	{"pc", "predictor–corrector: reverse-diffusion with a Langevin step before each", ReverseDiffusion{Corrector: Langevin{Steps: 1, Each: true}}},
	{"euler-maruyama", "Euler–Maruyama on the reverse variance-exploding SDE", EulerMaruyama{}},
	{"unipc", "UniPC-3 (bh1), Zhao et al. 2023: predictor–corrector, order 3", UniPC{}},
	{"unipc-bh2", "UniPC-3 (bh2)", UniPC{BH: BH2}},
	{"bdia-ddim", "BDIA-DDIM, Zhang et al. 2024, γ = 1: second order from 40 steps on; can be inverted exactly", BDIA{}},
	{"bdia-ddim-half", "BDIA-DDIM with γ = 0.5: for some 10 steps", BDIA{Gamma: 0.5}},
	{"bdia-edm", "BDIA-EDM, γ = 1: Heun's method with the backward slope reused; two evaluations a step", BDIA{Base: RhoRK{}}},
	{"bdia-dpmpp-2s", "BDIA over DPM-Solver++(2S), γ = 0.5: two evaluations a step", BDIA{Base: DPMSolver{Mode: Singlestep}, Gamma: 0.5}},
	{"ghvb", "GHVB 3.8, Wizadwongsa et al. 2024: PLMS with momentum, for strong guidance in few steps; ghvb-2.3 is steadier", Momentum{}},
	{"plms-hb", "PLMS 4 with heavy-ball momentum 0.8; plms-hb-3.5 is steadier", Momentum{Kind: Polyak}},
	{"dpmpp-2m-hb", "DPM-Solver++(2M) with heavy-ball momentum 0.8", HeavyBall{}},
	{"unipc-hb", "UniPC-3 (bh1) with heavy-ball momentum 0.8", HeavyBall{Base: UniPC{}}},
}

// MethodNamed returns the method of that name. Names of methods with momentum can
// end in an order number: ghvb-2.3, plms-hb-3.8, plms-nt-2.5, ltsp-3.8.
func MethodNamed(name string) (Method, error) {
	names := make([]string, len(methods))
	for i, m := range methods {
		if m.Name == name {
			return m.Method, nil
		}
		names[i] = m.Name
	}
	if m, ok, err := ParseMomentum(name); ok {
		return m, err
	}
	return nil, fmt.Errorf("diffusion: method %q: must be one of %s", name, strings.Join(names, ", "))
}

// WithEta returns the method with that η, if it has one to set.
func WithEta(m Method, eta float64) (Method, error) {
	e, ok := m.(interface{ WithEta(float64) Method })
	if !ok {
		return nil, fmt.Errorf("diffusion: %T is deterministic: eta cannot be set", m)
	}
	return e.WithEta(eta), nil
}
