package store

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/assay-lab/assay/lab"
)

const insertOutcome = `
	INSERT INTO outcomes (run, key, place, cell, outcome, error, seconds, tries, worker)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
	ON CONFLICT (run, key) DO UPDATE SET outcome = excluded.outcome, error = excluded.error,
		seconds = excluded.seconds, tries = excluded.tries, worker = excluded.worker
	WHERE outcomes.error <> ''
	RETURNING n`

// Add records outcomes of a run's cells in one durable transaction. An outcome
// that is already recorded stays as it is, unless it is a failure.
func (s *Store) Add(ctx context.Context, run string, outcomes []Outcome) error {
	return s.wrap("record outcomes of run "+run, s.inTx(ctx, func(tx *sql.Tx) error {
		n, err := runNumber(ctx, tx, run)
		if err != nil {
			return err
		}
		insert := tx.StmtContext(ctx, s.insert)
		for _, o := range outcomes {
			if err := addOne(ctx, tx, insert, n, o); err != nil {
				return fmt.Errorf("%s: %w", o.Result.Cell, err)
			}
		}
		return nil
	}))
}

func addOne(ctx context.Context, tx *sql.Tx, insert *sql.Stmt, run int64, o Outcome) error {
	key, err := hex.DecodeString(o.Key)
	if err != nil {
		return fmt.Errorf("key %q: %w", o.Key, err)
	}
	cell, err := json.Marshal(o.Result.Cell)
	if err != nil {
		return err
	}
	var outcome []byte
	var files []lab.File
	if o.Result.Err == "" {
		bare := o.Result.Outcome
		files, bare.Files = bare.Files, nil // a table of their own keeps lists of outcomes quick
		if outcome, err = json.Marshal(bare); err != nil {
			return err
		}
	}
	var n int64
	err = insert.QueryRowContext(ctx, run, key, o.Place, string(cell), string(outcome), o.Result.Err, o.Result.Seconds, o.Tries, o.Worker).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		return nil // recorded before
	}
	if err != nil {
		return err
	}
	for i, f := range files {
		if f.Data == nil {
			f.Data = []byte{} // nil would be NULL
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO files VALUES (?, ?, ?, ?, ?)", n, i, f.Name, f.Type, f.Data); err != nil {
			return err
		}
	}
	return nil
}

// Recorded maps the key of every cell that has an outcome to whether it failed.
func (s *Store) Recorded(ctx context.Context, run string) (map[string]bool, error) {
	rows, err := s.db.QueryContext(ctx, "SELECT hex(key), error <> '' FROM outcomes WHERE run = (SELECT n FROM runs WHERE id = ?)", run)
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
		failed[strings.ToLower(key)] = f
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
	rows, err := s.db.QueryContext(ctx, `
		SELECT hex(key), place, cell, outcome, error, seconds, tries, worker FROM outcomes
		WHERE run = (SELECT n FROM runs WHERE id = ?) ORDER BY place, key`, run)
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
		o.Key = strings.ToLower(o.Key)
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
	rows, err := s.db.QueryContext(ctx, `
		SELECT hex(o.key), f.name, f.type, f.data FROM files f JOIN outcomes o ON f.outcome = o.n
		WHERE o.run = (SELECT n FROM runs WHERE id = ?) ORDER BY o.n, f.place`, run)
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
		if i, ok := at[strings.ToLower(key)]; ok {
			o := &os[i].Result.Outcome
			o.Files = append(o.Files, f)
		}
	}
	return rows.Err()
}
