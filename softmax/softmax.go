// Package softmax computes softmax, log-softmax and log-sum-exp over rows of
// numbers, of any length and any size of the numbers, with their gradients.
//
// The default is the fastest way for the size of the row: the two-pass algorithm
// of Dukhan and Ablavatski (The Two-Pass Softmax Algorithm, 2020) where a row
// does not fit into the cache, else three passes. Sums are taken over blocks of
// 4096 numbers and merged in order in float64: results do not depend on the
// number of threads, and long rows are as accurate as short ones.
//
// In every row −∞ has the weight 0 (a mask). A row with NaN or +∞ in it, or with
// nothing but −∞, has no softmax: all its results are NaN.
package softmax

import (
	"fmt"
	"math"
	"strings"

	"github.com/assay-lab/assay/internal/kern"
)

// Float is a number.
type Float interface{ ~float32 | ~float64 }

// An Algorithm is a way through a row of N numbers.
type Algorithm uint8

const (
	// Auto is ThreePassReload for rows that stay in the cache, else TwoPass.
	Auto Algorithm = iota
	// TwoPass sums e^x as pairs m·2^n, whose exponents cannot overflow, so that it
	// needs no maximum, and computes them again to write them. It reads 2N numbers
	// and writes N.
	TwoPass
	// ThreePassReload finds the maximum, writes and sums the exponentials, and
	// scales what it has written. It reads 3N numbers and writes 2N.
	ThreePassReload
	// ThreePassRecompute finds the maximum, sums the exponentials, and computes
	// them again to write them. It reads 3N numbers and writes N.
	ThreePassRecompute
	// Online finds maximum and sum of 4096 numbers at a time and merges them
	// (Milakov & Gimelshein 2018), and computes the exponentials again to write
	// them. It reads 2N numbers from memory and writes N.
	Online
)

var algorithms = [...]string{"auto", "two-pass", "three-pass reload", "three-pass recompute", "online"}

func (a Algorithm) String() string {
	if int(a) < len(algorithms) {
		return algorithms[a]
	}
	return fmt.Sprintf("Algorithm(%d)", uint8(a))
}

// Traffic is how many numbers the algorithm reads and writes for a row of n, by
// its definition: what the caches save is not taken off.
func (a Algorithm) Traffic(n int) int {
	switch a {
	case ThreePassReload:
		return 5 * n
	case ThreePassRecompute:
		return 4 * n
	}
	return 3 * n
}

// Options are settings that most callers leave alone.
type Options struct {
	Algorithm   Algorithm
	Temperature float64 // x is divided by it; 0 means 1
	Threads     int     // at most; 0 means GOMAXPROCS
	KeepInCache bool    // else the results of a very long row bypass the caches
}

// check gives what x is multiplied by.
func check[T Float](o Options) (scale T, err error) {
	switch {
	case int(o.Algorithm) >= len(algorithms):
		return 0, fmt.Errorf("softmax: algorithm %d is unknown: want Auto to Online", o.Algorithm)
	case o.Threads < 0:
		return 0, fmt.Errorf("softmax: %d threads: want 1 or more, or 0 for as many as there are cores", o.Threads)
	case o.Temperature == 0:
		return 1, nil
	}
	if scale = T(1 / o.Temperature); !(scale > 0) || math.IsInf(float64(scale), 1) {
		return 0, fmt.Errorf("softmax: temperature %g: must be positive, and 1 over it a finite %T", o.Temperature, scale)
	}
	return scale, nil
}

// checkRows says what is wrong with the lengths of arrays of rows.
func checkRows(cols int, names string, a, b, c int) error {
	switch {
	case a != b || b != c:
		return fmt.Errorf("softmax: lengths of %s are %s: must be equal", names, list(names, a, b, c))
	case a > 0 && (cols < 1 || a%cols != 0):
		return fmt.Errorf("softmax: %d numbers in rows of %d: the length of a row must divide them", a, cols)
	}
	return nil
}

// list writes as many lengths as there are names.
func list(names string, a, b, c int) string {
	if strings.Count(names, " ") == 2 { // "dst and x"
		return fmt.Sprintf("%d and %d", a, b)
	}
	return fmt.Sprintf("%d, %d and %d", a, b, c)
}

// Rows is the softmax of every row of cols numbers of x. dst may be x, or must
// not overlap it. No numbers give none.
func Rows[T Float](dst, x []T, cols int, o Options) error {
	return overRows(&job[T]{kind: softmaxJob, dst: dst, x: x, cols: cols}, o)
}

// LogRows is the logarithm of the softmax of every row of cols numbers of x. dst
// may be x, or must not overlap it.
func LogRows[T Float](dst, x []T, cols int, o Options) error {
	return overRows(&job[T]{kind: logJob, dst: dst, x: x, cols: cols}, o)
}

func overRows[T Float](j *job[T], o Options) error {
	if err := checkRows(j.cols, "dst and x", len(j.dst), len(j.x), len(j.x)); err != nil {
		return err
	}
	return j.run(o)
}

// LogSumExpRows is log Σ e^x over every row of cols numbers of x: see
// [LogSumExp].
func LogSumExpRows[T Float](dst, x []T, cols int, o Options) error {
	if err := checkRows(cols, "x", len(x), len(x), len(x)); err != nil {
		return err
	}
	j := job[T]{kind: sumJob, dst: dst, x: x, cols: cols}
	if len(dst) != j.rows() {
		return fmt.Errorf("softmax: dst has %d numbers: x has %d rows", len(dst), j.rows())
	}
	return j.run(o)
}

// LogSumExp is log Σ e^x: −∞ for no numbers and for nothing but −∞, +∞ if there
// is one, NaN if there is one.
func LogSumExp[T Float](x []T) float64 { return SumExp(x).Log() }

// Backward is the gradient with respect to softmax's argument, from its result
// and the gradient with respect to that: dx = y·(dy − Σ y·dy) in every row of
// cols numbers. dx may be y or dy. With a temperature, divide dx by it.
func Backward[T Float](dx, y, dy []T, cols int) error {
	if err := checkRows(cols, "dx, y and dy", len(dx), len(y), len(dy)); err != nil {
		return err
	}
	return (&job[T]{kind: backwardJob, dst: dx, x: y, dy: dy, cols: cols}).run(Options{})
}

// LogBackward is the gradient with respect to log-softmax's argument, from its
// result and the gradient with respect to that: dx = dy − e^logy·Σ dy in every
// row of cols numbers. dx may be logy or dy. With a temperature, divide dx by it.
func LogBackward[T Float](dx, logy, dy []T, cols int) error {
	if err := checkRows(cols, "dx, logy and dy", len(dx), len(logy), len(dy)); err != nil {
		return err
	}
	return (&job[T]{kind: logBackwardJob, dst: dx, x: logy, dy: dy, cols: cols}).run(Options{})
}

// finite is whether the kernels can take exponents about e.
func finite(e float64) bool { return math.Abs(e) <= 1<<20 }

// nan fills a row that has no softmax.
func nan[T Float](dst []T) {
	for i := range dst {
		dst[i] = T(math.NaN())
	}
}

const block = kern.SumBlock
