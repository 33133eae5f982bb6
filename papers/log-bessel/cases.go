// Package logbessel assays the logarithms of modified Bessel functions (Plesner,
// Sørensen and Hauberg 2024): its conformance cases and its experiments. The
// method is in packages special and directional.
package logbessel

import (
	"context"
	"encoding/json"
	"fmt"
	"math"

	"github.com/assay-lab/assay/directional"
	"github.com/assay-lab/assay/lab/conform"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
	"github.com/assay-lab/assay/special"
)

// Case runs one of the paper's conformance cases.
func Case(_ context.Context, c conform.Case) (conform.Got, error) {
	switch c.Method {
	case "LogI", "LogK", "LogI,LogK":
		return logs(c)
	case "Ratio I_{v+1}(x)/I_v(x) and d/dx log I_v = v/x + ratio, d/dx log K_v = v/x - K_{v+1}/K_v":
		return ratios(c)
	case "von Mises-Fisher concentration MLE: kappa solving A_p(kappa)=rbar; Banerjee start, Sra two Newton steps; mean log-likelihood at kappa":
		return concentrations(c)
	}
	return nil, fmt.Errorf("method %q is unknown", c.Method)
}

// number also reads "NaN", "+Inf" and "-Inf".
type number float64

func (n *number) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return fmt.Errorf("null is not a number")
	}
	var s string
	if json.Unmarshal(b, &s) != nil {
		return json.Unmarshal(b, (*float64)(n))
	}
	switch s {
	case "NaN":
		*n = number(math.NaN())
	case "+Inf":
		*n = number(math.Inf(1))
	case "-Inf":
		*n = number(math.Inf(-1))
	default:
		return fmt.Errorf("%q is not a number", s)
	}
	return nil
}

// pairs are the orders and arguments of a case.
func pairs(c conform.Case) (v, x []float64, err error) {
	var in struct {
		V []number `json:"v"`
		X []number `json:"x"`
	}
	if err := mixture.Decode(c, &in); err != nil {
		return nil, nil, err
	}
	if len(in.V) != len(in.X) {
		return nil, nil, fmt.Errorf("input: %d orders v for %d arguments x", len(in.V), len(in.X))
	}
	return floats(in.V), floats(in.X), nil
}

func floats(ns []number) []float64 {
	xs := make([]float64, len(ns))
	for i, n := range ns {
		xs[i] = float64(n)
	}
	return xs
}

// logs runs the slices' kernels; the package's own tests hold them against the
// functions of numbers.
func logs(c conform.Case) (conform.Got, error) {
	v, x, err := pairs(c)
	if err != nil {
		return nil, err
	}
	i, err := special.LogIs(nil, v, x)
	if err != nil {
		return nil, err
	}
	k, err := special.LogKs(nil, v, x)
	return conform.Got{"log_i": i, "log_k": k}, err
}

func ratios(c conform.Case) (conform.Got, error) {
	v, x, err := pairs(c)
	if err != nil {
		return nil, err
	}
	r, err := special.RatioIs(nil, v, x)
	if err != nil {
		return nil, err
	}
	di, dk := make([]float64, len(v)), make([]float64, len(v))
	for j := range v {
		di[j], dk[j] = special.DLogI(v[j], x[j]), special.DLogK(v[j], x[j])
	}
	return conform.Got{"ratio": r, "dlog_i": di, "dlog_k": dk}, nil
}

func concentrations(c conform.Case) (conform.Got, error) {
	var in struct {
		P    []int    `json:"p"`
		RBar []number `json:"rbar"`
	}
	if err := mixture.Decode(c, &in); err != nil {
		return nil, err
	}
	if len(in.P) != len(in.RBar) {
		return nil, fmt.Errorf("input: %d dimensions p for %d lengths rbar", len(in.P), len(in.RBar))
	}
	var banerjee, sra, mle, loglik []float64
	for j, p := range in.P {
		r := float64(in.RBar[j])
		kappa, err := directional.Concentration(p, r)
		if err != nil {
			return nil, fmt.Errorf("input: %w", err)
		}
		banerjee = append(banerjee, directional.Banerjee(p, r))
		sra = append(sra, directional.Sra(p, r))
		mle = append(mle, kappa)
		loglik = append(loglik, directional.LogNormalizer(p, kappa)+kappa*r)
	}
	return conform.Got{"kappa_banerjee": banerjee, "kappa_sra2": sra, "kappa_mle": mle, "mean_loglik": loglik}, nil
}
