package ghvb

import (
	"context"
	"fmt"
	"math"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/lab"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
)

// The members of the families, alike in every panel of k slopes.
const (
	plainPLMS = "PLMS"
	ghvbWeak  = "GHVB, β = 0.8"
	ghvbHard  = "GHVB, β = 0.5"
	hbWeak    = "HB, β = 0.8"
	hbHard    = "HB, β = 0.5"
)

var members = []struct {
	name string
	kind diffusion.MomentumKind
	beta float64
}{
	{plainPLMS, diffusion.Generalized, 1}, {ghvbWeak, diffusion.Generalized, 0.8}, {ghvbHard, diffusion.Generalized, 0.5},
	{hbWeak, diffusion.Polyak, 0.8}, {hbHard, diffusion.Polyak, 0.5},
}

// others are looked at on a grid even in log ρ.
const others = "other solvers, 20 steps"

var otherRivals = []mixture.Rival{m2, m2hb, unipc, unipcHB}

// maxSlopes is the largest k of a panel, as in the paper's picture.
const maxSlopes = 4

func slopesPanel(k int) string { return fmt.Sprintf("k = %d", k) }

func stability() *lab.Experiment {
	return &lab.Experiment{
		Name:    "ghvb/stability",
		Title:   "How far a region of stability reaches, ray by ray",
		Help:    "The regions are computed from the samplers' own steps, for the equation dy/dρ = λ·y with z = λ·Δρ. A ray's angle is its distance from the positive real axis: 180° is the negative real axis, where errors should fade, 90° the imaginary one. DPM-Solver++ and UniPC are looked at on a grid even in log ρ.",
		Cost:    lab.Axis{Name: "angle of the ray", Unit: "°"},
		Quality: lab.Axis{Name: "reach |z|", Log: true, Better: lab.Higher},
		Params: []lab.Param{
			{Name: "angle", Help: "angles of rays in degrees", Kind: lab.Floats, Default: "95,100,105,110,115,120,125,130,135,140,145,150,155,160,165,170,175,180",
				At: map[lab.Size]string{lab.Quick: "95,105,115,135,155,180"}, Min: 91, Max: 180},
		},
		Version: 1,
		Grid: func(v lab.Values) ([]lab.Cell, error) {
			var cs []lab.Cell
			add := func(panel, method string) {
				for _, a := range v.Floats("angle") {
					cs = append(cs, lab.Cell{Panel: panel, Method: method, Budget: a, Values: v})
				}
			}
			for k := 1; k <= maxSlopes; k++ {
				for _, m := range members {
					add(slopesPanel(k), m.name)
				}
			}
			for _, r := range otherRivals {
				add(others, r.Name)
			}
			return cs, nil
		},
		Run:    runStability,
		Claims: stabilityClaims(),
	}
}

func runStability(_ context.Context, c lab.Cell) (lab.Outcome, error) {
	m, err := methodOf(c)
	if err != nil {
		return lab.Outcome{}, err
	}
	s, _, err := diffusion.StabilityOf(m, 0)
	if err != nil {
		return lab.Outcome{}, err
	}
	reach, err := s.Reach(c.Budget)
	return lab.Outcome{Cost: c.Budget, Quality: reach}, err
}

func methodOf(c lab.Cell) (diffusion.Method, error) {
	if c.Panel == others {
		return mixture.RivalNamed(otherRivals, c.Method)
	}
	var k int
	if _, err := fmt.Sscanf(c.Panel, "k = %d", &k); err != nil {
		return nil, fmt.Errorf("panel %q: %w", c.Panel, err)
	}
	for _, m := range members {
		if m.name == c.Method {
			return of(m.kind, k, m.beta), nil
		}
	}
	return nil, fmt.Errorf("no rival is called %q", c.Method)
}

// leftEnd is where the real interval ends by the closed form, for k from 1 to 4: where
// the characteristic polynomial has the root −1.
func leftEnd(kind diffusion.MomentumKind, k int, beta float64) (float64, error) {
	weights := beta
	if kind == diffusion.Polyak {
		weights = 1
	}
	c, err := diffusion.MomentumWeights(k, weights)
	var alternating float64
	for j, w := range c {
		alternating += w * math.Pow(-1, float64(j))
	}
	return 2 * (2 - beta) / (beta * alternating), err
}
