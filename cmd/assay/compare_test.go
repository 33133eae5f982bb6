package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/assay-lab/assay/compare"
)

func TestCompareMixture(t *testing.T) {
	d := newDesk(t)
	args := []string{"compare", "diffusion", "--model", "builtin:overlap8", "--methods", "ddim,pndm,dpmpp-2m,v3", "--nfe", "3,9",
		"--n", "4", "--seeds", "3", "--size", "quick", "--out", "cmp"}
	out := d.must(args...)
	for _, want := range []string{"Recommendation", "At 9 evaluations use ", "Over all budgets", "resamplings", "v3 needs statistics", "Left out: pndm at 3", filepath.Join("cmp", "curve.png")} {
		if !strings.Contains(out, want) {
			t.Errorf("does not say %q:\n%s", want, out)
		}
	}
	if report := d.read("cmp", "report.md"); !strings.Contains(report, "## Recommendation\n\n- At 3 evaluations use ") {
		t.Errorf("report.md:\n%s", report)
	}
	var doc struct {
		Recommendation []compare.Choice
		Advice         struct{ Lines []string }
		Run            struct{ ID string }
	}
	r := d.assay(append(args, "--json")...)
	if err := json.Unmarshal([]byte(r.stdout), &doc); err != nil || len(doc.Recommendation) != 3 || len(doc.Advice.Lines) < 4 {
		t.Errorf("--json: %v: %+v\n%s", err, doc, r.stdout)
	}
	if !strings.Contains(r.stderr, "all from earlier") {
		t.Errorf("the second time it was run again:\n%s", r.stderr)
	}
	if runs := d.must("runs"); !strings.Contains(runs, "compare/diffusion") {
		t.Errorf("assay runs does not list it:\n%s", runs)
	}
	id := regexp.MustCompile(`run ([a-z0-9]{10})`).FindStringSubmatch(out)
	if id == nil {
		t.Fatal("no run named")
	}
	if md := d.must("export", id[1], "--format", "md"); !strings.Contains(md, "## Recommendation") {
		t.Errorf("the export has no recommendation:\n%s", md)
	}
}

// TestCompareNetwork types the commands that a comparison of a network ends with.
func TestCompareNetwork(t *testing.T) {
	if testing.Short() {
		t.Skip("evaluates a network")
	}
	d := newDesk(t)
	out := d.must("compare", "diffusion", "--methods", "v3-2", "--nfe", "3", "--n", "2", "--seeds", "1", "--truth", "10",
		"--rows", "20", "--samples", "8", "--probes", "1", "--label", "3", "--guidance", "2")
	_, next, _ := strings.Cut(out, "\nNext\n")
	lines := strings.Split(strings.TrimSpace(next), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], " statistics ") || !strings.Contains(lines[1], " sample ") {
		t.Fatalf("the commands for v3-2 are:\n%s", next)
	}
	for _, line := range lines {
		words := strings.Fields(line)
		args := words[1:]
		if args[0] == "sample" {
			args = append(args, "--n", "2")
		}
		d.must(args...)
	}
	if x := d.npy("samples.npy"); x.Shape[0] != 2 {
		t.Errorf("shape %v", x.Shape)
	}
	for _, tt := range []struct{ args, want string }{
		{"--label 3 --guidance 3", "guidance 2"},
		{"--label 3,5 --guidance 2", "samples of label 5"},
		{"", "guidance 2"},
		{"--label 3 --guidance 2 --steps 1", "at least 2"},
	} {
		args := strings.Fields("sample --method v3-2 --statistics statistics-2.safetensors --n 1 --steps 4 " + tt.args)
		if r := d.assay(args...); r.status != statusUsage || !strings.Contains(r.stderr, tt.want) {
			t.Errorf("sample %s: status %d, want %q\n%s", tt.args, r.status, tt.want, r.stderr)
		}
	}
}

// TestCompareONNX compares on a network in a file, if the data are there.
func TestCompareONNX(t *testing.T) {
	path, err := filepath.Abs("../../../shared/data/mnist-ddpm.onnx")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil || testing.Short() {
		t.Skip("no network in a file")
	}
	d := newDesk(t)
	onnx := []string{"--model", path, "--predict", "noise", "--schedule", "ddpm-linear"}
	out := d.must(append([]string{"compare", "diffusion", "--methods", "ddim,dpmpp-2m", "--nfe", "3", "--n", "1", "--seeds", "1", "--truth", "10", "--jobs", "1"}, onnx...)...)
	if !strings.Contains(out, " --predict noise --schedule ddpm-linear --method ") {
		t.Errorf("the command lacks what the file does not say:\n%s", out)
	}
}

func TestCompareRefuses(t *testing.T) {
	d := newDesk(t)
	d.write("bad.onnx", "this is no network")
	d.write("bad.safetensors", "no statistics")
	for _, tt := range []struct {
		args   string
		status int
		want   string
	}{
		{"compare diffusion --methods euler", statusUsage, "must be one of ddim"},
		{"compare diffusion --methods dpmpp-2m-sde", statusUsage, "stochastic"},
		{"compare diffusion --nfe 0", statusUsage, "nfe"},
		{"compare diffusion --model builtin:none", statusUsage, "overlap8"},
		{"compare diffusion --model missing.onnx", statusUsage, "no such file"},
		{"compare diffusion --model bad.onnx", statusFailed, "bad.onnx"},
		{"compare diffusion --label none --guidance 3", statusUsage, "guidance"},
		{"compare diffusion --label 10", statusUsage, "from 0 to 9"},
		{"compare diffusion --classes many --model bad.onnx", statusFailed, "whole number"},
		{"statistics --guidance 3", statusUsage, "guidance needs labels"},
		{"statistics --rows 1", statusUsage, "at least 10"},
		{"statistics --model builtin:packed16 --label 3", statusUsage, "no classes"},
		{"sample --method v3", statusUsage, "assay statistics"},
		{"sample --method v3 --statistics missing.safetensors", statusUsage, "no such file"},
		{"sample --method v3 --statistics bad.safetensors", statusFailed, "bad.safetensors"},
		{"sample --method ddim --statistics bad.safetensors", statusUsage, "takes no statistics"},
	} {
		if r := d.assay(strings.Fields(tt.args)...); r.status != tt.status || !strings.Contains(r.stderr, tt.want) || r.stdout != "" {
			t.Errorf("%s: status %d, want %d and %q\n%s%s", tt.args, r.status, tt.status, tt.want, r.stdout, r.stderr)
		}
	}
}
