/* SPDX-License-Identifier: Apache-2.0 */
/* Row kernels on vectors. Include after a vector_<isa>.h with LEVEL(name) defined, which makes the
 * level's function names.
 *
 * A sum over a row (row_sums.h) runs in several vector accumulators over whole vectors, then the
 * tail, then across the vector: the order is fixed by n. */
#include "kernel/activation/vector_math.h"
#include "kernel/rows/row_kernels.h"
#include "kernel/rows/row_sums.h"

#include <math.h>
#include <string.h>

static inline vec normed(vec x, vec mean, vec scale, vec weight, vec bias)
{
    return v_fma(v_mul(v_sub(x, mean), scale), weight, bias);
}

void LEVEL(sqzk_layer_norm)(const sqzk_layer_norm_args *args)
{
    const float *weight = args->weight, *bias = args->bias;
    const size_t n = args->n;
    for (size_t r = 0; r < args->m; r++) {
        const float *x = args->x + r * args->ldx;
        float *out = args->out + r * args->ldo;
        const float mean = row_sum(x, n) / (float)n;
        const vec m = v_set(mean),
                  s = v_set(1.0f / sqrtf(row_squares(x, n, mean) / (float)n + args->epsilon));
        size_t j = 0;
        for (; j + V_WIDTH <= n; j += V_WIDTH)
            v_store(out + j, normed(v_load(x + j), m, s, v_load(weight + j), v_load(bias + j)));
        if (j < n)
            v_store_part(out + j,
                         normed(v_load_part(x + j, n - j), m, s, v_load_part(weight + j, n - j),
                                v_load_part(bias + j, n - j)),
                         n - j);
    }
}

static float row_largest(const float *x, size_t n)
{
    vec a = v_set(-INFINITY), b = a, c = a, d = a;
    size_t j = 0;
    for (; j + 4 * V_WIDTH <= n; j += 4 * V_WIDTH) {
        a = v_max(a, v_load(x + j));
        b = v_max(b, v_load(x + j + V_WIDTH));
        c = v_max(c, v_load(x + j + 2 * V_WIDTH));
        d = v_max(d, v_load(x + j + 3 * V_WIDTH));
    }
    for (; j < n; j += V_WIDTH)
        a = v_max(a, v_load_fill(x + j, n - j < V_WIDTH ? n - j : V_WIDTH, -INFINITY));
    return v_largest(v_max(v_max(a, b), v_max(c, d)));
}

/* Rounded to the 8 bits of a bf16, by Veltkamp's split: the sum of an upper part and a rest, both
 * exact. */
static inline vec rounded_to_bf16(vec x)
{
    const vec spread = v_mul(x, v_set(65537.0f));
    return v_sub(spread, v_sub(spread, x));
}

/* One row in place; returns the sum. The offset, largest * scale, is rounded: all e are off by one
 * factor, which inverse takes out. */
static float exp_row(float *x, size_t n, vec scale, vec offset)
{
    vec a = v_set(0.0f), b = a;
    size_t j = 0;
    for (; j + 2 * V_WIDTH <= n; j += 2 * V_WIDTH) {
        const vec first = v_exp(v_fma(v_load(x + j), scale, offset)),
                  second = v_exp(v_fma(v_load(x + j + V_WIDTH), scale, offset));
        v_store(x + j, first);
        v_store(x + j + V_WIDTH, second);
        a = v_add(a, first);
        b = v_add(b, second);
    }
    for (; j < n; j += V_WIDTH) {
        const size_t part = n - j < V_WIDTH ? n - j : V_WIDTH;
        /* exp(-inf) is 0 */
        const vec e = v_exp(v_fma(v_load_fill(x + j, part, -INFINITY), scale, offset));
        v_store_part(x + j, e, part);
        a = v_add(a, e);
    }
    return v_sum(v_add(a, b));
}

/* One row to bf16, by powers of 2; returns the sum of what was rounded. */
static float exp_row_to_halves(const float *x, size_t n, vec scale, vec offset, uint16_t *halves)
{
    vec a = v_set(0.0f), b = a;
    size_t j = 0;
    for (; j + 2 * V_WIDTH <= n; j += 2 * V_WIDTH) {
        const vec first = rounded_to_bf16(v_exp2_near(v_fma(v_load(x + j), scale, offset)));
        const vec second = rounded_to_bf16(
            v_exp2_near(v_fma(v_load(x + j + V_WIDTH), scale, offset)));
        v_store_uppers(halves + j, first, second);
        a = v_add(a, first);
        b = v_add(b, second);
    }
    for (; j < n; j += V_WIDTH) {
        const vec e = rounded_to_bf16(v_exp2_near(v_fma(
            v_load_fill(x + j, n - j < V_WIDTH ? n - j : V_WIDTH, -INFINITY), scale, offset)));
        v_store_upper(halves + j, e);
        a = v_add(a, e);
    }
    memset(halves + j, 0, ((n + 31) / 32 * 32 - j) * sizeof *halves);
    return v_sum(v_add(a, b));
}

/* The offsets of all rows first, to where their inverses will stand: a row's exponentials wait for
 * its largest number, which is found one step after another, and the CPU does not see far enough
 * ahead to begin the next row meanwhile. */
void LEVEL(sqzk_softmax)(const sqzk_softmax_args *args)
{
    /* 2^(z log2(e)) is e^z */
    const float scale = args->halves ? args->scale * 1.44269504f : args->scale;
    const vec scales = v_set(scale);
    /* scale > 0: the largest stays it */
    for (size_t r = 0; r < args->m; r++)
        args->inverse[r] = -row_largest(args->x + r * args->ldx, args->n) * scale;
    for (size_t r = 0; r < args->m; r++) {
        float *x = args->x + r * args->ldx;
        const vec offset = v_set(args->inverse[r]);
        args->inverse[r] = 1.0f / (args->halves ? exp_row_to_halves(x, args->n, scales, offset,
                                                                    args->halves + r * args->ldh)
                                                : exp_row(x, args->n, scales, offset));
    }
}

void LEVEL(sqzk_scale_rows)(const sqzk_scale_rows_args *args)
{
    for (size_t r = 0; r < args->m; r++) {
        float *x = args->x + r * args->ldx;
        const vec factor = v_set(args->factor[r]);
        FOR_ROW(j, part, args->n)
        v_store_part(x + j, v_mul(v_load_part(x + j, part), factor), part);
    }
}

void LEVEL(sqzk_activate)(sqzk_activation activation, size_t n, const float *x, float *y)
{
    FOR_ROW(j, part, n) v_store_part(y + j, v_activate(activation, v_load_part(x + j, part)), part);
}

static inline vec converted(const void *from, sqzi_type type, vec scale)
{
    switch (type) {
    case SQZI_S8: return v_mul(v_from_s8(from), scale);
    case SQZI_F16: return v_from_f16(from);
    case SQZI_BF16: return v_from_bf16(from);
    default: return v_load(from);
    }
}

void LEVEL(sqzk_convert)(const sqzk_convert_args *args)
{
    const size_t bytes = args->type == SQZI_F32 ? sizeof(float) : args->type == SQZI_S8 ? 1 : 2;
    const vec scale = v_set(args->scale);
    FOR_ROW(j, part, args->n)
    {
        float tail[V_WIDTH] = {0};
        const void *from = (const unsigned char *)args->source + j * bytes;
        if (part < V_WIDTH) from = memcpy(tail, from, part * bytes);
        const vec x = converted(from, args->type, scale);
        v_store_part(args->out + j, args->beta ? v_add(v_load_part(args->out + j, part), x) : x,
                     part);
    }
}
