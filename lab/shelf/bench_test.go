package shelf_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/assay-lab/assay/lab/shelf"
	"github.com/assay-lab/assay/lab/shelf/shelftest"
)

// BenchmarkFind looks through 100,000 papers.
func BenchmarkFind(b *testing.B) {
	s, err := shelf.Open(b.Context(), filepath.Join(b.TempDir(), "papers.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	if err := shelftest.Fill(b.Context(), s, 100000); err != nil {
		b.Fatal(err)
	}
	b.Run("searches", func(b *testing.B) { // of one to three words, as common as they are
		w := shelftest.NewWriter(7)
		for i := 0; b.Loop(); i++ {
			if _, err := s.Find(b.Context(), shelf.Query{Text: w.Words(1 + i%3)}); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, bm := range []struct {
		name string
		q    shelf.Query
	}{
		{"date", shelf.Query{}}, {"trend", shelf.Query{Order: shelf.ByTrend}}, {"topic", shelf.Query{Topic: "topic7"}},
		{"since", shelf.Query{Since: time.Now().AddDate(0, 0, -7)}},
		{"common word", shelf.Query{Text: "w0x"}}, {"common beginning", shelf.Query{Text: "w"}},
		{"rare", shelf.Query{Text: "w15000x"}}, {"three words", shelf.Query{Text: "w0x w7x w30"}},
	} {
		b.Run(bm.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Find(b.Context(), bm.q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
