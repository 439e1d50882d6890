/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
/* Hidden states and logits against Transformers in float64: every folder of tests/golden/models is
 * imported and run at every level this CPU has. The expected numbers and their tolerances are made,
 * and derived, by tests/reference/make_golden.py. */
#include <math.h>
#include <squeezebert/session.h>
#include <squeezebert/squeeze.h>
#include <stdio.h>
#include <stdlib.h>

#include "support/exact_head.h"
#include "support/test.h"

static const char *const quantized_types[] = {"s8", "bf16"};

#ifdef SQZ_GOLDEN_FILES /* a build without import: the folder of the files that another has        \
                           imported and quantised */
static void model_file(sqz_context *context, const char *name, char path[256])
{
    (void)context;
    snprintf(path, 256, "%s/%s.gguf", SQZ_GOLDEN_FILES, name);
}
static void quantized_file(sqz_context *context, const char *name, const char *from,
                           sqz_quantize_type type, char path[256])
{
    (void)context;
    (void)from;
    snprintf(path, 256, "%s/%s.%s.gguf", SQZ_GOLDEN_FILES, name, quantized_types[type]);
}
static void discard_file(const char *path) { (void)path; }
#else
#include <squeezebert/import.h>
static void model_file(sqz_context *context, const char *name, char path[256])
{
    char folder[256];
    sqz_error error = {0};
    snprintf(path, 256, "/tmp/sqz-golden-XXXXXX");
    assert_true(mkstemp(path) >= 0);
    snprintf(folder, sizeof folder, "tests/golden/models/%s", name);
    sqzt_assert_ok(sqz_import(context, folder, path, NULL, &error), &error);
}
static void quantized_file(sqz_context *context, const char *name, const char *from,
                           sqz_quantize_type type, char path[256])
{
    sqz_error error = {0};
    (void)name;
    snprintf(path, 256, "/tmp/sqz-golden-XXXXXX");
    assert_true(mkstemp(path) >= 0);
    sqzt_assert_ok(sqz_quantize(context, from, path, &(sqz_quantize_options){.type = type}, &error),
                   &error);
}
static void discard_file(const char *path) { remove(path); }
#endif

static const char *const names[] = {
    "squeezebert-sequence", "squeezebert-masked", "squeezebert-token", "bert-sequence",
    "bert-question",        "bert-choice",        "bert-masked",       "distilbert-sequence",
    "distilbert-masked",    "electra-sequence",   "electra-masked",    "electra-token"};
static const char *const levels[] = {"portable", "avx2", "avx512", "neon", "simd128", ""};

enum { MAX_BYTES = 1 << 16 };

/* What golden.bin holds; hidden and logits lie in `values`. */
typedef struct golden {
    float values[MAX_BYTES / 4];
    uint32_t n_sequences, n_tokens, width, rows, classes;
    uint32_t first[8], ids[64];
    uint8_t types[64];
    double tolerance[2];
    const float *hidden, *logits;
} golden;

static const unsigned char *take(const unsigned char *from, void *to, size_t n)
{
    memcpy(to, from, n);
    return from + n;
}

static void read_golden(const char *name, golden *g)
{
    char path[256];
    unsigned char raw[MAX_BYTES];
    uint32_t head[5];
    snprintf(path, sizeof path, "tests/golden/models/%s/golden.bin", name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    const size_t n = fread(raw, 1, sizeof raw, file);
    fclose(file);
    assert_true(n > sizeof head);
    const unsigned char *at = take(raw, head, sizeof head);
    g->n_sequences = head[0];
    g->n_tokens = head[1];
    g->width = head[2];
    g->rows = head[3];
    g->classes = head[4];
    assert_true(g->n_sequences < 8 && g->n_tokens <= 64);
    at = take(at, g->first, (g->n_sequences + 1) * sizeof *g->first);
    at = take(at, g->ids, g->n_tokens * sizeof *g->ids);
    at = take(at, g->types, g->n_tokens) + (4 - g->n_tokens % 4) % 4;
    at = take(at, g->tolerance, sizeof g->tolerance);
    const size_t n_hidden = (size_t)g->n_tokens * g->width, n_logits = (size_t)g->rows * g->classes;
    assert_int_equal(n - (size_t)(at - raw), (n_hidden + n_logits) * sizeof(float));
    memcpy(g->values, at, (n_hidden + n_logits) * sizeof(float));
    g->hidden = g->values;
    g->logits = g->hidden + n_hidden;
}

static double largest_difference(const float *got, const float *expected, size_t n)
{
    double largest = 0;
    for (size_t i = 0; i < n; i++) {
        const double difference = fabs((double)got[i] - (double)expected[i]);
        if (!(difference <= largest)) largest = difference; /* a NaN counts */
    }
    return largest;
}

/* Norm of the difference over the norm of what is expected. */
static double relative_difference(const float *got, const float *expected, size_t n)
{
    double off = 0, all = 0;
    for (size_t i = 0; i < n; i++) {
        const double difference = (double)got[i] - (double)expected[i];
        off += difference * difference;
        all += (double)expected[i] * (double)expected[i];
    }
    return sqrt(off / all);
}

typedef struct results {
    float hidden[64 * 32], logits[64 * 64];
} results;

static results run(sqz_model *model, const golden *g, sqz_batch *batch)
{
    results r;
    sqz_error error = {0};
    sqz_session *session = NULL;
    assert_true(g->width <= 32 && g->classes <= 64);
    *batch = (sqz_batch){.n_sequences = g->n_sequences,
                         .first = g->first,
                         .ids = g->ids,
                         .types = sqz_model_get_info(model)->n_token_types ? g->types : NULL};
    sqzt_assert_ok(sqz_session_open(model,
                                    &(sqz_session_options){.max_tokens = g->n_tokens,
                                                           .max_sequences = g->n_sequences},
                                    &session, &error),
                   &error);
    sqzt_assert_ok(sqz_encode(session, batch, r.hidden, g->width, &error), &error);
    sqzt_assert_ok(sqz_logits(session, batch, NULL, 0, r.logits, g->classes, &error), &error);
    sqz_session_close(session);
    return r;
}

/* Each number within the golden tolerance. */
static void compare(const char *name, const char *level, sqz_model *model, const golden *g)
{
    sqz_batch batch;
    const results r = run(model, g, &batch);
    const double off[2] = {largest_difference(r.hidden, g->hidden, (size_t)g->n_tokens * g->width),
                           largest_difference(r.logits, g->logits, (size_t)g->rows * g->classes)};
    printf("%-22s %-9s hidden %.1e of %.1e, logits %.1e of %.1e\n", name, level, off[0],
           g->tolerance[0], off[1], g->tolerance[1]);
    for (int i = 0; i < 2; i++)
        if (!(off[i] <= g->tolerance[i]))
            fail_msg("%s at %s: %s are off by %g, the tolerance is %g", name, level,
                     i ? "logits" : "hidden states", off[i], g->tolerance[i]);
}

/* The largest part of its bound that a logit is off what the f32 model's head makes of these hidden
 * states in double. */
static double head_off(const sqz_model *exact, const sqz_model *rounded, const sqz_batch *batch,
                       const float *hidden, const float *logits, size_t n)
{
    double expected[64 * 64], bound[64 * 64], most = 0;
    sqzt_exact_head(exact, rounded, batch, hidden, expected, bound);
    for (size_t i = 0; i < n; i++) {
        const double part = fabs((double)logits[i] - expected[i]) / bound[i];
        if (!(part <= most)) most = part;
    }
    return most;
}

/* Hidden states within this relative error; each logit within what the roundings of the head can do
 * to the logits that belong to the hidden states found; and, all logits together, within sqrt(C)
 * times the error of the hidden states: a random row of a head against C numbers sums to 1/sqrt(C)
 * of the product of
 * their norms. */
static void compare_quantized(const char *name, const char *level, sqz_model *exact,
                              sqz_model *model, const golden *g, double relative)
{
    sqz_batch batch;
    const size_t n = (size_t)g->rows * g->classes;
    const results r = run(model, g, &batch);
    const double hidden = relative_difference(r.hidden, g->hidden, (size_t)g->n_tokens * g->width),
                 logits = relative_difference(r.logits, g->logits, n);
    const double head = head_off(exact, model, &batch, r.hidden, r.logits, n);
    printf("%-22s %-9s hidden %.2f %%, logits %.2f %% of %.2f %%, the head %.2f of its bound\n",
           name, level, 100 * hidden, 100 * logits, 100 * relative, head);
    if (!(hidden <= relative && logits <= relative * sqrt(g->width)))
        fail_msg("%s at %s: off by %g and %g, %g is allowed", name, level, hidden, logits,
                 relative);
    if (!(head <= 1))
        fail_msg("%s at %s: a logit is off by %g of what its head's roundings allow", name, level,
                 head);
}

/* Transformers' own logits are what sqzt_exact_head makes of its hidden states. */
static void check_exact_head(const char *name, const sqz_model *model, const golden *g)
{
    const sqz_batch batch = {
        .n_sequences = g->n_sequences, .first = g->first, .ids = g->ids, .types = g->types};
    const double part = head_off(model, model, &batch, g->hidden, g->logits,
                                 (size_t)g->rows * g->classes);
    if (!(part <= 1))
        fail_msg("%s: the head in double is %g of an f32 head's bound away from Transformers'",
                 name, part);
}

static void transformers_in_float64_agrees(void **state)
{
    (void)state;
    golden *g = malloc(sizeof *g);
    assert_non_null(g);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[256];
        read_golden(names[i], g);
        for (size_t j = 0; j < sizeof levels / sizeof *levels; j++) {
            sqz_error error = {0};
            sqz_context *context = NULL;
            sqz_model *model = NULL;
            sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = 1,
                                                                   .cpu = levels[j]},
                                            &context, &error),
                           &error);
            if (j == 0) model_file(context, names[i], path);
            sqzt_assert_ok(sqz_model_open(context, path, &model, &error), &error);
            compare(names[i], levels[j], model, g);
            if (j == 0) check_exact_head(names[i], model, g);
            sqz_model_close(model);
            sqz_context_close(context);
        }
        discard_file(path);
    }
    free(g);
}

/* The relative error that quantising may bring. A product of depth k rounds its row and each row of
 * its weights to within amax/254 a number (int8) or 2^-9 of the number (bf16; twice that is
 * allowed, for attention may run in bf16 too): relative to the norm at most sqrt(k)/254 or 2^-8. A
 * chain of L blocks has V, output, up and down, two roundings each, besides the embedding; the
 * roundings are independent, so squares add up, and residual and norm pass relative errors on as
 * they are. */
static double allowed(sqz_quantize_type type, const sqz_model_info *info, uint32_t deepest)
{
    const double one = type == SQZ_QUANTIZE_S8 ? sqrt(deepest) / 254 : 0x1p-8;
    return one * sqrt(8.0 * info->n_layers + 2);
}

static uint32_t deepest_product(const sqz_model *model)
{
    sqz_tensor_info t;
    uint64_t deepest = 0;
    for (uint32_t i = 0; sqz_model_tensor(model, i, &t); i++)
        if (t.n_dims == 2 && strncmp(t.name, "blk.", 4) == 0 && t.shape[1] > deepest)
            deepest = t.shape[1];
    return (uint32_t)deepest;
}

static void check_quantized(const char *name, sqz_model *exact, const char *path,
                            sqz_quantize_type type, const golden *g)
{
    for (size_t j = 0; j < sizeof levels / sizeof *levels; j++) {
        sqz_error error = {0};
        sqz_context *context;
        sqz_model *model;
        sqz_verification verification;
        char label[64];
        snprintf(label, sizeof label, "%s %s", levels[j], quantized_types[type]);
        sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = 1, .cpu = levels[j]},
                                        &context, &error),
                       &error);
        sqzt_assert_ok(sqz_model_open(context, path, &model, &error), &error);
        compare_quantized(name, label, exact, model, g,
                          allowed(type, sqz_model_get_info(model), deepest_product(model)));
        sqzt_assert_ok(sqz_model_verify(model, &verification, &error), &error);
        assert_int_equal(verification.n_vectors, 3);
        sqz_model_close(model);
        sqz_context_close(context);
    }
}

static void quantized_models_stay_close_and_verify(void **state)
{
    (void)state;
    golden *g = malloc(sizeof *g);
    assert_non_null(g);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[256], quantized[256];
        read_golden(names[i], g);
        sqz_error error = {0};
        sqz_context *context;
        sqz_model *exact;
        sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = 1}, &context, &error),
                       &error);
        model_file(context, names[i], path);
        sqzt_assert_ok(sqz_model_open(context, path, &exact, &error), &error);
        for (int type = SQZ_QUANTIZE_S8; type <= SQZ_QUANTIZE_BF16; type++) {
            quantized_file(context, names[i], path, (sqz_quantize_type)type, quantized);
            check_quantized(names[i], exact, quantized, (sqz_quantize_type)type, g);
            discard_file(quantized);
        }
        sqz_model_close(exact);
        sqz_context_close(context);
        discard_file(path);
    }
    free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(transformers_in_float64_agrees),
                                       cmocka_unit_test(quantized_models_stay_close_and_verify)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
