// Products of 4-bit codes with 8-bit activations, groups of 128 inputs, as a C
// programmer would write them with intrinsics. The layout is that of kern.Codes.
#include <immintrin.h>
#include <stdint.h>

#define STEPS 16 // of 8 inputs in a group

// block is N tokens times T tiles.
#define BLOCK(N, T)                                                                                                \
static inline __attribute__((always_inline)) void block##N##x##T(float *dst, long stride, const uint8_t *code,   \
        const float *scale, const int32_t *zero, const int8_t *x, const float *xs, const int32_t *sum, long groups) { \
    const __m512i low = _mm512_set1_epi8(15);                                                                      \
    __m512 y[N][T];                                                                                                \
    for (int t = 0; t < N; t++) for (int v = 0; v < T; v++) y[t][v] = _mm512_setzero_ps();                         \
    for (long k = 0; k < groups; k++) {                                                                            \
        __m512i acc[N][T];                                                                                         \
        for (int t = 0; t < N; t++) for (int v = 0; v < T; v++) acc[t][v] = _mm512_setzero_si512();                \
        for (int s = 0; s < STEPS; s++) {                                                                          \
            __m512i lo[T], hi[T];                                                                                  \
            for (int v = 0; v < T; v++) {                                                                          \
                __m512i c = _mm512_loadu_si512(code + ((v * groups + k) * STEPS + s) * 64);                        \
                lo[v] = _mm512_and_si512(c, low);                                                                  \
                hi[v] = _mm512_and_si512(_mm512_srli_epi16(c, 4), low);                                            \
            }                                                                                                      \
            for (int t = 0; t < N; t++) {                                                                          \
                const int32_t *p = (const int32_t *)(x + (t * groups + k) * 128 + 8 * s);                          \
                __m512i a = _mm512_set1_epi32(p[0]), b = _mm512_set1_epi32(p[1]);                                  \
                for (int v = 0; v < T; v++) {                                                                      \
                    acc[t][v] = _mm512_dpbusd_epi32(acc[t][v], lo[v], a);                                          \
                    acc[t][v] = _mm512_dpbusd_epi32(acc[t][v], hi[v], b);                                          \
                }                                                                                                  \
            }                                                                                                      \
        }                                                                                                          \
        for (int v = 0; v < T; v++) {                                                                              \
            __m512i z = _mm512_loadu_si512(zero + (v * groups + k) * 16);                                          \
            __m512 s = _mm512_loadu_ps(scale + (v * groups + k) * 16);                                             \
            for (int t = 0; t < N; t++) {                                                                          \
                __m512i p = _mm512_sub_epi32(acc[t][v], _mm512_mullo_epi32(z, _mm512_set1_epi32(sum[t * groups + k]))); \
                y[t][v] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(p), _mm512_mul_ps(s, _mm512_set1_ps(xs[t * groups + k])), y[t][v]); \
            }                                                                                                      \
        }                                                                                                          \
    }                                                                                                              \
    for (int t = 0; t < N; t++) for (int v = 0; v < T; v++) _mm512_storeu_ps(dst + t * stride + 16 * v, y[t][v]);  \
}

BLOCK(1, 1)
BLOCK(4, 1)
BLOCK(1, 2)
BLOCK(4, 2)
BLOCK(8, 2)

#define ARGS(m, T) dst + m * stride + 16 * T, stride, code + T * groups * STEPS * 64, scale + T * groups * 16, zero + T * groups * 16, \
        x + m * groups * 128, xs + m * groups, sum + m * groups, groups

// One tile and four tokens at a time.
void w4a8(float *dst, long stride, const uint8_t *code, const float *scale, const int32_t *zero, const int8_t *x,
          const float *xs, const int32_t *sum, long tokens, long tiles, long groups, long reps) {
    for (; reps > 0; reps--)
        for (long t = 0; t < tiles; t++) {
            long m = 0;
            for (; m + 4 <= tokens; m += 4) block4x1(ARGS(m, t));
            for (; m < tokens; m++) block1x1(ARGS(m, t));
        }
}

// Two tiles and up to eight tokens at a time; the number of tiles is even.
void w4a8_wide(float *dst, long stride, const uint8_t *code, const float *scale, const int32_t *zero, const int8_t *x,
               const float *xs, const int32_t *sum, long tokens, long tiles, long groups, long reps) {
    for (; reps > 0; reps--)
        for (long t = 0; t < tiles; t += 2) {
            long m = 0;
            for (; m + 8 <= tokens; m += 8) block8x2(ARGS(m, t));
            for (; m + 4 <= tokens; m += 4) block4x2(ARGS(m, t));
            for (; m < tokens; m++) block1x2(ARGS(m, t));
        }
}

// n rounds of 16 independent byte dot products: what the processor can do.
void peak(int32_t *out, long n, long reps) {
    __m512i acc[16], a = _mm512_set1_epi32(out[0]), b = _mm512_set1_epi32(out[1]);
    for (int i = 0; i < 16; i++) acc[i] = _mm512_setzero_si512();
    for (long r = 0; r < reps * n; r++) {
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) acc[i] = _mm512_dpbusd_epi32(acc[i], a, b);
        __asm__ volatile("" : "+v"(a), "+v"(b));
    }
    for (int i = 1; i < 16; i++) acc[0] = _mm512_add_epi32(acc[0], acc[i]);
    _mm512_storeu_si512(out + 2, acc[0]);
}
