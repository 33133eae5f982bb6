package mixllm

import (
	"context"
	"testing"

	"github.com/assay-lab/assay/internal/kern/kerntest"
	"github.com/assay-lab/assay/lab/conform"
)

// TestCases runs the cases at every level of the kernels.
func TestCases(t *testing.T) {
	cases, err := conform.Read("cases")
	if err != nil {
		t.Fatal(err)
	}
	kerntest.Levels(t, func(t *testing.T) {
		for _, c := range cases {
			if r := conform.Check(context.Background(), c, Case); !r.Passed() {
				t.Errorf("%s: %v", c.File, r.Err)
			}
		}
	})
}
