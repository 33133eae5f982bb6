package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

func (c *console) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version, as a bug report needs it",
		Example: "  assay version",
		Args:    takes(0, 0, ""),
		RunE: func(*cobra.Command, []string) error {
			fmt.Fprintf(c.out, "assay %s, %s %s/%s\n", readBuild().version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return nil
		},
	}
}

// A build says what this binary was made of.
type build struct {
	version     string
	experiments string // GOEXPERIMENT
	cgo         bool
	modules     map[string]string // versions by path
}

func readBuild() build {
	b := build{version: "(unknown)", modules: map[string]string{}}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.version = info.Main.Version
	for _, m := range info.Deps {
		b.modules[m.Path] = m.Version
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	b.experiments = settings["GOEXPERIMENT"]
	b.cgo = settings["CGO_ENABLED"] == "1"
	if rev := settings["vcs.revision"]; b.version == "(devel)" || b.version == "" {
		b.version = "(devel)"
		if len(rev) >= 12 {
			b.version += " " + rev[:12]
		}
	}
	return b
}

// has says whether the binary was built with a GOEXPERIMENT.
func (b build) has(experiment string) bool {
	for _, e := range strings.Split(b.experiments, ",") {
		if e == experiment {
			return true
		}
	}
	return false
}
