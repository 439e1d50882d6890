/* SPDX-License-Identifier: Apache-2.0 */
/* A masked language model that learns another's hidden states keeps its head, whose decoder is the
 * table of words: its logits are those of the file that is written, to the bit. */
#include <squeezebert/session.h>
#include <squeezebert/squeeze.h>
#include <stdio.h>

#include "support/test.h"
#include "support/train_data.h"

enum { ROWS = SQZT_LONGEST, CLASSES = SQZT_TINY_VOCABULARY };

static void logits_of(const sqz_model *model, const sqzt_train_data *d, uint32_t row, float *logits)
{
    sqz_error error = {0};
    sqz_session *session = NULL;
    const sqz_train_example *e = &d->examples[row];
    const uint32_t first[] = {0, e->n_tokens};
    const sqz_batch batch = {.n_sequences = 1, .first = first, .ids = e->ids, .types = e->types};
    sqzt_assert_ok(sqz_session_open(model,
                                    &(sqz_session_options){.max_tokens = ROWS, .max_sequences = 1},
                                    &session, &error),
                   &error);
    memset(logits, 0, ROWS * CLASSES * sizeof *logits);
    sqzt_assert_ok(sqz_logits(session, &batch, NULL, 0, logits, CLASSES, &error), &error);
    sqz_session_close(session);
}

static void check(sqz_context *context, const sqzt_tiny *tiny, sqz_precision precision)
{
    static sqzt_train_data d;
    static float x[ROWS * CLASSES], y[ROWS * CLASSES], before[ROWS * CLASSES];
    sqz_error error = {0};
    sqz_trainer *trainer = NULL;
    sqz_model *written = NULL;
    sqz_train_result result;
    sqzt_tiny other = *tiny;
    char base[400];
    other.seed++;
    snprintf(base, sizeof base, "%s", sqzt_temporary("base.gguf"));
    const char *teacher = sqzt_temporary("teacher.gguf");
    sqzt_tiny_write(tiny, base);
    sqzt_tiny_write(&other, teacher);
    sqzt_train_data_make(&d, 3);
    for (uint32_t i = 0; i < SQZT_EXAMPLES; i++)
        d.examples[i].types = tiny->token_types > 1 ? d.types[i] : NULL;
    sqz_distil_recipe lesson = {.teacher = teacher};
    lesson.weights[SQZ_DISTIL_HIDDEN] = 1;
    const sqz_train_recipe recipe = {
        .epochs = 1, .lr = 1e-2, .warmup = -1, .precision = precision, .distil = &lesson};
    sqzt_assert_ok(sqz_trainer_open(context, base, &recipe, &d.data, &trainer, &error), &error);
    logits_of(sqz_trainer_model(trainer), &d, 0, before);
    sqzt_assert_ok(sqz_trainer_run(trainer, NULL, &result, &error), &error);
    const char *out = sqzt_temporary("out.gguf");
    sqzt_assert_ok(sqz_trainer_write(trainer, out, &error), &error);
    const sqz_quantize_options bf16 = {.type = SQZ_QUANTIZE_BF16,
                                       .keep = "_embd\\.weight|token_types"};
    if (precision == SQZ_PRECISION_BF16)
        sqzt_assert_ok(sqz_quantize(context, out, out, &bf16, &error), &error);
    sqzt_assert_ok(sqz_model_open(context, out, &written, &error), &error);
    for (uint32_t row = 0; row < SQZT_EXAMPLES; row++) {
        logits_of(sqz_trainer_model(trainer), &d, row, x);
        logits_of(written, &d, row, y);
        assert_memory_equal(x, y, sizeof x);
        if (row == 0) assert_memory_not_equal(x, before, sizeof x);
    }
    sqz_model_close(written);
    sqz_trainer_close(trainer);
}

static void a_tied_decoder_follows_its_table(void **state)
{
    (void)state;
    sqz_error error = {0};
    sqz_context *context = NULL;
    const sqzt_tiny small = {.width = 24,
                             .blocks = 2,
                             .heads = 3,
                             .head_width = 8,
                             .ffn_width = 40,
                             .embedding_width = 24,
                             .positions = 40,
                             .token_types = 2,
                             .head = "masked_lm",
                             .seed = 31};
    sqzt_tiny factorised = small;
    factorised.factorised = 11;
    sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = 2}, &context, &error),
                   &error);
    for (int p = SQZ_PRECISION_F32; p <= SQZ_PRECISION_BF16; p++) {
        check(context, &small, (sqz_precision)p);
        check(context, &factorised, (sqz_precision)p);
    }
    sqz_context_close(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_tied_decoder_follows_its_table)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
