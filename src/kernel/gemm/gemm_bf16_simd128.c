/* SPDX-License-Identifier: Apache-2.0 */
/* bf16 gemm, SIMD128: pairs converted to floats in the tile; products of bf16 are exact, so
 * multiply and add give the bits of a fused one. */
#define KERNEL(name) gemm_bf16_simd128_##name
#include "kernel/local_names.h"

#include "kernel/vector_simd128.h"
#include "kernel/gemm/bf16_vector_simd128.h"

#define TILE_VECTORS 2
#define GEMM_NAME sqzk_gemm_bf16_simd128
#define GEMM_TEXT "gemm_bf16_6x8_simd128"
#define GEMM_LEVEL "simd128"
#define GEMM_FEATURE SQZI_CPU_SIMD128

#include "kernel/gemm/gemm_bf16_template.h"
