package shelf

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// hours sets the time of a shelf to so many hours after day0.
func hours(s *Shelf, h float64) {
	at := day0.Add(time.Duration(h * float64(time.Hour)))
	clock(s, at)
}

// ask subscribes, and takes the request as one that was mailed.
func ask(t *testing.T, s *Shelf, address string, p Period) Request {
	t.Helper()
	if err := s.Subscribe(t.Context(), address, p); err != nil {
		t.Fatal(err)
	}
	rs, err := s.Waiting(t.Context(), 10)
	if err != nil || len(rs) != 1 {
		t.Fatalf("%d requests wait, %v", len(rs), err)
	}
	if err := s.Mailed(t.Context(), rs[0]); err != nil {
		t.Fatal(err)
	}
	return rs[0]
}

func confirm(t *testing.T, s *Shelf, r Request) Subscriber {
	t.Helper()
	sub, err := s.Confirm(t.Context(), r.Token)
	if err != nil {
		t.Fatal(err)
	}
	return sub
}

func due(t *testing.T, s *Shelf) []Subscriber {
	t.Helper()
	subs, err := s.Due(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	return subs
}

// TestRequests: an address is asked once an hour, by a link that is good for three days.
func TestRequests(t *testing.T) {
	s := open(t)
	waiting := func() []Request {
		rs, err := s.Waiting(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		return rs
	}
	hours(s, 0)
	first := ask(t, s, "a@b.org", Daily)
	for _, tt := range []struct {
		name    string
		hours   float64
		address string
		waits   int
	}{
		{"the same address sooner", 0.9, "a@b.org", 0},
		{"the same in capitals", 0.95, "A@B.org", 0},
		{"an hour later", 1, "a@b.org", 1},
		{"what was taken is not taken again", 1.05, "a@b.org", 0},
		{"what was not settled is given again", 1.5, "a@b.org", 1},
	} {
		hours(s, tt.hours)
		if err := s.Subscribe(t.Context(), tt.address, Weekly); err != nil {
			t.Fatal(err)
		}
		if rs := waiting(); len(rs) != tt.waits {
			t.Errorf("%s: %d requests wait, want %d", tt.name, len(rs), tt.waits)
		}
	}
	r, err := s.Request(t.Context(), first.Token)
	if err != nil || r.Period != Weekly {
		t.Errorf("the first link leads to %+v, %v", r, err)
	}
	hours(s, 1+71)
	if err := s.Expire(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Request(t.Context(), first.Token); err != nil {
		t.Errorf("after less than three days: %v", err)
	}
	hours(s, 1+72)
	for range 2 {
		if _, err := s.Confirm(t.Context(), first.Token); !errors.Is(err, ErrNotFound) {
			t.Errorf("after three days: %v", err)
		}
		if err := s.Expire(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Confirm(t.Context(), ""); !errors.Is(err, ErrNotFound) {
		t.Errorf("no token: %v", err)
	}
}

// TestRequestFails: a mail that cannot be sent is tried later, unless there is no such
// address.
func TestRequestFails(t *testing.T) {
	s := open(t)
	hours(s, 0)
	take := func() (Request, bool) {
		rs, err := s.Waiting(t.Context(), 10)
		if err != nil || len(rs) > 1 {
			t.Fatal(len(rs), err)
		}
		if len(rs) == 0 {
			return Request{}, false
		}
		return rs[0], true
	}
	if err := s.Subscribe(t.Context(), "a@b.org", Daily); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		hours  float64
		waits  bool
		refuse bool
	}{{0, true, false}, {0.2, false, false}, {0.25, true, false}, {0.7, false, false}, {0.75, true, true}, {10, false, false}} {
		hours(s, tt.hours)
		r, ok := take()
		if ok != tt.waits {
			t.Errorf("after %g hours: waits is %v", tt.hours, ok)
		}
		if ok {
			if err := s.NotMailed(t.Context(), r, tt.refuse); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestSubscribers: the first digest comes a period after confirmation, the others keep
// the hour.
func TestSubscribers(t *testing.T) {
	s := open(t)
	hours(s, 0.5)
	daily, weekly := confirm(t, s, ask(t, s, "daily@b.org", Daily)), confirm(t, s, ask(t, s, "weekly@b.org", Weekly))
	if daily.Token == weekly.Token || len(daily.Token) < 20 {
		t.Errorf("tokens %q, %q", daily.Token, weekly.Token)
	}
	for _, tt := range []struct {
		name  string
		hours float64
		want  string
	}{
		{"at once", 0.6, ""},
		{"before a day", 24.4, ""},
		{"after a day", 25, "daily"},
		{"again", 25.1, ""},
		{"a day after it was due", 48.6, "daily"},
		{"after a week", 168.5, "daily weekly"},
		{"after two weeks without a server", 500, "daily weekly"},
		{"what was missed comes once", 500.1, ""},
		{"a day after that", 524, "daily"},
	} {
		hours(s, tt.hours)
		var got []string
		for _, sub := range due(t, s) {
			got = append(got, string(sub.Period))
			if err := s.Sent(t.Context(), sub, Hour(s.Now())); err != nil {
				t.Fatal(err)
			}
		}
		if text := strings.Join(got, " "); text != tt.want {
			t.Errorf("%s: %q are due, want %q", tt.name, text, tt.want)
		}
	}
	if got, err := s.Subscriber(t.Context(), daily.Token); err != nil || !got.Told.Equal(day0.Add(523*time.Hour)) {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestChangePeriod: who confirms again keeps the subscription, with another period.
func TestChangePeriod(t *testing.T) {
	s := open(t)
	hours(s, 0.5)
	r := ask(t, s, "a@b.org", Weekly)
	first := confirm(t, s, r)
	hours(s, 3)
	if again := confirm(t, s, r); again != first {
		t.Errorf("the same link again: %+v, was %+v", again, first)
	}
	hours(s, 30)
	changed := confirm(t, s, ask(t, s, "A@b.org", Daily))
	if changed.Token != first.Token || changed.Period != Daily || !changed.Due.Equal(day0.Add(24*time.Hour+30*time.Minute)) {
		t.Errorf("%+v, was %+v", changed, first)
	}
	if subs := due(t, s); len(subs) != 1 {
		t.Errorf("%d are due", len(subs))
	}
}

// TestUnsubscribe: the subscriber is forgotten, and no link that was mailed before makes
// one again.
func TestUnsubscribe(t *testing.T) {
	s := open(t)
	hours(s, 0)
	r := ask(t, s, "a@b.org", Daily)
	sub := confirm(t, s, r)
	if err := s.Unsubscribe(t.Context(), "other"); !errors.Is(err, ErrNotFound) || strings.Contains(err.Error(), "other") {
		t.Errorf("another token: %v", err)
	}
	if err := s.Unsubscribe(t.Context(), sub.Token); err != nil {
		t.Fatal(err)
	}
	if err := s.Unsubscribe(t.Context(), sub.Token); !errors.Is(err, ErrNotFound) {
		t.Errorf("twice: %v", err)
	}
	if _, err := s.Confirm(t.Context(), r.Token); !errors.Is(err, ErrNotFound) {
		t.Errorf("the old link: %v", err)
	}
	if err := s.Sent(t.Context(), sub, day0); err != nil {
		t.Errorf("sent meanwhile: %v", err)
	}
	if ended, err := s.NotSent(t.Context(), sub, true); ended || err != nil {
		t.Errorf("refused meanwhile: %v, %v", ended, err)
	}
	for _, tt := range []struct{ hours, left float64 }{{0.9, 1}, {1, 0}} { // the hour between two mails is kept
		hours(s, tt.hours)
		var left float64
		if err := errors.Join(s.Expire(t.Context()), s.db.QueryRow("SELECT count(*) FROM requests").Scan(&left)); err != nil || left != tt.left {
			t.Errorf("after %g hours %g requests are kept, %v", tt.hours, left, err)
		}
	}
	hours(s, 400)
	if subs := due(t, s); len(subs) != 0 {
		t.Errorf("%d are due", len(subs))
	}
	ask(t, s, "a@b.org", Daily) // one can come back
}

// TestNotSent: failures are tried again ever later; the third refusal in a row ends it.
func TestNotSent(t *testing.T) {
	s := open(t)
	hours(s, 0)
	confirm(t, s, ask(t, s, "a@b.org", Daily))
	const failed, refused, sent, free = "failed", "refused", "sent", "given back"
	for _, tt := range []struct {
		hours  float64
		due    bool
		became string
		ended  bool
	}{
		{24, true, free, false}, {24, true, failed, false}, {24.2, false, "", false}, {24.25, true, failed, false}, {24.7, false, "", false},
		{24.75, true, refused, false}, {48, false, "", false}, {48.75, true, refused, false},
		{73, true, sent, false}, {96, false, "", false}, {97, true, refused, false}, {121, true, failed, false}, {125, true, refused, false}, {149, true, refused, true},
		{1000, false, "", false},
	} {
		hours(s, tt.hours)
		subs := due(t, s)
		if (len(subs) == 1) != tt.due {
			t.Fatalf("after %g hours %d are due", tt.hours, len(subs))
		}
		var ended bool
		var err error
		switch tt.became {
		case sent:
			err = s.Sent(t.Context(), subs[0], Hour(s.Now()))
		case free:
			err = s.Release(t.Context(), nil, subs)
		case failed, refused:
			ended, err = s.NotSent(t.Context(), subs[0], tt.became == refused)
		}
		if ended != tt.ended || err != nil {
			t.Fatalf("after %g hours: ended is %v, %v", tt.hours, ended, err)
		}
	}
}

// TestDigest has what a digest tells of, and of what it does not.
func TestDigest(t *testing.T) {
	s := open(t)
	vote := func(slug, visitor string) {
		if _, err := s.Vote(t.Context(), slug, visitor, true); err != nil {
			t.Fatal(err)
		}
	}
	status := func(slug, to string) {
		if err := s.SetStatus(t.Context(), slug, to); err != nil {
			t.Fatal(err)
		}
	}
	hours(s, 0)
	mustPut(t, s, paper("old", 0), paper("older", 0), paper("hot", 0), paper("warm", 0), paper("steady", 0))
	vote("older", "x")
	status("steady", "holds")
	status("hot", "fails")
	hours(s, 10)
	run := paper("run", -100)
	run.Runnable = true
	renewed := paper("old", 1)
	renewed.Title = "Renewed"
	mustPut(t, s, paper("new", 1), paper("newer", 2), run, renewed)
	for i := range 9 {
		vote("hot", fmt.Sprint(i))
	}
	vote("warm", "x")
	vote("new", "x")
	status("steady", "fails")
	status("steady", "holds") // again
	status("hot", "undecided")
	status("hot", "holds")
	status("hot", "holds")
	status("new", "fails")
	hours(s, 20)
	mustPut(t, s, paper("later", 3))
	vote("old", "x")
	status("old", "holds")

	tell := func(a, b float64) string {
		d, err := s.Digest(t.Context(), day0.Add(time.Duration(a*float64(time.Hour))), day0.Add(time.Duration(b*float64(time.Hour))))
		if err != nil {
			t.Fatal(err)
		}
		text := slugs(d.New) + " | " + slugs(d.Trending) + " |"
		for _, c := range d.Changed {
			text += fmt.Sprintf(" %s:%s-%s", c.Slug, c.Was, c.Status)
		}
		if d.Empty() != (text == " |  |") {
			t.Errorf("%q is empty: %v", text, d.Empty())
		}
		return text
	}
	for _, tt := range []struct {
		name string
		a, b float64
		want string
	}{
		{"what can be run first, then by votes", 9, 11, "run new newer | hot warm | new:-fails hot:fails-holds"},
		{"the end is not told, the beginning is", 10, 20, "run new newer | hot warm | new:-fails hot:fails-holds"},
		{"the next one", 20, 30, "later | old | old:-holds"},
		{"nothing", 11, 19, " |  |"},
		{"nothing yet", 30, 40, " |  |"},
	} {
		if got := tell(tt.a, tt.b); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestDigestIsBounded: of many new papers the rest is counted.
func TestDigestIsBounded(t *testing.T) {
	s := open(t)
	hours(s, 20)
	for i := range mostNew + 4 {
		mustPut(t, s, paper(fmt.Sprintf("many%d", i), 4))
	}
	d, err := s.Digest(t.Context(), day0.Add(20*time.Hour), day0.Add(21*time.Hour))
	if err != nil || len(d.New) != mostNew || d.More != 4 {
		t.Errorf("%d new and %d more, %v", len(d.New), d.More, err)
	}
}

// TestMigration: a shelf of the version before keeps its papers, which are not new.
func TestMigration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "papers.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(migrations[0] + fmt.Sprintf(`; PRAGMA application_id = %d; PRAGMA user_version = 1;
		INSERT INTO papers (slug, title, authors, summary, topics, methods, url, source, published) VALUES ('old', 'Old', 'A', 'S', 'T', 'M', 'https://x.org/', '', 7)`, applicationID)); err != nil {
		t.Fatal(err)
	}
	db.Close()
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := slugs(find(t, s, Query{Text: "old"}).Papers); got != "old" {
		t.Errorf("%q", got)
	}
	mustPut(t, s, paper("new", 0))
	if d, err := s.Digest(t.Context(), time.Unix(1, 0), time.Now().Add(time.Hour)); err != nil || slugs(d.New) != "new" {
		t.Errorf("%q is new, %v", slugs(d.New), err)
	}
	ask(t, s, "a@b.org", Daily)
}

func TestHour(t *testing.T) {
	for _, tt := range []struct{ at, want string }{{"12:04", "11:00"}, {"12:05", "12:00"}, {"12:59", "12:00"}} {
		at, _ := time.Parse("15:04", tt.at)
		if got := Hour(at).Format("15:04"); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.at, got, tt.want)
		}
	}
}

func TestParsePeriod(t *testing.T) {
	for in, want := range map[string]Period{"": Weekly, "daily": Daily, "weekly": Weekly} {
		if got, err := ParsePeriod(in); got != want || err != nil {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	if _, err := ParsePeriod("hourly"); err == nil || !strings.Contains(err.Error(), "daily or weekly") {
		t.Errorf("%v", err)
	}
}

// BenchmarkDigest tells of a week of 100,000 papers, of which a tenth is new.
func BenchmarkDigest(b *testing.B) {
	s := open(b)
	for i := range 20 {
		hours(s, float64(i*24))
		ps := make([]Paper, 5000)
		for j := range ps {
			ps[j] = paper(fmt.Sprintf("p%d-%d", i, j), i)
		}
		mustPut(b, s, ps...)
	}
	for b.Loop() {
		if d, err := s.Digest(context.Background(), day0.Add(18*24*time.Hour), day0.Add(20*24*time.Hour)); err != nil || d.More != 9980 {
			b.Fatal(d.More, err)
		}
	}
}
