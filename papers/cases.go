package papers

import (
	"embed"
	"io/fs"

	"github.com/assay-lab/assay/lab/conform"
)

//go:embed */cases/*.json
var caseFiles embed.FS

// Cases lists the conformance cases of all papers, in the order of their files.
func Cases() []conform.Case {
	names, _ := fs.Glob(caseFiles, "*/cases/*.json") // the pattern is well formed
	cases := make([]conform.Case, len(names))
	for i, name := range names {
		text, err := caseFiles.ReadFile(name)
		if err != nil {
			text = nil // embedded files can be read; if not, it is no case
		}
		cases[i] = conform.Parse("papers/"+name, text)
	}
	return cases
}
