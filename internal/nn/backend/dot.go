package backend

import (
	"slices"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/shapes"
)

// DotGeneral transposes as few elements as it can. The backend multiplies
// [batch, M, K] with [batch, K, N] or [batch, N, K]; for anything else it
// transposes both operands. Where only the left one is the wrong way round, it
// is enough to transpose that, or to exchange the two and transpose the result.
func (f *function) DotGeneral(lhs compute.Value, lhsContract, lhsBatch []int, rhs compute.Value, rhsContract, rhsBatch []int,
	config compute.DotGeneralConfig) (compute.Value, error) {
	plain := func() (compute.Value, error) {
		return f.Function.DotGeneral(lhs, lhsContract, lhsBatch, rhs, rhsContract, rhsBatch, config)
	}
	ls, err := f.Shape(lhs)
	if err != nil {
		return plain()
	}
	rs, err := f.Shape(rhs)
	if err != nil || isDynamic(ls) || isDynamic(rs) || len(lhsContract) != len(rhsContract) || config != (compute.DotGeneralConfig{}) {
		return plain()
	}
	lc, rc := sortTogether(lhsContract, rhsContract)
	l, ok := asMatrix(ls, lc, lhsBatch)
	if !ok || !l.contractFirst {
		return plain()
	}
	r, ok := asMatrix(rs, rc, rhsBatch)
	if !ok || l.batch != r.batch || l.k != r.k {
		return plain()
	}
	y, err := f.dotLeftTransposed(lhs, l, rhs, r)
	if err != nil {
		return nil, err
	}
	dims := slices.Concat(ls.Dimensions[:len(lhsBatch)], l.crossDims, r.crossDims)
	return f.Reshape(y, dims...)
}

// dotLeftTransposed multiplies [batch, K, M] with [batch, K, N] or [batch, N, K].
func (f *function) dotLeftTransposed(lhs compute.Value, l matrix, rhs compute.Value, r matrix) (compute.Value, error) {
	lhs, err := f.Reshape(lhs, l.batch, l.k, l.cross)
	if err != nil {
		return nil, err
	}
	rc := 1
	if r.contractFirst {
		rhs, err = f.Reshape(rhs, r.batch, r.k, r.cross)
	} else {
		rhs, err = f.Reshape(rhs, r.batch, r.cross, r.k)
		rc = 2
	}
	if err != nil {
		return nil, err
	}
	batch := []int{0}
	exchanged := l.cross * r.cross // elements to transpose when exchanged
	if r.contractFirst {
		exchanged += r.k * r.cross
	}
	if exchanged >= l.k*l.cross {
		if lhs, err = f.Transpose(lhs, 0, 2, 1); err != nil {
			return nil, err
		}
		return f.Function.DotGeneral(lhs, []int{2}, batch, rhs, []int{rc}, batch, compute.DotGeneralConfig{})
	}
	if r.contractFirst {
		if rhs, err = f.Transpose(rhs, 0, 2, 1); err != nil {
			return nil, err
		}
	}
	y, err := f.Function.DotGeneral(rhs, []int{2}, batch, lhs, []int{1}, batch, compute.DotGeneralConfig{})
	if err != nil {
		return nil, err
	}
	return f.Transpose(y, 0, 2, 1)
}

// matrix is an operand seen as [batch, cross, k], or [batch, k, cross] when
// contractFirst.
type matrix struct {
	batch, cross, k int
	contractFirst   bool
	crossDims       []int
}

// asMatrix groups the axes of an operand. It fails when they are interleaved.
func asMatrix(s shapes.Shape, contract, batch []int) (matrix, bool) {
	m := matrix{batch: 1, cross: 1, k: 1}
	for i, a := range batch {
		if a != i {
			return m, false
		}
		m.batch *= s.Dimensions[a]
	}
	if len(contract) == 0 {
		return m, false
	}
	for i, a := range contract {
		if a != contract[0]+i {
			return m, false
		}
		m.k *= s.Dimensions[a]
	}
	end := contract[0] + len(contract)
	m.contractFirst = contract[0] == len(batch) && end < s.Rank()
	if !m.contractFirst && end != s.Rank() {
		return m, false
	}
	for a := len(batch); a < s.Rank(); a++ {
		if a < contract[0] || a >= end {
			m.cross *= s.Dimensions[a]
			m.crossDims = append(m.crossDims, s.Dimensions[a])
		}
	}
	return m, true
}

// sortTogether orders the pairs (a[i], b[i]) by a.
func sortTogether(a, b []int) ([]int, []int) {
	order := make([]int, len(a))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return a[i] - a[j] })
	x, y := make([]int, len(a)), make([]int, len(a))
	for to, from := range order {
		x[to], y[to] = a[from], b[from]
	}
	return x, y
}
