/* SPDX-License-Identifier: Apache-2.0 */
/* Squeezing as a whole: the file that it writes. */
#include <squeezebert/squeeze.h>

#include <stdio.h>

#include "squeeze/dense_algebra.h"
#include "support/same_files.h"
#include "support/squeeze_texts.h"
#include "support/test.h"
#include "support/tiny_model.h"

static void squeeze(const char *path, const char *out, uint32_t n_threads,
                    const sqz_squeeze_options *options)
{
    sqz_error error = {0};
    sqz_context *context;
    sqzt_assert_ok(
        sqz_context_open(&(sqz_context_options){.n_threads = n_threads}, &context, &error), &error);
    sqzt_assert_ok(sqz_squeeze(context, path, out, options, &error), &error);
    sqz_context_close(context);
}

static void threads_change_no_byte(void **state)
{
    (void)state;
    if (!sqzi_dense_algebra_built()) skip();
    static const uint32_t none[1];
    const sqz_squeeze_options levers[] = {{.budget = 24000},
                                          {.layers = none, .static_width = 20},
                                          {.layers = none,
                                           .static_width = 16,
                                           .embedding = SQZ_EMBEDDING_PRODUCT,
                                           .embedding_size = 4},
                                          {.bits = 4,
                                           .neurons = 0.5,
                                           .groups = 2,
                                           .embedding = SQZ_EMBEDDING_PRODUCT,
                                           .embedding_size = 6},
                                          {.bits = 3,
                                           .heads = 0.5,
                                           .rank = 0.5,
                                           .embedding = SQZ_EMBEDDING_WIDTH,
                                           .embedding_size = 8}};
    sqz_text texts[SQZT_SQUEEZE_TEXTS];
    char source[256], one[256];
    sqzt_tiny tiny = sqzt_tiny_forms[0].tiny;
    tiny.ffn_width = 64; /* neurons leave in multiples of 32 */
    snprintf(source, sizeof source, "%s", sqzt_temporary("source.gguf"));
    snprintf(one, sizeof one, "%s", sqzt_temporary("one.gguf"));
    const char *three = sqzt_temporary("three.gguf");
    sqzt_tiny_write(&tiny, source);
    sqzt_squeeze_texts(texts);
    for (size_t i = 0; i < sizeof levers / sizeof *levers; i++) {
        sqz_squeeze_options options = levers[i];
        options.texts = texts;
        options.n_texts = SQZT_SQUEEZE_TEXTS;
        squeeze(source, one, 1, &options);
        squeeze(source, three, 3, &options);
        sqzt_assert_same_files(one, three);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(threads_change_no_byte)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
