package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assay-lab/assay/lab"
)

func open(t testing.TB, path string) *Store {
	t.Helper()
	s, damaged, err := Open(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	if damaged != nil {
		t.Fatal(damaged)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func run(id string) Run {
	return Run{
		ID: id, Key: "key of " + id, Experiment: "paper/exp", Title: "Does it?", Version: 3,
		Values: lab.Values{"steps": "10", "model": "m.onnx"}, Size: lab.Desk, Code: "git 1234",
		Inputs: map[string]string{"model": "ab12"}, Budget: "steps", Cells: 5,
		Cost: lab.Axis{Name: "NFE", Log: true}, Quality: lab.Axis{Name: "accuracy", Unit: "%", Better: lab.Higher},
		Created: time.UnixMilli(1700000000123),
	}
}

// out is the outcome of cell i.
func out(i int) Outcome {
	return Outcome{
		Key: fmt.Sprintf("%032x", i), Place: i, Tries: 1, Worker: "host:1",
		Result: lab.Result{
			Cell:    lab.Cell{Method: "m", Budget: float64(i), Seed: 7, Values: lab.Values{"steps": "10"}},
			Outcome: lab.Outcome{Cost: float64(i), Quality: 1 / float64(1+i), Metrics: map[string]float64{"x": 2}},
			Seconds: 0.5,
		},
	}
}

func failed(i int, why string) Outcome {
	o := out(i)
	o.Result.Outcome, o.Result.Err, o.Tries = lab.Outcome{}, why, 3
	return o
}

// fill makes a store with one run of the given outcomes.
func fill(t testing.TB, path string, outcomes ...Outcome) *Store {
	t.Helper()
	s := open(t, path)
	if err := s.Begin(t.Context(), run("aaaa")); err != nil {
		t.Fatal(err)
	}
	if err := s.Add(t.Context(), "aaaa", outcomes); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRuns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "runs.db")
	big := out(2)
	big.Result.Outcome.Files = []lab.File{{Name: "a.png", Type: "image/png", Data: bytes.Repeat([]byte{1, 0}, 1<<19)}, {Name: "b.txt", Type: "text/plain"}}
	inf := out(3)
	inf.Result.Outcome.Quality = math.Inf(-1)
	want := []Outcome{out(0), failed(1, "boom"), big, inf}
	s := fill(t, path, want[3], want[0], want[2], want[1])
	later := run("aabb")
	later.Created = later.Created.Add(time.Hour)
	if err := s.Begin(t.Context(), later); err != nil {
		t.Fatal(err)
	}
	verdicts := []Judged{{Claim: "fast", Text: "it is fast", Paper: "2x", Verdict: lab.Verdict{
		Status: lab.Fails, Reason: "it is not", Figures: []lab.Figure{{Name: "ratio", Value: math.Inf(1), Want: "< 1"}}, Missing: []string{"m at 1"}}}}
	for range 2 { // judged again, the verdicts are the last ones
		if err := s.Finish(t.Context(), "aaaa", verdicts); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = open(t, path)
	runs, err := s.Runs(t.Context())
	if err != nil || len(runs) != 2 || runs[0].ID != "aabb" || runs[1].ID != "aaaa" {
		t.Fatalf("runs %+v, %v", runs, err)
	}
	got, wantRun := runs[1], run("aaaa")
	if time.Since(got.Finished) > time.Minute || !runs[0].Finished.IsZero() {
		t.Errorf("finished at %v and %v", got.Finished, runs[0].Finished)
	}
	wantRun.Finished, wantRun.Done, wantRun.Failed, wantRun.Seconds = got.Finished, 4, 1, 2
	if !reflect.DeepEqual(got, wantRun) {
		t.Errorf("got run  %+v\nwant run %+v", got, wantRun)
	}
	if got, err := s.Outcomes(t.Context(), "aaaa"); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got outcomes  %+v, %v\nwant outcomes %+v", got, err, want)
	}
	if got, err := s.Verdicts(t.Context(), "aaaa"); err != nil || !reflect.DeepEqual(got, verdicts) {
		t.Errorf("got verdicts  %+v, %v\nwant verdicts %+v", got, err, verdicts)
	}
	wantRec := map[string]bool{want[0].Key: false, want[1].Key: true, want[2].Key: false, want[3].Key: false}
	if got, err := s.Recorded(t.Context(), "aaaa"); err != nil || !reflect.DeepEqual(got, wantRec) {
		t.Errorf("recorded %v, %v, want %v", got, err, wantRec)
	}
	if err := s.Begin(t.Context(), run("aaaa")); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Run(t.Context(), "aaaa"); err != nil || !r.Finished.IsZero() || r.Done != 4 {
		t.Errorf("a run that goes on: %+v, %v", r, err)
	}
}

func TestRunByID(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "runs.db"))
	for _, id := range []string{"aaaa", "aabb", "cccc", "aa"} {
		if err := s.Begin(t.Context(), run(id)); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range []struct{ id, want, err string }{
		{"aaaa", "aaaa", ""},
		{"c", "cccc", ""},
		{"aab", "aabb", ""},
		{"aa", "aa", ""}, // a whole id, though others begin with it
		{"a", "", "aa, aaaa, aabb"},
		{"", "", "no such run"},
		{"%", "", "no such run"},
		{"dddd", "", "no such run"},
	} {
		r, err := s.Run(t.Context(), row.id)
		if r.ID != row.want || (err == nil) != (row.err == "") || err != nil && !strings.Contains(err.Error(), row.err) {
			t.Errorf("run %q: got %q, %v, want %q, %q", row.id, r.ID, err, row.want, row.err)
		}
	}
	if _, err := s.Run(t.Context(), "dddd"); !errors.Is(err, ErrNoRun) {
		t.Errorf("%v is not ErrNoRun", err)
	}
	other := run("aaaa")
	other.Key = "another"
	if err := s.Begin(t.Context(), other); err == nil || !strings.Contains(err.Error(), "another run has this id") {
		t.Errorf("a second run of the same id: %v", err)
	}
	if err := s.Add(t.Context(), "dddd", []Outcome{out(1)}); !errors.Is(err, ErrNoRun) {
		t.Errorf("an outcome of no run: %v", err)
	}
}

func TestOutcomesAreFinal(t *testing.T) {
	changed := out(1)
	changed.Result.Outcome.Quality = 99
	withFile := out(1)
	withFile.Result.Outcome.Files = []lab.File{{Name: "f", Type: "t", Data: []byte("x")}}
	for _, row := range []struct {
		what        string
		first, then Outcome
		want        Outcome
	}{
		{"a second outcome replaces the first", out(1), changed, out(1)},
		{"a late failure replaces an outcome", out(1), failed(1, "late"), out(1)},
		{"a repetition adds its files", out(1), withFile, out(1)},
		{"a retried failure stays failed", failed(1, "boom"), withFile, withFile},
		{"a failure's message is not the last one", failed(1, "boom"), failed(1, "bang"), failed(1, "bang")},
	} {
		s := fill(t, filepath.Join(t.TempDir(), "runs.db"), row.first)
		if err := s.Add(t.Context(), "aaaa", []Outcome{row.then}); err != nil {
			t.Errorf("%s: %v", row.what, err)
		}
		if got, err := s.Outcomes(t.Context(), "aaaa"); err != nil || !reflect.DeepEqual(got, []Outcome{row.want}) {
			t.Errorf("%s: got %+v, %v, want %+v", row.what, got, err, row.want)
		}
	}
}

func TestAddIsAllOrNothing(t *testing.T) {
	s := fill(t, filepath.Join(t.TempDir(), "runs.db"))
	bad := out(2)
	bad.Key = "not hex"
	if err := s.Add(t.Context(), "aaaa", []Outcome{out(1), bad}); err == nil {
		t.Fatal("a bad key was recorded")
	}
	if rec, err := s.Recorded(t.Context(), "aaaa"); err != nil || len(rec) != 0 {
		t.Errorf("recorded %v, %v, want nothing", rec, err)
	}
}

func TestManyWriters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "runs.db")
	fill(t, path)
	var wg sync.WaitGroup
	for w := range 4 { // each as another process would be
		wg.Go(func() {
			s, _, err := Open(t.Context(), path)
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			for i := range 10 {
				if err := s.Add(t.Context(), "aaaa", []Outcome{out(w*10 + i)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if rec, err := open(t, path).Recorded(t.Context(), "aaaa"); err != nil || len(rec) != 40 {
		t.Errorf("%d outcomes, %v, want 40", len(rec), err)
	}
}

// overwrite puts bytes into a file.
func overwrite(path string, at int64, b []byte) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, at)
	return errors.Join(err, f.Close())
}

func TestDamagedIsKeptAside(t *testing.T) {
	garbage := bytes.Repeat([]byte("no database "), 1000)
	for name, damage := range map[string]func(path string) error{
		"header overwritten":             func(p string) error { return overwrite(p, 0, garbage[:100]) },
		"page in the middle overwritten": func(p string) error { return overwrite(p, 4096*8, garbage[:4096]) },
		"last page overwritten": func(p string) error {
			st, err := os.Stat(p)
			if err != nil {
				return err
			}
			return overwrite(p, st.Size()-4096, garbage[:4096])
		},
		"replaced by text":        func(p string) error { return os.WriteFile(p, garbage, 0o644) },
		"cut in the middle":       func(p string) error { return os.Truncate(p, 4096*7) },
		"cut in a page":           func(p string) error { return os.Truncate(p, 4096*7+100) },
		"cut in the header":       func(p string) error { return os.Truncate(p, 50) },
		"emptied":                 func(p string) error { return os.Truncate(p, 0) },
		"removed, its log is not": func(p string) error { return errors.Join(os.WriteFile(p+"-wal", garbage, 0o644), os.Remove(p)) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "runs.db")
			many := make([]Outcome, 300)
			for i := range many {
				many[i] = out(i)
			}
			if err := fill(t, path, many...).Close(); err != nil {
				t.Fatal(err)
			}
			if err := damage(path); err != nil {
				t.Fatal(err)
			}
			before := map[string][]byte{}
			for _, suffix := range suffixes {
				if b, err := os.ReadFile(path + suffix); err == nil {
					before[suffix] = b
				}
			}
			s, damaged, err := Open(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if damaged == nil {
				t.Fatal("the damage went unnoticed")
			}
			for _, text := range []string{path, damaged.Kept, "damaged", "new database"} {
				if !strings.Contains(damaged.String(), text) {
					t.Errorf("the notice lacks %q: %s", text, damaged)
				}
			}
			for suffix, b := range before {
				if kept, err := os.ReadFile(damaged.Kept + suffix); err != nil || !bytes.Equal(kept, b) {
					t.Errorf("%q is not kept as it was: %d bytes, %v, want %d", suffix, len(kept), err, len(b))
				}
			}
			if runs, err := s.Runs(t.Context()); err != nil || len(runs) != 0 {
				t.Errorf("the new database has %d runs, %v", len(runs), err)
			}
			if err := s.Begin(t.Context(), run("bbbb")); err != nil {
				t.Errorf("the new database takes no run: %v", err)
			}
			open(t, path) // and is not damaged itself
		})
	}
}

func TestNotOurs(t *testing.T) {
	exec := func(path, query string) error {
		db, err := connect(path)
		if err != nil {
			return err
		}
		_, err = db.Exec(query)
		return errors.Join(err, db.Close())
	}
	for _, row := range []struct {
		what string
		make func(t *testing.T, path string) error
		want string
	}{
		{"a newer assay's database is used", func(t *testing.T, p string) error {
			open(t, p).Close()
			return exec(p, "INSERT INTO migrations VALUES (99, 0)")
		}, "schema 99"},
		{"another program's database is used", func(t *testing.T, p string) error { return exec(p, "CREATE TABLE bookmarks (url TEXT)") }, "another program"},
		{"a folder is moved aside", func(t *testing.T, p string) error { return os.Mkdir(p, 0o755) }, "not a file"},
	} {
		path := filepath.Join(t.TempDir(), "runs.db")
		if err := row.make(t, path); err != nil {
			t.Fatal(err)
		}
		s, damaged, err := Open(t.Context(), path)
		if s != nil || damaged != nil || err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: got %v, %v, %v, want an error with %q", row.what, s, damaged, err, row.want)
		}
		if aside, _ := filepath.Glob(path + ".damaged*"); len(aside) > 0 {
			t.Errorf("%s: moved aside", row.what)
		}
	}
}

// TestOldSchema opens a database of every earlier schema.
func TestOldSchema(t *testing.T) {
	all := migrations
	for v := 1; v < len(all); v++ {
		path := filepath.Join(t.TempDir(), "runs.db")
		db, err := connect(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := migrateTo(t.Context(), db, v); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec(`INSERT INTO store VALUES ('old');
			INSERT INTO runs (id, key, experiment, title, version, vals, size, code, inputs, cost, quality, cells, created)
			VALUES ('old', 'k', 'e', 't', 1, '{}', 'desk', 'c', '{}', '{}', '{}', 1, 0)`); err != nil {
			t.Fatal(err)
		}
		db.Close()
		s := open(t, path)
		if s.ID() != "old" {
			t.Errorf("schema %d: the database is now %q", v, s.ID())
		}
		if r, err := s.Run(t.Context(), "old"); err != nil || r.Cells != 1 {
			t.Errorf("schema %d: run %+v, %v", v, r, err)
		}
		if have, err := schemaVersion(t.Context(), s.db); err != nil || have != len(all)-1 {
			t.Errorf("schema %d was brought to %d, %v", v, have, err)
		}
	}
}

func TestDurable(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "runs.db"))
	conns := make([]*sql.Conn, 0, 4) // all that the pool may have
	for range 4 {
		c, err := s.db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	for _, c := range conns {
		var mode string
		var sync int
		if err := errors.Join(c.QueryRowContext(t.Context(), "PRAGMA journal_mode").Scan(&mode), c.QueryRowContext(t.Context(), "PRAGMA synchronous").Scan(&sync)); err != nil {
			t.Fatal(err)
		}
		if mode != "wal" || sync != 2 {
			t.Errorf("journal %s, synchronous %d: a loss of power would cost outcomes", mode, sync)
		}
		c.Close()
	}
}

// BenchmarkOpen opens a database of 64 MiB, which is checked page by page.
func BenchmarkOpen(b *testing.B) {
	path := filepath.Join(b.TempDir(), "runs.db")
	s := fill(b, path)
	for i := range 64 {
		o := out(i)
		o.Result.Outcome.Files = []lab.File{{Name: "f", Type: "t", Data: make([]byte, 1<<20)}}
		if err := s.Add(b.Context(), "aaaa", []Outcome{o}); err != nil {
			b.Fatal(err)
		}
	}
	s.Close()
	b.SetBytes(64 << 20)
	for b.Loop() {
		s, _, err := Open(b.Context(), path)
		if err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
}
