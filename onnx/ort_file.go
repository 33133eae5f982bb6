//go:build (linux || darwin || windows) && (amd64 || arm64)

package onnx

import (
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
)

// checkLibrary looks at a library's headers before the system's loader does,
// which dies of a signal on a file that is cut off.
func checkLibrary(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	switch runtime.GOOS {
	case "windows":
		err = checkPE(f, st.Size())
	case "darwin":
		err = checkMachO(f, st.Size())
	default:
		err = checkELF(f, st.Size())
	}
	if err != nil {
		return fmt.Errorf("%s: is cut off or no shared library for %s/%s: %w", file, runtime.GOOS, runtime.GOARCH, err)
	}
	return nil
}

var errCut = errors.New("a part lies beyond its end")

func checkELF(r io.ReaderAt, size int64) error {
	f, err := elf.NewFile(r)
	if err != nil {
		return err
	}
	if want := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[runtime.GOARCH]; f.Machine != want {
		return fmt.Errorf("it is for %v", f.Machine)
	}
	if f.Type != elf.ET_DYN {
		return fmt.Errorf("it is of %v", f.Type)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD && (p.Filesz > uint64(size) || p.Off > uint64(size)-p.Filesz) {
			return errCut
		}
	}
	return nil
}

func checkMachO(r io.ReaderAt, size int64) error {
	cpu := map[string]macho.Cpu{"amd64": macho.CpuAmd64, "arm64": macho.CpuArm64}[runtime.GOARCH]
	f, offset, err := machOFor(r, cpu)
	if err != nil {
		return err
	}
	if f.Cpu != cpu {
		return fmt.Errorf("it is for %v", f.Cpu)
	}
	for _, l := range f.Loads {
		s, ok := l.(*macho.Segment)
		if ok && (s.Filesz > uint64(size) || s.Offset+offset > uint64(size)-s.Filesz) {
			return errCut
		}
	}
	return nil
}

// machOFor is the part of a Mach-O file for one processor and where it begins.
func machOFor(r io.ReaderAt, cpu macho.Cpu) (f *macho.File, offset uint64, err error) {
	fat, err := macho.NewFatFile(r)
	if errors.Is(err, macho.ErrNotFat) {
		f, err = macho.NewFile(r)
		return f, 0, err
	}
	if err != nil {
		return nil, 0, err
	}
	for _, a := range fat.Arches {
		if a.Cpu == cpu {
			return a.File, uint64(a.Offset), nil
		}
	}
	return nil, 0, fmt.Errorf("none of its %d parts is for %v", len(fat.Arches), cpu)
}

func checkPE(r io.ReaderAt, size int64) error {
	f, err := pe.NewFile(r)
	if err != nil {
		return err
	}
	want := map[string]uint16{"amd64": pe.IMAGE_FILE_MACHINE_AMD64, "arm64": pe.IMAGE_FILE_MACHINE_ARM64}[runtime.GOARCH]
	if f.Machine != want {
		return fmt.Errorf("it is for machine %#x", f.Machine)
	}
	for _, s := range f.Sections {
		if int64(s.Offset)+int64(s.Size) > size {
			return errCut
		}
	}
	return nil
}
