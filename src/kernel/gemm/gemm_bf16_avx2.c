/* SPDX-License-Identifier: Apache-2.0 */
/* bf16 gemm, AVX2: pairs converted to floats in the tile; half the memory of f32, no more speed. */
#define KERNEL(name) gemm_bf16_avx2_##name
#include "kernel/local_names.h"

#include "kernel/vector_avx2.h"
#include "kernel/gemm/bf16_vector_avx2.h"

#define TILE_VECTORS 2
#define GEMM_NAME sqzk_gemm_bf16_avx2
#define GEMM_TEXT "gemm_bf16_6x16_avx2"
#define GEMM_LEVEL "avx2"
#define GEMM_FEATURE SQZI_CPU_AVX2

#include "kernel/gemm/gemm_bf16_template.h"
