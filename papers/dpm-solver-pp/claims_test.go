package dpmsolverpp

import (
	"context"
	"slices"
	"testing"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/labtest"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
)

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

func TestClaims(t *testing.T) {
	t.Setenv("ASSAY_CACHE", t.TempDir())
	at := func(nfe, guidance string) map[string]string {
		return map[string]string{"nfe": nfe, "guidance": guidance}
	}
	labtest.Claim(t, guided(), "2M beats DDIM under strong guidance", at("15,20", "7.5"), lab.Holds, map[string]string{m2.Name: fast3.Name}, lab.Fails)
	labtest.Claim(t, guided(), "singlestep noise form is unstable under strong guidance", at("10,15", "7.5"), lab.Holds, map[string]string{fast3.Name: s2.Name}, lab.Fails)
	labtest.Claim(t, guided(), "multistep noise form is unstable as well", at("10,15", "7.5"), lab.Fails, map[string]string{noise.Name: fast3.Name}, lab.Holds)
	labtest.Claim(t, guided(), "without guidance the order turns round", at("20", "1"), lab.Holds, map[string]string{fast3.Name: ddim.Name}, lab.Fails)
	labtest.Claim(t, convergence(), "orders of convergence", nil, lab.Holds, map[string]string{m2.Name: ddim.Name}, lab.HoldsInPart)
	labtest.Claim(t, convergence(), "orders of convergence", nil, lab.Holds, map[string]string{m3c.Name: m3.Name}, lab.HoldsInPart)
	labtest.Claim(t, thresholding(), "thresholding keeps samples in range", nil, lab.Holds, map[string]string{dynamicThreshold: noThreshold}, lab.HoldsInPart)
	labtest.Claim(t, stochastic(), "the SDE sampler samples the data", map[string]string{"nfe": "50", "n": "20000"}, lab.Holds,
		map[string]string{stochasticRivals[0].Name: ddim.Name, stochasticRivals[1].Name: ddim.Name}, lab.Fails)
}

// TestSignMatters: the claims on 2M notice its correction's sign.
func TestSignMatters(t *testing.T) {
	honest := guidedRivals
	defer func() { guidedRivals = honest }()
	guidedRivals = slices.Clone(honest)
	i := slices.IndexFunc(honest, func(r mixture.Rival) bool { return r.Name == m2.Name })
	guidedRivals[i].Method = crippled{}
	t.Setenv("ASSAY_CACHE", t.TempDir())
	e := guided()
	if v := e.Claims[0].Verdict(labtest.Run(t, e, map[string]string{"nfe": "15,20", "guidance": "7.5"}, nil)); v.Status == lab.Holds {
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
