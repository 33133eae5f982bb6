package lab

import (
	"fmt"
	"strings"
)

// A Claim is what a paper says of its method, in a form that can turn out wrong.
type Claim struct {
	Name  string // short and unique in its experiment
	Text  string // the claim in our own words
	Paper string // the paper's number and setting; "" where only the direction is claimed
	Judge func(Curves) Verdict
}

// Status is a verdict in a word.
type Status string

const (
	Holds       Status = "holds"
	HoldsInPart Status = "holds in part"
	Fails       Status = "fails"
	Undecided   Status = "undecided" // figures that it needs are missing
)

// A Verdict says whether a claim holds, and by which figures.
type Verdict struct {
	Status  Status   `json:"status"`
	Reason  string   `json:"reason"`            // one sentence a reader can check against Figures
	Figures []Figure `json:"figures,omitempty"` // what was compared
	// Confidence is how often the verdict is the same when the seeds are drawn
	// again with replacement, from 0 to 1; 0 when there is only one seed.
	Confidence float64  `json:"confidence,omitempty"`
	Missing    []string `json:"missing,omitempty"` // what could not be judged, and why
}

// A Figure is one number of a verdict.
type Figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Want  string  `json:"want,omitempty"` // the predicate it was held against: "< 1"
	OK    bool    `json:"ok"`
}

// maxMissing is how many missing cells a verdict names.
const maxMissing = 20

// Verdict judges the curves. It answers for claims whose Judge panics, names
// the cells without an outcome, and finds the confidence by [Confidence] unless
// Judge has.
func (c Claim) Verdict(cs Curves) Verdict {
	v := c.judge(cs)
	if v.Confidence == 0 && v.Status != Undecided {
		v.Confidence = Confidence(cs, c.judge)
	}
	for i, m := range cs.Missing {
		if i == maxMissing {
			v.Missing = append(v.Missing, fmt.Sprintf("and %d more cells", len(cs.Missing)-i))
			break
		}
		why := m.Err
		if why == "" {
			why = "not run"
		}
		v.Missing = append(v.Missing, m.Cell.String()+": "+firstLine(why))
	}
	return v
}

func (c Claim) judge(cs Curves) (v Verdict) {
	defer func() {
		if r := recover(); r != nil {
			v = Verdict{Status: Undecided, Reason: fmt.Sprintf("judging failed: %v", r)}
		}
	}()
	return c.Judge(cs)
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}
