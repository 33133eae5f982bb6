package evo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"time"

	"github.com/assay-lab/assay/internal/cache"
)

// saveEvery is the least time between two savings in the midst of a search.
const saveEvery = 2 * time.Second

// A stateFile is where a search stands, as it is kept.
type stateFile[T any] struct {
	Search  settings     `json:"search"`
	Scored  []entry[T]   `json:"scored"`
	Partial []partial    `json:"partial,omitempty"` // of the batch at hand
	Ranks   []jsonNumber `json:"ranks,omitempty"`
}

type entry[T any] struct {
	X     T          `json:"x"`
	Score jsonNumber `json:"score"`
}

type partial struct {
	Child int        `json:"child"`
	Score jsonNumber `json:"score"`
}

// A jsonNumber writes what JSON has no number for as null, and reads that as +Inf.
type jsonNumber float64

func (x jsonNumber) MarshalJSON() ([]byte, error) {
	if f := float64(x); math.IsInf(f, 0) || math.IsNaN(f) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(x))
}

func (x *jsonNumber) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*x = jsonNumber(math.Inf(1))
		return nil
	}
	return json.Unmarshal(b, (*float64)(x))
}

// settings are what a state depends on. The budget is not among them: a search may
// go on with a larger one.
type settings struct {
	Name      string  `json:"name"`
	Seed      uint64  `json:"seed"`
	Start     int     `json:"start"`
	Parents   int     `json:"parents"`
	CrossRate float64 `json:"cross_rate"`
	Batch     int     `json:"batch"`
	Screen    string  `json:"screen,omitempty"`
}

func (s *Search[T]) settings() settings {
	k := settings{s.Name, s.Seed, len(s.Start), s.Parents, s.CrossRate, s.Batch, ""}
	if c := s.Screen; c != nil {
		k.Screen = fmt.Sprintf("%T from %d scores on, %d a stage with %d at random, of %d children in %d rounds", c.Predictor, c.Initial, c.Stage, c.Explore, c.Children, c.Rounds)
	}
	return k
}

func (e *engine[T]) saveNowAndThen() error {
	if time.Since(e.saved) < saveEvery {
		return nil
	}
	return e.save()
}

func (e *engine[T]) save() error {
	e.saved = time.Now()
	if e.State == "" {
		return nil
	}
	f := stateFile[T]{Search: e.settings(), Scored: make([]entry[T], len(e.scored))}
	for i, x := range e.scored {
		f.Scored[i] = entry[T]{x.X, jsonNumber(x.Score)}
	}
	for i, score := range e.partial {
		f.Partial = append(f.Partial, partial{i, jsonNumber(score)})
	}
	for _, r := range e.ranks {
		f.Ranks = append(f.Ranks, jsonNumber(r))
	}
	b, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("evo: %s: %w", e.State, err)
	}
	if err := cache.WriteFile(e.State, b); err != nil {
		return fmt.Errorf("evo: %w", err)
	}
	return nil
}

// load takes up what the state file holds, if there is one.
func (e *engine[T]) load() error {
	e.saved = time.Now()
	if e.State == "" {
		return nil
	}
	b, err := os.ReadFile(e.State)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("evo: %w", err)
	}
	f, err := parseState[T](b)
	if err != nil {
		return fmt.Errorf("evo: %s is no state of a search: %w", e.State, err)
	}
	if want := e.settings(); f.Search != want {
		return fmt.Errorf("evo: %s is the state of another search: %+v, this one is %+v", e.State, f.Search, want)
	}
	for _, x := range f.Scored {
		if err := e.take([]T{x.X}, []float64{float64(x.Score)}); err != nil {
			return err
		}
	}
	for _, p := range f.Partial {
		e.partial[p.Child] = float64(p.Score)
	}
	for _, r := range f.Ranks {
		e.ranks = append(e.ranks, float64(r))
	}
	return nil
}

func parseState[T any](b []byte) (f stateFile[T], err error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return f, err
	}
	for _, p := range f.Partial {
		if p.Child < 0 {
			return f, fmt.Errorf("child %d has a score", p.Child)
		}
	}
	return f, nil
}
