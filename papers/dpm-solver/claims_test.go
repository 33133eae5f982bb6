package dpmsolver

import (
	"testing"

	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/labtest"
)

// desk is the size at which the verdicts were found: that of assay run.
func desk(nfe string) map[string]string {
	return map[string]string{"nfe": nfe, "n": "256", "seeds": "3"}
}

func TestClaims(t *testing.T) {
	t.Setenv("ASSAY_CACHE", t.TempDir())
	labtest.Claim(t, speedup(), "20 evaluations are worth 80 of DDIM", desk("20,30,80,300"), lab.Holds, map[string]string{fast3.Name: ddim.Name}, lab.Fails)
	labtest.Claim(t, speedup(), "10 evaluations suffice", desk("10"), lab.HoldsInPart, map[string]string{fast3.Name: heun.Name}, lab.Fails)
	labtest.Claim(t, convergence(), "orders of convergence", desk("120,240,480"), lab.HoldsInPart, map[string]string{"DPM-Solver-2": "DPM-Solver-1", "DPM-Solver-1": "DPM-Solver-2"}, lab.Fails)
	labtest.Claim(t, adaptive(), "the tolerance governs the error", nil, lab.Holds, nil, lab.Holds)
}
