package papers

import (
	"fmt"
	"html"
	"strings"
)

// HTML is a text of a page as HTML. All that is in the text is escaped; links go to
// http and https addresses only.
func HTML(text string) string {
	var b strings.Builder
	list := "" // the open list
	for _, bl := range blocks(text) {
		kind := map[bool]string{true: "ul", false: "ol"}[bl.mark == "-"]
		if bl.mark == "" || bl.mark == "```" {
			kind = ""
		}
		if kind != list {
			if list != "" {
				fmt.Fprintf(&b, "</%s>\n", list)
			}
			if list = kind; list != "" {
				fmt.Fprintf(&b, "<%s>\n", list)
			}
		}
		switch {
		case bl.mark == "```":
			fmt.Fprintf(&b, "<pre tabindex=\"0\">%s</pre>\n", html.EscapeString(strings.Join(bl.code, "\n")))
		case kind != "":
			fmt.Fprintf(&b, "<li>%s</li>\n", inlineHTML(bl.text))
		default:
			fmt.Fprintf(&b, "<p>%s</p>\n", inlineHTML(bl.text))
		}
	}
	if list != "" {
		fmt.Fprintf(&b, "</%s>\n", list)
	}
	return b.String()
}

func inlineHTML(text string) string {
	var b strings.Builder
	for _, s := range spans(text) {
		t := html.EscapeString(s.text)
		switch s.style {
		case code:
			t = "<code>" + t + "</code>"
		case bold:
			t = "<strong>" + t + "</strong>"
		case emphasis:
			t = "<em>" + t + "</em>"
		case link:
			if strings.HasPrefix(s.url, "https://") || strings.HasPrefix(s.url, "http://") {
				t = fmt.Sprintf(`<a href="%s" rel="noopener">%s</a>`, html.EscapeString(s.url), t)
			}
		}
		b.WriteString(t)
	}
	return b.String()
}

// Plain is a text of a page without its marks, in one line.
func Plain(text string) string {
	var b strings.Builder
	for _, s := range spans(strings.Join(strings.Fields(text), " ")) {
		b.WriteString(s.text)
	}
	return b.String()
}
