package lab

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Size is how much work a run does.
type Size string

const (
	Quick Size = "quick" // a smoke run of a second or two
	Desk  Size = "desk"  // the default: about a minute on two cores
	Full  Size = "full"  // as near the paper as the machine allows
)

// ParseSize reads a size's name.
func ParseSize(s string) (Size, error) {
	switch z := Size(s); z {
	case Quick, Desk, Full:
		return z, nil
	}
	return "", fmt.Errorf("size = %q: must be quick, desk or full", s)
}

// Kind is the type of a parameter.
type Kind string

const (
	Int    Kind = "int"
	Float  Kind = "float"
	Bool   Kind = "bool"
	Text   Kind = "text"
	Choice Kind = "choice" // one of Param.Choices
	Ints   Kind = "ints"   // comma-separated list of integers
	Floats Kind = "floats" // comma-separated list of numbers
	// Input is the user's own problem: one of Choices ("builtin:<name>"), or the
	// path of a file. Its content is part of the run's identity.
	Input Kind = "input"
)

// A Param is one typed knob of an experiment. Min and Max bound numbers (each
// element of a list) when Min < Max.
type Param struct {
	Name, Help string
	Kind       Kind
	Default    string          // at desk size, in the form that a user would type
	At         map[Size]string // defaults at other sizes, where they differ
	Min, Max   float64
	Choices    []string
	Accept     []string // file suffixes that an Input takes: ".onnx"
}

// Values maps the name of every parameter to its value in canonical form.
type Values map[string]string

// Resolve checks what the user set, fills in the defaults for the size, and
// brings every value into canonical form, so that equal settings give equal
// Values.
func (e *Experiment) Resolve(size Size, set map[string]string) (Values, error) {
	v := make(Values, len(e.Params))
	for _, p := range e.Params {
		s, ok := set[p.Name]
		if !ok {
			if s, ok = p.At[size]; !ok {
				s = p.Default
			}
		}
		c, err := p.canonical(s)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name, err)
		}
		v[p.Name] = c
	}
	for _, name := range slices.Sorted(maps.Keys(set)) {
		if _, ok := v[name]; !ok {
			return nil, fmt.Errorf("%s: no parameter %q: it has %s", e.Name, name, strings.Join(e.paramNames(), ", "))
		}
	}
	return v, nil
}

func (e *Experiment) paramNames() []string {
	names := make([]string, len(e.Params))
	for i, p := range e.Params {
		names[i] = p.Name
	}
	return names
}

func (p Param) canonical(s string) (string, error) {
	s = strings.TrimSpace(s)
	bad := func(want string) (string, error) {
		return "", fmt.Errorf("%s = %q: must be %s", p.Name, s, want)
	}
	switch p.Kind {
	case Int, Float, Ints, Floats:
		return p.canonicalNumbers(s)
	case Bool:
		b, err := strconv.ParseBool(s)
		if err != nil {
			return bad("true or false")
		}
		return strconv.FormatBool(b), nil
	case Choice:
		if !slices.Contains(p.Choices, s) {
			return bad("one of " + strings.Join(p.Choices, ", "))
		}
	case Input:
		if strings.HasPrefix(s, "builtin:") && !slices.Contains(p.Choices, s) {
			return bad("one of " + strings.Join(p.Choices, ", ") + ", or a file")
		}
		if s == "" {
			return bad("one of " + strings.Join(p.Choices, ", ") + ", or a file")
		}
	}
	return s, nil
}

func (p Param) canonicalNumbers(s string) (string, error) {
	list := p.Kind == Ints || p.Kind == Floats
	whole := p.Kind == Int || p.Kind == Ints
	parts := []string{s}
	if list {
		parts = strings.Split(s, ",")
	}
	for i, part := range parts {
		part = strings.TrimSpace(part)
		x, err := strconv.ParseFloat(part, 64)
		switch {
		case err != nil || math.IsNaN(x) || math.IsInf(x, 0):
			return "", fmt.Errorf("%s = %q: %q is not a number", p.Name, s, part)
		case whole && (x != math.Trunc(x) || math.Abs(x) > 1<<53):
			return "", fmt.Errorf("%s = %q: %q is not a whole number", p.Name, s, part)
		case p.Min < p.Max && (x < p.Min || x > p.Max):
			return "", fmt.Errorf("%s = %s: must be from %g to %g", p.Name, part, p.Min, p.Max)
		}
		x += 0 // -0 and 0 are one value
		parts[i] = strconv.FormatFloat(x, 'g', -1, 64)
		if whole {
			parts[i] = strconv.FormatInt(int64(x), 10)
		}
	}
	return strings.Join(parts, ","), nil
}

// Int returns an Int parameter's value. Like the other typed getters it is
// meant for values that [Experiment.Resolve] has checked, and panics on a
// parameter that the experiment does not have: a mistake in the experiment.
func (v Values) Int(name string) int { return v.Ints(name)[0] }

// Float returns a Float parameter's value.
func (v Values) Float(name string) float64 { return v.Floats(name)[0] }

// Bool returns a Bool parameter's value.
func (v Values) Bool(name string) bool { return v.get(name) == "true" }

// Text returns the value of a Text, Choice or Input parameter.
func (v Values) Text(name string) string { return v.get(name) }

// Ints returns the value of an Ints parameter.
func (v Values) Ints(name string) []int {
	fs := v.Floats(name)
	is := make([]int, len(fs))
	for i, f := range fs {
		is[i] = int(f)
	}
	return is
}

// Floats returns the value of a Floats parameter.
func (v Values) Floats(name string) []float64 {
	parts := strings.Split(v.get(name), ",")
	fs := make([]float64, len(parts))
	for i, part := range parts {
		f, err := strconv.ParseFloat(part, 64)
		if err != nil {
			panic(fmt.Sprintf("lab: parameter %s = %q is not numeric", name, v[name]))
		}
		fs[i] = f
	}
	return fs
}

func (v Values) get(name string) string {
	s, ok := v[name]
	if !ok {
		panic(fmt.Sprintf("lab: no parameter %q", name))
	}
	return s
}
