package papers

import (
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// TestCatalogue reads every page. A fault is printed as an editor's location.
func TestCatalogue(t *testing.T) {
	ps, err := load(pages)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	arXiv := map[string]string{}
	for _, p := range ps {
		if other, ok := arXiv[p.ArXiv]; ok {
			t.Errorf("papers/%s/paper.md: arXiv %s is that of %s already", p.Slug, p.ArXiv, other)
		}
		arXiv[p.ArXiv] = p.Slug
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "fixture-") || strings.HasSuffix(e.Name(), "-core") {
			continue // cases shared by papers
		}
		if e.IsDir() && e.Name() != "testdata" && e.Name() != "internal" {
			if _, ok := Get(e.Name()); !ok {
				t.Errorf("papers/%s has no paper.md", e.Name())
			}
		}
	}
}

// Every built paper's package must exist, and nothing may be registered that the
// catalogue does not know.
func TestRegistryAgreesWithPages(t *testing.T) {
	catalogued(t)
	for slug, e := range registry {
		p, ok := Get(slug)
		if e.Experiments != nil && !ok {
			t.Errorf("registry: %q has experiments but no page", slug)
		}
		names := map[string]bool{}
		for _, x := range Experiments(slug) {
			if !strings.HasPrefix(x.Name, slug+"/") || names[x.Name] {
				t.Errorf("registry: experiment %q of %s: must be unique and begin with the slug", x.Name, slug)
			}
			names[x.Name] = true
			if got, ok := Experiment(x.Name); !ok || got.Name != x.Name {
				t.Errorf("Experiment(%q) does not find it", x.Name)
			}
		}
		if !p.Runnable() {
			continue
		}
		for _, pkg := range p.Packages {
			if _, err := os.Stat("../" + pkg); err != nil {
				t.Errorf("papers/%s/paper.md: it is built, but package %s is not there", slug, pkg)
			}
		}
	}
}

const good1 = `---
title: "A: B"
authors: [Li, "Zhu, Jr."]
arxiv: "2211.01095"
year: 2022
venue: ""
topics: [diffusion, ODE solvers]
packages: [diffusion, privacy/accounting]
methods: ["2M(a, b)", it]
---

The summary.

## What it is for

This.

## How it works

` + "```\nx = y # not a heading\n## nor this\n```" + `

## The claim

That.

## Pitfalls

- One
  line ` + "`code\n  goes on`" + `.
- Two.

## How to use it

So.
`

func TestParse(t *testing.T) {
	for name, text := range map[string]string{"unix lines": good1, "windows lines": strings.ReplaceAll(good1, "\n", "\r\n")} {
		p, err := Parse("a-b", []byte(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if p.Title != "A: B" || !slices.Equal(p.Authors, []string{"Li", "Zhu, Jr."}) || p.Year != 2022 || p.Venue != "" ||
			!slices.Equal(p.Methods, []string{"2M(a, b)", "it"}) || !slices.Equal(p.Packages, []string{"diffusion", "privacy/accounting"}) {
			t.Errorf("%s: front matter is %+v", name, p)
		}
		if p.Summary != "The summary." || p.Use != "So." || !strings.Contains(p.How, "## nor this") || p.Field() != "diffusion" {
			t.Errorf("%s: text is %+v", name, p)
		}
	}
}

func TestParseFaults(t *testing.T) {
	for _, tt := range []struct {
		name     string
		old, new string // replaced in a good page
		want     string // of the message
	}{
		{"no front matter", "---\ntitle", "title", ":1: the front matter must begin"},
		{"front matter without end", "it]\n---\n", "it]\n", ":1: the front matter has no end"},
		{"missing key", "venue: \"\"\n", "", `:9: the front matter ends without the key "venue"`},
		{"unknown key", "venue:", "journal:", `:6: unknown key "journal"`},
		{"duplicate key", "venue: \"\"\n", "venue: x\nvenue: y\n", `:7: key "venue" again: it stands in line 6`},
		{"keys out of order", "year: 2022\nvenue: \"\"\n", "venue: x\nyear: 2022\n", `:6: key "year" is out of order`},
		{"not a key", "year: 2022", "year", `:5: "year" is not of the form`},
		{"no space after the colon", "year: 2022", "year:2022", ":5: year: a space and a value"},
		{"no value", "year: 2022", "year: ", ":5: year: no value"},
		{"empty title", `"A: B"`, `""`, ":2: title: must not be empty"},
		{"YAML would read a map", `"A: B"`, `A: B`, ":2: title: A: B needs quotes"},
		{"open quote", `"A: B"`, `"A: B`, ":2: title: \"A: B: the closing quote"},
		{"text after the quotes", `"A: B"`, `"A" B`, `:2: title: " B" follows`},
		{"unknown escape", `"A: B"`, `"A\n"`, ":2: title: "},
		{"arXiv identifier with version", `2211.01095`, `2211.01095v2`, `:4: arxiv: "2211.01095v2" must be`},
		{"arXiv identifier of month 13", `2211.01095`, `2213.01095`, `:4: arxiv:`},
		{"year before the preprint", "2022", "2021", ":5: year: 2021 is before arXiv 2211.01095"},
		{"year in words", "2022", "MMXXII", `:5: year: "MMXXII" must be`},
		{"text for a list", "[Li, \"Zhu, Jr.\"]", "Li", ":3: authors: \"Li\" is not a list"},
		{"empty list", "[Li, \"Zhu, Jr.\"]", "[]", ":3: authors: an empty item"},
		{"item twice", "[Li, \"Zhu, Jr.\"]", "[Li, Li]", `:3: authors: "Li" stands in the list twice`},
		{"open list", "[Li, \"Zhu, Jr.\"]", "[Li", ":3: authors: a comma or the closing ]"},
		{"first topic is no field", "[diffusion, ODE", "[samplers, ODE", `:7: topics: the first is "samplers"`},
		{"one topic", "[diffusion, ODE solvers]", "[diffusion]", ":7: topics: 1 topics"},
		{"unknown package", "[diffusion, privacy", "[diffusers, privacy", `:8: packages: unknown package "diffusers"`},
		{"package path that climbs", "privacy/accounting", "privacy/../lab", ":8: packages: unknown package"},
		{"empty summary", "The summary.", "", "the summary is empty"},
		{"empty section", "That.", "", `section "The claim" is empty`},
		{"sections exchanged", "## The claim", "## Pitfalls", `:25: heading "Pitfalls": here must stand "The claim"`},
		{"unknown section", "So.", "So.\n## More\n", `heading "More": here must stand none`},
		{"missing section", "## How to use it\n\nSo.\n", "", `ends without the heading "How to use it"`},
		{"open fence", "x = y", "```", "the fenced block has no end"},
		{"fence with a language", "```\nx", "```go\nx", `"` + "```go"},
		{"wide formula", "x = y # not a heading", strings.Repeat("x", 77), ":21: 77 columns: at most 76"},
		{"odd backticks", "line `code", "line code", "odd number of backticks"},
		{"table", "That.", "| a |", `:27: "|": only paragraphs`},
		{"subheading", "That.", "### a", `:27: "###": only paragraphs`},
		{"list in a list", "- Two", "  - Two", "a list inside a list"},
		{"terminal escape", "That.", "That\x1b[2J.", ":27: column 5: a control character"},
		{"invalid UTF-8", "That.", "That\xff.", ":27: column 5: a control character or invalid UTF-8"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if !strings.Contains(good1, tt.old) {
				t.Fatalf("the good page does not contain %q", tt.old)
			}
			_, err := Parse("a-b", []byte(strings.Replace(good1, tt.old, tt.new, 1)))
			if err == nil {
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "papers/a-b/paper.md:") {
				t.Errorf("error is\n%v\nwant papers/a-b/paper.md with %q", err, tt.want)
			}
		})
	}
	if _, err := Parse("A_b", []byte(good1)); err == nil {
		t.Error("a folder's name with capitals is accepted")
	}
}

// The faults of all pages are reported at once.
func TestLoadReportsEveryPage(t *testing.T) {
	_, err := load(fstest.MapFS{
		"a/paper.md": {Data: []byte(strings.Replace(good1, "year: 2022", "year: x", 1))},
		"b/paper.md": {Data: []byte("")},
		"c/paper.md": {Data: []byte(good1)},
	})
	if err == nil || !strings.Contains(err.Error(), "papers/a/paper.md:5:") || !strings.Contains(err.Error(), "papers/b/paper.md:1:") {
		t.Errorf("error is %v", err)
	}
}

// FuzzParse looks for inputs that make the parser or the renderer fail.
func FuzzParse(f *testing.F) {
	f.Add([]byte(good1))
	f.Add([]byte("---\n---\n"))
	f.Add([]byte("---\ntitle: \"\\\"\nauthors: [,]\n"))
	f.Add([]byte("## Pitfalls\n- a\n1. b\n```\n*x* **y** `z` [u](https://v)"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := Parse("a", text)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "papers/a/paper.md:") {
				t.Fatalf("error without a location: %v", err)
			}
			return
		}
		if p.Title == "" || len(p.Authors) == 0 || p.ArXiv == "" || len(p.Topics) < 2 || p.Summary == "" || p.Use == "" {
			t.Fatalf("accepted, but incomplete: %+v", p)
		}
		for _, width := range []int{1, 80} {
			if err := Render(&strings.Builder{}, p, width, true); err != nil {
				t.Fatal(err)
			}
		}
	})
}
