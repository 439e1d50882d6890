/* SPDX-License-Identifier: Apache-2.0 */
/* Embeddings against loops in double over the hidden states: every pooling, tokens left out, and
 * the layers behind. */
#include <math.h>
#include <squeezebert/session.h>
#include <stdio.h>
#include <stdlib.h>

#include "model/loader.h"
#include "support/opened.h"
#include "support/random.h"
#include "support/test.h"

enum {
    SEQUENCES = 2 * SQZI_HEAD_ROWS + 5,
    MOST = 5,
    TOKENS = SEQUENCES * MOST,
    WIDTH = 48,
    STEP_WIDTH = 70,
    THREADS = 4
};

static const sqzt_tiny plain = {.width = WIDTH,
                                .blocks = 1,
                                .heads = 3,
                                .head_width = 16,
                                .ffn_width = 64,
                                .embedding_width = WIDTH,
                                .positions = 8,
                                .no_pooler = true,
                                .seed = 51};

static uint32_t first[SEQUENCES + 1], ids[TOKENS], skip[SEQUENCES];
static const sqz_batch all = {.n_sequences = SEQUENCES, .first = first, .ids = ids};

/* Sequences of 1 to MOST tokens, and some of each to leave out. */
static int begin(void **state)
{
    (void)state;
    sqzt_random random = sqzt_random_of(52);
    for (uint32_t b = 0; b < SEQUENCES; b++) {
        const uint32_t n = 1 + (uint32_t)sqzt_below(&random, MOST);
        first[b + 1] = first[b] + n;
        skip[b] = (uint32_t)sqzt_below(&random, n);
    }
    for (uint32_t i = 0; i < TOKENS; i++)
        ids[i] = (uint32_t)sqzt_below(&random, SQZT_TINY_VOCABULARY);
    return 0;
}

static const sqz_session_options room = {.max_tokens = TOKENS, .max_sequences = SEQUENCES};

/* Column j of rows [from, to), which begin at row `start` of their sequence. */
static double pooled(const float *hidden, sqz_pooling pool, uint32_t start, uint32_t from,
                     uint32_t to, uint32_t j)
{
    double sum = 0, weights = 0, most = (double)hidden[from * WIDTH + j];
    for (uint32_t t = from; t < to; t++) {
        const double x = (double)hidden[t * WIDTH + j],
                     weight = pool == SQZ_POOLING_WEIGHTED_MEAN ? t - start + 1 : 1;
        sum += weight * x;
        weights += weight;
        most = fmax(most, x);
    }
    switch (pool) {
    case SQZ_POOLING_CLS: return (double)hidden[from * WIDTH + j];
    case SQZ_POOLING_LAST: return (double)hidden[(to - 1) * WIDTH + j];
    case SQZ_POOLING_MAX: return most;
    case SQZ_POOLING_MEAN_SQRT_LEN: return sum / sqrt(weights);
    default: return sum / weights;
    }
}

static void every_pooling_is_its_definition_with_tokens_left_out(void **state)
{
    (void)state;
    static const sqz_pooling pools[] = {SQZ_POOLING_MEAN,          SQZ_POOLING_CLS,
                                        SQZ_POOLING_MAX,           SQZ_POOLING_MEAN_SQRT_LEN,
                                        SQZ_POOLING_WEIGHTED_MEAN, SQZ_POOLING_LAST};
    static float hidden[TOKENS * WIDTH], got[SEQUENCES * WIDTH];
    sqz_error error = {0};
    for (uint32_t n_threads = 1; n_threads <= THREADS; n_threads++) {
        sqzt_opened w = sqzt_open_tiny(&plain, n_threads, &room);
        sqzt_assert_ok(sqz_encode(w.session, &all, hidden, WIDTH, &error), &error);
        for (size_t p = 0; p < 2 * sizeof pools / sizeof *pools; p++) {
            const sqz_embed_options options = {.pooling = pools[p / 2],
                                               .normalize = SQZ_NORMALIZE_NO,
                                               .skip = p % 2 ? skip : NULL};
            sqzt_assert_ok(sqz_embed(w.session, &all, &options, got, WIDTH, &error), &error);
            for (uint32_t b = 0; b < SEQUENCES; b++)
                for (uint32_t j = 0; j < WIDTH; j++)
                    assert_true(got[b * WIDTH + j] ==
                                (float)pooled(hidden, options.pooling, first[b],
                                              first[b] + (p % 2 ? skip[b] : 0), first[b + 1], j));
        }
        sqzt_close(&w);
    }
}

static void a_nan_is_the_largest_number(void **state)
{
    (void)state;
    const sqzi_real hidden[] = {1, 2, 3, NAN, 5, 1};
    const uint32_t bounds[] = {0, 3};
    sqzi_real pooled_rows[SQZI_HEAD_ROWS * 2], out[2];
    sqzi_head_scratch scratch = {.pooled = pooled_rows};
    const sqzi_head head = {.width = 2};
    sqzi_head_embed(&(sqzi_head_args){.head = &head,
                                      .scratch = &scratch,
                                      .hidden = hidden,
                                      .pooling = SQZ_POOLING_MAX,
                                      .n = 1,
                                      .first = bounds,
                                      .out = out,
                                      .ldo = 2,
                                      .dimensions = 2},
                    &(sqzi_team){0, 1, NULL});
    assert_true(out[0] == 5 && isnan(out[1]));
}

static const float *data_of(const sqz_model *model, const char *name)
{
    const sqzi_gguf_tensor *tensor = sqzi_gguf_find_tensor(model->gguf, name);
    assert_non_null(tensor);
    return tensor->data;
}

/* A number and how far it may be off. */
typedef struct number {
    double x, off;
} number;

/* out = activation(W x + b): a product of depth n is off by (n + 2) u of its parts, tanh by 2^-21,
 * and neither activation here makes an error larger. */
static void dense(const sqz_model *model, uint32_t step, const number *x, uint32_t n_in,
                  bool is_tanh, number *out)
{
    const double u = 0x1p-24;
    char name[40];
    snprintf(name, sizeof name, "embd_step.%u.weight", step);
    const float *w = data_of(model, name);
    snprintf(name, sizeof name, "embd_step.%u.bias", step);
    const float *b = data_of(model, name);
    for (uint32_t i = 0; i < STEP_WIDTH; i++) {
        double sum = (double)b[i], size = fabs(sum), off = 0;
        for (uint32_t j = 0; j < n_in; j++) {
            const double weight = (double)w[i * n_in + j];
            sum += weight * x[j].x;
            size += fabs(weight * x[j].x);
            off += fabs(weight) * x[j].off;
        }
        out[i] = (number){is_tanh ? tanh(sum) : fmax(sum, 0),
                          off * 1.001 + (n_in + 2) * u * size + (is_tanh ? 0x1p-21 : 0)};
    }
}

static void normalize(number *x, uint32_t n)
{
    double squares = 0, off = 0;
    for (uint32_t i = 0; i < n; i++) squares += x[i].x * x[i].x, off += x[i].off * x[i].off;
    const double length = sqrt(squares);
    for (uint32_t i = 0; i < n; i++)
        x[i] = (number){x[i].x / length, (x[i].off + sqrt(off)) / length * 1.001 + 0x1p-23};
}

/* (x - mean) / sqrt(variance + 1e-5) w + b, errors of the first order. */
static void layer_norm(const sqz_model *model, number *x, uint32_t n)
{
    const float *w = data_of(model, "embd_step.3.weight"), *b = data_of(model, "embd_step.3.bias");
    double mean = 0, variance = 0, off = 0;
    for (uint32_t i = 0; i < n; i++) mean += x[i].x / n, off += x[i].off * x[i].off;
    for (uint32_t i = 0; i < n; i++) variance += (x[i].x - mean) * (x[i].x - mean) / n;
    const double s = sqrt(variance + 1e-5);
    for (uint32_t i = 0; i < n; i++) {
        const double y = (x[i].x - mean) / s, weight = (double)w[i];
        x[i] = (number){y * weight + (double)b[i],
                        fabs(weight) * (x[i].off + (1 + fabs(y)) * sqrt(off)) / s * 1.01 +
                            (n + 16) * 0x1p-24 * (fabs(weight * y) + fabs(weight * mean / s) + 1)};
    }
}

static void layers_behind_the_pooling_are_run_in_order(void **state)
{
    (void)state;
    static float hidden[TOKENS * WIDTH], got[SEQUENCES * STEP_WIDTH];
    sqzt_tiny tiny = plain;
    const char *const steps[] = {"dense_tanh", "normalize", "dense_relu", "norm"};
    sqz_error error = {0};
    memcpy(tiny.steps, steps, sizeof steps);
    tiny.step_width = STEP_WIDTH;
    tiny.embed_pool = "mean_sqrt_len";
    for (uint32_t n_threads = 1; n_threads <= THREADS; n_threads++) {
        sqzt_opened w = sqzt_open_tiny(&tiny, n_threads, &room);
        const sqz_model_info *info = sqz_model_get_info(w.model);
        assert_true(info->dimensions == STEP_WIDTH && info->n_embed_steps == 4);
        sqzt_assert_ok(sqz_encode(w.session, &all, hidden, WIDTH, &error), &error);
        sqzt_assert_ok(sqz_embed(w.session, &all, NULL, got, STEP_WIDTH, &error), &error);
        for (uint32_t b = 0; b < SEQUENCES; b++) {
            number x[WIDTH], y[STEP_WIDTH], z[STEP_WIDTH];
            for (uint32_t j = 0; j < WIDTH; j++)
                x[j].x = pooled(hidden, SQZ_POOLING_MEAN_SQRT_LEN, first[b], first[b], first[b + 1],
                                j),
                x[j].off = fabs(x[j].x) * 0x1p-24;
            dense(w.model, 0, x, WIDTH, true, y);
            normalize(y, STEP_WIDTH);
            dense(w.model, 2, y, STEP_WIDTH, false, z);
            layer_norm(w.model, z, STEP_WIDTH);
            for (uint32_t j = 0; j < STEP_WIDTH; j++)
                if (fabs((double)got[b * STEP_WIDTH + j] - z[j].x) > z[j].off)
                    fail_msg("sequence %u, number %u: %.9g, %.9g expected within %.1e", b, j,
                             (double)got[b * STEP_WIDTH + j], z[j].x, z[j].off);
        }
        sqzt_close(&w);
    }
}

static void a_vector_has_the_same_bits_alone(void **state)
{
    (void)state;
    static float got[SEQUENCES * STEP_WIDTH], alone[STEP_WIDTH];
    sqzt_tiny tiny = plain;
    const char *const steps[] = {"norm", "dense_gelu", "normalize", "dense"};
    sqz_error error = {0};
    memcpy(tiny.steps, steps, sizeof steps);
    tiny.step_width = STEP_WIDTH;
    for (uint32_t n_threads = 1; n_threads <= THREADS; n_threads++)
        for (sqz_pooling pool = SQZ_POOLING_MEAN; pool <= SQZ_POOLING_LAST; pool++) {
            if (pool == SQZ_POOLING_POOLER) continue;
            sqzt_opened w = sqzt_open_tiny(&tiny, n_threads, &room);
            sqz_embed_options options = {.pooling = pool,
                                         .normalize = SQZ_NORMALIZE_YES,
                                         .dimensions = 33};
            options.skip = skip;
            sqzt_assert_ok(sqz_embed(w.session, &all, &options, got, STEP_WIDTH, &error), &error);
            for (uint32_t b = 0; b < SEQUENCES; b++) {
                const uint32_t own[] = {0, first[b + 1] - first[b]};
                const sqz_batch batch = {.n_sequences = 1, .first = own, .ids = ids + first[b]};
                options.skip = skip + b;
                sqzt_assert_ok(sqz_embed(w.session, &batch, &options, alone, STEP_WIDTH, &error),
                               &error);
                assert_memory_equal(got + b * STEP_WIDTH, alone, 33 * sizeof *alone);
            }
            sqzt_close(&w);
        }
}

static void what_cannot_be_pooled_is_refused(void **state)
{
    (void)state;
    static float out[SEQUENCES * WIDTH];
    uint32_t whole[SEQUENCES] = {0};
    sqz_error error = {0};
    sqzt_opened w = sqzt_open_tiny(&plain, 1, &room);
    whole[7] = first[8] - first[7];
    sqzt_assert_fails(sqz_embed(w.session, &all, &(sqz_embed_options){.skip = whole}, out, WIDTH,
                                &error),
                      SQZ_EINVAL, &error, "leave out all of sequence 7");
    assert_int_equal(error.offset, 7);
    sqzt_assert_fails(sqz_embed(w.session, &all, &(sqz_embed_options){.dimensions = WIDTH + 1}, out,
                                WIDTH + 1, &error),
                      SQZ_EINVAL, &error, "49 dimensions");
    sqzt_assert_fails(sqz_embed(w.session, &all,
                                &(sqz_embed_options){
                                    .pooling = (sqz_pooling)(SQZ_POOLING_LAST + 1)},
                                out, WIDTH, &error),
                      SQZ_EINVAL, &error, "pool");
    sqzt_close(&w);
}

static void steps_that_are_not_whole_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *step, *drop, *text;
        sqz_status status;
    } cases[] = {{"dense_swish", NULL, "'sqz.embed.steps' holds 'dense_swish'", SQZ_EUNSUPPORTED},
                 {"dense", "embd_step.0.weight", "'embd_step.0.weight'", SQZ_EFORMAT},
                 {"norm", "embd_step.0.bias", "'embd_step.0.bias'", SQZ_EFORMAT},
                 {NULL, NULL, "'embd_step.0.weight' belongs to no part", SQZ_EFORMAT}};
    sqz_context *context;
    sqz_error error = {0};
    sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = 1}, &context, &error),
                   &error);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sqzt_tiny tiny = plain;
        sqz_model *model;
        const char *path = sqzt_temporary("steps.gguf");
        tiny.steps[0] = cases[i].step;
        tiny.step_width = 3;
        tiny.drop = cases[i].drop;
        tiny.extra = cases[i].step ? NULL : "embd_step.0.weight";
        sqzt_tiny_write(&tiny, path);
        sqzt_assert_fails(sqz_model_open(context, path, &model, &error), cases[i].status, &error,
                          cases[i].text);
    }
    sqz_context_close(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pooling_is_its_definition_with_tokens_left_out),
        cmocka_unit_test(a_nan_is_the_largest_number),
        cmocka_unit_test(layers_behind_the_pooling_are_run_in_order),
        cmocka_unit_test(a_vector_has_the_same_bits_alone),
        cmocka_unit_test(what_cannot_be_pooled_is_refused),
        cmocka_unit_test(steps_that_are_not_whole_are_refused),
    };
    return cmocka_run_group_tests(tests, begin, NULL);
}
