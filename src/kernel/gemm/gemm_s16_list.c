/* SPDX-License-Identifier: Apache-2.0 */
/* The gemms of attention in 16 bits; where there is none, attention multiplies otherwise. */
#include "kernel/gemm/gemm_list.h"

extern const sqzk_gemm sqzk_gemm_s16_avx512vnni;

const sqzk_gemm *const sqzk_gemm_s16_list[] = {
#if !defined(SQZI_DOUBLE) && defined(__x86_64__)
    &sqzk_gemm_s16_avx512vnni,
#endif
    NULL,
};
