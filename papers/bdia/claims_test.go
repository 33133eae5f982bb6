package bdia

import (
	"context"
	"testing"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/labtest"
)

func TestInversionClaims(t *testing.T) {
	t.Setenv("ASSAY_CACHE", t.TempDir())
	e := inversion()
	swap := func(by string) map[string]string {
		m := map[string]string{}
		for _, gamma := range retraced {
			m[bdiaName(gamma)] = by
		}
		return m
	}
	labtest.Claim(t, e, "the inversion is exact at no extra calls", nil, lab.Holds, swap(ddimInversion), lab.HoldsInPart)
	labtest.Claim(t, e, "the inversion is exact at no extra calls", nil, lab.Holds, swap(bdiaName(0.5)), lab.HoldsInPart) // rounding
	labtest.Claim(t, e, "the inversion is exact at no extra calls", nil, lab.Holds, swap(coupling), lab.HoldsInPart)      // twice the calls
	labtest.Claim(t, e, "the way back is computed, not remembered", nil, lab.Holds, swap(stored), lab.Fails)
	labtest.Claim(t, e, "on a lattice every bit comes back", nil, lab.Holds, swap(bdiaName(0.96)), lab.Undecided) // no lattice there
	labtest.Claim(t, e, "exactness needs the pair", nil, lab.Holds, map[string]string{bdiaName(1): bdiaName(1) + noiseAlone}, lab.HoldsInPart)
	labtest.Claim(t, e, "exactness needs the pair", nil, lab.Holds, map[string]string{bdiaName(1) + noiseAlone: bdiaName(1)}, lab.HoldsInPart)
}

func TestSamplingClaims(t *testing.T) {
	t.Setenv("ASSAY_CACHE", t.TempDir())
	e := samplingExperiment()
	half, one := bdiaName(0.5), bdiaName(1)
	// In part: the order from 80 to 320 evaluations is 1.6, see the page.
	const law = "γ = 1 is of second order, and the error follows the law in between"
	honest := labtest.Run(t, e, nil, nil)
	v := claim(t, e, law).Verdict(honest)
	for i, f := range v.Figures {
		if f.OK == (i == 2) { // all but the order hold
			t.Errorf("%s: %s = %g, wanted %s: %v", law, f.Name, f.Value, f.Want, f.OK)
		}
	}
	labtest.Claim(t, e, law, nil, lab.HoldsInPart, map[string]string{one: ddim.Name, half: one}, lab.Fails)
	labtest.Claim(t, e, "at 10 steps even in log SNR γ = 0.5 is best", map[string]string{"nfe": "10"}, lab.Holds, map[string]string{half: one}, lab.Fails)
	labtest.Claim(t, e, "at 10 steps even in log SNR γ = 0.5 is best", map[string]string{"nfe": "10"}, lab.Holds, map[string]string{half: coupling}, lab.Fails)
	labtest.Claim(t, overEDM(), edmClaim().Name, map[string]string{"nfe": "20,40,80"}, lab.Holds,
		map[string]string{reuse1.Name: full1.Name, reuse5.Name: full1.Name}, lab.Fails)
}

func claim(t *testing.T, e *lab.Experiment, name string) lab.Claim {
	t.Helper()
	for _, c := range e.Claims {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("%s has no claim %q", e.Name, name)
	return lab.Claim{}
}

func TestDigitsClaim(t *testing.T) {
	e := digits()
	labtest.Claim(t, e, e.Claims[0].Name, map[string]string{"steps": "5", "n": "1"}, lab.Holds,
		map[string]string{bdiaName(1): bdiaName(1) + noiseAlone, bdiaName(0.96): ddimInversion}, lab.HoldsInPart)
}

// TestLawOfOrder shows where the order of the first claim is lost: the grid even in
// time ends at t = 0.001, where σ/α grows as √t and neighbouring steps differ however
// many there are. On a grid that ends at 0.1 the order is two.
func TestLawOfOrder(t *testing.T) {
	t.Setenv("ASSAY_CACHE", t.TempDir())
	p, _, _, err := smooth()
	if err != nil {
		t.Fatal(err)
	}
	p.TEnd = 0.1
	e := samplingExperiment()
	v, err := e.Resolve(lab.Quick, map[string]string{"n": "16"})
	if err != nil {
		t.Fatal(err)
	}
	var errs []float64
	for _, n := range []float64{80, 320} {
		o, err := against(context.Background(), lab.Cell{Method: bdiaName(1), Budget: n, Values: v}, p, samplers(v), diffusion.TimeUniform)
		if err != nil {
			t.Fatal(err)
		}
		errs = append(errs, o.Quality)
	}
	if r := errs[0] / errs[1]; r < 13 || r > 19 { // 16 for order two
		t.Errorf("the error falls by %.1f from 80 to 320 steps, want some 16", r)
	}
}

func TestRefuses(t *testing.T) {
	for _, e := range []*lab.Experiment{inversion(), samplingExperiment(), overEDM()} {
		v, err := e.Resolve(lab.Quick, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Run(context.Background(), lab.Cell{Panel: e.Name, Method: "Euler", Budget: 10, Values: v}); err == nil {
			t.Errorf("%s: an unknown rival is accepted", e.Name)
		}
	}
	for name, set := range map[string]map[string]string{
		"γ above 1": {"gamma": "1.2"},
		"one step":  {"steps": "1"},
		"no images": {"n": "0"},
	} {
		if _, err := digits().Resolve(lab.Quick, set); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	if _, _, err := realDigits(1000, 2); err == nil {
		t.Error("more digits than there are unseen ones are given")
	}
}

// In part: the picture moves further than by DDIM's inversion, see the page.
func TestEditingClaim(t *testing.T) {
	if testing.Short() {
		t.Skip("edits with a network, four times")
	}
	e := editing()
	labtest.Claim(t, e, e.Claims[0].Name, map[string]string{"steps": "20", "n": "4"}, lab.HoldsInPart,
		map[string]string{bdiaName(0.96): coupling}, lab.Fails)
	labtest.Claim(t, e, e.Claims[0].Name, map[string]string{"steps": "20", "n": "4"}, lab.HoldsInPart,
		map[string]string{ddimInversion: coupling}, lab.Holds)
}
