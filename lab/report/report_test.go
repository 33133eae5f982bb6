package report

import (
	"bytes"
	"encoding/json"
	"image/color"
	"image/png"
	"math"
	"strings"
	"testing"

	"github.com/assay-lab/assay/data"
	"github.com/assay-lab/assay/lab"
)

// small is a run with one of everything: a winner, a tie, a diverged seed, a gap.
func small() (*lab.Experiment, lab.Curves) {
	e := &lab.Experiment{
		Name: "paper/x", Title: "Which is faster?", Help: "On a mixture.",
		Cost: lab.Axis{Name: "NFE"}, Quality: lab.Axis{Name: "error"},
		Params: []lab.Param{{Name: "n", Kind: lab.Int, Help: "starts"}},
		Claims: []lab.Claim{
			{Name: "wins", Text: "a beats b.", Paper: "0.1 against 0.2", Judge: lab.All(lab.Beats("p", "a", "b", 10, 20)...)},
			{Name: "gap", Text: "a beats c.", Judge: lab.All(lab.Beats("p", "a", "c", 30)...)},
		},
	}
	quality := map[string][]float64{"a 10": {0.125, 0.125}, "b 10": {0.5, math.NaN()}, "a 20": {0.01, 0.03}, "b 20": {0.02, 0.02}, "c|d 20": {math.NaN(), math.Inf(1)}}
	var grid []lab.Cell
	for _, m := range []string{"a", "b", "c|d"} {
		for _, b := range []float64{10, 20} {
			for s := range uint64(2) {
				grid = append(grid, lab.Cell{Panel: "p", Method: m, Budget: b, Seed: s})
			}
		}
	}
	c := e.Gather(grid, func(cell lab.Cell) (lab.Result, bool) {
		qs, ok := quality[cell.Method+" "+budget(cell.Budget)]
		if !ok {
			return lab.Result{Err: "exploded"}, true
		}
		o := lab.Outcome{Cost: cell.Budget, Quality: qs[cell.Seed]}
		if cell.Method == "a" {
			o.Metrics = map[string]float64{"steps": 3}
		}
		return lab.Result{Cell: cell, Outcome: o}, true
	})
	return e, c
}

func TestWriteTable(t *testing.T) {
	_, c := small()
	var b strings.Builder
	if err := WriteTable(&b, c, Terminal{}); err != nil {
		t.Fatal(err)
	}
	want := `p: error by NFE
                 10         20
  a           0.125*    0.0200*
  b    diverged 1/2     0.0200*
  c|d             –   diverged
`
	if got := b.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	b.Reset()
	if err := WriteTable(&b, c, Terminal{Color: true, Width: 20}); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(b.String(), "c|d"); n != 2 || !strings.Contains(b.String(), "\x1b[1;32m") {
		t.Errorf("a narrow terminal should get two blocks:\n%s", b.String())
	}
}

func TestWriteMarkdownTable(t *testing.T) {
	_, c := small()
	var b strings.Builder
	if err := WriteMarkdownTable(&b, c); err != nil {
		t.Fatal(err)
	}
	want := `**p: error by NFE**

| method | 10 | 20 |
|:--|--:|--:|
| a | **0.125** | **0.0200** |
| b | diverged 1/2 | **0.0200** |
| c\|d | – | diverged |
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestWriteCSV(t *testing.T) {
	_, c := small()
	var b strings.Builder
	if err := WriteCSV(&b, c); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) != 11 || lines[0] != "panel,method,budget,seed,cost,quality,steps" ||
		lines[1] != "p,a,10,0,10,0.125,3" || lines[6] != "p,b,10,1,10,NaN," || lines[10] != "p,c|d,20,1,20,+Inf," {
		t.Errorf("got\n%s", b.String())
	}
}

func TestWriteJSON(t *testing.T) {
	e, c := small()
	var b bytes.Buffer
	if err := WriteJSON(&b, NewRun(e, lab.Values{"n": "5"}, c)); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Experiment string
		Values     lab.Values
		Results    lab.Curves
		Claims     []struct {
			Name    string
			Verdict lab.Verdict
		}
	}
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Experiment != "paper/x" || got.Values["n"] != "5" || len(got.Results.Curves) != 3 || len(got.Results.Missing) != 2 {
		t.Errorf("got %+v", got)
	}
	if q := got.Results.Curves[1].Points[0].Quality[1]; q == q {
		t.Errorf("a NaN came back as %g", q)
	}
	if len(got.Claims) != 2 || got.Claims[0].Verdict.Status != lab.HoldsInPart || got.Claims[1].Verdict.Status != lab.Undecided {
		t.Errorf("claims %+v", got.Claims)
	}
}

func TestWriteVerdict(t *testing.T) {
	e, c := small()
	r := NewRun(e, nil, c)
	var b strings.Builder
	for i, v := range r.Verdicts {
		if err := WriteVerdict(&b, e.Claims[i], v, Terminal{Width: 60}); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{
		"◐ holds in part  wins\n", "  paper  0.1 against 0.2\n", "  here   1 of 2 comparisons hold:",
		"    ✓ a at NFE 10, p = 0.125, wanted < ∞ (b at NFE 10, p,\n      diverged)\n", "    ✗ a at NFE 20, p = 0.0200, wanted < 0.0200 (b)\n",
		"? undecided  gap\n", "no result of a at NFE 30, p", "c|d at 10, seed 1: exploded",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing from\n%s", want, b.String())
		}
	}
	for line := range strings.SplitSeq(b.String(), "\n") {
		if n := len([]rune(line)); n > 60 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

func TestWriteMarkdown(t *testing.T) {
	e, c := small()
	var b strings.Builder
	if err := WriteMarkdown(&b, NewRun(e, lab.Values{"n": "5"}, c), "my curves.png"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"# Which is faster?\n", "On a mixture.\n", "![error over NFE](<my curves.png>)", "### ◐ wins: holds in part\n",
		"- **Paper:** 0.1 against 0.2\n", "| ✓ | a at NFE 10, p | 0.125 | &lt; ∞ (b at NFE 10, p, diverged) |\n",
		"- p, c|d at 10, seed 0: exploded", "| n | 5 | starts |\n", "| b | diverged 1/2 | **0.0200** |\n",
	} {
		if !strings.Contains(strings.ReplaceAll(b.String(), `\|`, "|"), want) {
			t.Errorf("%q is missing from\n%s", want, b.String())
		}
	}
	keepFile(t, "report.md", []byte(b.String()))
}

func TestImageGrid(t *testing.T) {
	m, err := data.MNIST()
	if err != nil {
		t.Fatal(err)
	}
	x := m.Float32(data.Signed)[:20*784]
	x[3*784] = float32(math.NaN())
	img, err := ImageGrid(x, 20, 1, 28, 28, 8)
	if err != nil {
		t.Fatal(err)
	}
	if b := img.Bounds(); b.Dx() != 8*(84+1)+1 || b.Dy() != 3*(84+1)+1 {
		t.Errorf("%v, want 8 × 3 digits of 84 pixels", b)
	}
	if got := img.At(0, 0); got != (color.RGBA{255, 255, 255, 255}) {
		t.Errorf("gap is %v", got)
	}
	if got := img.At(1, 1); got != (color.RGBA{0, 0, 0, 255}) {
		t.Errorf("-1 is %v", got)
	}
	if got := img.At(1+3*85, 1); got != (color.RGBA{0xd5, 0x5e, 0, 255}) {
		t.Errorf("NaN is %v", got)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	keepFile(t, "grid.png", b.Bytes())

	// Red, green and blue planes.
	if img, err = ImageGrid([]float32{1, -1, 0}, 1, 3, 1, 1, 5); err != nil || img.At(1+seen, 1+seen) != (color.RGBA{255, 0, 128, 255}) {
		t.Errorf("colour: %v, %v", img.At(1+seen, 1+seen), err)
	}
	for name, shape := range map[string][5]int{
		"no images": {0, 1, 1, 1, 1}, "two channels": {1, 2, 1, 1, 1}, "too few pixels": {4, 1, 1, 1, 1},
		"no columns": {3, 1, 1, 1, 0}, "huge": {1 << 40, 1, 1 << 40, 1 << 40, 1}, "negative": {-1, 1, -1, 1, 1},
	} {
		if _, err := ImageGrid(make([]float32, 3), shape[0], shape[1], shape[2], shape[3], shape[4]); err == nil {
			t.Errorf("%s: drawn", name)
		}
	}
}
