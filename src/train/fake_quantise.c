/* SPDX-License-Identifier: Apache-2.0 */
/* Rounding of masters, row after row. The integers are those of rewrite/group_scales.h to the bit:
 * quotients in double, to nearest, ties to even. */
#include "train/fake_quantise.h"

#include "io/packed_rows.h"
#include "nn/pack.h"
#include "rewrite/group_scales.h"

enum { GROUP = SQZI_PACKED_GROUP };

/* Added to a double below 2^51 and taken off again, it leaves the nearest integer, of two the even
 * one: rint without a call. */
static const double whole = 0x1.8p52;

void sqzi_rounded_layout(const sqzi_parameter *p, sqzi_rounded *r, sqzi_arena *arena)
{
    const sqzi_matrix *matrix = sqzi_parameter_matrix(p);
    const size_t rows = p->entry.rows;
    *r = (sqzi_rounded){0};
    r->integers = sqzi_arena_take(arena, p->n, 1);
    r->scale = sqzi_arena_take(arena, rows, sizeof *r->scale);
    if (p->bits < 8)
        r->multipliers = sqzi_arena_take(arena, rows * sqzi_packed_groups(p->entry.columns), 1);
    if (!(matrix->zero_point > 0)) return;
    r->sums = sqzi_arena_take(arena, rows, sizeof *r->sums);
    r->bias = sqzi_arena_take(arena, rows, sizeof *r->bias);
}

static void round_to_bytes(const float *x, size_t n, double inverse, int8_t *q)
{
    for (size_t i = 0; i < n; i++) {
        double steps = ((double)x[i] * inverse + whole) - whole;
        steps = steps > 127 ? 127 : steps;
        q[i] = (int8_t)(steps < -127 ? -127 : steps);
    }
}

static void round_to_levels(uint32_t bits, const float *x, size_t n, double inverse, uint32_t m,
                            int8_t *q)
{
    const double lowest = sqzi_packed_lowest(bits), step = sqzi_packed_step(bits), by = m,
                 top = (double)((1u << bits) - 1);
    const double per_step = 1 / step; /* 1 or 1/2: a product has the quotient's bits */
    for (size_t i = 0; i < n; i++) {
        double code = (((double)x[i] * inverse / by - lowest) * per_step + whole) - whole;
        code = code > top ? top : code;
        code = code < 0 ? 0 : code;
        q[i] = (int8_t)(by * (lowest + step * code));
    }
}

/* NULL, or where in its group column i of a stored row lies, for the rows of this group. */
static const uint32_t *places_of(const sqzi_matrix *matrix, size_t row)
{
    const size_t k = matrix->n_in / matrix->groups, n = matrix->n_out / matrix->groups;
    return matrix->packing.in ? matrix->packing.in + row / n * k : NULL;
}

/* A row of masters in the order of the file, its scales, its integers and what they mean. The
 * numbers that come out are at first the memory of those that go in. */
static void round_row(const sqzi_parameter *p, uint32_t features, const sqzi_rounded *to,
                      size_t row)
{
    const size_t k = p->entry.columns, groups = sqzi_packed_groups(k);
    const uint32_t *places = places_of(sqzi_parameter_matrix(p), row);
    const sqzi_real *master = p->master + row * k;
    sqzi_real *numbers = p->rounded + row * k;
    uint8_t *multipliers = p->bits < 8 ? to->multipliers + row * groups : NULL;
    int8_t *q = to->integers + row * k, some[GROUP];
    for (size_t i = 0; places && i < k; i++) numbers[i] = master[places[i] % k];
    if (places) master = numbers;
    const float scale = to->scale[row] = sqzi_group_scales(features, p->bits, master, k,
                                                           multipliers);
    const double inverse = scale > 0 ? 1 / (double)scale : 0;
    for (size_t g = 0; g < groups; g++) {
        const size_t first = g * GROUP, n = k - first < GROUP ? k - first : GROUP;
        if (multipliers) round_to_levels(p->bits, master + first, n, inverse, multipliers[g], some);
        else round_to_bytes(master + first, n, inverse, some);
        for (size_t i = 0; i < n; i++) q[places ? places[first + i] % k : first + i] = some[i];
    }
    for (size_t i = 0; i < k; i++) numbers[i] = scale * (sqzi_real)q[i];
}

/* As model/load_weights.c places it. */
static void correct_bias(const sqzi_parameter *p, const sqzi_real *bias, const sqzi_rounded *r)
{
    const double zero_point = (double)sqzi_parameter_matrix(p)->zero_point;
    for (size_t j = 0; j < p->entry.rows; j++)
        r->bias[j] = (float)((bias ? (double)bias[j] : 0) -
                             zero_point * (double)r->scale[j] * (double)r->sums[j]);
}

void sqzi_fake_quantise(const sqzi_parameter *p, uint32_t features, const sqzi_real *bias,
                        const sqzi_rounded *r)
{
    const sqzi_matrix *matrix = sqzi_parameter_matrix(p);
    for (size_t row = 0; row < p->entry.rows; row++) round_row(p, features, r, row);
    sqzi_pack(matrix, (sqzi_numbers){r->integers, SQZI_S8, r->scale}, r->sums,
              (void *)(uintptr_t)matrix->packed);
    if (r->bias) correct_bias(p, bias, r);
}

float sqzi_rounded_row(const sqzi_parameter *p, const sqzi_rounded *rounded, size_t r,
                       int8_t *integers, const uint8_t **multipliers)
{
    const sqzi_matrix *matrix = sqzi_parameter_matrix(p);
    const size_t k = p->entry.columns, row = matrix->packing.out ? matrix->packing.out[r] : r;
    const uint32_t *places = places_of(matrix, row);
    const int8_t *from = rounded->integers + row * k;
    for (size_t i = 0; i < k; i++) integers[i] = from[places ? places[i] % k : i];
    *multipliers = p->bits < 8 ? rounded->multipliers + row * sqzi_packed_groups(k) : NULL;
    return rounded->scale[row];
}
