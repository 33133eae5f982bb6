package main

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-lab/assay/diffusion"
)

func TestSearchSchedule(t *testing.T) {
	d := newDesk(t)
	args := []string{"search", "schedule", "--model", "builtin:overlap8", "--nfe", "4", "--budget", "150", "--starts", "16", "--out", "s.json"}
	out := d.must(args...)
	for _, want := range []string{"RMS error with 4 evaluations on 32 new samples", "found ", "best of 36", "Schedule  s.json"} {
		if !strings.Contains(out, want) {
			t.Errorf("does not say %q:\n%s", want, out)
		}
	}
	first := d.read("s.json")
	s, err := diffusion.ParseSolverSchedule([]byte(first))
	if err != nil || s.NFE() != 4 || len(s.Alpha) != len(s.Times) || !strings.Contains(s.Note, "builtin:overlap8") {
		t.Errorf("the file: %v\n%s", err, first)
	}
	if again := d.must(args...); again != out || d.read("s.json") != first {
		t.Errorf("the same seed finds another schedule:\n%s", again)
	}
	// It was made for another noise schedule than the network's.
	if r := d.assay("sample", "--schedule-file", "s.json"); r.status != statusUsage || !strings.Contains(r.stderr, "made for another noise schedule") {
		t.Errorf("status %d: %s", r.status, r.stderr)
	}
}

// TestSampleFromSchedule searches on a network and draws with what is found.
func TestSampleFromSchedule(t *testing.T) {
	if testing.Short() {
		t.Skip("evaluates a network")
	}
	d := newDesk(t)
	d.must("search", "schedule", "--nfe", "3", "--budget", "40", "--starts", "2", "--new", "2", "--truth", "10", "--label", "3", "--guidance", "2", "--out", "s.json")
	out := d.must("sample", "--schedule-file", "s.json", "--label", "3", "--guidance", "2", "--n", "2")
	if x := d.npy("samples.npy"); x.Shape[0] != 2 || !strings.Contains(out, "samples.png") {
		t.Errorf("shape %v:\n%s", x.Shape, out)
	}
	// DDIM written as a schedule draws what the method of that name draws.
	s, err := diffusion.ParseSolverSchedule([]byte(d.read("s.json")))
	if err != nil {
		t.Fatal(err)
	}
	ddim, err := json.Marshal(diffusion.RepeatDecision(diffusion.Decision{}, true, s.Times[0], s.Times[len(s.Times)-1]))
	if err != nil {
		t.Fatal(err)
	}
	d.write("ddim.json", string(ddim))
	d.must("sample", "--schedule-file", "ddim.json", "--n", "1", "--out", "a.png")
	d.must("sample", "--method", "ddim", "--steps", "1", "--n", "1", "--out", "b.png")
	a, b := d.npy("a.npy").Data.([]float32), d.npy("b.npy").Data.([]float32)
	for i, x := range b {
		if y := a[i]; math.Abs(float64(x-y)) > 1e-4 { // roundings of float32
			t.Fatalf("pixel %d is %g as a schedule, %g as a method", i, y, x)
		}
	}
	for _, tt := range []struct{ name, args, text, want string }{
		{"steps beside a schedule", "--steps 5", "", "decides that itself"},
		{"method beside a schedule", "--method ddim", "", "decides that itself"},
		{"no file", "", "-", "no such file"},
		{"no schedule", "", "{}", "0 steps"},
		{"statistics for nothing", "--statistics x.safetensors", `{"times":[0.9,0.1],"steps":[{}]}`, "takes no statistics"},
		{"no statistics", "", `{"times":[0.9,0.1],"steps":[{"form":"v3"}]}`, "need --statistics FILE"},
		{"two thresholds", "--clip 1 --threshold 0.9", `{"times":[0.9,0.1],"steps":[{}]}`, "give one"},
	} {
		file := "s.json"
		switch tt.text {
		case "":
		case "-":
			file = "absent.json"
		default:
			file = "other.json"
			d.write(file, tt.text)
		}
		r := d.assay(append([]string{"sample", "--schedule-file", file, "--n", "1"}, strings.Fields(tt.args)...)...)
		if r.status != statusUsage || !strings.Contains(r.stderr, tt.want) {
			t.Errorf("%s: status %d, want %q: %s", tt.name, r.status, tt.want, r.stderr)
		}
	}
}

func TestSearchRefuses(t *testing.T) {
	d := newDesk(t)
	for _, tt := range []struct{ name, args, want string }{
		{"no evaluations", "--nfe 0", "--nfe = 0: must be at least 1"},
		{"a budget below the standard solvers", "--budget 20", "36 standard solvers"},
		{"unknown predictor", "--predictor lstm", "must be gp, gru or none"},
		{"guidance without labels", "--guidance 3", "guidance needs labels"},
		{"no such label", "--label 12", "from 0 to 9"},
		{"statistics that are not there", "--statistics absent.safetensors", "no such file"},
	} {
		r := d.assay(append([]string{"search", "schedule"}, strings.Fields(tt.args)...)...)
		if r.status != statusUsage || !strings.Contains(r.stderr, tt.want) {
			t.Errorf("%s: status %d, want %q: %s", tt.name, r.status, tt.want, r.stderr)
		}
		if _, err := os.Stat(filepath.Join(d.dir, "schedule.json")); err == nil {
			t.Fatal("a file was written")
		}
	}
}
