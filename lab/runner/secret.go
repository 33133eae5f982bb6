package runner

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/assay-lab/assay/internal/filelock"
)

// makeSecret returns the secret in a file, which it creates if it is absent.
func makeSecret(ctx context.Context, path string) (string, error) {
	// Nobody shall read a secret that is half written.
	lock, err := filelock.Acquire(ctx, filepath.Join(filepath.Dir(path), "locks", filepath.Base(path)))
	if err != nil {
		return "", fmt.Errorf("runner: secret: %w", err)
	}
	defer lock.Release()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return readSecret(path)
	}
	if err != nil {
		return "", fmt.Errorf("runner: secret: %w", err)
	}
	secret := rand.Text()
	_, err = f.WriteString(secret + "\n")
	if err := errors.Join(err, f.Close()); err != nil {
		os.Remove(path)
		return "", fmt.Errorf("runner: secret: %w", err)
	}
	return secret, nil
}

// readSecret refuses a file that others than its owner can read or change.
func readSecret(path string) (string, error) {
	st, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("runner: secret: %w", err)
	}
	if mode := st.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return "", fmt.Errorf("runner: secret: %s has mode %04o: others may read it: chmod 600 %s, and use a new secret if somebody could have seen this one", path, mode, path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("runner: secret: %w", err)
	}
	secret := strings.TrimSpace(string(b))
	if len(secret) < 16 {
		return "", fmt.Errorf("runner: secret: %s has %d characters: needs at least 16; remove the file and a new one is made", path, len(secret))
	}
	return secret, nil
}
