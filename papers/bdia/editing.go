package bdia

import (
	"context"
	"fmt"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/network"
	"github.com/assay-lab/assay/lab"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
	"github.com/assay-lab/assay/papers/internal/nets"
)

// distance is how far an edited picture is from the original.
const distance = "distance from the original"

// editing asks what an exact way to noise is worth for edits.
func editing() *lab.Experiment {
	return &lab.Experiment{
		Name:    "bdia/editing",
		Title:   "Digits made other digits: how often the edit is right",
		Help:    "Digits that the network has not seen are walked to noise under their own label and made again under another, five further on. A classifier says how often that digit is seen; a further figure is how far the picture moves (root mean square of a pixel, in units of [−1, 1]).",
		Cost:    mixture.NFE,
		Quality: lab.Axis{Name: "edits that are right", Better: lab.Higher},
		Budget:  "steps",
		Params: append(nets.Params(),
			lab.Param{Name: "guidance", Help: "guidance scales, a panel each", Kind: lab.Floats, Default: "3", Min: 0, Max: 100},
			gammaParam("0.96,1"),
			lab.Param{Name: "steps", Help: "numbers of steps one way", Kind: lab.Ints, Default: "10,20", At: map[lab.Size]string{lab.Quick: "10", lab.Full: "10,20,50,100"}, Min: 2, Max: 10000},
			lab.Param{Name: "n", Help: "images a seed", Kind: lab.Int, Default: "20", At: map[lab.Size]string{lab.Quick: "4", lab.Full: "200"}, Min: 1, Max: 1000},
			lab.Param{Name: "seeds", Help: "independent sets of images", Kind: lab.Int, Default: "2", At: map[lab.Size]string{lab.Quick: "1", lab.Full: "4"}, Min: 1, Max: 4},
		),
		Version: 1,
		Grid:    func(v lab.Values) ([]lab.Cell, error) { return digitsGrid(v, false, takesLabels) },
		Run:     runEditing,
		Claims:  editingClaims(),
	}
}

func runEditing(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
	m, err := nets.Open(c.Values)
	if err != nil {
		return lab.Outcome{}, err
	}
	judge, err := network.MNISTClassifier()
	if err != nil {
		return lab.Outcome{}, err
	}
	n := c.Values.Int("n")
	clean, labels, err := realDigits(n, c.Seed)
	if err != nil {
		return lab.Outcome{}, err
	}
	wanted := make([]int, n)
	for i, l := range labels {
		wanted[i] = (l + 5) % 10
	}
	own, err := scaled(m, c, labels)
	if err != nil {
		return lab.Outcome{}, err
	}
	other, err := scaled(m, c, wanted)
	if err != nil {
		return lab.Outcome{}, err
	}
	tr, err := newTrip(c.Method, diffusion.Widen(own), diffusion.Grid{Schedule: m.Schedule, Steps: int(c.Budget)})
	if err != nil {
		return lab.Outcome{}, err
	}
	tr.makes = diffusion.Widen(other)
	wide := widened(clean)
	_, edited, calls, err := tr.regenerate(ctx, wide, n)
	if err != nil {
		return diverged(err)
	}
	pictures := make([]float32, len(edited))
	for i, v := range edited {
		pictures[i] = float32(v)
	}
	seen, err := judge.Classify(ctx, pictures, n)
	if err != nil {
		return lab.Outcome{}, err
	}
	right := 0
	for i := range seen {
		if seen[i] == wanted[i] {
			right++
		}
	}
	o := lab.Outcome{Cost: float64(calls), Quality: float64(right) / float64(n), Metrics: map[string]float64{distance: mixture.RMS(edited, wide)}}
	if c.Seed == 0 {
		picture, err := nets.Picture(m, append(clean[:min(n, 10)*m.Len():min(n, 10)*m.Len()], pictures...), 2*min(n, 10))
		if err != nil {
			return lab.Outcome{}, err
		}
		o.Files = []lab.File{picture}
	}
	return o, nil
}

// editingClaims were written down before the first run: the paper shows edits, and
// gives no figure for them.
func editingClaims() []lab.Claim {
	return []lab.Claim{{
		Name:  "exact inversion edits no worse than DDIM's and keeps more of the picture",
		Text:  "At 20 steps and guidance 3 BDIA with γ = 0.96 makes the digit asked for at least as often as DDIM inversion, less a tenth, and moves the picture less.",
		Paper: "edits keep more of the picture than those by DDIM inversion (shown, not measured)",
		Judge: lab.All(
			lab.AtLeast(plus(lab.At("guidance 3", bdiaName(0.96), 20), 0.1), lab.At("guidance 3", ddimInversion, 20)),
			lab.Less(lab.MetricAt("guidance 3", bdiaName(0.96), 20, distance), lab.MetricAt("guidance 3", ddimInversion, 20, distance))),
	}}
}

// plus is a term and a constant.
func plus(t lab.Term, c float64) lab.Term {
	return func(cs lab.Curves) (string, float64, error) {
		name, x, err := t(cs)
		return fmt.Sprintf("%g + %s", c, name), x + c, err
	}
}

// takesLabels wants digits that can be asked for.
func takesLabels(m *network.Model) error {
	if err := takesDigits(m); err != nil {
		return err
	}
	if m.Classes != 10 {
		return fmt.Errorf("model = %s: %d classes: editing digits needs labels 0 to 9", m.Name, m.Classes)
	}
	return nil
}
