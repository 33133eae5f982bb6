// Package filelock takes locks that hold between processes, and between the
// goroutines of one. The operating system drops a lock when its holder dies,
// however it dies.
package filelock

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// A Lock is a held lock. Keep it referenced: a collected file closes, and a
// closed file is unlocked.
type Lock struct{ f *os.File }

// Try takes the lock on the file at path, which it creates with its folders if
// they are absent. It returns nil without an error when somebody else holds it.
// The file stays when the lock is released: removing it would let two holders
// lock two files of one name.
func Try(path string) (*Lock, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	ok, err := tryLock(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if !ok {
		f.Close()
		return nil, nil
	}
	return &Lock{f}, nil
}

// Acquire waits for the lock, looking ten times a second, until ctx is done.
func Acquire(ctx context.Context, path string) (*Lock, error) {
	for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		l, err := Try(path)
		if l != nil || err != nil {
			return l, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for the lock %s: %w", path, context.Cause(ctx))
		case <-time.After(wait):
		}
	}
}

// Release gives the lock back.
func (l *Lock) Release() error { return l.f.Close() }
