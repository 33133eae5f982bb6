package runner

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/store"
)

// openStore opens a store in the folder; a damaged one fails the test.
func openStore(t testing.TB, dir string) *store.Store {
	t.Helper()
	s, damaged, err := store.Open(context.Background(), filepath.Join(dir, "runs.db"))
	if err != nil {
		t.Fatal(err)
	}
	if damaged != nil {
		t.Fatal(damaged)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// grid is a grid of n cells of two methods.
func grid(n int) []lab.Cell {
	cells := make([]lab.Cell, n)
	for i := range cells {
		cells[i] = lab.Cell{Method: []string{"paper's", "rival"}[i%2], Budget: float64(i / 20), Seed: uint64(i / 2 % 10)}
	}
	return cells
}

// outcome is what the test experiments give for a cell: a pure function of it.
func outcome(c lab.Cell) lab.Outcome {
	q := 1 / (1 + c.Budget) / float64(len(c.Method)) * (1 + 0.01*float64(c.Seed))
	return lab.Outcome{Cost: c.Budget, Quality: q, Metrics: map[string]float64{"seed": float64(c.Seed)}}
}

// BenchmarkOverhead is what the queue and the store cost for each of 10,000
// cells that do nothing.
func BenchmarkOverhead(b *testing.B) {
	const cells = 10_000
	e := &lab.Experiment{
		Name: "test/overhead",
		Grid: func(lab.Values) ([]lab.Cell, error) { return grid(cells), nil },
		Run:  func(_ context.Context, c lab.Cell) (lab.Outcome, error) { return outcome(c), nil },
	}
	for b.Loop() {
		b.StopTimer()
		r := &Runner{Store: openStore(b, b.TempDir())}
		b.StartTimer()
		run, err := r.Run(b.Context(), e, lab.Quick, nil)
		if err != nil || len(run.Results) != cells {
			b.Fatal(run, err)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()*1e6/float64(b.N)/cells, "µs/cell")
}
