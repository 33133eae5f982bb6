// Package kerntest tests kernels: at every level that the machine has, and on
// memory that ends where it must not be read.
package kerntest

import (
	"testing"
	"unsafe"

	"github.com/assay-lab/assay/internal/kern"
)

// MaxLen is the largest length that kernels are tested at, one by one: more than
// two turns of a loop of four vectors of 16 numbers, and a remainder.
const MaxLen = 130

// Levels runs a test once for every level that the machine has, the best one
// first. Such tests must not run in parallel with others.
func Levels(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	before := kern.Level()
	defer func() { _ = kern.SetLevel(before) }() // it was the level
	for _, l := range kern.Levels() {
		if err := kern.SetLevel(l); err != nil {
			t.Fatal(err)
		}
		t.Run(l, test)
	}
}

// Generic runs f at the generic level, which is what others are compared with.
func Generic(f func()) {
	before := kern.Level()
	defer func() { _ = kern.SetLevel(before) }()
	_ = kern.SetLevel("generic") // every machine has it
	f()
}

// A Place puts slices at the ends of their memory: a kernel that reads or
// writes beyond them faults where the system has guard pages (Linux).
type Place[T any] struct{ mem []T }

// NewPlace has room for slices of up to n elements.
func NewPlace[T any](t testing.TB, n int) Place[T] {
	t.Helper()
	var x T
	size := int(unsafe.Sizeof(x))
	b := guarded(t, n*size+64)
	return Place[T]{unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/size)}
}

// High is n elements before the upper guard page.
func (p Place[T]) High(n int) []T { return p.mem[len(p.mem)-n:] }

// At is n elements from element i after the lower guard page, whose addresses
// are multiples of 64 bytes.
func (p Place[T]) At(i, n int) []T { return p.mem[i : i+n : i+n] }

// Offsets is the number of elements in 64 bytes: At takes every alignment with
// 0 to Offsets−1.
func (p Place[T]) Offsets() int {
	var x T
	return 64 / int(unsafe.Sizeof(x))
}
