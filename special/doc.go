// Package special computes the logarithms of the modified Bessel functions I_v(x)
// and K_v(x), their ratios and their derivatives in x, for real orders v and
// arguments x ≥ 0 of any size.
//
// I and K overflow or underflow for most orders and arguments that statistics
// asks for; here they are never formed. [LogI], [LogK] and their kin take
// numbers, [LogIs], [LogKs] and theirs take slices and are some ten times faster
// a value.
//
// # Accuracy
//
// The error is a few units in the last place of max(|log I|, √(v² + x²)). Where
// log I or log K is small beside √(v² + x²), near x = 0.6627 v, the rounding of
// the arguments alone makes such an error. Orders and arguments below 1 have
// their full relative accuracy, log I_0(x) ≈ x²/4 among them.
//
// # Edges
//
// For finite valid arguments the results are finite, except at x = 0 and where
// the logarithm itself is out of float64's range. log I_0(0) = 0, log I_v(0) = −∞
// for v > 0, log K_v(0) = +∞, log I_v(+∞) = +∞, log K_v(+∞) = −∞. K is even in v,
// and I is so at integer v; I has no logarithm in general at other orders below
// zero: NaN. NaN is also the result for x < 0 and for NaN arguments, as in
// package math.
//
// # Source
//
// Plesner, Sørensen and Hauberg, Accurate Computation of the Logarithm of
// Modified Bessel Functions on GPUs, ICS 2024 (arXiv:2409.08729), with the
// refinements that [Refined] lists. DLMF is the NIST Digital Library of
// Mathematical Functions, chapter 10.
package special

//go:generate go run gen.go
