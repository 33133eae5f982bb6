// Package lab holds the vocabulary of an assay: an [Experiment] asks one
// question of a paper, its grid is a set of independent [Cell]s, every cell
// gives an [Outcome], outcomes of one method form a [Curve], and a [Claim]
// judges the curves and gives a [Verdict].
//
// The package is plain data. Running a grid is lab/runner's work, keeping
// outcomes lab/store's, drawing them lab/report's.
package lab

import (
	"context"
	"fmt"
	"strings"
)

// An Experiment asks one question of a paper: how does quality grow with cost,
// method by method?
type Experiment struct {
	Name  string // unique, "<paper's slug>/<short name>", such as "dpm-solver-pp/guided"
	Title string // the question, as a heading
	Help  string // what is measured on what, and what stands in for the paper's setting

	Cost    Axis // NFE, gradient evaluations, ε, bits, bytes sent: counted, never timed
	Quality Axis // error, accuracy, distance
	// Budget names what the budgets of the grid count where that is not the cost,
	// as steps of which each costs several evaluations.
	Budget string

	Params []Param // typed knobs with bounds and defaults: flags in the CLI, a form on the page

	// Version is part of a run's identity; raise it when outcomes would change
	// without any parameter changing.
	Version int

	// Grid lists the cells for the given values: panel × method × budget × seed.
	Grid func(Values) ([]Cell, error)
	// Run runs one cell alone. It must be pure: the same cell gives the same
	// outcome, in any process and any order.
	Run func(context.Context, Cell) (Outcome, error)

	Claims []Claim // judged on the finished curves

	// Advise says what the curves suggest to do; nil for an experiment that only
	// judges claims.
	Advise func(Values, Curves) Advice
}

// Advice is what finished curves suggest to do.
type Advice struct {
	Lines    []string `json:"lines"`              // sentences, each of which stands alone
	Commands []string `json:"commands,omitempty"` // what to type for it, as "assay sample ..."
}

// Param returns the parameter of that name.
func (e *Experiment) Param(name string) (Param, bool) {
	for _, p := range e.Params {
		if p.Name == name {
			return p, true
		}
	}
	return Param{}, false
}

// An Axis says what a number on a curve means.
type Axis struct {
	Name   string `json:"name"`           // in the field's words: "NFE", "RMS error"
	Unit   string `json:"unit,omitempty"` // "" for pure numbers
	Log    bool   `json:"log,omitempty"`  // draw and interpolate on a logarithmic scale
	Better Better `json:"better"`         // which way is better
}

// Label is the axis's title on a plot.
func (a Axis) Label() string {
	if a.Unit == "" {
		return a.Name
	}
	return a.Name + " [" + a.Unit + "]"
}

// Better says which direction of an axis is the good one.
type Better int8

const (
	Lower  Better = iota // errors, distances, costs
	Higher               // accuracies
)

// A Cell is one independent piece of a grid. Its randomness comes from Seed alone.
type Cell struct {
	Panel  string  `json:"panel,omitempty"` // cells of one panel share a picture: "guidance 7.5"
	Method string  `json:"method"`          // the rival, by the name it has in legends
	Budget float64 `json:"budget"`          // what was allowed to be spent, on the cost axis
	Seed   uint64  `json:"seed"`
	Values Values  `json:"values"` // every parameter of the experiment
}

func (c Cell) String() string {
	var b strings.Builder
	if c.Panel != "" {
		b.WriteString(c.Panel + ", ")
	}
	fmt.Fprintf(&b, "%s at %g, seed %d", c.Method, c.Budget, c.Seed)
	return b.String()
}

// An Outcome is what a cell gives. Infinite and NaN figures are allowed (a
// sampler that diverged) and survive JSON.
type Outcome struct {
	Cost    float64            // spent, on the cost axis
	Quality float64            // reached, on the quality axis
	Metrics map[string]float64 // further figures, by name
	Files   []File             // pictures and tensors worth keeping; small
}

// A File is a by-product of a cell.
type File struct {
	Name string `json:"name"` // "samples.png": unique in the cell, no path separators
	Type string `json:"type"` // MIME type
	Data []byte `json:"data"`
}
