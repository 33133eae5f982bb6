package conform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// testCase is a case with that expect.
func testCase(expect string) string {
	return `{"paper":"p","method":"m","source":"s","input":{},"expect":` + expect + `,"tolerance":{"rtol":0.01,"atol":0.001}}`
}

func TestCheck(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	type pair struct {
		A float64 `json:"a"`
		B []int
		C string `json:"-"`
	}
	for _, row := range []struct {
		name, expect string
		got          Got
		want         string // in the error; "" to pass
	}{
		{"at the limit", `{"x":1.0}`, Got{"x": 1.0109}, ""},
		{"beyond the limit", `{"x":1.0}`, Got{"x": 1.0111}, "x = 1.0111, want 1.0 ± 0.011 (off by 0.011)"},
		{"absolute tolerance at 0", `{"x":0.0}`, Got{"x": 0.001}, ""},
		{"float32", `{"x":[0.5,0.25]}`, Got{"x": []float32{0.5, 0.25}}, ""},
		{"fixed array", `{"x":[0.5,0.25]}`, Got{"x": [2]float64{0.5, 0.25}}, ""},
		{"one element of many", `{"x":[[1.0,2.0],[3.0,4.0]]}`, Got{"x": [][]float64{{1, 2}, {3, 5}}}, "x[1][1] = 5, want 4.0 ±"},
		{"too short", `{"x":[1.0,2.0]}`, Got{"x": []float64{1}}, "x = 1 element, want 2 elements"},
		{"too long inside", `{"x":[[1.0],[2.0]]}`, Got{"x": [][]float64{{1}, {2, 3}}}, "x[1] = 2 elements, want 1 element"},
		{"flat instead of nested", `{"x":[[1.0],[2.0]]}`, Got{"x": []float64{1, 2}}, "x[0] = 1, want an array of 1 element"},
		{"nested instead of flat", `{"x":[1.0]}`, Got{"x": [][]float64{{1}}}, "x[0] = an array of 1 element, want 1.0"},
		{"scalar for an array", `{"x":[1.0]}`, Got{"x": 1.0}, "x = 1, want an array"},
		{"empty", `{"x":[]}`, Got{"x": []float64(nil)}, ""},
		{"empty for full", `{"x":[1.0]}`, Got{"x": []float64(nil)}, "0 elements"},

		{"integers have no tolerance", `{"x":100}`, Got{"x": 101}, "x = 101, want 100"},
		{"integers as float", `{"x":100}`, Got{"x": 100.0}, ""},
		{"integers near", `{"x":100}`, Got{"x": 100.0001}, "want 100"},
		{"integers beyond float64", `{"x":9007199254740993}`, Got{"x": int64(9007199254740992)}, "want 9007199254740993"},
		{"equal integers beyond float64", `{"x":18446744073709551615}`, Got{"x": uint64(math.MaxUint64)}, ""},
		{"integers in a list", `{"x":[1,2]}`, Got{"x": []int{1, 3}}, "x[1] = 3, want 2"},
		{"whole numbers among fractions", `{"x":[0,0.5]}`, Got{"x": []float64{1e-17, 0.5}}, ""},
		{"whole numbers beside infinity", `{"x":[0,"+Inf"]}`, Got{"x": []float64{1e-17, inf}}, ""},

		{"NaN wanted", `{"x":"NaN"}`, Got{"x": nan}, ""},
		{"NaN not wanted", `{"x":1.0}`, Got{"x": nan}, "x = NaN"},
		{"number for NaN", `{"x":"NaN"}`, Got{"x": 1.0}, "x = 1, want NaN"},
		{"infinities", `{"x":["+Inf","-Inf",1.0]}`, Got{"x": []float64{inf, -inf, 1}}, ""},
		{"wrong infinity", `{"x":["+Inf"]}`, Got{"x": []float64{-inf}}, "x[0] = -Inf, want +Inf"},
		{"infinity not wanted", `{"x":1e300}`, Got{"x": inf}, "x = +Inf"},

		{"bools", `{"x":[true,false]}`, Got{"x": []bool{true, false}}, ""},
		{"wrong bool", `{"x":true}`, Got{"x": false}, "x = false, want true"},
		{"number for bool", `{"x":true}`, Got{"x": 1}, "x = 1, want true"},
		{"bool for number", `{"x":1}`, Got{"x": true}, "x = true, want 1"},
		{"strings", `{"x":"pos"}`, Got{"x": "pos"}, ""},
		{"wrong string", `{"x":"pos"}`, Got{"x": "no"}, `x = "no", want "pos"`},
		{"number for string", `{"x":"pos"}`, Got{"x": 1.5}, `x = 1.5, want "pos"`},
		{"string for number", `{"x":1.5}`, Got{"x": "1.5"}, `x = "1.5", want 1.5`},
		{"null", `{"x":null}`, Got{"x": nil}, ""},
		{"nothing", `{"x":1.5}`, Got{"x": nil}, "x = nothing, want 1.5"},

		{"object", `{"x":{"a":1.0,"b":[2]}}`, Got{"x": map[string]any{"a": 1.0, "b": []int{2}, "c": 3}}, ""},
		{"object differs inside", `{"x":{"a":1.0,"b":[2]}}`, Got{"x": map[string]any{"a": 1.0, "b": []int{3}}}, "x.b[0] = 3, want 2"},
		{"object lacks", `{"x":{"a":1.0,"b":[2]}}`, Got{"x": map[string]float64{"a": 1}}, "x.b = nothing, want an array"},
		{"object as struct", `{"x":{"a":1.0,"B":[2]}}`, Got{"x": &pair{A: 1, B: []int{2}}}, ""},
		{"hidden struct field", `{"x":{"C":"c"}}`, Got{"x": pair{C: "c"}}, "x.C = nothing"},
		{"array for object", `{"x":{"a":1.0}}`, Got{"x": []float64{1}}, "x.a = nothing"},
		{"information inside an object", `{"x":[{"a":1.0,"peers":[2.0],"note":"n"}]}`, Got{"x": []pair{{A: 1}}}, ""},

		{"unknown field", `{"x":1.0,"y":2.0}`, Got{"x": 1.0}, `a field "y", which the method does not produce`},
		{"more than expected", `{"x":1.0}`, Got{"x": 1.0, "z": 3}, ""},
		{"information", `{"x":1.0,"note":"n","acceptance":"a","peers":[1.0],"y_for_information":2.0}`, Got{"x": 1.0}, ""},
		{"information only", `{"note":"n"}`, Got{"x": 1.0}, "nothing was compared"},
		{"judged", `{"x":[1.0,2.0]}`, Got{"x": between(1.5)}, ""},
		{"judged outside", `{"x":[1.0,2.0]}`, Got{"x": between(2.5)}, "x: 2.5 is not from 1 to 2"},
		{"judged information", `{"acceptance":[1.0,2.0]}`, Got{"acceptance": between(2.5)}, "acceptance: 2.5 is not"},
		{"judge panics", `{"x":1.0}`, Got{"x": Judge(func(json.RawMessage, Tolerance) error { panic("oh") })}, "x: the handler panicked: oh"},
		{"channel", `{"x":1.0}`, Got{"x": make(chan int)}, "x = a chan int"},
	} {
		c := Parse("f.json", []byte(testCase(row.expect)))
		r := Check(t.Context(), c, func(context.Context, Case) (Got, error) { return row.got, nil })
		switch {
		case row.want == "" && !r.Passed():
			t.Errorf("%s: failed: %v", row.name, r.Err)
		case row.want != "" && (r.Passed() || !strings.Contains(r.Err.Error(), row.want)):
			t.Errorf("%s: error %v, want %q in it", row.name, r.Err, row.want)
		}
	}
}

// between accepts x inside the wanted interval.
func between(x float64) Judge {
	return func(want json.RawMessage, _ Tolerance) error {
		var w [2]float64
		if err := json.Unmarshal(want, &w); err != nil {
			return err
		}
		if x < w[0] || x > w[1] {
			return fmt.Errorf("%g is not from %g to %g", x, w[0], w[1])
		}
		return nil
	}
}

func TestCheckWhenTheHandlerFails(t *testing.T) {
	c := Parse("f.json", []byte(testCase(`{"x":1.0}`)))
	for name, h := range map[string]Handler{
		"no cases here":               nil,
		"broke":                       func(context.Context, Case) (Got, error) { return nil, errors.New("broke") },
		"the handler panicked: index": func(context.Context, Case) (Got, error) { panic("index out of range") },
	} {
		if r := Check(t.Context(), c, h); r.Passed() || !strings.Contains(r.Err.Error(), name) {
			t.Errorf("error %v, want %q in it", r.Err, name)
		}
	}
}

func TestMismatchTellsWhereAndHowFar(t *testing.T) {
	c := Parse("f.json", []byte(testCase(`{"x":[1.0,2.0]}`)))
	r := Check(t.Context(), c, func(context.Context, Case) (Got, error) { return Got{"x": []float64{1, 3}}, nil })
	var m *Mismatch
	if !errors.As(r.Err, &m) || m.Path != "x[1]" || m.Got != "3" || m.Want != "2.0" || math.Abs(m.Limit-0.021) > 1e-15 || m.Delta != 1 {
		t.Errorf("mismatch %+v", m)
	}
}

func TestParseRefuses(t *testing.T) {
	ok := testCase(`{"x":1.0}`)
	if c := Parse("f.json", []byte(ok)); c.err != nil || c.Paper != "p" || c.Method != "m" || c.Source != "s" || c.Tolerance != (Tolerance{0.01, 0.001}) {
		t.Fatalf("%+v", c)
	}
	for _, row := range []struct{ name, text, want string }{
		{"no JSON", "hello", "not a case"},
		{"cut off", ok[:40], "not a case: unexpected EOF"},
		{"list", "[]", "not a case"},
		{"two values", ok + ok, "more than one JSON value"},
		{"misspelt field", strings.Replace(ok, `"tolerance"`, `"tolerence"`, 1), "tolerence"},
		{"misspelt tolerance", strings.Replace(ok, "rtol", "rtoll", 1), "rtoll"},
		{"no paper", strings.Replace(ok, `"paper":"p",`, "", 1), `no "paper"`},
		{"no method", strings.Replace(ok, `"method":"m",`, "", 1), `no "method"`},
		{"no input", strings.Replace(ok, `"input":{},`, "", 1), `"input" must be an object`},
		{"null input", strings.Replace(ok, `"input":{}`, `"input":null`, 1), `"input" must be an object`},
		{"empty expect", testCase(`{}`), `"expect" must be`},
		{"no tolerance", strings.Replace(ok, `,"tolerance":{"rtol":0.01,"atol":0.001}`, "", 1), `no "tolerance"`},
		{"negative tolerance", strings.Replace(ok, "0.001", "-1", 1), "must not be negative"},
	} {
		c := Parse("folder/f.json", []byte(row.text))
		r := Check(t.Context(), c, func(context.Context, Case) (Got, error) { return Got{"x": 1.0}, nil })
		if r.Passed() || !strings.Contains(r.Err.Error(), row.want) {
			t.Errorf("%s: error %v, want %q in it", row.name, r.Err, row.want)
		}
		if c.Paper != "p" && c.Paper != "folder" {
			t.Errorf("%s: paper %q", row.name, c.Paper)
		}
	}
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"b/2.json": testCase(`{"x":1.0}`), "b/1.json": testCase(`{"x":1.0}`), "a/deep/z.json": testCase(`{"x":1.0}`),
		"a/bad.json": "{", "README.md": "hello",
	} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cases, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range cases {
		rel, _ := filepath.Rel(dir, c.File)
		names = append(names, filepath.ToSlash(rel))
	}
	if got := strings.Join(names, " "); got != "a/bad.json a/deep/z.json b/1.json b/2.json" {
		t.Errorf("read %s", got)
	}
	if cases[0].err == nil || cases[0].Paper != "a" || cases[1].err != nil {
		t.Errorf("the bad file is not the only failed case: %v, %v", cases[0].err, cases[1].err)
	}
	if cases, err = Read(filepath.Join(dir, "b", "2.json")); err != nil || len(cases) != 1 || cases[0].Paper != "p" {
		t.Errorf("one file: %v, %v", cases, err)
	}
	if _, err = Read(filepath.Join(dir, "none")); err == nil {
		t.Error("a folder that is not there was read")
	}
	if _, err = Read(t.TempDir()); err == nil || !strings.Contains(err.Error(), "no *.json files") {
		t.Errorf("empty folder: error %v", err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Skip("no links here")
	}
	if cases, err = Read(link); err != nil || len(cases) != 4 || !strings.HasPrefix(cases[1].File, link) {
		t.Errorf("through a link: %d cases, %v", len(cases), err)
	}
}

// Every case at hand parses, and passes when it is told its own answer.
func TestCasesAgreeWithThemselves(t *testing.T) {
	cases, err := Read("../../../shared/cases")
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("no shared cases")
	}
	if err != nil {
		t.Fatal(err)
	}
	own := func(_ context.Context, c Case) (Got, error) {
		got := Got{}
		for name, want := range c.Expect {
			var v any
			if err := json.Unmarshal(want, &v); err != nil {
				return nil, err
			}
			got[name] = v
		}
		return got, nil
	}
	for _, c := range cases {
		if r := Check(t.Context(), c, own); !r.Passed() {
			t.Errorf("%s: %v", c.File, r.Err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(testCase(`{"x":[[1.0,"NaN"],[2,true]],"note":null}`)), 1.0)
	f.Add([]byte(testCase(`{"x":{"a":1e400}}`)), 1.0)
	f.Add([]byte(`{"paper":1}`), 0.0)
	f.Fuzz(func(t *testing.T, text []byte, x float64) {
		c := Parse("f.json", text)
		r := Check(t.Context(), c, func(_ context.Context, c Case) (Got, error) {
			got := Got{}
			for name := range c.Expect {
				got[name] = []any{x, map[string]any{"a": x}, int64(x), "x", nil}
			}
			return got, nil
		})
		if !r.Passed() && r.Err.Error() == "" {
			t.Error("failed without a word")
		}
	})
}
