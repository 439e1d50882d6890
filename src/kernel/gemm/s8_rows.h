/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of floats to rows of bytes on vectors, to the bit as gemm_s8_portable.c defines it, plus
 * FLIP. Two passes over a row: its two largest magnitudes, its bytes. Included after a
 * vector_<isa>.h, its s8_vector_<isa>.h and gemm_s8_panel.h. */
#ifndef SQZK_S8_ROWS_H
#define SQZK_S8_ROWS_H

#include <string.h>

#include "kernel/gemm/s8_row.h"

/* What an int8 layer activates is rounded to 8 bits before it is used. */
#define TILE_GELU v_gelu_near

/* Numbers j .. j+V_WIDTH-1 of a row: where they lie, or cut short in the buffer, which is filled up
 * with zeros. */
static inline const float *row_part(const float *x, size_t j, size_t k, float *buffer)
{
    if (k - j >= V_WIDTH) return x + j;
    for (size_t i = 0; i < V_WIDTH; i++) buffer[i] = j + i < k ? x[j + i] : 0.0f;
    return buffer;
}

/* The largest magnitudes of the numbers that stand LANES apart. */
enum { LANES = 4 * V_WIDTH };

typedef struct lanes {
    ivec parts[4];
} lanes;

static inline lanes largest_of_lanes(const float *x, size_t k)
{
    float buffer[V_WIDTH];
    ivec a = i_zero(), b = a, c = a, d = a;
    size_t j = 0;
    for (; j + LANES <= k; j += LANES) {
        a = i_max_magnitude(a, v_load(x + j));
        b = i_max_magnitude(b, v_load(x + j + V_WIDTH));
        c = i_max_magnitude(c, v_load(x + j + 2 * V_WIDTH));
        d = i_max_magnitude(d, v_load(x + j + 3 * V_WIDTH));
    }
    lanes all = {{a, b, c, d}};
    for (size_t part = 0; j < k; j += V_WIDTH, part++)
        all.parts[part] = i_max_magnitude(all.parts[part], v_load(row_part(x, j, k, buffer)));
    return all;
}

static inline ivec merged(const lanes *of)
{
    return i_max(i_max(of->parts[0], of->parts[1]), i_max(of->parts[2], of->parts[3]));
}

/* One number of a row may stand above `rest`, the most that another may be beside it: the largest
 * of the others is then that of the other lanes or stands in the same, whose numbers are looked at
 * once more. */
static __attribute__((noinline)) void look_closer(const float *x, size_t k, lanes all,
                                                  uint32_t rest, s8_largest *found)
{
    uint64_t above = 0;
    for (size_t i = 0; i < 4; i++) {
        above |= (uint64_t)i_lanes_above(all.parts[i], rest) << i * V_WIDTH;
        all.parts[i] = i_without_above(all.parts[i], rest);
    }
    if (above & (above - 1)) return;
    uint32_t next = i_largest(merged(&all)), times = 0;
    for (size_t i = (size_t)__builtin_ctzll(above); i < k; i += LANES) {
        const uint32_t magnitude = s8_magnitude(x[i]);
        if (magnitude == found->most) {
            found->place = (uint32_t)i;
            times++;
        } else if (magnitude > next) next = magnitude;
    }
    if (times == 1) found->next = next;
}

static inline __attribute__((always_inline)) s8_largest find_largest(const float *x, size_t k)
{
    const lanes all = largest_of_lanes(x, k);
    const ivec of_lanes = merged(&all);
    s8_largest found = {.most = i_largest(of_lanes)};
    found.next = found.most;
    const uint32_t rest = s8_most_beside(found.most), above = i_lanes_above(of_lanes, rest);
    if (above && !(above & (above - 1))) look_closer(x, k, all, rest, &found);
    return found;
}

/* What a row is multiplied by, and its zero point. The branch costs nothing that can be seen, two
 * loops cost kilobytes on each level. */
typedef struct row_steps {
    vec factor, zero_point;
    bool is_unsigned;
} row_steps;

static inline ivec steps_of(vec x, const row_steps *by)
{
    if (by->is_unsigned)
        return i_subtract(i_round(v_mul(v_add(x, by->zero_point), by->factor)),
                          i_set(UNSIGNED_LESS));
    return i_round(v_mul(x, by->factor));
}

static bool write_row(s8_form form, const float *x, size_t k, s8_largest largest,
                      unsigned char *out, sqzk_s8_row *row)
{
    float buffer[V_WIDTH], factor;
    if (!s8_row_of(x[largest.place], largest, form, row, &factor)) return false;
    place_outlier(row, largest.place);
    const row_steps by = {v_set(factor), v_set(form.zero_point), form.is_unsigned};
    size_t j = 0;
#ifdef I_TO_BYTES_4
    for (; j + LANES <= k; j += LANES)
        i_to_bytes_4(steps_of(v_load(x + j), &by), steps_of(v_load(x + j + V_WIDTH), &by),
                     steps_of(v_load(x + j + 2 * V_WIDTH), &by),
                     steps_of(v_load(x + j + 3 * V_WIDTH), &by), FLIP, out + j);
#endif
    for (; j < k; j += V_WIDTH)
        i_to_bytes(steps_of(v_load(row_part(x, j, k, buffer)), &by), FLIP, out + j);
    const size_t padded = (k + 63) / 64 * 64;
    if (j < padded) memset(out + j, FLIP, padded - j);
    return true;
}

/* Some rows are looked through before they are written: what the one waits for, the other need
 * not. */
static bool KERNEL(prepare)(const sqzk_prepare_args *args)
{
    enum { ROWS = 4 };
    s8_largest largest[ROWS];
    for (size_t i = 0; i < args->m; i += ROWS) {
        const size_t rows = args->m - i < ROWS ? args->m - i : ROWS;
        const float *x = args->x + i * args->ldx;
        for (size_t r = 0; r < rows; r++) largest[r] = find_largest(x + r * args->ldx, args->k);
        for (size_t r = 0; r < rows; r++)
            if (!write_row(s8_form_of(args), x + r * args->ldx, args->k, largest[r],
                           (unsigned char *)args->out + (i + r) * args->ldo, args->s8_rows + i + r))
                return false;
    }
    return true;
}

#endif
