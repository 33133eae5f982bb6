// Package shelftest makes up papers for tests and benchmarks of large shelves.
package shelftest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/assay-lab/assay/lab/shelf"
)

// Topics is how many topics the papers have: "topic0", "topic1", ...
const Topics = 50

// Word is a made-up word; the lower i, the more papers have it (Zipf's law).
func Word(i uint64) string { return fmt.Sprintf("w%dx", i) }

// A Writer draws words as the papers have them.
type Writer struct {
	r *rand.Rand
	z *rand.Zipf
}

// NewWriter draws from a seed.
func NewWriter(seed uint64) Writer {
	r := rand.New(rand.NewPCG(seed, 2))
	return Writer{r, rand.NewZipf(r, 1.1, 4, 20000)}
}

// Words draws k words.
func (w Writer) Words(k int) string {
	ws := make([]string, k)
	for i := range ws {
		ws[i] = Word(w.z.Uint64())
	}
	return strings.Join(ws, " ")
}

// Fill puts n papers on a shelf, a hundred a day up to today, with titles of 9 words and
// summaries of 150.
func Fill(ctx context.Context, s *shelf.Shelf, n int) error {
	w := NewWriter(1)
	const batch = 5000
	today := time.Now().UTC().Truncate(24 * time.Hour)
	for done := 0; done < n; {
		ps := make([]shelf.Paper, min(batch, n-done))
		for i := range ps {
			slug := fmt.Sprint("p", done+i)
			ps[i] = shelf.Paper{
				Slug: slug, Title: w.Words(9), Summary: w.Words(150), Authors: []string{"Ada Author", "Bo Writer"},
				Topics: []string{fmt.Sprint("topic", w.r.IntN(Topics))}, URL: "https://example.org/" + slug, Source: "made up",
				Published: today.AddDate(0, 0, (done+i)/100-n/100),
			}
		}
		if _, err := s.Put(ctx, ps); err != nil {
			return err
		}
		done += len(ps)
	}
	return nil
}
