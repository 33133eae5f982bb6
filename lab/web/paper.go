package web

import (
	"cmp"
	"errors"
	"fmt"
	"html/template"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/shelf"
	"github.com/assay-lab/assay/lab/store"
	"github.com/assay-lab/assay/papers"
)

// paperView is the page of a paper.
type paperView struct {
	shelf.Paper
	Vote     card
	Page     *papers.Paper // nil for what feeds bring
	Forms    []form
	Claims   []claimRow
	Runs     []pastRun
	Usage    usage
	Rivalry  string // address of the comparison with rivals
	Related  []papers.Paper
	Sections []section
}

type section struct {
	Title string
	Text  template.HTML
}

// A form is an experiment with its parameters.
type form struct {
	*lab.Experiment
	Slug   string
	Label  string // what it is called on its page
	Action string // where it is sent
	Token  string
	Login  string // where to log in before it can be sent; "": need not
	Size   lab.Size
	Open   bool
	Filled bool // by the address
	Fields []field
	Error  string
}

// A field is a parameter with what was typed.
type field struct {
	lab.Param
	ID    string // in the page
	Value string
	Bytes int64 // an upload's limit
}

// Hint says what a field takes.
func (f field) Hint() string {
	var hints []string
	if f.Min < f.Max {
		hints = append(hints, "from "+plain(f.Min)+" to "+plain(f.Max))
	}
	if f.Kind == lab.Ints || f.Kind == lab.Floats {
		hints = append(hints, "several with commas")
	}
	for _, size := range []lab.Size{lab.Quick, lab.Full} {
		if v, ok := f.At[size]; ok {
			hints = append(hints, fmt.Sprintf("%s: %s", size, v))
		}
	}
	return strings.Join(hints, "; ")
}

// plain is a bound without an exponent, unless it is very large.
func plain(x float64) string {
	if math.Abs(x) < 1e12 {
		return strconv.FormatFloat(x, 'f', -1, 64)
	}
	return fmt.Sprint(x)
}

func (s *Server) paper(w http.ResponseWriter, r *http.Request) error {
	return s.showPaper(w, r, http.StatusOK, r.PathValue("slug"), nil)
}

// showPaper shows a paper; wrong is a form that was sent and could not be taken.
func (s *Server) showPaper(w http.ResponseWriter, r *http.Request, status int, slug string, wrong *form) error {
	p, err := s.cfg.Shelf.Paper(r.Context(), slug, visitorOf(r))
	if errors.Is(err, shelf.ErrNotFound) {
		return notFound("paper")
	}
	if err != nil {
		return err
	}
	view := paperView{Paper: p, Vote: card{Paper: p, Token: s.token(visitorOf(r))}}
	if page, ok := papers.Get(slug); ok {
		view.Page = &page
		view.Sections = []section{
			{"What it is for", html(page.For)}, {"How it works", html(page.How)}, {"The claim", html(page.Claim)},
			{"Pitfalls", html(page.Pitfalls)}, {"How to use it", html(page.Use)},
		}
		view.Related, view.Usage, view.Rivalry = related(page, 4), usageOf(page), rivalry(slug)
	}
	es := s.cfg.Experiments(slug)
	for i, e := range es {
		view.Forms = append(view.Forms, s.formIn(r, slug, e, i == 0, wrong))
	}
	runs, err := s.runsOf(r, slug)
	if err != nil {
		return err
	}
	if view.Claims, err = s.claimRows(r.Context(), es, runs); err != nil {
		return err
	}
	view.Runs = s.pastRuns(runs[:min(len(runs), mostPast)])
	return s.show(w, r, status, "paper", view)
}

// formIn is the form of an experiment on a page where wrong, if any, was sent.
func (s *Server) formIn(r *http.Request, slug string, e *lab.Experiment, open bool, wrong *form) form {
	f := s.formOf(slug, e)
	f.Open = open
	if asked := r.URL.Query(); wrong == nil && r.Method == http.MethodGet {
		if name := asked.Get("experiment"); name != "" {
			f.Open = name == e.Name
		}
		if f.Open {
			f.fill(asked)
		}
	}
	if wrong != nil {
		if f.Open = wrong.Name == e.Name; f.Open {
			f = *wrong
		}
	}
	f.Token, f.Login = s.token(visitorOf(r)), s.loginFirst(r)
	return f
}

// fill fills in what the address asks for, as set.NAME and size.
func (f *form) fill(asked url.Values) {
	settings := map[string]string{}
	for i := range f.Fields {
		p := &f.Fields[i]
		value := asked.Get("set." + p.Name)
		switch {
		case value == "":
			continue
		case p.Kind == lab.Input && !slices.Contains(p.Choices, value):
			f.Error = fmt.Sprintf("%s = %q: choose one of %s, or upload a file.", p.Name, value, strings.Join(p.Choices, ", "))
			continue
		}
		p.Value, settings[p.Name], f.Filled = value, value, true
	}
	if s := asked.Get("size"); s != "" {
		size, err := lab.ParseSize(s)
		if err != nil {
			f.Error = err.Error()
			return
		}
		f.Size = size
	}
	if _, err := f.Resolve(f.Size, settings); err != nil {
		f.Error = err.Error()
	}
}

// compareView is the page that compares the methods of a field on one's own model.
type compareView struct {
	Form form
	Runs []pastRun
}

func (s *Server) compare(w http.ResponseWriter, r *http.Request) error {
	return s.showCompare(w, r, http.StatusOK, r.PathValue("field"), nil)
}

func (s *Server) showCompare(w http.ResponseWriter, r *http.Request, status int, field string, wrong *form) error {
	e, ok := s.experiment(comparisons + "/" + field)
	if !ok {
		return notFound("comparison")
	}
	view := compareView{Form: s.formIn(r, comparisons, e, true, wrong)}
	runs, err := s.runsOf(r, comparisons)
	if err != nil {
		return err
	}
	view.Runs = s.pastRuns(runs[:min(len(runs), mostPast)])
	return s.show(w, r, status, "compare", view)
}

func html(text string) template.HTML { return template.HTML(papers.HTML(text)) } // which escapes

func (s *Server) formOf(slug string, e *lab.Experiment) form {
	f := form{Experiment: e, Slug: slug, Label: e.Title, Action: "/papers/" + slug + "/runs", Size: lab.Quick}
	if slug == comparisons {
		f.Label, f.Action = "Model and methods", "/compare/runs"
	}
	for _, p := range e.Params {
		f.Fields = append(f.Fields, field{Param: p, ID: e.Name + "-" + p.Name, Bytes: s.cfg.Upper})
	}
	rank := map[bool]int{true: 1}
	slices.SortStableFunc(f.Fields, func(a, b field) int { // what can be left empty comes last
		return cmp.Compare(rank[a.Default == ""], rank[b.Default == ""])
	})
	return f
}

// mostPast is how many past runs a page lists.
const mostPast = 12

// runsOf lists the runs of a paper, the newest first.
func (s *Server) runsOf(r *http.Request, slug string) ([]store.Run, error) {
	all, err := s.cfg.Store.Runs(r.Context())
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(r store.Run) bool { return slugOf(r.Experiment) != slug }), nil
}

// related are the papers that share the most topics with a page.
func related(p papers.Paper, n int) []papers.Paper {
	all := slices.DeleteFunc(papers.All(), func(q papers.Paper) bool { return q.Slug == p.Slug })
	shared := func(q papers.Paper) int {
		k := 0
		for _, t := range q.Topics {
			if slices.Contains(p.Topics, t) {
				k++
			}
		}
		return k
	}
	slices.SortStableFunc(all, func(a, b papers.Paper) int { return shared(b) - shared(a) })
	all = all[:min(n, len(all))]
	return slices.DeleteFunc(all, func(q papers.Paper) bool { return shared(q) == 0 })
}

// start queues the run that a form asks for.
func (s *Server) start(w http.ResponseWriter, r *http.Request) error {
	slug := cmp.Or(r.PathValue("slug"), comparisons)
	e, ok := s.experiment(r.FormValue("experiment"))
	if !ok || slugOf(e.Name) != slug {
		return bad("The paper has no experiment %q.", r.FormValue("experiment"))
	}
	f := s.formOf(slug, e)
	f.Open = true
	size, err := lab.ParseSize(r.FormValue("size"))
	if err != nil {
		return bad("%v", err)
	}
	f.Size = size
	typed := map[string]string{}
	for i := range f.Fields {
		p := &f.Fields[i]
		p.Value = strings.TrimSpace(r.FormValue("set." + p.Name))
		typed[p.Name] = p.Value
	}
	j, err := s.begin(r, e, size, typed)
	if err != nil {
		return s.refuse(w, r, f, err)
	}
	http.Redirect(w, r, "/jobs/"+j.ID, http.StatusSeeOther)
	return nil
}

// begin queues a run with the settings that a reader typed, of which empty ones are
// those left out, and the files that came with them.
func (s *Server) begin(r *http.Request, e *lab.Experiment, size lab.Size, typed map[string]string) (j shelf.Job, err error) {
	settings := map[string]string{}
	maps.Copy(settings, typed)
	for _, p := range e.Params {
		if p.Kind != lab.Input {
			continue
		}
		path, err := s.upload(r, p)
		switch value := settings[p.Name]; {
		case err != nil:
			return j, err
		case path != "":
			settings[p.Name] = path
		case value != "" && !slices.Contains(p.Choices, value): // never a path that a reader writes
			return j, bad("%s = %q: choose one of %s, or upload a file.", p.Name, value, strings.Join(p.Choices, ", "))
		}
	}
	maps.DeleteFunc(settings, func(name, value string) bool {
		_, known := e.Param(name)
		return known && value == ""
	})
	if err := s.plan(e, size, settings); err != nil {
		return j, bad("%s", s.unplaced(err.Error()))
	}
	return s.queue.add(r.Context(), shelf.Job{Visitor: visitorOf(r), Experiment: e.Name, Size: string(size), Settings: settings})
}

// Bounds of what a reader may ask for.
const (
	mostCells   = 20000
	mostSetting = 2000 // bytes of a setting
)

// plan is [plan], of one reader after the other: a grid may read a model, for which there
// must be memory.
func (s *Server) plan(e *lab.Experiment, size lab.Size, settings map[string]string) error {
	s.planning.Lock()
	defer s.planning.Unlock()
	return plan(e, size, settings)
}

// plan checks that settings give a grid of a size that can be run. Making the grid takes
// memory too, so what multiplies in every grid is multiplied first: lists and seeds.
func plan(e *lab.Experiment, size lab.Size, settings map[string]string) error {
	for name, value := range settings {
		if len(value) > mostSetting {
			return fmt.Errorf("%s is %d bytes long: at most %d are taken", name, len(value), mostSetting)
		}
	}
	v, err := e.Resolve(size, settings)
	if err != nil {
		return err
	}
	cells := 1
	for _, p := range e.Params {
		switch {
		case p.Kind == lab.Ints || p.Kind == lab.Floats:
			cells *= strings.Count(v[p.Name], ",") + 1
		case p.Kind == lab.Int && p.Name == "seeds":
			cells *= max(1, v.Int(p.Name))
		}
		if cells > mostCells {
			return fmt.Errorf("these settings make more than %d cells: take shorter lists, or fewer seeds", mostCells)
		}
	}
	grid, err := e.Grid(v)
	if err != nil {
		return err
	}
	if len(grid) == 0 || len(grid) > mostCells {
		return fmt.Errorf("these settings make %d cells: must be from 1 to %d", len(grid), mostCells)
	}
	return nil
}

// refuse shows the form again with what is wrong with it.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, f form, err error) error {
	p := &problem{}
	if !errors.As(err, &p) || errors.Is(err, errBusy) {
		return err
	}
	f.Error = p.text
	if f.Slug == comparisons {
		return s.showCompare(w, r, p.status, f.Name[len(comparisons)+1:], &f)
	}
	return s.showPaper(w, r, p.status, f.Slug, &f)
}
