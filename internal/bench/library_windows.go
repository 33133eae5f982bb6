package main

import "errors"

var errNoPeers = errors.New("peers in C are compiled on Unix only")

func openLibrary(string) (library, error) { return 0, errNoPeers }

func (l library) symbol(string) (uintptr, error) { return 0, errNoPeers }
