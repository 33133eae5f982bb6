package feeds

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// daily has the form of arXiv's Atom feed of a category.
const daily = `<?xml version='1.0' encoding='UTF-8'?>
<feed xmlns:arxiv="http://arxiv.org/schemas/atom" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns="http://www.w3.org/2005/Atom">
<id>http://rss.arxiv.org/atom/cs.LG</id><title>cs.LG updates on arXiv.org</title><updated>2026-01-02T05:00:00+00:00</updated>
<entry><id>oai:arXiv.org:2601.00001v2</id><title>A Sampler with $\alpha &lt; 1$ steps</title><updated>2026-01-02T05:00:00+00:00</updated>
<link href="https://arxiv.org/abs/2601.00001" rel="alternate" type="text/html"/>
<summary>arXiv:2601.00001v2 Announce Type: new
Abstract: We sample.  Fast &amp; well.</summary>
<category term="cs.LG"/><category term="stat.ML"/><published>2026-01-02T00:00:00-05:00</published><dc:creator>Ada One, Ben Two</dc:creator></entry>
<entry><id>oai:arXiv.org:2601.00002v1</id><title>Second</title><updated>2026-01-02T05:00:00+00:00</updated>
<link href="https://arxiv.org/abs/2601.00002v1" rel="alternate"/><summary>x</summary><published>2999-01-01T00:00:00Z</published></entry>
</feed>`

const hostile = `<?xml version="1.0"?><rss version="2.0"><channel><title>evil</title>
<item><title>&lt;script&gt;alert(1)&lt;/script&gt;Title &lt;b&gt;bold&lt;/b&gt;</title><link>https://example.org/a#x</link>
<description><![CDATA[<p onclick="x()">One</p><style>p{}</style><script>steal()</script><p>two &amp; three</p>]]></description></item>
<item><title>No address but</title><link>javascript:alert(1)</link></item>
<item><title></title><link>https://example.org/b</link></item>
<item><title>Twice</title><link>https://example.org/a</link></item>
</channel></rss>`

func TestRead(t *testing.T) {
	ps, err := Read(strings.NewReader(daily), "arxiv:cs.LG")
	if err != nil || len(ps) != 2 {
		t.Fatalf("%d papers, %v", len(ps), err)
	}
	p := ps[0]
	if p.Slug != "arxiv-2601.00001" || p.URL != "https://arxiv.org/abs/2601.00001" || p.Summary != "We sample. Fast & well." ||
		fmt.Sprint(p.Topics) != "[cs.LG stat.ML]" || len(p.Authors) != 2 || p.Published.Format(time.DateOnly) != "2026-01-02" || p.Source != "arxiv:cs.LG" {
		t.Errorf("%+v", p)
	}
	if ps[1].Slug != "arxiv-2601.00002" || ps[1].Published.After(time.Now()) {
		t.Errorf("a date to come is taken: %+v", ps[1])
	}
}

func TestReadHostile(t *testing.T) {
	ps, err := Read(strings.NewReader(hostile), "evil")
	if err != nil || len(ps) != 1 {
		t.Fatalf("%+v, %v", ps, err)
	}
	if p := ps[0]; strings.Contains(p.Title, "<") || p.Summary != "One two & three" || p.URL != "https://example.org/a" {
		t.Errorf("%+v", p)
	}
	long := strings.Replace(hostile, "No address but", strings.Repeat("x", 1<<20), 1)
	long = strings.Replace(long, "javascript:alert(1)", "https://example.org/long", 1)
	if ps, err := Read(strings.NewReader(long), "evil"); err != nil || len(ps) != 2 || len([]rune(ps[1].Title)) != mostTitle {
		t.Errorf("%d papers, %v", len(ps), err)
	}
}

func TestReadErrors(t *testing.T) {
	bomb := `<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">` + strings.Repeat(`<!ENTITY b "&a;&a;&a;">`, 3) + `]><rss><channel><item><title>&b;</title></item></channel></rss>`
	for _, tt := range []struct{ name, text, want string }{
		{"empty", "", "not an Atom"},
		{"page", "<html><body>hello</body></html>", "not an Atom"},
		{"cut", daily[:200], "not an Atom"},
		{"entities", bomb, ""},
		{"no address", `<rss version="2.0"><channel><item><title>x</title></item></channel></rss>`, "none of 1 entries"},
		{"too long", strings.Repeat(" ", mostBytes+1), "longer than 32 MB"},
		{"too many", `<rss version="2.0"><channel>` + strings.Repeat("<item><title>x</title></item>", mostPapers+1) + `</channel></rss>`, "at most 5000"},
	} {
		if ps, err := Read(strings.NewReader(tt.text), "here"); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %d papers, %v", tt.name, len(ps), err)
		}
	}
	for _, s := range []string{"", "file:///etc/passwd", "arxiv:", "arxiv:../x", "ftp://example.org", "http://"} {
		if _, err := Address(s); err == nil {
			t.Errorf("source %q is taken", s)
		}
	}
}

func TestFetch(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/atom/cs.LG", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, daily) })
	mux.HandleFunc("/api", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("id_list") == "2601.00001" {
			fmt.Fprint(w, strings.Replace(daily, "<entry><id>oai:arXiv.org:2601.00002v1", "<nothing><id>", 1))
		} else {
			fmt.Fprint(w, `<feed xmlns="http://www.w3.org/2005/Atom"><title>none</title></feed>`)
		}
	})
	site := httptest.NewServer(mux)
	defer site.Close()
	feed, entry := arxivFeed, arxivEntry
	arxivFeed, arxivEntry = site.URL+"/atom/", site.URL+"/api?id_list="
	defer func() { arxivFeed, arxivEntry = feed, entry }()

	if ps, err := Fetch(t.Context(), nil, "arxiv:cs.LG"); err != nil || len(ps) != 2 {
		t.Errorf("%d papers, %v", len(ps), err)
	}
	if _, err := Fetch(t.Context(), nil, site.URL+"/gone"); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("%v", err)
	}
	if _, err := Lookup(t.Context(), nil, "2601.99999"); err == nil || !strings.Contains(err.Error(), "no paper") {
		t.Errorf("%v", err)
	}
	if _, err := Lookup(t.Context(), nil, "../etc"); err == nil || !strings.Contains(err.Error(), "identifier") {
		t.Errorf("%v", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(daily)
	f.Add(hostile)
	f.Add(`{"version":"https://jsonfeed.org/version/1","title":"x","items":[{"id":"1","url":"https://example.org","title":"t"}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		ps, err := Read(strings.NewReader(text), "fuzz")
		if err != nil {
			return
		}
		for _, p := range ps {
			if p.Slug == "" || p.Title == "" || !strings.HasPrefix(p.URL, "http") || len([]rune(p.Title)) > mostTitle {
				t.Fatalf("%+v", p)
			}
		}
	})
}
