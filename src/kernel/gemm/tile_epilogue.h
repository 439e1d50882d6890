/* SPDX-License-Identifier: Apache-2.0 */
/* The epilogue of a finished tile, shared by the vector gemms of every type. Included after
 * vector_<isa>.h. */
#ifndef SQZK_TILE_EPILOGUE_H
#define SQZK_TILE_EPILOGUE_H

#include "kernel/activation/vector_math.h"

/* The GELU of this type of gemm. */
#ifndef TILE_GELU
#define TILE_GELU v_gelu
#endif

static inline vec tile_activate(sqzk_activation activation, vec x)
{
    return activation == SQZK_GELU ? TILE_GELU(x) : v_activate(activation, x);
}

/* y = activation(v + bias[j]) + residual, for the n <= V_WIDTH columns from j on of one row. */
static inline void finish_vector(vec v, const sqzk_epilogue *epilogue, size_t row, size_t column,
                                 size_t n, float *c)
{
    if (epilogue && epilogue->bias) v = v_add(v, v_load_part(epilogue->bias + column, n));
    if (epilogue) v = tile_activate(epilogue->activation, v);
    if (epilogue && epilogue->residual)
        v = v_add(v, v_load_part(epilogue->residual + row * epilogue->ldr + column, n));
    v_store_part(c, v, n);
}

/* Bias and GELU of a tile of whole vectors: the case that every block of every model has, so
 * without a mask or a choice in its loop. */
static inline void finish_gelu(const float *tile, size_t ldt, size_t rows, size_t n,
                               const float *bias, float *c, size_t ldc)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < n; j += V_WIDTH)
            v_store(c + i * ldc + j,
                    TILE_GELU(v_add(v_load(tile + i * ldt + j), v_load(bias + j))));
}

/* A tile of rows x n numbers at `tile` (row stride ldt) to c, whose first element is (row, column)
 * of the whole C. */
static inline void finish_tile(const float *tile, size_t ldt, size_t rows, size_t n,
                               const sqzk_epilogue *epilogue, size_t row, size_t column, float *c,
                               size_t ldc)
{
    if (epilogue && epilogue->activation == SQZK_GELU && epilogue->bias && !epilogue->residual &&
        n % V_WIDTH == 0) {
        finish_gelu(tile, ldt, rows, n, epilogue->bias + column, c, ldc);
        return;
    }
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < n; j += V_WIDTH) {
            const size_t part = n - j < V_WIDTH ? n - j : V_WIDTH;
            finish_vector(v_load(tile + i * ldt + j), epilogue, row + i, column + j, part,
                          c + i * ldc + j);
        }
}

/* Rows of the tile that begins at row i of m when at most `most` fit one: all tiles differ by at
 * most one row. */
static inline size_t tile_rows(size_t m, size_t i, size_t most)
{
    const size_t left = m - i, tiles = (left + most - 1) / most;
    return (left + tiles - 1) / tiles;
}

#endif
