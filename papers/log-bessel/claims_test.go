package logbessel

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/conform"
	"github.com/assay-lab/assay/lab/labtest"
)

func TestClaims(t *testing.T) {
	t.Setenv("ASSAY_CACHE", t.TempDir())
	five := map[string]string{"n": "500"}
	for _, tt := range []struct {
		e      *lab.Experiment
		claim  string
		set    map[string]string
		honest lab.Status
		cheat  map[string]string
		want   lab.Status
	}{
		{reach(), "there is always an answer", map[string]string{"n": "40"}, lab.Holds, map[string]string{refined.Name: scaled.Name}, lab.HoldsInPart},
		{reach(), "other ways fail at large orders", map[string]string{"n": "40"}, lab.Holds, map[string]string{naive.Name: refined.Name, scaled.Name: refined.Name}, lab.Fails},
		{accuracy(), "errors are those of rounding", nil, lab.Holds, map[string]string{refined.Name: onlyDebye.Name}, lab.HoldsInPart},
		{accuracy(), "the published table is as precise", nil, lab.HoldsInPart, map[string]string{published.Name: naive.Name}, lab.Fails},
		{accuracy(), "no single expansion would do", nil, lab.Holds, map[string]string{onlyDebye.Name: refined.Name, hankel.Name: refined.Name}, lab.Fails},
		{cost(), "an eighth of the operations", nil, lab.HoldsInPart, map[string]string{refined.Name: adaptive.Name}, lab.Fails},
		{vonMisesFisher(), "the likelihood equation is solved", five, lab.Holds, map[string]string{mle: closed}, lab.Fails},
		{vonMisesFisher(), "the scaled function has no answer", five, lab.Holds, map[string]string{viaScaled: mle}, lab.Fails},
		{vonMisesFisher(), "κ is recovered within five standard errors", five, lab.HoldsInPart, map[string]string{mle: viaScaled}, lab.HoldsInPart},
		{vonMisesFisher(), "κ is recovered once chance is removed", five, lab.Holds, map[string]string{corrected: mle}, lab.HoldsInPart},
		{features(), "the fit is the most likely", nil, lab.Holds, map[string]string{mle: closed}, lab.HoldsInPart},
	} {
		t.Run(tt.claim, func(t *testing.T) {
			labtest.Claim(t, tt.e, tt.claim, tt.set, tt.honest, tt.cheat, tt.want)
		})
	}
}

func TestUnknownCells(t *testing.T) {
	for _, e := range Experiments() {
		v, err := e.Resolve(lab.Quick, nil)
		if err != nil {
			t.Fatal(err)
		}
		grid, err := e.Grid(v)
		if err != nil {
			t.Fatal(err)
		}
		c := grid[0]
		c.Method = "Euler"
		if _, err := e.Run(t.Context(), c); err == nil {
			t.Errorf("%s: an unknown method is accepted", e.Name)
		}
		c = grid[0]
		c.Panel = "left"
		if _, err := e.Run(t.Context(), c); err == nil && c.Panel != grid[0].Panel && grid[0].Panel != "" {
			t.Errorf("%s: an unknown panel is accepted", e.Name)
		}
	}
}

// TestUserFeatures runs on files that a user gives.
func TestUserFeatures(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, tt := range []struct{ name, text, want string }{
		{"good.csv", "1,2,3\n2,2,3\n1,0,3\n", ""},
		{"zeros.csv", "1,2\n0,0\n", "row 1 has no direction"},
		{"missing.csv", "1,2\n,1\n", "row 1 has no direction"},
		{"one.csv", "1,2\n", "1 rows of 2 numbers"},
		{"same.csv", "1,2\n2,4\n", "unbounded"},
		{"text.npy", "hello", "NPY"},
	} {
		e := features()
		v, err := e.Resolve(lab.Quick, map[string]string{"data": write(tt.name, tt.text)})
		if err != nil {
			t.Fatal(err)
		}
		o, err := e.Run(t.Context(), lab.Cell{Method: mle, Budget: 1000, Values: v})
		switch {
		case tt.want == "" && (err != nil || o.Cost != 3 || !(o.Metrics["κ"] > 0)):
			t.Errorf("%s: %+v, %v", tt.name, o, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestCaseRefuses(t *testing.T) {
	const logs = "LogI,LogK"
	for _, tt := range []struct{ name, method, input, want string }{
		{"unknown method", "LogJ", `{"v":[1],"x":[1]}`, `"LogJ" is unknown`},
		{"unknown field", logs, `{"v":[1],"x":[1],"y":[1]}`, "unknown field"},
		{"unequal lengths", logs, `{"v":[1,2],"x":[1,2,3]}`, "2 orders v for 3 arguments"},
		{"text", logs, `{"v":["one"],"x":[1]}`, `"one" is not a number`},
		{"null", logs, `{"v":[null],"x":[1]}`, "null"},
		{"all directions equal", "von Mises-Fisher concentration MLE: kappa solving A_p(kappa)=rbar; Banerjee start, Sra two Newton steps; mean log-likelihood at kappa",
			`{"p":[3],"rbar":[1]}`, "unbounded"},
	} {
		if _, err := Case(t.Context(), conform.Case{Method: tt.method, Input: []byte(tt.input)}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}
