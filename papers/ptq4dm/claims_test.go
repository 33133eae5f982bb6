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

// TestCriteriaClaim: a criterion that makes no difference is not the best.
func TestCriteriaClaim(t *testing.T) {
	none := map[string]string{ways[0].name: "L1", "cosine": "L1", "KL divergence": "L1"}
	labtest.Claim(t, criteria(), "the mean of |x − x̂|^2.4 is the best criterion", short("4,6,8"), lab.HoldsInPart, none, lab.Fails)
}

// TestDigitsClaims: on the shipped network, with few candidates for ranges.
func TestDigitsClaims(t *testing.T) {
	if testing.Short() {
		t.Skip("some seconds a claim")
	}
	v := map[string]string{"bits": "8", "pairs": "32", "steps": "6", "n": "8", "candidates": "10"}
	labtest.Claim(t, digits(), "W8A8 keeps the digits", v, lab.Holds, map[string]string{ndtc: "data"}, lab.Fails)
	// At this size the clean step's error is 2.6 times NDTC's; plain images are far beyond.
	labtest.Claim(t, digits(), "one clean time step does not do", v, lab.Fails, map[string]string{"clean": "data"}, lab.Holds)
}
