package kern

import (
	"fmt"
	"os"
	"strings"
)

// A level says which kernels run. Every level has what those below it have.
type level uint8

const (
	generic    level = iota // Go
	avx2                    // AVX2 and FMA
	avx512                  // AVX-512 F, BW, DQ and VL
	avx512vnni              // and VNNI: byte dot products
)

var levelNames = [...]string{"generic", "avx2", "avx512", "avx512vnni"}

func (l level) String() string { return levelNames[l] }

// Level is the name of the level that runs: the best one that the machine has,
// or what the environment variable ASSAY_KERN says, of "avx512vnni", "avx512",
// "avx2" and "generic".
func Level() string { return active.String() }

// Levels lists the levels that this machine has, the best one first.
func Levels() []string {
	var names []string
	for l := int(best()); l >= 0; l-- {
		names = append(names, levelNames[l])
	}
	return names
}

// SetLevel chooses the level, for tests: no kernel may run meanwhile.
func SetLevel(name string) error {
	l, err := parseLevel(name)
	if err != nil {
		return err
	}
	setLevel(l)
	return nil
}

func parseLevel(name string) (level, error) {
	for l := range levelNames {
		switch {
		case levelNames[l] != name:
		case level(l) > best():
			return 0, fmt.Errorf("kern: level %q: this machine has %s", name, strings.Join(Levels(), ", "))
		default:
			return level(l), nil
		}
	}
	return 0, fmt.Errorf("kern: level %q is unknown: want one of %s", name, strings.Join(Levels(), ", "))
}

// startLevel is the level to begin with. A setting that cannot be followed is
// reported, and the best level runs: results differ in rounding only.
func startLevel(setting string) level {
	if setting == "" {
		return best()
	}
	l, err := parseLevel(setting)
	if err != nil {
		fmt.Fprintf(os.Stderr, "ASSAY_KERN: %v; using %v\n", err, best())
		return best()
	}
	return l
}
