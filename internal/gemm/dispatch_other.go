//go:build !amd64 || purego

package gemm

var best = generic

func kernels() map[string]kernel { return map[string]kernel{"generic": generic} }
