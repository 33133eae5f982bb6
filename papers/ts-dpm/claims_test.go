package tsdpm

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/labtest"
)

// memo holds the outcomes of cells that several claims look at.
var memo = map[string]lab.Outcome{}

// only keeps the cells of some rivals, so that a claim's test runs nothing else, and
// runs none twice.
func only(e *lab.Experiment, names ...string) *lab.Experiment {
	grid, run := e.Grid, e.Run
	e.Grid = func(v lab.Values) ([]lab.Cell, error) {
		cs, err := grid(v)
		return slices.DeleteFunc(cs, func(c lab.Cell) bool { return !slices.Contains(names, c.Method) }), err
	}
	e.Run = func(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
		key := e.Name + c.String() + c.Values["n"]
		if o, ok := memo[key]; ok {
			return o, nil
		}
		o, err := run(ctx, c)
		memo[key] = o
		return o, err
	}
	return e
}

func set(delta, nfe, n string) map[string]string {
	return map[string]string{"delta": delta, "nfe": nfe, "n": n, "seeds": "3"}
}

// TestOracleClaims: where thresholds are near it takes the samples of desk size; the
// rest stands out with fewer.
func TestOracleClaims(t *testing.T) {
	labtest.Claim(t, only(oracle(), plain.name, shifted.name), "time shift repairs a model that predicts too much noise", set("0.05", "20,50", "1500"), lab.Holds, map[string]string{shifted.name: plain.name}, lab.Fails)
	labtest.Claim(t, only(oracle(), plain.name, target.name), "the released coupling repairs it as well", set("0.05", "20,50", "1500"), lab.Fails, map[string]string{target.name: shifted.name}, lab.Holds)
	if !testing.Short() { // some per cent of difference need many samples
		labtest.Claim(t, only(oracle(), plain.name, shifted.name), "an error of the other sign does no harm", set("-0.03", "20,50", "1500"), lab.Holds, map[string]string{shifted.name: target.name}, lab.Fails)
	}
	labtest.Claim(t, only(oracle(), shifted.name, withData.name), "knowing the data's variance helps", set("0.05,0", "20", "200"), lab.Holds, map[string]string{withData.name: target.name}, lab.HoldsInPart)
	few := set("0", "20,50", "200")
	exact := only(oracle(), plain.name, shifted.name)
	const harmless = "time shift does little harm to an exact model"
	labtest.Claim(t, exact, harmless, few, lab.Holds, nil, lab.Holds)
	honest := exact.Run // a sampler that leaves the exact model for an inexact one
	exact.Run = func(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
		if c.Method == shifted.name {
			c.Panel = deltaPanel(0.05)
		}
		return honest(ctx, c)
	}
	labtest.Claim(t, exact, harmless, few, lab.Fails, nil, lab.Fails)
}

func TestHostClaims(t *testing.T) {
	var names []string
	undone := map[string]string{}
	for _, h := range []string{"DDIM", "DDPM", "S-PNDM", "F-PNDM"} {
		names = append(names, h, shiftedName(h))
		undone[h], undone[shiftedName(h)] = h, h
	}
	few := set("0.05", "10,20,50", "100")
	labtest.Claim(t, only(hosts(), names...), "time shift improves DDIM, DDPM and PNDM", few, lab.HoldsInPart, undone, lab.Fails)
	undone = map[string]string{}
	names = nil
	for _, h := range []string{"DPM-Solver-2", "tAB3-DEIS"} {
		names = append(names, h, shiftedName(h))
		undone[shiftedName(h)] = h
	}
	labtest.Claim(t, only(hosts(), names...), "time shift improves high-order solvers", few, lab.HoldsInPart, undone, lab.Fails)
	few["nfe"] = "10,100"
	labtest.Claim(t, only(hosts(), "DDIM", shiftedName("F-PNDM")), "10 steps of F-PNDM with time shift beat 100 of DDIM", few, lab.Fails,
		map[string]string{shiftedName("F-PNDM"): "DPM-Solver-2"}, lab.Holds)
}

func TestNetworkClaims(t *testing.T) {
	t.Setenv("ASSAY_CACHE", t.TempDir())
	less := sampler{name: "too little noise predicted", scale: 1.2}
	honest, honestBias := networkSamplers, biasSamplers
	defer func() { networkSamplers, biasSamplers = honest, honestBias }()
	networkSamplers, biasSamplers = append(slices.Clone(honest), less), append(slices.Clone(honestBias), less)
	small := map[string]string{"nfe": "10,20", "n": "20"}
	labtest.Claim(t, only(bias(), plain.name), "few steps make a trained network's states too noisy", small, lab.Fails, map[string]string{plain.name: less.name}, lab.Holds)
	if testing.Short() { // hundreds of digits are drawn
		return
	}
	many := map[string]string{"nfe": "10,20", "n": "100", "seeds": "2"}
	labtest.Claim(t, only(denoiser(), plain.name, shifted.name), "time shift improves DDIM on a trained network", many, lab.Fails, map[string]string{plain.name: less.name, shifted.name: plain.name}, lab.Holds)
}

// TestAdvice: the measurement is said in words.
func TestAdvice(t *testing.T) {
	for ratio, want := range map[float64]string{1.001: "the right variance", 1.05: "5.0 % too much variance", 0.9: "10.0 % too little variance"} {
		if got := varianceOff(ratio); !strings.Contains(got, want) {
			t.Errorf("%g: %q, want %q", ratio, got, want)
		}
	}
}

func TestUnknown(t *testing.T) {
	for _, e := range Experiments() {
		v, err := e.Resolve(lab.Quick, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Run(context.Background(), lab.Cell{Panel: "δ = 0", Method: "magic", Budget: 10, Values: v}); err == nil {
			t.Errorf("%s: an unknown rival is run", e.Name)
		}
	}
	if _, err := runOracle(context.Background(), lab.Cell{Panel: "guidance 3", Method: plain.name}, oracleSamplers); err == nil {
		t.Error("an unknown panel is run")
	}
}
