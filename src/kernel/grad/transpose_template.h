/* SPDX-License-Identifier: Apache-2.0 */
/* The transpose by squares of a vector. Include after a vector_<isa>.h with LEVEL(name) defined,
 * which makes the level's function name.
 *
 * f32: squares of V_WIDTH numbers. bf16: pairs of neighbours are words; the words of every other
 * row are turned as f32 is, and those of the rows between; then lower halves of both in turn are
 * one row, upper halves the next: squares of 2 V_WIDTH numbers. What no square covers goes through
 * one that is filled up with zeros, so nothing outside the matrices is touched.
 *
 * Nothing is fetched ahead: the CPU's own fetching is faster alone (columns of 12 kB rows: 0.27 ns
 * a number without, 0.43 with), and turning a strip takes as long as copying it.
 */
#include "kernel/grad/grad_kernels.h"

#include <stdbool.h>
#include <string.h>

enum { HALVES = 2 * V_WIDTH };

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Rows of `to` beside one another: m x n numbers of `bytes` each. */
static void copy_rows(const void *from, size_t from_bytes, void *to, size_t to_bytes, size_t m,
                      size_t row_bytes)
{
    for (size_t i = 0; i < m; i++)
        memcpy((unsigned char *)to + i * to_bytes, (const unsigned char *)from + i * from_bytes,
               row_bytes);
}

static void square_part(const float *x, size_t ldx, float *out, size_t ldo, size_t m, size_t n,
                        size_t filled)
{
    float in[V_WIDTH * V_WIDTH] = {0}, turned[V_WIDTH * V_WIDTH];
    copy_rows(x, ldx * sizeof *x, in, V_WIDTH * sizeof *in, m, n * sizeof *x);
    v_transpose(in, V_WIDTH, turned, V_WIDTH);
    copy_rows(turned, V_WIDTH * sizeof *turned, out, ldo * sizeof *out, n, filled * sizeof *out);
}

/* Rows i of x to columns i of out: out is written row by row, a square's width at a time. */
static void transpose_floats(const sqzk_transpose_args *args)
{
    for (size_t i = 0; i < args->filled; i += V_WIDTH) {
        const size_t m = i < args->m ? least(args->m - i, V_WIDTH) : 0,
                     filled = least(args->filled - i, V_WIDTH);
        const float *x = (const float *)args->x + (m ? i * args->ldx : 0);
        float *out = (float *)args->out + i;
        for (size_t j = 0; j < args->n; j += V_WIDTH, x += V_WIDTH, out += V_WIDTH * args->ldo) {
            if (m == V_WIDTH && args->n - j >= V_WIDTH) v_transpose(x, args->ldx, out, args->ldo);
            else square_part(x, args->ldx, out, args->ldo, m, least(args->n - j, V_WIDTH), filled);
        }
    }
}

/* HALVES x HALVES, rows ldx words apart. */
static void halves_square(const void *x, size_t ldx, uint16_t *out, size_t ldo)
{
    const float *in = x;
    float turned[V_WIDTH * HALVES];
    v_transpose(in, 2 * ldx, turned, HALVES);
    v_transpose(in + ldx, 2 * ldx, turned + V_WIDTH, HALVES);
    for (size_t j = 0; j < V_WIDTH; j++)
        v_store_halves(out + 2 * j * ldo, out + (2 * j + 1) * ldo, v_load(turned + j * HALVES),
                       v_load(turned + j * HALVES + V_WIDTH));
}

static void halves_square_part(const uint16_t *x, size_t ldx, uint16_t *out, size_t ldo, size_t m,
                               size_t n, size_t filled)
{
    _Alignas(float) uint16_t in[HALVES * HALVES] = {0};
    uint16_t turned[HALVES * HALVES];
    copy_rows(x, ldx * sizeof *x, in, HALVES * sizeof *in, m, n * sizeof *x);
    halves_square(in, V_WIDTH, turned, HALVES);
    copy_rows(turned, HALVES * sizeof *turned, out, ldo * sizeof *out, n, filled * sizeof *out);
}

static void transpose_halves(const sqzk_transpose_args *args)
{
    const bool words = ((uintptr_t)args->x | args->ldx * sizeof(uint16_t)) % sizeof(float) == 0;
    for (size_t i = 0; i < args->filled; i += HALVES) {
        const size_t m = i < args->m ? least(args->m - i, HALVES) : 0,
                     filled = least(args->filled - i, HALVES);
        const uint16_t *x = (const uint16_t *)args->x + (m ? i * args->ldx : 0);
        uint16_t *out = (uint16_t *)args->out + i;
        for (size_t j = 0; j < args->n; j += HALVES, x += HALVES, out += HALVES * args->ldo) {
            if (words && m == HALVES && args->n - j >= HALVES)
                halves_square(x, args->ldx / 2, out, args->ldo);
            else
                halves_square_part(x, args->ldx, out, args->ldo, m, least(args->n - j, HALVES),
                                   filled);
        }
    }
}

void LEVEL(sqzk_transpose)(const sqzk_transpose_args *args)
{
    if (args->type == SQZI_BF16) transpose_halves(args);
    else transpose_floats(args);
}
