// Package store keeps runs and the outcomes of their cells in an SQLite
// database. What it has recorded is the truth about a run: queues, workers and
// processes may die at any time.
//
// A store is opened for as long as it is needed, by any number of processes at
// once. Nothing is ever deleted from it.
package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/assay-lab/assay/internal/filelock"
)

// A Store is an open database of runs. Its methods may be called from several
// goroutines.
type Store struct {
	db   *sql.DB
	path string
	id   string

	insert *sql.Stmt
}

// Damaged tells that a database could not be read. It is not lost: it was moved
// to Kept, and an empty one was started in its place.
type Damaged struct {
	Path   string // the database
	Kept   string // where the damaged one is now
	Reason error
}

func (d *Damaged) String() string {
	return fmt.Sprintf("%s is damaged (%v): it is kept as %s and a new database was started. Runs in it can be salvaged with: sqlite3 %s .recover",
		d.Path, d.Reason, d.Kept, d.Kept)
}

// errDamage marks what the integrity check finds.
var errDamage = errors.New("damage")

// Open opens the database at path, creating it and its folder when they are
// absent. A damaged database is moved aside, an empty one takes its place, and
// the notice says so; it is nil otherwise. A file that is something else than
// assay's database, or was written by a newer assay, is an error and stays as
// it is.
func Open(ctx context.Context, path string) (*Store, *Damaged, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, nil, fmt.Errorf("store: %w", err)
	}
	// One process at a time creates, checks or moves the file.
	lock, err := filelock.Acquire(ctx, filepath.Join(filepath.Dir(path), "locks", filepath.Base(path)))
	if err != nil {
		return nil, nil, fmt.Errorf("store: %w", err)
	}
	defer lock.Release()

	s, err := openExisting(ctx, path)
	var damaged *Damaged
	if isDamage(err) {
		kept, moveErr := setAside(path)
		if moveErr != nil {
			return nil, nil, fmt.Errorf("store: %s is damaged (%w) and could not be moved aside: %w", path, err, moveErr)
		}
		damaged = &Damaged{Path: path, Kept: kept, Reason: err}
		err = fs.ErrNotExist
	}
	if errors.Is(err, fs.ErrNotExist) {
		if err := create(ctx, path); err != nil {
			return nil, nil, fmt.Errorf("store: create %s: %w", path, err)
		}
		s, err = openExisting(ctx, path)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("store: %s: %w", path, err)
	}
	return s, damaged, nil
}

// openExisting opens a database that is there, and checks it from the first
// page to the last.
func openExisting(ctx context.Context, path string) (*Store, error) {
	switch st, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
		if st, err := os.Stat(path + "-wal"); err == nil && st.Size() > 0 {
			// SQLite would replay it into whatever takes the database's name.
			return nil, fmt.Errorf("%w: the database is gone and its log is still there", errDamage)
		}
		return nil, fs.ErrNotExist
	case err != nil:
		return nil, err
	case !st.Mode().IsRegular():
		return nil, errors.New("is not a file")
	case st.Size() == 0: // create never leaves it so
		return nil, fmt.Errorf("%w: the file is empty", errDamage)
	}
	db, err := connect(path)
	if err != nil {
		return nil, err
	}
	s := &Store{db: db, path: path}
	if err := s.check(ctx); err != nil {
		db.Close()
		return nil, err
	}
	return s, nil
}

func (s *Store) check(ctx context.Context) error {
	var verdict string
	if err := s.db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return fmt.Errorf("%w: %s", errDamage, strings.ReplaceAll(verdict, "\n", " "))
	}
	if err := migrate(ctx, s.db); err != nil {
		return err
	}
	if err := s.db.QueryRowContext(ctx, "SELECT id FROM store").Scan(&s.id); err != nil {
		return err
	}
	var err error
	s.insert, err = s.db.PrepareContext(ctx, insertOutcome)
	return err
}

// create makes a new database under another name and moves it into place whole,
// so that a file cut short is never mistaken for one just begun.
func create(ctx context.Context, path string) error {
	fresh := path + ".new"
	for _, suffix := range suffixes {
		if err := os.Remove(fresh + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	db, err := connect(fresh)
	if err != nil {
		return err
	}
	if err := migrate(ctx, db); err != nil {
		db.Close()
		return err
	}
	if _, err := db.ExecContext(ctx, "INSERT INTO store (id) VALUES (?)", strings.ToLower(rand.Text())); err != nil {
		db.Close()
		return err
	}
	if err := db.Close(); err != nil { // writes the log back and removes it
		return err
	}
	return os.Rename(fresh, path)
}

func connect(path string) (*sql.DB, error) {
	u := url.URL{Scheme: "file", Path: "/" + strings.TrimPrefix(filepath.ToSlash(path), "/"), RawQuery: url.Values{
		"_busy_timeout": {"20000"}, // another process's commit takes milliseconds; its backup may take seconds
		"_txlock":       {"immediate"},
		"_journal_mode": {"WAL"},
		"_synchronous":  {"FULL"}, // a commit survives a loss of power
		"_foreign_keys": {"1"},
		"_error_rc":     {"1"},
	}.Encode()}
	c, err := sqlite.NewConnector(u.String())
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(4) // one writes, the others read
	return db, nil
}

var suffixes = []string{"", "-wal", "-shm"}

// setAside moves the database, its log and its index to a name that keeps them
// together. Nobody's file is overwritten.
func setAside(path string) (string, error) {
	base := path + ".damaged-" + time.Now().UTC().Format("20060102T150405.000")
	for _, suffix := range suffixes {
		if err := os.Rename(path+suffix, base+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return base, nil
}

// isDamage tells a file whose content is wrong from one that cannot be reached.
func isDamage(err error) bool {
	if errors.Is(err, errDamage) {
		return true
	}
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return true
	}
	return false
}

// Close closes the database.
func (s *Store) Close() error { return errors.Join(s.insert.Close(), s.db.Close()) }

// Path is the database's file.
func (s *Store) Path() string { return s.path }

// Dir is the folder that the database lies in.
func (s *Store) Dir() string { return filepath.Dir(s.path) }

// ID names this database among all, wherever it is moved.
func (s *Store) ID() string { return s.id }

// wrap adds to an error what was being done, and what to do about damage that
// shows only now.
func (s *Store) wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	if isDamage(err) {
		return fmt.Errorf("store: %s: %w: %s is damaged and will be set aside when it is next opened", what, err, s.path)
	}
	return fmt.Errorf("store: %s: %w", what, err)
}
