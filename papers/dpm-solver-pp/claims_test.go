package dpmsolverpp

import (
	"context"
	"slices"
	"testing"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/lab"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
)

// run runs an experiment in this process; swap, where it has an entry, is the
// method that stands in for another.
func run(t *testing.T, e *lab.Experiment, set, swap map[string]string) lab.Curves {
	t.Helper()
	t.Setenv("ASSAY_CACHE", t.TempDir())
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

// crippled is 2M with the sign of its correction turned round.
type crippled struct{}

func (crippled) Trace(t *diffusion.Tracer, g diffusion.Grid) error {
	ls, err := g.Levels(g.Steps)
	if err != nil {
		return err
	}
	x := t.Input()
	var m1 diffusion.Vec
	for i := range g.Steps {
		from, to := ls[i], ls[i+1]
		m0 := t.Let(t.Eval(x, from, diffusion.Data))
		h := to.Lambda - from.Lambda
		w := to.Alpha - to.Sigma/from.Sigma*from.Alpha
		x = x.Mul(to.Sigma/from.Sigma).Add(w, m0)
		if i > 0 {
			x = x.Add(-w/2*h/(from.Lambda-ls[i-1].Lambda), m0.Sub(m1))
		}
		x, m1 = t.Step(x, to), m0
	}
	t.Return(x)
	return nil
}

// TestClaims: the claim comes out as found with the honest methods, and
// otherwise with a crippled one.
func TestClaims(t *testing.T) {
	tests := []struct {
		e      func() *lab.Experiment
		claim  string
		honest lab.Status
		cheat  map[string]string // the method that stands in for another
		want   lab.Status
		set    map[string]string
	}{
		{guided, "2M beats DDIM under strong guidance", lab.Holds, map[string]string{m2.Name: fast3.Name}, lab.HoldsInPart, map[string]string{"nfe": "15,20", "guidance": "7.5"}},
		{guided, "singlestep noise form is unstable under strong guidance", lab.Holds, map[string]string{fast3.Name: s2.Name}, lab.Fails, map[string]string{"nfe": "10,15", "guidance": "7.5"}},
		{guided, "multistep noise form is unstable as well", lab.Fails, map[string]string{noise.Name: fast3.Name}, lab.Holds, map[string]string{"nfe": "10,15", "guidance": "7.5"}},
		{guided, "without guidance the order turns round", lab.Holds, map[string]string{fast3.Name: ddim.Name}, lab.Fails, map[string]string{"nfe": "20", "guidance": "1"}},
		{convergence, "orders of convergence", lab.Holds, map[string]string{m2.Name: ddim.Name}, lab.HoldsInPart, nil},
		{convergence, "orders of convergence", lab.Holds, map[string]string{m3c.Name: m3.Name}, lab.HoldsInPart, nil},
		{thresholding, "thresholding keeps samples in range", lab.Holds, map[string]string{dynamicThreshold: noThreshold}, lab.HoldsInPart, nil},
		{stochastic, "the SDE sampler samples the data", lab.Holds, map[string]string{stochasticRivals[0].Name: ddim.Name, stochasticRivals[1].Name: ddim.Name}, lab.Fails,
			map[string]string{"nfe": "50", "n": "20000"}},
	}
	for _, tt := range tests {
		t.Run(tt.claim, func(t *testing.T) {
			e := tt.e()
			for _, c := range e.Claims {
				if c.Name != tt.claim {
					continue
				}
				if v := c.Verdict(run(t, e, tt.set, nil)); v.Status != tt.honest {
					t.Errorf("honest: %s, want %s: %s", v.Status, tt.honest, v.Reason)
				}
				if v := c.Verdict(run(t, e, tt.set, tt.cheat)); v.Status != tt.want {
					t.Errorf("with %v: %s, want %s: %s", tt.cheat, v.Status, tt.want, v.Reason)
				}
				return
			}
			t.Errorf("no such claim")
		})
	}
}

// TestSignMatters: the claims on 2M notice its correction's sign.
func TestSignMatters(t *testing.T) {
	honest := guidedRivals
	defer func() { guidedRivals = honest }()
	guidedRivals = slices.Clone(honest)
	i := slices.IndexFunc(honest, func(r mixture.Rival) bool { return r.Name == m2.Name })
	guidedRivals[i].Method = crippled{}
	e := guided()
	if v := e.Claims[0].Verdict(run(t, e, map[string]string{"nfe": "15,20", "guidance": "7.5"}, nil)); v.Status == lab.Holds {
		t.Errorf("2M with a wrong sign: %s: %s", v.Status, v.Reason)
	}
}

func TestUnknownPanel(t *testing.T) {
	e := guided()
	v, err := e.Resolve(lab.Quick, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]lab.Cell{
		"unknown rival": {Panel: plain, Method: "Euler", Budget: 10, Values: v},
		"unknown panel": {Panel: "left", Method: ddim.Name, Budget: 10, Values: v},
	} {
		if _, err := e.Run(context.Background(), c); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	for name, set := range map[string]map[string]string{
		"a problem that is not there": {"problem": "packed17"},
		"too few evaluations":         {"nfe": "1"},
		"guidance NaN":                {"guidance": "NaN"},
		"a parameter that is unknown": {"sigma": "1"},
	} {
		if _, err := e.Resolve(lab.Quick, set); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
