// Command assets puts what the Daily Papers page has of others where it is embedded, and
// axe-core where its tests find it: files of npm packages, at fixed versions and with
// known hashes. It is run in the root of the repository. NOTICE names their licences.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/assay-lab/assay/internal/tools/npm"
)

// A source is a package and what is taken of it.
type source struct {
	pkg   string
	files []npm.File
}

var sources = []source{
	{"htmx.org@2.0.8", []npm.File{
		{Path: "dist/htmx.min.js", To: "lab/web/assets/htmx.min.js", SHA256: "22283ef68cb7545914f0a88a1bdedc7256a703d1d580c1d255217d0a50d31313", Mode: 0o644},
	}},
	{"uplot@1.6.32", []npm.File{
		{Path: "dist/uPlot.iife.min.js", To: "lab/web/assets/uplot.min.js", SHA256: "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f", Mode: 0o644},
		{Path: "dist/uPlot.min.css", To: "lab/web/assets/uplot.min.css", SHA256: "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04", Mode: 0o644},
	}},
	{"axe-core@4.14.1", []npm.File{
		{Path: "axe.min.js", To: "lab/web/testdata/axe.min.js", SHA256: "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c", Mode: 0o644},
	}},
}

func main() {
	if err := install("."); err != nil {
		fmt.Fprintln(os.Stderr, "assets:", err)
		os.Exit(1)
	}
}

// install puts all files under root, those that are not there already.
func install(root string) error {
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		return fmt.Errorf("run it in the root of the repository: %w", err)
	}
	for _, s := range sources {
		files := in(root, s.files)
		if !slices.ContainsFunc(files, func(f npm.File) bool { return !f.Here() }) {
			fmt.Println(s.pkg, "is there already")
			continue
		}
		if err := npm.Get(s.pkg, files...); err != nil {
			return err
		}
		fmt.Println(s.pkg, "is now there")
	}
	return nil
}

// in is the files with their places under root.
func in(root string, files []npm.File) []npm.File {
	files = slices.Clone(files)
	for i := range files {
		files[i].To = filepath.Join(root, filepath.FromSlash(files[i].To))
	}
	return files
}
