/* SPDX-License-Identifier: Apache-2.0 */
/* Weights in memory to integers: each the nearest level of its group, errors that cancel on what a
 * linear reads, biases that keep its mean, and the file that is written of it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/packed_rows.h"
#include "rewrite/group_scales.h"
#include "squeeze/round_weights.h"
#include "support/counting_memory.h"
#include "support/planned.h"
#include "support/random.h"

static const sqzi_storage storages[] = {SQZI_STORED_S8, SQZI_STORED_S4, SQZI_STORED_S3,
                                        SQZI_STORED_S2};
enum { STORAGES = sizeof storages / sizeof *storages };

/* ---- rows ---- */

static double error_with(uint32_t bits, const float *w, size_t n, double step)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        const double off = (double)w[i] - step * sqzi_nearest_integer(bits, (double)w[i] / step, 1);
        sum += off * off;
    }
    return sum;
}

/* Rows whose groups' sizes differ by up to a hundred. No multiplier is better, but for
 * roundings of sums in f32: 32 terms, each rounded five times. */
static void no_multiplier_is_better_than_the_chosen_one(void **state)
{
    (void)state;
    enum { N = 32 * 9 + 5, GROUPS = 10 };
    float w[N];
    uint8_t m[GROUPS];
    sqzt_random random = sqzt_random_of(11);
    for (uint32_t bits = 2; bits <= 4; bits++)
        for (int trial = 0; trial < 50; trial++) {
            for (size_t i = 0; i < N; i++)
                w[i] = (float)(sqzt_normal(&random) * pow(100, (double)(i / 32 % 5) / 4));
            const float scale = sqzi_group_scales(0, bits, w, N, m);
            assert_true(scale > 0);
            for (size_t g = 0; g < GROUPS; g++) {
                const size_t n = g + 1 < GROUPS ? 32 : 5;
                const double got = error_with(bits, w + 32 * g, n, (double)scale * m[g]);
                assert_true(m[g] >= 1 && m[g] <= sqzi_packed_most(bits));
                for (uint32_t other = 1; other <= sqzi_packed_most(bits); other++)
                    assert_true(got <= error_with(bits, w + 32 * g, n, (double)scale * other) *
                                           (1 + 37 * 5 * 0x1p-24));
            }
        }
}

/* What groups are for: less than the error of one step for the whole row, however it is chosen. */
static void groups_lose_less_than_one_step_a_row(void **state)
{
    (void)state;
    enum { N = 384, ROWS = 200 };
    float w[N];
    uint8_t m[N / 32];
    int8_t q[N];
    sqzt_random random = sqzt_random_of(12);
    for (uint32_t bits = 2; bits <= 4; bits++) {
        sqzi_rounding_error grouped = {0, 0};
        double plain = 0;
        for (int r = 0; r < ROWS; r++) {
            double least = INFINITY, most = 0;
            for (size_t i = 0; i < N; i++) {
                w[i] = (float)(sqzt_normal(&random) * (1 + (double)(i / 32 % 3)));
                most = fmax(most, fabs((double)w[i]));
            }
            const float scale = sqzi_group_scales(0, bits, w, N, m);
            sqzi_integer_row(bits, w, N, scale, m, q, &grouped);
            for (int k = 1; k <= 32; k++)
                least = fmin(least, error_with(bits, w, N, most * k / 32));
            plain += least;
        }
        printf("%u bits: groups lose %.4f, rows %.4f of the squares\n", (unsigned)bits,
               grouped.errors / grouped.squares, plain / grouped.squares);
        assert_true(grouped.errors < plain);
    }
}

static void rows_at_the_edges_of_f32(void **state)
{
    (void)state;
    static const float sizes[] = {0, 1e-45f, 1e-38f, 1e-20f, 1e20f, 3.4e38f};
    float w[40];
    uint8_t m[2];
    int8_t q[40];
    for (uint32_t bits = 2; bits <= 4; bits++)
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
            sqzi_rounding_error sums = {0, 0};
            for (size_t i = 0; i < 40; i++) w[i] = i % 3 ? sizes[k] : -sizes[k];
            const float scale = sqzi_group_scales(0, bits, w, 40, m);
            assert_true(isfinite(scale) && m[0] >= 1 && m[1] >= 1);
            sqzi_integer_row(bits, w, 40, scale, m, q, &sums);
            /* numbers of one size are met; denormal scales are as coarse as they are */
            if (sizes[k] > 1e-30f) assert_true(sums.errors <= 1e-2 * sums.squares);
            if (sizes[k] <= 0) assert_true(scale == 0);
        }
}

/* ---- linears ---- */

typedef struct subject {
    sqz_context *context;
    sqz_model *model;
    sqzi_weights weights;
} subject;

static bool open_form(const sqzt_named_tiny *form, subject *s)
{
    sqz_error error = {0};
    const char *path = sqzt_temporary("float.gguf");
    if (form->tiny.type != SQZI_F32 || form->tiny.ffn_width > 1000 || form->tiny.parts)
        return false;
    sqzt_tiny_write(&form->tiny, path);
    sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = 1}, &s->context, &error),
                   &error);
    sqzt_assert_ok(sqz_model_open(s->context, path, &s->model, &error), &error);
    sqzt_assert_ok(sqzi_weights_of(s->model, &s->weights, &error), &error);
    return true;
}

static void close_form(subject *s)
{
    sqzi_weights_discard(&s->weights);
    sqz_model_close(s->model);
    sqz_context_close(s->context);
}

/* Inputs x_i = d_i (z_i + z_{i-1} / 2) + mean_i of independent z. */
static sqzi_input_statistics statistics_of(uint32_t n)
{
    sqzi_input_statistics s = {.n = n, .rows = 1000};
    s.mean = sqzt_take(n, sizeof *s.mean);
    s.covariance = sqzt_take((size_t)n * n, sizeof *s.covariance);
    for (size_t i = 0; i < n; i++) {
        s.mean[i] = (float)sin((double)i);
        for (size_t j = 0; j < n; j++) {
            const double di = 0.2 + (double)(i * 37 % 11) / 5, dj = 0.2 + (double)(j * 37 % 11) / 5;
            s.covariance[i * n + j] = (float)(di * dj *
                                              (i == j                      ? 1.25
                                               : abs((int)i - (int)j) == 1 ? 0.5
                                                                           : 0));
        }
    }
    return s;
}

static void discard(sqzi_input_statistics *s)
{
    sqzt_release(s->mean, s->n, sizeof *s->mean);
    sqzt_release(s->covariance, (size_t)s->n * s->n, sizeof *s->covariance);
}

/* The matrix that a linear is, in double, over x before `in`; written or as it was. */
static void whole_of(const sqzi_weight_linear *l, bool written, double *out)
{
    memset(out, 0, (size_t)l->n_in * l->n_out * sizeof *out);
    for (uint32_t t = 0; t < l->n_terms; t++) {
        const sqzi_weight_matrix *a = &l->terms[t].a, *b = &l->terms[t].b;
        for (size_t r = 0; r < l->n_out; r++)
            for (size_t k = 0; k < b->columns; k++) {
                const size_t group = r / (b->rows / b->groups), first = group * b->columns + k,
                             at = r * b->columns + k;
                const double by = written ? sqzi_weight_written(b, r, k) : (double)b->values[at];
                if (!a->rows) out[r * l->n_in + (l->in ? l->in[first] : first)] += by;
                for (size_t i = 0; a->rows && i < a->columns; i++) {
                    const size_t j = first / (a->rows / a->groups) * a->columns + i;
                    out[r * l->n_in + (l->in ? l->in[j] : j)] +=
                        by * (written ? sqzi_weight_written(a, first, i)
                                      : (double)a->values[first * a->columns + i]);
                }
            }
    }
}

/* The mean of the squared error of all outputs, their means apart. */
static double error_on(const sqzi_weight_linear *l, const sqzi_input_statistics *s)
{
    const size_t n = (size_t)l->n_in * l->n_out;
    double *before = sqzt_take(n, sizeof *before), *after = sqzt_take(n, sizeof *after), sum = 0;
    whole_of(l, false, before);
    whole_of(l, true, after);
    for (size_t r = 0; r < l->n_out; r++)
        for (size_t i = 0; i < l->n_in; i++)
            for (size_t j = 0; j < l->n_in; j++)
                sum += (before[r * l->n_in + i] - after[r * l->n_in + i]) *
                       (double)s->covariance[i * l->n_in + j] *
                       (before[r * l->n_in + j] - after[r * l->n_in + j]);
    sqzt_release(before, n, sizeof *before);
    sqzt_release(after, n, sizeof *after);
    return sum;
}

/* b' + W' mean = b + W mean, up to the rounding of the bias and of sums in double. */
static void check_mean(const sqzi_weight_linear *l, const sqzi_input_statistics *s,
                       const float *bias, const char *name)
{
    const size_t n = (size_t)l->n_in * l->n_out;
    double *before = sqzt_take(n, sizeof *before), *after = sqzt_take(n, sizeof *after);
    whole_of(l, false, before);
    whole_of(l, true, after);
    for (size_t r = 0; r < l->n_out; r++) {
        double sum = (double)bias[r], most = fabs(sum);
        for (size_t i = 0; i < l->n_in; i++) {
            const double term = (before[r * l->n_in + i] - after[r * l->n_in + i]) *
                                (double)s->mean[i];
            sum += term;
            most += fabs(term);
        }
        if (!(fabs((double)l->bias[r] - sum) <= 0x1p-24 * fabs(sum) + 1e-9 * most))
            fail_msg("%s, output %zu: bias %g, %g expected", name, r, (double)l->bias[r], sum);
    }
    sqzt_release(before, n, sizeof *before);
    sqzt_release(after, n, sizeof *after);
}

/* Every integer is a multiple that its row can hold. */
static void check_levels(const sqzi_weight_matrix *m)
{
    const uint32_t bits = sqzi_storage_bits(m->storage);
    for (size_t at = 0; m->rows && bits < 8 && at < (size_t)m->rows * m->columns; at++) {
        const size_t groups = sqzi_packed_groups(m->columns), r = at / m->columns;
        const int multiplier = m->rounded.multipliers[r * groups + at % m->columns / 32];
        const int level = m->rounded.integers[at] / multiplier,
                  code = (level - sqzi_packed_lowest(bits)) / sqzi_packed_step(bits);
        assert_int_equal(level * multiplier, m->rounded.integers[at]);
        assert_int_equal(sqzi_packed_lowest(bits) + code * sqzi_packed_step(bits), level);
        assert_true(code >= 0 && code < 1 << bits);
    }
}

/* Dense, grouped, low rank, sums and permuted linears. */
static void errors_cancel_on_what_a_linear_reads_and_its_mean_stays(void **state)
{
    (void)state;
    unsigned forms = 0;
    for (const sqzt_named_tiny *form = sqzt_tiny_forms; form->name; form++) {
        subject s;
        if (!open_form(form, &s)) continue;
        forms++;
        for (int k = 0; k < STORAGES; k++)
            for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++) {
                sqz_error error = {0};
                sqzi_weight_linear *l = &s.weights.blocks[0].linears[j];
                sqzi_input_statistics input = statistics_of(l->n_in);
                float *bias = sqzt_take(l->n_out, sizeof *bias);
                memcpy(bias, l->bias, l->n_out * sizeof *bias);
                sqzt_assert_ok(sqzi_weights_round_linear(&s.weights, storages[k], NULL, l, &error),
                               &error);
                assert_memory_equal(bias, l->bias, l->n_out * sizeof *bias);
                const double nearest = error_on(l, &input);
                sqzt_assert_ok(
                    sqzi_weights_round_linear(&s.weights, storages[k], &input, l, &error), &error);
                const double chosen = error_on(l, &input);
                for (uint32_t t = 0; t < l->n_terms; t++) {
                    check_levels(&l->terms[t].a);
                    check_levels(&l->terms[t].b);
                }
                check_mean(l, &input, bias, form->name);
                /* of factors each is rounded for itself: their product may lose a little */
                if (l->n_terms == 1 && !l->terms[0].a.rows && !(chosen < nearest))
                    fail_msg("%s, linear %u, storage %d: %g by covariance, %g to the nearest",
                             form->name, (unsigned)j, (int)storages[k], chosen, nearest);
                memcpy(l->bias, bias, l->n_out * sizeof *bias);
                sqzt_release(bias, l->n_out, sizeof *bias);
                discard(&input);
            }
        close_form(&s);
    }
    assert_true(forms >= 10);
}

/* The file of rounded weights, read back, means what was written. */
static void a_file_of_packed_rows_comes_back(void **state)
{
    (void)state;
    const char *out = sqzt_temporary("packed.gguf");
    for (const sqzt_named_tiny *form = sqzt_tiny_forms; form->name; form++)
        for (int k = 0; k < STORAGES; k++) {
            subject s;
            sqz_error error = {0};
            sqz_model *model;
            sqzi_weights back;
            uint64_t bytes = 0;
            if (!open_form(form, &s)) break;
            sqzi_weights *w = &s.weights;
            sqzi_weight_matrix *tables[] = {&w->word, &w->position, &w->factor};
            for (int t = 0; t < 3; t++) {
                double loss = 0;
                if (!tables[t]->rows) continue;
                sqzt_assert_ok(sqzi_weights_round_matrix(w, storages[k], NULL, NULL, tables[t],
                                                         &loss, &error),
                               &error);
                assert_true(loss > 0 && loss < 0.5);
            }
            for (uint32_t i = 0; i < w->n_blocks; i++)
                for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++)
                    sqzt_assert_ok(sqzi_weights_round_linear(w, storages[k], NULL,
                                                             &w->blocks[i].linears[j], &error),
                                   &error);
            const sqzi_step step = {.history = "round", .suffix = "-r"};
            sqzt_assert_ok(sqzi_weights_write(w, &step, out, &bytes, &error), &error);
            sqzt_assert_ok(sqz_model_open(s.context, out, &model, &error), &error);
            assert_int_equal(sqz_model_get_info(model)->file_bytes, bytes);
            sqzt_assert_ok(sqzi_weights_of(model, &back, &error), &error);
            const sqzi_weight_matrix *pairs[][2] = {
                {&w->word, &back.word},
                {&w->position, &back.position},
                {&w->factor, &back.factor},
                {&w->blocks[0].linears[4].terms[0].a, &back.blocks[0].linears[4].terms[0].a},
                {&w->blocks[0].linears[5].terms[0].b, &back.blocks[0].linears[5].terms[0].b}};
            for (size_t p = 0; p < sizeof pairs / sizeof *pairs; p++) {
                const sqzi_weight_matrix *from = pairs[p][0], *to = pairs[p][1];
                assert_int_equal(from->rows, to->rows);
                assert_int_equal(from->columns, to->columns);
                for (size_t at = 0; at < (size_t)from->rows * from->columns; at++)
                    assert_true((float)sqzi_weight_written(from, at / from->columns,
                                                           at % from->columns) == to->values[at]);
            }
            sqzi_weights_discard(&back);
            sqz_model_close(model);
            close_form(&s);
        }
}

static void memory_that_fails_leaves_nothing(void **state)
{
    (void)state;
    sqzt_memory memory = {.fail_at = 0};
    const sqz_allocator allocator = sqzt_allocator(&memory);
    sqz_error error = {0};
    sqz_context *context;
    sqz_model *model;
    sqzi_weights weights;
    const char *path = sqzt_temporary("float.gguf");
    const sqzt_named_tiny *form = sqzt_tiny_forms;
    while (strcmp(form->name, "low rank in groups") != 0) form++;
    sqzt_tiny_write(&form->tiny, path);
    sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.allocator = &allocator, .n_threads = 1},
                                    &context, &error),
                   &error);
    sqzt_assert_ok(sqz_model_open(context, path, &model, &error), &error);
    sqzt_assert_ok(sqzi_weights_of(model, &weights, &error), &error);
    sqzi_weight_linear *linear = &weights.blocks[0].linears[SQZI_FFN_DOWN];
    sqzi_input_statistics input = statistics_of(linear->n_in);
    sqz_status status = SQZ_ENOMEM;
    uint64_t n = 0;
    while (status != SQZ_OK) {
        memory.fail_at = memory.calls + ++n;
        status = sqzi_weights_round_linear(&weights, SQZI_STORED_S4, &input, linear, &error);
        memory.fail_at = 0;
        assert_true(status == SQZ_OK || status == SQZ_ENOMEM);
    }
    assert_true(n > 10);
    discard(&input);
    sqzi_weights_discard(&weights);
    sqz_model_close(model);
    sqz_context_close(context);
    assert_int_equal(memory.held_bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_multiplier_is_better_than_the_chosen_one),
        cmocka_unit_test(groups_lose_less_than_one_step_a_row),
        cmocka_unit_test(rows_at_the_edges_of_f32),
        cmocka_unit_test(errors_cancel_on_what_a_linear_reads_and_its_mean_stays),
        cmocka_unit_test(a_file_of_packed_rows_comes_back),
        cmocka_unit_test(memory_that_fails_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
