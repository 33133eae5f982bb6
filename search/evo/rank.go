package evo

import (
	"cmp"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"
)

// RankCorrelation is Spearman's: the correlation of the ranks of a and b, equal
// numbers sharing their mean rank and NaN counting as +Inf. It is NaN where one of
// them is constant, or shorter than 2.
func RankCorrelation(a, b []float64) float64 {
	if len(a) < 2 {
		return math.NaN()
	}
	return stat.Correlation(Ranks(a), Ranks(b), nil)
}

// Ranks gives every number its place in sorted order, from 0: equal numbers share
// their mean rank, and NaN counts as +Inf.
func Ranks(xs []float64) []float64 {
	order := make([]int, len(xs))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Compare(worst(xs[i]), worst(xs[j])) })
	r := make([]float64, len(xs))
	for i := 0; i < len(order); {
		j := i + 1
		for j < len(order) && worst(xs[order[j]]) == worst(xs[order[i]]) {
			j++
		}
		for _, k := range order[i:j] {
			r[k] = float64(i+j-1) / 2
		}
		i = j
	}
	return r
}
