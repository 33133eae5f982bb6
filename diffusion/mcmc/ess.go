package mcmc

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/dsp/fourier"
)

// ESS is the effective sample size of a quantity that chains have written down:
// the number of independent samples whose mean would be as sure. series[c][t] is the
// quantity of chain c at its sample t, a vector: its components are taken together,
// so that a label stands for the indicators of all classes ([OneHot]). All series
// are of one length.
//
// Autocorrelations are estimated over all chains, with what the chains' means differ
// by counted as correlation, and summed over pairs of lags as long as the sums are
// positive, made to fall: Geyer 1992, as Stan (Vehtari et al. 2021) does it.
func ESS(series [][][]float64) (float64, error) {
	m, n, err := checkSeries(series)
	if err != nil {
		return 0, err
	}
	d := len(series[0][0])
	means := make([][]float64, m)
	mean := make([]float64, d)
	for c, s := range series {
		means[c] = make([]float64, d)
		for _, v := range s {
			for i, x := range v {
				means[c][i] += x / float64(n)
			}
		}
		for i, x := range means[c] {
			mean[i] += x / float64(m)
		}
	}
	cov := autocovariance(series, means)
	var between float64 // variance of the chains' means
	if m > 1 {
		for _, mu := range means {
			for i, x := range mu {
				between += (x - mean[i]) * (x - mean[i]) / float64(m-1)
			}
		}
	}
	within := cov[0] * float64(n) / float64(n-1)
	total := within*float64(n-1)/float64(n) + between
	if total <= 0 {
		return 0, fmt.Errorf("mcmc: the quantity never changes: its effective sample size is unknown")
	}
	rho := func(lag int) float64 { return 1 - (within-cov[lag]*float64(n)/float64(n-1))/total }
	tau, last := -1.0, math.Inf(1)
	for lag := 0; lag+1 < n; lag += 2 {
		first := 1.0
		if lag > 0 {
			first = rho(lag)
		}
		pair := first + rho(lag+1)
		if pair < 0 {
			break
		}
		last = min(last, pair)
		tau += 2 * last
	}
	// Antithetic chains can have more, but not without limit.
	return min(float64(m*n)/max(tau, 1e-9), float64(m*n)*math.Log10(float64(m*n))), nil
}

// autocovariance is the biased autocovariance at every lag, its components added up
// and averaged over the series. By FFT: series of 10⁴ samples have long memories.
func autocovariance(series [][][]float64, means [][]float64) []float64 {
	n := len(series[0])
	fft := fourier.NewFFT(2 * n) // padded, so that the ends do not meet
	x, sum := make([]float64, 2*n), make([]float64, 2*n)
	freq := make([]complex128, n+1)
	for c, s := range series {
		for i, mu := range means[c] {
			for t, v := range s {
				x[t] = v[i] - mu
			}
			clear(x[n:])
			for k, f := range fft.Coefficients(freq, x) {
				freq[k] = complex(real(f)*real(f)+imag(f)*imag(f), 0)
			}
			for t, v := range fft.Sequence(x, freq) {
				sum[t] += v
			}
		}
	}
	for t := range sum {
		sum[t] /= float64(2*n) * float64(n) * float64(len(series)) // FFT and back is 2n times the identity
	}
	return sum[:n]
}

func checkSeries(series [][][]float64) (chains, length int, err error) {
	if len(series) == 0 || len(series[0]) < 2 {
		return 0, 0, fmt.Errorf("mcmc: %d series: at least one of 2 samples is needed", len(series))
	}
	n, d := len(series[0]), len(series[0][0])
	for c, s := range series {
		if len(s) != n {
			return 0, 0, fmt.Errorf("mcmc: series %d has %d samples: want %d, as the first", c, len(s), n)
		}
		for t, v := range s {
			if len(v) != d || d == 0 {
				return 0, 0, fmt.Errorf("mcmc: series %d, sample %d has %d components: want %d, at least 1", c, t, len(v), d)
			}
			for _, x := range v {
				if math.IsNaN(x) || math.IsInf(x, 0) {
					return 0, 0, fmt.Errorf("mcmc: series %d, sample %d is %g", c, t, x)
				}
			}
		}
	}
	return len(series), n, nil
}

// OneHot is labels of 0 to classes−1 as series for [ESS]: labels[c][t] is that of
// chain c at its sample t.
func OneHot(labels [][]int, classes int) ([][][]float64, error) {
	series := make([][][]float64, len(labels))
	for c, row := range labels {
		for t, l := range row {
			if l < 0 || l >= classes {
				return nil, fmt.Errorf("mcmc: chain %d, sample %d: label %d: must be 0 to %d", c, t, l, classes-1)
			}
			v := make([]float64, classes)
			v[l] = 1
			series[c] = append(series[c], v)
		}
	}
	return series, nil
}
