package lab

import (
	"context"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
)

func TestFitPower(t *testing.T) {
	x := []float64{10, 20, 40, 80}
	y := make([]float64, len(x))
	for i := range x {
		y[i] = 3 * math.Pow(x[i], -2)
	}
	f, err := FitPower(x, y)
	if err != nil || math.Abs(f.Slope+2) > 1e-12 || math.Abs(f.Scale-3) > 1e-10 || f.Hi-f.Lo > 1e-6 {
		t.Errorf("exact power law: %+v, %v", f, err)
	}
	// By hand: log2 y = 0, 1, 1, 2 at log2 x = 0, 1, 2, 3 has slope 0.6, residual
	// sum 0.2, so s = sqrt(0.1/5) and t(2, 0.975) = 4.30265.
	f, err = FitPower([]float64{1, 2, 4, 8}, []float64{1, 2, 2, 4})
	half := 4.302652729911275 * math.Sqrt(0.02)
	if err != nil || math.Abs(f.Slope-0.6) > 1e-12 || math.Abs(f.Hi-0.6-half) > 1e-6 || math.Abs(f.Lo-0.6+half) > 1e-6 {
		t.Errorf("scattered points: %+v, %v, want 0.6 ± %g", f, err, half)
	}
	f, err = FitPower(x[:2], y[:2])
	if err != nil || !math.IsInf(f.Hi, 1) || !math.IsInf(f.Lo, -1) {
		t.Errorf("two points say nothing about the spread: %+v, %v", f, err)
	}
	for name, xy := range map[string][2][]float64{
		"diverged":  {{1, 2, 3}, {1, nan, 1}},
		"infinite":  {{1, 2, 3}, {1, inf, 1}},
		"zero":      {{1, 2, 3}, {1, 0, 1}},
		"one point": {{1}, {1}},
		"one place": {{2, 2}, {1, 3}},
		"lengths":   {{1, 2}, {1, 2, 3}},
	} {
		if f, err := FitPower(xy[0], xy[1]); err == nil {
			t.Errorf("%s: fitted %+v", name, f)
		}
	}
}

func TestCostToReach(t *testing.T) {
	c := testCurves(Lower,
		one("fast", 1, 0.25, 0.01), one("slow", 1, 0.9, 0.8), one("diverges", inf, nan, 0.1), one("back", 0.1, 1, 0.01))
	for _, row := range []struct {
		name, method  string
		quality, want float64
	}{
		{"half way on log axes", "fast", 0.5, 10 * math.Sqrt2},
		{"at a point", "fast", 0.25, 20},
		{"the first point is a bound", "fast", 2, 10},
		{"never", "slow", 0.1, inf},
		{"nothing is interpolated from infinity", "diverges", 0.5, 30},
		{"first time, not last", "back", 0.5, 10},
	} {
		got, err := c.CostToReach("p", row.method, row.quality)
		if err != nil || !(math.Abs(got-row.want) < 1e-9 || got == row.want) {
			t.Errorf("%s: got %g, %v, want %g", row.name, got, err, row.want)
		}
	}
	if _, err := c.CostToReach("p", "none", 1); err == nil || !strings.Contains(err.Error(), "none, p") {
		t.Errorf("missing method: error %v", err)
	}
	if _, err := c.CostToReach("p", "fast", nan); err == nil {
		t.Error("reached NaN")
	}
	up := testCurves(Higher, one("acc", 0.5, 0.7))
	up.Cost.Log, up.Quality.Log = false, false
	if got, err := up.CostToReach("p", "acc", 0.6); err != nil || math.Abs(got-15) > 1e-9 {
		t.Errorf("higher is better, linear axes: got %g, %v, want 15", got, err)
	}
}

func TestMeanRatio(t *testing.T) {
	c := testCurves(Lower, one("a", 1, 1, 1), one("b", 2, 8, nan), one("c", nan, 1, 1), one("d", nan, nan, nan))
	for _, row := range []struct {
		name, method, rival string
		want                float64
		skipped             int
	}{
		{"geometric, not arithmetic; rival's divergence left out", "a", "b", 0.25, 1},
		{"own divergence counts", "c", "a", inf, 0},
		{"both diverged is no win", "d", "d", inf, 0},
		{"rival diverged everywhere", "a", "d", 0, 3},
	} {
		got, skipped, err := c.MeanRatio("p", row.method, row.rival, 10, 20, 30)
		if err != nil || !(math.Abs(got-row.want) < 1e-12 || got == row.want) || skipped != row.skipped {
			t.Errorf("%s: got %g (%d skipped), %v, want %g (%d)", row.name, got, skipped, err, row.want, row.skipped)
		}
	}
	if _, _, err := c.MeanRatio("p", "a", "b", 10, 40); err == nil {
		t.Error("a ratio at a budget that was not run")
	}
	if _, _, err := c.MeanRatio("p", "a", "b"); err == nil {
		t.Error("a ratio over no budgets")
	}
}

func TestDivergedIsNeverBetter(t *testing.T) {
	for _, better := range []Better{Lower, Higher} {
		a := Axis{Better: better}
		for _, x := range []float64{nan, a.Worst()} {
			for _, y := range []float64{nan, a.Worst(), 0, 1} {
				if a.Beats(x, y) {
					t.Errorf("%v: %g beats %g", better, x, y)
				}
			}
			if !a.Beats(1, x) {
				t.Errorf("%v: 1 does not beat %g", better, x)
			}
		}
		c := testCurves(better, one("a", nan), one("b", 0.5), one("c", nan))
		for _, row := range []struct {
			method, rival string
			want          Status
		}{{"a", "b", Fails}, {"b", "a", Holds}, {"a", "c", Fails}, {"c", "a", Fails}} {
			v := All(Beats("p", row.method, row.rival, 10)...)(c)
			if v.Status != row.want {
				t.Errorf("%v: %s against %s: %s (%s), want %s", better, row.method, row.rival, v.Status, v.Reason, row.want)
			}
		}
		if v := All(AtMost(At("p", "a", 10), At("p", "c", 10)), AtLeast(At("p", "a", 10), At("p", "c", 10)))(c); v.Status != Fails {
			t.Errorf("%v: two that diverged are called equal: %+v", better, v.Figures)
		}
	}
}

// The claims of a card, on honest figures and on crippled ones.
func TestAll(t *testing.T) {
	honest := testCurves(Lower, one("2M", .06, .015, .00375), one("DDIM", .09, .045, .0225), one("fast-3", 1.5, nan, .02))
	claim := All(append(Beats("p", "2M", "DDIM", 10, 20),
		More(At("p", "fast-3", 10), At("p", "DDIM", 10).Times(3)),
		More(At("p", "fast-3", 20), At("p", "DDIM", 20).Times(3)),
		Less(At("p", "2M", 30).Over(At("p", "DDIM", 30)), Number(0.25)),
		Less(RatioOver("p", "2M", "DDIM", 10, 20, 30), Number(0.5)),
		AtMost(CostTo("p", "2M", 0.03), Number(20)),
		Less(CostTo("p", "2M", 0.01), CostTo("p", "DDIM", 0.01)))...)
	v := claim(honest)
	if v.Status != Holds || len(v.Figures) != 8 {
		t.Fatalf("honest: %s: %s", v.Status, v.Reason)
	}
	if got, want := v.Figures[0], (Figure{"2M at NFE 10, p", .06, "< 0.0900 (DDIM)", true}); got != want {
		t.Errorf("figure %+v, want %+v", got, want)
	}
	if got, want := v.Reason, "all 8 comparisons hold, such as: 2M at NFE 10, p is 0.0600, < 0.0900 (DDIM)"; got != want {
		t.Errorf("reason %q, want %q", got, want)
	}

	crippled := testCurves(Lower, one("2M", .1, .05, .03), one("DDIM", .09, .045, .0225), one("fast-3", .1, .05, .02))
	if v = claim(crippled); v.Status != Fails {
		t.Errorf("crippled: %s: %s", v.Status, v.Reason)
	}
	half := testCurves(Lower, one("2M", .06, .05), one("DDIM", .09, .045))
	two := All(Beats("p", "2M", "DDIM", 10, 20)...)
	if v = two(half); v.Status != HoldsInPart || !strings.Contains(v.Reason, "1 of 2 comparisons hold: 2M at NFE 20, p is 0.0500, not < 0.0450") {
		t.Errorf("half: %s: %s", v.Status, v.Reason)
	}
}

func TestAllWithPointsMissing(t *testing.T) {
	c := testCurves(Lower, one("a", 1, 4), one("b", 2, 3))
	gone := Less(At("p", "a", 30), At("p", "b", 30))
	yes, no := Beats("p", "a", "b", 10)[0], Beats("p", "a", "b", 20)[0]
	for _, row := range []struct {
		name string
		ps   []Predicate
		want Status
	}{
		{"nothing asked", nil, Undecided},
		{"nothing there", []Predicate{gone}, Undecided},
		{"the rest may still fail", []Predicate{yes, gone}, Undecided},
		{"the rest may still hold", []Predicate{no, gone}, Undecided},
		{"part, whatever the rest says", []Predicate{yes, gone, no}, HoldsInPart},
	} {
		v := All(row.ps...)(c)
		if v.Status != row.want {
			t.Errorf("%s: %s (%s), want %s", row.name, v.Status, v.Reason, row.want)
		}
		if len(row.ps) > 0 && (len(v.Missing) != 1 || !strings.Contains(v.Missing[0], "a at NFE 30, p") || !strings.Contains(v.Reason, "a at NFE 30, p")) {
			t.Errorf("%s: the missing point is not named: %q, %v", row.name, v.Reason, v.Missing)
		}
	}
	for name, p := range map[string]Predicate{
		"metric":      Less(MetricAt("p", "a", 10, "m"), Number(1)),
		"order":       Within(Order("p", "a", 20, 20), 1, 2),
		"cost":        Less(CostTo("p", "z", 1), Number(1)),
		"ratio":       Less(RatioOver("p", "a", "z", 10), Number(1)),
		"quotient":    Less(At("p", "a", 10).Over(At("p", "z", 10)), Number(1)),
		"right side":  Less(Number(1), At("p", "z", 10)),
		"empty panel": Less(At("", "a", 10), Number(1)),
	} {
		if v := All(p)(c); v.Status != Undecided || len(v.Missing) != 1 {
			t.Errorf("%s of something missing: %s, %v", name, v.Status, v.Missing)
		}
	}
}

func TestOrder(t *testing.T) {
	c := testCurves(Lower, one("second", 1, 1./4, 1./9, 1./16), one("first", 1, 1./2, 1./3, 1./4), one("diverges", 1, nan, 1./9, 1./16), one("exact", 1, 0, 0, 0))
	for _, row := range []struct {
		method string
		want   Status
	}{{"second", Holds}, {"first", Fails}, {"diverges", Fails}, {"exact", Fails}} {
		if v := All(Within(Order("p", row.method, 10, 40), 1.9, 2.1))(c); v.Status != row.want {
			t.Errorf("order of %s is 2: %s (%s), want %s", row.method, v.Status, v.Reason, row.want)
		}
	}
	v := All(Within(Order("p", "second", 10, 40), 1.9, 2.1))(c)
	if got, want := v.Reason, "order of second, p (95 % interval 2.00 to 2.00) is 2.00, from 1.9 to 2.1"; got != want {
		t.Errorf("reason %q, want %q", got, want)
	}
	cv, _ := c.Curve("p", "second")
	if f, err := cv.Rate(10, 30); err != nil || math.Abs(f.Slope+2) > 1e-9 || f.N != 3 {
		t.Errorf("rate %+v, %v", f, err)
	}
	cv, _ = c.Curve("p", "diverges")
	if _, err := cv.Rate(10, 30); err == nil {
		t.Error("a rate through a diverged point")
	}
}

func TestMetricAt(t *testing.T) {
	c := testCurves(Lower, one("a", 1))
	c.Curves[0].Points[0].Metrics["clipped"] = []float64{0.2}
	if v := All(Less(MetricAt("p", "a", 10, "clipped"), Number(0.5)))(c); v.Status != Holds || v.Figures[0].Name != "clipped of a at NFE 10, p" {
		t.Errorf("%s: %+v", v.Status, v.Figures)
	}
	c.Curves[0].Points[0].Metrics["clipped"][0] = nan
	if v := All(Less(MetricAt("p", "a", 10, "clipped"), Number(0.5)), More(MetricAt("p", "a", 10, "clipped"), Number(0.5)))(c); v.Status != Fails {
		t.Errorf("NaN satisfies something: %+v", v.Figures)
	}
}

func TestConfidence(t *testing.T) {
	rows := func(qs ...float64) [][]float64 {
		var rows [][]float64
		for _, q := range qs {
			rows = append(rows, []float64{q})
		}
		return rows
	}
	judge := All(Beats("p", "a", "b", 10)...)
	confidence := func(a, b []float64) float64 {
		return Confidence(testCurves(Lower, testMethod{"a", rows(a...)}, testMethod{"b", rows(b...)}), judge)
	}
	if got := confidence([]float64{1, 1.1, 0.9, 1}, []float64{2, 2.1, 1.9, 2}); got != 1 {
		t.Errorf("far apart: %g, want 1", got)
	}
	// Seeds are hard or easy for both, so a wins on each: pairing must be kept.
	if got := confidence([]float64{1, 10, 100, 1000}, []float64{1.1, 11, 110, 1100}); got != 1 {
		t.Errorf("paired seeds: %g, want 1", got)
	}
	// The means differ by one seed of five alone. It is drawn at least once with
	// probability 1-0.8^5 = 0.672.
	if got := confidence([]float64{1, 1, 1, 1, 1}, []float64{1, 1, 1, 1, 2}); math.Abs(got-0.672) > 0.05 {
		t.Errorf("one lucky seed: %g, want 0.67", got)
	}
	if got := confidence([]float64{1}, []float64{2}); got != 0 {
		t.Errorf("one seed: %g, want 0", got)
	}
	if a, b := confidence([]float64{1, 3}, []float64{2, 2.1}), confidence([]float64{1, 3}, []float64{2, 2.1}); a != b {
		t.Errorf("differs from call to call: %g, %g", a, b)
	}
}

func TestVerdict(t *testing.T) {
	c := testCurves(Lower, testMethod{"a", [][]float64{{1}, {2}}})
	for i := range 25 {
		c.Missing = append(c.Missing, Missing{Cell: Cell{Method: "a", Budget: 20, Seed: uint64(i)}})
	}
	c.Missing[0].Err = "out of memory\nstack"
	v := Claim{Judge: All(Less(At("p", "a", 10), Number(5)))}.Verdict(c)
	if v.Status != Holds || v.Confidence != 1 || len(v.Missing) != maxMissing+1 {
		t.Errorf("%s with confidence %g, %d missing", v.Status, v.Confidence, len(v.Missing))
	}
	if v.Missing[0] != "a at 20, seed 0: out of memory" || v.Missing[1] != "a at 20, seed 1: not run" || v.Missing[maxMissing] != "and 5 more cells" {
		t.Errorf("missing: %q", v.Missing)
	}
	v = Claim{Judge: func(Curves) Verdict { panic("no such method") }}.Verdict(c)
	if v.Status != Undecided || !strings.Contains(v.Reason, "no such method") {
		t.Errorf("panicking judge: %+v", v)
	}
	// A judge may trip over a resampling only; its own verdict stands.
	v = Claim{Judge: func(c Curves) Verdict {
		if s := c.Curves[0].Points[0].Seeds; s[0] == s[1] {
			panic("equal seeds")
		}
		return Verdict{Status: Holds}
	}}.Verdict(c)
	if v.Status != Holds || v.Confidence < 0.4 || v.Confidence > 0.6 {
		t.Errorf("judge that trips over half of the resamplings: %+v", v)
	}
}

func TestKnobValues(t *testing.T) {
	for _, row := range []struct {
		knob Knob
		n    int
		want []float64
	}{
		{Knob{"lr", 0.001, 1, true}, 4, []float64{0.001, 0.01, 0.1, 1}},
		{Knob{"c", 0, 1, false}, 3, []float64{0, 0.5, 1}},
		{Knob{"lr", 0.01, 1, true}, 1, []float64{0.1}},
		{Knob{"lr", 0, 1, true}, 2, nil},
		{Knob{"lr", 1, 1, false}, 2, nil},
		{Knob{"lr", 0, inf, false}, 2, nil},
		{Knob{"lr", 0, 1, false}, 0, nil},
	} {
		got, err := row.knob.Values(row.n)
		if (err == nil) != (row.want != nil) || len(got) != len(row.want) {
			t.Errorf("%v × %d: %v, %v, want %v", row.knob, row.n, got, err, row.want)
			continue
		}
		for i := range got {
			if math.Abs(got[i]-row.want[i]) > 1e-12 {
				t.Errorf("%v × %d: %v, want %v", row.knob, row.n, got, row.want)
			}
		}
	}
}

func TestTune(t *testing.T) {
	k := Knob{"lr", 1, 5, false}
	for _, row := range []struct {
		name     string
		better   Better
		quality  []float64
		lr, edge float64
	}{
		{"lowest error", Lower, []float64{3, 2, 1, 2, 3}, 3, 0},
		{"highest accuracy", Higher, []float64{3, 2, 1, 2, 4}, 5, 1},
		{"first of equals", Lower, []float64{3, 1, 1, 1, 3}, 2, 0},
		{"NaN first", Lower, []float64{nan, nan, 7, inf, nan}, 3, 0},
		{"NaN before infinity", Lower, []float64{nan, inf, nan, nan, nan}, 2, 0},
		{"all diverge", Lower, []float64{nan, nan, nan, nan, nan}, 1, 1},
	} {
		tries := 0
		o, err := k.Tune(t.Context(), Axis{Better: row.better}, 5, func(_ context.Context, x float64) (Outcome, error) {
			tries++
			return Outcome{Quality: row.quality[int(x)-1]}, nil
		})
		if err != nil || tries != 5 || !reflect.DeepEqual(o.Metrics, map[string]float64{"lr": row.lr, "lr at edge": row.edge}) {
			t.Errorf("%s: %v, %v after %d tries", row.name, o.Metrics, err, tries)
		}
	}
	fail := errors.New("broke")
	if _, err := k.Tune(t.Context(), Axis{}, 2, func(context.Context, float64) (Outcome, error) { return Outcome{}, fail }); !errors.Is(err, fail) || !strings.Contains(err.Error(), "lr = 1") {
		t.Errorf("failed try: %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := k.Tune(ctx, Axis{}, 2, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestDigits(t *testing.T) {
	for x, want := range map[float64]string{
		0.026123: "0.0261", 3: "3", 1234.5: "1234", 123456: "123456", 0.5: "0.500", 12.34: "12.3", -0.25: "-0.250",
		0: "0", 1e-9: "1.00e-09", 2.5e7: "2.50e+07", inf: "∞", -inf: "-∞", 0.000123: "0.000123",
	} {
		if got := Digits(x); got != want {
			t.Errorf("%g: %q, want %q", x, got, want)
		}
	}
	if got := Digits(nan); got != "diverged" {
		t.Errorf("NaN: %q", got)
	}
}

func BenchmarkConfidence(b *testing.B) {
	var methods []testMethod
	for m := range 10 {
		var seeds [][]float64
		for s := range 5 {
			qs := make([]float64, 20)
			for i := range qs {
				qs[i] = float64(m + s + i + 1)
			}
			seeds = append(seeds, qs)
		}
		methods = append(methods, testMethod{string(rune('a' + m)), seeds})
	}
	c := testCurves(Lower, methods...)
	judge := All(Beats("p", "a", "b", 10, 20)...)
	for b.Loop() {
		Confidence(c, judge)
	}
}
