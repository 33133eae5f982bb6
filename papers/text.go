package papers

import "strings"

// Styles of the terminal beyond those of Markdown.
const (
	heading style = iota + 100
	faint
	good
)

// mark stands before a paper that can be run.
const mark = "●"

// sgr are the terminal's codes for the styles, from its own palette, so that
// they are legible on any background.
var sgr = map[style]string{
	code:     "36",
	bold:     "1",
	emphasis: "3",
	link:     "4;34",
	heading:  "1",
	faint:    "2",
	good:     "32",
}

// text is a page being laid out for a terminal.
type text struct {
	strings.Builder
	width int // of the terminal
	color bool
}

func newText(width int, color bool) *text {
	if width <= 0 {
		width = 80
	}
	return &text{width: max(width, 40), color: color}
}

func (t *text) line(s string) { t.WriteString(strings.TrimRight(s, " ") + "\n") }
func (t *text) blank()        { t.WriteString("\n") }

func (t *text) styled(s style, str string) string {
	if codes := sgr[s]; t.color && codes != "" && str != "" {
		return "\x1b[" + codes + "m" + str + "\x1b[0m"
	}
	return str
}

func (t *text) heading(s string) {
	t.blank()
	t.line(t.styled(heading, s))
	if !t.color {
		t.line(strings.Repeat("─", textWidth(s)))
	}
}

// section lays out Markdown.
func (t *text) section(md string) {
	bs := blocks(md)
	for i, b := range bs {
		item := b.mark != "" && b.mark != "```"
		if i > 0 && !(item && bs[i-1].mark != "" && bs[i-1].mark != "```") {
			t.blank() // between blocks, but not between the items of a list
		}
		switch {
		case b.mark == "```":
			for _, line := range b.code {
				t.line("    " + t.styled(code, line))
			}
		case b.mark == "-":
			t.paragraph("• ", spans(b.text))
		case item:
			t.paragraph(b.mark+" ", spans(b.text))
		default:
			t.paragraph("", spans(b.text))
		}
	}
}

// paragraph wraps spans; lead stands before the first line, and as many spaces
// before the others.
func (t *text) paragraph(lead string, ss []span) {
	var line strings.Builder
	line.WriteString(lead)
	indent := textWidth(lead)
	at := indent
	for _, w := range t.words(ss) {
		switch {
		case at == indent: // the line is empty
		case at+1+w.width > min(t.width, maxMeasure):
			t.line(line.String())
			line.Reset()
			line.WriteString(strings.Repeat(" ", indent))
			at = indent
		default:
			line.WriteString(" ")
			at++
		}
		line.WriteString(w.text)
		at += w.width
	}
	t.line(line.String())
}

// A word is what is never broken: letters up to a space, in their styles.
type word struct {
	text  string
	width int
}

// unbroken is the longest piece of code that is kept in one line.
const unbroken = 32

func (t *text) words(ss []span) []word {
	var ws []word
	joined := false // the next piece belongs to the last word
	for _, s := range ss {
		if s.style == link && s.url != "" && s.text != s.url {
			s.text += " (" + s.url + ")"
		}
		pieces := strings.Split(s.text, " ")
		if s.style == code && textWidth(s.text) <= unbroken {
			pieces = []string{s.text}
		}
		for i, piece := range pieces {
			if i > 0 {
				joined = false
			}
			if piece == "" {
				continue
			}
			w := word{t.styled(s.style, piece), textWidth(piece)}
			if joined {
				last := &ws[len(ws)-1]
				last.text += w.text
				last.width += w.width
			} else {
				ws = append(ws, w)
			}
			joined = true
		}
		if strings.HasSuffix(s.text, " ") {
			joined = false
		}
	}
	return bind(ws)
}

// bind joins the two sides of a short relation, such as β = 0.3, into one word.
func bind(ws []word) []word {
	var bound []word
	for i := 0; i < len(ws); i++ {
		last := len(bound) - 1
		if last >= 0 && i+1 < len(ws) && strings.Contains("= < > ≤ ≥ ≈ ∈", ws[i].text) {
			if width := bound[last].width + ws[i].width + ws[i+1].width + 2; width <= unbroken {
				bound[last] = word{bound[last].text + " " + ws[i].text + " " + ws[i+1].text, width}
				i++
				continue
			}
		}
		bound = append(bound, ws[i])
	}
	return bound
}

// pairs writes names and values in two columns.
func (t *text) pairs(rows [][2]string) {
	column := 0
	for _, r := range rows {
		column = max(column, textWidth(r[0]))
	}
	for _, r := range rows {
		lead := pad(r[0], column)
		var laid text
		laid.width, laid.color = t.width-column-2, t.color
		laid.paragraph("", []span{{text: r[1]}})
		for i, line := range strings.Split(strings.TrimRight(laid.String(), "\n"), "\n") {
			if i > 0 {
				lead = strings.Repeat(" ", column)
			}
			t.line(t.styled(faint, lead) + "  " + line)
		}
	}
}

// commands writes command lines and what they do, below each other where the
// terminal is narrow.
func (t *text) commands(rows [][2]string) {
	column, widest := 0, 0
	for _, r := range rows {
		column = max(column, textWidth(r[0]))
		widest = max(widest, textWidth(r[1]))
	}
	for _, r := range rows {
		if 2+column+3+widest <= t.width {
			t.line("  " + t.styled(code, pad(r[0], column)) + "   " + t.styled(faint, r[1]))
			continue
		}
		t.line("  " + t.styled(code, r[0]))
		t.line("      " + t.styled(faint, r[1]))
	}
}
