package lab

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
)

var (
	nan = math.NaN()
	inf = math.Inf(1)
)

// curves builds panel "p" with budgets 10, 20, ... and the qualities of one
// seed per row: curves(lower, {"2M": {{.3, .1}, {.4, .2}}}).
func testCurves(better Better, methods ...testMethod) Curves {
	c := Curves{Cost: Axis{Name: "NFE", Log: true}, Quality: Axis{Name: "error", Log: true, Better: better}}
	for _, m := range methods {
		cv := Curve{Panel: "p", Method: m.name}
		for seed, qs := range m.seeds {
			for i, q := range qs {
				cv.add(Cell{Budget: float64(10 * (i + 1)), Seed: uint64(seed)}, Outcome{Cost: float64(10 * (i + 1)), Quality: q})
			}
		}
		c.Curves = append(c.Curves, cv)
	}
	return c
}

type testMethod struct {
	name  string
	seeds [][]float64
}

func one(name string, qs ...float64) testMethod { return testMethod{name, [][]float64{qs}} }

func TestGather(t *testing.T) {
	var grid []Cell
	for _, panel := range []string{"a", "b"} {
		for _, method := range []string{"y", "x"} {
			for _, budget := range []float64{20, 10} {
				for seed := range uint64(3) {
					grid = append(grid, Cell{Panel: panel, Method: method, Budget: budget, Seed: seed})
				}
			}
		}
	}
	e := &Experiment{Cost: Axis{Name: "NFE"}, Quality: Axis{Name: "error"}}
	c := e.Gather(grid, func(cell Cell) (Result, bool) {
		switch {
		case cell.Panel == "b" && cell.Seed == 1:
			return Result{Err: "broke"}, true
		case cell.Panel == "b" && cell.Seed == 2:
			return Result{}, false
		}
		o := Outcome{Cost: cell.Budget, Quality: float64(cell.Seed)}
		if cell.Seed == 1 {
			o.Metrics = map[string]float64{"m": 7}
		}
		return Result{Cell: cell, Outcome: o}, true
	})
	if got := fmt.Sprint(c.Panels(), c.Methods()); got != "[a b] [y x]" {
		t.Errorf("order of panels and methods is %s, want the grid's", got)
	}
	cv, ok := c.Curve("a", "x")
	if !ok || len(cv.Points) != 2 || cv.Points[0].Budget != 10 {
		t.Fatalf("points are not by growing budget: %+v", cv)
	}
	p, _ := cv.At(20)
	if p.Mean() != 1 || p.MeanCost() != 20 || !reflect.DeepEqual(p.Seeds, []uint64{0, 1, 2}) {
		t.Errorf("point %+v", p)
	}
	if m := p.Metrics["m"]; len(m) != 3 || m[0] == m[0] || m[1] != 7 || m[2] == m[2] {
		t.Errorf("metric that only seed 1 has: %v, want NaN 7 NaN", m)
	}
	if len(c.Missing) != 8 || c.Missing[0].Err != "broke" || c.Missing[1].Err != "" {
		t.Errorf("missing cells: %v", c.Missing)
	}
	if _, ok := c.Curve("a", "z"); ok {
		t.Error("a method that is not there has a curve")
	}
	if !reflect.DeepEqual(c.Seeds(), []uint64{0, 1, 2}) {
		t.Errorf("seeds are %v", c.Seeds())
	}
}

func TestJSONKeepsWhatDiverged(t *testing.T) {
	c := testCurves(Higher, testMethod{"2M", [][]float64{{.5, nan}, {inf, -inf}}})
	c.Curves[0].Points[0].Metrics = map[string][]float64{"m": {1, nan}}
	c.Missing = []Missing{{Cell{Method: "2M", Budget: 30}, "broke"}}
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var got Curves
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	// NaN differs from itself, so compare what prints.
	if fmt.Sprintf("%v", got) != fmt.Sprintf("%v", c) {
		t.Errorf("got %v\nwant %v", got, c)
	}

	o := Outcome{Cost: 1, Quality: nan, Metrics: map[string]float64{"a": -inf}, Files: []File{{"x", "y", []byte{1}}}}
	if b, err = json.Marshal(o); err != nil {
		t.Fatal(err)
	}
	var o2 Outcome
	if err := json.Unmarshal(b, &o2); err != nil || fmt.Sprint(o) != fmt.Sprint(o2) {
		t.Errorf("outcome: got %v, %v, want %v", o2, err, o)
	}
	f := Figure{"x", inf, "< 1", false}
	if b, err = json.Marshal(f); err != nil {
		t.Fatal(err)
	}
	var f2 Figure
	if err := json.Unmarshal(b, &f2); err != nil || f != f2 {
		t.Errorf("figure: got %v, %v, want %v", f2, err, f)
	}
	for _, bad := range []string{`{"cost":"inf"}`, `{"cost":"1"}`, `{"cost":true}`} {
		if err := json.Unmarshal([]byte(bad), &o2); err == nil {
			t.Errorf("%s was read as an outcome", bad)
		}
	}
	var a Axis
	if err := json.Unmarshal([]byte(`{"better":"sideways"}`), &a); err == nil {
		t.Error("better = sideways was read")
	}
}

func TestNames(t *testing.T) {
	if got := (Axis{Name: "cost"}).Label() + (Axis{Name: "cost", Unit: "bytes"}).Label(); got != "costcost [bytes]" {
		t.Errorf("labels %q", got)
	}
	if got := (Cell{Panel: "p", Method: "m", Budget: 2.5, Seed: 3}).String(); got != "p, m at 2.5, seed 3" {
		t.Errorf("cell %q", got)
	}
	if _, ok := (&Experiment{Params: []Param{{Name: "x"}}}).Param("x"); !ok {
		t.Error("parameter x not found")
	}
	if _, ok := (&Experiment{}).Param("x"); ok {
		t.Error("parameter x found in none")
	}
}

func TestResolve(t *testing.T) {
	e := &Experiment{Name: "paper/x", Params: []Param{
		{Name: "n", Kind: Int, Default: "10", At: map[Size]string{Quick: "2"}, Min: 1, Max: 100},
		{Name: "lr", Kind: Float, Default: "1e-3", Min: 0, Max: 1},
		{Name: "on", Kind: Bool, Default: "yes"},
		{Name: "steps", Kind: Ints, Default: "5, 10"},
		{Name: "scales", Kind: Floats, Default: "1,7.50"},
		{Name: "mode", Kind: Choice, Default: "a", Choices: []string{"a", "b"}},
		{Name: "model", Kind: Input, Default: "builtin:gm", Choices: []string{"builtin:gm"}},
		{Name: "note", Kind: Text},
	}}
	e.Params[2].Default = "1"
	v, err := e.Resolve(Desk, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := Values{"n": "10", "lr": "0.001", "on": "true", "steps": "5,10", "scales": "1,7.5", "mode": "a", "model": "builtin:gm", "note": ""}
	if !reflect.DeepEqual(v, want) {
		t.Errorf("got %v, want %v", v, want)
	}
	if v.Int("n") != 10 || v.Float("lr") != 1e-3 || !v.Bool("on") || v.Text("mode") != "a" ||
		!reflect.DeepEqual(v.Ints("steps"), []int{5, 10}) || !reflect.DeepEqual(v.Floats("scales"), []float64{1, 7.5}) {
		t.Errorf("typed values of %v", v)
	}
	if v, _ = e.Resolve(Quick, nil); v.Int("n") != 2 {
		t.Errorf("quick n = %d, want 2", v.Int("n"))
	}
	if v, err = e.Resolve(Quick, map[string]string{"n": " 7e0 ", "lr": "-0", "model": "net.onnx"}); err != nil || v["n"] != "7" || v["lr"] != "0" || v["model"] != "net.onnx" {
		t.Errorf("equal settings have unequal forms: %v, %v", v, err)
	}
	for _, row := range []struct{ name, value, want string }{
		{"n", "0", "from 1 to 100"},
		{"n", "1.5", "whole number"},
		{"n", "ten", "not a number"},
		{"lr", "NaN", "not a number"},
		{"on", "maybe", "true or false"},
		{"steps", "1,,2", "not a number"},
		{"scales", "", "not a number"},
		{"mode", "c", "one of a, b"},
		{"model", "builtin:x", "one of builtin:gm, or a file"},
		{"model", "", "or a file"},
		{"speed", "1", `no parameter "speed": it has n, lr`},
	} {
		_, err := e.Resolve(Desk, map[string]string{row.name: row.value})
		if err == nil || !strings.Contains(err.Error(), row.want) || !strings.Contains(err.Error(), "paper/x") {
			t.Errorf("%s = %q: error %v, want %q in it", row.name, row.value, err, row.want)
		}
	}
	for _, s := range []string{"quick", "desk", "full"} {
		if z, err := ParseSize(s); err != nil || string(z) != s {
			t.Errorf("size %s: %v, %v", s, z, err)
		}
	}
	if _, err := ParseSize("huge"); err == nil {
		t.Error("size huge was read")
	}
}

func TestValuesOfAnUnknownParameterPanic(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic for a parameter that the experiment does not have")
		}
	}()
	Values{}.Int("n")
}
