/* SPDX-License-Identifier: Apache-2.0 */
/* Row kernels on vectors. Include after a vector_<isa>.h with LEVEL(name) defined, which makes the level's function names.
 *
 * A sum over a row runs in two vector accumulators over whole vectors, then the tail, then across the vector: the order is fixed by n. */
#include "kernel/activation/vector_math.h"
#include "kernel/row_kernels.h"

#include <math.h>
#include <string.h>

/* Applies f(vector, n) over a row of n numbers; n is V_WIDTH but for the tail. */
#define FOR_ROW(j, part, n) for (size_t j = 0, part; j < (n) && (part = (n) - j < V_WIDTH ? (n) - j : V_WIDTH, 1); j += V_WIDTH)

static float row_sum(const float *x, size_t n)
{
    vec even = v_set(0.0f), odd = v_set(0.0f);
    size_t j = 0;
    for (; j + 2 * V_WIDTH <= n; j += 2 * V_WIDTH) {
        even = v_add(even, v_load(x + j));
        odd = v_add(odd, v_load(x + j + V_WIDTH));
    }
    for (; j < n; j += V_WIDTH) even = v_add(even, v_load_part(x + j, n - j < V_WIDTH ? n - j : V_WIDTH));
    return v_sum(v_add(even, odd));
}

static float row_squares(const float *x, size_t n, float mean)
{
    const vec m = v_set(mean);
    vec even = v_set(0.0f), odd = v_set(0.0f);
    size_t j = 0;
    for (; j + 2 * V_WIDTH <= n; j += 2 * V_WIDTH) {
        const vec a = v_sub(v_load(x + j), m), b = v_sub(v_load(x + j + V_WIDTH), m);
        even = v_fma(a, a, even);
        odd = v_fma(b, b, odd);
    }
    for (; j < n; j += V_WIDTH) {
        const vec a = v_sub(v_load_fill(x + j, n - j < V_WIDTH ? n - j : V_WIDTH, mean), m); /* what is not there adds 0 */
        even = v_fma(a, a, even);
    }
    return v_sum(v_add(even, odd));
}

void LEVEL(sqzk_layer_norm)(const sqzk_layer_norm_args *args)
{
    for (size_t r = 0; r < args->m; r++) {
        const float *x = args->x + r * args->ldx;
        float *out = args->out + r * args->ldo;
        const float mean = row_sum(x, args->n) / (float)args->n;
        const float scale = 1.0f / sqrtf(row_squares(x, args->n, mean) / (float)args->n + args->epsilon);
        const vec m = v_set(mean), s = v_set(scale);
        FOR_ROW(j, part, args->n)
        {
            const vec y = v_mul(v_sub(v_load_part(x + j, part), m), s);
            v_store_part(out + j, v_fma(y, v_load_part(args->weight + j, part), v_load_part(args->bias + j, part)), part);
        }
    }
}

static float row_largest(const float *x, size_t n)
{
    vec largest = v_set(-INFINITY);
    FOR_ROW(j, part, n) largest = v_max(largest, v_load_fill(x + j, part, -INFINITY));
    return v_largest(largest);
}

void LEVEL(sqzk_softmax)(const sqzk_softmax_args *args)
{
    const vec scale = v_set(args->scale);
    for (size_t r = 0; r < args->m; r++) {
        float *x = args->x + r * args->ldx;
        const vec largest = v_set(row_largest(x, args->n)); /* scale > 0: the largest stays it */
        vec sums = v_set(0.0f);
        FOR_ROW(j, part, args->n)
        {
            const vec distance = v_sub(v_load_fill(x + j, part, -INFINITY), largest);
            const vec e = v_exp(v_mul(distance, scale));
            v_store_part(x + j, e, part);
            sums = v_add(sums, e); /* exp(-inf) is 0 */
        }
        const vec inverse = v_set(1.0f / v_sum(sums));
        FOR_ROW(j, part, args->n) v_store_part(x + j, v_mul(v_load_part(x + j, part), inverse), part);
    }
}

void LEVEL(sqzk_activate)(sqzk_activation activation, float *x, size_t n)
{
    FOR_ROW(j, part, n) v_store_part(x + j, v_activate(activation, v_load_part(x + j, part)), part);
}

void LEVEL(sqzk_widen)(const void *source, sqzi_type type, size_t n, float *out)
{
    if (type == SQZI_F32) {
        memcpy(out, source, n * sizeof *out);
        return;
    }
    const uint16_t *halves = source;
    FOR_ROW(j, part, n)
    {
        uint16_t tail[V_WIDTH] = {0};
        if (part < V_WIDTH) memcpy(tail, halves + j, part * sizeof *tail);
        const uint16_t *from = part < V_WIDTH ? tail : halves + j;
        v_store_part(out + j, type == SQZI_F16 ? v_from_f16(from) : v_from_bf16(from), part);
    }
}
