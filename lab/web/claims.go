package web

import (
	"context"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/assay-lab/assay/compare"
	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/store"
	"github.com/assay-lab/assay/papers"
)

// A claimRow is a claim of a paper beside what the last run says of it.
type claimRow struct {
	lab.Claim
	Title  string // of the experiment
	Status lab.Status
	Here   string // the figures of the last run; "" before there is one
	Run    store.Run
}

// claimRows are the claims of experiments, judged by the newest finished run of each.
func (s *Server) claimRows(ctx context.Context, es []*lab.Experiment, all []store.Run) ([]claimRow, error) {
	var rows []claimRow
	for _, e := range es {
		var last store.Run
		if i := slices.IndexFunc(all, func(r store.Run) bool { return r.Experiment == e.Name && !r.Finished.IsZero() }); i >= 0 {
			last = all[i]
		}
		judged, err := s.cfg.Store.Verdicts(ctx, last.ID)
		if err != nil {
			return nil, err
		}
		for _, c := range e.Claims {
			row := claimRow{Claim: c, Title: e.Title}
			if i := slices.IndexFunc(judged, func(j store.Judged) bool { return j.Claim == c.Name }); i >= 0 {
				row.Run, row.Status, row.Here = last, judged[i].Verdict.Status, judged[i].Verdict.Reason
			}
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// A pastRun is a run with what was asked of it.
type pastRun struct {
	store.Run
	Asked string // what differs from the defaults
}

// asked are the settings that a run was given, those that are not the defaults of its
// size; of input files the names.
func (s *Server) asked(r store.Run) map[string]string {
	set := map[string]string{}
	e, ok := s.experiment(r.Experiment)
	if !ok {
		return set
	}
	usual, err := e.Resolve(r.Size, nil)
	if err != nil {
		return set
	}
	for name, value := range public(r).Values {
		if was, ok := usual[name]; ok && was != value {
			set[name] = value
		}
	}
	return set
}

func (s *Server) pastRuns(rs []store.Run) []pastRun {
	var out []pastRun
	for _, r := range rs {
		set := s.asked(r)
		var parts []string
		for _, name := range slices.Sorted(maps.Keys(set)) {
			parts = append(parts, name+" "+short(set[name]))
		}
		out = append(out, pastRun{r, strings.Join(parts, ", ")})
	}
	return out
}

// again is the address of the form that a run came from, filled in as it was. A file
// must be sent anew.
func (s *Server) again(r store.Run) string {
	set := s.asked(r)
	maps.DeleteFunc(set, func(name, _ string) bool { return r.Inputs[name] != "" })
	return formAddress(r.Experiment, string(r.Size), set)
}

// formAddress is the address of an experiment's form, filled in.
func formAddress(experiment, size string, set map[string]string) string {
	q := url.Values{"size": {size}}
	if slugOf(experiment) != comparisons {
		q.Set("experiment", experiment)
	}
	for name, value := range set {
		q.Set("set."+name, value)
	}
	return back(experiment) + "?" + q.Encode() + "#try"
}

// usage is how a paper's method is called from Go.
type usage struct {
	Imports []string
	Code    string
}

func usageOf(p papers.Paper) usage {
	var u usage
	for _, pkg := range p.Packages {
		u.Imports = append(u.Imports, papers.Module+"/"+pkg)
	}
	m, ok := compare.MatchOf(p.Slug)
	if !ok {
		return u
	}
	if _, err := diffusion.MethodNamed(m.Own[0]); err == nil { // it needs no statistics
		u.Code = "method, err := diffusion.MethodNamed(\"" + m.Own[0] + "\")\n...\n" +
			"problem := diffusion.Problem[float32]{Model: model, Grid: grid, X: noise, N: n}\n" +
			"solution, err := diffusion.Solve(ctx, problem, method)"
	}
	return u
}

// rivalry is the address of the comparison of a paper's samplers with their rivals;
// "" where they cannot be compared.
func rivalry(slug string) string {
	m, ok := compare.MatchOf(slug)
	if !ok {
		return ""
	}
	return formAddress(comparisons+"/diffusion", string(lab.Quick), map[string]string{"methods": strings.Join(slices.Concat(m.Own, m.Rivals), ",")})
}
