// Command bench times the kernels against what a user would take instead:
// alternately, in one process. It compiles C peers with gcc if that is there,
// and uses torch if python3 has it; what is not there is named and skipped.
//
//	bench [-out FILE] [-time D] [SUITE...]
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/assay-lab/assay/internal/cputime"
	"github.com/assay-lab/assay/internal/kern"
)

// A suite writes tables of what it measures.
var suites = map[string]func(*session) error{
	"bessel":  logBessel,
	"comb":    comb,
	"int8":    int8Products,
	"page":    page,
	"sampler": samplers,
	"softmax": softmaxRows,
}

// A session is one run.
type session struct {
	out     io.Writer
	time    time.Duration // for one table's row
	dir     string        // for compiled peers
	skipped []string
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("bench: ")
	out := flag.String("out", "", "also write the tables to this `file`")
	each := flag.Duration("time", 3*time.Second, "for one row of a table")
	flag.Parse()
	if err := run(*out, *each, flag.Args()); err != nil {
		log.Fatal(err)
	}
}

func run(out string, each time.Duration, names []string) error {
	for _, n := range names {
		if suites[n] == nil {
			return fmt.Errorf("suite %q is unknown: want some of %s", n, strings.Join(slices.Sorted(maps.Keys(suites)), ", "))
		}
	}
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var text strings.Builder
	s := &session{out: io.MultiWriter(os.Stdout, &text), time: each, dir: dir}
	debug.SetGCPercent(400) // large arrays, little garbage
	fmt.Fprintf(s.out, "# Speed\n\n%s, kern level %s, %d threads, Go %s.\n", cpuName(), kern.Level(), runtime.GOMAXPROCS(0), runtime.Version())
	fmt.Fprintf(s.out, "Medians of %s over rounds in which the rivals take turns, on one thread; ratios are\nmedians of the rounds' ratios, ± half the distance of their quartiles.\n", cputime.Counts)
	for _, name := range slices.Sorted(maps.Keys(suites)) {
		if len(names) > 0 && !slices.Contains(names, name) {
			continue
		}
		if err := suites[name](s); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if len(s.skipped) > 0 {
		fmt.Fprintf(s.out, "\nSkipped: %s.\n", strings.Join(s.skipped, "; "))
	}
	if out == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o777); err != nil {
		return err
	}
	return os.WriteFile(out, []byte(text.String()), 0o666)
}

// skip names a peer that is not there.
func (s *session) skip(peer string, err error) {
	s.skipped = append(s.skipped, fmt.Sprintf("%s (%v)", peer, err))
}

func cpuName() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(b)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.TrimSpace(strings.TrimLeft(name, "\t :"))
		}
	}
	return runtime.GOARCH
}
