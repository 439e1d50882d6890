/* SPDX-License-Identifier: Apache-2.0 */
/* A trainer of embeddings: each loss falls; its model is that of the file that is written of it, to
 * the bit, without the base's head; neither threads nor parts of a batch change what is learnt;
 * what cannot be trained is refused by name. */
#include <math.h>
#include <squeezebert/session.h>
#include <stdio.h>
#include <stdlib.h>

#include "support/same_files.h"
#include "support/test.h"
#include "support/train_data.h"

enum { TEXTS = 3, GROUPS = SQZT_EXAMPLES / TEXTS, BATCH = 4, BATCHES = 3, WIDTH = 24 };

/* Examples of sqzt_train_data in groups of `texts`: those of one class belong together, so text 2
 * does not. */
typedef struct group_data {
    sqzt_train_data own;
    sqz_train_example examples[SQZT_EXAMPLES];
    float scores[SQZT_EXAMPLES];
    uint32_t rows[BATCH], n_groups;
    sqz_train_data data;
} group_data;

static sqz_status give_batch(void *user, uint32_t epoch, uint32_t i, const uint32_t **rows,
                             uint32_t *n, sqz_error *error)
{
    group_data *g = user;
    (void)error;
    *n = BATCH;
    for (uint32_t j = 0; j < *n; j++) g->rows[j] = (i * BATCH + j + epoch) % g->n_groups;
    *rows = g->rows;
    return SQZ_OK;
}

static void make_groups(group_data *g, uint32_t texts)
{
    *g = (group_data){.n_groups = GROUPS};
    sqzt_train_data_make(&g->own, 9);
    for (uint32_t i = 0; i < GROUPS * texts; i++) {
        /* classes go round: texts 0 and 1 of one class, of scored pairs in every other group */
        const uint32_t group = i / texts, text = i % texts, like = texts == 2 ? group % 2 : 0,
                       from = (group % 3 + (text == 2 || (text == 1 && like))) % 3 +
                              3 * ((2 * group + text) % (SQZT_EXAMPLES / 3));
        g->examples[i] = g->own.examples[from];
        g->examples[i].values = &g->scores[group];
        g->scores[group] = like ? 0 : 1;
    }
    g->data = (sqz_train_data){.examples = g->examples,
                               .n_examples = GROUPS,
                               .texts = texts,
                               .n_batches = BATCHES,
                               .batch = give_batch,
                               .user = g};
}

static const sqzt_tiny small = {.width = WIDTH,
                                .blocks = 2,
                                .heads = 3,
                                .head_width = 8,
                                .ffn_width = 40,
                                .embedding_width = WIDTH,
                                .positions = 40,
                                .token_types = 2,
                                .head = "sequence",
                                .classes = 2,
                                .seed = 22};

static sqz_context *context_of(uint32_t threads)
{
    sqz_error error = {0};
    sqz_context *context = NULL;
    sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = threads}, &context, &error),
                   &error);
    return context;
}

typedef struct watch {
    double first, last; /* loss of the first and the last epoch */
    double losses[BATCHES * 40];
} watch;

static int watch_progress(void *user, const sqz_train_progress *p)
{
    watch *w = user;
    w->losses[p->step - 1] = p->loss;
    if (p->epoch == 0) w->first += p->loss;
    if (p->step > p->n_steps - BATCHES) w->last += p->loss;
    assert_true(p->norm > 0 && isfinite(p->norm) && p->n_tokens > 0);
    return 0;
}

static void train(const char *base, uint32_t threads, const sqz_train_recipe *recipe,
                  const group_data *g, watch *w, const char *out)
{
    sqz_error error = {0};
    sqz_trainer *trainer = NULL;
    sqz_train_result result;
    *w = (watch){0};
    const sqz_train_run run = {.progress = watch_progress, .user = w};
    sqz_context *context = context_of(threads);
    sqzt_assert_ok(sqz_trainer_open(context, base, recipe, &g->data, &trainer, &error), &error);
    sqzt_assert_ok(sqz_trainer_run(trainer, &run, &result, &error), &error);
    if (out) sqzt_assert_ok(sqz_trainer_write(trainer, out, &error), &error);
    sqz_trainer_close(trainer);
    sqz_context_close(context);
}

static void losses_of_embeddings_fall(void **state)
{
    (void)state;
    const char *base = sqzt_temporary("base.gguf");
    sqzt_tiny_write(&small, base);
    const struct {
        const char *what;
        sqz_train_recipe recipe;
        uint32_t texts;
    } all[] = {
        {"cosine", {.loss = SQZ_LOSS_COSINE, .epochs = 30, .lr = 2e-3}, 2},
        {"cosent", {.loss = SQZ_LOSS_COSENT, .epochs = 30, .lr = 2e-3}, 2},
        {"ranking", {.loss = SQZ_LOSS_RANKING, .epochs = 30, .lr = 2e-3}, 2},
        {"both ways",
         {.loss = SQZ_LOSS_RANKING, .symmetric = 1, .scale = 5, .epochs = 30, .lr = 2e-3},
         2},
        {"bf16",
         {.loss = SQZ_LOSS_COSENT, .precision = SQZ_PRECISION_BF16, .epochs = 30, .lr = 2e-3},
         2},
        {"negatives",
         {.loss = SQZ_LOSS_RANKING, .pooling = SQZ_POOLING_POOLER, .epochs = 30, .lr = 2e-3},
         3}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        group_data g;
        watch w;
        make_groups(&g, all[i].texts);
        train(base, 2, &all[i].recipe, &g, &w, NULL);
        if (!(w.last < 0.7 * w.first))
            fail_msg("%s: the loss went from %g to %g", all[i].what, w.first / BATCHES,
                     w.last / BATCHES);
    }
}

static void vector_of(const sqz_model *model, const sqz_train_example *e, float vector[WIDTH])
{
    sqz_error error = {0};
    sqz_session *session = NULL;
    const uint32_t first[] = {0, e->n_tokens};
    const sqz_batch batch = {.n_sequences = 1, .first = first, .ids = e->ids, .types = e->types};
    const sqz_session_options o = {.max_tokens = SQZT_LONGEST, .max_sequences = 1};
    const sqz_embed_options as_told = {.skip = &e->skip};
    memset(vector, 0, WIDTH * sizeof *vector);
    sqzt_assert_ok(sqz_session_open(model, &o, &session, &error), &error);
    sqzt_assert_ok(sqz_embed(session, &batch, &as_told, vector, WIDTH, &error), &error);
    sqz_session_close(session);
}

/* With and without layers behind the pooling; the pooling that is asked for goes into the file. */
static void the_written_file_embeds_as_the_trainers_model(void **state)
{
    (void)state;
    sqzt_tiny forms[] = {small, small};
    forms[0].steps[0] = "dense_tanh";
    forms[0].steps[1] = "norm";
    forms[0].steps[2] = "normalize";
    forms[0].step_width = 16;
    for (size_t form = 0; form < 2; form++) {
        group_data g;
        sqz_error error = {0};
        sqz_trainer *trainer;
        sqz_train_result result;
        sqz_model *written;
        make_groups(&g, TEXTS);
        for (uint32_t i = 0; i < GROUPS * TEXTS; i++)
            g.examples[i].skip = g.examples[i].n_tokens > 1;
        const char *base = sqzt_temporary("base.gguf"), *out = sqzt_temporary("out.gguf");
        const sqz_train_recipe recipe = {.loss = SQZ_LOSS_RANKING,
                                         .pooling = form ? SQZ_POOLING_CLS : SQZ_POOLING_DEFAULT,
                                         .epochs = 1,
                                         .lr = 1e-2,
                                         .warmup = -1};
        sqz_context *context = context_of(2);
        sqzt_tiny_write(&forms[form], base);
        sqzt_assert_ok(sqz_trainer_open(context, base, &recipe, &g.data, &trainer, &error), &error);
        float before[WIDTH], after[WIDTH];
        vector_of(sqz_trainer_model(trainer), &g.examples[0], before);
        sqzt_assert_ok(sqz_trainer_run(trainer, NULL, &result, &error), &error);
        sqzt_assert_ok(sqz_trainer_write(trainer, out, &error), &error);
        sqzt_assert_ok(sqz_model_open(context, out, &written, &error), &error);
        const sqz_model_info *info = sqz_model_get_info(written);
        assert_int_equal(info->head, SQZ_HEAD_NONE);
        assert_int_equal(info->n_labels, 0);
        assert_int_equal(info->pooling, form ? SQZ_POOLING_CLS : SQZ_POOLING_MEAN);
        assert_int_equal(info->n_embed_steps, form ? 0 : 3);
        for (uint32_t i = 0; i < GROUPS * TEXTS; i++) {
            float other[WIDTH];
            vector_of(sqz_trainer_model(trainer), &g.examples[i], after);
            vector_of(written, &g.examples[i], other);
            assert_memory_equal(after, other, sizeof other);
        }
        vector_of(written, &g.examples[0], after);
        assert_memory_not_equal(before, after, sizeof after);
        sqz_model_close(written);
        sqz_trainer_close(trainer);
        sqz_context_close(context);
    }
}

/* Masks are those of example and text, wherever they are run; blocks that run again are the same.
 */
static void parts_and_threads_change_no_step(void **state)
{
    (void)state;
    group_data g;
    watch whole, parts, threads;
    char base[400], one[400];
    make_groups(&g, TEXTS);
    snprintf(base, sizeof base, "%s", sqzt_temporary("base.gguf"));
    snprintf(one, sizeof one, "%s", sqzt_temporary("one.gguf"));
    sqzt_tiny_write(&small, base);
    sqz_train_recipe recipe = {.loss = SQZ_LOSS_RANKING, .epochs = 2, .lr = 1e-3, .dropout = 0.2};
    train(base, 1, &recipe, &g, &whole, NULL);
    for (recipe.accumulate = 2; recipe.accumulate <= 5; recipe.accumulate += 3) {
        train(base, 1, &recipe, &g, &parts, one);
        for (size_t i = 0; i < 2 * BATCHES; i++)
            if (!(fabs(parts.losses[i] - whole.losses[i]) <= 2e-4 * whole.losses[i]))
                fail_msg("%u parts, step %zu: loss %.9g instead of %.9g", recipe.accumulate, i + 1,
                         parts.losses[i], whole.losses[i]);
        recipe.recompute = 1;
        train(base, 3, &recipe, &g, &threads, sqzt_temporary("other.gguf"));
        recipe.recompute = 0;
        assert_memory_equal(parts.losses, threads.losses, sizeof parts.losses);
        sqzt_assert_same_files(one, sqzt_temporary("other.gguf"));
    }
}

static void expect_refused(const sqz_train_recipe *recipe, const group_data *g, const char *part)
{
    sqz_error error = {0};
    sqz_trainer *trainer = NULL;
    sqz_context *context = context_of(1);
    sqzt_assert_fails(sqz_trainer_open(context, sqzt_temporary("base.gguf"), recipe, &g->data,
                                       &trainer, &error),
                      SQZ_EINVAL, &error, part);
    assert_null(trainer);
    sqz_context_close(context);
}

static void what_is_no_embedders_is_refused(void **state)
{
    (void)state;
    group_data g;
    const struct {
        sqz_train_recipe recipe;
        const char *part;
    } all[] = {{{.loss = SQZ_LOSS_RANKING, .head = SQZ_HEAD_TOKEN}, "is of embeddings"},
               {{.loss = SQZ_LOSS_COSENT, .label_smoothing = 0.1}, "is of embeddings"},
               {{.loss = SQZ_LOSS_COSINE}, "3 texts, the loss cosine takes 2 to 2"},
               {{.loss = SQZ_LOSS_RANKING, .scale = -1}, "scale is -1"},
               {{.loss = SQZ_LOSS_RANKING, .pooling = SQZ_POOLING_NONE}, "one vector"},
               {{.loss = SQZ_LOSS_RANKING, .freeze_encoder = 1}, "nothing to train"},
               {{.loss = (sqz_train_loss)9}, "no loss has number 9"}};
    sqzt_tiny_write(&small, sqzt_temporary("base.gguf"));
    make_groups(&g, TEXTS);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        expect_refused(&all[i].recipe, &g, all[i].part);
    g.examples[4].skip = g.examples[4].n_tokens;
    expect_refused(&(sqz_train_recipe){.loss = SQZ_LOSS_RANKING}, &g, "of example 1");
    make_groups(&g, TEXTS);
    g.data.labels = g.own.data.labels;
    g.data.n_labels = SQZT_CLASSES;
    expect_refused(&(sqz_train_recipe){0}, &g, "an example has 3 texts, a head reads one");
    make_groups(&g, 2);
    g.scores[2] = 1.5f;
    expect_refused(&(sqz_train_recipe){.loss = SQZ_LOSS_COSINE}, &g, "a cosine is -1 to 1");
    expect_refused(&(sqz_train_recipe){.loss = SQZ_LOSS_COSENT, .symmetric = 1}, &g, "symmetric");
    expect_refused(&(sqz_train_recipe){.loss = SQZ_LOSS_COSINE, .scale = 3}, &g, "scale is for");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(losses_of_embeddings_fall),
        cmocka_unit_test(the_written_file_embeds_as_the_trainers_model),
        cmocka_unit_test(parts_and_threads_change_no_step),
        cmocka_unit_test(what_is_no_embedders_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
