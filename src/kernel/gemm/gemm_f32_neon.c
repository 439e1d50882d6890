/* SPDX-License-Identifier: Apache-2.0 */
/* f32 gemm, NEON: tiles of 6 x 16, 24 of the 32 registers accumulate. */
#define KERNEL(name) gemm_f32_neon_##name
#include "kernel/local_names.h"

#include "kernel/vector_neon.h"

#define TILE_VECTORS 4
#define GEMM_NAME sqzk_gemm_f32_neon
#define GEMM_TEXT "gemm_f32_6x16_neon"
#define GEMM_LEVEL "neon"
#define GEMM_FEATURE SQZI_CPU_NEON

#include "kernel/gemm/gemm_f32_template.h"
