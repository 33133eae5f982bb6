// Package feeds reads papers from Atom, RSS and JSON feeds. Feeds are hostile input:
// what they say is bounded and taken as text.
package feeds

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mmcdole/gofeed"
	"golang.org/x/net/html"

	"github.com/assay-lab/assay/lab/shelf"
)

// Bounds of what is taken of a feed.
const (
	mostBytes   = 32 << 20
	mostPapers  = 5000
	mostTitle   = 400 // characters
	mostSummary = 4000
	mostTopics  = 12
	mostAuthors = 60
	mostName    = 120
)

// arxivFeed is where arXiv's feed of a category is; tests set it.
var arxivFeed = "https://rss.arxiv.org/atom/"

// arxivEntry is where arXiv's entry of a paper is.
var arxivEntry = "https://export.arxiv.org/api/query?id_list="

var category = regexp.MustCompile(`^[a-z]+(-[a-z]+)*(\.[A-Za-z-]+)?$`)

// Address is where a source is to be found: an http or https URL, or "arxiv:cs.LG" for
// the daily feed of one of arXiv's categories.
func Address(source string) (string, error) {
	if name, ok := strings.CutPrefix(source, "arxiv:"); ok {
		if !category.MatchString(name) {
			return "", fmt.Errorf("feeds: source %q: %q is not a category of arXiv, such as cs.LG", source, name)
		}
		return arxivFeed + name, nil
	}
	u, err := url.Parse(source)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", fmt.Errorf("feeds: source %q: must be an http or https address, or arxiv:CATEGORY", source)
	}
	return source, nil
}

// Fetch reads the papers of a source. A nil client has a limit of a minute.
func Fetch(ctx context.Context, client *http.Client, source string) ([]shelf.Paper, error) {
	address, err := Address(source)
	if err != nil {
		return nil, err
	}
	body, err := get(ctx, client, address)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return Read(body, source)
}

// agent is who we say we are.
const agent = "assay (papers that can be run)"

func get(ctx context.Context, client *http.Client, address string) (io.ReadCloser, error) {
	if client == nil {
		client = &http.Client{Timeout: time.Minute}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("feeds: %s: %w", address, err)
	}
	r.Header.Set("User-Agent", agent)
	r.Header.Set("Accept", "application/atom+xml, application/rss+xml, application/feed+json;q=0.9, application/xml;q=0.8, */*;q=0.1")
	a, err := client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("feeds: %w", err)
	}
	if a.StatusCode != http.StatusOK {
		a.Body.Close()
		return nil, fmt.Errorf("feeds: %s answers %s", address, a.Status)
	}
	return a.Body, nil
}

// Read reads the papers of a feed that came from source. Entries without a title or
// a web address are left out; it is an error if none is left of some.
func Read(r io.Reader, source string) ([]shelf.Paper, error) {
	text, err := io.ReadAll(io.LimitReader(r, mostBytes+1))
	if err != nil {
		return nil, fmt.Errorf("feeds: %s: %w", source, err)
	}
	if len(text) > mostBytes {
		return nil, fmt.Errorf("feeds: %s is longer than %d MB", source, mostBytes>>20)
	}
	f, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("feeds: %s is not an Atom, RSS or JSON feed: %w", source, err)
	}
	if len(f.Items) > mostPapers {
		return nil, fmt.Errorf("feeds: %s has %d entries: at most %d are taken", source, len(f.Items), mostPapers)
	}
	var ps []shelf.Paper
	seen := map[string]bool{}
	for _, it := range f.Items {
		p, ok := paper(it, source)
		if ok && !seen[p.Slug] {
			seen[p.Slug] = true
			ps = append(ps, p)
		}
	}
	if len(ps) == 0 && len(f.Items) > 0 {
		return nil, fmt.Errorf("feeds: %s: none of %d entries has a title and a web address", source, len(f.Items))
	}
	return ps, nil
}

// parse answers for a parser that panics.
func parse(text []byte) (f *gofeed.Feed, err error) {
	defer func() {
		if p := recover(); p != nil {
			f, err = nil, fmt.Errorf("the parser gave up: %v", p)
		}
	}()
	f, err = gofeed.NewParser().Parse(strings.NewReader(string(text)))
	if err == nil && f == nil {
		err = errors.New("it is empty")
	}
	return f, err
}

// announced is what arXiv's feed puts before an abstract.
var announced = regexp.MustCompile(`^arXiv:\S+ Announce Type: \S+ Abstract: `)

func paper(it *gofeed.Item, source string) (p shelf.Paper, ok bool) {
	if it == nil {
		return p, false
	}
	p.Title, p.URL, p.Source = cut(plain(it.Title), mostTitle), address(it), source
	if p.Title == "" || p.URL == "" {
		return p, false
	}
	p.Slug = slug(p.URL)
	text := it.Description
	if text == "" {
		text = it.Content
	}
	p.Summary = cut(announced.ReplaceAllString(plain(text), ""), mostSummary)
	for _, a := range it.Authors {
		if a != nil {
			p.Authors = append(p.Authors, names(a.Name)...)
		}
	}
	if len(p.Authors) == 0 { // Dublin Core in Atom, as arXiv has it
		for _, a := range it.Extensions["dc"]["creator"] {
			p.Authors = append(p.Authors, names(a.Value)...)
		}
	}
	p.Authors = p.Authors[:min(len(p.Authors), mostAuthors)]
	for _, c := range it.Categories {
		if c = cut(plain(c), mostName); c != "" && len(p.Topics) < mostTopics {
			p.Topics = append(p.Topics, c)
		}
	}
	p.Published = time.Now().UTC()
	for _, at := range []*time.Time{it.UpdatedParsed, it.PublishedParsed} {
		// A date to come would stay at the head of the feed.
		if at != nil && at.Year() > 1900 && at.Before(time.Now()) {
			p.Published = at.UTC()
		}
	}
	return p, true
}

// names splits "A. One, B. Two": arXiv's feed has all authors in one name.
func names(s string) (out []string) {
	for n := range strings.SplitSeq(plain(s), ", ") {
		if n = cut(n, mostName); n != "" {
			out = append(out, n)
		}
	}
	return out
}

// address is the web address of an entry: http or https, or none.
func address(it *gofeed.Item) string {
	for _, s := range append([]string{it.Link}, append(it.Links, it.GUID)...) {
		u, err := url.Parse(strings.TrimSpace(s))
		if err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && len(s) < 2000 {
			u.Fragment = ""
			return u.String()
		}
	}
	return ""
}

var arxivID = regexp.MustCompile(`^https?://(?:www\.|export\.)?arxiv\.org/(?:abs|pdf)/([0-9]{4}\.[0-9]{4,5}|[a-z-]+(?:\.[A-Z]{2})?/[0-9]{7})(?:v[0-9]+)?(?:\.pdf)?$`)

// slug is a paper's address here: "arxiv-2501.01234", or a hash of its web address.
func slug(address string) string {
	if m := arxivID.FindStringSubmatch(address); m != nil {
		return "arxiv-" + strings.ToLower(strings.ReplaceAll(m[1], "/", "-"))
	}
	sum := sha256.Sum256([]byte(address))
	return "web-" + hex.EncodeToString(sum[:8])
}

// plain is the text of what may be HTML, in one line.
func plain(s string) string {
	var b strings.Builder
	z := html.NewTokenizer(strings.NewReader(strings.ToValidUTF8(s, "\uFFFD")))
	hidden := 0
	for {
		switch z.Next() {
		case html.ErrorToken:
			return strings.Join(strings.Fields(b.String()), " ")
		case html.TextToken:
			if hidden == 0 {
				b.Write(z.Text())
			}
		case html.StartTagToken:
			if name, _ := z.TagName(); string(name) == "script" || string(name) == "style" {
				hidden++
			}
			b.WriteByte(' ')
		case html.EndTagToken:
			if name, _ := z.TagName(); hidden > 0 && (string(name) == "script" || string(name) == "style") {
				hidden--
			}
			b.WriteByte(' ')
		case html.SelfClosingTagToken:
			b.WriteByte(' ')
		}
	}
}

// cut is s, or its beginning.
func cut(s string, most int) string {
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most-1]) + "…"
}

// Lookup finds one paper by its arXiv identifier ("2211.01095"), or by the address of a
// web page that says in its meta tags which paper it is about. With a nil client, pages
// are read by [Public].
func Lookup(ctx context.Context, client *http.Client, id string) (shelf.Paper, error) {
	id = strings.TrimPrefix(strings.TrimSpace(id), "arXiv:")
	if m := arxivID.FindStringSubmatch(id); m != nil {
		id = m[1]
	} else if strings.Contains(id, "://") {
		return lookupPage(ctx, client, id)
	} else if !bareID.MatchString(id) {
		return shelf.Paper{}, fmt.Errorf("feeds: %q: must be an arXiv identifier, such as 2211.01095, or the address of a paper's page", cut(id, mostName))
	}
	body, err := get(ctx, client, arxivEntry+url.QueryEscape(id))
	if err != nil {
		return shelf.Paper{}, err
	}
	defer body.Close()
	ps, err := Read(body, "arxiv")
	if err != nil {
		return shelf.Paper{}, err
	}
	if len(ps) != 1 || !strings.HasPrefix(ps[0].Slug, "arxiv-") {
		return shelf.Paper{}, fmt.Errorf("feeds: arXiv has no paper %s", id)
	}
	return ps[0], nil
}

var bareID = regexp.MustCompile(`^([0-9]{4}\.[0-9]{4,5}|[a-z-]+(\.[A-Z]{2})?/[0-9]{7})(v[0-9]+)?$`)
