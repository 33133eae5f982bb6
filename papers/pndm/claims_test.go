package pndm

import (
	"testing"

	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/labtest"
)

func TestClaims(t *testing.T) {
	t.Setenv("ASSAY_CACHE", t.TempDir())
	labtest.Claim(t, speedup(), "50 steps of F-PNDM are worth 500 of DDIM", map[string]string{"nfe": "50,500"}, lab.Holds, map[string]string{fpndm.Name: ddim.Name}, lab.Fails)
	labtest.Claim(t, speedup(), "50 steps of S-PNDM are worth 200 of DDIM", map[string]string{"nfe": "50,200", "n": "256", "seeds": "1"}, lab.Holds, map[string]string{spndm.Name: ddim.Name}, lab.Fails)
	labtest.Claim(t, speedup(), "without the transfer the error has a floor", map[string]string{"nfe": "500"}, lab.Holds, map[string]string{fpndm.Name: fon.Name}, lab.Fails)
	labtest.Claim(t, convergence(), "S-PNDM and F-PNDM are of second order", nil, lab.Holds, map[string]string{spndm.Name: ddim.Name}, lab.HoldsInPart)
}
