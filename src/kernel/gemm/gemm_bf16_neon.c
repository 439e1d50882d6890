/* SPDX-License-Identifier: Apache-2.0 */
/* bf16 gemm, NEON without BF16: pairs converted to floats in the tile; half the memory of f32, no
 * more speed. */
#define KERNEL(name) gemm_bf16_neon_##name
#include "kernel/local_names.h"

#include "kernel/vector_neon.h"
#include "kernel/gemm/bf16_vector_neon.h"

#define TILE_VECTORS 4
#define GEMM_NAME sqzk_gemm_bf16_neon
#define GEMM_TEXT "gemm_bf16_6x16_neon"
#define GEMM_LEVEL "neon"
#define GEMM_FEATURE SQZI_CPU_NEON

#include "kernel/gemm/gemm_bf16_template.h"
