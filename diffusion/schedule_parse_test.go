package diffusion

import (
	"math"
	"strings"
	"testing"
)

func TestParseSchedule(t *testing.T) {
	discrete := func(betas []float64) *Discrete {
		d, err := NewDiscrete(betas)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	reversion := func(r Reversion) *MeanReverting {
		p, err := NewMeanReverting(r)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for text, want := range map[string]Schedule{
		"ddpm-linear":                      discrete(LinearBetas(1e-4, 0.02, 1000)),
		"ddpm-linear:n=100,end=0.1":        discrete(LinearBetas(1e-4, 0.1, 100)),
		"ddpm-linear: n=100 , start=0.001": discrete(LinearBetas(1e-3, 0.02, 100)),
		"scaled-linear":                    discrete(QuadBetas(0.00085, 0.012, 1000)),
		"cosine-discrete:n=500":            discrete(CosineBetas(500)),
		"vp-linear":                        VPLinear{},
		"vp-linear:beta0=0.2,beta1=10":     VPLinear{Beta0: 0.2, Beta1: 10},
		"cosine":                           Cosine{},
		"cosine:s=0.01,t=0.99":             Cosine{S: 0.01, T: 0.99},
		"cosine-raw":                       CosineRaw{},
		"edm":                              EDM{},
		"edm:min=0.01,max=10":              EDM{SigmaMin: 0.01, SigmaMax: 10},
		"ir-sde":                           reversion(Reversion{S: 50. / 255}),
		"ir-sde-linear:n=40,sigma=70":      reversion(Reversion{S: 70. / 255, T: 40, Theta: ThetaLinear}),
		"ir-sde-constant:eps=0.01":         reversion(Reversion{S: 50. / 255, Eps: .01, Theta: ThetaConstant}),
	} {
		got, err := ParseSchedule(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		glo, ghi := got.Range()
		wlo, whi := want.Range()
		mid := (wlo + whi) / 2
		if glo != wlo || ghi != whi || got.At(mid) != want.At(mid) || got.At(whi) != want.At(whi) {
			t.Errorf("%s: range [%g, %g], level %v; want [%g, %g], %v", text, glo, ghi, got.At(mid), wlo, whi, want.At(mid))
		}
	}
}

func TestParseScheduleRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                     `schedule "": must be one of ddpm-linear, scaled-linear, cosine-discrete, vp-linear, cosine`,
		"linear":               `schedule "linear": must be one of`,
		"ddpm-linear:":         `"": must be name=number`,
		"ddpm-linear:1000":     `"1000": must be name=number`,
		"ddpm-linear:k=3":      `parameter "k": must be one of n, start, end`,
		"ddpm-linear:n=3,n=3":  "parameter n is given twice",
		"ddpm-linear:n=x":      `n = "x": must be a number`,
		"ddpm-linear:n=2.5":    "n = 2.5: must be a whole number",
		"ddpm-linear:n=1":      "n = 1: must be above 1",
		"ddpm-linear:n=1e9":    "n = 1e+09: must be above 1 and below 100001",
		"ddpm-linear:n=NaN":    "n = NaN",
		"ddpm-linear:start=0":  "start = 0: must be above 0",
		"ddpm-linear:start=-1": "start = -1: must be above 0",
		"ddpm-linear:end=1":    "end = 1: must be above 0 and below 1",
		"ddpm-linear:n=2,start=0.9999,end=0.99999": "usable levels",
		"vp-linear:beta0=5,beta1=5":                "beta1 = 5: must be above beta0 = 5",
		"cosine:t=1":                               "t = 1: must be above 0.001 and below 1",
		"edm:min=3,max=2":                          "max = 2: must be above min = 3",
		"edm:max=inf":                              "max = +Inf",
		"ir-sde:eps=1":                             "eps = 1: must be above 0 and below 1",
		"ir-sde:sigma=0":                           "sigma = 0: must be above 0",
		"ir-sde:n=0":                               "n = 0: must be above 0",
	} {
		s, err := ParseSchedule(text)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "diffusion: schedule ") || s != nil {
			t.Errorf("%q: %v, error %v; want one with %q", text, s, err, want)
		}
	}
}

func FuzzParseSchedule(f *testing.F) {
	names, _ := ScheduleNames()
	for _, s := range names {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSchedule(text)
		if err != nil {
			return
		}
		lo, hi := s.Range()
		if !(lo < hi) {
			t.Fatalf("%q: range [%g, %g]", text, lo, hi)
		}
		if a, b := s.At(lo), s.At(hi); math.IsNaN(a.Lambda) || math.IsNaN(b.Lambda) {
			t.Fatalf("%q: levels %v and %v", text, a, b)
		}
	})
}
