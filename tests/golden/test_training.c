/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
/* Training the golden models, of every type, with every head that can be trained: 1, 2 and 3
 * threads, with evaluations and without, leave the same bytes on every level; logits of the
 * trainer's model are those of the file that is written of it. */
#include <math.h>
#include <squeezebert/import.h>
#include <squeezebert/session.h>
#include <stdio.h>
#include <stdlib.h>

#include "support/same_files.h"
#include "support/train_data.h"

static const char *const names[] = {
    "squeezebert-sequence", "squeezebert-masked", "squeezebert-token", "bert-sequence",
    "bert-question",        "bert-choice",        "bert-masked",       "distilbert-sequence",
    "distilbert-masked",    "electra-sequence",   "electra-masked",    "electra-token"};
static const char *const levels[] = {"portable", "avx2", ""};
static const float weights[SQZT_CLASSES] = {0.5f, 2, 1.25f};

static const struct {
    const char *what;
    sqz_train_recipe recipe;
} heads[] = {
    {"one class", {.class_weights = weights, .label_smoothing = 0.1}},
    {"several classes",
     {.problem = SQZ_MULTI_LABEL, .pooling = SQZ_POOLING_MEAN, .class_weights = weights}},
    {"numbers", {.problem = SQZ_REGRESSION, .pooling = SQZ_POOLING_CLS, .accumulate = 3}},
    {"classes of tokens",
     {.head = SQZ_HEAD_TOKEN, .class_weights = weights, .accumulate = 2, .head_lr = 1e-2}},
};

enum {
    N_NAMES = sizeof names / sizeof *names,
    N_HEADS = sizeof heads / sizeof *heads,
    THREADS = 3
};

static sqz_context *context_of(uint32_t threads, const char *cpu)
{
    sqz_error error = {0};
    sqz_context *context = NULL;
    sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = threads, .cpu = cpu},
                                    &context, &error),
                   &error);
    return context;
}

/* The model's vocabulary is smaller, and some have no types. */
static void make_data(sqzt_train_data *d, const char *base)
{
    sqz_error error = {0};
    sqz_model *model = NULL;
    sqz_context *context = context_of(1, "portable");
    sqzt_train_data_make(d, 8);
    sqzt_assert_ok(sqz_model_open(context, base, &model, &error), &error);
    const sqz_model_info *info = sqz_model_get_info(model);
    for (uint32_t i = 0; i < SQZT_EXAMPLES; i++) {
        if (info->n_token_types < 2) d->examples[i].types = NULL;
        for (uint32_t t = 0; t < d->examples[i].n_tokens; t++) d->ids[i][t] %= info->vocabulary;
    }
    sqz_model_close(model);
    sqz_context_close(context);
}

static void logits_of(const sqz_model *model, const sqzt_train_data *d, uint32_t row,
                      float logits[SQZT_LONGEST * SQZT_CLASSES])
{
    sqz_error error = {0};
    sqz_session *session = NULL;
    const sqz_train_example *e = &d->examples[row];
    const uint32_t first[] = {0, e->n_tokens};
    const sqz_batch batch = {.n_sequences = 1, .first = first, .ids = e->ids, .types = e->types};
    const sqz_session_options room = {.max_tokens = SQZT_LONGEST, .max_sequences = 1};
    sqzt_assert_ok(sqz_session_open(model, &room, &session, &error), &error);
    memset(logits, 0, SQZT_LONGEST * SQZT_CLASSES * sizeof *logits);
    sqzt_assert_ok(sqz_logits(session, &batch, NULL, 0, logits, SQZT_CLASSES, &error), &error);
    sqz_session_close(session);
}

static sqz_status look(void *user, const sqz_model *model, uint64_t step, double *score,
                       sqz_error *error)
{
    float logits[SQZT_LONGEST * SQZT_CLASSES];
    (void)error;
    logits_of(model, user, (uint32_t)step % SQZT_EXAMPLES, logits);
    *score = NAN; /* never the best */
    return SQZ_OK;
}

static void check_written(const char *what, sqz_context *context, const sqz_model *trained,
                          const char *path, const sqzt_train_data *d)
{
    sqz_error error = {0};
    sqz_model *written = NULL;
    float a[SQZT_LONGEST * SQZT_CLASSES], b[SQZT_LONGEST * SQZT_CLASSES];
    sqzt_assert_ok(sqz_model_open(context, path, &written, &error), &error);
    for (uint32_t row = 0; row < SQZT_EXAMPLES; row++) {
        logits_of(trained, d, row, a);
        logits_of(written, d, row, b);
        if (memcmp(a, b, sizeof a) != 0)
            fail_msg("%s: logits of row %u: %.9g in the trainer, %.9g of the file", what, row,
                     (double)a[0], (double)b[0]);
        assert_true(isfinite(a[0]));
    }
    sqz_model_close(written);
}

static void train(const char *what, const char *base, const sqz_train_recipe *recipe,
                  sqzt_train_data *d, const char *cpu, uint32_t threads, const char *out)
{
    sqz_error error = {0};
    sqz_trainer *trainer = NULL;
    sqz_train_result result;
    sqz_context *context = context_of(threads, cpu);
    const sqz_train_run run = {.evaluate = look,
                               .user = d,
                               .evaluate_steps = threads == 2 ? 10 : 1};
    sqzt_assert_ok(sqz_trainer_open(context, base, recipe, &d->data, &trainer, &error), &error);
    sqzt_assert_ok(sqz_trainer_run(trainer, threads > 1 ? &run : NULL, &result, &error), &error);
    sqzt_assert_ok(sqz_trainer_write(trainer, out, &error), &error);
    check_written(what, context, sqz_trainer_model(trainer), out, d);
    sqz_trainer_close(trainer);
    sqz_context_close(context);
}

static void check_model(const char *name)
{
    char base[256], out[THREADS][256], what[160], folder[256];
    sqz_error error = {0};
    sqzt_train_data d;
    sqz_context *context = context_of(1, "portable");
    snprintf(base, sizeof base, "%s", sqzt_temporary("base.gguf"));
    for (int i = 0; i < THREADS; i++)
        snprintf(out[i], sizeof out[i], "%s.%d", sqzt_temporary("out"), i + 1);
    snprintf(folder, sizeof folder, "tests/golden/models/%s", name);
    sqzt_assert_ok(sqz_import(context, folder, base, NULL, &error), &error);
    make_data(&d, base);
    for (size_t l = 0; l < sizeof levels / sizeof *levels; l++)
        for (size_t h = 0; h < N_HEADS; h++) {
            sqz_train_recipe recipe = heads[h].recipe;
            recipe.epochs = 3;
            recipe.lr = 2e-3;
            if (recipe.pooling == SQZ_POOLING_DEFAULT && recipe.head != SQZ_HEAD_TOKEN)
                recipe.freeze_embeddings = 1;
            snprintf(what, sizeof what, "%s, %s, level '%s'", name, heads[h].what, levels[l]);
            for (uint32_t threads = 1; threads <= THREADS; threads++)
                train(what, base, &recipe, &d, levels[l], threads, out[threads - 1]);
            for (int i = 1; i < THREADS; i++) sqzt_assert_same_files(out[0], out[i]);
        }
    sqz_context_close(context);
}

static void bits_depend_on_neither_threads_nor_evaluations(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_NAMES; i++) check_model(names[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits_depend_on_neither_threads_nor_evaluations)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
