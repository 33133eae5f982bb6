package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/assay-lab/assay/lab"
)

// A Run is one experiment with one setting, whose cells are done once.
type Run struct {
	ID         string            `json:"id"`  // short, for people
	Key        string            `json:"key"` // hash of all that the outcomes depend on
	Experiment string            `json:"experiment"`
	Title      string            `json:"title"`
	Version    int               `json:"version"` // the experiment's
	Values     lab.Values        `json:"values"`
	Size       lab.Size          `json:"size"`
	Code       string            `json:"code"`             // version of the program
	Inputs     map[string]string `json:"inputs,omitempty"` // hash of each input file, by parameter
	Cost       lab.Axis          `json:"cost"`
	Quality    lab.Axis          `json:"quality"`
	Budget     string            `json:"budget,omitempty"` // what budgets count; "": the cost
	Cells      int               `json:"cells"`            // in the grid
	Created    time.Time         `json:"created"`
	Finished   time.Time         `json:"finished,omitzero"` // zero while cells are missing

	// Filled in by the reading methods.
	Done    int     `json:"done"`    // cells with an outcome, failed ones included
	Failed  int     `json:"failed"`  // cells that failed for good
	Seconds float64 `json:"seconds"` // wall clock of the cells, added up
}

// An Outcome is what became of one cell.
type Outcome struct {
	Key    string // hash of the cell
	Place  int    // in the grid
	Result lab.Result
	Tries  int
	Worker string // the process that ran it
}

// Judged is a claim and what the run says of it.
type Judged struct {
	Claim   string      `json:"claim"` // its name
	Text    string      `json:"text"`
	Paper   string      `json:"paper,omitempty"`
	Verdict lab.Verdict `json:"verdict"`
}

// ErrNoRun is wrapped by the error for an id that no run has.
var ErrNoRun = errors.New("no such run")

// Begin records a run, or that one already recorded goes on.
func (s *Store) Begin(ctx context.Context, r Run) error {
	vals, inputs, cost, quality, err := marshal4(r.Values, r.Inputs, r.Cost, r.Quality)
	if err != nil {
		return s.wrap("begin run "+r.ID, err)
	}
	var key string
	err = s.db.QueryRowContext(ctx, `
		INSERT INTO runs (id, key, experiment, title, version, vals, size, code, inputs, cost, quality, budget, cells, created)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET finished = 0 WHERE key = excluded.key
		RETURNING key`,
		r.ID, r.Key, r.Experiment, r.Title, r.Version, vals, r.Size, r.Code, inputs, cost, quality, r.Budget,
		r.Cells, r.Created.UnixMilli()).Scan(&key)
	if errors.Is(err, sql.ErrNoRows) {
		err = errors.New("another run has this id")
	}
	return s.wrap("begin run "+r.ID, err)
}

func marshal4(a, b, c, d any) (as, bs, cs, ds string, err error) {
	var out [4]string
	for i, v := range []any{a, b, c, d} {
		j, err := json.Marshal(v)
		if err != nil {
			return "", "", "", "", err
		}
		out[i] = string(j)
	}
	return out[0], out[1], out[2], out[3], nil
}

// Finish records that every cell of the run has an outcome, and the verdicts.
func (s *Store) Finish(ctx context.Context, run string, verdicts []Judged) error {
	return s.wrap("finish run "+run, s.inTx(ctx, func(tx *sql.Tx) error {
		n, err := runNumber(ctx, tx, run)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "UPDATE runs SET finished = ? WHERE n = ?", time.Now().UnixMilli(), n); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM verdicts WHERE run = ?", n); err != nil {
			return err
		}
		for i, j := range verdicts {
			v, err := json.Marshal(j.Verdict)
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, "INSERT INTO verdicts VALUES (?, ?, ?, ?, ?, ?)", n, i, j.Claim, j.Text, j.Paper, string(v)); err != nil {
				return err
			}
		}
		return nil
	}))
}

func (s *Store) inTx(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// runNumber is a run's row.
func runNumber(ctx context.Context, tx *sql.Tx, run string) (n int64, err error) {
	err = tx.QueryRowContext(ctx, "SELECT n FROM runs WHERE id = ?", run).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNoRun
	}
	return n, err
}

const selectRuns = `
	SELECT r.id, r.key, r.experiment, r.title, r.version, r.vals, r.size, r.code, r.inputs, r.cost, r.quality, r.budget, r.cells,
		r.created, r.finished, count(o.n), count(nullif(o.error, '')), coalesce(sum(o.seconds), 0)
	FROM runs r LEFT JOIN outcomes o ON o.run = r.n `

// Runs lists all runs, the newest first.
func (s *Store) Runs(ctx context.Context) ([]Run, error) {
	runs, err := s.runs(ctx, selectRuns+"GROUP BY r.n ORDER BY r.created DESC, r.id")
	return runs, s.wrap("list runs", err)
}

// Run returns the run of that id, or of that beginning of an id if only one run
// has it.
func (s *Store) Run(ctx context.Context, id string) (Run, error) {
	runs, err := s.runs(ctx, selectRuns+"WHERE r.id = ?1 OR substr(r.id, 1, length(?1)) = ?1 GROUP BY r.n ORDER BY r.id", id)
	switch {
	case err != nil:
		return Run{}, s.wrap("run "+id, err)
	case len(runs) == 0 || id == "":
		return Run{}, fmt.Errorf("store: run %q: %w", id, ErrNoRun)
	case runs[0].ID != id && len(runs) > 1:
		ids := make([]string, len(runs))
		for i, r := range runs {
			ids[i] = r.ID
		}
		return Run{}, fmt.Errorf("store: run %q: could be any of %s: give more of the id", id, strings.Join(ids, ", "))
	}
	return runs[0], nil
}

func (s *Store) runs(ctx context.Context, query string, args ...any) ([]Run, error) {
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var runs []Run
	for rows.Next() {
		var r Run
		var vals, inputs, cost, quality string
		var created, finished int64
		if err := rows.Scan(&r.ID, &r.Key, &r.Experiment, &r.Title, &r.Version, &vals, &r.Size, &r.Code, &inputs, &cost, &quality,
			&r.Budget, &r.Cells, &created, &finished, &r.Done, &r.Failed, &r.Seconds); err != nil {
			return nil, err
		}
		err := cmp.Or(json.Unmarshal([]byte(vals), &r.Values), json.Unmarshal([]byte(inputs), &r.Inputs),
			json.Unmarshal([]byte(cost), &r.Cost), json.Unmarshal([]byte(quality), &r.Quality))
		if err != nil {
			return nil, fmt.Errorf("run %s: %w", r.ID, err)
		}
		r.Created = time.UnixMilli(created)
		if finished != 0 {
			r.Finished = time.UnixMilli(finished)
		}
		runs = append(runs, r)
	}
	return runs, rows.Err()
}

// Verdicts returns what was judged when the run finished.
func (s *Store) Verdicts(ctx context.Context, run string) ([]Judged, error) {
	js, err := s.verdicts(ctx, run)
	return js, s.wrap("verdicts of run "+run, err)
}

func (s *Store) verdicts(ctx context.Context, run string) ([]Judged, error) {
	rows, err := s.db.QueryContext(ctx, "SELECT claim, text, paper, verdict FROM verdicts WHERE run = (SELECT n FROM runs WHERE id = ?) ORDER BY place", run)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var js []Judged
	for rows.Next() {
		var j Judged
		var v string
		if err := rows.Scan(&j.Claim, &j.Text, &j.Paper, &v); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(v), &j.Verdict); err != nil {
			return nil, err
		}
		js = append(js, j)
	}
	return js, rows.Err()
}
