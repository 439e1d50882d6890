/* SPDX-License-Identifier: Apache-2.0 */
/* The gemms in 16 bits against integers summed here: exact bits on awkward sizes and strides, from
 * columns that lie either way, between unreadable pages; sums at their largest, zeros, numbers that
 * are not finite. A level that this machine lacks is named. */
#include <float.h>

#include "support/gemms.h"
#include "support/random.h"

static const uint32_t seed = 30;
enum { ROW_MOST = 16383 };

/* Row or column i of k numbers: plain; all of one size, so that sums are at their largest; zeros;
 * so small that 1 over it overflows; large. */
static void fill(sqzt_random *random, float *x, size_t k, size_t i)
{
    for (size_t j = 0; j < k; j++) switch (i % 6) {
        case 1: x[j] = 2.5f; break;
        case 2: x[j] = sqzt_below(random, 2) ? -0.75f : 0.75f; break;
        case 3: x[j] = i % 12 == 3 ? 0.0f : (float)sqzt_normal(random) * 1e-37f; break;
        case 4: x[j] = (float)sqzt_normal(random) * 1e15f; break;
        default: x[j] = (float)sqzt_normal(random);
        }
}

/* k numbers to integers of at most `most`, in the plainest words; returns the scale. */
static float quantise(const float *x, size_t k, float most, int *q)
{
    float largest = 0;
    bool finite = true;
    for (size_t j = 0; j < k; j++) {
        finite = finite && isfinite(x[j]);
        largest = fmaxf(largest, fabsf(x[j]));
    }
    const float factor = most / largest;
    const bool zero = !(factor < INFINITY);
    for (size_t j = 0; j < k; j++) q[j] = zero || !finite ? 0 : (int)nearbyintf(x[j] * factor);
    return !finite ? NAN : zero ? 0 : largest * (1.0f / most);
}

/* A [m, k] with row stride lda, B as n columns of k numbers, and what they are as integers. */
typedef struct problem {
    shape s;
    size_t lda;
    float *b, *row_scale, *column_scale;
    sqzt_guarded a;
    int *rows, *columns;
} problem;

static problem make(shape s)
{
    sqzt_random random = sqzt_random_of(seed + s.m * 31 + s.n * 7 + s.k);
    problem p = {.s = s, .lda = s.k + 3};
    p.a = sqzt_guarded_open(((s.m - 1) * p.lda + s.k) * sizeof(float));
    p.b = take(s.n * s.k, sizeof *p.b);
    p.rows = take(s.m * s.k, sizeof *p.rows);
    p.columns = take(s.n * s.k, sizeof *p.columns);
    p.row_scale = take(s.m, sizeof *p.row_scale);
    p.column_scale = take(s.n, sizeof *p.column_scale);
    for (size_t i = 0; i < s.m; i++) fill(&random, (float *)p.a.p + i * p.lda, s.k, i);
    for (size_t j = 0; j < s.n; j++) fill(&random, p.b + j * s.k, s.k, j);
    return p;
}

static void round_all(problem *p)
{
    const size_t k = p->s.k;
    const double most = fmin(INT16_MAX, floor(INT32_MAX / ((double)ROW_MOST * (double)k)));
    for (size_t i = 0; i < p->s.m; i++)
        p->row_scale[i] = quantise((const float *)p->a.p + i * p->lda, k, ROW_MOST,
                                   p->rows + i * k);
    for (size_t j = 0; j < p->s.n; j++)
        p->column_scale[j] = quantise(p->b + j * k, k, (float)most, p->columns + j * k);
}

static void discard(problem *p)
{
    void *all[] = {p->b, p->rows, p->columns, p->row_scale, p->column_scale};
    sqzt_guarded_close(&p->a);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

static void compare(const sqzk_gemm *gemm, const problem *p, const float *c, size_t ldc, bool beta)
{
    for (size_t i = 0; i < p->s.m; i++) {
        for (size_t j = 0; j < p->s.n; j++) {
            int64_t sum = 0;
            for (size_t k = 0; k < p->s.k; k++)
                sum += (int64_t)p->rows[i * p->s.k + k] * p->columns[j * p->s.k + k];
            assert_in_range((uint64_t)(sum + INT32_MAX), 0, 2 * (uint64_t)INT32_MAX);
            float wanted = (float)(int32_t)sum * (p->row_scale[i] * p->column_scale[j]);
            if (beta) wanted = canary + wanted;
            const float got = c[i * ldc + j];
            if (isnan(wanted) ? !isnan(got) : memcmp(&wanted, &got, sizeof got) != 0)
                fail_msg("%s, %zu x %zu x %zu: (%zu, %zu) is %.9g, exactly %.9g expected",
                         gemm->name, p->s.m, p->s.n, p->s.k, i, j, (double)got, (double)wanted);
        }
        for (size_t j = p->s.n; j < ldc && i + 1 < p->s.m; j++)
            assert_memory_equal(&c[i * ldc + j], &canary, sizeof canary);
    }
}

/* B as it is packed: columns contiguous with a gap behind each, or rows of a number of each column;
 * ends at an unreadable page either way. */
static void pack(const sqzk_gemm *gemm, const problem *p, bool columns, void *packed)
{
    const size_t n = p->s.n, k = p->s.k, stride = (columns ? k : n) + 5, vectors = columns ? n : k,
                 length = columns ? k : n;
    sqzt_guarded b = sqzt_guarded_open(((vectors - 1) * stride + length) * sizeof(float));
    float *to = b.p;
    for (size_t i = 0; i < vectors; i++) {
        for (size_t j = 0; j < length; j++)
            to[i * stride + j] = columns ? p->b[i * k + j] : p->b[j * k + i];
        for (size_t j = length; j < stride && i + 1 < vectors; j++) to[i * stride + j] = NAN;
    }
    gemm->pack(&(sqzk_pack_args){.n = n,
                                 .k = k,
                                 .source = to,
                                 .n_stride = columns ? stride : 1,
                                 .k_stride = columns ? 1 : stride,
                                 .type = SQZI_F32},
               packed);
    sqzt_guarded_close(&b);
}

static void check(const sqzk_gemm *gemm, problem *p)
{
    const shape s = p->s;
    const size_t lda = sqzk_gemm_prepared_bytes(gemm, s.k), ldc = s.n + 3;
    sqzt_guarded rows = sqzt_guarded_open(s.m * lda),
                 panels = sqzt_guarded_open(sqzk_gemm_packed_bytes(gemm, s.k, s.n));
    sqzk_s8_row *s8_rows = take(s.m, sizeof *s8_rows);
    round_all(p);
    assert_true(gemm->prepare(&(sqzk_prepare_args){.m = s.m,
                                                   .k = s.k,
                                                   .x = p->a.p,
                                                   .ldx = p->lda,
                                                   .out = rows.p,
                                                   .ldo = lda,
                                                   .s8_rows = s8_rows}));
    for (uint32_t way = 0; way < 4; way++) {
        sqzt_guarded c = sqzt_guarded_open(((s.m - 1) * ldc + s.n) * sizeof(float));
        for (size_t i = 0; i < c.bytes / sizeof(float); i++) ((float *)c.p)[i] = canary;
        memset(panels.p, 0xA5, panels.bytes);
        pack(gemm, p, way & 1, panels.p);
        gemm->run(&(sqzk_gemm_args){.m = s.m,
                                    .n = s.n,
                                    .k = s.k,
                                    .a = rows.p,
                                    .lda = lda,
                                    .s8_rows = s8_rows,
                                    .b = panels.p,
                                    .c = c.p,
                                    .ldc = ldc,
                                    .beta = way / 2});
        compare(gemm, p, c.p, ldc, way / 2);
        sqzt_guarded_close(&c);
    }
    sqzt_guarded_close(&rows);
    sqzt_guarded_close(&panels);
    free(s8_rows);
}

static void products_are_exact(void **state)
{
    (void)state;
    const sqzk_gemm *gemm;
    for (uint32_t i = 0; (gemm = sqzt_next_gemm(SQZI_S16, &i));)
        for (size_t at = 1; at <= 140; at++) {
            const shape shapes[] = {{at, 1 + at * 11 % 83, 1 + at * 7 % 70},
                                    {1 + at * 5 % 33, at, 1 + at * 29 % 131},
                                    {1 + at * 13 % 29, 1 + at * 29 % 67, at}};
            for (size_t s = 0; s < 3; s++) {
                problem p = make(shapes[s]);
                check(gemm, &p);
                discard(&p);
            }
        }
}

/* The largest sums that there are, at the k of attention and at one where columns have few
 * steps. */
static void the_largest_sums_fit(void **state)
{
    (void)state;
    static const size_t ks[] = {1, 2, 3, 4, 5, 63, 64, 128, 4096};
    const sqzk_gemm *gemm;
    for (uint32_t i = 0; (gemm = sqzt_next_gemm(SQZI_S16, &i));)
        for (size_t at = 0; at < sizeof ks / sizeof *ks; at++) {
            problem p = make((shape){3, 5, ks[at]});
            for (size_t j = 0; j < 3 * ks[at]; j++)
                ((float *)p.a.p)[j / ks[at] * p.lda + j % ks[at]] = j / ks[at] == 1 ? -1.0f : 1.0f;
            for (size_t j = 0; j < 5 * ks[at]; j++) p.b[j] = 1;
            check(gemm, &p);
            discard(&p);
        }
}

/* A NaN or an infinity makes NaNs of its row or column and of nothing else, wherever it stands. */
static void what_is_not_finite_becomes_nan(void **state)
{
    (void)state;
    const float bad[] = {NAN, -NAN, INFINITY, -INFINITY};
    const sqzk_gemm *gemm;
    for (uint32_t i = 0; (gemm = sqzt_next_gemm(SQZI_S16, &i));)
        for (size_t at = 0; at < 70; at++) {
            problem p = make((shape){20, 37, 70});
            ((float *)p.a.p)[at % 20 * p.lda + at] = bad[at % 4];
            p.b[at % 37 * 70 + at] = bad[(at + 1) % 4];
            check(gemm, &p);
            discard(&p);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_are_exact),
        cmocka_unit_test(the_largest_sums_fit),
        cmocka_unit_test(what_is_not_finite_becomes_nan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
