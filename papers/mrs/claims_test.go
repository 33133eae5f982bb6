package mrs

import (
	"testing"

	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/labtest"
)

func TestClaims(t *testing.T) {
	t.Setenv("ASSAY_CACHE", t.TempDir())
	n := map[string]string{"n": "60", "nfe": "10,20,40,80"}
	labtest.Claim(t, convergence(), "10 evaluations do what Euler needs 80 for", n, lab.HoldsInPart, map[string]string{ode2noise.Name: ode1.Name}, lab.Fails)
	labtest.Claim(t, convergence(), "orders of convergence", n, lab.Holds, map[string]string{ode2.Name: ode1.Name}, lab.HoldsInPart)
	sde := map[string]string{"n": "1000", "nfe": "5"}
	labtest.Claim(t, restoration(), "10 evaluations restore as well as 100", map[string]string{"n": "2", "seeds": "1", "nfe": "10,100"}, lab.HoldsInPart, map[string]string{ode2.Name: published.Name}, lab.Fails)
	labtest.Claim(t, stability(), "the data form is stable where the noise form is not", sde, lab.Holds, map[string]string{sde2.Name: sde1noise.Name}, lab.Fails)
}
