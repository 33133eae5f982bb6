package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/assay-lab/assay/lab/store"
)

// TestRunsDiff: two runs of an experiment are compared, by the beginnings of their ids.
func TestRunsDiff(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.must("run", "trial", "--size", "quick")
	d.must("run", "trial", "--size", "quick", "--seeds", "4", "--set", "mood=fails")
	var runs []store.Run
	if err := json.Unmarshal([]byte(d.must("runs", "--json")), &runs); err != nil || len(runs) != 2 {
		t.Fatalf("%v, %d runs", err, len(runs))
	}
	out := d.must("runs", "diff", runs[0].ID[:5], runs[1].ID)
	for _, want := range []string{"mood   fails", "seeds  4", "a-wins  holds", "missing", "Points compared: 5 equal, 1 that only one run has."} {
		if !strings.Contains(strings.Join(strings.Fields(out), " "), strings.Join(strings.Fields(want), " ")) {
			t.Errorf("lacks %q:\n%s", want, out)
		}
	}
	var doc struct{ Points []struct{ Finding string } }
	if err := json.Unmarshal([]byte(d.must("runs", "diff", runs[0].ID, runs[1].ID, "--json")), &doc); err != nil || len(doc.Points) != 6 {
		t.Errorf("JSON: %v, %+v", err, doc)
	}
	for args, want := range map[string]string{runs[0].ID: "two runs", runs[0].ID + " zzz": `no run "zzz"`, runs[0].ID + " " + runs[0].ID: "both are run"} {
		if r := d.assay(append([]string{"runs", "diff"}, strings.Fields(args)...)...); r.status != statusUsage || !strings.Contains(r.stderr, want) {
			t.Errorf("%s: status %d, want %q in\n%s", args, r.status, want, r.stderr)
		}
	}
}
