//go:build (linux || darwin || windows) && (amd64 || arm64)

package onnx

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// otherLibrary makes the process forget its ONNX Runtime for a test that names another.
func otherLibrary(t *testing.T, path string) {
	t.Setenv("ASSAY_ONNXRUNTIME", path)
	loaded.Lock()
	was := loaded.lib
	loaded.lib = nil
	loaded.Unlock()
	t.Cleanup(func() {
		loaded.Lock()
		loaded.lib = was
		loaded.Unlock()
	})
}

func TestBrokenLibrary(t *testing.T) {
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage.so")
	if err := os.WriteFile(garbage, []byte("no library"), 0o700); err != nil {
		t.Fatal(err)
	}
	cases := map[string]string{
		garbage:                    "is cut off or no shared library",
		filepath.Join(dir, "gone"): "gone",
		dir:                        "in that folder",
	}
	if cut := truncatedLibrary(t, dir); cut != "" {
		cases[cut] = "is cut off"
	}
	if libm, err := filepath.Glob("/lib/*/libm.so.6"); err == nil && len(libm) > 0 {
		cases[libm[0]] = "is not ONNX Runtime's library"
	}
	for path, want := range cases {
		t.Run(filepath.Base(path), func(t *testing.T) {
			otherLibrary(t, path)
			if _, err := NewSession(smallNet(), Options{Engine: ONNXRuntime}); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want one with %q", err, want)
			}
			s := open(t, smallNet(), Options{})
			if got := s.Info().Engine; got != Embedded {
				t.Errorf("the engine is %q instead", got)
			}
		})
	}
}

// truncatedLibrary is the first megabyte of the library, "" if there is none.
func truncatedLibrary(t *testing.T, dir string) string {
	path, _, err := RuntimeLibrary()
	if err != nil {
		return ""
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "" // known to the system's loader only
	}
	cut := filepath.Join(dir, "cut.so")
	if err := os.WriteFile(cut, b[:1<<20], 0o700); err != nil {
		t.Fatal(err)
	}
	return cut
}

func TestNoLibrary(t *testing.T) {
	if os.Getenv("ASSAY_ONNXRUNTIME") != "" || loaded.lib != nil { // a library once loaded would be found again
		cmd := exec.Command(os.Args[0], "-test.run=^TestNoLibrary$", "-test.v")
		cmd.Env = append(os.Environ(), "ASSAY_ONNXRUNTIME=", "ASSAY_CACHE="+t.TempDir())
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	t.Setenv("ASSAY_CACHE", t.TempDir())
	_, _, err := RuntimeLibrary()
	if err == nil {
		t.Skip("the system has ONNX Runtime")
	}
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "make onnxruntime") {
		t.Errorf("error %v does not say what to do", err)
	}
}

func TestORTScalarOutput(t *testing.T) {
	needORT(t)
	m := smallNet()
	m.Graph.Nodes[3].Attrs["keepdims"] = 0
	m.Graph.Nodes[3].In = m.Graph.Nodes[3].In[:1]
	m.Graph.Outputs[0] = ValueInfo{Name: "y", Type: Float32, Shape: []int{}}
	out, err := open(t, m, Options{Engine: ONNXRuntime}).Run(t.Context(), smallInput(1))
	if err != nil {
		t.Fatal(err)
	}
	if y := out["y"]; !reflect.DeepEqual(y.Shape, []int{}) || len(y.Data.([]float32)) != 1 {
		t.Errorf("output is %v", y)
	}
}
