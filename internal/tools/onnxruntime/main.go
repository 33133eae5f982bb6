// Command onnxruntime puts ONNX Runtime's shared library for this platform into
// assay's cache folder, where the onnx package finds it. It takes the library out
// of the npm package onnxruntime-node with the npm client and checks its hash.
package main

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"

	"github.com/assay-lab/assay/internal/cache"
	"github.com/assay-lab/assay/internal/tools/npm"
)

const (
	version = "1.30.0"
	pkg     = "onnxruntime-node@" + version
)

// A library is a file of the npm package.
type library struct{ path, sha256 string }

// libraries are those of each platform, GOOS/GOARCH.
var libraries = map[string]library{
	"linux/amd64":   {"linux/x64/libonnxruntime.so.1", "ffb75a925ba05e47b235bb66e3e3911714a80b328a9c9425539feb204aa32a23"},
	"linux/arm64":   {"linux/arm64/libonnxruntime.so.1", "1f549d46250b005580b597f4164984aaf75b3bcb9f3aeb07c7f8a8fe60b23c76"},
	"darwin/arm64":  {"darwin/arm64/libonnxruntime.1.dylib", "685d2be5dba1309c89d3a5324b7fd06a5c42f1a61bfea32d14c4cc28d072121d"},
	"windows/amd64": {"win32/x64/onnxruntime.dll", "508c362f5673483dd3a086379c392795b2e42d10d5e6f3f90ebd7ac21c97af67"},
	"windows/arm64": {"win32/arm64/onnxruntime.dll", "6c3a2abf5c6aca11c48a0d338a91af309f2266f25ce2e4084e6a87bbcb0fbfd0"},
}

func main() {
	if err := install(); err != nil {
		fmt.Fprintln(os.Stderr, "onnxruntime:", err)
		os.Exit(1)
	}
}

func install() error {
	platform := runtime.GOOS + "/" + runtime.GOARCH
	lib, ok := libraries[platform]
	if !ok {
		return fmt.Errorf("%s has no library for %s: install ONNX Runtime 1.23 or newer yourself and set ASSAY_ONNXRUNTIME to its path", pkg, platform)
	}
	dir, err := cache.Dir()
	if err != nil {
		return err
	}
	f := npm.File{Path: lib.path, SHA256: lib.sha256, To: filepath.Join(dir, "onnxruntime", path.Base(lib.path)), Mode: 0o755}
	if f.Here() {
		fmt.Printf("ONNX Runtime %s is already at %s\n", version, f.To)
		return nil
	}
	fmt.Printf("getting %s with npm (about 110 MB) ...\n", pkg)
	if err := npm.Get(pkg, f); errors.Is(err, npm.ErrNoClient) {
		return fmt.Errorf("%w, or ONNX Runtime 1.23 or newer yourself and set ASSAY_ONNXRUNTIME to its path", err)
	} else if err != nil {
		return err
	}
	fmt.Printf("ONNX Runtime %s is now at %s\n", version, f.To)
	return nil
}
