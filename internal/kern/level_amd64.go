//go:build !purego

package kern

import (
	"os"

	"golang.org/x/sys/cpu"
)

var active = startLevel(os.Getenv("ASSAY_KERN"))

func setLevel(l level) { active = l }

func best() level {
	switch x := cpu.X86; {
	case !x.HasAVX2 || !x.HasFMA:
		return generic
	case !x.HasAVX512F || !x.HasAVX512BW || !x.HasAVX512DQ || !x.HasAVX512VL:
		return avx2
	case !x.HasAVX512VNNI:
		return avx512
	}
	return avx512vnni
}
