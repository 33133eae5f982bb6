package main

import (
	"os"

	"golang.org/x/sys/windows"
)

// enableANSI asks the Windows console to understand escape sequences, and says
// whether it does.
func enableANSI(files ...*os.File) bool {
	for _, f := range files {
		var mode uint32
		h := windows.Handle(f.Fd())
		if windows.GetConsoleMode(h, &mode) != nil {
			continue // not a console
		}
		if windows.SetConsoleMode(h, mode|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING) != nil {
			return false
		}
	}
	return true
}
