package tsdpm

import (
	"context"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/lab"
)

// pairs are hosts, each without time shift and with it.
var pairs = func() (all []sampler) {
	for _, h := range []struct {
		name    string
		host    diffusion.Method
		perStep int
	}{
		{"DDIM", diffusion.DDIM{}, 1},
		{"DDPM", diffusion.DDIM{Eta: 1}, 1},
		{"S-PNDM", diffusion.PNDM{Start: diffusion.PseudoImprovedEuler, Order: 2}, 1},
		{"F-PNDM", diffusion.PNDM{}, 1},
		{"DPM-Solver-2", diffusion.DPMSolver{Form: diffusion.NoiseForm, Mode: diffusion.SinglestepFixed}, 2},
		{"DPM-Solver++(2M)", diffusion.DPMSolver{}, 1},
		{"tAB3-DEIS", diffusion.DEIS{}, 1},
	} {
		s := sampler{name: h.name, shift: diffusion.TimeShift{Host: h.host}, perStep: h.perStep}
		all = append(all, s)
		s.name, s.windows = shiftedName(h.name), true
		all = append(all, s)
	}
	return all
}()

// shiftedName is the name of a host with time shift.
func shiftedName(host string) string { return "TS-" + host }

// hosts asks what time shift does for other samplers.
func hosts() *lab.Experiment {
	return &lab.Experiment{
		Name:    "ts-dpm/hosts",
		Title:   "Time shift over other samplers: distance to the data over steps",
		Help:    "The mixtures of ts-dpm/oracle with an error of δ = 0.05, or what delta says, and every sampler with and without time shift, on a grid that is even in time. F-PNDM takes nine evaluations more than it has steps, DPM-Solver-2 two a step.",
		Cost:    steps,
		Quality: distance,
		Budget:  "steps",
		Version: 1,
		Params: append(windowParams(),
			lab.Param{Name: "delta", Help: "error δ of the model, a panel each", Kind: lab.Floats, Default: "0.05", Min: -0.5, Max: 0.5},
			lab.Param{Name: "nfe", Help: "numbers of steps", Kind: lab.Ints, Default: "10,20,50,100", At: map[lab.Size]string{lab.Quick: "10,20"}, Min: 5, Max: 1000},
			lab.Param{Name: "n", Help: "samples a seed", Kind: lab.Int, Default: "1000", At: map[lab.Size]string{lab.Quick: "100", lab.Full: "4000"}, Min: 2, Max: 100000},
			lab.Param{Name: "seeds", Help: "independent mixtures, data and start states", Kind: lab.Int, Default: "3", At: map[lab.Size]string{lab.Quick: "1", lab.Full: "10"}, Min: 1, Max: 1000},
		),
		Grid: func(v lab.Values) ([]lab.Cell, error) {
			var panels []string
			for _, d := range v.Floats("delta") {
				panels = append(panels, deltaPanel(d))
			}
			return cells(v, panels, pairs), nil
		},
		Run:    func(ctx context.Context, c lab.Cell) (lab.Outcome, error) { return runOracle(ctx, c, pairs) },
		Claims: hostClaims(),
	}
}

func hostClaims() []lab.Claim {
	panel := deltaPanel(0.05)
	improves := func(host string) []lab.Predicate {
		return lab.Beats(panel, shiftedName(host), host, 10, 20, 50)
	}
	var first, high []lab.Predicate
	for _, h := range []string{"DDIM", "DDPM", "S-PNDM", "F-PNDM"} {
		first = append(first, improves(h)...)
	}
	for _, h := range []string{"DPM-Solver-2", "tAB3-DEIS"} {
		high = append(high, improves(h)...)
	}
	return []lab.Claim{
		{
			Name:  "time shift improves DDIM, DDPM and PNDM",
			Text:  "At δ = 0.05 each of DDIM, DDPM, S-PNDM and F-PNDM is nearer to the data with time shift, at 10, 20 and 50 steps.",
			Paper: "better FID for DDPM, DDIM, S-PNDM and F-PNDM on CIFAR-10 and CelebA at 5 to 100 steps (tables)",
			Judge: lab.All(first...),
		},
		{
			Name:  "time shift improves high-order solvers",
			Text:  "At δ = 0.05 DPM-Solver-2 and tAB3-DEIS are nearer to the data with time shift, at 10, 20 and 50 steps.",
			Paper: "shown for DPM-Solver-2 and DEIS with 5 steps (settings of the released code)",
			Judge: lab.All(high...),
		},
		{
			Name:  "10 steps of F-PNDM with time shift beat 100 of DDIM",
			Text:  "At δ = 0.05 F-PNDM with time shift is nearer to the data with 10 steps than DDIM with 100.",
			Paper: "FID 3.88 on CIFAR-10 with 10 steps, 44.49 % better than F-PNDM and better than DDIM with 100 steps (abstract)",
			Judge: lab.All(lab.Less(lab.At(panel, shiftedName("F-PNDM"), 10), lab.At(panel, "DDIM", 100))),
		},
	}
}
