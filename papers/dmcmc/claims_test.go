package dmcmc

import (
	"testing"

	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/labtest"
)

// TestClaims at quick size: what desk size finds, and otherwise with chains that are
// denoised from the top, or that have all started in one mode.
func TestClaims(t *testing.T) {
	e := calls([]rival{kar1, dlgKAR1, kar2, dlgKAR2})
	halves := e.Claims[0]
	for _, tt := range []struct {
		name    string
		cripple string
		want    lab.Status
	}{
		{"honest", "", lab.Holds},
		{"the integrator starts from the largest level", crippled[0].name, lab.Fails},
		{"all chains start in one mode", crippled[1].name, lab.Fails},
	} {
		swap := map[string]string{}
		if tt.cripple != "" {
			swap = map[string]string{dlgKAR1.name: tt.cripple, dlgKAR2.name: tt.cripple}
		}
		if v := halves.Verdict(labtest.Run(t, e, nil, swap)); v.Status != tt.want {
			t.Errorf("%s: %s, want %s: %s", tt.name, v.Status, tt.want, v.Reason)
		}
	}
	labtest.Claim(t, flow(), "chains save the ODE solver four calls in ten", map[string]string{"chains": "60"}, lab.Holds,
		map[string]string{dlgODE.name: flowCripple.name}, lab.Fails)
	labtest.Claim(t, levels(), "drawing the level is exact, taking the likeliest is not", nil, lab.Holds,
		map[string]string{byDraw: byArgmax}, lab.HoldsInPart)
}

// TestNetworkClaim at a tenth of quick size: enough to see the verdict turn.
func TestNetworkClaim(t *testing.T) {
	if testing.Short() {
		t.Skip("trains a network")
	}
	t.Setenv("ASSAY_CACHE", t.TempDir())
	labtest.Claim(t, digits([]rival{kar1, dlgKAR1, kar2, dlgKAR2}), "chains help a trained network at ten calls", map[string]string{"chains": "5"}, lab.Holds,
		map[string]string{dlgKAR1.name: kar1.name, dlgKAR2.name: kar2.name}, lab.Fails)
}
