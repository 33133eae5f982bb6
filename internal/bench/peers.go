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
	return openLibrary(so)
}

// rival is a function of the library; its last argument is how often to work.
func (l library) rival(name, function string, args ...any) rival {
	at, err := l.symbol(function)
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
