/* SPDX-License-Identifier: Apache-2.0 */
/* f32 gemm, SIMD128: tiles of 6 x 8, 12 sums for the 16 registers that x86 has under it; multiply,
 * then add. */
#define KERNEL(name) gemm_f32_simd128_##name
#include "kernel/local_names.h"

#include "kernel/vector_simd128.h"

#define TILE_VECTORS 2
#define GEMM_NAME sqzk_gemm_f32_simd128
#define GEMM_TEXT "gemm_f32_6x8_simd128"
#define GEMM_LEVEL "simd128"
#define GEMM_FEATURE SQZI_CPU_SIMD128

#include "kernel/gemm/gemm_f32_template.h"
