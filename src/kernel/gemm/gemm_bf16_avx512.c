/* SPDX-License-Identifier: Apache-2.0 */
/* bf16 gemm, AVX-512 without BF16: pairs converted to floats in the tile; half the memory of f32,
 * no more speed. */
#define KERNEL(name) gemm_bf16_avx512_##name
#include "kernel/local_names.h"

#include "kernel/vector_avx512.h"
#include "kernel/gemm/bf16_vector_avx512.h"

#define TILE_ROWS 12
#define TILE_VECTORS 2
#define GEMM_NAME sqzk_gemm_bf16_avx512
#define GEMM_TEXT "gemm_bf16_12x32_avx512"
#define GEMM_LEVEL "avx512"
#define GEMM_FEATURE SQZI_CPU_AVX512

#include "kernel/gemm/gemm_bf16_template.h"
