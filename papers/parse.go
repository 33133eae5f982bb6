package papers

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Parse reads one page. The error joins every fault found, each as
// "papers/<slug>/paper.md:<line>: what is wrong".
func Parse(slug string, text []byte) (Paper, error) {
	p := &page{file: "papers/" + slug + "/paper.md", paper: Paper{Slug: slug}}
	if !slugForm.MatchString(slug) {
		p.errorf(1, "the folder's name %q must be lower-case words joined by hyphens", slug)
	}
	p.lines = strings.Split(strings.TrimRight(string(text), "\r\n"), "\n")
	for i, line := range p.lines {
		line = strings.TrimSuffix(line, "\r")
		p.lines[i] = line
		if at := strings.IndexFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f || r == utf8.RuneError }); at >= 0 {
			p.errorf(i+1, "column %d: a control character or invalid UTF-8", at+1)
		}
	}
	p.body(p.frontMatter())
	return p.paper, errors.Join(p.errs...)
}

// page is a page being parsed. Lines are counted from 1 in messages.
type page struct {
	file  string
	lines []string
	paper Paper
	errs  []error
}

func (p *page) errorf(line int, format string, args ...any) {
	p.errs = append(p.errs, fmt.Errorf("%s:%d: %s", p.file, line, fmt.Sprintf(format, args...)))
}

// A key of the front matter: a text or a list, and where it goes.
type key struct {
	name string
	list bool
	set  func(*Paper, []string) error // a text is a list of one
}

var keys = []key{
	{"title", false, setTitle},
	{"authors", true, func(p *Paper, v []string) error { p.Authors = v; return nil }},
	{"arxiv", false, setArXiv},
	{"year", false, setYear},
	{"venue", false, func(p *Paper, v []string) error { p.Venue = v[0]; return nil }},
	{"topics", true, setTopics},
	{"packages", true, setPackages},
	{"methods", true, func(p *Paper, v []string) error { p.Methods = v; return nil }},
}

// frontMatter reads the keys and returns the index of the line after them.
func (p *page) frontMatter() int {
	if p.lines[0] != "---" {
		p.errorf(1, "the front matter must begin with a line of ---")
		return 0
	}
	end := 1 + slices.Index(p.lines[1:], "---")
	if end == 0 {
		p.errorf(1, "the front matter has no end: a second line of --- is missing")
		return len(p.lines)
	}
	next := 0 // the key expected next
	seen := map[string]int{}
	for i := 1; i < end; i++ {
		name, value, ok := strings.Cut(p.lines[i], ":")
		if !ok {
			p.errorf(i+1, "%q is not of the form key: value", p.lines[i])
			continue
		}
		at := slices.IndexFunc(keys, func(k key) bool { return k.name == name })
		switch {
		case at < 0:
			p.errorf(i+1, "unknown key %q: the keys are %s", name, keyNames())
			continue
		case seen[name] > 0:
			p.errorf(i+1, "key %q again: it stands in line %d already", name, seen[name])
			continue
		case at < next:
			p.errorf(i+1, "key %q is out of order: the order is %s", name, keyNames())
		}
		seen[name] = i + 1
		next = max(next, at+1)
		if err := keys[at].read(&p.paper, value); err != nil {
			p.errorf(i+1, "%s: %v", name, err)
		}
	}
	for _, k := range keys {
		if seen[k.name] == 0 {
			p.errorf(end+1, "the front matter ends without the key %q", k.name)
		}
	}
	if year, err := arXivYear(p.paper.ArXiv); err == nil && p.paper.Year != 0 && p.paper.Year < year {
		p.errorf(seen["year"], "year: %d is before arXiv %s", p.paper.Year, p.paper.ArXiv)
	}
	return end + 1
}

func keyNames() string {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.name
	}
	return strings.Join(names, ", ")
}

func (k key) read(p *Paper, value string) error {
	if !strings.HasPrefix(value, " ") {
		return errors.New("a space and a value must follow the colon")
	}
	value = strings.TrimSpace(value)
	if !k.list {
		s, rest, err := scalar(value, "")
		if err == nil && rest != "" {
			err = fmt.Errorf("%q follows the quoted text", rest)
		}
		if err != nil {
			return err
		}
		return k.set(p, []string{s})
	}
	items, err := list(value)
	if err != nil {
		return err
	}
	return k.set(p, items)
}

// list reads [a, b, "c, d"]: at least one item, none empty, none twice.
func list(s string) ([]string, error) {
	rest, ok := strings.CutPrefix(s, "[")
	if !ok {
		return nil, fmt.Errorf("%q is not a list: it must look like [a, b]", s)
	}
	var items []string
	for {
		item, r, err := scalar(strings.TrimLeft(rest, " "), ",[]{}")
		switch {
		case err != nil:
			return nil, err
		case item == "":
			return nil, errors.New("an empty item in the list")
		case slices.Contains(items, item):
			return nil, fmt.Errorf("%q stands in the list twice", item)
		}
		items = append(items, item)
		rest = strings.TrimLeft(r, " ")
		if rest == "]" {
			return items, nil
		}
		if rest, ok = strings.CutPrefix(rest, ","); !ok {
			return nil, fmt.Errorf("a comma or the closing ] is missing before %q", rest)
		}
	}
}

// scalar reads one plain or quoted text up to the end or to one of the runes in
// stop, and returns what follows it. What YAML would read in another way must be
// quoted, so that every front matter is YAML too.
func scalar(s, stop string) (text, rest string, err error) {
	if strings.HasPrefix(s, `"`) {
		return quoted(s)
	}
	if stop != "" {
		if i := strings.IndexAny(s, stop); i >= 0 {
			s, rest = s[:i], s[i:]
		}
	}
	s = strings.TrimRight(s, " ")
	switch {
	case s == "":
		if stop == "" {
			err = errors.New(`no value: write "" for an unknown one`)
		}
	case strings.ContainsAny(s[:1], "[]{}>|*&!%#@`'\"?:,-"),
		strings.Contains(s, ": "), strings.HasSuffix(s, ":"), strings.Contains(s, " #"):
		err = fmt.Errorf("%s needs quotes", s)
	}
	return s, rest, err
}

func quoted(s string) (text, rest string, err error) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return b.String(), s[i+1:], nil
		case c != '\\':
			b.WriteByte(c)
		case i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\'):
			i++
			b.WriteByte(s[i])
		default:
			return "", "", fmt.Errorf(`%s: only \" and \\ are known after a backslash`, s)
		}
	}
	return "", "", fmt.Errorf("%s: the closing quote is missing", s)
}

var (
	slugForm    = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	arXivForm   = regexp.MustCompile(`^[0-9]{2}(0[1-9]|1[0-2])\.[0-9]{4,5}$`)
	packageForm = regexp.MustCompile(`^[a-z][a-z0-9]*(/[a-z][a-z0-9]*)*$`)
)

// roots are the packages of the library; a paper's method lives in one of them
// or below.
var roots = []string{
	"convexnet", "curvature", "dictionary", "diffeq", "diffusion", "directional", "discrete", "distill", "federated",
	"implicit", "inverse", "linsolve", "optim", "pde", "privacy", "quant", "robust", "softmax", "special", "tuning",
}

func setTitle(p *Paper, v []string) error {
	if v[0] == "" {
		return errors.New("must not be empty")
	}
	p.Title = v[0]
	return nil
}

func setArXiv(p *Paper, v []string) error {
	if !arXivForm.MatchString(v[0]) {
		return fmt.Errorf("%q must be an identifier without version, such as 2211.01095", v[0])
	}
	p.ArXiv = v[0]
	return nil
}

// arXivYear is the year that an arXiv identifier begins with.
func arXivYear(id string) (int, error) {
	if len(id) < 2 {
		return 0, errors.New("no identifier")
	}
	y, err := strconv.Atoi(id[:2])
	return 2000 + y, err
}

func setYear(p *Paper, v []string) error {
	y, err := strconv.Atoi(v[0])
	if err != nil || y < 1990 || y > 2099 {
		return fmt.Errorf("%q must be a year from 1990 to 2099", v[0])
	}
	p.Year = y
	return nil
}

func setTopics(p *Paper, v []string) error {
	if !slices.Contains(Fields, v[0]) {
		return fmt.Errorf("the first is %q and must be a field: %s", v[0], strings.Join(Fields, ", "))
	}
	if len(v) < 2 || len(v) > 6 {
		return fmt.Errorf("%d topics: must be 2 to 6, the field first", len(v))
	}
	p.Topics = v
	return nil
}

func setPackages(p *Paper, v []string) error {
	for _, pkg := range v {
		root, _, _ := strings.Cut(pkg, "/")
		if !packageForm.MatchString(pkg) || !slices.Contains(roots, root) {
			return fmt.Errorf("unknown package %q: must be one of %s, or below", pkg, strings.Join(roots, ", "))
		}
	}
	p.Packages = v
	return nil
}
