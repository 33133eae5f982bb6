package ghvb

import (
	"context"
	"slices"
	"testing"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/labtest"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
)

// TestClaims shows every claim twice: on the curves of the honest methods, and with
// some of them replaced by a crippled stand-in's.
func TestClaims(t *testing.T) {
	t.Setenv("ASSAY_CACHE", t.TempDir())
	for _, tt := range []struct {
		e      *lab.Experiment
		set    map[string]string
		claims []shown
	}{
		{divergence(), nil, []shown{
			{"momentum cures divergence in few steps", lab.Holds, swap{ghvb33.Name: nt38.Name}, lab.HoldsInPart},
			{"momentum cures divergence in few steps", lab.Holds, swap{plms4.Name: plms2.Name}, lab.Fails},
			{"a lower order number is steadier", lab.Holds, swap{ghvb23.Name: ghvb33.Name}, lab.HoldsInPart},
			{"momentum is worth more than a lower order", lab.HoldsInPart, swap{ghvb23.Name: plms4.Name}, lab.Fails},
			{"fewer values out of range", lab.HoldsInPart, swap{hb38.Name: plms4.Name, ghvb33.Name: plms4.Name, unipcHB.Name: unipc.Name}, lab.Fails},
			{"with many steps nothing is gained", lab.Holds, swap{plms4.Name: longMemory}, lab.Fails},
		}},
		{tradeoff(), nil, []shown{ // with the sampler of 10 steps at 60 as well
			{"the order number trades accuracy for stability", lab.Holds, swap{tradeoffName(diffusion.Generalized, 60): tradeoffName(diffusion.Generalized, 10)}, lab.HoldsInPart},
		}},
		{stability(), nil, []shown{
			{"real intervals are as the closed form has them", lab.Holds, swap{ghvbWeak: hbWeak}, lab.HoldsInPart},
			{"GHVB 3.x and 2.x reach further than PLMS on every ray", lab.Holds, swap{ghvbHard: hbHard}, lab.HoldsInPart},
			{"every momentum enlarges every region", lab.HoldsInPart, swap{hbWeak: hbHard}, lab.Fails},
		}},
		{orders(), nil, []shown{
			{"GHVB keeps its order", lab.Holds, swap{ghvb35.Name: hb35.Name}, lab.HoldsInPart},
			{"heavy ball and Nesterov are of first order", lab.Holds, swap{hb35.Name: ghvb35.Name}, lab.HoldsInPart},
			{"the first step limits the order to 2", lab.Holds, swap{plms3.Name: ddim.Name}, lab.HoldsInPart},
		}},
		{onNetwork(), map[string]string{"seeds": "1"}, []shown{
			{"momentum helps PLMS on a trained network", lab.Holds, swap{ghvb33.Name: plms4.Name, hb38.Name: plms4.Name}, lab.Fails},
			{"momentum is worth more than a lower order", lab.Fails, swap{plms2.Name: plms4.Name}, lab.Holds},
		}},
	} {
		honest := divergenceRivals
		divergenceRivals = append(slices.Clone(honest), mixture.Rival{Name: longMemory, Method: of(diffusion.Polyak, 1, 0.1)})
		curves := labtest.Run(t, tt.e, tt.set, nil)
		divergenceRivals = honest
		for _, s := range tt.claims {
			s.check(t, tt.e, curves)
		}
		for _, c := range tt.e.Claims {
			if !slices.ContainsFunc(tt.claims, func(s shown) bool { return s.name == c.Name }) {
				t.Errorf("%s: no test shows %q failing", tt.e.Name, c.Name)
			}
		}
	}
}

// longMemory is a stand-in whose average lags by ten steps.
const longMemory = "HB 0.1"

// A swap gives methods the results of stand-ins.
type swap map[string]string

// shown is a claim, what it comes to, and what with crippled methods.
type shown struct {
	name     string
	honest   lab.Status
	cripple  swap
	crippled lab.Status
}

func (s shown) check(t *testing.T, e *lab.Experiment, honest lab.Curves) {
	t.Helper()
	i := slices.IndexFunc(e.Claims, func(c lab.Claim) bool { return c.Name == s.name })
	if i < 0 {
		t.Fatalf("%s has no claim %q", e.Name, s.name)
	}
	if v := e.Claims[i].Judge(honest); v.Status != s.honest {
		t.Errorf("%s: honest: %s, want %s: %s", s.name, v.Status, s.honest, v.Reason)
	}
	// A cell is pure: a method replaced by another has the other's results.
	crippled := honest
	crippled.Curves = slices.Clone(honest.Curves)
	for j, cv := range crippled.Curves {
		if as, ok := s.cripple[cv.Method]; ok {
			if standIn, ok := honest.Curve(cv.Panel, as); ok {
				crippled.Curves[j].Points = standIn.Points
			}
		}
	}
	if v := e.Claims[i].Judge(crippled); v.Status != s.crippled {
		t.Errorf("%s: with %v: %s, want %s: %s", s.name, s.cripple, v.Status, s.crippled, v.Reason)
	}
}

// plain is GHVB with the weights of Adams–Bashforth in place of its own: the mistake
// that is easiest to make.
type plain struct{ k int }

func (m plain) Trace(t *diffusion.Tracer, g diffusion.Grid) error {
	const beta = 0.5
	w, err := diffusion.MomentumWeights(m.k, 1)
	if err != nil {
		return err
	}
	ls, err := g.Levels(g.Steps)
	if err != nil {
		return err
	}
	x := t.Input()
	var vs []diffusion.Vec
	for i := range g.Steps {
		from, to := ls[i], ls[i+1]
		v := t.Eval(x, from, diffusion.Noise)
		if i > 0 {
			v = vs[0].Mul(1-beta).Add(beta, v)
		}
		vs = slices.Insert(vs, 0, t.Let(v))
		c := w
		if len(vs) < m.k {
			if c, err = diffusion.MomentumWeights(len(vs), 1); err != nil {
				return err
			}
		}
		var u diffusion.Vec
		for j := range c {
			u = u.Add(c[j], vs[j])
		}
		h := to.Sigma/to.Alpha - from.Sigma/from.Alpha
		x = t.Step(x.Mul(to.Alpha/from.Alpha).Add(to.Alpha*h, u), to)
	}
	t.Return(x)
	return nil
}

// TestWeightsMatter: with Adams–Bashforth's weights GHVB is of first order, and the
// claim on its order notices.
func TestWeightsMatter(t *testing.T) {
	e := orders()
	claim := e.Claims[0]
	if v := claim.Verdict(labtest.Run(t, e, nil, nil)); v.Status != lab.Holds {
		t.Errorf("honest: %s: %s", v.Status, v.Reason)
	}
	honest := orderRivals
	defer func() { orderRivals = honest }()
	orderRivals = slices.Clone(honest)
	for i, r := range orderRivals {
		for k, ghvb := range []mixture.Rival{ghvb15, ghvb25, ghvb35} {
			if r.Name == ghvb.Name {
				orderRivals[i].Method = plain{k + 2}
			}
		}
	}
	v := claim.Verdict(labtest.Run(t, e, nil, nil))
	wrong := 0
	for _, f := range v.Figures {
		if !f.OK {
			wrong++
		}
	}
	if v.Status != lab.HoldsInPart || wrong != 3 {
		t.Errorf("with the weights of Adams–Bashforth: %s, %d orders wrong, want 3: %s", v.Status, wrong, v.Reason)
	}
}

func TestBadCells(t *testing.T) {
	ctx := context.Background()
	for _, e := range Experiments()[:4] {
		v, err := e.Resolve(lab.Quick, nil)
		if err != nil {
			t.Fatal(err)
		}
		grid, err := e.Grid(v)
		if err != nil {
			t.Fatal(err)
		}
		for name, change := range map[string]func(c *lab.Cell){
			"a rival": func(c *lab.Cell) { c.Method = "Euler" },
			"a panel": func(c *lab.Cell) { c.Panel = "left" },
		} {
			c := grid[0]
			change(&c)
			if _, err := e.Run(ctx, c); err == nil {
				t.Errorf("%s: %s that is not there is run", e.Name, name)
			}
		}
	}
	for name, set := range map[string]map[string]string{
		"too few evaluations for PLMS": {"nfe": "3"},
		"more steps than labels":       {"nfe": "600"},
		"guidance NaN":                 {"guidance": "NaN"},
	} {
		if _, err := divergence().Resolve(lab.Quick, set); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
