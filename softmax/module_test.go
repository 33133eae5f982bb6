package softmax_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/assay-lab/assay/internal/kern"
)

// TestFromAnotherModule: a user's module, built without any experiment, gets the
// assembly. That is seen by what kern says of a level it does not know.
func TestFromAnotherModule(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a module")
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	sum, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"go.sum": string(sum),
		"main.go": `package main

import (
	"fmt"

	"github.com/assay-lab/assay/softmax"
)

func main() {
	x := []float32{1, 2, 3}
	if err := softmax.Rows(x, x, 3, softmax.Options{}); err != nil {
		panic(err)
	}
	fmt.Printf("%.4f\n", x)
}
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	// The same requirements: what they need is on this machine.
	text := strings.Replace(string(mod), "module github.com/assay-lab/assay", "module example.com/user", 1) +
		"\nrequire github.com/assay-lab/assay v0.0.0\nreplace github.com/assay-lab/assay => " + root + "\n"
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	env := slices.DeleteFunc(os.Environ(), func(s string) bool { return strings.HasPrefix(s, "GOEXPERIMENT=") })
	cmd := exec.Command("go", "run", ".")
	cmd.Dir, cmd.Env = dir, append(env, "GOFLAGS=-mod=mod", "GOPROXY=off", "ASSAY_KERN=unknown")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if !strings.Contains(string(out), "[0.0900 0.2447 0.6652]") || !strings.Contains(string(out), `level "unknown"`) {
		t.Errorf("it writes %s", out)
	}
	if want := "using " + kern.Levels()[0] + "\n"; !strings.Contains(string(out), want) {
		t.Errorf("it writes %s, not %q", out, want)
	}
}
