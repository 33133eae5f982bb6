package papers

import (
	"regexp"
	"strings"
)

// A block is a paragraph, an item of a list, or a fenced block.
type block struct {
	mark string   // "-" or "1." of an item, "```" of a fenced block, "" of a paragraph
	text string   // of a paragraph or item, in one line
	code []string // lines of a fenced block
}

var item = regexp.MustCompile(`^(-|[0-9]+\.) +`)

func isItem(line string) bool { return item.MatchString(line) }

// blocks splits a section's text.
func blocks(text string) []block {
	var bs []block
	open := false // the last block takes further lines
	fenced := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		last := len(bs) - 1
		switch {
		case strings.HasPrefix(line, "```"):
			if !fenced {
				bs = append(bs, block{mark: "```"})
			}
			fenced, open = !fenced, false
		case fenced:
			bs[last].code = append(bs[last].code, line)
		case strings.TrimSpace(line) == "":
			open = false
		case isItem(line):
			m := item.FindString(line)
			bs = append(bs, block{mark: strings.TrimSpace(m), text: line[len(m):]})
			open = true
		case open:
			bs[last].text += " " + strings.TrimSpace(line)
		default:
			bs = append(bs, block{text: strings.TrimSpace(line)})
			open = true
		}
	}
	return bs
}

// A span is a run of text in one style.
type span struct {
	style style
	text  string
	url   string // of a link
}

type style int8

const (
	plain style = iota
	code
	bold
	emphasis
	link
)

// Emphasis opens at the beginning of a word and closes at its end, so that
// products such as a*b*c are none.
var inline = regexp.MustCompile("`([^`]+)`" +
	`|\*\*([^*\s](?:[^*]*[^*\s])?)\*\*` +
	`|\B\*([^*\s](?:[^*]*[^*\s])?)\*\B` +
	`|\[([^\]]+)\]\((https?://[^)\s]+)\)`)

// spans splits a text into its styles.
func spans(text string) []span {
	var ss []span
	for {
		m := inline.FindStringSubmatchIndex(text)
		if m == nil {
			break
		}
		if m[0] > 0 {
			ss = append(ss, span{text: text[:m[0]]})
		}
		group := func(i int) string { return text[m[2*i]:m[2*i+1]] }
		switch {
		case m[2] >= 0:
			ss = append(ss, span{style: code, text: group(1)})
		case m[4] >= 0:
			ss = append(ss, span{style: bold, text: group(2)})
		case m[6] >= 0:
			ss = append(ss, span{style: emphasis, text: group(3)})
		default:
			ss = append(ss, span{style: link, text: group(4), url: group(5)})
		}
		text = text[m[1]:]
	}
	if text != "" {
		ss = append(ss, span{text: text})
	}
	return ss
}
