package dpmsolverv3

import (
	"testing"

	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/labtest"
)

func TestClaims(t *testing.T) {
	t.Setenv("ASSAY_CACHE", t.TempDir())
	labtest.Claim(t, statistics(), "statistics of the model pay", map[string]string{"nfe": "5,6,8,10"}, lab.Holds, map[string]string{v3: v3Wrong}, lab.HoldsInPart)
	labtest.Claim(t, statistics(), "each statistic pays", map[string]string{"nfe": "5"}, lab.Holds, map[string]string{v3: v3NoSlope}, lab.Fails)
	labtest.Claim(t, statistics(), "the statistics must be the model's own", map[string]string{"nfe": "5"}, lab.Holds, map[string]string{v3Wrong: v3}, lab.Fails)
	labtest.Claim(t, statistics(), "also on separated modes", map[string]string{"nfe": "6,8"}, lab.Holds, map[string]string{v3: v3Wrong}, lab.HoldsInPart)
}
