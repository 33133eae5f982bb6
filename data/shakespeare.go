package data

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"fmt"
	"io"
	"sync"
)

//go:embed tinyshakespeare/tinyshakespeare.txt.gz
var shakespeare []byte

var readShakespeare = sync.OnceValues(func() (string, error) {
	z, err := gzip.NewReader(bytes.NewReader(shakespeare))
	if err != nil {
		return "", fmt.Errorf("data: tinyshakespeare: %w", err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		return "", fmt.Errorf("data: tinyshakespeare: %w", err)
	}
	return string(text), nil
})

// Shakespeare returns 1,115,394 bytes of plays by Shakespeare, plain ASCII text
// known as tinyshakespeare. It is embedded and decompressed at the first call.
func Shakespeare() (string, error) { return readShakespeare() }
