// Calls the kernels of an XNNPACK checkout as its bench/f32-softmax.cc does.
#include <stddef.h>

void xnn_f32_raddextexp_ukernel__avx512f_p5_scalef_u144_acc3(size_t, const float *, float *);
void xnn_f32_vscaleextexp_ukernel__avx512f_p5_scalef_u16(size_t, const float *, float *, float, float);
void xnn_f32_rmax_ukernel__avx512f_u64_acc4(size_t, const float *, float *, const void *);
void xnn_f32_raddexpminusmax_ukernel__avx512f_p5_scalef_u128_acc4(size_t, const float *, float *, float);
void xnn_f32_vscaleexpminusmax_ukernel__avx512f_p5_scalef_u16(size_t, const float *, float *, float, float);
void xnn_f32_raddstoreexpminusmax_ukernel__avx512f_rr1_p5_scalef_u64_acc2(size_t, const float *, const float *, float *, float *,
                                                                         const void *);
void xnn_f32_vmulc_ukernel__avx512f_u32(size_t, const float *, const float *, float *, const void *);

static __attribute__((noinline)) void two_pass(float *dst, const float *x, long n) {
  float sum[2];
  xnn_f32_raddextexp_ukernel__avx512f_p5_scalef_u144_acc3(n * 4, x, sum);
  xnn_f32_vscaleextexp_ukernel__avx512f_p5_scalef_u16(n * 4, x, dst, 1 / sum[0], -sum[1]);
}

static __attribute__((noinline)) void recompute(float *dst, const float *x, long n) {
  float max, sum;
  xnn_f32_rmax_ukernel__avx512f_u64_acc4(n * 4, x, &max, NULL);
  xnn_f32_raddexpminusmax_ukernel__avx512f_p5_scalef_u128_acc4(n * 4, x, &sum, max);
  xnn_f32_vscaleexpminusmax_ukernel__avx512f_p5_scalef_u16(n * 4, x, dst, 1 / sum, max);
}

static __attribute__((noinline)) void reload(float *dst, const float *x, long n) {
  float max, sum;
  xnn_f32_rmax_ukernel__avx512f_u64_acc4(n * 4, x, &max, NULL);
  xnn_f32_raddstoreexpminusmax_ukernel__avx512f_rr1_p5_scalef_u64_acc2(n * 4, x, &max, dst, &sum, NULL);
  sum = 1 / sum;
  xnn_f32_vmulc_ukernel__avx512f_u32(n * 4, dst, &sum, dst, NULL);
}

void xnn_two_pass(float *dst, const float *x, long n, long reps) { for (; reps > 0; reps--) two_pass(dst, x, n); }
void xnn_recompute(float *dst, const float *x, long n, long reps) { for (; reps > 0; reps--) recompute(dst, x, n); }
void xnn_reload(float *dst, const float *x, long n, long reps) { for (; reps > 0; reps--) reload(dst, x, n); }
