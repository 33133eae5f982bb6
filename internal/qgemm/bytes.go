package qgemm

import "unsafe"

// bytesOf is the same memory as unsigned bytes.
func bytesOf(x []int8) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(x))), len(x))
}
