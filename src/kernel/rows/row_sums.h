/* SPDX-License-Identifier: Apache-2.0 */
/* Sums over a row on vectors, and the loop over one. Include after a vector_<isa>.h. */
#ifndef SQZK_ROW_SUMS_H
#define SQZK_ROW_SUMS_H

/* Applies f(vector, n) over a row of n numbers; n is V_WIDTH but for the tail. */
#define FOR_ROW(j, part, n)                                                                        \
    for (size_t j = 0, part; j < (n) && (part = (n)-j < V_WIDTH ? (n)-j : V_WIDTH, 1); j += V_WIDTH)

static float row_sum(const float *x, size_t n)
{
    vec a = v_set(0.0f), b = a, c = a, d = a;
    size_t j = 0;
    for (; j + 4 * V_WIDTH <= n; j += 4 * V_WIDTH) {
        a = v_add(a, v_load(x + j));
        b = v_add(b, v_load(x + j + V_WIDTH));
        c = v_add(c, v_load(x + j + 2 * V_WIDTH));
        d = v_add(d, v_load(x + j + 3 * V_WIDTH));
    }
    for (; j < n; j += V_WIDTH) a = v_add(a, v_load_part(x + j, n - j < V_WIDTH ? n - j : V_WIDTH));
    return v_sum(v_add(v_add(a, b), v_add(c, d)));
}

static inline vec add_square(vec sum, vec x, vec mean)
{
    const vec distance = v_sub(x, mean);
    return v_fma(distance, distance, sum);
}

static float row_squares(const float *x, size_t n, float mean)
{
    const vec m = v_set(mean);
    vec a = v_set(0.0f), b = a, c = a, d = a;
    size_t j = 0;
    for (; j + 4 * V_WIDTH <= n; j += 4 * V_WIDTH) {
        a = add_square(a, v_load(x + j), m);
        b = add_square(b, v_load(x + j + V_WIDTH), m);
        c = add_square(c, v_load(x + j + 2 * V_WIDTH), m);
        d = add_square(d, v_load(x + j + 3 * V_WIDTH), m);
    }
    /* what is not there adds 0 */
    for (; j < n; j += V_WIDTH)
        a = add_square(a, v_load_fill(x + j, n - j < V_WIDTH ? n - j : V_WIDTH, mean), m);
    return v_sum(v_add(v_add(a, b), v_add(c, d)));
}

#endif
