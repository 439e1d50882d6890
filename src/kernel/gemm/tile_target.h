/* SPDX-License-Identifier: Apache-2.0 */
/* Where the numbers of a finished tile go from their registers: to c with bias and residual, or to a buffer where more has to be done to them. Shared
 * by the gemm templates. Included after vector_<isa>.h, with TILE_VECTORS, MR and NR defined. */
#ifndef SQZK_TILE_TARGET_H
#define SQZK_TILE_TARGET_H

#include "kernel/gemm/tile_epilogue.h"

/* What is added on the way is -0.0, which changes nothing, where there is no bias or residual. */
typedef struct target {
    float *out;
    const float *bias, *residual;
    size_t ldo, ldr;
} target;

static const float nothing[NR] = {
#define FOUR -0.0f, -0.0f, -0.0f, -0.0f
    FOUR, FOUR,
#if TILE_VECTORS * V_WIDTH >= 16
    FOUR, FOUR,
#endif
#if TILE_VECTORS * V_WIDTH == 64
    FOUR, FOUR, FOUR, FOUR, FOUR, FOUR, FOUR, FOUR, FOUR, FOUR, FOUR, FOUR,
#endif
#undef FOUR
};

/* True: the tile at (row, column) may go to c itself, and *to says how. False, with beta, an activation or a part of a vector: it goes to the buffer. */
static inline bool direct_target(const sqzk_gemm_args *args, size_t row, size_t column, size_t n, float *buffer, target *to)
{
    const sqzk_epilogue *epilogue = args->epilogue;
    if (args->beta || n % V_WIDTH || (epilogue && epilogue->activation != SQZK_IDENTITY)) {
        *to = (target){buffer, nothing, nothing, NR, 0};
        return false;
    }
    *to = (target){args->c + row * args->ldc + column, nothing, nothing, args->ldc, 0};
    if (epilogue && epilogue->bias) to->bias = epilogue->bias + column;
    if (epilogue && epilogue->residual) {
        to->residual = epilogue->residual + row * epilogue->ldr + column;
        to->ldr = epilogue->ldr;
    }
    return true;
}

/* The buffer's numbers to c: beta, bias, activation, residual. */
static inline void finish_buffer(const sqzk_gemm_args *args, float *buffer, size_t row, size_t rows, size_t column, size_t n)
{
    float *c = args->c + row * args->ldc + column;
    for (size_t i = 0; args->beta && i < rows; i++)
        for (size_t j = 0; j < n; j++) buffer[i * NR + j] += c[i * args->ldc + j];
    finish_tile(buffer, NR, rows, n, args->epilogue, row, column, c, args->ldc);
}

#endif
