package main

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// pack makes an npm archive of one file.
func pack(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pkg.tgz")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	z := gzip.NewWriter(f)
	w := tar.NewWriter(z)
	err = w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Size: int64(len(content)), Mode: 0o644})
	if err == nil {
		_, err = w.Write([]byte(content))
	}
	for _, c := range []interface{ Close() error }{w, z, f} {
		if cerr := c.Close(); err == nil {
			err = cerr
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestExtract(t *testing.T) {
	const content = "a library"
	sum := sha256.Sum256([]byte(content))
	right := hex.EncodeToString(sum[:])
	archive := pack(t, "package/bin/napi-v6/linux/x64/lib.so.1", content)
	cut := filepath.Join(t.TempDir(), "cut.tgz")
	b, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cut, b[:len(b)-12], 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, archive, suffix, sha, want string }{
		{"right", archive, "/linux/x64/lib.so.1", right, ""},
		{"another hash", archive, "/linux/x64/lib.so.1", strings.Repeat("0", 64), "sha256 is " + right},
		{"missing in the archive", archive, "/darwin/arm64/lib.so.1", right, "has no /darwin/arm64/lib.so.1"},
		{"archive cut off", cut, "/linux/x64/nothing", right, "cut.tgz"},
	} {
		dst := filepath.Join(t.TempDir(), "onnxruntime", "lib.so.1")
		err := extract(c.archive, c.suffix, dst, c.sha)
		left, _ := filepath.Glob(filepath.Join(filepath.Dir(dst), "*"))
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) || len(left) != 0 {
				t.Errorf("%s: error %v, want one with %q; left %v", c.name, err, c.want, left)
			}
			continue
		}
		if got, herr := hash(dst); err != nil || herr != nil || got != right || len(left) != 1 {
			t.Errorf("%s: error %v, hash %s, left %v", c.name, err, got, left)
		}
	}
}
