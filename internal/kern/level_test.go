package kern_test

import (
	"strings"
	"testing"

	"github.com/assay-lab/assay/internal/kern"
)

func TestSetLevel(t *testing.T) {
	best := kern.Level()
	defer func() {
		if err := kern.SetLevel(best); err != nil {
			t.Error(err)
		}
	}()
	levels := kern.Levels()
	if levels[len(levels)-1] != "generic" {
		t.Errorf("levels %v do not end with generic", levels)
	}
	for _, l := range levels {
		if err := kern.SetLevel(l); err != nil || kern.Level() != l {
			t.Errorf("level %s: %v, %v", l, kern.Level(), err)
		}
	}
	for _, bad := range []string{"", "avx", "AVX2", "generic "} {
		err := kern.SetLevel(bad)
		if err == nil || !strings.Contains(err.Error(), "unknown: want one of") || kern.Level() != "generic" {
			t.Errorf("level %q: %v, %v", bad, kern.Level(), err)
		}
	}
	if len(levels) < 4 {
		if err := kern.SetLevel("avx512vnni"); err == nil || !strings.Contains(err.Error(), "this machine has") {
			t.Errorf("a level that the machine lacks: %v", err)
		}
	}
}
