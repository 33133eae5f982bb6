package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/assay-lab/assay/lab"
)

// TestAPIAttacks: what is refused changes nothing.
func TestAPIAttacks(t *testing.T) {
	const run = `{"experiment":"pndm/toy","size":"quick"}`
	kind, body := parts([2]string{"experiment", "pndm/toy"}, [2]string{"size", "quick"}, [2]string{"file.model", "1\n"})
	const evil, password = "Origin: https://evil.example", "Authorization: Basic YWRhOng=" // ada:x
	for _, tt := range []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		want                     string
	}{
		{"JSON as text", "POST", "/api/runs", run, []string{"Content-Type: text/plain"}, 415, "must be application/json"},
		{"JSON as a form", "POST", "/api/runs", run, []string{"Content-Type: application/x-www-form-urlencoded"}, 415, ""},
		{"JSON of no type", "POST", "/api/runs", run, nil, 415, ""},
		{"JSON as a parameter of text", "POST", "/api/runs", run, []string{"Content-Type: text/plain; application/json"}, 415, ""},
		{"two types in one", "POST", "/api/runs", run, []string{"Content-Type: text/plain, application/json"}, 415, ""},
		{"two types", "POST", "/api/runs", run, []string{isJSON, "Content-Type: text/plain"}, 415, ""},
		{"a type like JSON", "POST", "/api/runs", run, []string{isJSON + "x"}, 415, ""},
		{"JSON in another charset", "POST", "/api/runs", run, []string{isJSON + "; charset=utf-16"}, 415, ""},
		{"compressed JSON", "POST", "/api/runs", "\x1f\x8b", []string{isJSON, "Content-Encoding: gzip"}, 415, "compressed"},
		{"another site's JSON", "POST", "/api/runs", run, []string{isJSON, evil}, 403, "another site"},
		{"another site's, as the browser says", "POST", "/api/runs", run, []string{isJSON, "Sec-Fetch-Site: cross-site"}, 403, "another site"},
		{"another site's, of one domain", "POST", "/api/runs", run, []string{isJSON, "Sec-Fetch-Site: same-site"}, 403, "another site"},
		{"a page without an origin", "POST", "/api/runs", run, []string{isJSON, "Origin: null"}, 403, "another site"},
		{"another site's vote", "PUT", "/api/papers/pndm/vote", "", []string{evil}, 403, "another site"},
		{"another site's stop", "DELETE", "/api/jobs/x", "", []string{evil}, 403, "another site"},
		{"a vote by POST", "POST", "/api/papers/pndm/vote", "", nil, 405, "PUT, DELETE"},
		{"a vote by a POST that says it is a PUT", "POST", "/api/papers/pndm/vote?_method=PUT", "", []string{"X-HTTP-Method-Override: PUT"}, 405, ""},
		{"a form with a cookie alone", "POST", "/api/runs", body, []string{kind}, 403, "X-CSRF-Token"},
		{"a form with a false token", "POST", "/api/runs", body, []string{kind, "X-CSRF-Token: AAAA"}, 403, "X-CSRF-Token"},
		{"a form with a password where there are none", "POST", "/api/runs", body, []string{kind, password}, 403, "X-CSRF-Token"},
		{"a form where there are no files", "POST", "/api/papers", body, []string{kind, "X-CSRF-Token: TOKEN"}, 415, ""},
		{"another site's form with a token", "POST", "/api/runs", body, []string{kind, "X-CSRF-Token: TOKEN", evil}, 403, "another site"},
		{"a form with its token in the body", "POST", "/api/runs", strings.Replace(body, "--b--", "--b\r\nContent-Disposition: form-data; name=\"token\"\r\n\r\nTOKEN\r\n--b--", 1), []string{kind}, 403, "X-CSRF-Token"},
		{"a body where there is none", "PUT", "/api/papers/pndm/vote", "{}", []string{isJSON}, 400, "no body"},
		{"a body of a GET", "GET", "/api/papers", "{}", []string{isJSON}, 400, "no body"},
	} {
		s := serve(t, configIn(t, t.TempDir()))
		token := s.token0()
		headers := []string{"Cookie: " + s.cookie0().String()}
		for _, h := range tt.headers {
			headers = append(headers, strings.Replace(h, "TOKEN", token, 1))
		}
		status, head, text := s.ask(tt.method, tt.path, strings.Replace(tt.body, "TOKEN", token, 1), headers...)
		if status != tt.status || !strings.Contains(text, tt.want) || !isAPIError(text) || head.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: status %d, want %d and %q in %s", tt.name, status, tt.status, tt.want, text)
		}
		if open, err := s.cfg.Shelf.OpenJobs(t.Context()); err != nil || len(open) != 0 {
			t.Errorf("%s: %d jobs, %v", tt.name, len(open), err)
		}
		if p, err := s.cfg.Shelf.Paper(t.Context(), "pndm", ""); err != nil || p.Votes != 0 {
			t.Errorf("%s: %d votes, %v", tt.name, p.Votes, err)
		}
		s.stop()
	}
}

func isAPIError(text string) bool {
	var e apiError
	return json.Unmarshal([]byte(text), &e) == nil && e.Error != ""
}

// TestAPIBodies: what is wrong with a body is said by name.
func TestAPIBodies(t *testing.T) {
	s := serve(t, configIn(t, t.TempDir()))
	set := func(settings string) string {
		return `{"experiment":"pndm/toy","size":"quick","settings":` + settings + `}`
	}
	for _, tt := range []struct {
		name, body string
		status     int
		want       string
	}{
		{"nothing", "", 400, "must be a JSON object"},
		{"null", "null", 400, "must be a JSON object"},
		{"a list", "[]", 400, "must be a JSON object"},
		{"no JSON", "{experiment}", 400, "not JSON"},
		{"half", `{"experiment":"pndm/toy"`, 400, "not JSON"},
		{"two objects", set("{}") + "{}", 400, "goes on after"},
		{"an unknown field", `{"experiment":"pndm/toy","visitor":"me"}`, 400, `no field \"visitor\" here: it has experiment, size, settings`},
		{"a long unknown field", `{"` + strings.Repeat("x", 60000) + `":1}`, 400, "no field"},
		{"a number for a name", `{"experiment":1}`, 400, "experiment: must be a string, not number"},
		{"no experiment", `{"size":"quick"}`, 400, `experiment = \"\"`},
		{"no such experiment", `{"experiment":"../pndm/toy","size":"quick"}`, 400, `experiment = \"../pndm/toy\"`},
		{"no size", `{"experiment":"pndm/toy"}`, 400, `size = \"\": must be quick, desk or full`},
		{"settings as a list", set("[1]"), 400, "settings: must be an object"},
		{"settings in settings", set(`{"wait":{"x":1}}`), 400, `settings: \"wait\" must be`},
		{"lists in lists", set(`{"wait":[[1]]}`), 400, `settings: \"wait\" must be`},
		{"null for a setting", set(`{"wait":null}`), 400, `settings: \"wait\" must be`},
		{"an unknown setting", set(`{"speed":1}`), 400, `no parameter \"speed\"`},
		{"an unknown setting left empty", set(`{"speed":""}`), 400, `no parameter \"speed\"`},
		{"a setting out of bounds", set(`{"wait":-1}`), 400, "must be from 0 to 10000"},
		{"a path for a file", set(`{"model":"/etc/passwd"}`), 400, "or upload a file"},
		{"a relative path for a file", set(`{"model":"builtin:../x"}`), 400, "or upload a file"},
		{"a path in a list", set(`{"model":["/etc/passwd"]}`), 400, "or upload a file"},
		{"a grid that is too large", set(`{"cells":1000000}`), 400, "cells"},
		{"deep lists", set(strings.Repeat("[", 30000) + strings.Repeat("]", 30000)), 400, "not JSON"},
		{"deep objects", strings.Repeat(`{"settings":`, 5000), 400, "not JSON"},
		{"64 KB and more", set(`{"wait":"` + strings.Repeat("1", 70<<10) + `"}`), 413, "at most 64 KB"},
	} {
		status, _, text := s.ask("POST", "/api/runs", tt.body, isJSON)
		if status != tt.status || !strings.Contains(text, tt.want) || !isAPIError(text) || len(text) > 1000 {
			t.Errorf("%s: status %d, want %d and %q in %.1000s", tt.name, status, tt.status, tt.want, text)
		}
	}
	if open, err := s.cfg.Shelf.OpenJobs(t.Context()); err != nil || len(open) != 0 {
		t.Errorf("%d jobs, %v", len(open), err)
	}
}

// TestAPIForms: a form has the fields of the JSON object, and files for parameters.
func TestAPIForms(t *testing.T) {
	s := serve(t, configIn(t, t.TempDir()))
	type field = [2]string
	name, quick, file := field{"experiment", "pndm/toy"}, field{"size", "quick"}, field{"file.model", "1\n"}
	for _, tt := range []struct {
		name   string
		fields []field
		status int
		want   string
	}{
		{"a file", []field{name, quick, file}, 202, `"model":"mine.csv"`},
		{"no file", []field{name, quick, {"settings", `{"cells": [2]}`}}, 202, `"cells":"2"`},
		{"an unknown field", []field{name, quick, {"set.wait", "1"}}, 400, `no field \"set.wait\"`},
		{"a field twice", []field{name, quick, name}, 400, "experiment is there 2 times"},
		{"a file twice", []field{name, quick, file, file}, 400, "file.model is there 2 times"},
		{"a file for nothing", []field{name, quick, {"file.none", "1"}}, 400, `\"file.none\" is for no parameter`},
		{"a file for a number", []field{name, quick, {"file.wait", "1"}}, 400, `\"file.wait\" is for no parameter`},
		{"settings that are none", []field{name, quick, {"settings", "wait=1"}}, 400, "settings: must be a JSON object"},
		{"settings that end another's", []field{name, quick, {"settings", `{},"size":"full"`}}, 400, "settings: must be a JSON object"},
		{"a setting of no type", []field{name, quick, {"settings", `{"wait":{}}`}}, 400, `settings: \"wait\" must be`},
		{"a path", []field{name, quick, {"settings", `{"model":"/etc/passwd"}`}}, 400, "or upload a file"},
		{"a file and a path", []field{name, quick, file, {"settings", `{"model":"/etc/passwd"}`}}, 202, `"model":"mine.csv"`},
		{"a file that is too large", []field{name, quick, {"file.model", strings.Repeat("1", 3<<20)}}, 413, "too large"},
		{"nothing", nil, 400, `experiment = \"\"`},
	} {
		kind, body := parts(tt.fields...)
		status, _, text := s.ask("POST", "/api/runs", body, kind, "X-CSRF-Token: "+s.token0(), "Cookie: "+s.cookie0().String())
		if status != tt.status || !strings.Contains(text, tt.want) || status >= 400 && !isAPIError(text) {
			t.Errorf("%s: status %d, want %d and %q in %s", tt.name, status, tt.status, tt.want, text)
		}
	}
}

// TestAPIPasswords: passwords cannot be tried out, and cross no network in the clear. What
// browsers send of themselves, cookies and passwords alike, is not enough.
func TestAPIPasswords(t *testing.T) {
	s := withLogins(t)
	const run = `{"experiment":"pndm/toy","size":"quick","settings":{"wait":5000}}`
	kind, body := parts([2]string{"experiment", "pndm/toy"}, [2]string{"size", "quick"})
	hash, _ := s.passwords.hash("ada")
	session := "Cookie: " + (&http.Cookie{Name: sessionCookie, Value: s.session("ada", hash, s.cfg.Shelf.Now().Add(sessionTime))}).String()
	for _, tt := range []struct {
		name, body string
		headers    []string
		status     int
	}{
		{"a wrong password", run, []string{isJSON, "Authorization: " + basic("ada", "x")}, 401},
		{"a wrong password beside a session", run, []string{isJSON, session, "Authorization: " + basic("ada", "x")}, 401},
		{"nobody", run, []string{isJSON, "Authorization: " + basic("", "")}, 401},
		{"a name that nobody has", run, []string{isJSON, "Authorization: " + basic("eve", secret)}, 401},
		{"a long name", run, []string{isJSON, "Authorization: " + basic(strings.Repeat("a", 5000), secret)}, 401},
		{"another way to log in", run, []string{isJSON, "Authorization: Bearer x"}, 401},
		{"no base64", run, []string{isJSON, "Authorization: Basic !"}, 401},
		{"no colon", run, []string{isJSON, "Authorization: Basic YWRh"}, 401},
		{"another site's form with the user's password", body, []string{kind, "Authorization: " + basic("ada", secret), "Origin: https://evil.example"}, 403},
		{"another site's form that is not logged in", body, []string{kind, "Sec-Fetch-Site: cross-site"}, 403}, // and asks for no password
		{"a form with a session alone", body, []string{kind, session}, 403},
		{"a form with nothing", body, []string{kind}, 401},
		{"a form with another's token", body, []string{kind, session, "X-CSRF-Token: " + s.token0()}, 403},
		{"a session", run, []string{isJSON, session}, 202},
		{"a form with a session and its token", body, []string{kind, session, "X-CSRF-Token: " + s.Server.token("user:ada")}, 202},
	} {
		status, head, text := s.ask("POST", "/api/runs", tt.body, tt.headers...)
		if status != tt.status || status >= 400 && !isAPIError(text) || (status == 401) != (head.Get("WWW-Authenticate") != "") {
			t.Errorf("%s: status %d, want %d: %v %s", tt.name, status, tt.status, head, text)
		}
	}
	try := func(from, name, password string) (int, string) {
		r := httptest.NewRequest("POST", "/api/runs", strings.NewReader(run))
		r.RemoteAddr = from
		r.Header.Set("Content-Type", "application/json")
		r.SetBasicAuth(name, password)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	if status, text := try("203.0.113.9:1", "ada", secret); status != http.StatusForbidden || !strings.Contains(text, "HTTPS only") {
		t.Errorf("in the clear: status %d: %s", status, text)
	}
	last, text := 0, ""
	for range loginBurst {
		last, text = try("127.0.0.1:1", "bob", "wrong password")
	}
	if last != http.StatusTooManyRequests || !strings.Contains(text, "Too many logins") {
		t.Errorf("many passwords: status %d: %s", last, text)
	}
}

// TestAPIRates: who asks too much is told so in the interface's words, and a wrong name.
func TestAPIRates(t *testing.T) {
	s := serve(t, configIn(t, t.TempDir()))
	last, text := 0, ""
	for range writeBurst + 20 {
		last, _, text = s.ask("PUT", "/api/papers/pndm/vote", "")
	}
	if last != http.StatusTooManyRequests || !isAPIError(text) {
		t.Errorf("status %d: %s", last, text)
	}
	if status, _, text := s.raw("GET /api/papers HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"); status != http.StatusMisdirectedRequest || !isAPIError(text) {
		t.Errorf("status %d: %s", status, text)
	}
	head := "POST /api/runs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
	if status, _, text := s.another().raw(head + strconv.Itoa(1<<40) + "\r\n\r\n{"); status != http.StatusTooManyRequests || !isAPIError(text) {
		t.Errorf("status %d: %s", status, text)
	}
}

// TestAPIQueue: more than so many jobs do not wait.
func TestAPIQueue(t *testing.T) {
	cfg := configIn(t, t.TempDir())
	cfg.Queue = 2
	s := serve(t, cfg)
	for i := range 5 {
		status, _, text := s.ask("POST", "/api/runs", fmt.Sprintf(`{"experiment":"pndm/toy","size":"quick","settings":{"wait":%d}}`, 5000+i), isJSON)
		if want := map[bool]int{true: 202, false: 503}[i < 3]; status != want || (status == 503) != isAPIError(text) {
			t.Errorf("%d: status %d, want %d: %s", i, status, want, text)
		}
	}
}

// FuzzAPIBody: a body gives a run that the experiment has, or a problem that can be told.
func FuzzAPIBody(f *testing.F) {
	for _, text := range []string{`{"experiment":"pndm/toy","size":"quick","settings":{"wait":5,"cells":[1,2],"fail":true,"model":"builtin:one"}}`, `{"settings":{"a":[[1]]}}`,
		`{"settings":null}`, `{"id":"2211.01095"}`, "{}", "[", `{"experiment":1e999}`, `{"settings":{"a":"\ud800"}}`, "{}{}"} {
		f.Add([]byte(text))
	}
	e := toy()
	f.Fuzz(func(t *testing.T, text []byte) {
		var ask runAsk
		if err := parseBody(text, &ask); err != nil {
			p := (*problem)(nil)
			if !errors.As(err, &p) || p.status != http.StatusBadRequest || p.text == "" || len(p.text) > 1000 {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		if _, err := e.Resolve(lab.Quick, ask.Settings); err == nil {
			for name := range ask.Settings {
				if _, ok := e.Param(name); !ok {
					t.Fatalf("%q: %s is taken", text, name)
				}
			}
		}
	})
}
