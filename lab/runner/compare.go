package runner

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/store"
)

// A Comparison is two runs of an experiment side by side.
type Comparison struct {
	This     store.Run        `json:"this"`
	Other    store.Run        `json:"other"`
	Settings []Setting        `json:"settings"` // those that differ
	Claims   []JudgedTwice    `json:"claims"`
	Points   []lab.Difference `json:"points"`
}

// A Setting is something that two runs were asked for differently; "" where a run
// does not have it.
type Setting struct {
	Name  string `json:"name"`
	This  string `json:"this"`
	Other string `json:"other"`
}

// JudgedTwice is a claim with what either run says of it; "" where a run was not
// judged: it is not finished, or its experiment did not have the claim.
type JudgedTwice struct {
	Claim   string     `json:"claim"`
	Text    string     `json:"text"`
	This    lab.Status `json:"this"`
	Other   lab.Status `json:"other"`
	Changed bool       `json:"changed"`
}

// ErrIncomparable is wrapped by the error of [Compare].
var ErrIncomparable = errors.New("these runs cannot be compared")

// Compare compares two runs of the same experiment. They need not be finished.
func Compare(this, other *Run) (*Comparison, error) {
	switch {
	case this.ID == other.ID:
		return nil, fmt.Errorf("%w: both are run %s: want another run of %s", ErrIncomparable, this.ID, this.Experiment)
	case this.Experiment != other.Experiment:
		return nil, fmt.Errorf("%w: run %s is of %s, run %s of %s: want two runs of one experiment", ErrIncomparable, this.ID, this.Experiment, other.ID, other.Experiment)
	case this.Quality.Better != other.Quality.Better || this.Quality.Label() != other.Quality.Label():
		return nil, fmt.Errorf("%w: run %s measures %s, run %s measured %s", ErrIncomparable, this.ID, this.Quality.Label(), other.ID, other.Quality.Label())
	}
	return &Comparison{
		This: this.Run, Other: other.Run, Settings: SettingsThatDiffer(this.Run, other.Run),
		Claims: judgedTwice(this.Verdicts, other.Verdicts), Points: this.Curves.Differences(other.Curves),
	}, nil
}

// SettingsThatDiffer lists what two runs were asked for differently: size, values, what
// is in input files, and the versions of experiment and program. Of a file it tells the
// name, not the folder.
func SettingsThatDiffer(this, other store.Run) []Setting {
	all := []Setting{{"size", string(this.Size), string(other.Size)}}
	names := slices.Collect(maps.Keys(this.Values))
	for name := range other.Values {
		if _, ok := this.Values[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		all = append(all, Setting{name, inputOf(this, name), inputOf(other, name)})
	}
	all = append(all,
		Setting{"version of the experiment", fmt.Sprint(this.Version), fmt.Sprint(other.Version)},
		Setting{"code", shortHash(this.Code), shortHash(other.Code)})
	return slices.DeleteFunc(all, func(s Setting) bool { return s.This == s.Other })
}

// inputOf is a value, or a file's name and what tells its content apart.
func inputOf(r store.Run, name string) string {
	value := r.Values[name]
	if hash := r.Inputs[name]; hash != "" {
		return filepath.Base(value) + " (" + shortHash(hash) + ")"
	}
	return value
}

// shortHash keeps the first digits of a hash at the end of a text.
func shortHash(s string) string {
	const digits = 10
	if i := strings.LastIndexByte(s, ' ') + 1; len(s)-i > digits {
		return s[:i+digits]
	}
	return s
}

func judgedTwice(this, other []Judged) []JudgedTwice {
	js := make([]JudgedTwice, 0, len(this))
	for _, a := range this {
		js = append(js, JudgedTwice{Claim: a.Claim, Text: a.Text, This: a.Verdict.Status})
	}
	for _, b := range other {
		i := slices.IndexFunc(js, func(j JudgedTwice) bool { return j.Claim == b.Claim })
		if i < 0 {
			i = len(js)
			js = append(js, JudgedTwice{Claim: b.Claim, Text: b.Text})
		}
		js[i].Other = b.Verdict.Status
	}
	for i, j := range js {
		js[i].Changed = j.This != "" && j.Other != "" && j.This != j.Other
	}
	return js
}

// Count counts the points by their finding.
func (c *Comparison) Count() map[lab.Finding]int {
	n := map[lab.Finding]int{}
	for _, d := range c.Points {
		n[d.Finding]++
	}
	return n
}

// Summary says in a sentence what the points say.
func (c *Comparison) Summary() string {
	n := c.Count()
	judged := n[lab.Improved] + n[lab.Worsened] + n[lab.Chance]
	var parts []string
	add := func(n int, text string) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf(text, n))
		}
	}
	add(n[lab.Improved], "%d better here by more than chance")
	add(n[lab.Worsened], "%d worse here by more than chance")
	add(n[lab.Chance], "%d different within chance")
	add(n[lab.Equal], "%d equal")
	add(n[lab.TooFew], "%d with too few seeds to tell")
	add(n[lab.Lacking], "%d that only one run has")
	if len(parts) == 0 {
		return "Neither run has a point."
	}
	s := fmt.Sprintf("Points compared: %s.", strings.Join(parts, ", "))
	if judged >= 20 {
		s += fmt.Sprintf(" Were there no difference at all, about %d would still seem to differ.", (judged+10)/20)
	}
	return s
}
