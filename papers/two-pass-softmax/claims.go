package twopasssoftmax

import (
	"fmt"
	"math"
	"slices"

	"github.com/assay-lab/assay/lab"
)

const (
	gain      = 1.03 // what counts as faster out of cache; the paper has up to 1.28
	agreement = 1.35 // of times a byte, if memory sets the pace
	tolerated = 2e-6 // relative error
	outOf     = 4    // times the last-level cache, and a row is out of it
)

func speedClaims() []lab.Claim {
	return []lab.Claim{
		{
			Name:  "two passes are faster out of cache",
			Text:  "On a row of four times the last-level cache both three-pass algorithms take at least 1.03 times as long as two passes.",
			Paper: "up to 28 % faster with AVX-512 and up to 18 % with AVX2 on Skylake-X, on arrays of four times the last-level cache",
			Judge: outOfCache(func(kb float64) []lab.Predicate {
				return []lab.Predicate{slower(reload.Name, kb), slower(recompute.Name, kb)}
			}),
		},
		{
			Name:  "memory sets the pace",
			Text:  "On that row the times for a byte of the traffic that defines them agree within 35 % among the three: it is the traffic that is saved, not a slow rival that is beaten.",
			Paper: "all passes of the tuned three-pass algorithms are limited by bandwidth (section 6)",
			Judge: outOfCache(func(kb float64) []lab.Predicate { return []lab.Predicate{sameSpeed(kb)} }),
		},
		{
			Name:  "in the cache three passes are faster",
			Text:  "On a row of 32 or 256 KB the three-pass algorithm that reloads takes less time than two passes.",
			Paper: "inside the caches the three-pass algorithm that stores exponentials is the better one (section 6)",
			Judge: func(c lab.Curves) lab.Verdict {
				var ps []lab.Predicate
				for _, kb := range lengths(c, reload.Name) {
					if kb >= 32 && kb <= 256 {
						ps = append(ps, faster(reload.Name, kb))
					}
				}
				return lab.All(ps...)(c)
			},
		},
	}
}

// lengths are the rows in KB that a method was timed on.
func lengths(c lab.Curves, method string) []float64 {
	cv, _ := c.Curve(standard, method)
	var kb []float64
	for _, p := range cv.Points {
		kb = append(kb, p.Budget)
	}
	return kb
}

// outOfCache judges by the longest row: undecided unless that is out of the
// cache.
func outOfCache(ps func(kb float64) []lab.Predicate) func(lab.Curves) lab.Verdict {
	return func(c lab.Curves) lab.Verdict {
		kbs := lengths(c, twoPass.Name)
		if len(kbs) == 0 {
			return lab.Verdict{Status: lab.Undecided, Reason: "no row was timed"}
		}
		kb := slices.Max(kbs)
		_, share, err := lab.MetricAt(standard, twoPass.Name, kb, cacheShare)(c)
		switch {
		case err != nil || math.IsNaN(share):
			return lab.Verdict{Status: lab.Undecided, Reason: "the size of the last-level cache is unknown"}
		case share < 0.98*outOf: // lengths are whole KB
			return lab.Verdict{Status: lab.Undecided, Reason: fmt.Sprintf("the longest row, of %.0f MB, is %s times the last-level cache: it should be %d times; set kb=0", kb/1024, lab.Digits(share), outOf)}
		}
		return lab.All(ps(kb)...)(c)
	}
}

// ratio is a method's time over two passes' and its quartiles.
func ratio(c lab.Curves, method string, kb float64) (name string, s spread, err error) {
	for metric, x := range map[string]*float64{overTwoPass: &s.mid, lowQuartile: &s.lo, topQuartile: &s.hi} {
		if _, *x, err = lab.MetricAt(standard, method, kb, metric)(c); err != nil {
			return "", s, err
		}
	}
	return fmt.Sprintf("time of %s over two-pass's, %s KB", method, lab.Digits(kb)), s, nil
}

// against holds a ratio against a bound. If its quartiles lie on both sides, the
// machine is too noisy to tell.
func against(method string, kb, bound float64, above bool) lab.Predicate {
	return func(c lab.Curves) (lab.Figure, error) {
		name, s, err := ratio(c, method, kb)
		f := lab.Figure{Name: name, Value: s.mid, Want: "< " + lab.Digits(bound), OK: s.mid < bound}
		if above {
			f.Want, f.OK = "≥ "+lab.Digits(bound), s.mid >= bound
		}
		if err == nil && s.lo < bound && s.hi >= bound {
			err = fmt.Errorf("%s is %s, its quartiles are %s and %s: the spread exceeds the effect", name, lab.Digits(s.mid), lab.Digits(s.lo), lab.Digits(s.hi))
		}
		return f, err
	}
}

func slower(method string, kb float64) lab.Predicate { return against(method, kb, gain, true) }
func faster(method string, kb float64) lab.Predicate { return against(method, kb, 1, false) }

// sameSpeed compares the times for a byte.
func sameSpeed(kb float64) lab.Predicate {
	return func(c lab.Curves) (lab.Figure, error) {
		lo, hi := 1.0, 1.0
		for _, m := range []rival{reload, recompute} {
			_, s, err := ratio(c, m.Name, kb)
			if err != nil {
				return lab.Figure{}, err
			}
			t := s.mid * twoPass.Traffic / m.Traffic
			lo, hi = min(lo, t), max(hi, t)
		}
		return lab.Figure{Name: fmt.Sprintf("largest over smallest time for a byte, %s KB", lab.Digits(kb)), Value: hi / lo,
			Want: "≤ " + lab.Digits(agreement), OK: hi/lo <= agreement}, nil
	}
}

func accuracyClaims() []lab.Claim {
	return []lab.Claim{
		{
			Name: "two passes are accurate at every length",
			Text: "The largest relative error of two passes is at most 2e-6 on every row, whatever its length, and with 10,000 added to all its numbers.",
			Judge: forAllLengths(func(panel string, n float64) []lab.Predicate {
				return []lab.Predicate{lab.AtMost(lab.At(panel, twoPass.Name, n), lab.Number(tolerated))}
			}, panels...),
		},
		{
			Name: "no overflow",
			Text: "Numbers from 1,000 to 10,000, whose exponentials overflow, have a softmax by two passes; without subtracting the maximum they have none.",
			Judge: forAllLengths(func(panel string, n float64) []lab.Predicate {
				return []lab.Predicate{
					lab.AtMost(lab.At(panel, twoPass.Name, n), lab.Number(tolerated)),
					lab.More(lab.At(panel, naive.Name, n), lab.Number(math.MaxFloat64)),
				}
			}, huge),
		},
		{
			Name:  "sums in float32 lose accuracy with the length",
			Text:  "On the longest row from N(0, 1), where all numbers count, a single float32 sum has at least 30 times the error of sums folded into float64 every 4096 numbers; from 2^24 numbers on, the 48 float32 lanes of the published algorithm have at least three times that error.",
			Judge: floatSums,
		},
	}
}

func floatSums(c lab.Curves) lab.Verdict {
	ns := rowLengths(c, narrow)
	if len(ns) == 0 || slices.Max(ns) < 1<<20 {
		return lab.Verdict{Status: lab.Undecided, Reason: "no row of 2^20 numbers was computed: shorter ones do not show it"}
	}
	n := slices.Max(ns)
	folded := lab.At(narrow, twoPass.Name, n)
	ps := []lab.Predicate{lab.AtLeast(lab.At(narrow, library.Name, n), folded.Times(30))}
	if n >= 1<<24 {
		ps = append(ps, lab.AtLeast(lab.At(narrow, lanes.Name, n), folded.Times(3)))
	}
	return lab.All(ps...)(c)
}

func rowLengths(c lab.Curves, panel string) []float64 {
	cv, _ := c.Curve(panel, twoPass.Name)
	var ns []float64
	for _, p := range cv.Points {
		ns = append(ns, p.Budget)
	}
	return ns
}

// forAllLengths judges by all rows of some panels.
func forAllLengths(ps func(panel string, n float64) []lab.Predicate, panels ...string) func(lab.Curves) lab.Verdict {
	return func(c lab.Curves) lab.Verdict {
		var all []lab.Predicate
		for _, panel := range panels {
			for _, n := range rowLengths(c, panel) {
				all = append(all, ps(panel, n)...)
			}
		}
		return lab.All(all...)(c)
	}
}
