// Package npm takes files out of npm packages, at fixed versions and with known hashes,
// with the npm client.
package npm

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A File is one that a package has, and where it goes.
type File struct {
	Path   string // in the package, or its end
	SHA256 string
	To     string
	Mode   fs.FileMode
}

// Here reports whether the file is where it goes, as it should be.
func (f File) Here() bool {
	sum, err := hash(f.To)
	return err == nil && sum == f.SHA256
}

// ErrNoClient is wrapped by the error of [Get] where npm is not installed.
var ErrNoClient = errors.New("npm is not installed")

// Get downloads a package, NAME@VERSION, and puts its files where they go: each whole
// or not at all, and only with the right hash.
func Get(pkg string, files ...File) error {
	tmp, err := os.MkdirTemp("", "npm-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	archive, err := pack(tmp, pkg)
	if err != nil {
		return err
	}
	return extract(archive, files)
}

// pack downloads the package into dir and gives the archive's path.
func pack(dir, pkg string) (string, error) {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return "", fmt.Errorf("%w: install Node.js", ErrNoClient)
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

// extract copies files out of an archive.
func extract(archive string, files []File) error {
	in, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer in.Close()
	z, err := gzip.NewReader(in)
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(archive), err)
	}
	wanted := map[string]File{}
	for _, f := range files {
		wanted["/"+f.Path] = f
	}
	for r := tar.NewReader(z); len(wanted) > 0; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			for suffix := range wanted {
				return fmt.Errorf("%s: has no %s", filepath.Base(archive), suffix)
			}
		}
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(archive), err)
		}
		for suffix, f := range wanted {
			if h.Typeflag == tar.TypeReg && strings.HasSuffix(h.Name, suffix) {
				if err := f.save(r); err != nil {
					return err
				}
				delete(wanted, suffix)
				break // r is read
			}
		}
	}
	return nil
}

// save writes the file, whole or not at all, if its hash is right.
func (f File) save(r io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(f.To), 0o755); err != nil {
		return err
	}
	out, err := os.CreateTemp(filepath.Dir(f.To), "new-*")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name()) // gone after the rename
	h := sha256.New()
	_, err = io.Copy(io.MultiWriter(out, h), r)
	if err == nil {
		err = out.Chmod(f.Mode)
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return err
	}
	if sum := hex.EncodeToString(h.Sum(nil)); sum != f.SHA256 {
		return fmt.Errorf("%s: sha256 is %s, %s was expected: not installed", filepath.Base(f.To), sum, f.SHA256)
	}
	return os.Rename(out.Name(), f.To)
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
