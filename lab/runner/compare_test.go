package runner

import (
	"errors"
	"strings"
	"testing"

	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/store"
)

// side is a finished run with one point of the given outcomes.
func side(id string, quality ...float64) *Run {
	p := lab.Point{Budget: 5}
	for i, x := range quality {
		p.Seeds, p.Cost, p.Quality = append(p.Seeds, uint64(i)), append(p.Cost, 5), append(p.Quality, x)
	}
	axis := lab.Axis{Name: "error", Log: true}
	return &Run{
		Run:      store.Run{ID: id, Experiment: "a/b", Size: lab.Quick, Code: "git 0123456789abcdef", Values: lab.Values{"n": "4", "model": "/secret/place/net.onnx"}, Inputs: map[string]string{"model": "aaaaaaaaaaaaaaaa"}, Quality: axis},
		Curves:   lab.Curves{Quality: axis, Curves: []lab.Curve{{Method: "m", Points: []lab.Point{p}}}},
		Verdicts: []Judged{{Claim: "c", Verdict: lab.Verdict{Status: lab.Holds}}},
	}
}

func TestCompare(t *testing.T) {
	this, other := side("one", 1, 2, 3), side("two", 1.5, 3.1, 4.4)
	other.Size, other.Code, other.Version = lab.Desk, "git 9999999999999999", 2
	other.Values = lab.Values{"n": "8", "model": "/secret/place/net.onnx", "new": "x"}
	other.Inputs = map[string]string{"model": "bbbbbbbbbbbbbbbb"}
	other.Verdicts = []Judged{{Claim: "c", Verdict: lab.Verdict{Status: lab.Fails}}, {Claim: "d", Verdict: lab.Verdict{Status: lab.Holds}}}
	c, err := Compare(this, other)
	if err != nil {
		t.Fatal(err)
	}
	want := []Setting{
		{"size", "quick", "desk"}, {"model", "net.onnx (aaaaaaaaaa)", "net.onnx (bbbbbbbbbb)"}, {"n", "4", "8"}, {"new", "", "x"},
		{"version of the experiment", "0", "2"}, {"code", "git 0123456789", "git 9999999999"},
	}
	if len(c.Settings) != len(want) {
		t.Fatalf("settings %v, want %v", c.Settings, want)
	}
	for i := range want {
		if c.Settings[i] != want[i] {
			t.Errorf("setting %v, want %v", c.Settings[i], want[i])
		}
	}
	if len(c.Claims) != 2 || !c.Claims[0].Changed || c.Claims[1].Changed || c.Claims[1].This != "" {
		t.Errorf("claims %+v", c.Claims)
	}
	if got := c.Summary(); got != "Points compared: 1 better here by more than chance." {
		t.Errorf("summary %q", got)
	}
}

func TestIncomparable(t *testing.T) {
	elsewhere, measure := side("two", 1), side("two", 1)
	elsewhere.Experiment, measure.Quality.Name = "x/y", "accuracy"
	for _, c := range []struct {
		name  string
		other *Run
		want  string
	}{
		{"the same run", side("one", 1), "both are run one"},
		{"another experiment", elsewhere, "run two of x/y"},
		{"another measure", measure, "measured accuracy"},
	} {
		if _, err := Compare(side("one", 1), c.other); !errors.Is(err, ErrIncomparable) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}
