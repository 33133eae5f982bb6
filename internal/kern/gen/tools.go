package main

// avo v0.6.0 asks for a golang.org/x/tools that Go 1.26 cannot compile: this
// keeps the newer one in go.mod.
import _ "golang.org/x/tools/go/packages"
