package report

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/assay-lab/assay/lab"
)

// A table is a panel's mean qualities as text, methods × budgets.
type table struct {
	panel   string
	budgets []float64
	methods []string
	cells   [][]string // [method][budget]
	best    [][]bool
}

// none stands where there is no result.
const none = "–"

func newTable(c lab.Curves, panel string) table {
	t := table{panel: panel}
	for _, cv := range c.Curves {
		if cv.Panel != panel {
			continue
		}
		t.methods = append(t.methods, cv.Method)
		for _, p := range cv.Points {
			t.budgets = append(t.budgets, p.Budget)
		}
	}
	slices.Sort(t.budgets)
	t.budgets = slices.Compact(t.budgets)
	best := make([]float64, len(t.budgets))
	for j, b := range t.budgets {
		best[j] = c.Quality.Worst()
		for _, m := range t.methods {
			if x, err := c.MeanAt(panel, m, b); err == nil && c.Quality.Beats(x, best[j]) {
				best[j] = x
			}
		}
	}
	for _, m := range t.methods {
		cells, bests := make([]string, len(t.budgets)), make([]bool, len(t.budgets))
		cv, _ := c.Curve(panel, m)
		for j, b := range t.budgets {
			p, ok := cv.At(b)
			if !ok {
				cells[j] = none
				continue
			}
			cells[j] = quality(c.Quality, p)
			bests[j] = p.Mean() == best[j] && best[j] != c.Quality.Worst()
		}
		t.cells, t.best = append(t.cells, cells), append(t.best, bests)
	}
	return t
}

// quality writes a point: its mean, or how many of its seeds diverged.
func quality(a lab.Axis, p lab.Point) string {
	diverged := 0
	for _, q := range p.Quality {
		if math.IsNaN(q) || q == a.Worst() {
			diverged++
		}
	}
	switch {
	case diverged == 0:
		return lab.Digits(p.Mean())
	case diverged == len(p.Quality):
		return "diverged"
	}
	return fmt.Sprintf("diverged %d/%d", diverged, len(p.Quality))
}

func heading(panel string, c lab.Curves) string {
	s := c.Quality.Label() + " by " + cmp.Or(c.Budget, c.Cost.Label())
	if panel != "" {
		s = panel + ": " + s
	}
	return s
}

// A Terminal says what the terminal can show.
type Terminal struct {
	Color bool // ANSI colours
	Width int  // columns; 0 for no limit
}

func (t Terminal) paint(code, s string) string {
	if !t.Color {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// WriteTable writes, panel by panel, the mean quality of every method at every
// budget. The best of a column is marked with a star, and bold in colour. A table
// wider than the terminal goes on below.
func WriteTable(w io.Writer, c lab.Curves, term Terminal) error {
	var b strings.Builder
	for i, panel := range c.Panels() {
		if i > 0 {
			b.WriteString("\n")
		}
		t := newTable(c, panel)
		b.WriteString(term.paint("1", heading(panel, c)) + "\n")
		for from := 0; from == 0 || from < len(t.budgets); {
			if from > 0 {
				b.WriteString("\n")
			}
			from = t.write(&b, term, from)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// write writes the columns that fit, beginning with from, and returns the next.
func (t table) write(b *strings.Builder, term Terminal, from int) int {
	name := 0
	for _, m := range t.methods {
		name = max(name, utf8.RuneCountInString(m))
	}
	to, width := from, 2+name
	var widths []int
	for ; to < len(t.budgets); to++ {
		n := utf8.RuneCountInString(budget(t.budgets[to]))
		for i := range t.methods {
			n = max(n, utf8.RuneCountInString(t.cells[i][to]))
		}
		if width += n + 3; term.Width > 0 && width > term.Width && to > from {
			break
		}
		widths = append(widths, n)
	}
	end := func(line string) { b.WriteString(strings.TrimRight(line, " ") + "\n") }
	line := pad("", 2+name)
	for k, n := range widths {
		line += "  " + term.paint("2", padLeft(budget(t.budgets[from+k]), n)) + " "
	}
	end(line)
	for i, m := range t.methods {
		line := "  " + pad(m, name)
		for k, n := range widths {
			cell := padLeft(t.cells[i][from+k], n)
			switch {
			case t.best[i][from+k]:
				line += "  " + term.paint("1;32", cell+"*")
			case strings.HasPrefix(t.cells[i][from+k], "diverged"):
				line += "  " + term.paint("31", cell) + " "
			default:
				line += "  " + cell + " "
			}
		}
		end(line)
	}
	return max(to, 1)
}

func budget(x float64) string { return strconv.FormatFloat(x, 'g', 6, 64) }

func pad(s string, n int) string {
	return s + strings.Repeat(" ", max(0, n-utf8.RuneCountInString(s)))
}

func padLeft(s string, n int) string {
	return strings.Repeat(" ", max(0, n-utf8.RuneCountInString(s))) + s
}

// WriteMarkdownTable writes the same tables in Markdown, the best in bold.
func WriteMarkdownTable(w io.Writer, c lab.Curves) error {
	var b strings.Builder
	for i, panel := range c.Panels() {
		if i > 0 {
			b.WriteString("\n")
		}
		t := newTable(c, panel)
		b.WriteString("**" + escape(heading(panel, c)) + "**\n\n| method |")
		for _, x := range t.budgets {
			b.WriteString(" " + budget(x) + " |")
		}
		b.WriteString("\n|:--|" + strings.Repeat("--:|", len(t.budgets)) + "\n")
		for i, m := range t.methods {
			b.WriteString("| " + escape(m) + " |")
			for j, cell := range t.cells[i] {
				if t.best[i][j] {
					cell = "**" + cell + "**"
				}
				b.WriteString(" " + cell + " |")
			}
			b.WriteString("\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// escape keeps Markdown from reading more into a name than is there.
var escape = strings.NewReplacer(`\`, `\\`, "|", `\|`, "*", `\*`, "_", `\_`, "<", "&lt;", "`", "\\`", "\n", " ").Replace

// WriteCSV writes the curves in long form, a row for every panel, method, budget
// and seed, with all metrics, in full precision.
func WriteCSV(w io.Writer, c lab.Curves) error {
	metrics := map[string]bool{}
	for _, cv := range c.Curves {
		for _, p := range cv.Points {
			for name := range p.Metrics {
				metrics[name] = true
			}
		}
	}
	names := slices.Sorted(maps.Keys(metrics))
	out := csv.NewWriter(w)
	out.Write(append([]string{"panel", "method", "budget", "seed", "cost", "quality"}, names...)) // errors are kept for Error
	for _, cv := range c.Curves {
		for _, p := range cv.Points {
			for i, seed := range p.Seeds {
				row := []string{cv.Panel, cv.Method, full(p.Budget), strconv.FormatUint(seed, 10), full(p.Cost[i]), full(p.Quality[i])}
				for _, name := range names {
					x := ""
					if xs := p.Metrics[name]; xs != nil {
						x = full(xs[i])
					}
					row = append(row, x)
				}
				out.Write(row)
			}
		}
	}
	out.Flush()
	return out.Error()
}

func full(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
