/* SPDX-License-Identifier: Apache-2.0 */
/* The gemm on the matrix instructions of NEON (smmla, bfmmla): two rows times two columns, eight
 * bytes of k of each. Tiles of up to 6 rows x 16 columns, 24 of the 32 registers sum.
 *
 * Include after vector_neon.h and these: block_sum, 2 x 2 sums, rows first; block_zero();
 * block_step(sum, rows, columns); block_row(first, second, upper), 4 columns of the upper or lower
 * row of two blocks; factors_of_row(args, i, panel), scales_of_columns(panel, k, j) and
 * product(block_row's, row's, j, columns'), 4 floats;
 * GROUP_BYTES = 8, the bytes of a row or column in a block; panel_bytes(k); pack, prepare;
 * GEMM_NAME, GEMM_TEXT, GEMM_LEVEL, GEMM_FEATURE, GEMM_TYPE, KR. Panels lie as [k][16 columns][8
 * bytes]. Accumulators are variables with names: gcc 12 keeps an array of them in memory.
 */
#include "base/cpu.h"
#include "kernel/gemm/tile_target.h"

#define BLOCK_SUMS(X, i) X(i, 0) X(i, 1) X(i, 2) X(i, 3) X(i, 4) X(i, 5) X(i, 6) X(i, 7)
#define BLOCKS(X) BLOCK_SUMS(X, 0) BLOCK_SUMS(X, 1) BLOCK_SUMS(X, 2)

/* Two rows, or one twice. */
static inline uint8x16_t two_rows(const unsigned char *a, size_t lda, bool both)
{
    const uint8x8_t first = vld1_u8(a);
    return vcombine_u8(first, both ? vld1_u8(a + lda) : first);
}

/* rows and vectors are constants of each instantiation: what they exclude is not compiled. */
static inline __attribute__((always_inline)) void tile(size_t rows, size_t vectors,
                                                       const sqzk_gemm_args *args, size_t row,
                                                       const unsigned char *b, const target *to)
{
    const size_t lda = args->lda, steps = (args->k + KR - 1) / KR;
    const unsigned char *a = (const unsigned char *)args->a + row * lda, *const panel = b,
                        *const end = a + steps * GROUP_BYTES;
#define DECLARE(i, j) block_sum c##i##j = block_zero();
    BLOCKS(DECLARE)
#undef DECLARE
    for (; a < end; a += GROUP_BYTES, b += NR * GROUP_BYTES) {
        const uint8x16_t x0 = two_rows(a, lda, rows > 1);
        const uint8x16_t x1 = rows > 2 ? two_rows(a + 2 * lda, lda, rows > 3) : x0;
        const uint8x16_t x2 = rows > 4 ? two_rows(a + 4 * lda, lda, rows > 5) : x0;
#define COLUMN(j)                                          \
    if (j < 2 * vectors) {                                 \
        const uint8x16_t w = vld1q_u8(b + j * 2 * GROUP_BYTES); \
        c0##j = block_step(c0##j, x0, w);                  \
        if (rows > 2) c1##j = block_step(c1##j, x1, w);    \
        if (rows > 4) c2##j = block_step(c2##j, x2, w);    \
    }
        COLUMN(0) COLUMN(1) COLUMN(2) COLUMN(3) COLUMN(4) COLUMN(5) COLUMN(6) COLUMN(7)
#undef COLUMN
    }
    float *out = to->out;
    const float *bias = to->bias, *residual = to->residual;
    const size_t ldo = to->ldo, ldr = to->ldr;
#define END(i, v, first, second)                                                                   \
    if (i < rows && v < vectors) {                                                                 \
        const vec y = product(block_row(first, second, i % 2 == 0),                                \
                              factors_of_row(args, row + i, panel), v * V_WIDTH,                   \
                              scales_of_columns(panel, args->k, v * V_WIDTH));                     \
        v_store(out + i * ldo + v * V_WIDTH, v_add(v_add(y, v_load(bias + v * V_WIDTH)),           \
                                                   v_load(residual + i * ldr + v * V_WIDTH)));     \
    }
#define END_ROW(i, c)                                                                              \
    END(i, 0, c##0, c##1) END(i, 1, c##2, c##3) END(i, 2, c##4, c##5) END(i, 3, c##6, c##7)
    END_ROW(0, c0) END_ROW(1, c0) END_ROW(2, c1) END_ROW(3, c1) END_ROW(4, c2) END_ROW(5, c2)
#undef END_ROW
#undef END
}

/* The same for numbers known at run time only. */
static void tile_of(size_t rows, size_t vectors, const sqzk_gemm_args *args, size_t row,
                    const unsigned char *b, const target *to)
{
    switch (rows * 4 + vectors - 1) {
#define CASE(r, v) \
    case (r) * 4 + (v) - 1: tile(r, v, args, row, b, to); break;
#define CASES_OF(r) CASE(r, 1) CASE(r, 2) CASE(r, 3) CASE(r, 4)
        CASES_OF(1) CASES_OF(2) CASES_OF(3) CASES_OF(4) CASES_OF(5) CASES_OF(6)
#undef CASES_OF
#undef CASE
    }
}

static void KERNEL(run)(const sqzk_gemm_args *args)
{
    float buffer[MR * NR] __attribute__((aligned(64)));
    const unsigned char *b = args->b;
    for (size_t column = 0; column < args->n; column += NR, b += panel_bytes(args->k)) {
        const size_t n = args->n - column < NR ? args->n - column : NR;
        for (size_t row = 0, rows; row < args->m; row += rows) {
            rows = tile_rows(args->m, row, MR);
            target to;
            const bool direct = direct_target(args, row, column, n, buffer, &to);
            tile_of(rows, (n + V_WIDTH - 1) / V_WIDTH, args, row, b, &to);
            if (!direct) finish_buffer(args, buffer, row, rows, column, n);
        }
    }
}

extern const sqzk_gemm GEMM_NAME;
const sqzk_gemm GEMM_NAME = {
    .name = GEMM_TEXT,
    .level = GEMM_LEVEL,
    .feature = GEMM_FEATURE,
    .type = GEMM_TYPE,
    .mr = MR,
    .nr = NR,
    .kr = KR,
    .run = KERNEL(run),
    .pack = KERNEL(pack),
    .prepare = KERNEL(prepare),
};
