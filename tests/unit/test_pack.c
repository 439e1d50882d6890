/* SPDX-License-Identifier: Apache-2.0 */
/* Packing matrices from numbers in memory: forwards they give y = W x, and turned, from the same
 * placed numbers, dx = dy W; dense, in groups, permuted and of low rank, in f32 and bf16, on every
 * level. All numbers are -1, 0 or 1, so every sum is exact and equality is asked for. */
#include "nn/pack.h"

#include <stdlib.h>

#include "base/cpu.h"
#include "support/random.h"
#include "support/test.h"

typedef struct form {
    const char *name;
    uint32_t n_in, n_out, groups, rank;
    bool in, out;
} form;

static const form forms[] = {{"dense", 37, 53, 1, 0, false, false},
                             {"wide", 130, 200, 1, 0, false, false},
                             {"groups", 64, 128, 4, 0, false, false},
                             {"odd groups", 45, 75, 15, 0, false, false},
                             {"permuted inputs", 60, 40, 1, 0, true, false},
                             {"permuted outputs", 40, 60, 1, 0, false, true},
                             {"permuted within groups", 48, 72, 4, 0, true, true},
                             {"low rank", 60, 90, 1, 13, false, false},
                             {"low rank, permuted", 60, 90, 1, 13, true, true},
                             {"low rank in groups", 60, 90, 5, 4, false, false}};

enum { ROWS = 19 };

/* One matrix: stored numbers, the same multiplied out to [n_out, n_in], and what is packed. */
typedef struct packed {
    sqzi_real *stored;
    double *dense;
    void *placed, *panels, *turned_panels;
    sqzi_matrix matrix, turned;
} packed;

static void *room_of(size_t bytes)
{
    void *p = aligned_alloc(SQZI_ALIGNMENT,
                            (bytes + SQZI_ALIGNMENT) / SQZI_ALIGNMENT * SQZI_ALIGNMENT);
    assert_non_null(p);
    return p;
}

static sqzi_real *small_numbers(sqzt_random *random, size_t n)
{
    sqzi_real *x = room_of(n * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = (sqzi_real)sqzt_below(random, 3) - 1;
    return x;
}

/* A permutation that keeps every number in its group. */
static uint32_t *order_within(sqzt_random *random, uint32_t n, uint32_t groups)
{
    uint32_t *order = room_of(n * sizeof *order);
    const uint32_t size = n / groups;
    for (uint32_t i = 0; i < n; i++) order[i] = i;
    for (uint32_t i = n; i-- > 0;) {
        const uint32_t first = i / size * size,
                       j = first + (uint32_t)sqzt_below(random, i - first + 1), kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
    return order;
}

static packed make(const sqzk_gemm *gemm, uint32_t n_in, uint32_t n_out, uint32_t groups,
                   const uint32_t *in, const uint32_t *out, sqzt_random *random)
{
    packed p = {.matrix = sqzi_matrix_of(gemm, n_in, n_out, groups)};
    const uint32_t k = n_in / groups, n = n_out / groups;
    p.matrix.packing.in = in;
    p.matrix.packing.out = out;
    p.stored = small_numbers(random, (size_t)n_out * k);
    p.dense = calloc((size_t)n_out * n_in, sizeof *p.dense);
    assert_non_null(p.dense);
    for (uint32_t r = 0; r < n_out; r++)
        for (uint32_t i = 0; i < k; i++) {
            const uint32_t column = r / n * k + i;
            p.dense[(size_t)(out ? out[r] : r) * n_in + (in ? in[column] : column)] =
                (double)p.stored[r * k + i];
        }
    p.placed = room_of(sqzi_placed_bytes(&p.matrix, SQZI_F32));
    const sqzi_numbers placed = sqzi_pack_place(&p.matrix, (sqzi_numbers){p.stored, SQZI_F32, NULL},
                                                p.placed);
    p.matrix.packed = p.panels = room_of(sqzi_matrix_bytes(&p.matrix));
    sqzi_pack(&p.matrix, placed, NULL, p.panels);
    p.turned = sqzi_matrix_turned(&p.matrix);
    assert_false(sqzi_matrix_is_permuted(&p.turned));
    p.turned.packed = p.turned_panels = room_of(sqzi_matrix_bytes(&p.turned));
    sqzi_pack(&p.turned, placed, NULL, p.turned_panels);
    return p;
}

static void discard(packed *p)
{
    void *const all[] = {p->stored, p->dense, p->placed, p->panels, p->turned_panels};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

/* y [ROWS, n_out] of a linear over x. */
static sqzi_real *run(const sqzi_linear *linear, const sqzi_real *x)
{
    sqzi_linear_scratch scratch = {0};
    sqzi_linear_need(linear, ROWS, &scratch);
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    sqzi_linear_scratch_layout(&scratch, &arena);
    void *memory = room_of(arena.used);
    arena = sqzi_arena_over(memory, SIZE_MAX);
    sqzi_linear_scratch_layout(&scratch, &arena);
    sqzi_real *y = room_of(ROWS * (size_t)linear->n_out * sizeof *y);
    const sqzi_linear_args args = {
        .m = ROWS, .x = x, .ldx = linear->n_in, .y = y, .ldy = linear->n_out};
    assert_true(sqzi_linear_run(linear, &args, &scratch));
    free(memory);
    return y;
}

/* y = x D' for D [n_out, n_in], or, turned, y = x D. */
static double *multiply(const double *x, const double *dense, uint32_t n_in, uint32_t n_out,
                        bool turned)
{
    const uint32_t k = turned ? n_out : n_in, n = turned ? n_in : n_out;
    double *y = calloc(ROWS * (size_t)n, sizeof *y);
    assert_non_null(y);
    for (uint32_t m = 0; m < ROWS; m++)
        for (uint32_t j = 0; j < n; j++)
            for (uint32_t i = 0; i < k; i++)
                y[m * n + j] += x[m * k + i] *
                                dense[turned ? (size_t)i * n_in + j : (size_t)j * n_in + i];
    return y;
}

static double *doubles(const sqzi_real *x, size_t n)
{
    double *y = calloc(n, sizeof *y);
    assert_non_null(y);
    for (size_t i = 0; i < n; i++) y[i] = (double)x[i];
    return y;
}

static void expect(const char *name, const sqzk_gemm *gemm, const char *what, const sqzi_real *got,
                   const double *wanted, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((double)got[i] != wanted[i])
            fail_msg("%s, %s: %s, number %zu is %g, %g expected", name, gemm->name, what, i,
                     (double)got[i], wanted[i]);
}

/* One whole matrix, or the first and the second of a low-rank pair. */
static void check_form(const form *f, const sqzk_gemm *gemm)
{
    sqzt_random random = sqzt_random_of(f->n_in + f->n_out);
    uint32_t *in = f->in ? order_within(&random, f->n_in, f->groups) : NULL,
             *out = f->out ? order_within(&random, f->n_out, f->groups) : NULL;
    const uint32_t inner = f->rank * f->groups;
    packed a = make(gemm, f->n_in, f->rank ? inner : f->n_out, f->groups, in, f->rank ? NULL : out,
                    &random),
           b = {0};
    if (f->rank) b = make(gemm, inner, f->n_out, f->groups, NULL, out, &random);
    sqzi_linear linear = {.n_in = f->n_in, .n_out = f->n_out, .n_terms = 1},
                turned = {.n_in = f->n_out, .n_out = f->n_in, .n_terms = 1};
    linear.terms[0] = f->rank ? (sqzi_term){a.matrix, b.matrix} : (sqzi_term){.b = a.matrix};
    turned.terms[0] = f->rank ? (sqzi_term){b.turned, a.turned} : (sqzi_term){.b = a.turned};
    sqzi_real *x = small_numbers(&random, ROWS * (size_t)f->n_in),
              *dy = small_numbers(&random, ROWS * (size_t)f->n_out);
    sqzi_real *y = run(&linear, x), *dx = run(&turned, dy);
    double *wanted = doubles(x, ROWS * (size_t)f->n_in),
           *wanted_dx = doubles(dy, ROWS * (size_t)f->n_out), *next;
    next = multiply(wanted, a.dense, f->n_in, f->rank ? inner : f->n_out, false);
    free(wanted);
    wanted = next;
    if (f->rank) {
        next = multiply(wanted, b.dense, inner, f->n_out, false);
        free(wanted);
        wanted = next;
        next = multiply(wanted_dx, b.dense, inner, f->n_out, true);
        free(wanted_dx);
        wanted_dx = next;
    }
    next = multiply(wanted_dx, a.dense, f->n_in, f->rank ? inner : f->n_out, true);
    expect(f->name, gemm, "y", y, wanted, ROWS * (size_t)f->n_out);
    expect(f->name, gemm, "dx", dx, next, ROWS * (size_t)f->n_in);
    void *const all[] = {in, out, x, dy, y, dx, wanted, wanted_dx, next};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    discard(&a);
    if (f->rank) discard(&b);
}

static void matrices_multiply_forwards_and_turned(void **state)
{
    (void)state;
    const uint32_t found = sqzi_cpu_detect(), sets[] = {0, found & SQZI_CPU_AVX2, found};
    for (size_t s = 0; s < sizeof sets / sizeof *sets; s++) {
        sqzk_table kernels;
        sqzk_table_init(&kernels, sets[s]);
        for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
            check_form(&forms[i], kernels.gemm_f32);
            check_form(&forms[i], kernels.gemm_bf16);
        }
    }
}

/* Scales go where their rows go. */
static void int8_rows_keep_their_scales(void **state)
{
    (void)state;
    enum { IN = 6, OUT = 5 };
    static const uint32_t out[OUT] = {3, 0, 4, 1, 2}, in[IN] = {5, 3, 1, 0, 2, 4};
    static const float scale[OUT] = {1, 2, 3, 4, 5};
    int8_t stored[OUT * IN];
    sqzk_table kernels;
    sqzk_table_init(&kernels, 0);
    sqzi_matrix matrix = sqzi_matrix_of(kernels.gemm_s8, IN, OUT, 1);
    matrix.packing = (sqzi_packing){in, out, false};
    for (int i = 0; i < OUT * IN; i++) stored[i] = (int8_t)(i + 1);
    void *memory = room_of(sqzi_placed_bytes(&matrix, SQZI_S8)),
         *panels = room_of(sqzi_matrix_bytes(&matrix));
    const sqzi_numbers placed = sqzi_pack_place(&matrix, (sqzi_numbers){stored, SQZI_S8, scale},
                                                memory);
    int32_t sums[OUT];
    sqzi_pack(&matrix, placed, sums, panels);
    for (uint32_t r = 0; r < OUT; r++) {
        int32_t sum = 0;
        assert_true(placed.scale[out[r]] == scale[r]);
        for (uint32_t i = 0; i < IN; i++) {
            assert_int_equal(((const int8_t *)placed.data)[out[r] * IN + in[i]],
                             stored[r * IN + i]);
            sum += stored[r * IN + i];
        }
        assert_int_equal(sums[out[r]], sum);
    }
    free(memory);
    free(panels);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(matrices_multiply_forwards_and_turned),
                                       cmocka_unit_test(int8_rows_keep_their_scales)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
