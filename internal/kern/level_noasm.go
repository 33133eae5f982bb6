//go:build !amd64 || purego

package kern

import "os"

const active = generic

func init() { startLevel(os.Getenv("ASSAY_KERN")) } // reports a setting that cannot be followed

func setLevel(level) {}

func best() level { return generic }

// noAssembly is what a stub says that is never called.
const noAssembly = "kern: no assembly on this platform"
