// Command gen writes the assembly of package kern: for every family F of
// kernels zz_F_amd64.s, its declarations zz_F_amd64.go, and zz_F_noasm.go with
// the same names where there is no assembly.
//
// A family is one file here that calls [register].
package main

import (
	"bytes"
	"flag"
	"fmt"
	"go/format"
	"log"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/printer"
)

var families = map[string]func(*asm){}

// register adds a family; emit writes all its functions.
func register(name string, emit func(*asm)) { families[name] = emit }

func main() {
	log.SetFlags(0)
	log.SetPrefix("gen: ")
	dir := flag.String("dir", "..", "where package kern is")
	flag.Parse()
	for _, name := range slices.Sorted(maps.Keys(families)) {
		if flag.NArg() > 0 && !slices.Contains(flag.Args(), name) {
			continue
		}
		if err := write(*dir, name, families[name]); err != nil {
			log.Fatalf("%s: %v", name, err)
		}
	}
}

func write(dir, name string, emit func(*asm)) error {
	a := &asm{Context: build.NewContext(), consts: map[string]bool{}}
	a.ConstraintExpr("!purego")
	emit(a)
	f, err := a.Result()
	if err != nil {
		return err
	}
	if err := pass.Compile.Execute(f); err != nil {
		return err
	}
	c := printer.Config{Pkg: "kern", Argv: []string{"go", "generate"}}
	text, err := printer.NewGoAsm(c).Print(f)
	if err != nil {
		return err
	}
	stubs, err := printer.NewStubs(c).Print(f)
	if err != nil {
		return err
	}
	other, err := noAssembly(stubs)
	if err != nil {
		return err
	}
	for suffix, b := range map[string][]byte{"_amd64.s": text, "_amd64.go": stubs, "_noasm.go": other} {
		if err := os.WriteFile(filepath.Join(dir, "zz_"+name+suffix), b, 0o666); err != nil {
			return err
		}
	}
	return nil
}

// noAssembly turns declarations into functions that are never called, so that
// the code that chooses between levels compiles everywhere.
func noAssembly(stubs []byte) ([]byte, error) {
	var b bytes.Buffer
	for line := range strings.Lines(string(stubs)) {
		switch {
		case strings.HasPrefix(line, "//go:build "):
			fmt.Fprintln(&b, "//go:build !amd64 || purego")
		case line == "//go:noescape\n":
		case strings.HasPrefix(line, "func "):
			fmt.Fprintf(&b, "%s { panic(noAssembly) }\n", strings.TrimSpace(line))
		default:
			b.WriteString(line)
		}
	}
	return format.Source(b.Bytes())
}
