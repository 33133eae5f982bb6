package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// applicationID marks our databases in the header of the file: "assy".
const applicationID = 0x61737379

// migrations make each version of the schema from the one before. They are only
// ever added to.
var migrations = []string{
	1: `
CREATE TABLE store (id TEXT NOT NULL);

CREATE TABLE runs (
	n          INTEGER PRIMARY KEY,
	id         TEXT NOT NULL UNIQUE,
	key        TEXT NOT NULL UNIQUE, -- hash of all that the outcomes depend on
	experiment TEXT NOT NULL,
	title      TEXT NOT NULL,
	version    INTEGER NOT NULL,
	vals       TEXT NOT NULL,        -- JSON object
	size       TEXT NOT NULL,
	code       TEXT NOT NULL,
	inputs     TEXT NOT NULL,        -- JSON object: parameter to the file's hash
	cost       TEXT NOT NULL,        -- JSON axis
	quality    TEXT NOT NULL,        -- JSON axis
	cells      INTEGER NOT NULL,     -- in the grid
	created    INTEGER NOT NULL,     -- Unix time in ms
	finished   INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE outcomes (
	n       INTEGER PRIMARY KEY,
	run     INTEGER NOT NULL REFERENCES runs (n),
	key     BLOB NOT NULL,           -- hash of the cell
	place   INTEGER NOT NULL,        -- in the grid
	cell    TEXT NOT NULL,           -- JSON
	outcome TEXT NOT NULL,           -- JSON without files; '' when the cell failed
	error   TEXT NOT NULL,           -- '' when it did not
	seconds REAL NOT NULL,
	tries   INTEGER NOT NULL,
	worker  TEXT NOT NULL,
	UNIQUE (run, key)
) STRICT;

CREATE TABLE files (
	outcome INTEGER NOT NULL REFERENCES outcomes (n),
	place   INTEGER NOT NULL,
	name    TEXT NOT NULL,
	type    TEXT NOT NULL,
	data    BLOB NOT NULL,
	UNIQUE (outcome, place)
) STRICT;

CREATE TABLE verdicts (
	run     INTEGER NOT NULL REFERENCES runs (n),
	place   INTEGER NOT NULL,
	claim   TEXT NOT NULL,
	text    TEXT NOT NULL,
	paper   TEXT NOT NULL,
	verdict TEXT NOT NULL,           -- JSON
	UNIQUE (run, place)
) STRICT;
`,
	2: `ALTER TABLE runs ADD COLUMN budget TEXT NOT NULL DEFAULT ''; -- what budgets count`,
}

// migrate brings the schema up to date.
func migrate(ctx context.Context, db *sql.DB) error { return migrateTo(ctx, db, len(migrations)-1) }

// migrateTo brings the schema to a version, in one transaction.
func migrateTo(ctx context.Context, db *sql.DB, newest int) error {
	have, err := schemaVersion(ctx, db)
	if err != nil {
		return err
	}
	if have == newest {
		return nil
	}
	if have > newest {
		return fmt.Errorf("written by a newer assay: it has schema %d and this one knows schemas up to %d: use the newer assay, or another database", have, newest)
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if have == 0 {
		if _, err := tx.ExecContext(ctx, fmt.Sprintf(`PRAGMA application_id = %d;
			CREATE TABLE migrations (version INTEGER PRIMARY KEY, applied INTEGER NOT NULL) STRICT;`, applicationID)); err != nil {
			return err
		}
	}
	for v := have + 1; v <= newest; v++ {
		if _, err := tx.ExecContext(ctx, migrations[v]); err != nil {
			return fmt.Errorf("schema %d: %w", v, err)
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO migrations VALUES (?, ?)", v, time.Now().UnixMilli()); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// schemaVersion is 0 for a database without tables.
func schemaVersion(ctx context.Context, db *sql.DB) (int, error) {
	var app, tables int
	if err := db.QueryRowContext(ctx, "PRAGMA application_id").Scan(&app); err != nil {
		return 0, err
	}
	if err := db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&tables); err != nil {
		return 0, err
	}
	switch {
	case app == 0 && tables == 0:
		return 0, nil
	case app != applicationID:
		return 0, errors.New("is an SQLite database of another program")
	}
	var v int
	err := db.QueryRowContext(ctx, "SELECT coalesce(max(version), 0) FROM migrations").Scan(&v)
	return v, err
}
