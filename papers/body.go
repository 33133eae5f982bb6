package papers

import (
	"slices"
	"strings"
	"unicode"
)

// Columns that a line of a page, and one of a fenced block, may have.
const (
	maxLine   = 120
	maxFenced = 76 // with its indentation it fits a terminal of 80
)

// A section is a part of a page's text; the summary is the one without heading.
type section struct {
	heading string
	text    func(*Paper) *string
}

var sections = []section{
	{"", func(p *Paper) *string { return &p.Summary }},
	{"What it is for", func(p *Paper) *string { return &p.For }},
	{"How it works", func(p *Paper) *string { return &p.How }},
	{"The claim", func(p *Paper) *string { return &p.Claim }},
	{"Pitfalls", func(p *Paper) *string { return &p.Pitfalls }},
	{"How to use it", func(p *Paper) *string { return &p.Use }},
}

// body reads the sections from the line of index start on.
func (p *page) body(start int) {
	var (
		at     = 0     // the section that we are in
		begun  = start // index of its first line
		fenced = 0     // line of the open fence
	)
	finish := func(end int) {
		text := strings.Trim(strings.Join(p.lines[begun:end], "\n"), "\n")
		if strings.TrimSpace(text) == "" {
			p.errorf(begun, "%s is empty", sectionName(at))
		}
		*sections[at].text(&p.paper) = text
	}
	for i := start; i < len(p.lines); i++ {
		line := p.lines[i]
		if strings.HasPrefix(line, "```") {
			fenced = p.fence(i, fenced)
			continue
		}
		heading, ok := strings.CutPrefix(line, "## ")
		if fenced > 0 || !ok {
			p.checkLine(i, fenced > 0)
			continue
		}
		next := slices.IndexFunc(sections, func(s section) bool { return s.heading == heading })
		if next != at+1 {
			p.errorf(i+1, "heading %q: here must stand %s", heading, headingAfter(at))
		}
		if next > at {
			finish(i)
			at, begun = next, i+1
		}
	}
	if fenced > 0 {
		p.errorf(fenced, "the fenced block has no end")
	}
	finish(len(p.lines))
	if at != len(sections)-1 {
		p.errorf(len(p.lines), "the page ends without the heading %q", sections[at+1].heading)
	}
	p.checkText(start)
}

func (p *page) fence(i, open int) int {
	if p.lines[i] != "```" {
		p.errorf(i+1, "%q: a fence is a line of three backticks", p.lines[i])
	}
	if open > 0 {
		return 0
	}
	return i + 1
}

func sectionName(at int) string {
	if at == 0 {
		return "the summary"
	}
	return `section "` + sections[at].heading + `"`
}

func headingAfter(at int) string {
	if at+1 == len(sections) {
		return "none"
	}
	return `"` + sections[at+1].heading + `"`
}

// checkLine refuses what the few forms of Markdown do not include.
func (p *page) checkLine(i int, fenced bool) {
	line, limit := p.lines[i], maxLine
	if fenced {
		limit = maxFenced
	}
	if w := textWidth(line); w > limit {
		p.errorf(i+1, "%d columns: at most %d", w, limit)
	}
	if fenced || line == "" {
		return
	}
	switch trimmed := strings.TrimLeft(line, " "); {
	case trimmed == "" || strings.HasSuffix(line, " "):
		p.errorf(i+1, "spaces at the end of the line")
	case strings.ContainsAny(trimmed[:1], "#|><") || strings.HasPrefix(trimmed, "* ") || strings.HasPrefix(trimmed, "+ "):
		p.errorf(i+1, "%q: only paragraphs, lists with \"- \" or \"1. \", and fenced blocks", firstWord(trimmed))
	case trimmed != line && (isItem(trimmed)):
		p.errorf(i+1, "a list inside a list")
	}
}

// checkText looks at what spans lines: code and emphasis must be closed.
func (p *page) checkText(start int) {
	ticks, begun := 0, start
	fenced := false
	for i := start; i <= len(p.lines); i++ {
		line := ""
		if i < len(p.lines) {
			line = p.lines[i]
		}
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
			line = ""
		} else if fenced {
			continue
		}
		if line == "" || isItem(line) {
			if ticks%2 == 1 {
				p.errorf(begun+1, "the text that begins here has an odd number of backticks")
			}
			ticks, begun = 0, i
			if line == "" {
				begun = i + 1
			}
		}
		ticks += strings.Count(line, "`")
	}
}

func firstWord(s string) string {
	w, _, _ := strings.Cut(s, " ")
	return w
}

// textWidth counts columns: one for every rune that is not a combining mark.
func textWidth(s string) int {
	n := 0
	for _, r := range s {
		if !unicode.Is(unicode.Mn, r) {
			n++
		}
	}
	return n
}
