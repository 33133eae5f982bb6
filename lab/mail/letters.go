package mail

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	html "html/template"
	"net/url"
	"strings"
	text "text/template"
	"time"

	"github.com/assay-lab/assay/lab/shelf"
)

//go:embed templates
var templateFiles embed.FS

// helpers are what both kinds of templates know. line is for every text of others.
var helpers = map[string]any{
	"line":    line,
	"title":   title,
	"summary": func(s string) string { return cut(line(s), 280) },
	"authors": authors,
	"verdict": func(s string) string { // of a change
		if s == "" {
			return "no verdict"
		}
		return line(s)
	},
	"many": func(n int, one, many string) string {
		if n == 1 {
			return "1 " + one
		}
		return fmt.Sprint(n, " ", many)
	},
}

var (
	texts = text.Must(text.New("").Funcs(helpers).ParseFS(templateFiles, "templates/*.txt"))
	htmls = html.Must(html.New("").Funcs(helpers).ParseFS(templateFiles, "templates/*.html"))
)

func title(s string) string { return cmp.Or(cut(line(s), 300), "Untitled") }

// authors are the first of them.
func authors(names []string) string {
	more := ""
	if len(names) > 3 {
		names, more = names[:3], " and others"
	}
	return cut(line(strings.Join(names, ", ")), 120) + more
}

// A letter is what the templates see.
type letter struct {
	Site        string // public address of the server, with a slash at its end
	Link        string // that confirms
	Unsubscribe string
	Period      shelf.Period
	shelf.Digest
}

// Paper is the web address of a paper's page.
func (l letter) Paper(slug string) string { return l.Site + "papers/" + url.PathEscape(slug) }

// Subscribe is where a subscription is begun and changed.
func (l letter) Subscribe() string { return l.Site + "subscribe" }

// Confirmation asks the owner of an address to confirm a request. Site is the public
// address of the server.
func Confirmation(site string, r shelf.Request, at time.Time) (Message, error) {
	l := letter{Site: withSlash(site), Period: r.Period}
	l.Link = l.Site + "subscribe/confirm?token=" + url.QueryEscape(r.Token)
	m := Message{To: r.Address, Subject: "Confirm your " + string(r.Period) + " digest of papers", Date: at, ID: rand.Text()}
	return m, m.fill("confirm", l)
}

// News is the digest of a subscriber, of what happened before until.
func News(site string, sub shelf.Subscriber, d shelf.Digest, until, at time.Time) (Message, error) {
	l := letter{Site: withSlash(site), Period: sub.Period, Digest: d}
	l.Unsubscribe = l.Site + "unsubscribe?token=" + url.QueryEscape(sub.Token)
	// One that is sent twice has one ID, by which mail programs drop the second.
	id := sha256.Sum256(fmt.Appendf(nil, "digest %s %d", sub.Token, until.Unix()))
	m := Message{To: sub.Address, Subject: subject(d), Date: at, ID: hex.EncodeToString(id[:16]), List: true, Unsubscribe: l.Unsubscribe}
	return m, m.fill("digest", l)
}

// subject names what comes first in a digest, and counts the rest.
func subject(d shelf.Digest) string {
	var first string
	switch {
	case len(d.New) > 0:
		first = title(d.New[0].Title)
	case len(d.Changed) > 0:
		first = "Verdict changed: " + title(d.Changed[0].Title)
	case len(d.Trending) > 0:
		first = "Trending: " + title(d.Trending[0].Title)
	}
	first = cut(first, 100)
	if n := len(d.New) + d.More + len(d.Changed) + len(d.Trending) - 1; n > 0 {
		return fmt.Sprintf("%s, and %d more", first, n)
	}
	return first
}

func (m *Message) fill(name string, l letter) error {
	var plain, rich bytes.Buffer
	if err := texts.ExecuteTemplate(&plain, name+".txt", l); err != nil {
		return fmt.Errorf("mail: %w", err)
	}
	if err := htmls.ExecuteTemplate(&rich, name+".html", l); err != nil {
		return fmt.Errorf("mail: %w", err)
	}
	m.Text, m.HTML = plain.String(), rich.String()
	return nil
}

func withSlash(site string) string { return strings.TrimSuffix(site, "/") + "/" }

// ParseSite reads the public address of a server: http or https, a host, and no path.
func ParseSite(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Opaque != "" {
		return "", fmt.Errorf("%q: must be such as https://papers.example.org/", cut(s, 100))
	}
	if u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" || strings.ContainsFunc(u.Host, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`<>"`, r) }) {
		return "", fmt.Errorf("%q: must be the address of the front page, such as https://papers.example.org/", cut(s, 100))
	}
	return u.Scheme + "://" + u.Host + "/", nil
}
