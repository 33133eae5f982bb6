package npm

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

// archiveOf makes an npm archive of files, in turn name and content.
func archiveOf(t *testing.T, files ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pkg.tgz")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	z := gzip.NewWriter(f)
	w := tar.NewWriter(z)
	for i := 0; i < len(files) && err == nil; i += 2 {
		if err = w.WriteHeader(&tar.Header{Name: files[i], Typeflag: tar.TypeReg, Size: int64(len(files[i+1])), Mode: 0o644}); err == nil {
			_, err = w.Write([]byte(files[i+1]))
		}
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
	archive := archiveOf(t, "package/other", "something else", "package/bin/v6/linux/x64/lib.so.1", content)
	cut := filepath.Join(t.TempDir(), "cut.tgz")
	b, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cut, b[:len(b)-12], 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, archive, path, sha, want string }{
		{"right", archive, "linux/x64/lib.so.1", right, ""},
		{"another hash", archive, "linux/x64/lib.so.1", strings.Repeat("0", 64), "sha256 is " + right},
		{"missing in the archive", archive, "darwin/arm64/lib.so.1", right, "has no /darwin/arm64/lib.so.1"},
		{"end of a name is not the end of a path", archive, "ther", right, "has no /ther"},
		{"archive cut off", cut, "linux/x64/nothing", right, "cut.tgz"},
		{"not an archive", filepath.Join(t.TempDir(), "none.tgz"), "x", right, "none.tgz"},
	} {
		f := File{c.path, c.sha, filepath.Join(t.TempDir(), "folder", "lib.so.1"), 0o755}
		err := extract(c.archive, []File{f})
		left, _ := filepath.Glob(filepath.Join(filepath.Dir(f.To), "*"))
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) || len(left) != 0 || f.Here() {
				t.Errorf("%s: error %v, want one with %q; left %v", c.name, err, c.want, left)
			}
			continue
		}
		if err != nil || !f.Here() || len(left) != 1 {
			t.Errorf("%s: error %v, left %v", c.name, err, left)
		}
	}
}

func TestExtractSeveral(t *testing.T) {
	archive := archiveOf(t, "package/b", "2", "package/a", "1")
	dir := t.TempDir()
	var files []File
	for name, content := range map[string]string{"a": "1", "b": "2"} {
		sum := sha256.Sum256([]byte(content))
		files = append(files, File{name, hex.EncodeToString(sum[:]), filepath.Join(dir, name), 0o644})
	}
	if err := extract(archive, files); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !f.Here() {
			t.Errorf("%s is not there", f.To)
		}
	}
}
