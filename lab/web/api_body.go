package web

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/assay-lab/assay/lab"
)

// readBody reads the JSON object that a request brings.
func readBody(r *http.Request, into any) error {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return bodyProblem(err)
	}
	return parseBody(text, into)
}

// parseBody reads one JSON object, all fields of which must be known.
func parseBody(text []byte, into any) error {
	if !bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("{")) {
		return bad("The body must be a JSON object.")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil {
		if _, err := d.Token(); err != io.EOF {
			return bad("The body goes on after its JSON object.")
		}
		return nil
	}
	p, wrong := (*problem)(nil), (*json.UnmarshalTypeError)(nil)
	field, unknown := strings.CutPrefix(err.Error(), "json: unknown field ")
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &wrong):
		return bad("%s: must be %s, not %s.", cmp.Or(wrong.Field, "The body"), jsonKind(wrong.Type), wrong.Value)
	case unknown:
		return bad("There is no field %.80s here: it has %s.", field, strings.Join(fieldsOf(into), ", "))
	}
	return bad("The body is not JSON: %.200v.", err)
}

// jsonKind is what JSON calls a type.
func jsonKind(t reflect.Type) string {
	if t.Kind() == reflect.String {
		return "a string"
	}
	return "an object"
}

// fieldsOf are the JSON names of a struct's fields.
func fieldsOf(pointer any) (names []string) {
	t := reflect.TypeOf(pointer).Elem()
	for i := range t.NumField() {
		names = append(names, t.Field(i).Tag.Get("json"))
	}
	return names
}

// A runAsk is a run that a program asks for.
type runAsk struct {
	Experiment string   `json:"experiment"`
	Size       string   `json:"size"`
	Settings   settings `json:"settings"`
}

// settings are values of parameters as a form has them, as text. In JSON they may also
// be numbers, true or false, and lists.
type settings map[string]string

func (s *settings) UnmarshalJSON(text []byte) error {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(text, &raw); err != nil {
		return bad("settings: must be an object.")
	}
	*s = settings{}
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		value, ok := settingOf(raw[name])
		if !ok {
			return bad("settings: %.80q must be a string, a number, true or false, or a list of these.", name)
		}
		(*s)[name] = value
	}
	return nil
}

// settingOf is a JSON value as one types it; lists have no lists in them.
func settingOf(value json.RawMessage) (string, bool) {
	text, list := "", []json.RawMessage(nil)
	switch value[0] { // it is valid, so there is one
	case 'n', '{':
		return "", false
	case '"':
		return text, json.Unmarshal(value, &text) == nil
	case '[':
		if json.Unmarshal(value, &list) != nil {
			return "", false
		}
	default:
		return string(value), true
	}
	var parts []string
	for _, v := range list {
		part, ok := settingOf(v)
		if !ok || v[0] == '[' {
			return "", false
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ","), true
}

// askOf reads which run is asked for, as JSON, or as a form of the same fields with files.
func askOf(r *http.Request) (ask runAsk, err error) {
	if r.MultipartForm == nil {
		return ask, readBody(r, &ask)
	}
	for _, name := range slices.Sorted(maps.Keys(r.MultipartForm.Value)) {
		values := r.MultipartForm.Value[name]
		if len(values) != 1 {
			return ask, bad("%.80s is there %d times.", name, len(values))
		}
		switch name {
		case "experiment":
			ask.Experiment = values[0]
		case "size":
			ask.Size = values[0]
		case "settings":
			if err := json.Unmarshal([]byte(values[0]), &ask.Settings); err != nil {
				if p := (*problem)(nil); errors.As(err, &p) {
					return ask, p
				}
				return ask, bad("settings: must be a JSON object, such as {\"seeds\": 4}.")
			}
		default:
			return ask, bad("There is no field %.80q here: it has %s, and file.NAME for a file.", name, strings.Join(fieldsOf(&ask), ", "))
		}
	}
	return ask, nil
}

// checkFiles refuses files that no parameter takes.
func checkFiles(r *http.Request, e *lab.Experiment) error {
	if r.MultipartForm == nil {
		return nil
	}
	for _, field := range slices.Sorted(maps.Keys(r.MultipartForm.File)) {
		name, ok := strings.CutPrefix(field, "file.")
		if p, found := e.Param(name); !ok || !found || p.Kind != lab.Input {
			return bad("The file %.80q is for no parameter of %s that takes one: its field must be named file.NAME.", field, e.Name)
		}
		if n := len(r.MultipartForm.File[field]); n != 1 {
			return bad("%s is there %d times.", field, n)
		}
	}
	return nil
}

// apiStart queues a run.
func (s *Server) apiStart(w http.ResponseWriter, r *http.Request) error {
	ask, err := askOf(r)
	if err != nil {
		return err
	}
	e, ok := s.experiment(ask.Experiment)
	if !ok {
		return bad("experiment = %.80q: must be the name of one, such as those of GET /api/papers/{slug}.", ask.Experiment)
	}
	size, err := lab.ParseSize(ask.Size)
	if err != nil {
		return bad("%.200v.", err)
	}
	if err := checkFiles(r, e); err != nil {
		return err
	}
	j, err := s.begin(r, e, size, ask.Settings)
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/api/jobs/"+j.ID)
	return s.answerJob(w, r, http.StatusAccepted, j.ID)
}
