package deis

import (
	"testing"

	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/labtest"
)

func TestClaims(t *testing.T) {
	t.Setenv("ASSAY_CACHE", t.TempDir())
	labtest.Claim(t, ablation(), "every order of the polynomial helps", map[string]string{"nfe": "10,15,20"}, lab.Holds, map[string]string{tab2.Name: tab1.Name}, lab.HoldsInPart)
	labtest.Claim(t, ablation(), "tAB3 at 10 evaluations is far ahead of DDIM", map[string]string{"nfe": "10"}, lab.HoldsInPart, map[string]string{tab3.Name: tab1.Name}, lab.Fails)
	labtest.Claim(t, ablation(), "the grid matters", map[string]string{"nfe": "10", "n": "64", "seeds": "3"}, lab.Holds, map[string]string{tab3.Name: tab3u.Name}, lab.Fails)
	labtest.Claim(t, ablation(), "the exponential integrator alone helps", map[string]string{"nfe": "10"}, lab.HoldsInPart, map[string]string{ddim.Name: rhoHeun.Name}, lab.Fails)
	labtest.Claim(t, convergence(), "orders of convergence", nil, lab.Holds, map[string]string{tab3.Name: tab2.Name}, lab.HoldsInPart)
}
