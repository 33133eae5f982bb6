//go:build !purego

package gemm

import "github.com/assay-lab/assay/internal/kern"

// current is the kernel of the level that kern runs at.
func current() *kernel {
	switch kern.Level() {
	case "generic":
		return &generic
	case "avx2":
		return &avx2
	}
	return &avx512
}

// assembly is the kernel of these inner loops: run[m] computes tiles of m rows.
// Strides are in bytes.
func assembly(columns int, run ...func(k int, a *float32, rowA, colA int, b, c *float32, rowC, add int)) kernel {
	return kernel{len(run) - 1, columns, func(m, k int, a []float32, rowA, colA int, b, c []float32, rowC int, add bool) {
		// The loops have no bounds: touch what they reach last.
		_, _, _ = a[(m-1)*rowA+(k-1)*colA], b[k*columns-1], c[(m-1)*rowC+columns-1]
		flag := 0
		if add {
			flag = 1
		}
		run[m](k, &a[0], 4*rowA, 4*colA, &b[0], &c[0], 4*rowC, flag)
	}}
}
