package web

import (
	"net/url"
	"testing"
	"time"

	"github.com/assay-lab/assay/lab/shelf"
)

func TestGrouped(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 30, 0, 0, time.UTC)
	var cards []card
	for _, p := range []shelf.Paper{
		{Source: "f", Published: now},
		{Source: "f", Published: now.Add(-time.Minute * 40)}, // of the day before, 70 minutes ago
		{Source: "f", Published: now.AddDate(0, 0, -1)},
		{Source: "f", Published: now.AddDate(0, 0, -2)},
		{Published: time.Date(2022, 11, 1, 0, 0, 0, 0, time.UTC)},
		{Published: time.Date(2022, 11, 1, 0, 0, 0, 0, time.UTC)},
	} {
		cards = append(cards, card{Paper: p})
	}
	want := []group{
		{"Today, 1 March 2026", cards[:1]}, {"Yesterday, 28 February 2026", cards[1:3]},
		{"Friday, 27 February 2026", cards[3:4]}, {"November 2022", cards[4:]},
	}
	got := grouped(cards, now)
	if len(got) != len(want) {
		t.Fatalf("%+v", got)
	}
	for i, g := range got {
		if g.Heading != want[i].Heading || len(g.Cards) != len(want[i].Cards) {
			t.Errorf("%q with %d papers, want %q with %d", g.Heading, len(g.Cards), want[i].Heading, len(want[i].Cards))
		}
	}
	if grouped(nil, now) != nil {
		t.Error("groups of nothing")
	}
}

func TestFound(t *testing.T) {
	for _, c := range []struct {
		query string
		n     int
		more  bool
		want  string
	}{
		{"", 20, true, ""},
		{"", 0, false, "No paper"},
		{"after=x", 20, true, ""},
		{"q=+a+", 1, false, "1 paper for “a”"},
		{"q=a&topic=b&verdict=holds&run=1&since=week", 20, true, "The first 20 papers for “a” on b of which the last runs say “holds” that can be run of the last week"},
		{"topic=b&after=x", 3, false, "More papers on b"},
		{"q=zzz", 0, false, "No paper for “zzz”"},
	} {
		v, err := url.ParseQuery(c.query)
		if err != nil {
			t.Fatal(err)
		}
		if got := found(v, c.n, c.more); got != c.want {
			t.Errorf("%s: %q, want %q", c.query, got, c.want)
		}
	}
}
