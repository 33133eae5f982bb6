package pndm

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
	labtest.Claim(t, speedup(), "50 steps of F-PNDM are worth 500 of DDIM", desk("50,500"), lab.Holds, map[string]string{fpndm.Name: ddim.Name}, lab.Fails)
	labtest.Claim(t, speedup(), "50 steps of S-PNDM are worth 200 of DDIM", desk("50,200"), lab.Holds, map[string]string{spndm.Name: ddim.Name}, lab.Fails)
	labtest.Claim(t, speedup(), "without the transfer the error has a floor", desk("500"), lab.Holds, map[string]string{fpndm.Name: fon.Name}, lab.Fails)
	labtest.Claim(t, convergence(), "S-PNDM and F-PNDM are of second order", desk("100,200,400"), lab.HoldsInPart, map[string]string{spndm.Name: ddim.Name}, lab.Fails)
}
