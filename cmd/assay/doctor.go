package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/cpu"

	"github.com/assay-lab/assay/internal/cache"
	"github.com/assay-lab/assay/onnx"
)

func (c *console) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Say what this machine offers, and what is wrong with it",
		Long: `doctor lists the cores and SIMD level, the engines that run networks, the
programs that conformance and speed are compared with, and the folder where
assay keeps its files. It ends with status 1 if something is broken; what is
only missing is not an error.`,
		Example: "  assay doctor",
		Args:    takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.doctor(cmd.Context())
		},
	}
}

// A finding is one line of the doctor's.
type finding struct {
	state state
	name  string
	text  string
	hint  string // what to do; "" for nothing
}

type state string

const (
	well    state = "ok"
	missing state = "--" // something works without it
	broken  state = "!!"
)

func (c *console) doctor(ctx context.Context) error {
	ok := true
	for _, examine := range []func(context.Context) finding{
		examineBuild, examineCores, examineSIMD, examineGoMLX, examineONNX, examinePeers, examineCache, examineStore,
	} {
		f := examine(ctx)
		ok = ok && f.state != broken
		fmt.Fprintf(c.out, "%s  %-7s %s\n", f.state, f.name, wrap(f.text, c.textWidth()-12, "            "))
		if f.hint != "" {
			fmt.Fprintf(c.out, "            %s\n", c.paint(faint, wrap(f.hint, c.textWidth()-12, "            ")))
		}
	}
	if !ok {
		return errReported
	}
	return nil
}

func examineBuild(context.Context) finding {
	b := readBuild()
	return finding{well, "assay", fmt.Sprintf("%s, %s %s/%s", b.version, runtime.Version(), runtime.GOOS, runtime.GOARCH), ""}
}

func examineCores(context.Context) finding {
	n := runtime.NumCPU()
	f := finding{well, "cores", fmt.Sprint(n), ""}
	if p := runtime.GOMAXPROCS(0); p != n {
		f.text = fmt.Sprintf("%d of %d (GOMAXPROCS)", p, n)
	}
	return f
}

func examineSIMD(context.Context) finding {
	f := finding{well, "SIMD", simdLevel(), ""}
	switch {
	case readBuild().has("simd"):
		f.text += ", in use by GoMLX too (GOEXPERIMENT=simd)"
	case runtime.GOARCH == "amd64":
		f.state = missing
		f.text += ", not in use by GoMLX: networks run several times slower"
		f.hint = "Build with GOEXPERIMENT=simd set, as make build does."
	}
	return f
}

// simdLevel names the widest vector instructions of this machine.
func simdLevel() string {
	switch {
	case runtime.GOARCH == "arm64":
		return "NEON"
	case runtime.GOARCH != "amd64":
		return "none for " + runtime.GOARCH
	case cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VL && cpu.X86.HasAVX512DQ:
		return "AVX-512"
	case cpu.X86.HasAVX2 && cpu.X86.HasFMA:
		return "AVX2"
	}
	return "SSE2"
}

func examineGoMLX(context.Context) finding {
	return finding{well, "GoMLX", readBuild().modules["github.com/gomlx/gomlx"] + ", its backend in pure Go", ""}
}

func examineONNX(context.Context) finding {
	path, version, err := onnx.RuntimeLibrary()
	switch {
	case err == nil:
		return finding{well, "ONNX", fmt.Sprintf("ONNX Runtime %s, %s", version, path), ""}
	case errors.Is(err, fs.ErrNotExist) && os.Getenv("ASSAY_ONNXRUNTIME") == "":
		return finding{missing, "ONNX", "ONNX Runtime is not installed: GoMLX runs ONNX files, more slowly",
			"make onnxruntime gets it, or set ASSAY_ONNXRUNTIME to its library."}
	}
	return finding{broken, "ONNX", err.Error(), "GoMLX runs ONNX files until this is put right."}
}

// peerScript prints the versions of the Python packages that are installed,
// without importing any: importing torch takes seconds.
const peerScript = `import importlib.metadata as m, json, platform
v = {}
for p in ["numpy", "scipy", "torch", "diffusers", "torchdiffeq", "jax", "diffrax", "opacus"]:
    try: v[p] = m.version(p)
    except m.PackageNotFoundError: pass
print(json.dumps([platform.python_version(), v]))`

// examinePeers looks for what results are compared with.
func examinePeers(ctx context.Context) finding {
	f := finding{missing, "peers", "no python3 found", "Only comparisons with Python libraries need it."}
	python, err := exec.LookPath("python3")
	if err != nil {
		return f
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, python, "-c", peerScript).Output()
	var version string
	packages := map[string]string{}
	if err != nil || json.Unmarshal(out, &[]any{&version, &packages}) != nil {
		f.text = python + " does not run"
		return f
	}
	found := []string{"Python " + version}
	for _, p := range []string{"numpy", "scipy", "torch", "diffusers", "torchdiffeq", "jax", "diffrax", "opacus"} {
		if v := packages[p]; v != "" {
			found = append(found, p+" "+v)
		}
	}
	f.state, f.text, f.hint = well, strings.Join(found, ", "), ""
	if len(found) == 1 {
		f.state, f.text = missing, f.text+" without numpy, scipy or torch"
		f.hint = "Only comparisons with Python libraries need them."
	}
	return f
}

func examineCache(context.Context) finding {
	f := finding{state: well, name: "cache"}
	dir, err := cache.Dir()
	if err != nil {
		return finding{broken, f.name, err.Error(), ""}
	}
	var bytes int64
	files := 0
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			files++
			bytes += info.Size()
		}
		return nil
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.text = dir + ", not made yet"
	case err != nil:
		f.state, f.text = broken, err.Error()
		f.hint = "Set ASSAY_CACHE to a folder that you can write to."
	default:
		f.text = fmt.Sprintf("%s, %s in %d files", dir, byteSize(bytes), files)
	}
	if f.state == well && !writable(dir) {
		f.state, f.text = broken, dir+" cannot be written to"
		f.hint = "Set ASSAY_CACHE to a folder that you can write to."
	}
	return f
}

// writable says whether a file can be made in dir, or in the nearest folder
// above it that exists.
func writable(dir string) bool {
	for {
		f, err := os.CreateTemp(dir, ".assay-doctor-*")
		if err == nil {
			f.Close()
			return os.Remove(f.Name()) == nil
		}
		if up := filepath.Dir(dir); errors.Is(err, fs.ErrNotExist) && up != dir {
			dir = up
			continue
		}
		return false
	}
}

func byteSize(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%d bytes", n)
}
