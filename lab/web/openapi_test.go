package web

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

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

// TestOpenAPI: what is described is there, what is there is described, and answers are
// as described, errors too.
func TestOpenAPI(t *testing.T) {
	s := posted(t).site
	s.cfg.Lookup = lookup
	var d description
	var raw any
	if _, text := s.get("/api"); json.Unmarshal([]byte(text), &d) != nil || json.Unmarshal([]byte(text), &raw) != nil {
		t.Fatalf("%s", text)
	}
	for _, to := range refs(raw) {
		at := raw
		for _, step := range strings.Split(strings.TrimPrefix(to, "#/"), "/") {
			m, _ := at.(map[string]any)
			at = m[step]
		}
		if at == nil {
			t.Errorf("nothing is at %s", to)
		}
	}
	described, ids := map[string]operation{}, map[string]bool{}
	for path, ops := range d.Paths {
		for method, op := range ops {
			described[strings.ToUpper(method)+" "+path] = op
			if ids[op.OperationID] || op.OperationID == "" {
				t.Errorf("%s %s: its ID %q is another's", method, path, op.OperationID)
			}
			ids[op.OperationID] = true
		}
	}
	for pattern := range s.apiRoutes() {
		if _, ok := described[pattern]; !ok && pattern != "/api" && pattern != apiRest {
			t.Errorf("%s is not described", pattern)
		}
	}
	first, _ := s.wait(s.begin(nil, map[string][2]string{"file.model": {"a.csv", "1\n"}}))
	ended := s.begin(map[string]string{"set.fail": "true"}, nil)
	second, _ := s.wait(ended)
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if open, err := s.cfg.Shelf.OpenJobs(t.Context()); err == nil && len(open) == 0 {
			break
		}
	}
	long, err := s.cfg.Shelf.AddJob(t.Context(), shelf.Job{Visitor: "ZERO", Experiment: "pndm/toy", Size: "quick", Settings: map[string]string{"wait": "5000"}})
	if err != nil {
		t.Fatal(err)
	}
	called := map[string]bool{}
	for _, tt := range []struct {
		operation, at, body string
		status              int
	}{
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
		{"GET /api/runs/{id}", strings.TrimPrefix(first, "/runs"), "", 200},
		{"GET /api/runs/{id}", strings.TrimPrefix(first, "/runs") + "?against=" + strings.TrimPrefix(second, "/runs/"), "", 200},
		{"GET /api/runs/{id}", strings.TrimPrefix(second, "/runs"), "", 200},
		{"GET /api/runs/{id}", "/none", "", 404},
		{"GET /api/runs/{id}", strings.TrimPrefix(first, "/runs") + "?against=" + strings.TrimPrefix(first, "/runs/"), "", 400},
		{"GET /api/jobs/{id}", "/" + long.ID, "", 200},
		{"GET /api/jobs/{id}", "/none", "", 404},
		{"DELETE /api/jobs/{id}", "/" + long.ID, "", 202},
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
	} {
		called[tt.operation] = true
		op, ok := described[tt.operation]
		if !ok {
			t.Errorf("%s is not described", tt.operation)
			continue
		}
		method, path, _ := strings.Cut(tt.operation, " ")
		switch begin, end, filled := strings.Cut(path, "/{"); {
		case filled && strings.HasPrefix(path, "/api"):
			_, rest, _ := strings.Cut(end, "}")
			path = begin + tt.at + rest
		case filled:
			path = tt.at
		default:
			path += tt.at
		}
		kind := "Accept: */*"
		if tt.body != "" {
			kind = "Content-Type: application/json"
		}
		status, head, text := s.ask(method, path, tt.body, kind, "Cookie: "+s.cookie0().String())
		answer, ok := op.Responses[fmt.Sprint(status)]
		if status != tt.status || !ok {
			t.Errorf("%s: status %d, want %d, described: %v: %.300s", tt.operation, status, tt.status, ok, text)
			continue
		}
		if to, ok := strings.CutPrefix(answer.Ref, "#/components/responses/"); ok {
			answer = d.Components.Responses[to]
		}
		got, _, _ := strings.Cut(head.Get("Content-Type"), ";")
		content, ok := answer.Content[got]
		if !ok {
			t.Errorf("%s: status %d: type %s is not described", tt.operation, status, got)
		}
		var v any
		if s := content.Schema; s.Type != nil || s.Ref != "" {
			if err := json.Unmarshal([]byte(text), &v); err != nil {
				t.Errorf("%s: %v: %.300s", tt.operation, err, text)
			} else if wrong := d.check("", s, v); wrong != "" {
				t.Errorf("%s: status %d: %s in %.500s", tt.operation, status, wrong, text)
			}
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
