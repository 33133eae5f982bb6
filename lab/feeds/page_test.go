package feeds

import (
	"compress/gzip"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
)

const paperPage = `<!doctype html><html><head><title>Journal</title>
<meta name="citation_title" content="On &lt;i&gt;Fast&lt;/i&gt; Samplers &amp;amp; Steps">
<meta name="citation_author" content="One, Ada"><meta name="citation_author" content="Ben Two">
<meta name="citation_publication_date" content="2024/03/05"><meta name="citation_keywords" content="diffusion; ODE">
<META NAME="Citation_Abstract" CONTENT="<p>We sample.</p><script>x()</script> Well."/>
<meta name="description" content="a journal"></head><body>text</body></html>`

func TestReadPage(t *testing.T) {
	for _, tt := range []struct{ name, page, want string }{
		{"tags of Google Scholar", paperPage, `On Fast Samplers & Steps|[Ada One Ben Two]|We sample. Well.|[diffusion ODE]|2024-03-05`},
		{"Dublin Core", `<meta name="DC.Title" content="T"><meta name="DC.creator" content="Doe, Jane"><meta name="dc.date" content="2019"><meta name="DC.subject" content="a, b">`,
			`T|[Jane Doe]||[a b]|2019-01-01`},
		{"Open Graph", `<meta property="og:title" content="T"><meta property="og:description" content="D"><meta property="article:published_time" content="2020-02-03T04:05:06Z">`,
			`T|[]|D|[]|2020-02-03`},
		{"a title in the body is a title too", `<p><meta name=citation_title content=T></p><meta name="citation_date" content="March 2021">`, `T|[]||[]|2021-03-01`},
		{"a date to come is today", `<meta name=citation_title content=T><meta name=citation_date content=2999/01/01>`, `T|[]||[]|` + time.Now().UTC().Format(time.DateOnly)},
	} {
		p, err := ReadPage(strings.NewReader(tt.page), "https://example.org/p#x")
		got := fmt.Sprint(p.Title, "|", p.Authors, "|", p.Summary, "|", p.Topics, "|", p.Published.Format(time.DateOnly))
		if err != nil || got != tt.want || p.URL != "https://example.org/p" || p.Source != "web" || !strings.HasPrefix(p.Slug, "web-") {
			t.Errorf("%s: %s, want %s; %+v, %v", tt.name, got, tt.want, p, err)
		}
	}
}

func TestReadPageErrors(t *testing.T) {
	for _, tt := range []struct{ name, address, page, want string }{
		{"no tags", "https://example.org", "<title>T</title>", "no citation_title"},
		{"empty", "https://example.org", "", "no citation_title"},
		{"a title without text", "https://example.org", `<meta name=citation_title content="<b></b>">`, "no citation_title"},
		{"a tag without end", "https://example.org", `<meta name="citation_title" content="` + strings.Repeat("x", 1<<20), "no citation_title"},
		{"beyond what is read", "https://example.org", strings.Repeat(" ", mostPage) + paperPage, "no citation_title"},
		{"too many tags before it", "https://example.org", strings.Repeat(`<meta name=a content=b>`, mostEntries) + paperPage, "no citation_title"},
		{"script address", "javascript:alert(1)", paperPage, "http or https"},
		{"address with a password", "https://a:b@example.org/", paperPage, "http or https"},
	} {
		if p, err := ReadPage(strings.NewReader(tt.page), tt.address); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %+v, %v", tt.name, p, err)
		}
	}
}

// TestPublic: nothing but the public internet is taken for it.
func TestPublic(t *testing.T) {
	for _, a := range []string{
		"0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.9.9.9", "169.254.169.254", "172.16.0.1", "172.31.255.255",
		"192.0.0.1", "192.0.2.1", "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "255.255.255.255", "240.0.0.1",
		"::", "::1", "::ffff:8.8.8.8", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::8.8.8.8", "64:ff9b:1::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%lo",
		"fec0::1", "ff02::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::1", "3fff::1", "2606:4700::1%eth0",
	} {
		if public(netip.MustParseAddr(a)) {
			t.Errorf("%s is taken for public", a)
		}
	}
	for _, a := range []string{"8.8.8.8", "100.63.0.1", "100.128.0.1", "172.32.0.1", "151.101.1.1", "2606:4700::1111", "2a00:1450:4001::1", "2001:4860:4860::8888"} {
		if !public(netip.MustParseAddr(a)) {
			t.Errorf("%s is not taken for public", a)
		}
	}
	if public(netip.Addr{}) {
		t.Error("no address is taken for public")
	}
	for to, want := range map[string]bool{"8.8.8.8:80": true, "8.8.8.8:443": true, "8.8.8.8:22": false, "[2606:4700::1111]:6379": false} {
		if err := onlyPublic(netip.MustParseAddrPort(to)); (err == nil) != want {
			t.Errorf("%s: %v", to, err)
		}
	}
}

// TestPublicClient: no way leads to a server of this machine, whatever its name.
func TestPublicClient(t *testing.T) {
	asked := 0
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked++; fmt.Fprint(w, paperPage) }))
	defer site.Close()
	t.Setenv("HTTP_PROXY", site.URL)
	port := site.URL[strings.LastIndex(site.URL, ":"):]
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]", "2130706433", "0x7f.1", "127.1"} {
		for _, port := range []string{port, ""} {
			_, err := Lookup(t.Context(), nil, "http://"+host+port+"/")
			if why := (*unread)(nil); !errors.As(err, &why) || strings.Contains(err.Error(), "public") {
				t.Errorf("%s%s: %v", host, port, err)
			}
		}
	}
	if asked != 0 {
		t.Errorf("it was asked %d times", asked)
	}
}

// TestLookupPage: pages are read by a client that may reach one server of this machine
// and no other.
func TestLookupPage(t *testing.T) {
	secret := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, paperPage) }))
	defer secret.Close()
	mux := http.NewServeMux()
	site := httptest.NewServer(mux)
	defer site.Close()
	page := func(path string, h http.HandlerFunc) { mux.HandleFunc(path, h) }
	to := func(where string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, where, http.StatusFound) }
	}
	page("/paper", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, paperPage) })
	page("/latin", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=iso-8859-1")
		fmt.Fprint(w, "<meta name=citation_title content=\"Caf\xe9\">")
	})
	page("/moved", to("/paper"))
	page("/loop", to("/loop"))
	page("/inside", to(secret.URL))
	page("/file", to("file:///etc/passwd"))
	page("/userinfo", to("http://a:b@"+site.Listener.Addr().String()+"/paper"))
	page("/pdf", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/pdf")
		fmt.Fprint(w, paperPage)
	})
	page("/bomb", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		for range 1 << 10 { // 64 MB
			if _, err := z.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
		z.Close()
	})
	client := clientFor(func(a netip.AddrPort) error {
		if a.String() != site.Listener.Addr().String() {
			return errors.New("not this one")
		}
		return nil
	})
	for path, want := range map[string]string{"/paper": "/paper", "/moved": "/paper"} {
		if p, err := Lookup(t.Context(), client, site.URL+path); err != nil || p.URL != site.URL+want || p.Title != "On Fast Samplers & Steps" {
			t.Errorf("%s: %+v, %v", path, p, err)
		}
	}
	if p, err := Lookup(t.Context(), client, site.URL+"/latin"); err != nil || p.Title != "Café" {
		t.Errorf("latin-1: %q, %v", p.Title, err)
	}
	for path, want := range map[string]string{
		"/gone": "cannot be read", "/loop": "cannot be read", "/inside": "cannot be read", "/file": "cannot be read", "/userinfo": "cannot be read",
		"/pdf": "application/pdf", "/bomb": "no citation_title",
	} {
		if p, err := Lookup(t.Context(), client, site.URL+path); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), secret.URL) {
			t.Errorf("%s: %+v, %v", path, p, err)
		}
	}
	for _, id := range []string{"ftp://example.org/", "file:///etc/passwd", "gopher://127.0.0.1/", "http://", "https://user@example.org/"} {
		if _, err := Lookup(t.Context(), client, id); err == nil || !strings.Contains(err.Error(), "http or https") {
			t.Errorf("%s: %v", id, err)
		}
	}
}

// TestFetchBomb: a feed that unpacks to more than is taken is an error.
func TestFetchBomb(t *testing.T) {
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		for range mostBytes>>20 + 8 {
			if _, err := z.Write(make([]byte, 1<<20)); err != nil {
				return
			}
		}
		z.Close()
	}))
	defer site.Close()
	if _, err := Fetch(t.Context(), nil, site.URL); err == nil || !strings.Contains(err.Error(), "longer than 32 MB") {
		t.Errorf("%v", err)
	}
}

func FuzzReadPage(f *testing.F) {
	f.Add(paperPage)
	f.Add(`<meta name=citation_title content=T><meta name=citation_author content=",;a,b,c"><meta name=citation_date content=2024/1>`)
	f.Add("<meta content='&#0;&lt;'name=og:title><!--<script><meta")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ReadPage(strings.NewReader(text), "https://example.org/")
		if err != nil {
			return
		}
		if p.Title == "" || len([]rune(p.Title)) > mostTitle || len([]rune(p.Summary)) > mostSummary || len(p.Authors) > mostAuthors ||
			len(p.Topics) > mostTopics || p.Published.After(time.Now()) || strings.ContainsAny(p.Title, "\n\r\x00") {
			t.Fatalf("%+v", p)
		}
	})
}
