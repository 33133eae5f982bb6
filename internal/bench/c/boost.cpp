// log I and log K as a user of Boost would take them. Errors give NaN or
// infinity instead of exceptions, and doubles stay doubles.
#include <boost/math/special_functions/bessel.hpp>
#include <cmath>

using namespace boost::math::policies;
typedef policy<domain_error<ignore_error>, pole_error<ignore_error>, overflow_error<ignore_error>,
	evaluation_error<ignore_error>, promote_double<false> > plain;

extern "C" void log_i(double *dst, const double *v, const double *x, long n, long reps) {
	while (reps-- > 0)
		for (long i = 0; i < n; i++)
			dst[i] = std::log(boost::math::cyl_bessel_i(v[i], x[i], plain()));
}

extern "C" void log_k(double *dst, const double *v, const double *x, long n, long reps) {
	while (reps-- > 0)
		for (long i = 0; i < n; i++)
			dst[i] = std::log(boost::math::cyl_bessel_k(v[i], x[i], plain()));
}
