package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/runner"
)

// A job is a run in a process of its own, which assay serve starts: with a lower
// priority, so that pages come first, and a bound on its memory.
type job struct {
	Experiment string     `json:"experiment"`
	Size       lab.Size   `json:"size"`
	Values     lab.Values `json:"values"`
	Jobs       int        `json:"jobs"`   // cells at once; 0: one a core
	Memory     int64      `json:"memory"` // bytes; 0: no bound
}

// A jobLine is what a job tells, one JSON document a line: how far it is, or its end.
type jobLine struct {
	Progress *runner.Progress `json:"progress,omitempty"`
	Run      string           `json:"run,omitempty"`   // the ID of the run, which is done
	Error    string           `json:"error,omitempty"` // why it is not
}

func (c *console) jobCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "job",
		Short:  "Run what assay serve asks for on standard input",
		Hidden: true,
		Args:   takes(0, 0, ""),
		RunE:   func(cmd *cobra.Command, _ []string) error { return c.job(cmd.Context(), os.Stdin) },
	}
}

// job is assay job. It ends when its input does: then who asked is gone.
func (c *console) job(ctx context.Context, in io.Reader) error {
	var j job
	if err := json.NewDecoder(in).Decode(&j); err != nil {
		return usagef("It is assay serve that starts jobs.", "standard input is no job: %v", err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		io.Copy(io.Discard, in)
		cancel(errInterrupted)
	}()
	if err := lowerPriority(); err != nil {
		c.note("the priority stays: %v", err)
	}
	watchMemory(j.Memory)
	out := json.NewEncoder(c.out)
	id, err := c.runJob(ctx, j, func(p runner.Progress) {
		if p.Last != nil { // files are in the store
			last := *p.Last
			last.Outcome.Files = nil
			p.Last = &last
		}
		out.Encode(jobLine{Progress: &p})
	})
	if err != nil {
		out.Encode(jobLine{Error: err.Error()})
		return errReported
	}
	return out.Encode(jobLine{Run: id})
}

func (c *console) runJob(ctx context.Context, j job, progress func(runner.Progress)) (string, error) {
	e, err := experimentNamed(j.Experiment)
	if err != nil {
		return "", err
	}
	st, err := c.openStore(ctx)
	if err != nil {
		return "", err
	}
	defer st.Close()
	run, err := (&runner.Runner{Store: st, Jobs: j.Jobs, Progress: progress}).Run(ctx, e, j.Size, j.Values)
	if err != nil {
		return "", err
	}
	return run.ID, nil
}

// statusMemory is the exit status of a job that took too much memory.
const statusMemory = 3

// watchMemory ends the process when it holds more than so many bytes. Garbage is
// collected the harder the nearer it comes to them.
func watchMemory(most int64) {
	if most <= 0 {
		return
	}
	debug.SetMemoryLimit(most / 10 * 9)
	go func() {
		for range time.Tick(50 * time.Millisecond) {
			if memoryTaken() > most {
				os.Exit(statusMemory)
			}
		}
	}()
}

// A jobStarter starts jobs.
type jobStarter struct {
	binary string // path of assay; "": this one
	jobs   int    // cells at once
	memory int64  // bytes
}

// A head keeps the beginning of what is written.
type head struct{ bytes.Buffer }

func (h *head) Write(p []byte) (int, error) {
	const most = 4096
	h.Buffer.Write(p[:min(len(p), most-h.Len())])
	return len(p), nil
}

// run runs an experiment in a process of its own.
func (s jobStarter) run(ctx context.Context, e *lab.Experiment, size lab.Size, v lab.Values, progress func(runner.Progress)) (string, error) {
	if s.binary == "" {
		self, err := os.Executable()
		if err != nil {
			return "", err
		}
		s.binary = self
	}
	order, err := json.Marshal(job{Experiment: e.Name, Size: size, Values: v, Jobs: s.jobs, Memory: s.memory})
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, s.binary, "job")
	cmd.SysProcAttr = ownGroup()
	var said head
	cmd.Stderr = &said
	in, err := cmd.StdinPipe()
	if err != nil {
		return "", err
	}
	defer in.Close()
	// A job that is told to stop keeps what it has done.
	cmd.Cancel = in.Close
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	if _, err := in.Write(append(order, '\n')); err != nil {
		return "", errors.Join(err, cmd.Wait())
	}
	end := followJob(out, progress)
	err = cmd.Wait()
	switch {
	case end.Run != "":
		return end.Run, nil
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case end.Error != "":
		return "", errors.New(end.Error)
	case cmd.ProcessState.ExitCode() == statusMemory:
		return "", fmt.Errorf("it needed more than the %d MB of memory that a run may take here: ask for fewer or smaller samples at once, or a smaller model", s.memory>>20)
	}
	first, _, _ := strings.Cut(said.String(), "\n")
	return "", fmt.Errorf("its process ended: %w: %s", err, cmp.Or(first, "it said nothing"))
}

// followJob reads what a job tells until its end.
func followJob(out io.Reader, progress func(runner.Progress)) (end jobLine) {
	for lines := json.NewDecoder(out); ; {
		var line jobLine
		if err := lines.Decode(&line); err != nil {
			return end
		}
		if line.Progress == nil {
			end = line
			continue
		}
		progress(*line.Progress)
	}
}
