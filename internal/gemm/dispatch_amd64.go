//go:build !purego

package gemm

import (
	"os"

	"golang.org/x/sys/cpu"
)

var best = choose(os.Getenv("ASSAY_KERN"))

// kernels are those that this processor can run, the fastest first.
func kernels() map[string]kernel {
	ks := map[string]kernel{"generic": generic}
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA {
		ks["avx2"] = avx2
	}
	if cpu.X86.HasAVX512F {
		ks["avx512"] = avx512
	}
	return ks
}

// choose is the kernel of that name, or the fastest.
func choose(name string) kernel {
	ks := kernels()
	for _, name := range []string{name, "avx512", "avx2"} {
		if k, ok := ks[name]; ok {
			return k
		}
	}
	return generic
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
