package papers

import (
	"bytes"
	"flag"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the table of papers into the README")

// catalogued skips tests of the whole catalogue while a page is malformed, which
// TestCatalogue reports.
func catalogued(t *testing.T) {
	t.Helper()
	if _, err := catalogue(); err != nil {
		t.Skip("a page is malformed: see TestCatalogue")
	}
}

// TestReadme holds the README's table against the catalogue.
func TestReadme(t *testing.T) {
	catalogued(t)
	const name = "../README.md"
	old, err := os.ReadFile(name)
	if os.IsNotExist(err) {
		t.Skip("no README")
	}
	if err != nil {
		t.Fatal(err)
	}
	text, ok := replaceTable(strings.ReplaceAll(string(old), "\r\n", "\n"), Table(All()))
	switch {
	case !ok:
		t.Skip("the README has no markers for the table of papers")
	case text == strings.ReplaceAll(string(old), "\r\n", "\n"):
	case *update:
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Error("README.md: the table of papers is out of date: `go generate ./papers` writes it")
	}
}

func TestTable(t *testing.T) {
	catalogued(t)
	table := Table(All())
	if got, want := strings.Count(table, "\n"), len(All())+2; got != want {
		t.Errorf("%d lines, want %d: a paper is missing or breaks its row", got, want)
	}
	for line := range strings.Lines(table) {
		if n := strings.Count(line, "|") - strings.Count(line, `\|`); n != 5 {
			t.Errorf("%d bars in a row of 4 cells: %s", n, line)
		}
	}
	for _, p := range All() {
		if described := strings.Contains(table, "papers/"+p.Slug+"/paper.md) | "+strings.Join(p.Topics, ", ")+" | `"); described == p.Runnable() {
			t.Errorf("%s: runnable is %t, but the table says otherwise", p.Slug, p.Runnable())
		}
	}
}

func TestReplaceTable(t *testing.T) {
	const readme = "a\n<!-- papers -->\nold\n<!-- /papers -->\nb\n"
	got, ok := replaceTable(readme, "new\n")
	if want := "a\n<!-- papers -->\nnew\n<!-- /papers -->\nb\n"; !ok || got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if again, _ := replaceTable(got, "new\n"); again != got {
		t.Errorf("a second update changes it to %q", again)
	}
	for _, s := range []string{"", "<!-- papers -->", "<!-- /papers --><!-- papers -->"} {
		if got, ok := replaceTable(s, "new"); ok || got != s {
			t.Errorf("%q without markers becomes %q", s, got)
		}
	}
}

var shelf = []Paper{
	{Slug: "deis", Title: "Fast Sampling of Diffusion Models with Exponential Integrator", Topics: []string{"diffusion", "ODE solvers"},
		Authors: []string{"Zhang", "Chen"}, Packages: []string{"diffusion"}, Methods: []string{"tAB-DEIS", "ρRK-DEIS"}, Summary: "Compared with DPM-Solver++."},
	{Slug: "dpm-solver", Title: "DPM-Solver", Topics: []string{"diffusion", "ODE solvers"}, Authors: []string{"Lu"},
		Packages: []string{"diffusion"}, Methods: []string{"DPM-Solver-2"}, Summary: "Ten steps."},
	{Slug: "dpm-solver-pp", Title: "DPM-Solver++: Fast Solver for Guided Sampling", Topics: []string{"diffusion", "guided sampling"},
		Authors: []string{"Lu"}, Packages: []string{"diffusion"}, Methods: []string{"DPM-Solver++(2M)"}, Summary: "Removes noise."},
	{Slug: "mixllm", Title: "MixLLM: LLM Quantization", Topics: []string{"numerics", "quantization"}, Authors: []string{"Müller"},
		Packages: []string{"quant"}, Methods: []string{"MixLLM"}, Summary: "Fewer bits."},
}

func TestSearch(t *testing.T) {
	for _, tt := range []struct {
		name  string
		words []string
		want  string // slugs, in order
	}{
		{"method before summary", []string{"dpm-solver++"}, "dpm-solver-pp deis"},
		{"method without punctuation", []string{"dpmsolver++(2m)"}, "dpm-solver-pp"},
		{"middle of a method's name", []string{"2M"}, "dpm-solver-pp"},
		{"all words must match", []string{"diffusion", "guided"}, "dpm-solver-pp"},
		{"words in one argument", []string{"fast  lu"}, "dpm-solver-pp"},
		{"topic", []string{"ode"}, "deis dpm-solver"},
		{"slug that begins another", []string{"dpm-solver"}, "dpm-solver dpm-solver-pp deis"},
		{"British spelling", []string{"quantisation"}, "mixllm"},
		{"word with the folded letters", []string{"noise"}, "dpm-solver-pp"},
		{"accent", []string{"muller"}, "mixllm"},
		{"Greek letter", []string{"ρrk"}, "deis"},
		{"no words", nil, "deis dpm-solver dpm-solver-pp mixllm"},
		{"only punctuation", []string{"--"}, "deis dpm-solver dpm-solver-pp mixllm"},
		{"nothing", []string{"zebra"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var slugs []string
			for _, h := range search(shelf, tt.words) {
				slugs = append(slugs, h.Paper.Slug)
			}
			if got := strings.Join(slugs, " "); got != tt.want {
				t.Errorf("found %q, want %q", got, tt.want)
			}
		})
	}
	if hits := search(shelf, []string{"2m"}); len(hits) != 1 || hits[0].Where != "DPM-Solver++(2M)" {
		t.Errorf("the match is not said: %+v", hits)
	}
}

func TestNearest(t *testing.T) {
	for _, tt := range []struct{ name, slug, want string }{
		{"letters exchanged", "dies", "deis"},
		{"letter missing", "mixlm", "mixllm"},
		{"hyphens missing", "dpmsolverpp", "dpm-solver-pp dpm-solver"},
		{"beginning", "dpm", "dpm-solver dpm-solver-pp"},
		{"abbreviation", "dpmpp", "dpm-solver-pp"},
		{"method", "2M", "dpm-solver-pp"},
		{"experiment of an unknown paper", "mixlm/guided", "mixllm"},
		{"capitals", "DEIS", "deis"},
		{"nothing near", "zebra", ""},
		{"empty", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := strings.Join(nearest(shelf, tt.slug), " "); got != tt.want {
				t.Errorf("nearest to %q: %q, want %q", tt.slug, got, tt.want)
			}
		})
	}
}

func TestFind(t *testing.T) {
	catalogued(t)
	if p, err := Find("dpm-solver-pp"); err != nil || p.Slug != "dpm-solver-pp" {
		t.Errorf("Find gives %q, %v", p.Slug, err)
	}
	if _, err := Find("dpm-solver-p"); err == nil || !strings.Contains(err.Error(), "did you mean dpm-solver, dpm-solver-pp or ") {
		t.Errorf("error is %v", err)
	}
	if _, err := Find("zebra crossing"); err == nil || !strings.Contains(err.Error(), "assay papers") {
		t.Errorf("error is %v", err)
	}
}

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "ab", 2}, {"ab", "ba", 1}, {"kitten", "sitting", 3}, {"λ", "σ", 1}} {
		if got := distance(tt.a, tt.b); got != tt.want {
			t.Errorf("distance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

var escapes = regexp.MustCompile("\x1b\\[[0-9;]*m")

// Every page at every width keeps within it, and color changes nothing but codes.
func TestRenderFits(t *testing.T) {
	catalogued(t)
	for _, width := range []int{80, 120} {
		for _, p := range All() {
			var plain, colored bytes.Buffer
			if err := Render(&plain, p, width, false); err != nil {
				t.Fatal(err)
			}
			if err := Render(&colored, p, width, true); err != nil {
				t.Fatal(err)
			}
			for i, line := range strings.Split(plain.String(), "\n") {
				if w := textWidth(line); w > width {
					t.Errorf("%s at width %d: line %d has %d columns: %s", p.Slug, width, i+1, w, line)
				}
			}
			bare := escapes.ReplaceAllString(colored.String(), "")
			if rules := regexp.MustCompile(`(?m)^─+\n`); bare != rules.ReplaceAllString(plain.String(), "") {
				t.Errorf("%s at width %d: with and without color differ in more than codes and rules", p.Slug, width)
			}
		}
	}
}

func TestListFits(t *testing.T) {
	catalogued(t)
	for _, width := range []int{60, 80, 120} {
		var b bytes.Buffer
		if err := List(&b, All(), width, false); err != nil {
			t.Fatal(err)
		}
		if err := ListHits(&b, Search([]string{"solver"}), width, false); err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(b.String(), "\n") {
			if w := textWidth(line); w > max(width, 77) { // the lines of commands are not cut
				t.Errorf("width %d: %d columns: %s", width, w, line)
			}
		}
	}
}

func TestParagraph(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"line is full", "aaa bbb ccc", "aaa bbb\nccc\n"},
		{"relation is broken", "aaaaa β = 1 c", "aaaaa\nβ = 1 c\n"},
		{"code is broken", "aaaaa `b c` d", "aaaaa\nb c d\n"},
		{"stop is parted from code", "aaaaaa `b`.", "aaaaaa\nb.\n"},
		{"word longer than the line", "aaaaaaaaaa b", "aaaaaaaaaa\nb\n"},
		{"combining mark counts", "x̂x̂x̂x̂ aaa", "x̂x̂x̂x̂ aaa\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := text{width: 8}
			l.paragraph("", spans(tt.text))
			if got := l.String(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestSpans(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []span
	}{
		{"products are no emphasis", "a*b*c and 2 * 3 * 4", []span{{text: "a*b*c and 2 * 3 * 4"}}},
		{"emphasis before a stop", "is *new*.", []span{{text: "is "}, {style: emphasis, text: "new"}, {text: "."}}},
		{"stars in code", "`a*b*c`", []span{{style: code, text: "a*b*c"}}},
		{"bold", "**a b**", []span{{style: bold, text: "a b"}}},
		{"link", "[it](https://x.org/a)", []span{{style: link, text: "it", url: "https://x.org/a"}}},
		{"interval is no link", "in [0, 1] (closed)", []span{{text: "in [0, 1] (closed)"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := spans(tt.text); !slices.Equal(got, tt.want) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}
