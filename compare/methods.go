package compare

import (
	"fmt"
	"slices"
	"strings"

	"github.com/assay-lab/assay/diffusion"
)

// MethodNames lists the methods that can be compared: all that are deterministic.
func MethodNames() []string {
	var names []string
	for _, m := range slices.Concat(diffusion.Methods(), diffusion.StatisticsMethods()) {
		names = append(names, m.Name)
	}
	return names
}

// needsStatistics says whether the method of that name is one with statistics.
func needsStatistics(name string) bool {
	return slices.ContainsFunc(diffusion.StatisticsMethods(), func(m diffusion.NamedMethod) bool { return m.Name == name })
}

// methodNamed is the method of that name, with the statistics if it needs them.
func methodNamed(name string, st func() (*diffusion.Statistics, error)) (diffusion.Method, error) {
	for _, m := range diffusion.StatisticsMethods() {
		if m.Name == name {
			s, err := st()
			if err != nil {
				return nil, err
			}
			return diffusion.WithStatistics(m.Method, s)
		}
	}
	return diffusion.MethodNamed(name)
}

// parseMethods reads names with commas between.
func parseMethods(text string) ([]string, error) {
	var names []string
	all := MethodNames()
	for part := range strings.SplitSeq(text, ",") {
		name := strings.TrimSpace(part)
		_, momentum, err := diffusion.ParseMomentum(name)
		switch {
		case err != nil:
			return nil, fmt.Errorf("methods: %s", strings.TrimPrefix(err.Error(), "diffusion: "))
		case !momentum && !slices.Contains(all, name):
			return nil, fmt.Errorf("methods: unknown method %q: must be one of %s", name, strings.Join(all, ", "))
		case slices.Contains(names, name):
			return nil, fmt.Errorf("methods: %s is given twice", name)
		}
		names = append(names, name)
	}
	return names, nil
}

// A plan is how many steps a method can make of a budget.
type plan struct {
	steps int
	why   string // it cannot run, where steps is 0
}

// planner finds plans. It traces methods with statistics of a single coordinate,
// which have the tape's shape.
type planner struct {
	grid     diffusion.Grid
	predicts diffusion.Prediction
	rows     int
}

// plan gives the method of that name the largest number of steps that cost no more
// evaluations than the budget.
func (p planner) plan(name string, budget int) (plan, error) {
	m, err := methodNamed(name, p.flat)
	if err != nil {
		return plan{}, err
	}
	g, why := p.grid, ""
	for g.Steps = budget; g.Steps > 0; g.Steps-- {
		tp, err := diffusion.Trace(m, g, diffusion.TraceOptions{Predicts: p.predicts})
		if err != nil {
			if why == "" {
				why = strings.TrimPrefix(err.Error(), "diffusion: ")
			}
			continue
		}
		if tp.Stochastic() {
			return plan{}, fmt.Errorf("methods: %s is stochastic: its samples have no true end that they could be compared with", name)
		}
		if tp.NFE() <= budget {
			return plan{steps: g.Steps}, nil
		}
		why = fmt.Sprintf("%d steps cost %d evaluations", g.Steps, tp.NFE())
	}
	return plan{why: why}, nil
}

// flat is statistics that say nothing.
func (p planner) flat() (*diffusion.Statistics, error) {
	ls, err := p.grid.Levels(1)
	if err != nil {
		return nil, err
	}
	st := &diffusion.Statistics{LambdaT: ls[0].Lambda, Lambda0: ls[1].Lambda}
	for range p.rows + 1 {
		st.L, st.S, st.B = append(st.L, []float64{1}), append(st.S, []float64{0}), append(st.B, []float64{0})
	}
	return st, nil
}
