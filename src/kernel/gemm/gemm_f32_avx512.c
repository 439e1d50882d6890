/* SPDX-License-Identifier: Apache-2.0 */
/* f32 gemm, AVX-512: tiles of 12 x 32, 24 of the 32 registers accumulate. */
#define KERNEL(name) gemm_f32_avx512_##name
#include "kernel/local_names.h"

#include "kernel/vector_avx512.h"

#define TILE_ROWS 12
#define TILE_VECTORS 2
#define TILE_STEPS 4
#define GEMM_NAME sqzk_gemm_f32_avx512
#define GEMM_TEXT "gemm_f32_12x32_avx512"
#define GEMM_LEVEL "avx512"
#define GEMM_FEATURE SQZI_CPU_AVX512

#include "kernel/gemm/gemm_f32_template.h"
