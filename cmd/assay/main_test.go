package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// binary is the real command with the trial experiments, built when it is first
// needed into scratch.
var binary, scratch string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if scratch, err = os.MkdirTemp("", "assay-test-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(scratch)
		return m.Run()
	}())
}

var buildOnce = sync.OnceValue(func() error {
	binary = filepath.Join(scratch, "assay")
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	out, err := exec.Command("go", "build", "-tags", "assaytrial", "-o", binary, ".").CombinedOutput()
	if err != nil {
		return fmt.Errorf("building assay: %w\n%s", err, out)
	}
	return nil
})

// A desk is a user's folder and cache, empty at first.
type desk struct {
	t          *testing.T
	dir, cache string
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	if err := buildOnce(); err != nil {
		t.Fatal(err)
	}
	return &desk{t, t.TempDir(), t.TempDir()}
}

func (d *desk) command(args ...string) *exec.Cmd {
	cmd := exec.Command(binary, args...)
	cmd.Dir = d.dir
	cmd.Env = append(os.Environ(), "ASSAY_CACHE="+d.cache)
	return cmd
}

// A result is what a user gets back from a command.
type result struct {
	status         int
	stdout, stderr string
}

func (d *desk) assay(args ...string) result {
	d.t.Helper()
	cmd := d.command(args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		d.t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// must runs a command that has to succeed.
func (d *desk) must(args ...string) string {
	d.t.Helper()
	r := d.assay(args...)
	if r.status != statusDone {
		d.t.Fatalf("assay %s: status %d\n%s%s", strings.Join(args, " "), r.status, r.stdout, r.stderr)
	}
	return r.stdout
}

// read returns a file of the desk's folder.
func (d *desk) read(name ...string) string {
	d.t.Helper()
	b, err := os.ReadFile(filepath.Join(append([]string{d.dir}, name...)...))
	if err != nil {
		d.t.Fatal(err)
	}
	return string(b)
}

func (d *desk) write(name, content string) string {
	d.t.Helper()
	path := filepath.Join(d.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
		d.t.Fatal(err)
	}
	return path
}

func TestUsageErrors(t *testing.T) {
	tests := []struct {
		name string
		args string
		want string // on standard error
	}{
		{"verb misspelt", "rnu trial", "Did you mean: run"},
		{"verb unknown", "frobnicate", `unknown command "frobnicate"`},
		{"no paper", "run", "needs a paper"},
		{"two papers", "run trial trial", "takes only"},
		{"unknown flag", "run trial --sise quick", "--sise"},
		{"unknown paper names the nearest", "run dpm-solver-p", "dpm-solver-pp"},
		{"unknown paper in show", "show dpm-solver-p", "dpm-solver-pp"},
		{"unknown experiment names those there are", "run trial/stedy", "trial/steady"},
		{"unknown size", "run trial --size tiny", "must be quick, desk or full"},
		{"unknown parameter names those there are", "run trial --set colour=red", "wait"},
		{"setting without value", "run trial --set wait", "must be name=value"},
		{"setting given twice", "run trial --set wait=1 --set wait=2", "given twice"},
		{"number expected", "run trial --set wait=long", "not a number"},
		{"out of bounds", "run trial --set wait=-1", "must be from 0 to 60000"},
		{"bad choice", "run trial --set mood=sad", "must be one of good"},
		{"negative seeds", "run trial --seeds -1", "must be positive"},
		{"seeds twice", "run trial --seeds 2 --set seeds=2", "give one"},
		{"negative jobs", "run trial --jobs -2", "must not be negative"},
		{"missing input file", "run trial --set model=none.txt", "no such file"},
		{"unknown run", "export 0123456789", "no run"},
		{"unknown format", "export x --format docx", "must be"},
		{"unknown method lists them", "sample --method dpmpp-9m", "ddim"},
		{"no steps", "sample --steps 0", "steps"},
		{"no samples", "sample --n 0", "n = 0"},
		{"model neither built in nor a file", "sample --model builtin:cats", "builtin:mnist"},
		{"missing model file", "sample --model none.onnx", "no such file"},
		{"unknown network", "train cats", "mnist-denoiser"},
		{"worker without server", "worker", "--nats"},
		{"no address", "run trial --listen 4222", "host:port"},
		{"secret for nobody", "run trial --secret key", "--listen"},
		{"login for no server", "run trial --nats-user me", "--nats"},
		{"two ways for workers", "run trial --nats nats://localhost --listen :4222", "--listen with --nats"},
	}
	d := newDesk(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := d.assay(strings.Fields(tt.args)...)
			if r.status != statusUsage {
				t.Errorf("status %d: want %d\n%s", r.status, statusUsage, r.stderr)
			}
			if !strings.Contains(r.stderr, tt.want) {
				t.Errorf("standard error lacks %q:\n%s", tt.want, r.stderr)
			}
			if r.stdout != "" {
				t.Errorf("standard output must be empty:\n%s", r.stdout)
			}
		})
	}
	if files, _ := os.ReadDir(d.dir); len(files) > 0 {
		t.Errorf("a command that was not understood left %v", files)
	}
}

func TestHelp(t *testing.T) {
	d := newDesk(t)
	for _, verb := range []string{"run", "runs", "export", "papers", "show", "verify", "sample", "train", "quantize", "worker", "doctor", "version", "completion"} {
		t.Run(verb, func(t *testing.T) {
			help := d.must(verb, "--help")
			if verb != "completion" && !strings.Contains(help, "Examples:\n  assay "+verb) {
				t.Errorf("no example:\n%s", help)
			}
			for _, line := range strings.Split(help, "\n") {
				if verb != "completion" && len([]rune(line)) > 80 {
					t.Errorf("wider than 80 columns: %s", line)
				}
			}
		})
	}
	if out := d.must(); !strings.Contains(out, "assay run dpm-solver-pp") {
		t.Errorf("assay without arguments shows no example:\n%s", out)
	}
}
