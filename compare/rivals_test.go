package compare

import (
	"slices"
	"strings"
	"testing"

	"github.com/assay-lab/assay/papers"
)

// TestMatches: the samplers of matches can be compared, and the papers are there.
func TestMatches(t *testing.T) {
	for slug := range matches {
		m, _ := MatchOf(slug)
		if _, ok := papers.Get(slug); !ok {
			t.Errorf("%s is no paper", slug)
		}
		if _, err := parseMethods(strings.Join(slices.Concat(m.Own, m.Rivals), ",")); err != nil {
			t.Errorf("%s: %v", slug, err)
		}
	}
	if _, ok := MatchOf("nothing"); ok {
		t.Error("a match of nothing")
	}
}
