/* SPDX-License-Identifier: Apache-2.0 */
/* The gemms compiled in, by type, from portable to best, each list closed by NULL. Which are in
 * depends on the processor family alone. */
#ifndef SQZK_GEMM_LIST_H
#define SQZK_GEMM_LIST_H

#include "kernel/kernel.h"

extern const sqzk_gemm *const sqzk_gemm_f32_list[];
extern const sqzk_gemm *const sqzk_gemm_bf16_list[];
extern const sqzk_gemm *const sqzk_gemm_s8_list[];
extern const sqzk_gemm *const sqzk_gemm_s16_list[]; /* may be empty */

#endif
