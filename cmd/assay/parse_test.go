package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/assay-lab/assay/lab"
)

func TestSettingsGoWhereTheyAreKnown(t *testing.T) {
	experiments := []*lab.Experiment{
		{Name: "p/a", Params: []lab.Param{{Name: "seeds", Kind: lab.Int, Default: "1"}, {Name: "x", Kind: lab.Text, Default: "dx"}}},
		{Name: "p/b", Params: []lab.Param{{Name: "seeds", Kind: lab.Int, Default: "1"}, {Name: "y", Kind: lab.Text, Default: "dy"}}},
	}
	settings, err := parseSettings([]string{"x=1=2", "y="}, 7)
	if err != nil {
		t.Fatal(err)
	}
	plans, err := makePlans(experiments, lab.Desk, settings)
	if err != nil {
		t.Fatal(err)
	}
	a, b := plans[0].values, plans[1].values
	if len(a) != 2 || a["x"] != "1=2" || a["seeds"] != "7" || len(b) != 2 || b["y"] != "" || b["seeds"] != "7" {
		t.Errorf("%v, %v", a, b)
	}
	settings["z"] = "1"
	if _, err := makePlans(experiments, lab.Desk, settings); err == nil || !strings.Contains(err.Error(), `"z"`) {
		t.Errorf("a name that nobody knows: %v", err)
	}
}

func TestParseLabels(t *testing.T) {
	for _, tt := range []struct {
		text    string
		classes int
		want    []int
		ok      bool
	}{
		{"", 10, nil, true}, {"", 0, nil, true}, {"7", 10, []int{7}, true}, {"0, 9,0", 10, []int{0, 9, 0}, true},
		{"all", 3, []int{0, 1, 2}, true}, {"10", 10, nil, false}, {"-1", 10, nil, false}, {"1,", 10, nil, false},
		{"seven", 10, nil, false}, {"1", 0, nil, false}, {"all", 0, nil, false},
	} {
		got, err := parseLabels(tt.text, tt.classes)
		if !slices.Equal(got, tt.want) || (err == nil) != tt.ok {
			t.Errorf("parseLabels(%q, %d) = %v, %v", tt.text, tt.classes, got, err)
		}
	}
}

func FuzzParseLabels(f *testing.F) {
	f.Add("0,1,2", 3)
	f.Add("all", 10)
	f.Fuzz(func(t *testing.T, s string, classes int) {
		labels, err := parseLabels(s, min(classes, 1000))
		if err != nil && labels != nil {
			t.Error("labels beside an error")
		}
		for _, l := range labels {
			if l < 0 || l >= classes {
				t.Errorf("label %d of %d classes", l, classes)
			}
		}
	})
}

func FuzzParseSettings(f *testing.F) {
	f.Add("model=my.onnx", 3)
	f.Add("=", 0)
	f.Fuzz(func(t *testing.T, s string, seeds int) {
		settings, err := parseSettings([]string{s}, seeds)
		if name, value, ok := strings.Cut(s, "="); err == nil && (!ok || settings[strings.TrimSpace(name)] != value) {
			t.Errorf("%q is read as %v", s, settings)
		}
	})
}

// A name from a cell must stay inside its folder on every file system.
func FuzzFileName(f *testing.F) {
	f.Add("guidance 7.5, DPM-Solver++(2M) at 20, seed 0")
	f.Add("../../etc")
	f.Add(`C:\x`)
	f.Fuzz(func(t *testing.T, s string) {
		if n := fileName(s); n == "" || strings.ContainsAny(n, `/\:`) || strings.HasPrefix(n, ".") {
			t.Errorf("%q becomes %q", s, n)
		}
	})
}
