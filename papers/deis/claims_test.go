package deis

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
	labtest.Claim(t, ablation(), "every order of the polynomial helps", desk("10,15,20"), lab.Holds, map[string]string{tab2.Name: tab1.Name}, lab.HoldsInPart)
	labtest.Claim(t, ablation(), "tAB3 at 10 evaluations is far ahead of DDIM", desk("10"), lab.HoldsInPart, map[string]string{tab3.Name: tab1.Name}, lab.Fails)
	labtest.Claim(t, ablation(), "the grid matters", desk("10"), lab.Holds, map[string]string{tab3.Name: tab3u.Name}, lab.Fails)
	labtest.Claim(t, ablation(), "the exponential integrator alone helps", desk("10"), lab.Fails, map[string]string{ddim.Name: tab3.Name}, lab.Holds)
	labtest.Claim(t, convergence(), "orders of convergence", desk("50,100,200"), lab.Holds, map[string]string{tab3.Name: tab2.Name}, lab.HoldsInPart)
}
