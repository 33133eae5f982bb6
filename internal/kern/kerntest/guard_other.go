//go:build !linux

package kerntest

import (
	"testing"
	"unsafe"
)

// guarded is at least n bytes, aligned to 64.
func guarded(t testing.TB, n int) []byte {
	t.Helper()
	b := make([]byte, n+64)
	skip := -uintptr(unsafe.Pointer(unsafe.SliceData(b))) & 63
	return b[skip : skip+uintptr(n) : skip+uintptr(n)]
}
