//go:build !((linux || darwin || windows) && (amd64 || arm64))

package onnx

import (
	"fmt"
	"io/fs"
	"runtime"
)

// newORT refuses: the binding does not know this platform.
func newORT(m *Model, path string, opt Options) (Session, error) {
	_, _, err := RuntimeLibrary()
	return nil, err
}

// RuntimeLibrary says that ONNX Runtime cannot be loaded on this platform.
func RuntimeLibrary() (path, version string, err error) {
	return "", "", fmt.Errorf("onnx: ONNX Runtime cannot be loaded on %s/%s: %w", runtime.GOOS, runtime.GOARCH, fs.ErrNotExist)
}
