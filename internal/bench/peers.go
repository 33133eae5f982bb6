package main

import (
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"unsafe"

	"github.com/ebitengine/purego"
)

//go:embed c/*.c
var sources embed.FS

// A library is compiled C code in this process.
type library uintptr

// compile makes a library of embedded sources, and of others with their flags.
func (s *session) compile(name string, more ...string) (library, error) {
	if _, err := exec.LookPath("gcc"); err != nil {
		return 0, errors.New("no gcc")
	}
	text, err := sources.ReadFile("c/" + name + ".c")
	if err != nil {
		return 0, err
	}
	c, so := filepath.Join(s.dir, name+".c"), filepath.Join(s.dir, name+".so")
	if err := os.WriteFile(c, text, 0o666); err != nil {
		return 0, err
	}
	args := append([]string{"-O3", "-march=native", "-ffast-math", "-fno-finite-math-only", "-shared", "-fPIC", "-o", so, c}, more...)
	if b, err := exec.Command("gcc", args...).CombinedOutput(); err != nil {
		_, first, _ := strings.Cut(string(b), "error: ")
		first, _, _ = strings.Cut(first, "\n")
		return 0, fmt.Errorf("gcc: %w: %s", err, first)
	}
	h, err := purego.Dlopen(so, purego.RTLD_NOW)
	return library(h), err
}

// xnnpack compiles softmax kernels of a checkout.
func (s *session) xnnpack() (library, error) {
	root := os.Getenv("ASSAY_XNNPACK")
	if root == "" {
		return 0, errors.New("ASSAY_XNNPACK is not set to a checkout")
	}
	// Its headers name a thread pool that the kernels do not use.
	if err := os.WriteFile(filepath.Join(s.dir, "pthreadpool.h"), []byte("typedef struct pthreadpool *pthreadpool_t;\n"), 0o666); err != nil {
		return 0, err
	}
	files := []string{"-I" + s.dir, "-I" + root, "-I" + filepath.Join(root, "include"), "-I" + filepath.Join(root, "src")}
	for _, f := range []string{
		"f32-raddextexp/gen/f32-raddextexp-avx512f-p5-scalef-u144-acc3.c",
		"f32-vscaleextexp/gen/f32-vscaleextexp-avx512f-p5-scalef-u16.c",
		"f32-rminmax/gen/f32-rmax-avx512f-u64-acc4.c",
		"f32-raddexpminusmax/gen/f32-raddexpminusmax-avx512f-p5-scalef-u128-acc4.c",
		"f32-vscaleexpminusmax/gen/f32-vscaleexpminusmax-avx512f-p5-scalef-u16.c",
		"f32-raddstoreexpminusmax/gen/f32-raddstoreexpminusmax-avx512f-rr1-p5-scalef-u64-acc2.c",
		"f32-vbinary/gen/f32-vmulc-avx512f-u32.c",
	} {
		files = append(files, filepath.Join(root, "src", f))
	}
	return s.compile("xnnpack", files...)
}

// rival is a function of the library; its last argument is how often to work.
func (l library) rival(name, function string, args ...any) rival {
	at, err := purego.Dlsym(uintptr(l), function)
	if err != nil {
		panic(err) // its source is here
	}
	words := make([]uintptr, len(args)+1)
	return rival{name, func(reps int) {
		for i, a := range args {
			switch a := a.(type) {
			case int:
				words[i] = uintptr(a)
			case []float64:
				words[i] = uintptr(unsafe.Pointer(unsafe.SliceData(a)))
			case []float32:
				words[i] = uintptr(unsafe.Pointer(unsafe.SliceData(a)))
			case []int32:
				words[i] = uintptr(unsafe.Pointer(unsafe.SliceData(a)))
			case []uint8:
				words[i] = uintptr(unsafe.Pointer(unsafe.SliceData(a)))
			case []int8:
				words[i] = uintptr(unsafe.Pointer(unsafe.SliceData(a)))
			default:
				panic(fmt.Sprintf("argument %T", a))
			}
		}
		words[len(args)] = uintptr(reps)
		purego.SyscallN(at, words...)
	}}
}
