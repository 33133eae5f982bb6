package dcsolver

import (
	"testing"

	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/labtest"
)

func TestClaims(t *testing.T) {
	t.Setenv("ASSAY_CACHE", t.TempDir())
	few := map[string]string{"nfe": "5,6,8,10", "n": "64", "seeds": "3"}
	labtest.Claim(t, search(), "compensation improves UniPC", few, lab.Holds, map[string]string{dcBH1.Name: bh1.Name}, lab.Fails)
	labtest.Claim(t, search(), "10 noises suffice", few, lab.Holds, map[string]string{dcBH1.Name: dcM2.Name}, lab.Holds)
	labtest.Claim(t, search(), "compensation helps a predictor as well", few, lab.Holds, map[string]string{dcM2.Name: m2.Name}, lab.Fails)
}

// TestRegressionNeedsItsRatios: predicted ratios that are all 1 do not pass.
func TestRegressionNeedsItsRatios(t *testing.T) {
	if testing.Short() {
		t.Skip("searches 40 sets of ratios")
	}
	t.Setenv("ASSAY_CACHE", t.TempDir())
	e := regression()
	honest := e.Claims[0].Verdict(labtest.Run(t, e, nil, nil))
	if honest.Status == lab.Fails || honest.Status == lab.Undecided {
		t.Errorf("honest: %s: %s", honest.Status, honest.Reason)
	}
	if v := e.Claims[0].Verdict(labtest.Run(t, e, nil, map[string]string{dcCPR.Name: bh1.Name})); v.Status != lab.Fails {
		t.Errorf("without compensation: %s: %s", v.Status, v.Reason)
	}
}
