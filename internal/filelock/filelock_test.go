package filelock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestMain lets the test binary hold a lock as a process of its own.
func TestMain(m *testing.M) {
	if path := os.Getenv("FILELOCK_TEST"); path != "" {
		l, err := Try(path)
		fmt.Println(l != nil, err)
		time.Sleep(time.Hour)
		l.Release()
	}
	os.Exit(m.Run())
}

func TestLockDiesWithItsProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "lock")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "FILELOCK_TEST="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	b := make([]byte, 10)
	if n, err := out.Read(b); string(b[:n]) != "true <nil>" {
		t.Fatalf("the other process said %q, %v", b[:n], err)
	}
	if l, err := Try(path); l != nil || err != nil {
		t.Fatalf("got %v, %v beside another process", l, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := Acquire(ctx, path); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waited for with a deadline: %v", err)
	}
	cmd.Process.Kill()
	cmd.Wait()
	l, err := Acquire(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	l.Release()
}

func TestOneGoroutineAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	var wg sync.WaitGroup
	var inside, most atomic.Int32 // the race detector does not know what a lock on a file orders
	for range 8 {
		wg.Go(func() {
			for range 5 {
				l, err := Acquire(t.Context(), path)
				if err != nil {
					t.Error(err)
					return
				}
				if n := inside.Add(1); n > most.Load() {
					most.Store(n)
				}
				inside.Add(-1)
				l.Release()
			}
		})
	}
	wg.Wait()
	if n := most.Load(); n != 1 {
		t.Errorf("%d held the lock at once", n)
	}
}

func TestNoSuchPlace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if l, err := Acquire(t.Context(), filepath.Join(file, "lock")); l != nil || err == nil {
		t.Errorf("got %v, %v for a lock below a file", l, err)
	}
}
