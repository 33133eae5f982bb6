package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/assay-lab/assay/lab"
)

// Add records outcomes of a run's cells in one durable transaction. An outcome
// that is already recorded stays as it is, unless it is a failure.
func (s *Store) Add(ctx context.Context, run string, outcomes []Outcome) error {
	return s.wrap("record outcomes of run "+run, s.inTx(ctx, func(tx *sql.Tx) error {
		insert, err := tx.PrepareContext(ctx, `
			INSERT INTO outcomes (run, key, place, cell, outcome, error, seconds, tries, worker)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (run, key) DO UPDATE SET outcome = excluded.outcome, error = excluded.error,
				seconds = excluded.seconds, tries = excluded.tries, worker = excluded.worker
			WHERE outcomes.error <> ''`)
		if err != nil {
			return err
		}
		defer insert.Close()
		for _, o := range outcomes {
			if err := addOne(ctx, tx, insert, run, o); err != nil {
				return fmt.Errorf("%s: %w", o.Result.Cell, err)
			}
		}
		return nil
	}))
}

func addOne(ctx context.Context, tx *sql.Tx, insert *sql.Stmt, run string, o Outcome) error {
	cell, err := json.Marshal(o.Result.Cell)
	if err != nil {
		return err
	}
	var outcome []byte
	files := o.Result.Outcome.Files
	if o.Result.Err == "" {
		bare := o.Result.Outcome
		bare.Files = nil // a table of their own keeps lists of outcomes quick
		if outcome, err = json.Marshal(bare); err != nil {
			return err
		}
	} else {
		files = nil
	}
	res, err := insert.ExecContext(ctx, run, o.Key, o.Place, string(cell), string(outcome), o.Result.Err, o.Result.Seconds, o.Tries, o.Worker)
	if err != nil || len(files) == 0 {
		return err
	}
	if n, err := res.RowsAffected(); n == 0 || err != nil {
		return err
	}
	for i, f := range files {
		data := f.Data
		if data == nil {
			data = []byte{}
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO files (run, key, place, name, type, data) VALUES (?, ?, ?, ?, ?, ?)", run, o.Key, i, f.Name, f.Type, data); err != nil {
			return err
		}
	}
	return nil
}

// Recorded maps the key of every cell that has an outcome to whether it failed.
func (s *Store) Recorded(ctx context.Context, run string) (map[string]bool, error) {
	rows, err := s.db.QueryContext(ctx, "SELECT key, error <> '' FROM outcomes WHERE run = ?", run)
	if err != nil {
		return nil, s.wrap("outcomes of run "+run, err)
	}
	defer rows.Close()
	failed := map[string]bool{}
	for rows.Next() {
		var key string
		var f bool
		if err := rows.Scan(&key, &f); err != nil {
			return nil, s.wrap("outcomes of run "+run, err)
		}
		failed[key] = f
	}
	return failed, s.wrap("outcomes of run "+run, rows.Err())
}

// Outcomes returns the recorded outcomes of a run with their files, in the
// order of the grid.
func (s *Store) Outcomes(ctx context.Context, run string) ([]Outcome, error) {
	os, err := s.outcomes(ctx, run)
	if err == nil {
		err = s.addFiles(ctx, run, os)
	}
	return os, s.wrap("outcomes of run "+run, err)
}

func (s *Store) outcomes(ctx context.Context, run string) ([]Outcome, error) {
	rows, err := s.db.QueryContext(ctx, "SELECT key, place, cell, outcome, error, seconds, tries, worker FROM outcomes WHERE run = ? ORDER BY place, key", run)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var os []Outcome
	for rows.Next() {
		var o Outcome
		var cell, outcome sql.RawBytes
		if err := rows.Scan(&o.Key, &o.Place, &cell, &outcome, &o.Result.Err, &o.Result.Seconds, &o.Tries, &o.Worker); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(cell, &o.Result.Cell); err != nil {
			return nil, fmt.Errorf("cell %s: %w", o.Key, err)
		}
		if o.Result.Err == "" {
			if err := json.Unmarshal(outcome, &o.Result.Outcome); err != nil {
				return nil, fmt.Errorf("%s: %w", o.Result.Cell, err)
			}
		}
		os = append(os, o)
	}
	return os, rows.Err()
}

func (s *Store) addFiles(ctx context.Context, run string, os []Outcome) error {
	at := make(map[string]int, len(os))
	for i, o := range os {
		at[o.Key] = i
	}
	rows, err := s.db.QueryContext(ctx, "SELECT key, name, type, data FROM files WHERE run = ? ORDER BY key, place", run)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var key string
		var f lab.File
		if err := rows.Scan(&key, &f.Name, &f.Type, &f.Data); err != nil {
			return err
		}
		// A file recorded after the outcomes were read has no place here.
		if i, ok := at[key]; ok {
			o := &os[i].Result.Outcome
			o.Files = append(o.Files, f)
		}
	}
	return rows.Err()
}
