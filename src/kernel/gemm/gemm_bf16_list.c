/* SPDX-License-Identifier: Apache-2.0 */
/* The bf16 gemms, from portable to best. */
#include "kernel/gemm/gemm_list.h"

extern const sqzk_gemm sqzk_gemm_bf16_portable, sqzk_gemm_bf16_avx2, sqzk_gemm_bf16_avx512,
    sqzk_gemm_bf16_avx512bf16, sqzk_gemm_bf16_amx, sqzk_gemm_bf16_neon, sqzk_gemm_bf16_armbf16,
    sqzk_gemm_bf16_simd128;

const sqzk_gemm *const sqzk_gemm_bf16_list[] = {
    &sqzk_gemm_bf16_portable,
#if !defined(SQZI_DOUBLE) && defined(__x86_64__)
    &sqzk_gemm_bf16_avx2,
    &sqzk_gemm_bf16_avx512,
    &sqzk_gemm_bf16_avx512bf16,
    &sqzk_gemm_bf16_amx,
#elif !defined(SQZI_DOUBLE) && defined(__aarch64__)
    &sqzk_gemm_bf16_neon,
    &sqzk_gemm_bf16_armbf16,
#elif !defined(SQZI_DOUBLE) && defined(__wasm__)
    &sqzk_gemm_bf16_simd128,
#endif
    NULL,
};
