package papers

import (
	"fmt"
	"strings"
)

//go:generate go test -run TestReadme -update .

// Markers of the README's table of papers.
const (
	tableBegin = "<!-- papers -->"
	tableEnd   = "<!-- /papers -->"
)

// Table writes the catalogue as a Markdown table, for the project's README.
func Table(ps []Paper) string {
	var b strings.Builder
	b.WriteString("| paper | topics | package | what works |\n|---|---|---|---|\n")
	for _, field := range Fields {
		for _, p := range ps {
			if p.Field() == field {
				fmt.Fprintf(&b, "| [%s](papers/%s/paper.md) | %s | %s | %s |\n",
					cell(p.Title), p.Slug, cell(strings.Join(p.Topics, ", ")), packageCell(p), works(p))
			}
		}
	}
	return b.String()
}

func packageCell(p Paper) string {
	names := make([]string, len(p.Packages))
	for i, pkg := range p.Packages {
		names[i] = "`" + pkg + "`"
		if p.Runnable() {
			names[i] = "[" + names[i] + "](" + pkg + ")"
		}
	}
	return strings.Join(names, ", ")
}

// works says what of the paper can be run.
func works(p Paper) string {
	if !p.Runnable() {
		return "described"
	}
	var names []string
	for _, e := range Experiments(p.Slug) {
		names = append(names, "`"+e.Name+"`")
	}
	return strings.Join(names, ", ")
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// replaceTable puts the table between the markers of a README; ok is false when
// it has none.
func replaceTable(readme, table string) (string, bool) {
	head, rest, ok := strings.Cut(readme, tableBegin)
	if !ok {
		return readme, false
	}
	_, tail, ok := strings.Cut(rest, tableEnd)
	if !ok {
		return readme, false
	}
	return head + tableBegin + "\n" + table + tableEnd + tail, true
}
