// Package kern holds the few hot kernels: Go assembly for AVX2 and AVX-512,
// chosen at start-up, and the same in Go for other machines (build tag purego
// leaves the assembly out).
//
// Levels may differ in the last bits of a result: those with assembly use fused
// multiply-adds. Where a kernel gives the same bits at every level, it says so.
// Sums are taken over blocks of 4096 numbers in a fixed order and merged in
// float64, so they do not depend on the number of goroutines.
//
// Slices that a kernel reads and writes may be the same or must not overlap.
package kern

import "unsafe"

// Float is what the kernels compute with.
type Float interface{ ~float32 | ~float64 }

const (
	// sumBlock is the number of terms that are added in the type of the data.
	sumBlock = 4096
	// callBytes bounds what one call of assembly does to an array: it cannot be
	// preempted.
	callBytes = 1 << 17
)

// is32 tells the two types of numbers apart.
func is32[T Float]() bool {
	var x T
	return unsafe.Sizeof(x) == 4
}

// f32 and f64 are the address of a slice's numbers as the type that they are.
func f32[T Float](x []T) *float32 { return (*float32)(unsafe.Pointer(unsafe.SliceData(x))) }
func f64[T Float](x []T) *float64 { return (*float64)(unsafe.Pointer(unsafe.SliceData(x))) }

// blockLen is how many numbers one call of assembly takes.
func blockLen[T Float]() int {
	var x T
	return callBytes / int(unsafe.Sizeof(x))
}
