/* SPDX-License-Identifier: Apache-2.0 */
/* The s8 gemms, from portable to best. */
#include "kernel/gemm/gemm_list.h"

extern const sqzk_gemm sqzk_gemm_s8_portable, sqzk_gemm_s8_avx2, sqzk_gemm_s8_avx512,
    sqzk_gemm_s8_avxvnni, sqzk_gemm_s8_avx512vnni, sqzk_gemm_s8_amx, sqzk_gemm_s8_neon,
    sqzk_gemm_s8_dotprod, sqzk_gemm_s8_i8mm, sqzk_gemm_s8_simd128;

const sqzk_gemm *const sqzk_gemm_s8_list[] = {
    &sqzk_gemm_s8_portable,
#if !defined(SQZI_DOUBLE) && defined(__x86_64__)
    &sqzk_gemm_s8_avx2,
    &sqzk_gemm_s8_avx512,
    &sqzk_gemm_s8_avxvnni,
    &sqzk_gemm_s8_avx512vnni,
    &sqzk_gemm_s8_amx,
#elif !defined(SQZI_DOUBLE) && defined(__aarch64__)
    &sqzk_gemm_s8_neon,
    &sqzk_gemm_s8_dotprod,
    &sqzk_gemm_s8_i8mm,
#elif !defined(SQZI_DOUBLE) && defined(__wasm__)
    &sqzk_gemm_s8_simd128,
#endif
    NULL,
};
