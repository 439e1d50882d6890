/* SPDX-License-Identifier: Apache-2.0 */
/* Losses, AdamW, schedules and the norm of a gradient, against PyTorch's and Transformers' numbers
 * and loops in double; in double too, where they must be theirs to rounding. */
#include <math.h>
#include <stdlib.h>

#include "base/cpu.h"
#include "support/random.h"
#include "support/test.h"
#include "train/loss.h"
#include "train/optimizer.h"
#include "train/schedule.h"
#include "unit/train_vectors.h"

static const double unit = sizeof(sqzi_real) == sizeof(double) ? 0x1p-53 : 0x1p-24;

static void expect_near(const char *what, size_t i, double found, double wanted, double bound)
{
    if (!(fabs(found - wanted) <= bound))
        fail_msg("%s, number %zu: %.17g instead of %.17g", what, i, found, wanted);
}

/* ---- losses ---- */

static sqzi_loss loss_of(const loss_case *c)
{
    return (sqzi_loss){.kind = sqzi_loss_of_problem(c->problem),
                       .weight = 1,
                       .classes = c->classes,
                       .smoothing = c->smoothing,
                       .weights = c->weighted ? c->weights : NULL};
}

static double run(const sqzi_loss *loss, const sqzi_loss_items *items, double count,
                  const sqzi_real *logits, sqzi_real *d)
{
    const sqzi_outputs outputs = {.logits = logits};
    const sqzi_output_grads grads = {.logits = d};
    return loss->kind->run(loss, &(sqzi_loss_args){items, count, &outputs, &grads, NULL});
}

/* Logits are of few digits; d is rounded once, and what is subtracted in it is below 2. */
static void losses_and_their_gradients_are_those_of_torch(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof loss_cases / sizeof *loss_cases; k++) {
        const loss_case *c = &loss_cases[k];
        sqzi_real z[MOST_ITEMS * MOST_CLASSES], d[MOST_ITEMS * MOST_CLASSES] = {0};
        for (size_t i = 0; i < c->n * c->classes; i++) z[i] = (sqzi_real)c->logits[i];
        const sqzi_loss loss = loss_of(c);
        const sqzi_loss_items items = {c->n, c->labels, c->targets};
        const double count = loss.kind->count(&loss, &items), sum = run(&loss, &items, count, z, d);
        expect_near("loss", k, sum, c->loss, 8 * 0x1p-53 * (1 + fabs(c->loss)));
        for (size_t i = 0; i < c->n * c->classes; i++)
            expect_near("d", i, (double)d[i], c->d[i], 2 * unit * fabs(c->d[i]) + 16 * 0x1p-53);
    }
}

static void a_batch_in_parts_has_the_loss_of_the_batch(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof loss_cases / sizeof *loss_cases; k++) {
        const loss_case *c = &loss_cases[k];
        const sqzi_loss loss = loss_of(c);
        const sqzi_loss_items all = {c->n, c->labels, c->targets};
        const double count = loss.kind->count(&loss, &all);
        double sum = 0;
        for (size_t i = 0; i < c->n; i++) {
            sqzi_real z[MOST_CLASSES], d[MOST_CLASSES] = {0};
            for (size_t j = 0; j < c->classes; j++) z[j] = (sqzi_real)c->logits[i * c->classes + j];
            const sqzi_loss_items one = {1, c->labels + i, c->targets + i * c->classes};
            sum += run(&loss, &one, count, z, d);
        }
        expect_near("loss", k, sum, c->loss, 16 * 0x1p-53 * (1 + fabs(c->loss)));
    }
}

static void without_a_label_there_is_no_loss(void **state)
{
    (void)state;
    const sqzi_loss loss = {.kind = sqzi_loss_of_problem(SQZ_SINGLE_LABEL),
                            .weight = 1,
                            .classes = 2};
    const int32_t none[] = {-1, -1};
    const sqzi_loss_items items = {2, none, NULL};
    sqzi_real z[] = {1, 2, 3, 4}, d[4] = {0};
    const double count = loss.kind->count(&loss, &items);
    assert_true(count == 0);
    assert_true(run(&loss, &items, count, z, d) == 0);
    for (size_t i = 0; i < 4; i++) assert_true(d[i] == 0);
}

static void large_logits_do_not_overflow(void **state)
{
    (void)state;
    const float target[] = {1, 0};
    const int32_t label = 1;
    for (int problem = SQZ_SINGLE_LABEL; problem <= SQZ_MULTI_LABEL; problem++) {
        const sqzi_loss loss = {.kind = sqzi_loss_of_problem((sqz_problem)problem),
                                .weight = 1,
                                .classes = 2};
        const sqzi_loss_items items = {1, &label, target};
        sqzi_real z[] = {-3000, 2000}, d[2] = {0};
        const double sum = run(&loss, &items, 1, z, d);
        assert_true(sum == (problem == SQZ_SINGLE_LABEL ? 0 : 5000));
        assert_true(isfinite((double)d[0]) && isfinite((double)d[1]));
    }
}

/* ---- schedules ---- */

static void schedules_are_those_of_transformers(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof schedule_cases / sizeof *schedule_cases; k++) {
        const schedule_case *c = &schedule_cases[k];
        for (uint64_t s = 0; s < c->steps; s++)
            expect_near("rate", (size_t)s, sqzi_schedule_at(c->schedule, s, c->warmup, c->steps),
                        c->rates[s], 4 * 0x1p-53);
    }
    assert_true(sqzi_schedule_at(SQZ_SCHEDULE_CONSTANT, 1, 2, 9) == 0.5);
    assert_true(sqzi_schedule_at(SQZ_SCHEDULE_CONSTANT, 8, 2, 9) == 1);
    assert_int_equal(sqzi_warmup_steps(0.1, 575), 57);
    assert_int_equal(sqzi_warmup_steps(0, 575), 0);
}

/* ---- AdamW ---- */

typedef struct features {
    const char *level;
    uint32_t features;
} features;

static const features levels[] = {
    {"portable", 0},
#if !defined(SQZI_DOUBLE) && defined(__x86_64__)
    {"avx2", SQZI_CPU_SSE2 | SQZI_CPU_AVX2},
    {"avx512", SQZI_CPU_SSE2 | SQZI_CPU_AVX2 | SQZI_CPU_AVX512},
#elif !defined(SQZI_DOUBLE) && defined(__aarch64__)
    {"neon", SQZI_CPU_NEON},
#elif !defined(SQZI_DOUBLE) && defined(__wasm__)
    {"simd128", SQZI_CPU_SIMD128},
#endif
};
enum { LEVELS = sizeof levels / sizeof *levels };

static bool runs_here(const features *l)
{
    return (l->features & ~sqzi_cpu_detect()) == 0;
}

static sqzk_adamw_args args_of(const adamw_case *c, size_t step, sqzi_real *w, sqzi_real *m,
                               sqzi_real *v, const sqzi_real *gradient)
{
    const double t = (double)step + 1, rate = c->rates[step];
    return (sqzk_adamw_args){.n = ADAMW_SIZE,
                             .w = w,
                             .m = m,
                             .v = v,
                             .gradient = gradient,
                             .scale = 1,
                             .keep = (sqzi_real)(1 - rate * c->decay),
                             .one_minus_beta1 = (sqzi_real)(1 - 0.9),
                             .beta2 = (sqzi_real)0.999,
                             .one_minus_beta2 = (sqzi_real)(1 - 0.999),
                             .step = (sqzi_real)(rate / (1 - pow(0.9, t))),
                             .correction = (sqzi_real)sqrt(1 - pow(0.999, t)),
                             .epsilon = (sqzi_real)c->epsilon};
}

/* Some ten roundings a step, of numbers up to 3 and moves up to 1/32. */
static void adamw_is_that_of_torch(void **state)
{
    (void)state;
    sqzk_optim_table kernels;
    for (size_t l = 0; l < LEVELS; l++) {
        if (!runs_here(&levels[l])) continue;
        sqzk_optim_table_init(&kernels, levels[l].features);
        assert_string_equal(kernels.level, levels[l].level);
        for (size_t k = 0; k < sizeof adamw_cases / sizeof *adamw_cases; k++) {
            const adamw_case *c = &adamw_cases[k];
            sqzi_real w[ADAMW_SIZE], m[ADAMW_SIZE] = {0}, v[ADAMW_SIZE] = {0}, g[ADAMW_SIZE];
            for (size_t i = 0; i < ADAMW_SIZE; i++) w[i] = (sqzi_real)c->start[i];
            for (size_t s = 0; s < ADAMW_STEPS; s++) {
                for (size_t i = 0; i < ADAMW_SIZE; i++) g[i] = (sqzi_real)c->gradients[s][i];
                const sqzk_adamw_args args = args_of(c, s, w, m, v, g);
                kernels.adamw(&args);
            }
            for (size_t i = 0; i < ADAMW_SIZE; i++)
                expect_near("w", i, (double)w[i], c->end[i], ADAMW_STEPS * 8 * unit);
        }
    }
}

/* ---- parameters of a tiny model ---- */

enum { WIDTH = 24, CLASSES = 3, WORDS = 700, POSITIONS = 6 };

typedef struct tiny {
    sqzi_encoder encoder;
    sqzi_head head;
    sqzi_parameters parameters;
} tiny;

/* No blocks: a table of 16,800 numbers, which are five chunks, a norm, and a head. */
static void open_tiny(tiny *t, const sqzi_trained *trained)
{
    static const sqzi_real some;
    sqz_error error = {0};
    const sqzi_matrix matrix = {.n_in = WIDTH, .n_out = CLASSES, .groups = 1};
    *t = (tiny){.encoder = {.width = WIDTH},
                .head = {.kind = SQZ_HEAD_SEQUENCE,
                         .pooling = SQZ_POOLING_MEAN,
                         .has_pooler = true,
                         .classes = CLASSES}};
    t->encoder.embedding.word = (sqzi_table){.n_rows = WORDS, .width = WIDTH};
    t->encoder.embedding.position = (sqzi_table){.n_rows = POSITIONS, .width = WIDTH};
    t->encoder.embedding.norm.n = WIDTH;
    t->head.output = (sqzi_linear){.n_in = WIDTH, .n_out = CLASSES, .n_terms = 1, .bias = &some};
    t->head.output.terms[0].b = matrix;
    t->head.pooler = t->head.output;
    sqzt_assert_ok(sqzi_parameters_open(&sqzi_default_allocator, &t->encoder, &t->head, trained,
                                        &t->parameters, &error),
                   &error);
}

static void fill(tiny *t, uint64_t seed)
{
    sqzt_random random = sqzt_random_of(seed);
    for (uint32_t i = 0; i < t->parameters.n; i++) {
        const sqzi_parameter *p = &t->parameters.list[i];
        for (size_t j = 0; j < p->n; j++) {
            p->master[j] = (sqzi_real)sqzt_normal(&random);
            if (p->trained) p->gradient[j] = (sqzi_real)sqzt_normal(&random);
        }
    }
}

static void parameters_are_the_tensors_in_their_order(void **state)
{
    (void)state;
    static const char *const names[] = {"token_embd.weight",      "position_embd.weight",
                                        "token_embd_norm.weight", "token_embd_norm.bias",
                                        "pooler.weight",          "pooler.bias",
                                        "head.output.weight",     "head.output.bias"};
    tiny t;
    open_tiny(&t, &(sqzi_trained){.pooling = SQZ_POOLING_MEAN, .head_rate = 2});
    assert_int_equal(t.parameters.n, sizeof names / sizeof *names);
    for (uint32_t i = 0; i < t.parameters.n; i++) {
        const sqzi_parameter *p = &t.parameters.list[i];
        assert_string_equal(p->entry.name, names[i]);
        /* the mean is taken, so that nothing reaches the pooler */
        assert_int_equal(p->trained, strncmp(names[i], "pooler", 6) != 0);
        assert_int_equal(p->decays, p->entry.columns > 0);
        assert_int_equal(p->gradient == NULL, !p->trained);
        assert_true(p->rate == (strncmp(names[i], "head", 4) == 0 ? 2 : 1));
    }
    assert_ptr_equal(t.parameters.masters.embedding.word, t.parameters.list[0].master);
    assert_ptr_equal(t.parameters.masters.embedding.norm.bias, t.parameters.list[3].master);
    assert_ptr_equal(t.parameters.head_gradients.output.terms[0].b, t.parameters.list[6].gradient);
    assert_null(t.parameters.head_gradients.pooler.bias);
    sqzi_parameters_close(&t.parameters);
    open_tiny(&t, &(sqzi_trained){.freeze_blocks = UINT32_MAX, .pooling = SQZ_POOLING_POOLER});
    assert_int_equal(t.parameters.n_trained, 2 * (WIDTH * CLASSES + CLASSES));
    assert_null(t.parameters.gradients.embedding.word);
    sqzi_parameters_close(&t.parameters);
}

static sqzi_thread_pool *pool_of(uint32_t threads)
{
    sqz_error error = {0};
    sqzi_thread_pool *pool = NULL;
    sqzt_assert_ok(sqzi_thread_pool_open(&sqzi_default_allocator, threads, &pool, &error), &error);
    return pool;
}

/* A step of three threads and of one, at every level: the same bits; that of one at the portable
 * level against a loop in double. */
static void a_step_does_not_depend_on_threads_or_level(void **state)
{
    (void)state;
    const sqzi_trained trained = {.pooling = SQZ_POOLING_MEAN, .head_rate = 3};
    const sqzi_adamw adamw = {.rate = 0.01,
                              .scale = 0.5,
                              .decay = 0.1,
                              .beta1 = 0.9,
                              .beta2 = 0.999,
                              .epsilon = 1e-6,
                              .t = 1};
    sqz_error error = {0};
    tiny first;
    double first_norm = 0;
    open_tiny(&first, &trained);
    for (size_t run = 0; run < 2 * LEVELS; run++) {
        const features *l = &levels[run / 2];
        if (!runs_here(l)) continue;
        tiny t, *now = run ? &t : &first;
        if (run) open_tiny(&t, &trained);
        fill(now, 7);
        sqzi_thread_pool *pool = pool_of(run % 2 ? 3 : 1);
        sqzi_optimizer optimizer;
        sqzt_assert_ok(sqzi_optimizer_open(&now->parameters, pool, l->features, &optimizer, &error),
                       &error);
        double squares = 0;
        for (uint32_t i = 0; i < now->parameters.n; i++) {
            const sqzi_parameter *p = &now->parameters.list[i];
            for (size_t j = 0; p->trained && j < p->n; j++)
                squares += (double)p->gradient[j] * (double)p->gradient[j];
        }
        const double norm = sqzi_optimizer_norm(&optimizer);
        expect_near("norm", run, norm, sqrt(squares), 1e-11 * norm);
        if (run == 0) first_norm = norm;
        else assert_memory_equal(&norm, &first_norm, sizeof norm);
        sqzi_optimizer_step(&optimizer, &adamw);
        assert_true(sqzi_optimizer_norm(&optimizer) == 0);
        for (uint32_t i = 0; run && i < t.parameters.n; i++)
            assert_memory_equal(t.parameters.list[i].master, first.parameters.list[i].master,
                                t.parameters.list[i].n * sizeof(sqzi_real));
        sqzi_optimizer_close(&optimizer);
        sqzi_thread_pool_close(pool);
        if (run) sqzi_parameters_close(&t.parameters);
    }
    sqzi_parameters_close(&first.parameters);
}

/* The first step goes by the sign of the gradient, rate times the parameter's; matrices decay. */
static void biases_do_not_decay_and_the_head_has_its_rate(void **state)
{
    (void)state;
    tiny t;
    sqz_error error = {0};
    open_tiny(&t, &(sqzi_trained){.pooling = SQZ_POOLING_MEAN, .head_rate = 3});
    fill(&t, 8);
    sqzi_thread_pool *pool = pool_of(1);
    sqzi_optimizer optimizer;
    sqzt_assert_ok(sqzi_optimizer_open(&t.parameters, pool, 0, &optimizer, &error), &error);
    for (uint32_t i = 0; i < t.parameters.n; i++)
        if (t.parameters.list[i].trained) {
            t.parameters.list[i].master[0] = 2;
            t.parameters.list[i].gradient[0] = 5;
        }
    sqzi_optimizer_step(&optimizer, &(sqzi_adamw){.rate = 0.01,
                                                  .scale = 1,
                                                  .decay = 0.1,
                                                  .beta1 = 0.9,
                                                  .beta2 = 0.999,
                                                  .epsilon = 1e-9,
                                                  .t = 1});
    for (uint32_t i = 0; i < t.parameters.n; i++) {
        const sqzi_parameter *p = &t.parameters.list[i];
        const double rate = 0.01 * p->rate, decay = p->decays ? 0.1 : 0;
        if (p->trained)
            expect_near(p->entry.name, 0, (double)p->master[0], 2 * (1 - rate * decay) - rate,
                        8 * unit + 1e-11);
        else assert_null(p->m);
    }
    sqzi_optimizer_close(&optimizer);
    sqzi_thread_pool_close(pool);
    sqzi_parameters_close(&t.parameters);
}

static void clipping_scales_to_the_norm(void **state)
{
    (void)state;
    assert_true(sqzi_clip_scale(0.5, 1) == 1);
    assert_true(sqzi_clip_scale(4, 1) == 1 / (4 + 1e-6));
    assert_true(sqzi_clip_scale(4, 0) == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(losses_and_their_gradients_are_those_of_torch),
        cmocka_unit_test(a_batch_in_parts_has_the_loss_of_the_batch),
        cmocka_unit_test(without_a_label_there_is_no_loss),
        cmocka_unit_test(large_logits_do_not_overflow),
        cmocka_unit_test(schedules_are_those_of_transformers),
        cmocka_unit_test(adamw_is_that_of_torch),
        cmocka_unit_test(parameters_are_the_tensors_in_their_order),
        cmocka_unit_test(a_step_does_not_depend_on_threads_or_level),
        cmocka_unit_test(biases_do_not_decay_and_the_head_has_its_rate),
        cmocka_unit_test(clipping_scales_to_the_norm)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
