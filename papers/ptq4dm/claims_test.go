package ptq4dm

import (
	"testing"

	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/labtest"
)

// short is a grid small enough for a test: what differs from quick size is only the
// bits, and steps.
func short(bits string) map[string]string {
	return map[string]string{"bits": bits, "steps": "20", "pairs": "128", "n": "100", "seeds": "1"}
}

// TestClaims: each claim comes out as it did with the honest method, and otherwise
// with another calibration set in its place.
func TestClaims(t *testing.T) {
	t.Setenv("ASSAY_CACHE", t.TempDir())
	e := sets()
	labtest.Claim(t, e, "W8A8 keeps the quality", short("8"), lab.Holds, map[string]string{ndtc: coarse}, lab.Fails)
	labtest.Claim(t, e, "one clean time step does not do", short("8"), lab.Fails, map[string]string{"clean": coarse}, lab.Holds)
	labtest.Claim(t, e, "fewer bits, more error", short("4,6,8"), lab.Holds, map[string]string{ndtc: coarse}, lab.Fails)
	if _, _, err := samplerOf(bdia); err == nil {
		v := short("8")
		v["steps"] = "50" // BDIA's error, 0.1016, is a little above 0.1 there, as at desk size
		labtest.Claim(t, e, "the quantized network works in other samplers", v, lab.HoldsInPart, map[string]string{ndtc: coarse}, lab.Fails)
	}
	labtest.Claim(t, e, "NDTC is best at 4 bits", short("4"), lab.Holds, map[string]string{ndtc: coarse}, lab.Fails)
}

// TestRangesClaim: a layer that does not change fails it.
func TestRangesClaim(t *testing.T) {
	labtest.Claim(t, ranges(), "activation ranges vary with time", map[string]string{"n": "512"}, lab.HoldsInPart,
		map[string]string{"first": frozen, "second": frozen, "third": frozen}, lab.Fails)
}

// TestRoundingClaims: learned rounding that learns nothing, and ends that have 8 bits.
func TestRoundingClaims(t *testing.T) {
	v := short("3,4")
	v["learn"] = "500"
	labtest.Claim(t, rounding(), "learned rounding helps at few bits", v, lab.Holds, map[string]string{learned: nearest}, lab.Fails)
	labtest.Claim(t, rounding(), "the ends need their 8 bits", v, lab.Holds, map[string]string{oneRange: nearest}, lab.Fails)
}

// TestDigitsClaims: on the shipped network, quickly.
func TestDigitsClaims(t *testing.T) {
	if testing.Short() {
		t.Skip("some seconds a cell")
	}
	v := map[string]string{"bits": "8", "pairs": "64", "steps": "20", "n": "8", "candidates": "10"}
	labtest.Claim(t, digits(), "one clean time step does not do", v, lab.Holds, map[string]string{"clean": ndtc}, lab.Fails)
	v["bits"], v["steps"] = "4,6,8", "6"
	labtest.Claim(t, digits(), "fewer bits, more error", v, lab.Holds, map[string]string{ndtc: "data"}, lab.HoldsInPart)
	v["bits"] = "8"
	labtest.Claim(t, digits(), "W8A8 keeps the digits", v, lab.Holds, map[string]string{ndtc: "data"}, lab.Fails)
}
