package web

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"

	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/runner"
	"github.com/assay-lab/assay/lab/store"
)

// diffView is the page of two runs of an experiment, side by side.
type diffView struct {
	*runner.Comparison
	Title  string
	Slug   string
	Back   string
	Axes   string
	Budget string
	Charts []chartData
	Tables []diffTable
}

// A diffTable is a panel: a group of rows a method, a row a budget.
type diffTable struct {
	Panel  string
	Change string // what the column of changes holds
	Groups []diffGroup
}

type diffGroup struct {
	Method, Color string
	Points        []lab.Difference
}

// A choice is a run that another can be compared with.
type choice struct {
	store.Run
	Label string
}

// against compares a run with the one that the query names; nil if it names none.
func (s *Server) against(r *http.Request, this *runner.Run) (*runner.Comparison, *runner.Run, error) {
	id := r.URL.Query().Get("against")
	if id == "" {
		return nil, nil, nil
	}
	other, _, err := s.loadID(r.Context(), id)
	if err != nil {
		return nil, nil, err
	}
	c, err := runner.Compare(this, other)
	if errors.Is(err, runner.ErrIncomparable) {
		return nil, nil, bad("%s.", sentence(err.Error()))
	}
	return c, other, err
}

// sentence begins a text with a capital.
func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// runAgainst is the page of a run beside another.
func (s *Server) runAgainst(w http.ResponseWriter, r *http.Request, this, other *runner.Run, c *runner.Comparison) error {
	methods := this.Curves.Methods()
	for _, m := range other.Curves.Methods() {
		if !slices.Contains(methods, m) {
			methods = append(methods, m)
		}
	}
	return s.show(w, r, http.StatusOK, "diff", diffView{
		Comparison: c, Title: this.Title, Slug: slugOf(this.Experiment), Back: back(this.Experiment),
		Axes: axes(this.Curves), Budget: budgetLabel(this.Curves),
		Charts: pairCharts(chartsIn(this.Curves, methods), chartsIn(other.Curves, methods)),
		Tables: diffTables(c.Points, methods),
	})
}

// diffTables have the points of both runs; how many only one has is told above them.
func diffTables(points []lab.Difference, methods []string) []diffTable {
	var out []diffTable
	for _, d := range points {
		if d.Finding == lab.Lacking {
			continue
		}
		if len(out) == 0 || out[len(out)-1].Panel != d.Panel {
			out = append(out, diffTable{Panel: d.Panel, Change: changes[d.Ratio]})
		}
		t := &out[len(out)-1]
		if n := len(t.Groups); n == 0 || t.Groups[n-1].Method != d.Method {
			t.Groups = append(t.Groups, diffGroup{Method: d.Method, Color: colorText(slices.Index(methods, d.Method))})
		}
		g := &t.Groups[len(t.Groups)-1]
		g.Points = append(g.Points, d)
		if t.Change != changes[d.Ratio] {
			t.Change = "change"
		}
	}
	return out
}

var changes = map[bool]string{true: "this / other", false: "this − other"}

// choices are the runs that a run can be compared with, the newest first, with what
// tells them apart from it.
func (s *Server) choices(ctx context.Context, this store.Run) ([]choice, error) {
	all, err := s.cfg.Store.Runs(ctx)
	if err != nil {
		return nil, err
	}
	const most, mostSettings = 50, 4
	var out []choice
	for _, r := range all {
		if r.Experiment != this.Experiment || r.ID == this.ID || len(out) == most {
			continue
		}
		label := []string{r.Created.Format("2 Jan 2006 15:04"), string(r.Size)}
		differ := slices.DeleteFunc(runner.SettingsThatDiffer(this, r), func(s runner.Setting) bool { return s.Name == "size" })
		for i, d := range differ {
			if i == mostSettings {
				label = append(label, "…")
				break
			}
			label = append(label, d.Name+" "+short(d.Other))
		}
		if r.Finished.IsZero() {
			label = append(label, "not finished")
		}
		out = append(out, choice{r, strings.Join(append(label, r.ID), " · ")})
	}
	return out, nil
}

// short is a value that fits into a line.
func short(s string) string {
	const most = 24
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	if s == "" {
		return "none"
	}
	return s
}

// public is a run without the places of files here, which are nobody's business.
func public(r store.Run) store.Run {
	r.Values = maps.Clone(r.Values)
	for name := range r.Inputs {
		r.Values[name] = filepath.Base(r.Values[name])
	}
	return r
}

// pairCharts draws the charts of two runs, which have the same methods' colours, into
// one another: the other's curves are dashed.
func pairCharts(this, other []chartData) []chartData {
	var out []chartData
	for _, d := range this {
		for i := range d.Series {
			d.Series[i].Dashed = false
		}
		out = append(out, d)
	}
	for _, d := range other {
		for i := range d.Series {
			d.Series[i].Other = d.Series[i].Method
			d.Series[i].Method += " (other)"
			d.Series[i].Dashed = true
		}
		if i := slices.IndexFunc(out, func(o chartData) bool { return o.Panel == d.Panel }); i >= 0 {
			out[i] = out[i].with(d)
		} else {
			out = append(out, d)
		}
	}
	return out
}

// with has the series of both charts over the costs of both.
func (d chartData) with(o chartData) chartData {
	all := slices.Concat(d.Budgets, o.Budgets)
	slices.Sort(all)
	all = slices.Compact(all)
	var series []chartSeries
	for _, c := range []chartData{d, o} {
		for _, s := range c.Series {
			mean := make([]*float64, len(all))
			for i, x := range c.Budgets {
				k, _ := slices.BinarySearch(all, x)
				mean[k] = s.Mean[i]
			}
			s.Mean = mean
			series = append(series, s)
		}
	}
	for _, m := range o.Diverged {
		d.Diverged = append(d.Diverged, m+" (other)")
	}
	d.Budgets, d.Series = all, series
	return d
}
