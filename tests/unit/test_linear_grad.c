/* SPDX-License-Identifier: Apache-2.0 */
/* The backward of linears of every form. In the double build: one random direction a tensor against
 * central differences of the forward. On every level of this machine, f32 and bf16: against loops
 * in double. Units in any order and any cut of rows give the same bits, a second batch is added. */
#include "nn/linear_grad.h"

#include "base/cpu.h"
#include "support/difference.h"
#include "support/linear_problem.h"
#include "support/unit_roundoff.h"

/* d numbers of a block-diagonal matrix u -> v: of number [v, u of its group] the sum of dv u; and,
 * where d is not NULL, du. In double, with what |products| sum to. */
typedef struct sums {
    double *sum, *size;
} sums;

static sums sums_of(size_t n)
{
    sums s = {calloc(n, sizeof(double)), calloc(n, sizeof(double))};
    assert_true(s.sum && s.size);
    return s;
}

static void free_sums(sums s)
{
    free(s.sum);
    free(s.size);
}

static void add_product(sums to, size_t at, double a, double b)
{
    to.sum[at] += a * b;
    to.size[at] += fabs(a * b);
}

/* One matrix over all tokens: v += W u, du += W' dv, dW += dv u'; what is NULL is left out. */
static void loop_matrix(const sqzi_matrix *matrix, const sqzi_real *w, uint32_t m, const double *u,
                        const double *dv, const sums *v, const sums *du, const sums *dw)
{
    const size_t k = matrix->n_in / matrix->groups, n = matrix->n_out / matrix->groups;
    for (size_t t = 0; t < m; t++)
        for (size_t o = 0; o < matrix->n_out; o++)
            for (size_t i = 0; i < k; i++) {
                const size_t in = o / n * k + i, place = matrix->packing.transposed
                                                             ? (o / n * k + i) * n + o % n
                                                             : o * k + i;
                const double number = (double)w[place];
                if (v) add_product(*v, t * matrix->n_out + o, number, u[t * matrix->n_in + in]);
                if (du) add_product(*du, t * matrix->n_in + in, number, dv[t * matrix->n_out + o]);
                if (dw)
                    add_product(*dw, place, dv[t * matrix->n_out + o], u[t * matrix->n_in + in]);
            }
}

/* Columns in the order of the matrices. */
static double *gathered(const sqzi_real *x, uint32_t m, uint32_t n, const uint32_t *order)
{
    double *out = calloc((size_t)m * n, sizeof *out);
    assert_non_null(out);
    for (size_t t = 0; t < m; t++)
        for (size_t j = 0; j < n; j++) out[t * n + j] = (double)x[t * n + (order ? order[j] : j)];
    return out;
}

static void expect(const problem *p, uint32_t tensor, const sums *wanted, double roundings)
{
    for (size_t i = 0; i < p->n[tensor]; i++) {
        const double bound = roundings * (wanted->size[i] + 1e-3),
                     got = (double)p->gradients[tensor][i];
        if (!(fabs(got - wanted->sum[i]) <= bound))
            fail_msg("%s, %s, %u tokens: tensor %u [%zu] is %.9g, %.9g +- %.3g expected", p->f.name,
                     p->level, p->m, tensor, i, got, wanted->sum[i], bound);
    }
}

/* roundings: of a sum of products; twice over where a middle stands between, whose own error is
 * relative to its size, and not to its sum: 30 bounds what normal numbers cancel. */
static void check_against_loops(const problem *p, double roundings)
{
    double *x = gathered(p->tensors[0], p->m, p->f.n_in, p->in),
           *dz = gathered(p->dy, p->m, p->f.n_out, p->out);
    const size_t n_x = p->n[0], n_out = p->f.n_out;
    sums dx = sums_of(n_x), placed = sums_of(n_x), bias = sums_of(n_out);
    for (uint32_t t = 0; t < p->linear.n_terms; t++) {
        const sqzi_term *term = &p->linear.terms[t];
        const sqzi_real *a = p->tensors[2 + 2 * t], *b = p->tensors[3 + 2 * t];
        sums db = sums_of(p->n[3 + 2 * t]);
        if (!a) {
            loop_matrix(&term->b, b, p->m, x, dz, NULL, &dx, &db);
            expect(p, 3 + 2 * t, &db, roundings);
            free_sums(db);
            continue;
        }
        const size_t n = (size_t)p->m * term->a.n_out;
        sums middle = sums_of(n), d_middle = sums_of(n), da = sums_of(p->n[2 + 2 * t]);
        loop_matrix(&term->a, a, p->m, x, NULL, &middle, NULL, NULL);
        loop_matrix(&term->b, b, p->m, middle.sum, dz, NULL, &d_middle, &db);
        loop_matrix(&term->a, a, p->m, x, d_middle.sum, NULL, &dx, &da);
        expect(p, 2 + 2 * t, &da, 30 * roundings);
        expect(p, 3 + 2 * t, &db, 30 * roundings);
        free_sums(middle);
        free_sums(d_middle);
        free_sums(da);
        free_sums(db);
    }
    for (size_t i = 0; i < n_x; i++) {
        const size_t column = i % p->f.n_in, to = i - column + (p->in ? p->in[column] : column);
        placed.sum[to] = dx.sum[i];
        placed.size[to] = dx.size[i];
    }
    expect(p, 0, &placed, (p->f.rank ? 30 : 1) * roundings);
    for (size_t i = 0; i < p->m * n_out; i++) add_product(bias, i % n_out, dz[i], 1);
    expect(p, 1, &bias, ((double)p->m / 64 + 66) * SQZT_UNIT_ROUNDOFF);
    free_sums(dx);
    free_sums(placed);
    free_sums(bias);
    free(x);
    free(dz);
}

static void every_form_agrees_with_loops(void **state)
{
    (void)state;
    const uint32_t found = sqzi_cpu_detect();
    const uint32_t sets[] = {0, found & (SQZI_CPU_SSE2 | SQZI_CPU_AVX2), found};
    for (size_t s = 0; s < sizeof sets / sizeof *sets; s++)
        for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
            for (uint32_t b = 0; b < 2 * sizeof batches / sizeof *batches; b++) {
                problem *p = make(&forms[i], batches[b / 2], sets[s], b % 2);
                run_backward(p, 64, false, false);
                const double depth = fmax(p->m, p->f.n_out) + 4;
                check_against_loops(p, (b % 2 ? 0x1p-7 : 0) + 2 * depth * SQZT_UNIT_ROUNDOFF);
                discard(p);
            }
}

static sqzi_real *copy_gradients(const problem *p)
{
    size_t n = 0;
    for (uint32_t i = 0; i < TENSORS; i++) n += p->n[i];
    sqzi_real *copy = memory_of(n * sizeof *copy), *to = copy;
    for (uint32_t i = 0; i < TENSORS; to += p->n[i++])
        if (p->n[i]) memcpy(to, p->gradients[i], p->n[i] * sizeof *to);
    return copy;
}

static void expect_copy(const problem *p, const sqzi_real *copy, sqzi_real factor)
{
    for (uint32_t i = 0; i < TENSORS; copy += p->n[i++])
        for (size_t j = 0; j < p->n[i]; j++)
            if (p->gradients[i][j] != factor * copy[j])
                fail_msg("%s, %s, %u tokens: tensor %u [%zu] is %.9g, not %.9g", p->f.name,
                         p->level, p->m, i, j, (double)p->gradients[i][j],
                         (double)(factor * copy[j]));
}

static void bits_depend_on_no_order_and_no_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        for (uint32_t b = 0; b < 4; b++) {
            problem *p = make(&forms[i], b < 2 ? 300 : 1100, sqzi_cpu_detect(), b % 2);
            run_backward(p, 64, false, false);
            sqzi_real *first = copy_gradients(p);
            run_backward(p, 47, true, false);
            expect_copy(p, first, 1);
            free(first);
            discard(p);
        }
}

/* One chunk of tokens and one chain of rows: their sum twice is exact. */
static void a_second_batch_is_added(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        problem *p = make(&forms[i], 60, sqzi_cpu_detect(), false);
        run_backward(p, 64, false, false);
        sqzi_real *first = copy_gradients(p);
        run_backward(p, 64, false, true);
        if (p->linear.n_terms == 1) expect_copy(p, first, 2);
        else { /* dx of two terms is (what stands + one) + the other */ p->n[0] = 0;
            expect_copy(p, first + (size_t)60 * p->f.n_in, 2);
        }
        free(first);
        discard(p);
    }
}

/* Q and K read the same rows: K's gradient from Q's panels has the bits of K's from its own. */
static void shared_panels_change_no_bit(void **state)
{
    (void)state;
    problem *p = make(&forms[1], 300, sqzi_cpu_detect(), false);
    run_backward(p, 64, false, false);
    room q = room_for(p, 64), k = q;
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    sqzi_linear_panels_layout(&p->linear, p->m, &p->linear, &q.panels, &k.panels, &arena);
    assert_int_equal(arena.used, 0);
    assert_ptr_equal(k.panels.terms[0].x, q.panels.terms[0].x);
    sqzi_real *first = copy_gradients(p);
    const sqzi_linear_numbers gradient = numbers_of(p->gradients);
    sqzi_linear_grad_args args = {.linear = &p->linear,
                                  .panels = &q.panels,
                                  .kernels = &p->kernels,
                                  .m = p->m,
                                  .x = p->tensors[0],
                                  .ldx = p->f.n_in,
                                  .dy = p->dy,
                                  .lddy = p->f.n_out,
                                  .gradient = &gradient};
    for (uint32_t u = 0; u < sqzi_linear_panel_units(&args); u++)
        sqzi_linear_grad_panels(&args, u, &q.scratch);
    args.panels = &k.panels;
    assert_int_equal(sqzi_linear_panel_units(&args), 0);
    memset(p->gradients[3], 0xFF, p->n[3] * sizeof(sqzi_real));
    for (uint32_t u = 0; u < sqzi_linear_weight_units(&args); u++)
        sqzi_linear_grad_weights(&args, u, &k.scratch);
    expect_copy(p, first, 1);
    free(first);
    free(q.memory);
    discard(p);
}

/* What is frozen has no units and stays what it was. */
static void frozen_numbers_stay(void **state)
{
    (void)state;
    problem *p = make(&forms[8], 23, sqzi_cpu_detect(), false);
    room r = room_for(p, 64);
    sqzi_linear_numbers gradient = {.bias = NULL};
    const sqzi_linear_numbers masters = numbers_of(p->tensors);
    sqzi_linear_grad_args args = {.linear = &p->linear,
                                  .back = &r.back,
                                  .panels = &r.panels,
                                  .kernels = &p->kernels,
                                  .m = p->m,
                                  .x = p->tensors[0],
                                  .ldx = p->f.n_in,
                                  .dy = p->dy,
                                  .lddy = p->f.n_out,
                                  .dx = p->gradients[0],
                                  .lddx = p->f.n_in,
                                  .gradient = &gradient};
    assert_int_equal(sqzi_linear_panel_units(&args), 0);
    assert_int_equal(sqzi_linear_weight_units(&args), 0);
    args.gradient = NULL;
    assert_int_equal(sqzi_linear_panel_units(&args), 0);
    assert_int_equal(sqzi_linear_weight_units(&args), 0);
    for (uint32_t u = 0; u < sqzi_linear_back_units(&r.back); u++)
        sqzi_linear_back_pack(&r.back, &masters, u);
    sqzi_linear_grad_rows(&args, (sqzi_range){0, p->m}, &r.scratch.rows);
    sqzi_real *dx = memory_of(p->n[0] * sizeof *dx);
    memcpy(dx, p->gradients[0], p->n[0] * sizeof *dx);
    run_backward(p, 64, false, false);
    assert_memory_equal(dx, p->gradients[0], p->n[0] * sizeof *dx);
    free(dx);
    free(r.memory);
    discard(p);
}

#ifdef SQZI_DOUBLE
static double loss(void *user)
{
    problem *p = user;
    double sum = 0;
    pack_all(p);
    assert_true(sqzi_linear_run(
        &p->linear,
        &(sqzi_linear_args){
            .m = p->m, .x = p->tensors[0], .ldx = p->f.n_in, .y = p->y, .ldy = p->f.n_out},
        &p->scratch));
    for (size_t i = 0; i < (size_t)p->m * p->f.n_out; i++) sum += p->y[i] * p->dy[i];
    return sum;
}

static void every_tensor_agrees_with_differences(void **state)
{
    (void)state;
    static const char *const names[TENSORS] = {"x", "bias", "a", "b", "second a", "second b"};
    sqzt_random random = sqzt_random_of(5);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        for (uint32_t b = 0; b < sizeof batches / sizeof *batches; b++) {
            problem *p = make(&forms[i], batches[b], 0, false);
            sqzi_linear_need(&p->linear, p->m, &p->scratch);
            sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
            sqzi_linear_scratch_layout(&p->scratch, &arena);
            p->scratch_memory = memory_of(arena.used);
            arena = sqzi_arena_over(p->scratch_memory, arena.used);
            sqzi_linear_scratch_layout(&p->scratch, &arena);
            run_backward(p, 256, false, false);
            for (uint32_t t = 0; t < TENSORS; t++)
                if (p->n[t])
                    sqzt_expect_difference(p->f.name, names[t], loss, p, p->tensors[t],
                                           p->gradients[t], p->n[t], &random);
            discard(p);
        }
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_agrees_with_loops),
        cmocka_unit_test(bits_depend_on_no_order_and_no_cut),
        cmocka_unit_test(a_second_batch_is_added),
        cmocka_unit_test(shared_panels_change_no_bit),
        cmocka_unit_test(frozen_numbers_stay),
#ifdef SQZI_DOUBLE
        cmocka_unit_test(every_tensor_agrees_with_differences),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
