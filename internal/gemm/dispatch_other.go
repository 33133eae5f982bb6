//go:build !amd64 || purego

package gemm

func current() *kernel { return &generic }
