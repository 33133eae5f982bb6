// Package report shows what a run has found: curves as pictures, tables for a
// terminal, Markdown, CSV and JSON, verdicts, and grids of images.
//
// A colour means the same method in every picture. Methods that diverged are
// shown as such, never left out.
package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/assay-lab/assay/lab"
)

// A Run is what there is to report.
type Run struct {
	Experiment *lab.Experiment
	Values     lab.Values
	Curves     lab.Curves
	Verdicts   []lab.Verdict // of Experiment.Claims, in their order
}

// NewRun judges the claims of an experiment on its curves.
func NewRun(e *lab.Experiment, v lab.Values, c lab.Curves) Run {
	r := Run{Experiment: e, Values: v, Curves: c}
	for _, cl := range e.Claims {
		r.Verdicts = append(r.Verdicts, cl.Verdict(c))
	}
	return r
}

// Advice is what the experiment advises on these curves, nothing if it does not.
func (r Run) Advice() lab.Advice {
	if r.Experiment.Advise == nil {
		return lab.Advice{}
	}
	return r.Experiment.Advise(r.Values, r.Curves)
}

func (r Run) title() string {
	if r.Experiment.Title != "" {
		return r.Experiment.Title
	}
	return r.Experiment.Name
}

// WriteMarkdown writes a report of the whole run. The picture is the address of
// the figure, as the report's readers would find it; "" leaves it out.
func WriteMarkdown(w io.Writer, r Run, picture string) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# %s\n\n", escape(r.title()))
	if r.Experiment.Help != "" {
		fmt.Fprintf(&b, "%s\n\n", r.Experiment.Help)
	}
	if picture != "" {
		fmt.Fprintf(&b, "![%s over %s](<%s>)\n\n", escape(r.Curves.Quality.Name), escape(r.Curves.Cost.Name), picture)
	}
	writeMarkdownAdvice(&b, r.Advice())
	if len(r.Verdicts) > 0 {
		b.WriteString("## Claims\n\n")
	}
	for i, v := range r.Verdicts {
		if err := WriteMarkdownVerdict(&b, r.Experiment.Claims[i], v); err != nil {
			return err
		}
		b.WriteString("\n")
	}
	b.WriteString("## Results\n\nMeans over the seeds; the best of a column is bold.\n\n")
	if err := WriteMarkdownTable(&b, r.Curves); err != nil {
		return err
	}
	if len(r.Experiment.Params) > 0 {
		fmt.Fprintf(&b, "\n## Settings\n\nExperiment `%s`.\n\n| setting | value | meaning |\n|:--|:--|:--|\n", r.Experiment.Name)
		for _, p := range r.Experiment.Params {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", escape(p.Name), escape(r.Values[p.Name]), escape(p.Help))
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

func writeMarkdownAdvice(b *bytes.Buffer, a lab.Advice) {
	if len(a.Lines) == 0 {
		return
	}
	b.WriteString("## Recommendation\n\n")
	for _, line := range a.Lines {
		fmt.Fprintf(b, "- %s\n", escape(line))
	}
	b.WriteString("\n")
	if len(a.Commands) > 0 {
		fmt.Fprintf(b, "```\n%s\n```\n\n", strings.Join(a.Commands, "\n"))
	}
}

// WriteJSON writes the whole run: settings, curves with every seed, verdicts.
// Infinite and NaN numbers are the strings "+Inf", "-Inf" and "NaN".
func WriteJSON(w io.Writer, r Run) error {
	type claim struct {
		Name    string      `json:"name"`
		Text    string      `json:"text"`
		Paper   string      `json:"paper,omitempty"`
		Verdict lab.Verdict `json:"verdict"`
	}
	claims := make([]claim, len(r.Verdicts))
	for i, v := range r.Verdicts {
		cl := r.Experiment.Claims[i]
		claims[i] = claim{cl.Name, cl.Text, cl.Paper, v}
	}
	var advice *lab.Advice
	if r.Experiment.Advise != nil {
		a := r.Advice()
		advice = &a
	}
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	e.SetEscapeHTML(false)
	return e.Encode(struct {
		Experiment string     `json:"experiment"`
		Title      string     `json:"title"`
		Values     lab.Values `json:"values"`
		Results    lab.Curves `json:"results"`
		Claims     []claim    `json:"claims"`

		Advice *lab.Advice `json:"advice,omitempty"`
	}{r.Experiment.Name, r.title(), r.Values, r.Curves, claims, advice})
}
