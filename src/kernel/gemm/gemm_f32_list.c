/* SPDX-License-Identifier: Apache-2.0 */
/* The f32 gemms, from portable to best. */
#include "kernel/gemm/gemm_list.h"

extern const sqzk_gemm sqzk_gemm_f32_portable, sqzk_gemm_f32_avx2, sqzk_gemm_f32_avx512,
    sqzk_gemm_f32_neon, sqzk_gemm_f32_simd128;

const sqzk_gemm *const sqzk_gemm_f32_list[] = {
    &sqzk_gemm_f32_portable,
#if !defined(SQZI_DOUBLE) && defined(__x86_64__)
    &sqzk_gemm_f32_avx2,
    &sqzk_gemm_f32_avx512,
#elif !defined(SQZI_DOUBLE) && defined(__aarch64__)
    &sqzk_gemm_f32_neon,
#elif !defined(SQZI_DOUBLE) && defined(__wasm__)
    &sqzk_gemm_f32_simd128,
#endif
    NULL,
};
