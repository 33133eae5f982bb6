package web

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/assay-lab/assay/lab/shelf"
)

// A description is openapi.json, as far as it is checked.
type description struct {
	Paths      map[string]map[string]operation
	Components struct {
		Schemas   map[string]schema
		Responses map[string]response
	}
}

type operation struct {
	OperationID string
	Responses   map[string]response
}

type response struct {
	Ref     string `json:"$ref"`
	Content map[string]struct{ Schema schema }
}

// A schema is a JSON Schema of the words that the description uses.
type schema struct {
	Ref                  string `json:"$ref"`
	Type                 any
	Required             []string
	Properties           map[string]schema
	AdditionalProperties any
	Items                *schema
	AllOf, OneOf         []schema
	Enum                 []any
}

// whole is a schema with what it refers to and is made of.
func (d *description) whole(s schema) schema {
	parts := s.AllOf
	if name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
		parts = append(parts, d.Components.Schemas[name])
	}
	for _, p := range parts {
		p = d.whole(p)
		s.Required = append(s.Required, p.Required...)
		if s.Properties == nil {
			s.Properties = map[string]schema{}
		}
		maps.Copy(s.Properties, p.Properties)
		if s.Type == nil {
			s.Type, s.Items, s.OneOf, s.Enum, s.AdditionalProperties = p.Type, p.Items, p.OneOf, p.Enum, p.AdditionalProperties
		}
	}
	return s
}

// check says what of a JSON value is not as described: "" for nothing.
func (d *description) check(at string, s schema, v any) string {
	s = d.whole(s)
	if s.OneOf != nil {
		for _, one := range s.OneOf {
			if d.check(at, one, v) == "" {
				return ""
			}
		}
		return fmt.Sprintf("%s = %v: is of none of the types that it may be", at, v)
	}
	if s.Enum != nil && !slices.Contains(s.Enum, v) {
		return fmt.Sprintf("%s = %v: must be one of %v", at, v, s.Enum)
	}
	types, ok := s.Type.([]any)
	if !ok {
		types = []any{s.Type}
	}
	var kind string
	switch v := v.(type) {
	case nil:
		kind = "null"
	case bool:
		kind = "boolean"
	case string:
		kind = "string"
	case float64:
		kind = "number"
		if v == float64(int64(v)) && !slices.Contains(types, any("number")) {
			kind = "integer"
		}
	case []any:
		kind = "array"
		for i, e := range v {
			if wrong := d.check(fmt.Sprint(at, "[", i, "]"), *s.Items, e); wrong != "" {
				return wrong
			}
		}
	case map[string]any:
		if kind = "object"; s.Properties != nil || s.AdditionalProperties != nil {
			if wrong := d.checkObject(at, s, v); wrong != "" {
				return wrong
			}
		}
	}
	if !slices.Contains(types, any(kind)) {
		return fmt.Sprintf("%s is a %s, not %v", at, kind, s.Type)
	}
	return ""
}

func (d *description) checkObject(at string, s schema, v map[string]any) string {
	for _, name := range s.Required {
		if _, ok := v[name]; !ok {
			return at + " lacks " + name
		}
	}
	for name, e := range v {
		p, ok := s.Properties[name]
		if !ok {
			more, ok := s.AdditionalProperties.(map[string]any)
			if !ok {
				return at + "." + name + " is not described"
			}
			text, _ := json.Marshal(more)
			json.Unmarshal(text, &p)
		}
		if wrong := d.check(at+"."+name, p, e); wrong != "" {
			return wrong
		}
	}
	return ""
}

// refs are all references in a JSON value.
func refs(v any) (all []string) {
	switch v := v.(type) {
	case map[string]any:
		for name, e := range v {
			if to, ok := e.(string); ok && name == "$ref" {
				all = append(all, to)
			}
			all = append(all, refs(e)...)
		}
	case []any:
		for _, e := range v {
			all = append(all, refs(e)...)
		}
	}
	return all
}

// describe reads the description, of which all that is referred to must be there.
func describe(s *site) (d description, ops map[string]operation) {
	s.Helper()
	var raw any
	if _, text := s.get("/api"); json.Unmarshal([]byte(text), &d) != nil || json.Unmarshal([]byte(text), &raw) != nil {
		s.Fatalf("%s", text)
	}
	for _, to := range refs(raw) {
		at := raw
		for _, step := range strings.Split(strings.TrimPrefix(to, "#/"), "/") {
			m, _ := at.(map[string]any)
			at = m[step]
		}
		if at == nil {
			s.Errorf("nothing is at %s", to)
		}
	}
	ops, ids := map[string]operation{}, map[string]bool{}
	for path, methods := range d.Paths {
		for method, op := range methods {
			ops[strings.ToUpper(method)+" "+path] = op
			if ids[op.OperationID] || op.OperationID == "" {
				s.Errorf("%s %s: its ID %q is another's", method, path, op.OperationID)
			}
			ids[op.OperationID] = true
		}
	}
	return d, ops
}

// A call is of an operation of the description, at an address that fills in its path, or
// that is a query.
type call struct {
	operation, at, body string
	status              int
}

func (c call) path() (method, path string) {
	method, path, _ = strings.Cut(c.operation, " ")
	switch begin, end, filled := strings.Cut(path, "/{"); {
	case !filled:
		return method, path + c.at
	case strings.HasPrefix(path, "/api"):
		_, rest, _ := strings.Cut(end, "}")
		return method, begin + c.at + rest
	}
	return method, c.at
}

// checkCall calls, and says what is not as described: "" for nothing.
func (s *site) checkCall(d description, op operation, c call) string {
	s.Helper()
	method, path := c.path()
	kind := "Accept: */*"
	if c.body != "" {
		kind = isJSON
	}
	status, head, text := s.ask(method, path, c.body, kind, "Cookie: "+s.cookie0().String())
	answer, ok := op.Responses[fmt.Sprint(status)]
	if status != c.status || !ok {
		return fmt.Sprintf("want %d, described: %v: %.300s", c.status, ok, text)
	}
	if to, ok := strings.CutPrefix(answer.Ref, "#/components/responses/"); ok {
		answer = d.Components.Responses[to]
	}
	got, _, _ := strings.Cut(head.Get("Content-Type"), ";")
	content, ok := answer.Content[got]
	if !ok {
		return "its type " + got + " is not described"
	}
	if content.Schema.Type == nil && content.Schema.Ref == "" {
		return ""
	}
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return fmt.Sprintf("%v: %.300s", err, text)
	}
	if wrong := d.check("body", content.Schema, v); wrong != "" {
		return fmt.Sprintf("%s in %.500s", wrong, text)
	}
	return ""
}

// TestOpenAPI: what is described is there, what is there is described, and answers are
// as described, errors too.
func TestOpenAPI(t *testing.T) {
	s := posted(t).site
	s.cfg.Lookup = lookup
	d, described := describe(s)
	for pattern := range s.apiRoutes() {
		if _, ok := described[pattern]; !ok && pattern != "/api" && pattern != apiRest {
			t.Errorf("%s is not described", pattern)
		}
	}
	first, _ := s.wait(s.begin(nil, map[string][2]string{"file.model": {"a.csv", "1\n"}}))
	ended := s.begin(map[string]string{"set.fail": "true"}, nil)
	second, _ := s.wait(ended)
	long, err := s.cfg.Shelf.AddJob(t.Context(), shelf.Job{Visitor: "ZERO", Experiment: "pndm/toy", Size: "quick", Settings: map[string]string{"wait": "5000"}})
	if err != nil {
		t.Fatal(err)
	}
	called := map[string]bool{}
	for _, c := range calls(first, second, ended, "/"+long.ID) {
		called[c.operation] = true
		op, ok := described[c.operation]
		if !ok {
			t.Errorf("%s is not described", c.operation)
		} else if wrong := s.checkCall(d, op, c); wrong != "" {
			t.Errorf("%s, %s: status %d: %s", c.operation, c.at, c.status, wrong)
		}
	}
	for o := range described {
		if !called[o] {
			t.Errorf("%s is described and not called here", o)
		}
	}
	if _, text := s.get("/metrics"); !strings.Contains(text, `assay_jobs_total{state="done"} 2`) || !strings.Contains(text, "assay_cells_total") ||
		!strings.Contains(text, `pattern="GET /api/runs/{id}"`) {
		t.Errorf("meters:\n%s", text)
	}
}

// calls are of every operation, on two runs, the ended job of the second, and another job.
func calls(first, second, ended, long string) []call {
	one, two := strings.TrimPrefix(first, "/runs"), strings.TrimPrefix(second, "/runs")
	return []call{
		{"GET /api", "", "", 200},
		{"GET /api/visitor", "", "", 200},
		{"GET /api/papers", "?limit=3", "", 200},
		{"GET /api/papers", "?q=nothing+has+these+words", "", 200},
		{"GET /api/papers", "?limit=x", "", 400},
		{"POST /api/papers", "", `{"id":"2601.00001"}`, 201},
		{"POST /api/papers", "", `{"id":"2601.00001"}`, 200},
		{"POST /api/papers", "", `{"id":"0"}`, 400},
		{"GET /api/papers/{slug}", "/pndm", "", 200},
		{"GET /api/papers/{slug}", "/deis", "", 200},
		{"GET /api/papers/{slug}", "/arxiv-2601.00001", "", 200},
		{"GET /api/papers/{slug}", "/nobody", "", 404},
		{"PUT /api/papers/{slug}/vote", "/pndm", "", 200},
		{"PUT /api/papers/{slug}/vote", "/nobody", "", 404},
		{"DELETE /api/papers/{slug}/vote", "/pndm", "", 200},
		{"DELETE /api/papers/{slug}/vote", "/pndm", "{}", 400},
		{"GET /api/compare/{field}", "/toy", "", 200},
		{"GET /api/compare/{field}", "/none", "", 404},
		{"GET /api/runs", "?experiment=pndm", "", 200},
		{"GET /api/runs", "?experiment=deis", "", 200},
		{"GET /api/runs", "?limit=0", "", 400},
		{"POST /api/runs", "", `{"experiment":"pndm/toy","size":"quick","settings":{"wait":5000,"cells":[3]}}`, 202},
		{"POST /api/runs", "", `{"experiment":"pndm/none","size":"quick"}`, 400},
		{"GET /api/runs/{id}", one, "", 200},
		{"GET /api/runs/{id}", one + "?against=" + two[1:], "", 200},
		{"GET /api/runs/{id}", two, "", 200},
		{"GET /api/runs/{id}", "/none", "", 404},
		{"GET /api/runs/{id}", one + "?against=" + one[1:], "", 400},
		{"GET /api/jobs/{id}", long, "", 200},
		{"GET /api/jobs/{id}", "/none", "", 404},
		{"DELETE /api/jobs/{id}", long, "", 202},
		{"DELETE /api/jobs/{id}", "/none", "", 404},
		{"POST /api/subscriptions", "", `{"address":"reader@example.org","period":"daily"}`, 202},
		{"POST /api/subscriptions", "", `{"address":"nobody"}`, 400},
		{"GET /runs/{id}/{file}", first + "/results.csv", "", 200},
		{"GET /runs/{id}/{file}", first + "/none", "", 404},
		{"GET /jobs/{id}/events", ended + "/events", "", 200},
		{"GET /jobs/{id}/events", "/jobs/none/events", "", 404},
		{"GET /api/jobs/{id}", strings.TrimPrefix(ended, "/jobs"), "", 200},
		{"GET /healthz", "", "", 200},
		{"GET /metrics", "", "", 200},
	}
}

// TestMethodNotAllowed: what there is answers to other methods in the interface's words.
func TestMethodNotAllowed(t *testing.T) {
	s := serve(t, configIn(t, t.TempDir()))
	for _, tt := range []struct{ method, path, allow string }{
		{"PATCH", "/api/papers", "GET, HEAD, POST"},
		{"POST", "/api", "GET, HEAD"},
		{"OPTIONS", "/api/runs", "GET, HEAD, POST"},
		{"GET", "/api/subscriptions", "POST"},
		{"POST", "/api/papers/pndm/vote", "PUT, DELETE"},
		{"GET", "/api/papers/pndm/vote", "PUT, DELETE"},
		{"PUT", "/api/jobs/x", "GET, HEAD, DELETE"},
		{"DELETE", "/api/nothing", ""},
		{"GET", "/api/", ""},
		{"GET", "/api/papers/", ""},
		{"POST", "/api/papers/pndm/runs", ""},
	} {
		want := map[bool]int{true: http.StatusNotFound, false: http.StatusMethodNotAllowed}[tt.allow == ""]
		status, head, text := s.ask(tt.method, tt.path, "")
		if status != want || head.Get("Allow") != tt.allow || !strings.HasPrefix(text, `{"error":"`) || head.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s %s: status %d, Allow %q: %s", tt.method, tt.path, status, head.Get("Allow"), text)
		}
	}
}
