// Package cache keeps what is expensive to make, such as trained networks, on
// disk: named artifacts keyed by a hash of the recipe that made them.
package cache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/assay-lab/assay/internal/filelock"
)

// Dir is the folder of everything assay keeps on this machine: $ASSAY_CACHE,
// or assay in the user's cache folder. It need not exist yet.
func Dir() (string, error) {
	if dir := os.Getenv("ASSAY_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache folder: %w: set ASSAY_CACHE to a folder for assay's files", err)
	}
	return filepath.Join(dir, "assay"), nil
}

// Path is where the artifact of that name and recipe lies once it is built.
// The recipe is anything with a JSON form; equal JSON means the same artifact.
func Path(name string, recipe any) (string, error) {
	if name == "" || strings.ContainsAny(name, `/\:`) || strings.HasPrefix(name, ".") {
		return "", fmt.Errorf("cache: name = %q: must be a plain file name", name)
	}
	r, err := json.Marshal(recipe)
	if err != nil {
		return "", fmt.Errorf("cache: %s: recipe has no JSON form: %w", name, err)
	}
	dir, err := Dir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, name+"-"+sum(r)), nil
}

// Get returns the artifact of that name and recipe, building and keeping it if
// it is not there. Of several processes that want it at once one builds and the
// others wait. A damaged artifact is set aside as <file>.damaged-<time> and
// built again.
func Get(ctx context.Context, name string, recipe any, build func(context.Context) ([]byte, error)) ([]byte, error) {
	path, err := Path(name, recipe)
	if err != nil {
		return nil, err
	}
	if data, err := read(path); err == nil {
		return data, nil
	}
	lock, err := filelock.Acquire(ctx, filepath.Join(filepath.Dir(path), "locks", filepath.Base(path)))
	if err != nil {
		return nil, fmt.Errorf("cache: %s: %w", name, err)
	}
	defer lock.Release()

	data, err := read(path)
	switch {
	case err == nil:
		return data, nil // built by another while we waited
	case errors.Is(err, errDamaged):
		if err := os.Rename(path, path+".damaged-"+time.Now().UTC().Format("20060102T150405.000")); err != nil {
			return nil, fmt.Errorf("cache: set the damaged %s aside: %w", name, err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("cache: %s: %w", name, err)
	}
	if data, err = build(ctx); err != nil {
		return nil, err
	}
	if err := keep(path, data); err != nil {
		return nil, fmt.Errorf("cache: keep %s: %w", name, err)
	}
	return data, nil
}

var errDamaged = errors.New("checksum differs")

// read returns an artifact whose checksum is right.
func read(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	want, err := os.ReadFile(path + ".sha256")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if strings.TrimSpace(string(want)) != sum(data) {
		return nil, errDamaged
	}
	return data, nil
}

// keep writes the checksum before the data, so that data without a right
// checksum is always damage and never an interrupted write.
func keep(path string, data []byte) error {
	if err := WriteFile(path+".sha256", []byte(sum(data)+"\n")); err != nil {
		return err
	}
	return WriteFile(path, data)
}

// WriteFile writes a file whole or not at all, also across a loss of power.
func WriteFile(path string, data []byte) error { return write(path, data, 0o644) }

// WriteSecret is [WriteFile] for what only its owner may read.
func WriteSecret(path string, data []byte) error { return write(path, data, 0o600) }

func write(path string, data []byte, mode fs.FileMode) (err error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Chmod(mode); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	// The rename is durable once its folder is; where folders cannot be synced
	// (Windows) there is nothing more to do.
	if d, err := os.Open(dir); err == nil {
		d.Sync()
		d.Close()
	}
	return nil
}

func sum(data []byte) string {
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:])
}
