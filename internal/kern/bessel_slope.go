package kern

// slopeTerms are the terms of ratios and derivatives in every region: of Debye's
// expansion, which serves for all x > 30 here, and of the continued fraction. Unlike in
// logarithms, the sum's part is not drowned by the rest, so they are more.
var slopeTerms = [besselRegions]int{
	debye4: 6, debye6: 9, debye9: 13, debye13: 13, hankel3: 13, hankel20: 13,
	series0: 6, series1: 10, series2: 20, series3: 36,
}

func slopeAVX512(region int, f BesselFn, dst, v, x *float64, n int) {
	switch terms := slopeTerms[region]; f {
	case RatioI:
		switch {
		case region >= series0:
			fractionRatioIAVX512(dst, v, x, n, terms)
		case terms == 6:
			debyeRatioI6AVX512(dst, v, x, n)
		case terms == 9:
			debyeRatioI9AVX512(dst, v, x, n)
		default:
			debyeRatioI13AVX512(dst, v, x, n)
		}
	case RatioK:
		switch {
		case terms == 6:
			debyeRatioK6AVX512(dst, v, x, n)
		case terms == 9:
			debyeRatioK9AVX512(dst, v, x, n)
		default:
			debyeRatioK13AVX512(dst, v, x, n)
		}
	case SlopeI:
		switch {
		case region >= series0:
			fractionSlopeIAVX512(dst, v, x, n, terms)
		case terms == 6:
			debyeSlopeI6AVX512(dst, v, x, n)
		case terms == 9:
			debyeSlopeI9AVX512(dst, v, x, n)
		default:
			debyeSlopeI13AVX512(dst, v, x, n)
		}
	case SlopeK:
		switch {
		case terms == 6:
			debyeSlopeK6AVX512(dst, v, x, n)
		case terms == 9:
			debyeSlopeK9AVX512(dst, v, x, n)
		default:
			debyeSlopeK13AVX512(dst, v, x, n)
		}
	}
}

func slopeAVX2(region int, f BesselFn, dst, v, x *float64, n int) {
	switch terms := slopeTerms[region]; f {
	case RatioI:
		switch {
		case region >= series0:
			fractionRatioIAVX2(dst, v, x, n, terms)
		case terms == 6:
			debyeRatioI6AVX2(dst, v, x, n)
		case terms == 9:
			debyeRatioI9AVX2(dst, v, x, n)
		default:
			debyeRatioI13AVX2(dst, v, x, n)
		}
	case RatioK:
		switch {
		case terms == 6:
			debyeRatioK6AVX2(dst, v, x, n)
		case terms == 9:
			debyeRatioK9AVX2(dst, v, x, n)
		default:
			debyeRatioK13AVX2(dst, v, x, n)
		}
	case SlopeI:
		switch {
		case region >= series0:
			fractionSlopeIAVX2(dst, v, x, n, terms)
		case terms == 6:
			debyeSlopeI6AVX2(dst, v, x, n)
		case terms == 9:
			debyeSlopeI9AVX2(dst, v, x, n)
		default:
			debyeSlopeI13AVX2(dst, v, x, n)
		}
	case SlopeK:
		switch {
		case terms == 6:
			debyeSlopeK6AVX2(dst, v, x, n)
		case terms == 9:
			debyeSlopeK9AVX2(dst, v, x, n)
		default:
			debyeSlopeK13AVX2(dst, v, x, n)
		}
	}
}
