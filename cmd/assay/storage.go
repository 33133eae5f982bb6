package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/assay-lab/assay/internal/cache"
	"github.com/assay-lab/assay/lab/store"
)

// storePath is where runs are kept.
func storePath() (string, error) {
	dir, err := cache.Dir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "runs.db"), nil
}

// haveStore says whether anything was ever run. Verbs that only read make no
// store where there is none.
func (c *console) haveStore() bool {
	path, err := storePath()
	if err != nil {
		return false
	}
	_, err = os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// openStore opens the runs. A damaged database is reported: it has been kept
// aside, and a new one begun.
func (c *console) openStore(ctx context.Context) (*store.Store, error) {
	path, err := storePath()
	if err != nil {
		return nil, err
	}
	s, damaged, err := store.Open(ctx, path)
	if damaged != nil {
		c.note("assay: %s", wrap(damaged.String(), c.textWidth(), "  "))
	}
	return s, err
}

// examineStore looks whether the runs can be read.
func examineStore(ctx context.Context) finding {
	f := finding{state: well, name: "runs"}
	path, err := storePath()
	if err != nil {
		return finding{broken, f.name, err.Error(), ""}
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		f.text = "none yet"
		return f
	}
	s, damaged, err := store.Open(ctx, path)
	if err != nil {
		return finding{broken, f.name, err.Error(), ""}
	}
	defer s.Close()
	if damaged != nil {
		return finding{broken, f.name, damaged.String(), ""}
	}
	runs, err := s.Runs(ctx)
	if err != nil {
		return finding{broken, f.name, err.Error(), ""}
	}
	f.text = fmt.Sprintf("%d in %s, which is sound", len(runs), path)
	return f
}
