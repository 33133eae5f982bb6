package conform

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// A Mismatch is the first element in which a result differs from a case.
type Mismatch struct {
	Path      string // field and index: "trajectory[3][0][1]"
	Got, Want string
	// Limit is how far apart numbers may be; NaN for what must be equal.
	Limit float64
	// Delta is how far apart they are; NaN where that means nothing.
	Delta float64
}

func (m *Mismatch) Error() string {
	s := fmt.Sprintf("%s = %s, want %s", m.Path, m.Got, m.Want)
	if math.IsNaN(m.Limit) {
		return s
	}
	s += fmt.Sprintf(" ± %.2g", m.Limit)
	if !math.IsNaN(m.Delta) && !math.IsInf(m.Delta, 0) {
		s += fmt.Sprintf(" (off by %.2g)", m.Delta)
	}
	return s
}

// compare holds got against want, which is as decode left it. In an array that
// has fractions, its whole numbers are numbers like the others (mixed); anywhere
// else they are integers, to be met exactly.
func compare(path string, got, want any, tol Tolerance, mixed bool) error {
	g := reflect.ValueOf(got)
	for g.Kind() == reflect.Pointer || g.Kind() == reflect.Interface {
		g = g.Elem()
	}
	switch w := want.(type) {
	case []any:
		return compareArray(path, g, w, tol)
	case map[string]any:
		return compareObject(path, g, w, tol)
	case json.Number:
		return compareNumber(path, g, w, tol, mixed)
	case string:
		return compareString(path, g, w)
	case bool:
		if g.Kind() == reflect.Bool && g.Bool() == w {
			return nil
		}
	case nil:
		if !g.IsValid() {
			return nil
		}
	}
	return differ(path, g, describe(want))
}

func compareArray(path string, g reflect.Value, want []any, tol Tolerance) error {
	if g.Kind() != reflect.Slice && g.Kind() != reflect.Array {
		return differ(path, g, describe(want))
	}
	if g.Len() != len(want) {
		return &Mismatch{path, count(g.Len()), count(len(want)), math.NaN(), math.NaN()}
	}
	mixed := slices.ContainsFunc(want, isFraction)
	for i, w := range want {
		if err := compare(path+"["+strconv.Itoa(i)+"]", g.Index(i).Interface(), w, tol, mixed); err != nil {
			return err
		}
	}
	return nil
}

func count(n int) string {
	if n == 1 {
		return "1 element"
	}
	return fmt.Sprintf("%d elements", n)
}

func isFraction(x any) bool {
	n, ok := x.(json.Number)
	return ok && !isInteger(n) || isSpecial(x)
}

// isInteger says whether a number is written as an integer.
func isInteger(n json.Number) bool { return !strings.ContainsAny(string(n), ".eE") }

// special are the numbers that JSON cannot write.
var special = map[string]float64{"NaN": math.NaN(), "+Inf": math.Inf(1), "-Inf": math.Inf(-1)}

func isSpecial(x any) bool {
	s, ok := x.(string)
	_, is := special[s]
	return ok && is
}

func compareObject(path string, g reflect.Value, want map[string]any, tol Tolerance) error {
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if ignored(name) {
			continue
		}
		x, ok := member(g, name)
		if !ok {
			return &Mismatch{path + "." + name, "nothing", describe(want[name]), math.NaN(), math.NaN()}
		}
		if err := compare(path+"."+name, x, want[name], tol, false); err != nil {
			return err
		}
	}
	return nil
}

// member is the element of a map, or the field of a struct, with that JSON name.
func member(g reflect.Value, name string) (any, bool) {
	switch g.Kind() {
	case reflect.Map:
		if g.Type().Key().Kind() != reflect.String {
			return nil, false
		}
		x := g.MapIndex(reflect.ValueOf(name).Convert(g.Type().Key()))
		if !x.IsValid() {
			return nil, false
		}
		return x.Interface(), true
	case reflect.Struct:
		for _, f := range reflect.VisibleFields(g.Type()) {
			tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if !f.IsExported() || f.Anonymous || tag == "-" {
				continue
			}
			if tag == name || tag == "" && f.Name == name {
				x, err := g.FieldByIndexErr(f.Index)
				if err != nil { // in an embedded nil pointer
					return nil, false
				}
				return x.Interface(), true
			}
		}
	}
	return nil, false
}

func compareNumber(path string, g reflect.Value, want json.Number, tol Tolerance, mixed bool) error {
	text, x, ok := number(g)
	if !ok {
		return differ(path, g, string(want))
	}
	w, err := want.Float64()
	if err != nil {
		return fmt.Errorf("%s: %s is out of range", path, want)
	}
	if isInteger(want) && !mixed {
		if text == string(want) || x == w && math.Abs(w) < 1<<53 {
			return nil
		}
		return &Mismatch{path, text, string(want), math.NaN(), math.NaN()}
	}
	if limit := tol.limit(w); !near(x, w, limit) {
		return &Mismatch{path, text, string(want), limit, math.Abs(x - w)}
	}
	return nil
}

// near is false if x is NaN or infinite, unless w is the same.
func near(x, w, limit float64) bool { return x == w || math.Abs(x-w) <= limit && !math.IsInf(x, 0) }

// number reads a value as a number, and as text in full precision.
func number(g reflect.Value) (string, float64, bool) {
	switch {
	case g.CanInt():
		return strconv.FormatInt(g.Int(), 10), float64(g.Int()), true
	case g.CanUint():
		return strconv.FormatUint(g.Uint(), 10), float64(g.Uint()), true
	case g.CanFloat():
		return strconv.FormatFloat(g.Float(), 'g', -1, 64), g.Float(), true
	}
	return "", 0, false
}

func compareString(path string, g reflect.Value, want string) error {
	if g.Kind() == reflect.String && g.String() == want {
		return nil
	}
	if w, ok := special[want]; ok {
		if text, x, ok := number(g); ok {
			if x == w || x != x && w != w {
				return nil
			}
			return &Mismatch{path, text, want, math.NaN(), math.NaN()}
		}
	}
	return differ(path, g, describe(want))
}

// differ reports two things of which at least one is no number.
func differ(path string, g reflect.Value, want string) error {
	got := "nothing"
	if g.IsValid() {
		got = describe(g.Interface())
	}
	return &Mismatch{path, got, want, math.NaN(), math.NaN()}
}

// describe names a value in a few words.
func describe(x any) string {
	v := reflect.ValueOf(x)
	switch v.Kind() {
	case reflect.Invalid:
		return "null"
	case reflect.Slice, reflect.Array:
		return "an array of " + count(v.Len())
	case reflect.Map, reflect.Struct:
		return "an object"
	case reflect.String:
		if n, ok := x.(json.Number); ok {
			return string(n)
		}
		return fmt.Sprintf("%.60q", v.String())
	case reflect.Bool:
		return strconv.FormatBool(v.Bool())
	}
	if text, _, ok := number(v); ok {
		return text
	}
	return fmt.Sprintf("a %T", x)
}
