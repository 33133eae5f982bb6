package runner

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/store"
)

// A plan is a run's identity and its grid.
type plan struct {
	e     *lab.Experiment
	run   store.Run
	cells []lab.Cell
	keys  []string // of the cells
}

func newPlan(e *lab.Experiment, size lab.Size, v lab.Values, code string) (*plan, error) {
	if code == "" {
		var err error
		if code, err = Code(); err != nil {
			return nil, err
		}
	}
	inputs, err := hashInputs(e, v)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.Name, err)
	}
	p := &plan{e: e}
	if p.cells, err = e.Grid(v); err != nil {
		return nil, fmt.Errorf("%s: grid: %w", e.Name, err)
	}
	if len(p.cells) == 0 {
		return nil, fmt.Errorf("%s: the grid is empty", e.Name)
	}
	seen := make(map[string]bool, len(p.cells))
	for _, c := range p.cells {
		k, err := cellKey(c)
		if err != nil {
			return nil, fmt.Errorf("%s: cell %s: %w", e.Name, c, err)
		}
		if seen[k] {
			return nil, fmt.Errorf("%s: the grid has the cell %s twice", e.Name, c)
		}
		seen[k] = true
		p.keys = append(p.keys, k)
	}
	key, err := hashJSON(struct {
		Experiment string
		Version    int
		Values     lab.Values
		Inputs     map[string]string
		Code       string
	}{e.Name, e.Version, v, inputs, code})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.Name, err)
	}
	p.run = store.Run{
		// 50 bits are enough for people; the store compares the whole key.
		ID:  strings.ToLower(base32.StdEncoding.EncodeToString(key[:])[:10]),
		Key: hex.EncodeToString(key[:]), Experiment: e.Name, Title: e.Title, Version: e.Version,
		Values: v, Size: size, Code: code, Inputs: inputs,
		Cost: e.Cost, Quality: e.Quality, Budget: e.Budget, Cells: len(p.cells), Created: time.Now(),
	}
	return p, nil
}

// cellKey names a cell in its run. Half a SHA-256 is out of reach of accidents.
func cellKey(c lab.Cell) (string, error) {
	h, err := hashJSON(c)
	return hex.EncodeToString(h[:16]), err
}

// hashJSON hashes a value's JSON form, which is canonical: structs have a fixed
// order and maps are sorted.
func hashJSON(v any) ([sha256.Size]byte, error) {
	b, err := json.Marshal(v)
	return sha256.Sum256(b), err
}

// hashInputs hashes the files that the values of Input parameters name.
func hashInputs(e *lab.Experiment, v lab.Values) (map[string]string, error) {
	inputs := map[string]string{}
	for _, p := range e.Params {
		path := v[p.Name]
		if p.Kind != lab.Input || path == "" || strings.HasPrefix(path, "builtin:") {
			continue
		}
		h, err := hashFile(path)
		if err != nil {
			return nil, fmt.Errorf("%s = %q: %w", p.Name, path, err)
		}
		inputs[p.Name] = h
	}
	return inputs, nil
}

func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Code is the version of the running program: the revision that it was built
// from, or a hash of the program where no clean revision says what is in it.
// Outcomes of different versions are never mixed.
func Code() (string, error) { return codeOnce() }

var codeOnce = sync.OnceValues(func() (string, error) {
	if b, ok := debug.ReadBuildInfo(); ok {
		set := map[string]string{}
		for _, s := range b.Settings {
			set[s.Key] = s.Value
		}
		if rev := set["vcs.revision"]; rev != "" && set["vcs.modified"] == "false" {
			return set["vcs"] + " " + rev, nil
		}
	}
	exe, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("runner: code version: %w", err)
	}
	if _, err := os.Stat("/proc/self/exe"); err == nil {
		exe = "/proc/self/exe" // the program as it runs, even if it was rebuilt since
	}
	h, err := hashFile(exe)
	if err != nil {
		return "", fmt.Errorf("runner: code version: %w", err)
	}
	return "program " + h, nil
})
