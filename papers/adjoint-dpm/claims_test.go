package adjointdpm

import (
	"testing"

	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/labtest"
)

// TestClaims shows every claim with the honest methods and with crippled ones in
// their places.
func TestClaims(t *testing.T) {
	t.Setenv("ASSAY_CACHE", t.TempDir())
	type verdicts struct{ honest, crippled lab.Status }
	for _, tt := range []struct {
		e       *lab.Experiment
		set     map[string]string
		cripple map[string]string
		want    map[string]verdicts
	}{
		{
			gradients(), map[string]string{"n": "32", "seeds": "3"},
			map[string]string{rk4C.name: rk4Frozen.name, rk4D.name: rk4DFrozen.name, eulerC.name: rk4C.name, midpointC.name: rk4C.name},
			map[string]verdicts{
				"the adjoint ODE by rk4 is accurate":                    {lab.Holds, lab.Fails},
				"the discrete gradient is that of the sampler":          {lab.Holds, lab.HoldsInPart},
				"low-order continuous gradients of the noise are wrong": {lab.Holds, lab.Fails},
			},
		},
		{
			memory(), nil,
			map[string]string{kept.name: plain.name, keptD.name: plain.name, none.name: kept.name, noneD.name: recursive.name},
			map[string]verdicts{
				"kept states cost N + 2 states, whatever the network":     {lab.Holds, lab.HoldsInPart},
				"without kept states memory does not depend on the steps": {lab.Holds, lab.Fails},
			},
		},
		{
			reparametrisation(), map[string]string{"n": "32", "seeds": "2"}, map[string]string{onRho.Name: onT.Name},
			map[string]verdicts{"the change of variables helps on narrow data": {lab.HoldsInPart, lab.Fails}},
		},
		{
			condition(), nil, map[string]string{eulerC.name: eulerTurned.name},
			map[string]verdicts{"Euler's continuous gradient finds a condition": {lab.Holds, lab.Fails}},
		},
		{
			digits(), map[string]string{"n": "1", "nfe": "3", "iterations": "20"}, map[string]string{through: chance},
			map[string]verdicts{"a trained network is guided to another digit": {lab.HoldsInPart, lab.Fails}},
		},
	} {
		honest, crippled := labtest.Run(t, tt.e, tt.set, nil), labtest.Run(t, tt.e, tt.set, tt.cripple)
		for _, c := range tt.e.Claims {
			want, ok := tt.want[c.Name]
			if !ok {
				t.Errorf("%s: %s: no verdict is expected", tt.e.Name, c.Name)
			}
			if v := c.Verdict(honest); v.Status != want.honest {
				t.Errorf("%s: honest: %s, want %s: %s", c.Name, v.Status, want.honest, v.Reason)
			}
			if v := c.Verdict(crippled); v.Status != want.crippled {
				t.Errorf("%s: crippled: %s, want %s: %s", c.Name, v.Status, want.crippled, v.Reason)
			}
		}
	}
}
