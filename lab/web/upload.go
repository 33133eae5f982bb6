package web

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/assay-lab/assay/lab"
)

// upload keeps the file that comes for a parameter, and returns its path; "" for none.
func (s *Server) upload(r *http.Request, param lab.Param) (string, error) {
	if r.MultipartForm == nil || len(r.MultipartForm.File["file."+param.Name]) == 0 {
		return "", nil
	}
	h := r.MultipartForm.File["file."+param.Name][0]
	if h.Size == 0 && h.Filename == "" {
		return "", nil
	}
	name := safeName(h.Filename)
	if !slices.ContainsFunc(param.Accept, func(suffix string) bool { return strings.HasSuffix(strings.ToLower(name), suffix) }) {
		return "", bad("%s: the file %q is not of a kind that is taken: want %s.", param.Name, name, strings.Join(param.Accept, ", "))
	}
	if h.Size > s.cfg.Upper {
		return "", &problem{http.StatusRequestEntityTooLarge, fmt.Sprintf("%s: the file is %d bytes long: at most %s are taken.", param.Name, h.Size, size(s.cfg.Upper))}
	}
	if err := s.checkUnpacked(h); err != nil {
		p := &problem{}
		if errors.As(err, &p) {
			return "", &problem{p.status, fmt.Sprintf("%s: the file %q %s.", param.Name, name, p.text)}
		}
		return "", err
	}
	return s.keep(r.Context(), h, name)
}

// checkUnpacked refuses a compressed file that is too large once unpacked: the loaders
// unpack what begins like gzip, whatever its name, and what comes out of that too.
func (s *Server) checkUnpacked(h *multipart.FileHeader) error {
	f, err := h.Open()
	if err != nil {
		return err
	}
	defer f.Close()
	b := bufio.NewReader(f)
	if !packed(b) {
		return nil
	}
	z, err := gzip.NewReader(b)
	if err != nil {
		return bad("is not a whole gzip file: %v", err)
	}
	inside := bufio.NewReader(z)
	if packed(inside) {
		return bad("is compressed twice: unpack it once")
	}
	switch n, err := io.Copy(io.Discard, io.LimitReader(inside, s.cfg.Upper+1)); {
	case err != nil:
		return bad("is not a whole gzip file: %v", err)
	case n > s.cfg.Upper:
		return &problem{http.StatusRequestEntityTooLarge, fmt.Sprintf("unpacks to more than the %s that are taken", size(s.cfg.Upper))}
	}
	return nil
}

func packed(b *bufio.Reader) bool {
	magic, _ := b.Peek(2)
	return bytes.Equal(magic, []byte{0x1f, 0x8b})
}

// safeName is a file's name without what has a meaning to the file system.
func safeName(name string) string {
	name = name[strings.LastIndexAny(name, `/\`)+1:]
	name = strings.Map(func(r rune) rune {
		if r < 128 && (r == '.' || r == '-' || r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z') {
			return r
		}
		return '_'
	}, name)
	name = strings.TrimLeft(name, ".")
	if len(name) > 80 {
		name = name[len(name)-80:]
	}
	return name
}

// keep stores an upload in a folder of its own, named by what is in it.
func (s *Server) keep(ctx context.Context, h *multipart.FileHeader, name string) (path string, err error) {
	s.keeping.Lock()
	defer s.keeping.Unlock()
	if err := s.makeRoom(ctx, h.Size); err != nil {
		return "", err
	}
	in, err := h.Open()
	if err != nil {
		return "", err
	}
	defer in.Close()
	if err := os.MkdirAll(s.cfg.Uploads, 0o700); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(s.cfg.Uploads, "up")
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			os.RemoveAll(dir)
		}
	}()
	out, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	_, err = io.Copy(io.MultiWriter(out, sum), in)
	if err = errors.Join(err, out.Close()); err != nil {
		return "", err
	}
	// The same file under the same name is the same input: its runs are found again.
	io.WriteString(sum, name)
	kept := filepath.Join(s.cfg.Uploads, hex.EncodeToString(sum.Sum(nil)[:16]))
	if moved := os.Rename(dir, kept); moved != nil {
		if _, err := os.Stat(filepath.Join(kept, name)); err != nil {
			os.RemoveAll(dir)
			return "", moved
		}
		os.RemoveAll(dir) // it is here already
		now := time.Now()
		os.Chtimes(kept, now, now) // and in use
	}
	return filepath.Join(kept, name), nil
}

// unplaced is text without the places of uploads, which are nobody's business.
func (s *Server) unplaced(text string) string {
	const slash = string(filepath.Separator)
	for {
		before, after, ok := strings.Cut(text, filepath.Clean(s.cfg.Uploads)+slash)
		if !ok {
			return text
		}
		_, name, _ := strings.Cut(after, slash) // in a folder of its own
		text = before + name
	}
}

// fresh is how long an upload stays that no run has yet: its form may be on its way.
const fresh = 10 * time.Minute

// makeRoom takes the oldest uploads away until n bytes more fit into the space that there
// is for them, but none that a run has, open or recorded: its page and its resumption
// need the file.
func (s *Server) makeRoom(ctx context.Context, n int64) error {
	if err := os.MkdirAll(s.cfg.Uploads, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(s.cfg.Uploads)
	if err != nil {
		return err
	}
	var kept []keptFile
	for _, e := range entries {
		k := keptFile{dir: filepath.Join(s.cfg.Uploads, e.Name())}
		if info, err := e.Info(); err == nil {
			k.at = info.ModTime()
		}
		filepath.WalkDir(k.dir, func(_ string, d fs.DirEntry, err error) error {
			if info, e := d.Info(); err == nil && e == nil && info.Mode().IsRegular() {
				k.bytes += info.Size()
			}
			return nil
		})
		n += k.bytes
		kept = append(kept, k)
	}
	if n <= s.cfg.Limits.Space {
		return nil
	}
	used, err := s.usedUploads(ctx)
	if err != nil {
		return err
	}
	slices.SortFunc(kept, func(a, b keptFile) int { return a.at.Compare(b.at) })
	for _, k := range kept {
		if used[k.dir] || time.Since(k.at) < fresh {
			continue
		}
		if err := os.RemoveAll(k.dir); err != nil {
			return err
		}
		if n -= k.bytes; n <= s.cfg.Limits.Space {
			return nil
		}
	}
	s.cfg.Log.Warn("no room for uploads", "folder", s.cfg.Uploads, "bytes", s.cfg.Limits.Space)
	return &problem{http.StatusInsufficientStorage, "There is no room for more files here: the " + size(s.cfg.Limits.Space) + " for them are full of those that runs need."}
}

// A keptFile is the folder of an upload.
type keptFile struct {
	dir   string
	bytes int64
	at    time.Time
}

// usedUploads are the folders of the files that runs have, open or recorded.
func (s *Server) usedUploads(ctx context.Context) (map[string]bool, error) {
	open, err := s.cfg.Shelf.OpenJobs(ctx)
	if err != nil {
		return nil, err
	}
	runs, err := s.cfg.Store.Runs(ctx)
	if err != nil {
		return nil, err
	}
	used := map[string]bool{}
	for _, j := range open {
		for _, v := range j.Settings {
			used[filepath.Dir(v)] = true
		}
	}
	for _, r := range runs {
		for name := range r.Inputs {
			used[filepath.Dir(r.Values[name])] = true
		}
	}
	return used, nil
}
