package web

import (
	_ "embed"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/runner"
	"github.com/assay-lab/assay/lab/shelf"
	"github.com/assay-lab/assay/lab/store"
	"github.com/assay-lab/assay/papers"
)

//go:embed openapi.json
var openAPI []byte

// apiRoutes are the JSON interface, which openapi.json describes.
func (s *Server) apiRoutes() map[string]func(http.ResponseWriter, *http.Request) error {
	return map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /api":                       s.openAPI,
		"GET /api/visitor":               s.apiVisitor,
		"GET /api/papers":                s.apiPapers,
		"POST /api/papers":               s.apiSubmit,
		"GET /api/papers/{slug}":         s.apiPaper,
		"PUT /api/papers/{slug}/vote":    s.apiVote,
		"DELETE /api/papers/{slug}/vote": s.apiVote,
		"GET /api/compare/{field}":       s.apiCompare,
		"GET /api/runs":                  s.apiRuns,
		"POST /api/runs":                 s.apiStart,
		"GET /api/runs/{id}":             s.apiRun,
		"GET /api/jobs/{id}":             s.apiJob,
		"DELETE /api/jobs/{id}":          s.apiStop,
		"POST /api/subscriptions":        s.apiSubscribe,
		"/api":                           s.apiNone,
		apiRest:                          s.apiNone,
	}
}

// apiRest is the route of what no other takes.
const apiRest = "/api/"

// An apiError is the body of every answer that tells of an error.
type apiError struct {
	Error string `json:"error"`
}

func writeJSON(w http.ResponseWriter, status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, err = w.Write(append(b, '\n'))
	return err
}

func isAPI(r *http.Request) bool {
	return r.URL.Path == "/api" || strings.HasPrefix(r.URL.Path, apiRest)
}

// openAPI describes the JSON interface.
func (s *Server) openAPI(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, err := w.Write(openAPI)
	return err
}

// apiNone answers at addresses that there are not, or not for that method.
func (s *Server) apiNone(w http.ResponseWriter, r *http.Request) error {
	var allowed []string
	for _, m := range []string{"GET", "HEAD", "POST", "PUT", "DELETE"} {
		probe := *r
		probe.Method = m
		if s.isRouted(&probe) {
			allowed = append(allowed, m)
		}
	}
	if allowed == nil {
		return &problem{http.StatusNotFound, "There is no such address: GET /api lists those that there are."}
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	return &problem{http.StatusMethodNotAllowed, "Only " + strings.Join(allowed, ", ") + " can be asked of this address."}
}

// isRouted reports whether there is more than an error at an address of the interface.
func (s *Server) isRouted(r *http.Request) bool {
	pattern := s.patternOf(r)
	return pattern != "/api" && pattern != apiRest
}

// apiVisitor tells who asks, and the token that forms with files need.
func (s *Server) apiVisitor(w http.ResponseWriter, r *http.Request) error {
	return writeJSON(w, http.StatusOK, struct {
		User  string `json:"user,omitempty"`
		Token string `json:"token"`
	}{callerOf(r).user, s.token(visitorOf(r))})
}

func (s *Server) apiPapers(w http.ResponseWriter, r *http.Request) error {
	q, err := queryOf(r)
	if err != nil {
		return err
	}
	found, err := s.cfg.Shelf.Find(r.Context(), q)
	if err != nil {
		return err
	}
	if found.Papers == nil {
		found.Papers = []shelf.Paper{}
	}
	return writeJSON(w, http.StatusOK, found)
}

const noPaper = "There is no such paper."

// apiSubmit adds a paper.
func (s *Server) apiSubmit(w http.ResponseWriter, r *http.Request) error {
	var ask struct {
		ID string `json:"id"`
	}
	if err := readBody(r, &ask); err != nil {
		return err
	}
	slug, isNew, err := s.add(r.Context(), ask.ID)
	if err != nil {
		return err
	}
	p, err := s.cfg.Shelf.Paper(r.Context(), slug, visitorOf(r))
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/api/papers/"+slug)
	status := http.StatusOK
	if isNew {
		status = http.StatusCreated
	}
	return writeJSON(w, status, p)
}

// An apiPage is what the catalogue says of a paper, in Markdown.
type apiPage struct {
	For      string `json:"for"`
	How      string `json:"how"`
	Claim    string `json:"claim"`
	Pitfalls string `json:"pitfalls"`
	Use      string `json:"use"`
}

// apiPaper tells of one paper all that a program needs to run it.
func (s *Server) apiPaper(w http.ResponseWriter, r *http.Request) error {
	p, err := s.cfg.Shelf.Paper(r.Context(), r.PathValue("slug"), visitorOf(r))
	if err != nil {
		return stale(err, noPaper)
	}
	runs, err := s.runsOf(r, p.Slug)
	if err != nil {
		return err
	}
	out := struct {
		shelf.Paper
		Page        *apiPage        `json:"page,omitempty"`
		Experiments []apiExperiment `json:"experiments"`
		Runs        []store.Run     `json:"runs"`
	}{Paper: p, Experiments: []apiExperiment{}, Runs: publics(runs, mostPast)}
	if page, ok := papers.Get(p.Slug); ok {
		out.Page = &apiPage{page.For, page.How, page.Claim, page.Pitfalls, page.Use}
	}
	for _, e := range s.cfg.Experiments(p.Slug) {
		one, err := s.apiExperiment(r, e, runs)
		if err != nil {
			return err
		}
		out.Experiments = append(out.Experiments, one)
	}
	return writeJSON(w, http.StatusOK, out)
}

// apiCompare tells of a comparison what a program needs to run it.
func (s *Server) apiCompare(w http.ResponseWriter, r *http.Request) error {
	e, ok := s.experiment(comparisons + "/" + r.PathValue("field"))
	if !ok {
		return notFound("comparison")
	}
	runs, err := s.runsOf(r, comparisons)
	if err != nil {
		return err
	}
	one, err := s.apiExperiment(r, e, runs)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, struct {
		apiExperiment
		Runs []store.Run `json:"runs"`
	}{one, publics(runs, mostPast)})
}

// An apiExperiment is an experiment with what fills in its form.
type apiExperiment struct {
	Name    string     `json:"name"`
	Title   string     `json:"title"`
	Help    string     `json:"help"`
	Cost    lab.Axis   `json:"cost"`
	Quality lab.Axis   `json:"quality"`
	Params  []apiParam `json:"params"`
	Claims  []apiClaim `json:"claims"`
}

type apiParam struct {
	Name    string              `json:"name"`
	Help    string              `json:"help"`
	Kind    lab.Kind            `json:"kind"`
	Default string              `json:"default"`      // at desk size
	At      map[lab.Size]string `json:"at,omitempty"` // defaults at other sizes
	Min     *float64            `json:"min,omitempty"`
	Max     *float64            `json:"max,omitempty"`
	Choices []string            `json:"choices,omitempty"`
	Accept  []string            `json:"accept,omitempty"`
}

type apiClaim struct {
	Name   string     `json:"name"`
	Text   string     `json:"text"`
	Paper  string     `json:"paper,omitempty"`
	Status lab.Status `json:"status,omitempty"`
	Reason string     `json:"reason,omitempty"`
	Run    string     `json:"run,omitempty"`
}

func (s *Server) apiExperiment(r *http.Request, e *lab.Experiment, runs []store.Run) (apiExperiment, error) {
	out := apiExperiment{Name: e.Name, Title: e.Title, Help: e.Help, Cost: e.Cost, Quality: e.Quality, Params: []apiParam{}, Claims: []apiClaim{}}
	for _, p := range e.Params {
		one := apiParam{Name: p.Name, Help: p.Help, Kind: p.Kind, Default: p.Default, At: p.At, Choices: p.Choices, Accept: p.Accept}
		if p.Min < p.Max {
			one.Min, one.Max = &p.Min, &p.Max
		}
		out.Params = append(out.Params, one)
	}
	rows, err := s.claimRows(r.Context(), []*lab.Experiment{e}, runs)
	for _, c := range rows {
		out.Claims = append(out.Claims, apiClaim{c.Name, c.Text, c.Claim.Paper, c.Status, c.Here, c.Run.ID})
	}
	return out, err
}

// apiVote gives a vote, or takes it back.
func (s *Server) apiVote(w http.ResponseWriter, r *http.Request) error {
	votes, err := s.cfg.Shelf.Vote(r.Context(), r.PathValue("slug"), visitorOf(r), r.Method == http.MethodPut)
	if err != nil {
		return stale(err, noPaper)
	}
	return writeJSON(w, http.StatusOK, struct {
		Votes int `json:"votes"`
	}{votes})
}

// publics are the first runs of a list, as anyone may see them.
func publics(runs []store.Run, most int) []store.Run {
	out := []store.Run{}
	for _, r := range runs[:min(len(runs), most)] {
		out = append(out, public(r))
	}
	return out
}

// apiRuns lists recorded runs, the newest first.
func (s *Server) apiRuns(w http.ResponseWriter, r *http.Request) error {
	limit, query := 20, r.URL.Query()
	if text := query.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 100 {
			return bad("limit = %.80q: must be a whole number from 1 to 100.", text)
		}
		limit = n
	}
	runs, err := s.cfg.Store.Runs(r.Context())
	if err != nil {
		return err
	}
	if name := query.Get("experiment"); name != "" {
		runs = slices.DeleteFunc(runs, func(r store.Run) bool { return r.Experiment != name && slugOf(r.Experiment) != name })
	}
	return writeJSON(w, http.StatusOK, struct {
		Runs []store.Run `json:"runs"`
	}{publics(runs, limit)})
}

func (s *Server) apiRun(w http.ResponseWriter, r *http.Request) error {
	run, _, err := s.load(r)
	if err != nil {
		return err
	}
	c, _, err := s.against(r, run)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, struct {
		store.Run
		Curves     lab.Curves         `json:"curves"`
		Verdicts   []runner.Judged    `json:"verdicts"`
		Comparison *runner.Comparison `json:"comparison,omitempty"`
	}{run.Run, run.Curves, run.Verdicts, c})
}

// apiSubscribe takes the wish for a digest, of every address in the same words.
func (s *Server) apiSubscribe(w http.ResponseWriter, r *http.Request) error {
	var ask struct {
		Address string `json:"address"`
		Period  string `json:"period"`
	}
	if err := readBody(r, &ask); err != nil {
		return err
	}
	if _, _, err := s.wish(r, ask.Address, ask.Period); err != nil {
		return err
	}
	return writeJSON(w, http.StatusAccepted, struct {
		Message string `json:"message"`
	}{"A mail to that address asks to confirm the subscription, which else does not begin."})
}

// An apiJob is a job and how far it is.
type apiJob struct {
	shelf.Job
	Done   int     `json:"done"` // cells, failed ones included
	Total  int     `json:"total"`
	Failed int     `json:"failed"`
	Left   float64 `json:"left"`  // seconds; 0: not known
	Ahead  int     `json:"ahead"` // jobs that come before it
}

func (s *Server) apiJob(w http.ResponseWriter, r *http.Request) error {
	return s.answerJob(w, r, http.StatusOK, r.PathValue("id"))
}

// apiStop stops a run of the reader's own.
func (s *Server) apiStop(w http.ResponseWriter, r *http.Request) error {
	j, err := s.end(r)
	if err != nil {
		return stale(err, noJob)
	}
	return s.answerJob(w, r, http.StatusAccepted, j.ID)
}

const noJob = "There is no such job."

// answerJob tells how far a job is.
func (s *Server) answerJob(w http.ResponseWriter, r *http.Request, status int, id string) error {
	l := s.queue.of(id) // before the job: what ends meanwhile has ended
	j, err := s.cfg.Shelf.Job(r.Context(), id)
	if err != nil {
		return stale(err, noJob)
	}
	out := apiJob{Job: j}
	for name, value := range out.Settings {
		out.Settings[name] = s.unplaced(value)
	}
	switch open := j.State == shelf.Queued || j.State == shelf.Running; {
	case open && l != nil:
		n := l.counts()
		out.State, out.Done, out.Total, out.Failed, out.Left = shelf.Running, n.Done, n.Total, n.Failed, n.Left
	case open: // also one that the end of a server interrupted
		out.State = shelf.Queued
		if out.Ahead, err = s.queue.ahead(r.Context(), id); err != nil {
			return err
		}
	case j.Run != "":
		run, err := s.cfg.Store.Run(r.Context(), j.Run)
		if err != nil && !errors.Is(err, store.ErrNoRun) {
			return err
		}
		out.Done, out.Total, out.Failed = run.Done, run.Cells, run.Failed
	}
	return writeJSON(w, status, out)
}
