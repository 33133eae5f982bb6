package report

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/assay-lab/assay/lab"
)

// sign is a status in a letter.
func sign(s lab.Status) string {
	switch s {
	case lab.Holds:
		return "✓"
	case lab.HoldsInPart:
		return "◐"
	case lab.Fails:
		return "✗"
	}
	return "?"
}

func signColor(s lab.Status) string {
	switch s {
	case lab.Holds:
		return "1;32"
	case lab.Fails:
		return "1;31"
	}
	return "1;33"
}

func tickSign(ok bool) string {
	if ok {
		return "✓"
	}
	return "✗"
}

// confidence is a verdict's confidence in words; "" if it has none.
func confidence(v lab.Verdict) string {
	if v.Confidence == 0 {
		return ""
	}
	return fmt.Sprintf("the same verdict in %.0f %% of resamplings of the seeds", 100*v.Confidence)
}

// WriteVerdict writes a claim and its verdict for a terminal: the paper's number
// beside ours, every figure with a tick or a cross, and what is missing.
func WriteVerdict(w io.Writer, cl lab.Claim, v lab.Verdict, term Terminal) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s\n", term.paint(signColor(v.Status), sign(v.Status)+" "+string(v.Status)), term.paint("1", cl.Name))
	line := func(head, text string) {
		if text != "" {
			hang(&b, "  "+pad(head, 7), 9, text, term.Width)
		}
	}
	line("claim", cl.Text)
	line("paper", cl.Paper)
	line("here", v.Reason)
	for _, f := range v.Figures {
		code := "32"
		if !f.OK {
			code = "31"
		}
		text := fmt.Sprintf("%s = %s, wanted %s", f.Name, lab.Digits(f.Value), f.Want)
		hang(&b, "    "+term.paint(code, tickSign(f.OK))+" ", 6, text, term.Width)
	}
	line("sure", confidence(v))
	for _, m := range v.Missing {
		line("lacks", m)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// hang writes a text after a head of in columns, wrapped to the width with its
// lines below each other.
func hang(b *strings.Builder, head string, in int, text string, width int) {
	b.WriteString(head)
	col := 0
	for _, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case col > 0 && width > 0 && in+col+1+n > width:
			b.WriteString("\n" + strings.Repeat(" ", in))
			col = 0
		case col > 0:
			b.WriteString(" ")
			col++
		}
		b.WriteString(word)
		col += n
	}
	b.WriteString("\n")
}

// WriteMarkdownVerdict writes a claim and its verdict in Markdown.
func WriteMarkdownVerdict(w io.Writer, cl lab.Claim, v lab.Verdict) error {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s %s: %s\n\n%s\n\n", sign(v.Status), escape(cl.Name), v.Status, escape(cl.Text))
	if cl.Paper != "" {
		fmt.Fprintf(&b, "- **Paper:** %s\n", escape(cl.Paper))
	}
	fmt.Fprintf(&b, "- **Here:** %s\n", escape(v.Reason))
	if s := confidence(v); s != "" {
		fmt.Fprintf(&b, "- **Sure:** %s\n", s)
	}
	if len(v.Figures) > 0 {
		b.WriteString("\n| | figure | here | wanted |\n|:-:|:--|--:|:--|\n")
		for _, f := range v.Figures {
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", tickSign(f.OK), escape(f.Name), lab.Digits(f.Value), escape(f.Want))
		}
	}
	if len(v.Missing) > 0 {
		b.WriteString("\nMissing:\n\n")
		for _, m := range v.Missing {
			fmt.Fprintf(&b, "- %s\n", escape(m))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
