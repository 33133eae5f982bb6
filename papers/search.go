package papers

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
)

// A Hit is a paper that a search found.
type Hit struct {
	Paper Paper
	Score int    // the larger the better; comparable within one search
	Where string // the text that matched best: a method's name, the title, ...
}

// Weights of a paper's texts. They are far apart, so that a match in a better
// text always comes before any match in a worse one.
const (
	inName    = 1000 // slug and methods
	inTitle   = 500
	inTopic   = 100
	inAuthor  = 50
	inPackage = 20
	inSummary = 10
)

// How well a word matches, at most 9.
const (
	wholeWord = 9
	beginning = 6 // of a word
	within    = 3
)

// Search finds the papers in which every word matches somewhere: in slug,
// methods, title, topics, authors, packages or summary. Case, punctuation and the two spellings
// of -ize do not matter: "dpmsolver++(2m)" finds DPM-Solver++(2M). Names and
// titles come first. Without words it finds every paper, by slug.
func Search(words []string) []Hit { return search(All(), words) }

func search(ps []Paper, words []string) []Hit {
	var queries []folded
	for _, w := range words {
		for part := range strings.FieldsSeq(w) {
			if q := fold(part); q.joined != "" {
				queries = append(queries, q)
			}
		}
	}
	var hits []Hit
	for _, p := range ps {
		if h, ok := match(p, queries); ok {
			hits = append(hits, h)
		}
	}
	slices.SortStableFunc(hits, func(a, b Hit) int { return cmp.Compare(b.Score, a.Score) })
	return hits
}

// match scores a paper: for every word the best text counts.
func match(p Paper, queries []folded) (Hit, bool) {
	h := Hit{Paper: p}
	type part struct {
		text   string
		weight int
		short  bool // a name, in which a word may match in the middle
	}
	parts := []part{{p.Slug, inName, true}, {p.Title, inTitle, true}, {p.Summary, inSummary, false}}
	add := func(texts []string, weight int) {
		for _, t := range texts {
			parts = append(parts, part{t, weight, true})
		}
	}
	add(p.Methods, inName)
	add(p.Topics, inTopic)
	add(p.Authors, inAuthor)
	add(p.Packages, inPackage)

	texts := make([]folded, len(parts))
	for i, t := range parts {
		texts[i] = fold(t.text)
	}
	top := 0
	for _, q := range queries {
		best, where := 0, ""
		for i, t := range parts {
			quality := q.in(texts[i], t.short)
			if quality == 0 {
				continue
			}
			if s := t.weight + quality; s > best {
				best, where = s, t.text
			}
		}
		if best == 0 {
			return Hit{}, false
		}
		h.Score += best
		if best > top {
			top, h.Where = best, where
		}
	}
	return h, true
}

// folded is a text prepared for matching: lower case, without punctuation other
// than plus signs, which tell methods apart.
type folded struct {
	words  []string
	joined string
}

var spelling = strings.NewReplacer(
	"isation", "ization", "ising", "izing", "iser", "izer", "ise", "ize", // on both sides, so that "noise" finds noise
	"ä", "a", "ö", "o", "ü", "u", "é", "e", "è", "e", "á", "a", "ó", "o", "í", "i", "ñ", "n", "ç", "c")

func fold(s string) folded {
	words := strings.FieldsFunc(spelling.Replace(strings.ToLower(s)), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '+'
	})
	return folded{words, strings.Join(words, "")}
}

// in says how well q matches in t, 0 when it does not.
func (q folded) in(t folded, short bool) int {
	best := 0
	for _, w := range t.words {
		switch {
		case w == q.joined:
			return wholeWord
		case strings.HasPrefix(w, q.joined):
			best = beginning
		}
	}
	switch {
	case best > 0:
		return best
	case t.joined == q.joined:
		return wholeWord
	case (short && len(q.joined) > 1 || len(q.words) > 1) && strings.Contains(t.joined, q.joined):
		return within
	}
	return 0
}

// Nearest lists up to three slugs that someone who typed slug may have meant,
// the likeliest first.
func Nearest(slug string) []string { return nearest(All(), slug) }

func nearest(ps []Paper, slug string) []string {
	slug, _, _ = strings.Cut(strings.ToLower(slug), "/")
	typed := fold(slug).joined
	if typed == "" {
		return nil
	}
	type candidate struct {
		slug     string
		distance int
	}
	var cs []candidate
	for _, p := range ps {
		name := fold(p.Slug).joined
		d := distance(typed, name)
		near := d <= max(1, min(len(typed), len(name))/3)
		if near || strings.HasPrefix(typed, name) || len(typed) > 2 && abbreviates(typed, name) {
			cs = append(cs, candidate{p.Slug, d})
		}
	}
	slices.SortStableFunc(cs, func(a, b candidate) int { return cmp.Compare(a.distance, b.distance) })
	var names []string
	for _, c := range cs {
		names = append(names, c.slug)
	}
	if len(names) == 0 { // a method's name, an abbreviation, an author
		for _, h := range search(ps, []string{slug}) {
			names = append(names, h.Paper.Slug)
		}
	}
	return names[:min(3, len(names))]
}

// abbreviates says whether a is b with letters left out, but not the first.
func abbreviates(a, b string) bool {
	if a == "" || !strings.HasPrefix(b, a[:1]) {
		return false
	}
	for i := range len(a) {
		at := strings.IndexByte(b, a[i])
		if at < 0 {
			return false
		}
		b = b[at+1:]
	}
	return true
}

// distance is the number of insertions, deletions, replacements and exchanges of
// neighbours that turn a into b (optimal string alignment).
func distance(a, b string) int {
	s, t := []rune(a), []rune(b)
	rows := [3][]int{}
	for i := range rows {
		rows[i] = make([]int, len(t)+1)
	}
	last, prev, row := rows[0], rows[1], rows[2]
	for j := range prev {
		prev[j] = j
	}
	for i := range s {
		row[0] = i + 1
		for j := range t {
			cost := 1
			if s[i] == t[j] {
				cost = 0
			}
			row[j+1] = min(prev[j+1]+1, row[j]+1, prev[j]+cost)
			if i > 0 && j > 0 && s[i] == t[j-1] && s[i-1] == t[j] {
				row[j+1] = min(row[j+1], last[j-1]+1)
			}
		}
		last, prev, row = prev, row, last
	}
	return prev[len(t)]
}
