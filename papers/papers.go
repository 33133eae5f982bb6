// Package papers is the catalogue: one [Paper] a folder, read from its paper.md,
// and what of it can be run, read from the code.
//
// The pages are embedded, so the catalogue is the same wherever the binary runs.
// Their format is described in FORMAT.md; a page that does not follow it fails
// the package's tests with file and line.
package papers

import (
	"cmp"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"sync"
)

//go:embed */paper.md
var pages embed.FS

// Module is the path below which the packages of [Paper.Packages] are imported.
const Module = "github.com/assay-lab/assay"

// Fields lists the fields in the order in which the catalogue shows them. The
// first topic of a paper is its field.
var Fields = []string{
	"diffusion",
	"differential equations",
	"partial differential equations",
	"inverse problems",
	"optimization",
	"learning",
	"privacy",
	"federated learning",
	"numerics",
}

// A Paper is one page of the catalogue. The texts are Markdown in the few forms
// that FORMAT.md names.
type Paper struct {
	Slug     string // name of its folder: "dpm-solver-pp"
	Title    string
	Authors  []string
	ArXiv    string // identifier without version: "2211.01095"
	Year     int
	Venue    string   // "" when not known
	Topics   []string // the field first
	Packages []string // where the method lives, below Module, the main one first: "diffusion"
	Methods  []string // the names that people search for: "DPM-Solver++(2M)"

	Summary  string // one paragraph: what it is and why one would want it
	For      string // what it is for
	How      string // how it works
	Claim    string // the paper's claim, and how it is judged here
	Pitfalls string
	Use      string // which variant, which settings
}

// Field is the paper's field, one of [Fields].
func (p Paper) Field() string { return p.Topics[0] }

// Runnable says whether the paper has an experiment. It is derived from the
// code: no page says so by hand.
func (p Paper) Runnable() bool { return len(Experiments(p.Slug)) > 0 }

// URL is the address of the paper's abstract.
func (p Paper) URL() string { return "https://arxiv.org/abs/" + p.ArXiv }

var catalogue = sync.OnceValues(func() ([]Paper, error) { return load(pages) })

// All lists the papers, sorted by slug. The slice is the caller's.
func All() []Paper {
	ps, err := catalogue()
	if err != nil {
		panic("papers: " + err.Error()) // embedded pages: no build that passed its tests gets here
	}
	return slices.Clone(ps)
}

// Get returns the paper of that slug.
func Get(slug string) (Paper, bool) {
	ps := All()
	i, ok := slices.BinarySearchFunc(ps, slug, func(p Paper, s string) int { return cmp.Compare(p.Slug, s) })
	if !ok {
		return Paper{}, false
	}
	return ps[i], true
}

// load reads every */paper.md of fsys. The error joins the faults of all pages.
func load(fsys fs.FS) ([]Paper, error) {
	names, err := fs.Glob(fsys, "*/paper.md")
	if err != nil {
		return nil, err
	}
	var ps []Paper
	var errs []error
	for _, name := range names {
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		p, err := Parse(path.Dir(name), text)
		if err != nil {
			errs = append(errs, err)
		}
		ps = append(ps, p)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	slices.SortFunc(ps, func(a, b Paper) int { return cmp.Compare(a.Slug, b.Slug) })
	return ps, nil
}

// unknown is the error for a slug that is not in the catalogue.
type unknown struct {
	slug    string
	nearest []string
}

func (e *unknown) Error() string {
	if len(e.nearest) == 0 {
		return fmt.Sprintf("unknown paper %q: `assay papers` lists them", e.slug)
	}
	return fmt.Sprintf("unknown paper %q: did you mean %s?", e.slug, alternatives(e.nearest))
}

// Find is [Get] with an error that names the nearest slugs.
func Find(slug string) (Paper, error) {
	if p, ok := Get(slug); ok {
		return p, nil
	}
	return Paper{}, &unknown{slug, Nearest(slug)}
}

func alternatives(names []string) string {
	s := names[0]
	for i, n := range names[1:] {
		if i == len(names)-2 {
			s += " or " + n
		} else {
			s += ", " + n
		}
	}
	return s
}
