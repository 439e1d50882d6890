/* SPDX-License-Identifier: Apache-2.0 */
/* f32 gemm, AVX2 with FMA: tiles of 6 x 16, 12 of the 16 registers accumulate. */
#define KERNEL(name) gemm_f32_avx2_##name
#include "kernel/local_names.h"

#include "kernel/vector_avx2.h"

#define TILE_VECTORS 2
#define TILE_STEPS 4
#define GEMM_NAME sqzk_gemm_f32_avx2
#define GEMM_TEXT "gemm_f32_6x16_avx2"
#define GEMM_LEVEL "avx2"
#define GEMM_FEATURE SQZI_CPU_AVX2

#include "kernel/gemm/gemm_f32_template.h"
