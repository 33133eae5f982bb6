package feeds

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/html"
	"golang.org/x/net/html/charset"

	"github.com/assay-lab/assay/lab/shelf"
)

// Bounds of what is taken of a page.
const (
	mostPage    = 2 << 20 // bytes
	mostTag     = 64 << 10
	mostEntries = 500
)

// unread is a page that could not be had. What exactly went wrong is for the log: it
// would tell a stranger what there is in the network of this server.
type unread struct {
	address string
	cause   error
}

func (e *unread) Error() string {
	return fmt.Sprintf("feeds: %s cannot be read from here", cut(e.address, mostName))
}

func (e *unread) Unwrap() error { return e.cause }

// lookupPage finds the paper that the web page at an address is about. A nil client is
// [Public].
func lookupPage(ctx context.Context, client *http.Client, address string) (shelf.Paper, error) {
	u, err := url.Parse(address)
	if err != nil || !isWeb(u) {
		return shelf.Paper{}, fmt.Errorf("feeds: %q: must be an http or https address", cut(address, mostName))
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return shelf.Paper{}, &unread{address, err}
	}
	r.Header.Set("User-Agent", agent)
	r.Header.Set("Accept", "text/html, application/xhtml+xml")
	if client == nil {
		client = Public()
	}
	a, err := client.Do(r)
	if err != nil {
		return shelf.Paper{}, &unread{address, err}
	}
	defer a.Body.Close()
	if a.StatusCode != http.StatusOK {
		return shelf.Paper{}, &unread{address, errors.New("it answers " + a.Status)}
	}
	kind := a.Header.Get("Content-Type")
	switch media, _, _ := mime.ParseMediaType(kind); media {
	case "text/html", "application/xhtml+xml":
	default:
		return shelf.Paper{}, fmt.Errorf("feeds: %s is of type %q: give the page that is about the paper", cut(address, mostName), cut(media, 40))
	}
	body, err := charset.NewReader(io.LimitReader(a.Body, mostPage), kind)
	if err != nil {
		return shelf.Paper{}, &unread{address, err}
	}
	return ReadPage(body, a.Request.URL.String())
}

// ReadPage reads what a web page says of the paper that it is about, in the meta tags
// that Google Scholar asks for, or else in those of Dublin Core and Open Graph. The
// address is that of the page.
func ReadPage(r io.Reader, address string) (shelf.Paper, error) {
	p := shelf.Paper{Source: "web"}
	u, err := url.Parse(address)
	if err != nil || !isWeb(u) || len(address) > 2000 {
		return p, fmt.Errorf("feeds: page at %q: must be an http or https address", cut(address, mostName))
	}
	u.Fragment = ""
	p.URL = u.String()
	p.Slug = slug(p.URL)
	m, err := readMeta(r)
	if err != nil {
		return p, fmt.Errorf("feeds: %s: %w", cut(address, mostName), err)
	}
	if p.Title = cut(plain(m.first("citation_title", "dc.title", "dcterms.title", "og:title")), mostTitle); p.Title == "" {
		return p, fmt.Errorf("feeds: %s does not say which paper it is about: it has no citation_title", cut(address, mostName))
	}
	p.Summary = cut(plain(m.first("citation_abstract", "dcterms.abstract", "dc.description", "dcterms.description", "og:description", "description")), mostSummary)
	p.Authors = m.authors()
	for _, list := range m.all("citation_keywords", "dc.subject", "dcterms.subject", "keywords") {
		for _, t := range strings.FieldsFunc(list, func(c rune) bool { return c == ';' || c == ',' }) {
			if t = cut(plain(t), mostName); t != "" && len(p.Topics) < mostTopics {
				p.Topics = append(p.Topics, t)
			}
		}
	}
	p.Published = m.date()
	return p, nil
}

// meta are the contents of a page's meta tags, by name.
type meta map[string][]string

func readMeta(r io.Reader) (meta, error) {
	m := meta{}
	entries := 0
	z := html.NewTokenizer(io.LimitReader(r, mostPage))
	z.SetMaxBuf(mostTag)
	for entries < mostEntries {
		switch z.Next() {
		case html.ErrorToken:
			if err := z.Err(); err != io.EOF && !errors.Is(err, html.ErrBufferExceeded) {
				return nil, err
			}
			return m, nil
		case html.StartTagToken, html.SelfClosingTagToken:
			tag, more := z.TagName()
			if string(tag) != "meta" {
				continue
			}
			var name, content string
			for more {
				var k, v []byte
				k, v, more = z.TagAttr()
				switch string(k) {
				case "name", "property":
					name = strings.ToLower(strings.TrimSpace(string(v)))
				case "content":
					content = strings.ToValidUTF8(strings.TrimSpace(string(v)), "\uFFFD")
				}
			}
			if name != "" && content != "" {
				m[name] = append(m[name], content)
				entries++
			}
		}
	}
	return m, nil
}

// all are the contents under the first of the names that has some.
func (m meta) all(names ...string) []string {
	for _, n := range names {
		if len(m[n]) > 0 {
			return m[n]
		}
	}
	return nil
}

func (m meta) first(names ...string) string {
	if v := m.all(names...); len(v) > 0 {
		return v[0]
	}
	return ""
}

// authors are the names, each with the family name last: "Doe, Jane" is Jane Doe.
func (m meta) authors() (out []string) {
	for _, list := range m.all("citation_author", "citation_authors", "dc.creator", "dcterms.creator") {
		for n := range strings.SplitSeq(list, ";") {
			n = plain(n)
			if family, given, ok := strings.Cut(n, ","); ok && !strings.Contains(given, ",") {
				n = strings.TrimSpace(given) + " " + strings.TrimSpace(family)
			}
			if n = cut(strings.TrimSpace(n), mostName); n != "" && len(out) < mostAuthors {
				out = append(out, n)
			}
		}
	}
	return out
}

// date is the day of publication, or today.
func (m meta) date() time.Time {
	now := time.Now().UTC()
	for _, text := range m.all("citation_publication_date", "citation_online_date", "citation_date", "dc.date", "dcterms.issued", "article:published_time") {
		text, _, _ = strings.Cut(cmp.Or(text, " "), "T")
		for _, form := range []string{"2006-1-2", "2006-1", "2006", "2 January 2006", "January 2006"} {
			at, err := time.Parse(form, strings.ReplaceAll(text, "/", "-"))
			if err == nil && at.Year() > 1900 && at.Before(now) { // one to come would stay at the head of the feed
				return at
			}
		}
	}
	return now
}
