package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/runner"
)

// TestJob: a run in a process of its own tells how far it is and its end, and errors
// say what was wrong.
func TestJob(t *testing.T) {
	d := newDesk(t)
	for _, tt := range []struct {
		name   string
		order  job
		status int
		want   []string
	}{
		{"done", job{Experiment: "trial/steady", Size: lab.Quick, Values: lab.Values{"seeds": "2", "wait": "0", "mood": "good", "model": "builtin:normal"}},
			statusDone, []string{`"Done":12,"Failed":0,"Total":12`, `"Last":{`, `{"run":"`}},
		{"an unknown experiment", job{Experiment: "trial/none", Size: lab.Quick}, statusFailed, []string{`{"error":"`}},
		{"too little memory", job{Experiment: "trial/steady", Size: lab.Quick, Values: lab.Values{"seeds": "2", "wait": "2000", "mood": "good", "model": "builtin:normal"}, Memory: 1 << 20},
			statusMemory, nil},
	} {
		b, err := json.Marshal(tt.order)
		if err != nil {
			t.Fatal(err)
		}
		cmd := d.command("job")
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		var out, said strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		in.Write(b)
		cmd.Wait()
		in.Close()
		if got := cmd.ProcessState.ExitCode(); got != tt.status {
			t.Errorf("%s: status %d, want %d: %s", tt.name, got, tt.status, said.String())
		}
		for _, w := range tt.want {
			if !strings.Contains(out.String(), w) {
				t.Errorf("%s: lacks %q:\n%s", tt.name, w, out.String())
			}
		}
	}
	cmd := d.command("job") // whose starter is gone at once
	cmd.Stdin = strings.NewReader(`{"experiment":"trial/steady","size":"quick","values":{"seeds":"9","wait":"3000","mood":"good","model":"builtin:normal"}}`)
	if b, err := cmd.Output(); err == nil || strings.Contains(string(b), `{"run":"`) {
		t.Errorf("it goes on without who started it: %v\n%s", err, b)
	}
}

// TestJobStarter: what becomes of a run in a process of its own is said in words.
func TestJobStarter(t *testing.T) {
	d := newDesk(t)
	t.Setenv("ASSAY_CACHE", d.cache)
	start := func(ctx context.Context, s jobStarter, mood, wait string, progress func(runner.Progress)) (string, error) {
		e := &lab.Experiment{Name: "trial/steady"}
		return s.run(ctx, e, lab.Quick, lab.Values{"seeds": "2", "wait": wait, "mood": mood, "model": "builtin:normal"}, progress)
	}
	told := 0
	id, err := start(t.Context(), jobStarter{binary: binary}, "good", "0", func(p runner.Progress) { told++ })
	if err != nil || len(id) != 10 || told < 3 {
		t.Errorf("run %q, told %d times, %v", id, told, err)
	}
	nothing := func(runner.Progress) {}
	if _, err := start(t.Context(), jobStarter{binary: binary, memory: 1 << 20}, "good", "2000", nothing); err == nil || !strings.Contains(err.Error(), "more than the 1 MB") {
		t.Errorf("too little memory: %v", err)
	}
	if _, err := (jobStarter{binary: binary}).run(t.Context(), &lab.Experiment{Name: "trial/none"}, lab.Quick, nil, nothing); !strings.Contains(fmt.Sprint(err), "does not have it") {
		t.Errorf("an experiment that is not there: %v", err)
	}
	if _, err := start(t.Context(), jobStarter{binary: filepath.Join(d.dir, "none")}, "good", "0", nothing); err == nil {
		t.Error("no binary, and no error")
	}
	why := errors.New("stopped by a reader")
	ctx, cancel := context.WithCancelCause(t.Context())
	if _, err := start(ctx, jobStarter{binary: binary}, "good", "300", func(runner.Progress) { cancel(why) }); !errors.Is(err, why) {
		t.Errorf("stopped: %v", err)
	}
}
