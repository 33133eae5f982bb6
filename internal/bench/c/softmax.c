// The two-pass softmax of Dukhan and Ablavatski in C with AVX-512 intrinsics:
// nine vectors a turn on three accumulators, no check of the numbers.
#include <immintrin.h>

typedef __m512 v;
#define SET _mm512_set1_ps

static inline v ext(v x, v *n) {
  *n = _mm512_roundscale_ps(_mm512_mul_ps(x, SET(0x1.715476p+0f)), 0);
  v t = _mm512_fmadd_ps(*n, SET(-0x1.62E43p-1f), x);
  t = _mm512_fmadd_ps(*n, SET(0x1.05C61p-29f), t);
  v p = SET(0x1.0F9F9Cp-7f);
  p = _mm512_fmadd_ps(p, t, SET(0x1.573A1Ap-5f));
  p = _mm512_fmadd_ps(p, t, SET(0x1.555A80p-3f));
  p = _mm512_fmadd_ps(p, t, SET(0x1.FFFDC6p-2f));
  p = _mm512_fmadd_ps(p, t, SET(0x1.FFFFF6p-1f));
  return _mm512_fmadd_ps(p, t, SET(1.0f));
}

// n must be a multiple of 16.
static __attribute__((noinline)) void row(float *dst, const float *x, long n) {
  v m[3] = {SET(0), SET(0), SET(0)}, e[3] = {SET(-1e30f), SET(-1e30f), SET(-1e30f)};
  long i = 0;
  for (; i + 144 <= n; i += 144) {
    v mi[9], ni[9];
    for (int u = 0; u < 9; u++) mi[u] = ext(_mm512_loadu_ps(x + i + 16 * u), &ni[u]);
    for (int a = 0; a < 3; a++) {
      v top = _mm512_max_ps(_mm512_max_ps(e[a], ni[a]), _mm512_max_ps(ni[a + 3], ni[a + 6]));
      m[a] = _mm512_scalef_ps(m[a], _mm512_sub_ps(e[a], top));
      for (int u = a; u < 9; u += 3) m[a] = _mm512_add_ps(m[a], _mm512_scalef_ps(mi[u], _mm512_sub_ps(ni[u], top)));
      e[a] = top;
    }
  }
  for (; i < n; i += 16) {
    v ni, mi = ext(_mm512_loadu_ps(x + i), &ni), top = _mm512_max_ps(e[0], ni);
    m[0] = _mm512_add_ps(_mm512_scalef_ps(m[0], _mm512_sub_ps(e[0], top)), _mm512_scalef_ps(mi, _mm512_sub_ps(ni, top)));
    e[0] = top;
  }
  v top = SET(_mm512_reduce_max_ps(_mm512_max_ps(e[0], _mm512_max_ps(e[1], e[2]))));
  v sum = SET(0);
  for (int a = 0; a < 3; a++) sum = _mm512_add_ps(sum, _mm512_scalef_ps(m[a], _mm512_sub_ps(e[a], top)));
  v w = SET(1 / _mm512_reduce_add_ps(sum));
  for (i = 0; i < n; i += 16) {
    v ni, mi = ext(_mm512_loadu_ps(x + i), &ni);
    _mm512_storeu_ps(dst + i, _mm512_scalef_ps(_mm512_mul_ps(mi, w), _mm512_sub_ps(ni, top)));
  }
}

void softmax(float *dst, const float *x, long n, long reps) {
  for (; reps > 0; reps--) row(dst, x, n);
}
