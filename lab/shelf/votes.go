package shelf

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
)

// halfLife of a vote, in seconds: after it, a vote counts half in the trend.
const halfLife = 3 * 24 * 3600

// coldHeat is the heat of a paper without votes.
const coldHeat = -1e9

// Vote gives or takes back a visitor's vote, of which a paper counts one, and returns
// the votes that it then has.
func (s *Shelf) Vote(ctx context.Context, slug, visitor string, up bool) (votes int, err error) {
	fail := func(err error) (int, error) { return 0, fmt.Errorf("shelf: vote for %q: %w", slug, err) }
	if visitor == "" {
		return fail(errors.New("no visitor"))
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return fail(err)
	}
	defer tx.Rollback()
	var n int64
	switch err := tx.QueryRowContext(ctx, "SELECT n FROM papers WHERE slug = ?", slug).Scan(&n); {
	case errors.Is(err, sql.ErrNoRows):
		return fail(ErrNotFound)
	case err != nil:
		return fail(err)
	}
	if up {
		_, err = tx.ExecContext(ctx, "INSERT OR IGNORE INTO votes VALUES (?, ?, ?)", n, visitor, s.Now().Unix())
	} else {
		_, err = tx.ExecContext(ctx, "DELETE FROM votes WHERE paper = ? AND visitor = ?", n, visitor)
	}
	if err != nil {
		return fail(err)
	}
	heat, votes, err := heatOf(ctx, tx, n)
	if err != nil {
		return fail(err)
	}
	if _, err := tx.ExecContext(ctx, "UPDATE papers SET votes = ?, heat = ? WHERE n = ?", votes, heat, n); err != nil {
		return fail(err)
	}
	if err := tx.Commit(); err != nil {
		return fail(err)
	}
	return votes, nil
}

// heatOf is log2 Σ 2^(t/halfLife) over the times of a paper's votes. All papers decay
// at one rate, so the order by heat is that by votes decayed to any later time, and
// needs no renewal as time goes on.
func heatOf(ctx context.Context, tx *sql.Tx, paper int64) (heat float64, votes int, err error) {
	rows, err := tx.QueryContext(ctx, "SELECT at FROM votes WHERE paper = ? ORDER BY at DESC", paper)
	if err != nil {
		return 0, 0, err
	}
	defer rows.Close()
	var latest, sum float64
	for rows.Next() {
		var at int64
		if err := rows.Scan(&at); err != nil {
			return 0, 0, err
		}
		t := float64(at) / halfLife
		if votes++; votes == 1 {
			latest = t
		}
		sum += math.Exp2(t - latest)
	}
	if votes == 0 {
		return coldHeat, 0, rows.Err()
	}
	return latest + math.Log2(sum), votes, rows.Err()
}
