// Package shelf keeps what the Daily Papers page shows beside runs: papers, those of
// the catalogue and those that feeds bring, and what readers do with them.
package shelf

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"modernc.org/sqlite"
)

// A Shelf is an open database of papers. Its methods may be called from several
// goroutines.
type Shelf struct {
	db *sql.DB

	Now func() time.Time // the clock, which tests set
}

// ErrNotFound is wrapped by the error for something that is not there.
var ErrNotFound = errors.New("not found")

// applicationID marks our files in SQLite's header: "asys".
const applicationID = 0x61737973

// migrations make each version of the schema from the one before. They are only
// ever added to.
var migrations = []string{`
CREATE TABLE papers (
	n         INTEGER PRIMARY KEY,
	slug      TEXT NOT NULL UNIQUE,
	title     TEXT NOT NULL,
	authors   TEXT NOT NULL,              -- one a line
	summary   TEXT NOT NULL,
	topics    TEXT NOT NULL,              -- one a line, the field first
	methods   TEXT NOT NULL,              -- one a line
	url       TEXT NOT NULL,
	source    TEXT NOT NULL,              -- '' for the catalogue
	published INTEGER NOT NULL,           -- Unix time
	runnable  INTEGER NOT NULL DEFAULT 0,
	status    TEXT NOT NULL DEFAULT '',   -- of its last run
	votes     INTEGER NOT NULL DEFAULT 0,
	heat      REAL NOT NULL DEFAULT -1e9  -- log2 of the votes decayed to time 0
) STRICT;
CREATE INDEX papers_date  ON papers (published DESC, n DESC);
CREATE INDEX papers_heat  ON papers (heat DESC, n DESC);
CREATE INDEX papers_run   ON papers (runnable, status);
CREATE UNIQUE INDEX papers_url ON papers (url);

CREATE TABLE topics (
	topic     TEXT NOT NULL,
	published INTEGER NOT NULL,           -- the paper's, for its order
	paper     INTEGER NOT NULL REFERENCES papers (n) ON DELETE CASCADE,
	PRIMARY KEY (topic, published, paper)
) STRICT, WITHOUT ROWID;
CREATE INDEX topics_paper ON topics (paper);

CREATE VIRTUAL TABLE words USING fts5 (
	title, summary, topics, methods,
	content = 'papers', content_rowid = 'n', prefix = '1 2 3',
	tokenize = "unicode61 remove_diacritics 2"
);
CREATE TRIGGER papers_insert AFTER INSERT ON papers BEGIN
	INSERT INTO words (rowid, title, summary, topics, methods)
	VALUES (new.n, new.title, new.summary, new.topics, new.methods);
END;
CREATE TRIGGER papers_update AFTER UPDATE OF title, summary, topics, methods ON papers BEGIN
	INSERT INTO words (words, rowid, title, summary, topics, methods)
	VALUES ('delete', old.n, old.title, old.summary, old.topics, old.methods);
	INSERT INTO words (rowid, title, summary, topics, methods)
	VALUES (new.n, new.title, new.summary, new.topics, new.methods);
END;

CREATE TABLE votes (
	paper   INTEGER NOT NULL REFERENCES papers (n) ON DELETE CASCADE,
	visitor TEXT NOT NULL,
	at      INTEGER NOT NULL,
	PRIMARY KEY (paper, visitor)
) STRICT, WITHOUT ROWID;

CREATE TABLE jobs (
	n          INTEGER PRIMARY KEY,
	id         TEXT NOT NULL UNIQUE,
	visitor    TEXT NOT NULL,
	experiment TEXT NOT NULL,
	size       TEXT NOT NULL,
	settings   TEXT NOT NULL,             -- JSON object
	run        TEXT NOT NULL DEFAULT '',  -- once it has begun
	state      TEXT NOT NULL,
	error      TEXT NOT NULL DEFAULT '',
	created    INTEGER NOT NULL
) STRICT;
CREATE INDEX jobs_state ON jobs (state, n);
CREATE INDEX jobs_run   ON jobs (run);

CREATE TABLE secrets (name TEXT PRIMARY KEY, secret BLOB NOT NULL) STRICT;
`, `
-- Searches need neither places nor phrases, and ask first for what papers are called.
DROP TABLE words;
DROP TRIGGER papers_insert;
DROP TRIGGER papers_update;
CREATE VIRTUAL TABLE words USING fts5 (
	title, summary, topics, methods,
	content = 'papers', content_rowid = 'n', prefix = '1 2 3 4', detail = column,
	tokenize = "unicode61 remove_diacritics 2"
);
CREATE VIRTUAL TABLE names USING fts5 (
	title, topics, methods,
	content = 'papers', content_rowid = 'n', prefix = '1 2 3 4', detail = column,
	tokenize = "unicode61 remove_diacritics 2"
);
CREATE TRIGGER papers_insert AFTER INSERT ON papers BEGIN
	INSERT INTO words (rowid, title, summary, topics, methods)
	VALUES (new.n, new.title, new.summary, new.topics, new.methods);
	INSERT INTO names (rowid, title, topics, methods)
	VALUES (new.n, new.title, new.topics, new.methods);
END;
CREATE TRIGGER papers_update AFTER UPDATE OF title, summary, topics, methods ON papers BEGIN
	INSERT INTO words (words, rowid, title, summary, topics, methods)
	VALUES ('delete', old.n, old.title, old.summary, old.topics, old.methods);
	INSERT INTO words (rowid, title, summary, topics, methods)
	VALUES (new.n, new.title, new.summary, new.topics, new.methods);
	INSERT INTO names (names, rowid, title, topics, methods)
	VALUES ('delete', old.n, old.title, old.topics, old.methods);
	INSERT INTO names (rowid, title, topics, methods)
	VALUES (new.n, new.title, new.topics, new.methods);
END;
INSERT INTO words (words) VALUES ('rebuild');
INSERT INTO names (names) VALUES ('rebuild');
`, `
-- What is there already was put on the shelf long ago.
ALTER TABLE papers ADD COLUMN added INTEGER NOT NULL DEFAULT 0;
CREATE INDEX papers_added ON papers (added);
CREATE INDEX votes_at     ON votes (at);

CREATE TABLE changes (                    -- of papers' verdicts
	n      INTEGER PRIMARY KEY,
	paper  INTEGER NOT NULL REFERENCES papers (n) ON DELETE CASCADE,
	was    TEXT NOT NULL,
	became TEXT NOT NULL,
	at     INTEGER NOT NULL
) STRICT;
CREATE INDEX changes_at ON changes (at);

CREATE TABLE requests (                   -- wishes for a digest that are not confirmed yet
	n        INTEGER PRIMARY KEY,
	address  TEXT NOT NULL UNIQUE COLLATE NOCASE,
	period   TEXT NOT NULL,
	token    TEXT UNIQUE,                 -- of the link that confirms; NULL when it is no longer good
	asked    INTEGER NOT NULL,            -- or mailed, what was last
	waits    INTEGER NOT NULL DEFAULT 1,  -- its mail is still to be sent
	later    INTEGER NOT NULL DEFAULT 0,  -- not before then
	failures INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX requests_wait ON requests (waits, later);

CREATE TABLE subscribers (
	n         INTEGER PRIMARY KEY,
	address   TEXT NOT NULL UNIQUE COLLATE NOCASE,
	period    TEXT NOT NULL,              -- daily or weekly
	token     TEXT NOT NULL UNIQUE,       -- of the link that ends the subscription
	confirmed INTEGER NOT NULL,
	told      INTEGER NOT NULL,           -- up to here, by the digests so far
	due       INTEGER NOT NULL,           -- the next digest
	later     INTEGER NOT NULL DEFAULT 0, -- it is not tried before then
	failures  INTEGER NOT NULL DEFAULT 0, -- in a row
	refusals  INTEGER NOT NULL DEFAULT 0  -- in a row, of the address
) STRICT;
CREATE INDEX subscribers_due ON subscribers (due);
`}

// Open opens the database at path, and creates it and its folder when absent.
func Open(ctx context.Context, path string) (*Shelf, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return nil, fmt.Errorf("shelf: %w", err)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("shelf: %w", err)
	}
	u := url.URL{Scheme: "file", Path: "/" + strings.TrimPrefix(filepath.ToSlash(path), "/"), RawQuery: url.Values{
		"_busy_timeout": {"20000"}, "_txlock": {"immediate"}, "_journal_mode": {"WAL"},
		"_synchronous":  {"NORMAL"}, // what readers do may lose its last second to a loss of power
		"_foreign_keys": {"1"}, "_pragma": {"mmap_size(268435456)", "cache_size(-65536)"},
	}.Encode()}
	c, err := sqlite.NewConnector(u.String())
	if err != nil {
		return nil, fmt.Errorf("shelf: %w", err)
	}
	s := &Shelf{db: sql.OpenDB(c), Now: time.Now}
	s.db.SetMaxOpenConns(4)
	s.db.SetMaxIdleConns(4)
	if err := s.migrate(ctx); err != nil {
		s.db.Close()
		return nil, fmt.Errorf("shelf: %s: %w", path, err)
	}
	return s, nil
}

// Close closes the database.
func (s *Shelf) Close() error { return s.db.Close() }

func (s *Shelf) migrate(ctx context.Context) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var id, version int
	if err := tx.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id); err != nil {
		return err
	}
	if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	switch {
	case id != applicationID && (id != 0 || version != 0):
		return errors.New("is a database of something else")
	case version > len(migrations):
		return fmt.Errorf("was written by a newer assay (schema %d, this one knows %d)", version, len(migrations))
	case version == len(migrations):
		return nil
	}
	for _, m := range migrations[version:] {
		if _, err := tx.ExecContext(ctx, m); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d", applicationID, len(migrations))); err != nil {
		return err
	}
	return tx.Commit()
}

// Ping reports whether the database can be read.
func (s *Shelf) Ping(ctx context.Context) error {
	var one int
	return s.db.QueryRowContext(ctx, "SELECT 1 FROM papers LIMIT 1").Scan(&one)
}

// Secret is the secret of that name, which make makes the first time.
func (s *Shelf) Secret(ctx context.Context, name string, make func() []byte) (secret []byte, err error) {
	if _, err := s.db.ExecContext(ctx, "INSERT OR IGNORE INTO secrets VALUES (?, ?)", name, make()); err != nil {
		return nil, fmt.Errorf("shelf: %w", err)
	}
	if err := s.db.QueryRowContext(ctx, "SELECT secret FROM secrets WHERE name = ?", name).Scan(&secret); err != nil {
		return nil, fmt.Errorf("shelf: %w", err)
	}
	return secret, nil
}
