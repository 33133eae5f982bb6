package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/assay-lab/assay/papers"
)

func TestVerifyWithoutArguments(t *testing.T) {
	out := newDesk(t).must("verify")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if last := lines[len(lines)-1]; !strings.HasSuffix(last, " passed, 0 failed") || len(lines) != len(papers.Cases())+1 {
		t.Errorf("%d lines, the last is %q", len(lines), last)
	}
}

func TestVerify(t *testing.T) {
	var good string
	for _, c := range papers.Cases() {
		if c.Paper == "dpm-solver-pp" && len(c.Expect["x"]) > 0 {
			b, err := json.Marshal(map[string]any{
				"paper": c.Paper, "method": c.Method, "source": c.Source, "input": c.Input,
				"expect": map[string]any{"x": c.Expect["x"]}, "tolerance": c.Tolerance,
			})
			if err != nil {
				t.Fatal(err)
			}
			good = string(b)
			break
		}
	}
	if good == "" {
		t.Fatal("no case of dpm-solver-pp expects x")
	}
	tests := []struct {
		name, text string
		want       string // in the line of a failed case; "" for one that passes
	}{
		{"right", good, ""},
		{"wrong number", strings.Replace(good, `"expect":{"x":[[`, `"expect":{"x":[[7777,`, 1), "want"},
		{"unknown paper", strings.Replace(good, `"dpm-solver-pp"`, `"no-such-paper"`, 1), "no-such-paper"},
		{"unknown method", strings.Replace(good, `"method":"`, `"method":"no such `, 1), "no such"},
		{"unknown field of expect", strings.Replace(good, `"expect":{`, `"expect":{"beauty":1,`, 1), "beauty"},
		{"no JSON", "hello", "not a case"},
		{"cut off", good[:len(good)/2], "not a case"},
		{"empty", "", "not a case"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newDesk(t)
			path := d.write("cases/case.json", tt.text)
			r := d.assay("verify", "cases")
			lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
			if len(lines) != 2 {
				t.Fatalf("want one line a case and one of totals:\n%s%s", r.stdout, r.stderr)
			}
			if tt.want == "" {
				if r.status != statusDone || !strings.HasPrefix(lines[0], "pass  ") || lines[1] != "1 passed, 0 failed" {
					t.Errorf("status %d\n%s", r.status, r.stdout)
				}
				return
			}
			if r.status != statusFailed || !strings.HasPrefix(lines[0], "FAIL  ") || !strings.Contains(lines[0], tt.want) || lines[1] != "0 passed, 1 failed" {
				t.Errorf("status %d\n%s", r.status, r.stdout)
			}
			if one := d.assay("verify", path); one.status != r.status {
				t.Errorf("the file alone gives status %d, its folder %d", one.status, r.status)
			}
		})
	}
}

func TestVerifyWithoutCases(t *testing.T) {
	d := newDesk(t)
	d.write("empty/README.md", "nothing here")
	if r := d.assay("verify", "empty"); r.status != statusFailed || !strings.Contains(r.stderr, "no *.json") {
		t.Errorf("an empty folder: status %d\n%s%s", r.status, r.stdout, r.stderr)
	}
	if r := d.assay("verify", "absent"); r.status != statusUsage {
		t.Errorf("no folder: status %d\n%s", r.status, r.stderr)
	}
}

func TestPapersAndShow(t *testing.T) {
	d := newDesk(t)
	if out := d.must("papers"); !strings.Contains(out, "dpm-solver-pp") || strings.Contains(out, "\x1b") {
		t.Errorf("%s", out)
	}
	if out := d.must("papers", "dpm-solver++", "2m"); !strings.HasPrefix(strings.TrimLeft(out, "● "), "dpm-solver-pp") {
		t.Errorf("the best match is not first:\n%s", out)
	}
	if r := d.assay("papers", "zebra", "crossing"); r.status != statusDone || r.stdout != "" || !strings.Contains(r.stderr, "zebra crossing") {
		t.Errorf("status %d\n%s%s", r.status, r.stdout, r.stderr)
	}
	if out := d.must("show", "dpm-solver-pp"); !strings.Contains(out, "The claim") || !strings.Contains(out, "assay run dpm-solver-pp") {
		t.Errorf("%s", out)
	}
}

func TestDoctor(t *testing.T) {
	d := newDesk(t)
	out := d.must("doctor")
	for _, want := range []string{"cores", "SIMD", "GoMLX", "ONNX", "peers", d.cache, "runs"} {
		if !strings.Contains(out, want) {
			t.Errorf("lacks %q:\n%s", want, out)
		}
	}
	d.must("run", "trial", "--size", "quick")
	if out := d.must("doctor"); !strings.Contains(out, "1 in ") {
		t.Errorf("does not count the run:\n%s", out)
	}
}

func TestCompletion(t *testing.T) {
	d := newDesk(t)
	for _, tt := range []struct{ typed, want string }{
		{"run dpm-solver-", "dpm-solver-pp"},
		{"run trial/", "trial/steady"},
		{"show dpm-solver-", "dpm-solver-pp"},
		{"sample --method dpmpp-2", "dpmpp-2m"},
		{"run trial --size q", "quick"},
	} {
		args := strings.Fields(tt.typed)
		if out := d.must(append([]string{"__complete"}, args...)...); !strings.Contains(out, tt.want) {
			t.Errorf("%s: completes to\n%s", tt.typed, out)
		}
	}
	if out := d.must("completion", "bash"); !strings.Contains(out, "assay") {
		t.Error("no completion script for bash")
	}
}

func TestSecretsAreNotRepeated(t *testing.T) {
	got := shellLine([]string{"assay", "run", "x", "--nats-token", "abc", "--nats-password=def", "--set", "note=it's"})
	if want := `assay run x --nats-token ... --nats-password=... --set 'note=it'\''s'`; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}
