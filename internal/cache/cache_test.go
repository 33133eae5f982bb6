package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestMain lets the test binary stand in for a process that builds an artifact.
func TestMain(m *testing.M) {
	if log := os.Getenv("CACHE_TEST_LOG"); log != "" {
		if err := buildInChild(log); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func buildInChild(log string) error {
	data, err := Get(context.Background(), "weights", "shared recipe", func(context.Context) ([]byte, error) {
		f, err := os.OpenFile(log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		_, err = f.WriteString("built\n")
		time.Sleep(100 * time.Millisecond) // others must find it unfinished
		return bytes.Repeat([]byte("w"), 1<<20), err
	})
	if err == nil && len(data) != 1<<20 {
		err = fmt.Errorf("got %d bytes", len(data))
	}
	return err
}

func TestBuiltOnceByManyProcesses(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), "ASSAY_CACHE="+dir, "CACHE_TEST_LOG="+log)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("child: %v\n%s", err, out)
			}
		})
	}
	wg.Wait()
	if built, _ := os.ReadFile(log); string(built) != "built\n" {
		t.Errorf("builds: %q, want one", built)
	}
}

func counter(n *int) func(context.Context) ([]byte, error) {
	return func(context.Context) ([]byte, error) {
		*n++
		return []byte(fmt.Sprint("artifact ", *n)), nil
	}
}

func TestRecipeIsTheKey(t *testing.T) {
	t.Setenv("ASSAY_CACHE", t.TempDir())
	n := 0
	get := func(name string, recipe any) string {
		data, err := Get(t.Context(), name, recipe, counter(&n))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	a := get("net", map[string]int{"width": 8, "depth": 2})
	for _, row := range []struct {
		name   string
		got    string
		differ bool
	}{
		{"the same recipe is built again", get("net", map[string]int{"depth": 2, "width": 8}), false},
		{"another recipe is taken for this one", get("net", map[string]int{"depth": 3, "width": 8}), true},
		{"another name is taken for this one", get("nets", map[string]int{"depth": 2, "width": 8}), true},
	} {
		if (row.got != a) != row.differ {
			t.Errorf("%s: got %q beside %q", row.name, row.got, a)
		}
	}
}

func TestDamagedIsSetAsideAndRebuilt(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"cut short":        func(p string) error { return os.Truncate(p, 3) },
		"emptied":          func(p string) error { return os.Truncate(p, 0) },
		"one byte changed": func(p string) error { return os.WriteFile(p, []byte("artifact 7"), 0o644) },
		"checksum removed": func(p string) error { return os.Remove(p + ".sha256") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("ASSAY_CACHE", t.TempDir())
			n := 0
			if _, err := Get(t.Context(), "net", 1, counter(&n)); err != nil {
				t.Fatal(err)
			}
			path, _ := Path("net", 1)
			if err := damage(path); err != nil {
				t.Fatal(err)
			}
			damaged, _ := os.ReadFile(path)
			data, err := Get(t.Context(), "net", 1, counter(&n))
			if err != nil || string(data) != "artifact 2" {
				t.Fatalf("got %q, %v, want it rebuilt", data, err)
			}
			aside, _ := filepath.Glob(path + ".damaged-*")
			if len(aside) != 1 {
				t.Fatalf("kept aside: %v, want one file", aside)
			}
			if kept, _ := os.ReadFile(aside[0]); !bytes.Equal(kept, damaged) {
				t.Errorf("kept aside %q, want %q", kept, damaged)
			}
			if data, err := Get(t.Context(), "net", 1, counter(&n)); err != nil || string(data) != "artifact 2" {
				t.Errorf("afterwards got %q, %v", data, err)
			}
		})
	}
}

func TestFailedBuildKeepsNothing(t *testing.T) {
	t.Setenv("ASSAY_CACHE", t.TempDir())
	boom := errors.New("boom")
	_, err := Get(t.Context(), "net", 1, func(context.Context) ([]byte, error) { return nil, boom })
	if !errors.Is(err, boom) {
		t.Fatalf("got %v, want the build's error", err)
	}
	n := 0
	if _, err := Get(t.Context(), "net", 1, counter(&n)); err != nil || n != 1 {
		t.Errorf("after a failed build: %v, %d builds, want one", err, n)
	}
}

func TestBadArguments(t *testing.T) {
	t.Setenv("ASSAY_CACHE", t.TempDir())
	n := 0
	for _, row := range []struct {
		what   string
		name   string
		recipe any
		want   string
	}{
		{"name leaves the folder", "../net", 1, "plain file name"},
		{"name is empty", "", 1, "plain file name"},
		{"recipe cannot be hashed", "net", math.NaN(), "JSON"},
	} {
		if _, err := Get(t.Context(), row.name, row.recipe, counter(&n)); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: got %v, want %q", row.what, err, row.want)
		}
	}
	if n != 0 {
		t.Errorf("built %d artifacts", n)
	}
}

func TestWaitingEndsWithItsContext(t *testing.T) {
	t.Setenv("ASSAY_CACHE", t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Get(t.Context(), "net", 1, func(context.Context) ([]byte, error) {
		cancel()
		_, err := Get(ctx, "net", 1, nil) // held by the outer Get
		return nil, err
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}
