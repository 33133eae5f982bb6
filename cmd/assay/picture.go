package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/assay-lab/assay/data"
)

// readPicture reads a PNG. Errors begin with what the user called it.
func readPicture(called, name string, to data.Range) (data.Tensor, error) {
	file, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return data.Tensor{}, usagef("", "%s: no such file", called)
	}
	if err != nil {
		return data.Tensor{}, err
	}
	defer file.Close()
	t, err := data.ReadPNG(file, to)
	if err != nil {
		return t, fmt.Errorf("%s: %w", called, err)
	}
	return t, nil
}
