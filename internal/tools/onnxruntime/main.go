// Command onnxruntime puts ONNX Runtime's shared library for this platform into
// assay's cache folder, where the onnx package finds it. It takes the library out
// of the npm package onnxruntime-node with the npm client and checks its hash.
package main

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/assay-lab/assay/internal/cache"
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
	dst := filepath.Join(dir, "onnxruntime", path.Base(lib.path))
	if sum, err := hash(dst); err == nil && sum == lib.sha256 {
		fmt.Printf("ONNX Runtime %s is already at %s\n", version, dst)
		return nil
	}
	tmp, err := os.MkdirTemp("", "onnxruntime-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	fmt.Printf("getting %s with npm (about 110 MB) ...\n", pkg)
	archive, err := npmPack(tmp)
	if err != nil {
		return err
	}
	if err := extract(archive, "/"+lib.path, dst, lib.sha256); err != nil {
		return err
	}
	fmt.Printf("ONNX Runtime %s is now at %s\n", version, dst)
	return nil
}

// npmPack downloads the package into dir and gives the archive's path.
func npmPack(dir string) (string, error) {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return "", errors.New("npm is not installed: install Node.js, or ONNX Runtime 1.23 or newer yourself and set ASSAY_ONNXRUNTIME to its path")
	}
	cmd := exec.Command(npm, "pack", pkg, "--silent", "--ignore-scripts")
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	if out, err := cmd.Output(); err != nil {
		return "", fmt.Errorf("npm pack %s: %w\n%s", pkg, err, out)
	}
	found, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil {
		return "", err
	}
	if len(found) != 1 {
		return "", fmt.Errorf("npm pack %s left %d archives: 1 was expected", pkg, len(found))
	}
	return found[0], nil
}

// extract copies the file whose path in the archive ends in suffix to dst, if
// its hash is right.
func extract(archive, suffix, dst, sha string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(archive), err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("%s: has no %s", filepath.Base(archive), suffix)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(archive), err)
		}
		if h.Typeflag == tar.TypeReg && strings.HasSuffix(h.Name, suffix) {
			return save(r, dst, sha)
		}
	}
}

// save writes a file, whole or not at all, if its hash is right.
func save(r io.Reader, dst, sha string) error {
	if err := os.MkdirAll(filepath.Dir(dst), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(dst), "new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone after the rename
	h := sha256.New()
	_, err = io.Copy(io.MultiWriter(f, h), r)
	if err == nil {
		err = f.Chmod(0o755)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if sum := hex.EncodeToString(h.Sum(nil)); sum != sha {
		return fmt.Errorf("%s: sha256 is %s, %s was expected: not installed", filepath.Base(dst), sum, sha)
	}
	return os.Rename(f.Name(), dst)
}

// hash is the SHA-256 of a file.
func hash(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
