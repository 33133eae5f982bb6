package main

import (
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/assay-lab/assay/lab"
)

// parseSettings reads the values of --set and --seeds.
func parseSettings(set []string, seeds int) (map[string]string, error) {
	settings := map[string]string{}
	for _, s := range set {
		name, value, ok := strings.Cut(s, "=")
		if name = strings.TrimSpace(name); !ok || name == "" {
			return nil, usagef("", "--set %q: must be name=value", s)
		}
		if _, twice := settings[name]; twice {
			return nil, usagef("", "--set %s is given twice", name)
		}
		settings[name] = value
	}
	if seeds != 0 {
		if seeds < 0 {
			return nil, usagef("", "--seeds = %d: must be positive", seeds)
		}
		if _, twice := settings["seeds"]; twice {
			return nil, usagef("", "--seeds and --set seeds= say the same: give one")
		}
		settings["seeds"] = strconv.Itoa(seeds)
	}
	return settings, nil
}

// A plan is one experiment and the values to run it with.
type plan struct {
	experiment *lab.Experiment
	values     lab.Values
}

// makePlans gives every experiment the settings that it knows. A name that none
// of them knows, and a bad value, are usage errors.
func makePlans(experiments []*lab.Experiment, size lab.Size, settings map[string]string) ([]plan, error) {
	for name := range settings {
		knows := func(e *lab.Experiment) bool { _, ok := e.Param(name); return ok }
		if !slices.ContainsFunc(experiments, knows) {
			return nil, usagef("It has "+strings.Join(paramNames(experiments), ", ")+".", "no parameter %q", name)
		}
	}
	plans := make([]plan, 0, len(experiments))
	for _, e := range experiments {
		own := map[string]string{}
		for name, value := range settings {
			if _, ok := e.Param(name); ok {
				own[name] = value
			}
		}
		values, err := e.Resolve(size, own)
		if err != nil {
			return nil, usagef("See: assay run "+slugOf(e)+" --help", "%v", err)
		}
		if err := checkInputs(e, values); err != nil {
			return nil, err
		}
		plans = append(plans, plan{e, values})
	}
	return plans, nil
}

// checkInputs wants the files that parameters name to be there.
func checkInputs(e *lab.Experiment, values lab.Values) error {
	for _, p := range e.Params {
		path := values[p.Name]
		if p.Kind != lab.Input || strings.HasPrefix(path, "builtin:") || slices.Contains(p.Choices, path) {
			continue
		}
		info, err := os.Stat(path)
		switch {
		case err != nil:
			return usagef(choicesHint(p), "%s = %q: no such file", p.Name, path)
		case info.IsDir():
			return usagef(choicesHint(p), "%s = %q is a folder: must be a file", p.Name, path)
		case len(p.Accept) > 0 && !slices.ContainsFunc(p.Accept, func(end string) bool { return strings.HasSuffix(path, end) }):
			return usagef(choicesHint(p), "%s = %q: must end in %s", p.Name, path, strings.Join(p.Accept, " or "))
		}
	}
	return nil
}

func choicesHint(p lab.Param) string {
	if len(p.Choices) == 0 {
		return ""
	}
	return "Built in: " + strings.Join(p.Choices, ", ") + "."
}

func paramNames(experiments []*lab.Experiment) []string {
	var names []string
	for _, e := range experiments {
		for _, p := range e.Params {
			if !slices.Contains(names, p.Name) {
				names = append(names, p.Name)
			}
		}
	}
	return names
}

// slugOf is the paper that an experiment belongs to, shortOf its name there.
func slugOf(e *lab.Experiment) string {
	slug, _, _ := strings.Cut(e.Name, "/")
	return slug
}

func shortOf(e *lab.Experiment) string {
	_, short, _ := strings.Cut(e.Name, "/")
	return short
}
