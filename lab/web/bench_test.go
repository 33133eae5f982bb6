package web

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/assay-lab/assay/lab/shelf/shelftest"
)

// BenchmarkFeed answers for the feed of 10,000 papers; `make bench` asks a whole server.
func BenchmarkFeed(b *testing.B) {
	cfg := configIn(b, b.TempDir())
	s, err := New(b.Context(), cfg)
	if err != nil {
		b.Fatal(err)
	}
	if err := shelftest.Fill(b.Context(), cfg.Shelf, 10000); err != nil {
		b.Fatal(err)
	}
	for _, bm := range []struct{ name, path string }{{"date", "/"}, {"trend", "/?order=trend"}, {"topic", "/?topic=topic7"}, {"search", "/?q=w0x+w7x"}} {
		b.Run(bm.name, func(b *testing.B) {
			for b.Loop() {
				w := httptest.NewRecorder()
				r := httptest.NewRequest(http.MethodGet, bm.path, nil)
				r.RemoteAddr, r.Host = "127.0.0.1:1", "localhost" // for whom reading is not limited
				s.ServeHTTP(w, r)
				if w.Code != http.StatusOK {
					b.Fatalf("status %d", w.Code)
				}
			}
		})
	}
}
