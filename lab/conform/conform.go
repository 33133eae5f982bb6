// Package conform reads conformance cases and holds a method's results against
// them. A case is a JSON object: the paper and method that it is about, where
// its numbers come from, the input, the numbers to expect, and how near to come.
package conform

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A Case is one conformance case.
type Case struct {
	Paper     string                     // the slug of the paper, or the name of a shared fixture
	Method    string                     // what is run, in the words of the paper's card
	Source    string                     // where the numbers come from
	Note      string                     // "" if there is nothing to say
	Input     json.RawMessage            // an object
	Expect    map[string]json.RawMessage // what the method produces, by name
	Tolerance Tolerance
	File      string // where it was read from

	err error // why the file is no case; Check reports it
}

// A Tolerance says how near a number must come: |got − want| ≤ Abs + Rel·|want|.
type Tolerance struct {
	Rel float64 `json:"rtol"`
	Abs float64 `json:"atol"`
}

// limit is the largest difference from want that is allowed.
func (t Tolerance) limit(want float64) float64 { return t.Abs + t.Rel*math.Abs(want) }

// Got is what a method produced, by the names of a case's expect. A value is a
// number, bool, string, slice, array, map with string keys, or struct (by its
// json tags), nested as in the case; or a [Judge].
type Got map[string]any

// A Judge decides a field to which the paper's card gives its own meaning: an
// interval, an inequality, an acceptance rule. It returns nil to accept.
type Judge = func(want json.RawMessage, tol Tolerance) error

// A Handler runs a case's method on its input. Fields that the case does not
// expect may be in Got; one that it expects and Got lacks fails the case. An
// error, or a panic, fails it too.
type Handler func(ctx context.Context, c Case) (Got, error)

// A Result is the outcome of a case.
type Result struct {
	Case    Case
	Err     error // nil if it passed; a *Mismatch if something differs
	Seconds float64
}

// Passed says whether the case passed.
func (r Result) Passed() bool { return r.Err == nil }

// maxFile bounds the size of a case; real ones have up to some 100 kB.
const maxFile = 64 << 20

// Read reads a case file, or all *.json files of a folder and its folders,
// sorted by path. A file that is no case becomes a case that fails, with what is
// wrong with it. The error is about the path itself.
func Read(path string) ([]Case, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("conform: %w", err)
	}
	if !info.IsDir() {
		return []Case{readFile(path)}, nil
	}
	root, err := filepath.EvalSymlinks(path) // WalkDir does not follow a link
	if err != nil {
		return nil, fmt.Errorf("conform: %w", err)
	}
	var cases []Case
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		rel, relErr := filepath.Rel(root, p)
		if relErr != nil {
			return relErr
		}
		file := filepath.Join(path, rel)
		switch {
		case err != nil:
			cases = append(cases, failed(file, err))
		case !d.IsDir() && strings.EqualFold(filepath.Ext(p), ".json"):
			cases = append(cases, readFile(file))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("conform: %w", err)
	}
	if len(cases) == 0 {
		return nil, fmt.Errorf("conform: no *.json files in %s", path)
	}
	slices.SortStableFunc(cases, func(a, b Case) int { return strings.Compare(a.File, b.File) })
	return cases, nil
}

func readFile(path string) Case {
	f, err := os.Open(path)
	if err != nil {
		return failed(path, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return failed(path, err)
	case len(b) > maxFile:
		return failed(path, fmt.Errorf("more than %d bytes", maxFile))
	}
	return Parse(path, b)
}

// failed is a case that cannot be run. The name of its folder stands for the paper.
func failed(file string, err error) Case {
	return Case{Paper: filepath.Base(filepath.Dir(file)), File: file, err: err}
}

// Parse reads a case; file is its name in messages. Text that is no case becomes
// a case that fails.
func Parse(file string, text []byte) Case {
	var j struct {
		Paper     string                     `json:"paper"`
		Method    string                     `json:"method"`
		Source    string                     `json:"source"`
		Note      string                     `json:"note"`
		Input     json.RawMessage            `json:"input"`
		Expect    map[string]json.RawMessage `json:"expect"`
		Tolerance *Tolerance                 `json:"tolerance"`
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err := d.Decode(&j)
	switch {
	case err != nil:
		err = fmt.Errorf("not a case: %w", err)
	case d.More():
		err = errors.New("not a case: more than one JSON value")
	case j.Paper == "":
		err = errors.New(`not a case: no "paper"`)
	case j.Method == "":
		err = errors.New(`not a case: no "method"`)
	case len(j.Input) == 0 || j.Input[0] != '{':
		err = errors.New(`not a case: "input" must be an object`)
	case len(j.Expect) == 0:
		err = errors.New(`not a case: "expect" must be an object with one field or more`)
	case j.Tolerance == nil:
		err = errors.New(`not a case: no "tolerance"`)
	case !(j.Tolerance.Rel >= 0) || !(j.Tolerance.Abs >= 0):
		err = fmt.Errorf(`not a case: "tolerance" rtol = %g, atol = %g: must not be negative`, j.Tolerance.Rel, j.Tolerance.Abs)
	}
	if err != nil {
		c := failed(file, err)
		if j.Paper != "" {
			c.Paper = j.Paper
		}
		c.Method = j.Method
		return c
	}
	return Case{
		Paper: j.Paper, Method: j.Method, Source: j.Source, Note: j.Note,
		Input: j.Input, Expect: j.Expect, Tolerance: *j.Tolerance, File: file,
	}
}

// Check runs a case by its paper's handler (nil if the paper has none) and
// compares every field of expect. It always returns a result, whatever the
// handler does.
func Check(ctx context.Context, c Case, h Handler) Result {
	start := time.Now()
	err := check(ctx, c, h)
	return Result{Case: c, Err: err, Seconds: time.Since(start).Seconds()}
}

func check(ctx context.Context, c Case, h Handler) error {
	if c.err != nil {
		return c.err
	}
	if h == nil {
		return fmt.Errorf("paper %q has no cases here", c.Paper)
	}
	got, err := call(ctx, c, h)
	if err != nil {
		return err
	}
	compared := 0
	names := make([]string, 0, len(c.Expect))
	for name := range c.Expect {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		x, ok := got[name]
		_, judged := x.(Judge)
		switch {
		case ignored(name) && !judged:
			continue
		case !ok:
			return fmt.Errorf("expect has a field %q, which the method does not produce", name)
		}
		if err := compareField(name, x, c.Expect[name], c.Tolerance); err != nil {
			return err
		}
		compared++
	}
	if compared == 0 {
		return errors.New("nothing was compared: expect has only fields for information")
	}
	return nil
}

func call(ctx context.Context, c Case, h Handler) (got Got, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the handler panicked: %v", r)
		}
	}()
	return h(ctx, c)
}

func compareField(name string, got any, want json.RawMessage, tol Tolerance) (err error) {
	if judge, ok := got.(Judge); ok {
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("%s: the handler panicked: %v", name, r)
			}
		}()
		if err := judge(want, tol); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	}
	w, err := decode(want)
	if err != nil {
		return fmt.Errorf("expect field %q: %w", name, err)
	}
	return compare(name, got, w, tol, false)
}

// ignored says whether a field of that name, at any depth, is for readers only.
func ignored(name string) bool {
	return name == "note" || name == "acceptance" || name == "peers" || strings.HasSuffix(name, "_for_information")
}

// decode keeps numbers as they are written.
func decode(b json.RawMessage) (any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	return v, err
}
