// Package labtest runs experiments inside a test, so that claims can be shown to
// hold for honest methods and to fail for crippled ones.
package labtest

import (
	"context"
	"testing"

	"github.com/assay-lab/assay/lab"
)

// Claim shows a claim twice: with the honest methods it must come to one status,
// and with some replaced by crippled ones (cripple maps a method to its stand-in)
// to another. The parameters are those of quick size with set over them.
func Claim(t *testing.T, e *lab.Experiment, name string, set map[string]string, honest lab.Status, cripple map[string]string, crippled lab.Status) {
	t.Helper()
	for _, c := range e.Claims {
		if c.Name != name {
			continue
		}
		if v := c.Verdict(Run(t, e, set, nil)); v.Status != honest {
			t.Errorf("%s: honest: %s, want %s: %s", name, v.Status, honest, v.Reason)
		}
		if v := c.Verdict(Run(t, e, set, cripple)); v.Status != crippled {
			t.Errorf("%s: with %v: %s, want %s: %s", name, cripple, v.Status, crippled, v.Reason)
		}
		return
	}
	t.Errorf("%s has no claim %q", e.Name, name)
}

// Run runs an experiment at quick size in this process. A method that swap has an
// entry for is replaced by that entry.
func Run(t *testing.T, e *lab.Experiment, set, swap map[string]string) lab.Curves {
	t.Helper()
	v, err := e.Resolve(lab.Quick, set)
	if err != nil {
		t.Fatal(err)
	}
	grid, err := e.Grid(v)
	if err != nil {
		t.Fatal(err)
	}
	results := map[string]lab.Result{}
	for _, c := range grid {
		as := c
		if m, ok := swap[c.Method]; ok {
			as.Method = m
		}
		o, err := e.Run(context.Background(), as)
		if err != nil {
			t.Fatalf("%v: %v", c, err)
		}
		results[c.String()] = lab.Result{Cell: c, Outcome: o}
	}
	return e.Gather(grid, func(c lab.Cell) (lab.Result, bool) { r, ok := results[c.String()]; return r, ok })
}
