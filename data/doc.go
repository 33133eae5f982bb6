// Package data reads and writes the files that numbers come in: IDX, CSV, NPY,
// safetensors and PNG. It also embeds two small data sets, [MNIST] and [Shakespeare].
//
// The readers are made for files that nobody has vouched for: memory grows with
// the bytes that arrive and not with what a header promises, nothing beyond
// [MaxBytes] is read, and a damaged file gives an error that says what is wrong
// where. None of them panics.
//
// # Embedded data
//
// The folder mnist holds the test split of MNIST, unchanged: 10,000 images of
// handwritten digits, 28×28, by Yann LeCun, Corinna Cortes and Christopher J.C.
// Burges, under the licence Creative Commons Attribution-ShareAlike 3.0
// (CC BY-SA 3.0, https://creativecommons.org/licenses/by-sa/3.0/).
//
// The folder tinyshakespeare holds plays of William Shakespeare as plain text, in
// the public domain.
package data

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
)

// MaxBytes is the most that a reader takes from one file, after decompression.
const MaxBytes = 1 << 31

// Open opens a file for one of the readers; a gzip file is decompressed on the way.
func Open(path string) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r, err := gunzip(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return struct {
		io.Reader
		io.Closer
	}{r, f}, nil
}

// gunzip decompresses r if it begins like a gzip file.
func gunzip(r io.Reader) (io.Reader, error) {
	b := bufio.NewReader(r)
	if magic, _ := b.Peek(2); !bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return b, nil
	}
	z, err := gzip.NewReader(b)
	if err != nil {
		return nil, fmt.Errorf("data: gzip: %w", err)
	}
	return z, nil
}

// limited is a reader that fails, instead of ending, after n bytes.
type limited struct {
	r io.Reader
	n int64
}

func (l *limited) Read(p []byte) (int, error) {
	if l.n < 0 {
		return 0, fmt.Errorf("more than %d bytes", int64(MaxBytes))
	}
	if int64(len(p)) > l.n+1 {
		p = p[:l.n+1]
	}
	n, err := l.r.Read(p)
	l.n -= int64(n)
	if l.n < 0 {
		return n, fmt.Errorf("more than %d bytes", int64(MaxBytes))
	}
	return n, err
}

// readBytes reads exactly n bytes, growing its buffer only as they arrive.
func readBytes(r io.Reader, n int64) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(int(min(n, 1<<20)))
	m, err := io.CopyN(&b, r, n)
	if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("truncated: %d of %d bytes", m, n)
	}
	return b.Bytes(), err
}

// atEnd reports an error unless r has ended. For a gzip stream, reaching the
// end is also what checks its checksum.
func atEnd(r io.Reader) error {
	var b [1]byte
	switch _, err := io.ReadFull(r, b[:]); {
	case err == io.EOF:
		return nil
	case err != nil:
		return err
	}
	return errors.New("bytes follow the last element")
}
