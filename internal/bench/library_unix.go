//go:build !windows

package main

import "github.com/ebitengine/purego"

func openLibrary(path string) (library, error) {
	h, err := purego.Dlopen(path, purego.RTLD_NOW)
	return library(h), err
}

func (l library) symbol(name string) (uintptr, error) { return purego.Dlsym(uintptr(l), name) }
