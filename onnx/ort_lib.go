//go:build (linux || darwin || windows) && (amd64 || arm64)

package onnx

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	ort "github.com/getcharzp/onnxruntime_purego"

	"github.com/assay-lab/assay/internal/cache"
)

// ortLibrary is the library of this process: once loaded it stays.
type ortLibrary struct {
	path, version string
	engine        *ort.Engine
}

var loaded struct {
	sync.Mutex
	lib *ortLibrary
}

// RuntimeLibrary finds and loads ONNX Runtime's shared library: the file or
// folder that $ASSAY_ONNXRUNTIME names; else the executable's folder; else
// onnxruntime in assay's cache folder; else where the system keeps libraries.
// The error is fs.ErrNotExist when there is none and says what is wrong with one
// that does not load. A process keeps the library that it loaded first.
func RuntimeLibrary() (path, version string, err error) {
	lib, err := loadORT()
	if err != nil {
		return "", "", fmt.Errorf("onnx: %w", err)
	}
	return lib.path, lib.version, nil
}

func loadORT() (*ortLibrary, error) {
	loaded.Lock()
	defer loaded.Unlock()
	if loaded.lib != nil {
		return loaded.lib, nil
	}
	lib, err := searchORT(os.Getenv("ASSAY_ONNXRUNTIME"))
	if err == nil {
		loaded.lib = lib
	}
	return lib, err
}

// searchORT loads the library that named points to or, if that is empty, the
// first that loads of those it finds.
func searchORT(named string) (*ortLibrary, error) {
	if named != "" {
		file, err := inFolder(named)
		if err != nil {
			return nil, fmt.Errorf("ASSAY_ONNXRUNTIME=%s: %w", named, err)
		}
		if file, err = filepath.Abs(file); err != nil {
			return nil, fmt.Errorf("ASSAY_ONNXRUNTIME=%s: %w", named, err)
		}
		return openORT(file)
	}
	var broken []error
	for _, file := range candidates() {
		lib, err := openORT(file)
		if err == nil {
			return lib, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			broken = append(broken, err)
		}
	}
	if len(broken) > 0 {
		return nil, errors.Join(broken...)
	}
	return nil, fmt.Errorf("ONNX Runtime's library is not installed: `make onnxruntime` gets it, or set ASSAY_ONNXRUNTIME to its path: %w", fs.ErrNotExist)
}

// libraryNames are the file names of the library on this system.
func libraryNames() []string {
	switch runtime.GOOS {
	case "windows":
		return []string{"onnxruntime.dll"}
	case "darwin":
		return []string{"libonnxruntime.1.dylib", "libonnxruntime.dylib"}
	}
	return []string{"libonnxruntime.so.1", "libonnxruntime.so"}
}

// inFolder is the library that path is, or that lies in the folder path.
func inFolder(path string) (string, error) {
	st, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !st.IsDir() {
		return path, nil
	}
	for _, name := range libraryNames() {
		if file := filepath.Join(path, name); exists(file) {
			return file, nil
		}
	}
	return "", fmt.Errorf("no %s in that folder: %w", strings.Join(libraryNames(), " or "), fs.ErrNotExist)
}

func exists(file string) bool {
	st, err := os.Stat(file)
	return err == nil && !st.IsDir()
}

// candidates are the places of the library, best first. A bare name asks the
// system's loader, which knows its own paths; not on Windows, where it would
// find the old one that Windows keeps for itself.
func candidates() []string {
	var folders []string
	if exe, err := os.Executable(); err == nil {
		folders = append(folders, filepath.Dir(exe))
	}
	if dir, err := cache.Dir(); err == nil {
		folders = append(folders, filepath.Join(dir, "onnxruntime"))
	}
	var files []string
	add := func() {
		for _, dir := range folders {
			for _, name := range libraryNames() {
				if file := filepath.Join(dir, name); exists(file) {
					files = append(files, file)
				}
			}
		}
	}
	add()
	if runtime.GOOS == "windows" {
		return files
	}
	files = append(files, libraryNames()...)
	folders = []string{"/usr/local/lib", "/usr/lib", "/usr/lib64", "/opt/homebrew/lib", "/opt/onnxruntime/lib"}
	add()
	return files
}

// openORT loads one library.
func openORT(file string) (lib *ortLibrary, err error) {
	defer func() {
		if r := recover(); r != nil { // the binding panics on a library that lacks a function
			err = fmt.Errorf("%s: is not ONNX Runtime's library: %v", file, r)
		}
	}()
	if filepath.Base(file) != file {
		if err := checkLibrary(file); err != nil {
			return nil, err
		}
	}
	// The loader keeps the reason of a failure for the thread that met it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	engine, err := ort.NewEngine(file)
	if err != nil {
		return nil, loadError(file, err)
	}
	return &ortLibrary{path: file, version: engine.GetVersion(), engine: engine}, nil
}

// loadError says why a library did not load.
func loadError(file string, err error) error {
	msg := err.Error()
	switch {
	case strings.Contains(msg, "OrtApi for version"):
		return fmt.Errorf("%s: ONNX Runtime is too old: 1.23 or newer is needed", file)
	case filepath.Base(file) == file && (strings.Contains(msg, file+": cannot open shared object file") ||
		runtime.GOOS == "darwin" && strings.Contains(msg, "no such file")):
		return fmt.Errorf("%s: %w", file, fs.ErrNotExist)
	}
	return fmt.Errorf("%s: does not load as a shared library: %w", file, err)
}
