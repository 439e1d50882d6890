/* SPDX-License-Identifier: Apache-2.0 */
/* A quantised file beside its source: whether each number is the nearest, and the sum of the
 * squared errors. */
#ifndef SQZT_QUANTIZED_FILE_H
#define SQZT_QUANTIZED_FILE_H

#include <math.h>
#include <stdio.h>

#include "base/half.h"
#include "io/packed_rows.h"
#include "io/stored_matrix.h"
#include "rewrite/group_scales.h"
#include "support/test.h"

/* A file read without a model. */
typedef struct sqzt_file {
    sqzi_file_map map;
    sqzi_gguf *gguf;
} sqzt_file;

static inline sqzt_file sqzt_read_file(const char *path)
{
    sqzt_file f;
    sqz_error error = {0};
    sqzt_assert_ok(sqzi_file_map_open(path, &f.map, &error), &error);
    sqzt_assert_ok(sqzi_gguf_open(&sqzi_default_allocator, path, f.map.data, f.map.bytes, &f.gguf,
                                  &error),
                   &error);
    return f;
}

static inline void sqzt_close_file(sqzt_file *f)
{
    sqzi_gguf_close(f->gguf);
    sqzi_file_map_close(&f->map);
}

static inline const sqzi_gguf_tensor *sqzt_scale_of(const sqzt_file *f, const char *name)
{
    char full[96];
    snprintf(full, sizeof full, "%s.scale", name);
    return sqzi_gguf_find_tensor(f->gguf, full);
}

/* Squared error of an int8 tensor, each number checked to be the nearest step. */
static inline double sqzt_check_s8(const float *from, const sqzi_gguf_tensor *to,
                                   const float *scale)
{
    double errors = 0;
    const int8_t *q = to->data;
    for (uint64_t r = 0; r < to->shape[0]; r++) {
        float most = 0;
        for (uint64_t j = 0; j < to->shape[1]; j++)
            most = fmaxf(most, fabsf(from[r * to->shape[1] + j]));
        assert_true(scale[r] == most / 127.0f);
        for (uint64_t j = 0; j < to->shape[1]; j++) {
            const double off = fabs((double)from[r * to->shape[1] + j] -
                                    (double)scale[r] * q[r * to->shape[1] + j]);
            assert_true(q[r * to->shape[1] + j] >= -127);
            /* the scale itself is rounded: 127 steps of at most 2^-24 each */
            assert_true(off <= (double)scale[r] * (0.5 + 127 * 0x1p-24));
            errors += off * off;
        }
    }
    return errors;
}

/* Each number is the nearest level of its group; the scale and multipliers are the rows' own
 * (tests/unit/test_round_weights.c). */
static inline double sqzt_check_packed(const float *from, uint64_t columns, uint32_t bits,
                                       const sqzi_gguf_tensor *to, const float *scale)
{
    const size_t n = (size_t)columns, bytes = (size_t)to->shape[1];
    int8_t q[1024];
    uint8_t multipliers[32];
    double errors = 0;
    assert_true(n <= 1024 && bytes == sqzi_packed_row_bytes(bits, n));
    for (uint64_t r = 0; r < to->shape[0]; r++) {
        const float *row = from + r * n;
        assert_true(scale[r] == sqzi_group_scales(0, bits, row, n, multipliers));
        sqzi_packed_expand(bits, n, (const uint8_t *)to->data + r * bytes, 0, n, q);
        for (size_t i = 0; i < n; i++) {
            const int m = multipliers[i / 32], lowest = m * sqzi_packed_lowest(bits),
                      step = m * sqzi_packed_step(bits), top = lowest + step * ((1 << bits) - 1);
            const double steps = (double)row[i] / (double)scale[r],
                         off = (double)row[i] - (double)scale[r] * q[i];
            assert_true(q[i] >= lowest && q[i] <= top && (q[i] - lowest) % step == 0);
            assert_true(fabs(steps - q[i]) <= 0.5 * step + 1e-9 || (q[i] == top && steps > top) ||
                        (q[i] == lowest && steps < lowest));
            errors += off * off;
        }
    }
    return errors;
}

static inline double sqzt_check_halves(const float *from, const sqzi_gguf_tensor *to)
{
    double errors = 0;
    const uint16_t *halves = to->data;
    for (uint64_t i = 0; i < to->n; i++) {
        assert_int_equal(halves[i],
                         to->type == SQZI_BF16 ? sqzi_to_bf16(from[i]) : sqzi_to_f16(from[i]));
        const double off = (double)from[i] - (double)sqzi_load_real(halves, i, to->type);
        errors += off * off;
    }
    return errors;
}

#endif
