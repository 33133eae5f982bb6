package shelf

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func open(t testing.TB) *Shelf {
	t.Helper()
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "deep", "papers.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// clock sets the time of a shelf.
func clock(s *Shelf, at time.Time) { s.Now = func() time.Time { return at } }

var day0 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func paper(slug string, day int, topics ...string) Paper {
	return Paper{
		Slug: slug, Title: "On " + slug, Authors: []string{"A. Author", "B. Buthor"}, Summary: "About " + slug + ".",
		Topics: topics, URL: "https://example.org/" + slug, Published: day0.AddDate(0, 0, day),
	}
}

func mustPut(t testing.TB, s *Shelf, papers ...Paper) {
	t.Helper()
	if _, err := s.Put(t.Context(), papers); err != nil {
		t.Fatal(err)
	}
}

func slugs(ps []Paper) string {
	var out []string
	for _, p := range ps {
		out = append(out, p.Slug)
	}
	return strings.Join(out, " ")
}

func find(t testing.TB, s *Shelf, q Query) Page {
	t.Helper()
	p, err := s.Find(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestFind has the orders, filters and words of a small shelf.
func TestFind(t *testing.T) {
	s := open(t)
	a, b, c, d := paper("alpha", 1, "diffusion", "ODE solvers"), paper("beta", 4, "diffusion"), paper("gamma", 2, "privacy"), paper("delta", 3, "privacy", "SDE")
	c.Runnable, d.Runnable = true, true
	b.Methods, b.Summary = []string{"DPM-Solver++(2M)"}, "Naïve sampling of <b>images</b>"
	mustPut(t, s, a, b, c, d)
	if err := s.SetStatus(t.Context(), "gamma", "holds"); err != nil {
		t.Fatal(err)
	}
	clock(s, day0.AddDate(0, 0, 5))
	for _, v := range []struct{ slug, visitor string }{{"alpha", "x"}, {"alpha", "y"}, {"gamma", "x"}} {
		if _, err := s.Vote(t.Context(), v.slug, v.visitor, true); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name string
		q    Query
		want string
	}{
		{"by date", Query{}, "beta delta gamma alpha"},
		{"by trend", Query{Order: ByTrend}, "alpha gamma delta beta"},
		{"of a topic", Query{Topic: "diffusion"}, "beta alpha"},
		{"of no topic", Query{Topic: "knitting"}, ""},
		{"since", Query{Since: day0.AddDate(0, 0, 3)}, "beta delta"},
		{"runnable", Query{Run: true}, "delta gamma"},
		{"verdict", Query{Status: "holds"}, "gamma"},
		{"a word", Query{Text: "delta"}, "delta"},
		{"a beginning", Query{Text: "on ga"}, "gamma"},
		{"accents do not matter", Query{Text: "naive"}, "beta"},
		{"a method with signs", Query{Text: "dpm-solver++(2m)"}, "beta"},
		{"FTS syntax is text", Query{Text: `NEAR("x" OR title:*`}, ""},
		{"only signs", Query{Text: `"*:()`}, ""},
		{"all words count", Query{Text: "delta gamma"}, ""},
		{"words of a topic", Query{Text: "about", Topic: "privacy"}, "delta gamma"},
		{"names before topics", Query{Text: "d"}, "delta beta alpha"},
	} {
		if got := slugs(find(t, s, tt.q).Papers); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	if p := find(t, s, Query{Text: "alpha", Visitor: "x"}).Papers[0]; !p.Voted || p.Votes != 2 || !slices.Equal(p.Authors, a.Authors) {
		t.Errorf("%+v", p)
	}
	topics, err := s.Topics(t.Context(), 2)
	if err != nil || fmt.Sprint(topics) != "[{diffusion 2} {privacy 2}]" {
		t.Errorf("topics %v, %v", topics, err)
	}
}

// TestPages: pages one after the other are the whole, without repeats, also while
// papers come in, in both orders and in a search.
func TestPages(t *testing.T) {
	s := open(t)
	for i := range 57 {
		mustPut(t, s, paper(fmt.Sprintf("p%02d", i), i/5)) // many of one day
	}
	for i, q := range []Query{{}, {Order: ByTrend}, {Text: "on"}} {
		q.Limit = 10
		seen := map[string]bool{}
		for n := 0; ; n++ {
			p := find(t, s, q)
			for _, x := range p.Papers {
				if seen[x.Slug] {
					t.Fatalf("%+v: %s twice", q, x.Slug)
				}
				seen[x.Slug] = true
			}
			if q.Text == "" {
				mustPut(t, s, paper(fmt.Sprintf("new%d-%d", i, n), 100))
			}
			if q.After = p.Next; q.After == "" {
				break
			}
		}
		if len(seen) < 57 {
			t.Errorf("%+v: %d papers of 57", q, len(seen))
		}
	}
}

// TestTrend: a vote counts half after the half-life, whenever it is looked at.
func TestTrend(t *testing.T) {
	s := open(t)
	mustPut(t, s, paper("old", 0), paper("new", 1), paper("none", 2))
	at := func(hours int) { clock(s, day0.Add(time.Duration(hours)*time.Hour)) }
	vote := func(slug string, visitors ...string) {
		for _, v := range visitors {
			if _, err := s.Vote(t.Context(), slug, v, true); err != nil {
				t.Fatal(err)
			}
		}
	}
	at(0)
	vote("old", "a", "b", "c")
	at(80) // the three are worth less than 1.5 now
	vote("new", "a")
	if got := slugs(find(t, s, Query{Order: ByTrend}).Papers); got != "old new none" {
		t.Error(got)
	}
	vote("new", "b")
	if got := slugs(find(t, s, Query{Order: ByTrend}).Papers); got != "new old none" {
		t.Error(got)
	}
	if n, err := s.Vote(t.Context(), "new", "b", true); n != 2 || err != nil {
		t.Errorf("a second vote of one visitor: %d votes, %v", n, err)
	}
	if n, err := s.Vote(t.Context(), "new", "b", false); n != 1 || err != nil {
		t.Errorf("taken back: %d votes, %v", n, err)
	}
	if _, err := s.Vote(t.Context(), "absent", "b", true); !errors.Is(err, ErrNotFound) {
		t.Errorf("vote for nothing: %v", err)
	}
}

// TestPut: a feed renews what it brought, and does not touch the catalogue.
func TestPut(t *testing.T) {
	s := open(t)
	home, fed := paper("home", 1, "diffusion"), paper("fed", 2, "x", "y")
	fed.Source = "feed"
	mustPut(t, s, home, fed)
	again := home
	again.Source, again.Title, again.Slug = "feed", "Stolen", "other"
	fed.Title, fed.Topics = "Renewed", []string{"z"}
	added, err := s.Put(t.Context(), []Paper{again, fed})
	if err != nil || added != 0 {
		t.Fatalf("%d added, %v", added, err)
	}
	if p, err := s.Paper(t.Context(), "home", ""); err != nil || p.Title != home.Title {
		t.Errorf("%+v, %v", p, err)
	}
	if p, err := s.Paper(t.Context(), "fed", ""); err != nil || p.Title != "Renewed" || len(p.Topics) != 1 {
		t.Errorf("%+v, %v", p, err)
	}
	if got := slugs(find(t, s, Query{Text: "renewed"}).Papers); got != "fed" {
		t.Errorf("the new title is not found: %q", got)
	}
	if got := slugs(find(t, s, Query{Topic: "x"}).Papers); got != "" {
		t.Errorf("the old topic stays: %q", got)
	}
	if _, err := s.Put(t.Context(), []Paper{{Slug: "x"}}); err == nil {
		t.Error("a paper without title or address is taken")
	}
}

func TestFindErrors(t *testing.T) {
	s := open(t)
	for _, tt := range []struct {
		name string
		q    Query
	}{
		{"limit", Query{Limit: 101}}, {"negative limit", Query{Limit: -1}}, {"order", Query{Order: "random"}},
		{"cursor", Query{After: "!"}}, {"cursor of a search", Query{Text: "x", After: cursor(1e9, 0)}}, {"NaN", Query{After: cursor(0, 0)[:1]}},
	} {
		if _, err := s.Find(t.Context(), tt.q); !errors.Is(err, ErrQuery) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func FuzzFind(f *testing.F) {
	s, err := Open(context.Background(), filepath.Join(f.TempDir(), "papers.db"))
	if err != nil {
		f.Fatal(err)
	}
	mustPut(f, s, paper("alpha", 1, "diffusion"))
	f.Add("alpha AND (", "", "diffusion")
	f.Add("", cursor(1, 2), "")
	f.Fuzz(func(t *testing.T, text, after, topic string) {
		if _, err := s.Find(t.Context(), Query{Text: text, After: after, Topic: topic}); err != nil && !errors.Is(err, ErrQuery) {
			t.Fatal(err)
		}
	})
}

// TestMigrate: papers of the first schema are found after an update.
func TestMigrate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "papers.db")
	whole := migrations
	migrations = whole[:1]
	t.Cleanup(func() { migrations = whole })
	old, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := old.db.Exec(`INSERT INTO papers (slug, title, authors, summary, topics, methods, url, source, published)
		VALUES ('alpha', 'On alpha', '', '', 'diffusion', '', 'https://example.org/alpha', '', 0)`); err != nil {
		t.Fatal(err)
	}
	old.Close()
	migrations = whole
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	mustPut(t, s, paper("beta", 2, "diffusion"))
	if got := slugs(find(t, s, Query{Text: "diffusion"}).Papers); got != "beta alpha" {
		t.Error(got)
	}
}
