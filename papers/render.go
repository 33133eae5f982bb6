package papers

import (
	"fmt"
	"io"
	"strings"

	"github.com/assay-lab/assay/lab"
)

// maxMeasure is the longest line of running text: longer ones are hard to read.
const maxMeasure = 96

// Render writes one paper for a terminal of that width, with what can be run of
// it. Without color it is plain text.
func Render(w io.Writer, p Paper, width int, color bool) error {
	t := newText(width, color)
	t.paragraph("", []span{{style: heading, text: p.Title}})
	t.paragraph("", []span{{text: strings.Join(p.Authors, ", ")}})
	t.paragraph("", []span{{style: faint, text: source(p) + " · "}, {style: link, text: p.URL()}})
	t.blank()
	t.pairs([][2]string{
		{"Topics", strings.Join(p.Topics, " · ")},
		{"Methods", strings.Join(p.Methods, " · ")},
		{"Package", strings.Join(p.Packages, ", ")},
		{"Runs", runs(p)},
	})
	t.blank()
	t.section(p.Summary)
	for _, s := range sections[1:] {
		t.heading(s.heading)
		t.section(*s.text(&p))
	}
	t.heading("Run it")
	if p.Runnable() {
		t.experiments(p, Experiments(p.Slug))
	} else {
		t.section(notBuilt(p))
	}
	_, err := io.WriteString(w, t.String())
	return err
}

// source says where and when the paper appeared.
func source(p Paper) string {
	year := fmt.Sprint(p.Year)
	switch {
	case p.Venue == "":
		return year
	case strings.Contains(p.Venue, year):
		return p.Venue
	}
	return p.Venue + ", " + year
}

func runs(p Paper) string {
	switch n := len(Experiments(p.Slug)); n {
	case 0:
		return "not built yet"
	case 1:
		return "1 experiment"
	default:
		return fmt.Sprintf("%d experiments", n)
	}
}

func notBuilt(p Paper) string {
	s := "This method is described but not built yet; it belongs into package `" + p.Packages[0] + "`."
	var same []string
	ps, _ := catalogue()
	for _, q := range ps {
		if q.Field() == p.Field() && q.Runnable() {
			same = append(same, "`assay run "+q.Slug+"`")
		}
	}
	if len(same) > 0 {
		s += " In the same field these run today: " + strings.Join(same, ", ") + "."
	}
	return s
}

func (t *text) experiments(p Paper, es []*lab.Experiment) {
	for _, e := range es {
		t.paragraph("", []span{{style: bold, text: e.Name}})
		t.paragraph("  ", []span{{text: e.Title}})
		t.paragraph("  ", []span{{style: faint, text: e.Quality.Label() + " over " + e.Cost.Label()}})
		for _, c := range e.Claims {
			t.paragraph("  judged: ", []span{{text: c.Name}})
		}
		t.blank()
	}
	rows := [][2]string{
		{"assay run " + p.Slug, "at desk size"},
		{"assay run " + p.Slug + " --size quick", "a smoke run"},
	}
	if len(es) > 1 {
		rows = append(rows, [2]string{"assay run " + es[0].Name, "one experiment"})
	}
	for _, pkg := range p.Packages {
		rows = append(rows, [2]string{`import "` + Module + "/" + pkg + `"`, "the method as a library"})
	}
	t.commands(rows)
}

// List writes the catalogue, field by field.
func List(w io.Writer, ps []Paper, width int, color bool) error {
	t := newText(width, color)
	runnable := 0
	for _, field := range Fields {
		var rows []Paper
		for _, p := range ps {
			if p.Field() == field {
				rows = append(rows, p)
			}
		}
		if len(rows) == 0 {
			continue
		}
		if t.Len() > 0 {
			t.blank()
		}
		t.line(t.styled(heading, strings.ToUpper(field[:1])+field[1:]))
		for _, p := range rows {
			t.row(p, slugColumn(ps))
			if p.Runnable() {
				runnable++
			}
		}
	}
	t.blank()
	t.line(t.styled(faint, fmt.Sprintf("%s, %d can be run.", count(len(ps), "paper"), runnable)))
	t.commands([][2]string{
		{"assay show SLUG", "what it is, how it works, what it claims"},
		{"assay run SLUG", "runs a paper marked " + mark},
		{"assay papers WORDS", "searches titles, methods, topics, authors, summaries"},
	})
	_, err := io.WriteString(w, t.String())
	return err
}

// ListHits writes what a search found, the best first, and where it matched.
func ListHits(w io.Writer, hits []Hit, width int, color bool) error {
	t := newText(width, color)
	ps := make([]Paper, len(hits))
	for i, h := range hits {
		ps[i] = h.Paper
	}
	for _, h := range hits {
		t.row(h.Paper, slugColumn(ps))
		if h.Where != h.Paper.Slug && h.Where != h.Paper.Title && h.Where != "" {
			indent := strings.Repeat(" ", slugColumn(ps)+4)
			t.line(indent + t.styled(faint, cut(h.Where, t.width-len(indent))))
		}
	}
	t.blank()
	t.line(t.styled(faint, fmt.Sprintf("%s found. `assay show SLUG` prints one.", count(len(hits), "paper"))))
	_, err := io.WriteString(w, t.String())
	return err
}

func slugColumn(ps []Paper) int {
	n := 0
	for _, p := range ps {
		n = max(n, len(p.Slug))
	}
	return n
}

// row writes a paper in one line: mark, slug, title, year.
func (t *text) row(p Paper, column int) {
	const year = 6
	m := " "
	if p.Runnable() {
		m = t.styled(good, mark)
	}
	room := max(10, t.width-column-4-year)
	title := cut(p.Title, room)
	t.line(fmt.Sprintf("%s %s  %s%s%s", m, t.styled(code, pad(p.Slug, column)), title,
		strings.Repeat(" ", room-textWidth(title)+2), t.styled(faint, fmt.Sprint(p.Year))))
}

func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// cut shortens s to n columns.
func cut(s string, n int) string {
	if textWidth(s) <= n {
		return s
	}
	rs := []rune(s)
	for textWidth(string(rs)) > n-1 {
		rs = rs[:len(rs)-1]
	}
	return strings.TrimRight(string(rs), " ") + "…"
}

func pad(s string, n int) string { return s + strings.Repeat(" ", max(0, n-textWidth(s))) }
