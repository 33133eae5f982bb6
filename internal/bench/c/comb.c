// The peers of kern's linear combination, as a C programmer would write them.
// Every function does its work reps times: calls from Go cost something.
#include <string.h>

#define REPEAT for (; reps > 0; reps--, ({ __asm__ volatile("" ::: "memory"); }))

void copy(double *restrict dst, const double *restrict x, long n, long reps) {
  REPEAT memcpy(dst, x, n * sizeof *x);
}

// STREAM's triad.
void triad(double *restrict dst, const double *restrict a, const double *restrict b, const double *s, long n, long reps) {
  REPEAT for (long i = 0; i < n; i++) dst[i] = a[i] + *s * b[i];
}

void comb4(double *restrict dst, const double *c, const double *restrict a, const double *restrict b,
           const double *restrict d, const double *restrict e, long n, long reps) {
  REPEAT {
    const double c0 = c[0], c1 = c[1], c2 = c[2], c3 = c[3];
    for (long i = 0; i < n; i++) dst[i] = c0 * a[i] + c1 * b[i] + c2 * d[i] + c3 * e[i];
  }
}
