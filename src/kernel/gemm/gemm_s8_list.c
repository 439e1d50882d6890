/* SPDX-License-Identifier: Apache-2.0 */
/* The s8 gemms, from portable to best. */
#include "kernel/gemm/gemm_list.h"

const sqzk_gemm *const sqzk_gemm_s8_list[] = {NULL};
