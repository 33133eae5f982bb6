package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/assay-lab/assay/lab"
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
