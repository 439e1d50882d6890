/* SPDX-License-Identifier: Apache-2.0 */
/* The bf16 gemms, from portable to best. */
#include "kernel/gemm/gemm_list.h"

const sqzk_gemm *const sqzk_gemm_bf16_list[] = {NULL};
