/* SPDX-License-Identifier: Apache-2.0 */
/* Options of students, drawn: whatever they are, the file is one that opens, verifies and has the
 * shape asked for, or there is none and the error says what would do. */
#include <squeezebert/student.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "support/random.h"
#include "support/test.h"
#include "support/tiny_model.h"

enum { TRIES = 600 };

/* One of the words that there are, or bytes that are none. */
static const char *draw_parts(sqzt_random *random, char text[64])
{
    static const char *const words[] = {"embedding",
                                        "attention",
                                        "feed_forward",
                                        "blocks",
                                        "all",
                                        ",",
                                        "",
                                        "blocks,blocks",
                                        "all,",
                                        "Embedding",
                                        "attention, feed_forward"};
    enum { WORDS = sizeof words / sizeof *words };
    const uint64_t kind = sqzt_below(random, 4);
    if (kind == 0) return NULL;
    if (kind == 1) return words[sqzt_below(random, WORDS)];
    if (kind == 2) {
        snprintf(text, 64, "%s,%s", words[sqzt_below(random, WORDS)],
                 words[sqzt_below(random, WORDS)]);
        return text;
    }
    const size_t n = sqzt_below(random, 63);
    for (size_t i = 0; i < n; i++) text[i] = (char)(1 + sqzt_below(random, 255));
    text[n] = 0;
    return text;
}

static uint32_t draw_count(sqzt_random *random)
{
    static const uint32_t counts[] = {1, 2, 3, 4, 7, 8, 16, 24, 32, 64, 65537, UINT32_MAX};
    return sqzt_below(random, 2) ? 0 : counts[sqzt_below(random, sizeof counts / sizeof *counts)];
}

static sqz_student_options draw_options(sqzt_random *random, char text[64], uint32_t layers[4])
{
    sqz_student_options o = {.random = draw_parts(random, text),
                             .width = sqzt_below(random, 2) ? draw_count(random) : 0,
                             .heads = draw_count(random),
                             .neurons = draw_count(random),
                             .seed = sqzt_below(random, 3)};
    o.levers.n_layers = sqzt_below(random, 4);
    for (uint32_t i = 0; i < o.levers.n_layers; i++) layers[i] = (uint32_t)sqzt_below(random, 4);
    o.levers.layers = o.levers.n_layers ? layers : NULL;
    o.levers.groups = sqzt_below(random, 3) ? 0 : (uint32_t)sqzt_below(random, 6);
    if (sqzt_below(random, 4) == 0) {
        o.levers.embedding = (sqz_embedding_form)sqzt_below(random, 4);
        o.levers.embedding_size = draw_count(random);
    }
    o.levers.no_fidelity = 1;
    return o;
}

/* What came out. */
static void check_file(sqz_context *context, const char *path, const sqz_student_options *o)
{
    sqz_error error = {0};
    sqz_model *model = NULL;
    sqz_verification v = {0};
    sqzt_assert_ok(sqz_model_open(context, path, &model, &error), &error);
    sqzt_assert_ok(sqz_model_verify(model, &v, &error), &error);
    const sqz_model_info *info = sqz_model_get_info(model);
    if (o->width) assert_int_equal(info->width, o->width);
    if (o->levers.n_layers) assert_int_equal(info->n_layers, o->levers.n_layers);
    sqz_model_close(model);
    assert_int_equal(remove(path), 0);
}

static void every_choice_gives_a_model_or_says_why_not(void **state)
{
    (void)state;
    sqzt_random random = sqzt_random_of(5);
    sqz_error error = {0};
    sqz_context *context = NULL;
    char teacher[400], out[400], text[64];
    uint32_t layers[4], made = 0, refused = 0;
    snprintf(teacher, sizeof teacher, "%s", sqzt_temporary("teacher.gguf"));
    snprintf(out, sizeof out, "%s", sqzt_temporary("student.gguf"));
    sqzt_tiny_write(&sqzt_tiny_forms[0].tiny, teacher);
    sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = 1}, &context, &error),
                   &error);
    for (uint32_t i = 0; i < TRIES; i++) {
        const sqz_student_options o = draw_options(&random, text, layers);
        memset(&error, 0, sizeof error);
        const sqz_status status = sqz_init_student(context, teacher, out, &o, &error);
        assert_int_equal(access(out, F_OK) == 0, status == SQZ_OK);
        if (o.levers.embedding > SQZ_EMBEDDING_PRODUCT ||
            (o.levers.embedding == SQZ_EMBEDDING_KEEP && o.levers.embedding_size))
            assert_int_not_equal(status, SQZ_OK); /* also where the table is random */
        if (status == SQZ_OK) {
            check_file(context, out, &o);
            made++;
            continue;
        }
        assert_true(status == SQZ_EINVAL || status == SQZ_ELIMIT || status == SQZ_EUNSUPPORTED);
        assert_true(strlen(error.text) > 20);
        refused++;
    }
    assert_true(made > 20 && refused > 100);
    sqz_context_close(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_choice_gives_a_model_or_says_why_not)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
