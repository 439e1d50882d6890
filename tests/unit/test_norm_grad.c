/* SPDX-License-Identifier: Apache-2.0 */
/* The backward of norms, softmax and activations against differences of their forward, in the
 * double build; in both: a norm's rows in any cut between chains give the same bits. */
#include "nn/norm_grad.h"

#include <stdlib.h>

#include "base/cpu.h"
#include "kernel/grad/grad_table.h"
#include "support/difference.h"

static sqzi_real *reals_of(sqzt_random *random, size_t n)
{
    sqzi_real *x = malloc(n * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++) x[i] = (sqzi_real)sqzt_normal(random);
    return x;
}

/* A norm over m rows, and the gradient of what it makes. */
typedef struct problem {
    sqzk_table table;
    sqzk_grad_table kernels;
    sqzi_norm norm;
    size_t m;
    sqzi_real *x, *weight, *bias, *dy, *y, *dx, *d_weight, *d_bias, *chains;
} problem;

static problem make(size_t m, uint32_t n)
{
    sqzt_random random = sqzt_random_of(m + n);
    problem p = {.m = m,
                 .x = reals_of(&random, m * n),
                 .weight = reals_of(&random, n),
                 .bias = reals_of(&random, n),
                 .dy = reals_of(&random, m * n),
                 .y = reals_of(&random, m * n),
                 .dx = reals_of(&random, m * n),
                 .d_weight = reals_of(&random, n),
                 .d_bias = reals_of(&random, n),
                 .chains = reals_of(&random, sqzi_norm_chains(m, n))};
    sqzk_table_init(&p.table, sqzi_cpu_detect());
    sqzk_grad_table_init(&p.kernels, sqzi_cpu_detect());
    p.norm = (sqzi_norm){p.weight, p.bias, (sqzi_real)1e-5, n};
    return p;
}

static void discard(problem *p)
{
    sqzi_real *const all[] = {p->x,  p->weight, p->bias,     p->dy,    p->y,
                              p->dx, p->chains, p->d_weight, p->d_bias};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

/* Strips of `strip` chains, columns in two parts. */
static void run(const problem *p, size_t strip, bool beta)
{
    const size_t n = p->norm.n, rows = strip * SQZI_GRAD_ROWS;
    const sqzi_norm_grad_args args = {.norm = &p->norm,
                                      .kernels = &p->kernels,
                                      .m = p->m,
                                      .x = p->x,
                                      .ldx = n,
                                      .dy = p->dy,
                                      .lddy = n,
                                      .dx = p->dx,
                                      .lddx = n,
                                      .chains = p->chains};
    const sqzi_norm_numbers gradient = {p->d_weight, p->d_bias};
    for (size_t r = 0; r < p->m; r += rows)
        sqzi_norm_grad_rows(&args, (sqzi_range){r, r + rows < p->m ? r + rows : p->m});
    sqzi_norm_grad_weights(&args, &gradient, beta, (sqzi_range){0, n / 2});
    sqzi_norm_grad_weights(&args, &gradient, beta, (sqzi_range){n / 2, n});
}

static const struct {
    size_t m;
    uint32_t n;
} sizes[] = {{1, 1}, {1, 32}, {5, 9}, {64, 48}, {300, 33}, {1, 384}};
enum { SIZES = sizeof sizes / sizeof *sizes };

static void a_norms_bits_depend_on_no_cut_and_a_second_batch_is_added(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZES; i++) {
        problem p = make(sizes[i].m, sizes[i].n);
        const size_t n = sizes[i].n;
        sqzi_real *first = malloc((sizes[i].m + 2) * n * sizeof *first);
        assert_non_null(first);
        run(&p, 1, false);
        memcpy(first, p.dx, p.m * n * sizeof *first);
        memcpy(first + p.m * n, p.d_weight, n * sizeof *first);
        memcpy(first + (p.m + 1) * n, p.d_bias, n * sizeof *first);
        run(&p, 3, false);
        assert_memory_equal(first, p.dx, p.m * n * sizeof *first);
        assert_memory_equal(first + p.m * n, p.d_weight, n * sizeof *first);
        assert_memory_equal(first + (p.m + 1) * n, p.d_bias, n * sizeof *first);
        run(&p, 1, true);
        for (size_t j = 0; j < 2 * n && p.m <= SQZI_GRAD_ROWS; j++) /* one chain: exact */
            assert_true((j < n ? p.d_weight[j] : p.d_bias[j - n]) == 2 * first[p.m * n + j]);
        free(first);
        discard(&p);
    }
}

#ifdef SQZI_DOUBLE
static double weighted(const sqzi_real *y, const sqzi_real *dy, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += y[i] * dy[i];
    return sum;
}

static double norm_loss(void *user)
{
    problem *p = user;
    const size_t n = p->norm.n;
    p->table.layer_norm(&(sqzk_layer_norm_args){.m = p->m,
                                                .n = n,
                                                .x = p->x,
                                                .ldx = n,
                                                .weight = p->weight,
                                                .bias = p->bias,
                                                .epsilon = p->norm.epsilon,
                                                .out = p->y,
                                                .ldo = n});
    return weighted(p->y, p->dy, p->m * n);
}

static void norms_agree_with_differences(void **state)
{
    (void)state;
    sqzt_random random = sqzt_random_of(1);
    for (size_t i = 0; i < SIZES; i++) {
        problem p = make(sizes[i].m, sizes[i].n);
        const size_t n = sizes[i].n;
        run(&p, 4, false);
        sqzt_expect_difference("norm", "x", norm_loss, &p, p.x, p.dx, p.m * n, &random);
        sqzt_expect_difference("norm", "weight", norm_loss, &p, p.weight, p.d_weight, n, &random);
        sqzt_expect_difference("norm", "bias", norm_loss, &p, p.bias, p.d_bias, n, &random);
        discard(&p);
    }
}

/* A softmax or an activation of m rows of n. */
typedef struct rows {
    const sqzk_table *table;
    sqzk_activation activation;
    size_t m, n;
    sqzi_real *x, *y, *dy, *dx, *inverse;
} rows;

static double softmax_loss(void *user)
{
    rows *r = user;
    memcpy(r->y, r->x, r->m * r->n * sizeof *r->y);
    r->table->softmax(&(sqzk_softmax_args){
        .m = r->m, .n = r->n, .x = r->y, .ldx = r->n, .scale = 0.25, .inverse = r->inverse});
    r->table->scale_rows(&(sqzk_scale_rows_args){r->m, r->n, r->y, r->n, r->inverse});
    return weighted(r->y, r->dy, r->m * r->n);
}

static double activation_loss(void *user)
{
    rows *r = user;
    r->table->activate(r->activation, r->m * r->n, r->x, r->y);
    return weighted(r->y, r->dy, r->m * r->n);
}

static void softmax_and_activations_agree_with_differences(void **state)
{
    (void)state;
    static const char *const words[] = {
#define WORD(NAME, word) word,
        SQZK_ACTIVATION_LIST(WORD)
#undef WORD
    };
    sqzt_random random = sqzt_random_of(2);
    for (size_t i = 0; i < SIZES; i++) {
        problem p = make(sizes[i].m, sizes[i].n);
        const size_t m = p.m, n = sizes[i].n;
        rows r = {&p.table, SQZK_IDENTITY, m, n, p.x, p.y, p.dy, p.dx, reals_of(&random, m)};
        (void)softmax_loss(&r);
        memcpy(r.dx, r.dy, m * n * sizeof *r.dx);
        p.kernels.softmax_grad(&(sqzk_softmax_grad_args){
            .m = m, .n = n, .p = r.y, .ldp = n, .dp = r.dx, .lddp = n, .scale = 0.25});
        sqzt_expect_difference("softmax", "x", softmax_loss, &r, r.x, r.dx, m * n, &random);
        for (; r.activation < (sqzk_activation)SQZK_ACTIVATIONS; r.activation++) {
            p.kernels.activate_grad(
                &(sqzk_activate_grad_args){r.activation, false, m * n, r.x, r.dy, r.dx});
            sqzt_expect_difference(words[r.activation], "x", activation_loss, &r, r.x, r.dx, m * n,
                                   &random);
            if (r.activation == SQZK_GELU || r.activation == SQZK_GELU_TANH) continue;
            (void)activation_loss(&r);
            p.kernels.activate_grad(
                &(sqzk_activate_grad_args){r.activation, true, m * n, r.y, r.dy, r.dx});
            sqzt_expect_difference(words[r.activation], "its result", activation_loss, &r, r.x,
                                   r.dx, m * n, &random);
        }
        free(r.inverse);
        discard(&p);
    }
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_norms_bits_depend_on_no_cut_and_a_second_batch_is_added),
#ifdef SQZI_DOUBLE
        cmocka_unit_test(norms_agree_with_differences),
        cmocka_unit_test(softmax_and_activations_agree_with_differences),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
