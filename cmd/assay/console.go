package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"golang.org/x/term"
)

// A console is where the command speaks: results on out, everything else on err.
type console struct {
	out, err io.Writer
	live     bool // err is a terminal, where a progress line can be redrawn
	terminal bool // out is a terminal
	color    bool // out shows colours
	errColor bool // err shows colours
	width    int  // of the terminal, in columns

	program     string      // how the user calls us
	commandLine string      // what was typed
	resumable   atomic.Bool // typing it again goes on from where it stopped
	said        sync.Once   // sayStopped

	mu  sync.Mutex
	bar *progress // the progress line on the screen, if any
}

func newConsole(out, err *os.File) *console {
	c := &console{out: out, err: err, width: 80}
	ansi := os.Getenv("TERM") != "dumb" && enableANSI(out, err)
	colors := ansi && os.Getenv("NO_COLOR") == ""
	c.terminal = term.IsTerminal(int(out.Fd()))
	c.live = ansi && term.IsTerminal(int(err.Fd()))
	c.color = colors && c.terminal
	c.errColor = colors && c.live
	for _, f := range []*os.File{out, err} {
		if w, _, e := term.GetSize(int(f.Fd())); e == nil && w >= 20 {
			c.width = w
			break
		}
	}
	return c
}

// textWidth is how wide running text is set.
func (c *console) textWidth() int { return min(c.width, 80) }

// note prints a line on standard error, above the progress line.
func (c *console) note(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bar != nil {
		fmt.Fprint(c.err, "\r\x1b[K")
	}
	fmt.Fprintf(c.err, format+"\n", args...)
}

// A style is a terminal's code for the look of text, from its own palette.
type style string

const (
	bold   style = "1"
	faint  style = "2"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
	cyan   style = "36"
)

// paint styles text for standard output, if that shows colours.
func (c *console) paint(s style, text string) string {
	if !c.color || text == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

// wrap breaks text into lines of at most width columns at its spaces. Every line but the
// first begins with indent.
func wrap(text string, width int, indent string) string {
	var b strings.Builder
	col := 0
	for _, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case col == 0:
		case col+1+n > width:
			b.WriteString("\n" + indent)
			col = utf8.RuneCountInString(indent)
		default:
			b.WriteByte(' ')
			col++
		}
		b.WriteString(word)
		col += n
	}
	return b.String()
}

// cut shortens s to width columns.
func cut(s string, width int) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	if width < 1 {
		return ""
	}
	return string([]rune(s)[:width-1]) + "…"
}
