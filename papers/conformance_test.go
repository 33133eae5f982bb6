package papers

import (
	"context"
	"testing"

	"github.com/assay-lab/assay/lab/conform"
)

// TestConformance runs every case of every paper that is built.
func TestConformance(t *testing.T) {
	for name := range registry {
		cases, err := conform.Read(name + "/cases")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, c := range cases {
			t.Run(c.File, func(t *testing.T) {
				h, ok := Handler(c.Paper)
				if !ok || c.Paper != name {
					t.Fatalf("a case of %q among those of %q", c.Paper, name)
				}
				if r := conform.Check(context.Background(), c, h); !r.Passed() {
					t.Error(r.Err)
				}
			})
		}
	}
}

// TestExperimentsAreWellFormed catches mistakes that only a run would show.
func TestExperimentsAreWellFormed(t *testing.T) {
	for slug := range registry {
		for _, e := range Experiments(slug) {
			if got, ok := Experiment(e.Name); !ok || got.Name != e.Name || e.Title == "" || e.Help == "" || len(e.Claims) == 0 {
				t.Errorf("%s: wants a name under its slug, a title, a help text and a claim", e.Name)
			}
		}
	}
}
