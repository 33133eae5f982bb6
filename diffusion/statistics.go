package diffusion

import (
	"fmt"
	"math"
)

// Statistics are the empirical model statistics of DPM-Solver-v3 on a grid of M+1
// points even in λ, from the noisy end LambdaT to the clean end Lambda0: rows by
// grid point, columns by coordinate. They belong to one model, schedule and
// guidance scale.
type Statistics struct {
	LambdaT, Lambda0 float64
	L, S, B          [][]float64
	Guidance         float64 // of the model they were made with; 0: none
}

// Validate reports the first thing wrong with the statistics.
func (st *Statistics) Validate() error {
	if st == nil {
		return fmt.Errorf("diffusion: no statistics")
	}
	n := len(st.L)
	if n < 2 || len(st.S) != n || len(st.B) != n {
		return fmt.Errorf("diffusion: statistics of %d, %d and %d rows: want as many of each, at least 2", n, len(st.S), len(st.B))
	}
	if !(st.Lambda0 > st.LambdaT) || math.IsInf(st.Lambda0, 0) || math.IsInf(st.LambdaT, 0) {
		return fmt.Errorf("diffusion: statistics from λ = %g to %g: must be finite and rise", st.LambdaT, st.Lambda0)
	}
	d := len(st.L[0])
	if d == 0 {
		return fmt.Errorf("diffusion: statistics of no coordinates")
	}
	for name, rows := range map[string][][]float64{"l": st.L, "s": st.S, "b": st.B} {
		for k, row := range rows {
			if len(row) != d {
				return fmt.Errorf("diffusion: statistics %s, row %d: %d coordinates, want %d", name, k, len(row), d)
			}
			for i, v := range row {
				if math.IsNaN(v) || math.IsInf(v, 0) {
					return fmt.Errorf("diffusion: statistics %s, row %d, coordinate %d: %g", name, k, i, v)
				}
			}
		}
	}
	return nil
}

// rangeTolerance is how far, in λ, the ends of a grid may be from the statistics'.
const rangeTolerance = 1e-6

// tieTolerance is how near the middle a point counts as between two rows.
const tieTolerance = 1e-6

// place puts a grid on the rows of the statistics: every λ moves to the nearest
// row's, in ties to the even one.
func (st *Statistics) place(g Grid) (index []int, ls []Level, err error) {
	if err := st.Validate(); err != nil {
		return nil, nil, err
	}
	if g.ToZero {
		return nil, nil, fmt.Errorf("diffusion: DPM-Solver-v3 cannot run to σ = 0: its statistics end at λ = %g", st.Lambda0)
	}
	if ls, err = g.Levels(g.Steps); err != nil {
		return nil, nil, err
	}
	first, last := ls[0].Lambda, ls[len(ls)-1].Lambda
	if math.Abs(first-st.LambdaT) > rangeTolerance || math.Abs(last-st.Lambda0) > rangeTolerance {
		return nil, nil, fmt.Errorf("diffusion: the grid runs from λ = %g to %g, the statistics from %g to %g: they must be made for the same schedule and range",
			first, last, st.LambdaT, st.Lambda0)
	}
	m := len(st.L) - 1
	index = make([]int, len(ls))
	for i, l := range ls {
		index[i] = st.row(l.Lambda)
		if i > 0 && index[i] <= index[i-1] {
			return nil, nil, fmt.Errorf("diffusion: statistics of %d rows are too coarse: times %g and %g of the grid fall on one row", m+1, ls[i-1].T, l.T)
		}
		ls[i] = g.at(st.LambdaT + float64(index[i])*(st.Lambda0-st.LambdaT)/float64(m))
	}
	return index, ls, nil
}

// row is the row nearest to λ, in ties the even one; −1 outside the statistics.
func (st *Statistics) row(lambda float64) int {
	if lambda < st.LambdaT-rangeTolerance || lambda > st.Lambda0+rangeTolerance {
		return -1
	}
	m := float64(len(st.L) - 1)
	u := min(max(m*(lambda-st.LambdaT)/(st.Lambda0-st.LambdaT), 0), m)
	if low := math.Floor(u); math.Abs(u-low-0.5) < tieTolerance {
		return int(low) + int(low)%2
	}
	return int(math.RoundToEven(u))
}

// StatisticsMethods lists the methods that need statistics of the model, by name;
// [WithStatistics] gives them.
func StatisticsMethods() []NamedMethod {
	return []NamedMethod{
		{"v3", "DPM-Solver-v3, Zheng et al. 2023: order 3, predictor–corrector, with statistics of the model", DPMSolverV3{}},
		{"v3-2", "DPM-Solver-v3 of order 2; for guided models", DPMSolverV3{Order: 2}},
	}
}

// WithStatistics returns the method with these statistics, if it takes any.
func WithStatistics(m Method, st *Statistics) (Method, error) {
	switch v := m.(type) {
	case DPMSolverV3:
		v.Statistics = st
		return v, st.Validate()
	case USF:
		v.Statistics = st
		return v, st.Validate()
	}
	return nil, fmt.Errorf("diffusion: %T takes no statistics of the model", m)
}
