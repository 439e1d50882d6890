/* SPDX-License-Identifier: Apache-2.0 */
/* A compression as a whole: within its budget, foretold to the byte, healed, judged on what nothing
 * was chosen on, refused below a score, and gone on with wherever it was stopped. */
#include <math.h>
#include <squeezebert/compress.h>
#include <stdio.h>
#include <unistd.h>

#include "model/loader.h"
#include "squeeze/dense_algebra.h"
#include "support/bytes_source.h"
#include "support/random.h"
#include "support/same_files.h"
#include "support/test.h"
#include "support/tiny_model.h"

enum { TEXTS = 420, TEXT_BYTES = 48, ROWS = 300, ROW_BYTES = 64, BUDGET = 24000 };

static sqz_text texts[TEXTS];
static char source[400], classifier[400]; /* of embeddings; of rows */

static sqz_context *context_of(uint32_t threads)
{
    sqz_error error = {0};
    sqz_context *context = NULL;
    sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = threads}, &context, &error),
                   &error);
    return context;
}

/* Words of six random letters, a piece for each letter. */
static void make_texts(void)
{
    static char bytes[TEXTS][TEXT_BYTES];
    sqzt_random random = sqzt_random_of(31);
    for (uint32_t i = 0; i < TEXTS; i++) {
        for (uint32_t j = 0; j < TEXT_BYTES; j++)
            bytes[i][j] = j % 7 == i % 7 ? ' ' : (char)('a' + sqzt_below(&random, 26));
        texts[i] = (sqz_text){bytes[i], TEXT_BYTES};
    }
}

/* Three classes of rows, told by their letters. */
static sqz_dataset *rows_of(const sqz_context *context)
{
    static const char *const classes[] = {"high", "low", "middle"};
    static char table[ROWS * ROW_BYTES];
    sqz_error error = {0};
    sqz_dataset *rows = NULL;
    sqzt_random random = sqzt_random_of(7);
    size_t used = (size_t)snprintf(table, sizeof table, "text,label\n");
    for (uint32_t i = 0; i < ROWS; i++) {
        const uint32_t k = i % 3;
        for (uint32_t j = 0; j < 40; j++)
            table[used++] = j % 7 == 6 ? ' ' : (char)('a' + 8 * k + sqzt_below(&random, 10));
        used += (size_t)snprintf(table + used, sizeof table - used, ",%s\n", classes[k]);
    }
    sqzt_bytes bytes = {table, used, 0};
    const sqz_rows_source from = {.name = "rows", .read = sqzt_read_bytes, .user = &bytes};
    const sqz_dataset_options o = {.format = SQZ_DATA_CSV, .classes = classes, .n_classes = 3};
    sqzt_assert_ok(sqz_dataset_open_source(context, &from, &o, &rows, &error), &error);
    return rows;
}

/* Stops when so many calls have been made; 0: never. */
typedef struct stop {
    uint32_t after, calls;
} stop;

static int watch(void *user, const char *what, size_t done, size_t total)
{
    stop *s = user;
    assert_non_null(what);
    assert_true(done <= total);
    return ++s->calls == s->after;
}

static sqz_compress_options options_of(const char *folder, stop *s)
{
    return (sqz_compress_options){.levers = {.budget = BUDGET, .texts = texts, .n_texts = TEXTS},
                                  .epochs = 2,
                                  .seed = 3,
                                  .minutes = 60,
                                  .folder = folder,
                                  .progress = watch,
                                  .user = s};
}

static void run(uint32_t threads, const char *out, const sqz_compress_options *o,
                sqz_compress_result *result)
{
    sqz_error error = {0};
    sqz_context *context = context_of(threads);
    sqzt_assert_ok(sqz_compress(context, source, out, o, result, &error), &error);
    sqz_context_close(context);
}

static double number_of(const char *path, const char *key)
{
    sqz_error error = {0};
    double value = 0;
    sqz_model *model = NULL;
    sqz_context *context = context_of(1);
    sqzt_assert_ok(sqz_model_open(context, path, &model, &error), &error);
    sqzt_assert_ok(sqzi_gguf_get_f64(model->gguf, key, true, &value, &error), &error);
    sqz_model_close(model);
    sqz_context_close(context);
    return value;
}

static void a_file_is_within_its_budget_as_foretold_healed_and_judged(void **state)
{
    (void)state;
    if (!sqzi_dense_algebra_built()) skip();
    char out[400], folder[400];
    stop s = {0};
    sqz_compress_result r, foretold;
    snprintf(out, sizeof out, "%s", sqzt_temporary("out.gguf"));
    snprintf(folder, sizeof folder, "%s", sqzt_temporary("work"));
    sqz_compress_options o = options_of(folder, &s);
    run(2, NULL, &o, &foretold);
    run(2, out, &o, &r);
    assert_string_equal(r.name, "cosine");
    assert_true(r.after.bytes <= BUDGET && r.trials[0].bytes == foretold.squeezed.bytes_after);
    assert_true(r.met == 1 && r.steps > 0 && r.steps == r.n_steps);
    assert_true(r.n_trials > 1 && r.trials[r.n_trials - 1].chosen); /* other depths, and the last */
    assert_true(r.after.score > r.before.score && r.after.score <= 1);
    assert_true(r.after.low < r.after.score && r.after.score < r.after.high);
    assert_int_equal(r.n_learn + r.n_choose + r.n_report, TEXTS);
    assert_true(number_of(out, "sqz.squeeze.fidelity.cosine") == r.after.score);
    assert_true(number_of(out, "sqz.squeeze.heal.steps") == (double)r.steps);
    assert_int_not_equal(access(folder, F_OK), 0);
    o.minutes = -1;
    run(1, out, &o, &r);
    assert_true(r.steps == 0 && r.after.bytes <= BUDGET);
    assert_true(r.after.score == r.before.score);
}

static void threads_change_no_byte(void **state)
{
    (void)state;
    if (!sqzi_dense_algebra_built()) skip();
    char one[400], folder[400];
    stop s = {0};
    sqz_compress_result r;
    snprintf(one, sizeof one, "%s", sqzt_temporary("one.gguf"));
    snprintf(folder, sizeof folder, "%s", sqzt_temporary("work"));
    const char *three = sqzt_temporary("three.gguf");
    const sqz_compress_options o = options_of(folder, &s);
    run(1, one, &o, &r);
    run(3, three, &o, &r);
    sqzt_assert_same_files(one, three);
}

static void a_run_that_was_stopped_goes_on_to_the_same_bits(void **state)
{
    (void)state;
    if (!sqzi_dense_algebra_built()) skip();
    char whole[400], stopped[400], folder[400];
    stop s = {0};
    sqz_compress_result r;
    sqz_error error = {0};
    sqz_context *context = context_of(2);
    snprintf(whole, sizeof whole, "%s", sqzt_temporary("whole.gguf"));
    snprintf(folder, sizeof folder, "%s", sqzt_temporary("work"));
    snprintf(stopped, sizeof stopped, "%s", sqzt_temporary("stopped.gguf"));
    sqz_compress_options o = options_of(folder, &s);
    sqzt_assert_ok(sqz_compress(context, source, whole, &o, &r, &error), &error);
    const uint32_t calls = s.calls;
    o.resume = 1;
    for (uint32_t every = calls / 6; every >= 1; every = every > 8 ? every / 3 : 0) {
        sqz_status status = SQZ_ECANCELLED;
        (void)remove(stopped);
        for (uint32_t round = 0; status == SQZ_ECANCELLED; round++) {
            s = (stop){.after = every * (round + 1)};
            status = sqz_compress(context, source, stopped, &o, &r, &error);
            assert_true(round < 200);
        }
        sqzt_assert_ok(status, &error);
        sqzt_assert_same_files(whole, stopped);
    }
    sqz_context_close(context);
}

static void rows_are_judged_by_their_figure_and_below_the_score_nothing_is_written(void **state)
{
    (void)state;
    if (!sqzi_dense_algebra_built()) skip();
    char out[400], folder[400];
    stop s = {0};
    sqz_compress_result r;
    sqz_error error = {0};
    sqz_context *context = context_of(2);
    sqz_dataset *rows = rows_of(context);
    snprintf(out, sizeof out, "%s", sqzt_temporary("out.gguf"));
    snprintf(folder, sizeof folder, "%s", sqzt_temporary("work"));
    (void)remove(out);
    sqz_compress_options o = options_of(folder, &s);
    o.levers.texts = NULL;
    o.levers.n_texts = 0;
    o.dataset = rows;
    o.min_score = 1.5;
    o.relative = 1;
    sqzt_assert_ok(sqz_compress(context, classifier, out, &o, &r, &error), &error);
    assert_true(r.met == 0 && r.after.score < r.least && r.enough == 0);
    assert_int_not_equal(access(out, F_OK), 0);
    assert_int_not_equal(access(folder, F_OK), 0);
    o.min_score = 0.01;
    sqzt_assert_ok(sqz_compress(context, classifier, out, &o, &r, &error), &error);
    assert_string_equal(r.name, "accuracy");
    assert_true(r.met == 1 && r.after.bytes <= BUDGET);
    assert_int_equal(r.n_learn + r.n_choose + r.n_report, ROWS);
    assert_int_equal(r.comparison.n, r.n_report);
    assert_true(number_of(out, "sqz.squeeze.score.accuracy") == r.after.score);
    assert_true(number_of(out, "sqz.squeeze.score.accuracy.base") == r.base.score);
    sqz_dataset_close(rows);
    sqz_context_close(context);
}

/* By a score alone; what it took. */
static sqz_compress_result search(double score, const char *out)
{
    char folder[400];
    stop s = {0};
    sqz_compress_result r;
    snprintf(folder, sizeof folder, "%s", sqzt_temporary("work"));
    sqz_compress_options o = options_of(folder, &s);
    o.levers.budget = 0;
    o.min_score = score;
    o.minutes = -1;
    (void)remove(out);
    run(2, out, &o, &r);
    assert_int_equal(access(out, F_OK) == 0, r.met);
    return r;
}

static void the_smallest_file_that_holds_a_score_is_found(void **state)
{
    (void)state;
    if (!sqzi_dense_algebra_built()) skip();
    char out[400];
    snprintf(out, sizeof out, "%s", sqzt_temporary("out.gguf"));
    const sqz_compress_result low = search(0.5, out), high = search(0.97, out),
                              never = search(0.9999999, out);
    assert_true(low.met && high.met && !never.met);
    assert_true(low.after.score >= 0.5 && high.after.score >= 0.97);
    assert_true(low.after.bytes < high.after.bytes && high.after.bytes < high.base.bytes);
    assert_true(never.after.bytes >= high.after.bytes && never.enough == 0);
    /* the next smaller one that was tried does not hold it */
    uint64_t chosen = 0, below = 0;
    for (uint32_t i = 0; i < high.n_trials; i++)
        if (high.trials[i].chosen) chosen = high.trials[i].budget;
    for (uint32_t i = 0; i < high.n_trials; i++) {
        const sqz_compress_trial *t = &high.trials[i];
        if (t->budget >= chosen) continue;
        assert_true(t->score - t->error < 0.97);
        below = t->budget > below ? t->budget : below;
    }
    assert_true(below > 0 && (double)below >= 0.89 * (double)chosen);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    char out[400], folder[400];
    stop s = {0};
    sqz_compress_result r;
    sqz_context *context = context_of(1);
    snprintf(out, sizeof out, "%s", sqzt_temporary("out.gguf"));
    snprintf(folder, sizeof folder, "%s", sqzt_temporary("work"));
    enum { REFUSED = 9 };
    sqz_compress_options all[REFUSED];
    for (int i = 0; i < REFUSED; i++) all[i] = options_of(folder, &s);
    all[0].levers.n_texts = 150;
    all[1].levers.drop_impossible = 1;
    all[2].folder = NULL;
    all[3].figure = "accuracy";
    all[4].levers.no_fidelity = 1;
    all[5].teacher_type = SQZ_TEACHER_S8;
    all[5].minutes = -1;
    all[6].teacher_type = (sqz_teacher_type)9;
    all[7].folder = out;
    all[8].levers.cache = folder;
    static const char *const wanted[] = {"at least 200", "the vocabulary", "a folder",
                                         "of labelled rows", "told by sqz_compress_options",
                                         "nothing is healed", "none of sqz_teacher_type",
                                         "out.gguf: cannot write: it is, or is in",
                                         "work: cannot write: it is, or is in"};
    for (int i = 0; i < REFUSED; i++) {
        sqz_error error = {0};
        const sqz_status status = sqz_compress(context, source, out, &all[i], &r, &error);
        const sqz_status like = i == 0 ? SQZ_EFORMAT : i < 7 ? SQZ_EINVAL : SQZ_EOUTPUT;
        assert_true(status == like || status == SQZ_EUNSUPPORTED);
        if (!strstr(error.text, wanted[i])) fail_msg("%d: %s", i, error.text);
        assert_int_not_equal(access(folder, F_OK), 0);
    }
    sqz_context_close(context);
}

int main(void)
{
    static const char *const labels[] = {"high", "low", "middle"};
    sqzt_tiny tiny = sqzt_tiny_forms[0].tiny;
    make_texts();
    tiny.ffn_width = 64; /* neurons leave in multiples of 32 */
    tiny.labels = labels;
    snprintf(classifier, sizeof classifier, "%s", sqzt_temporary("classifier.gguf"));
    sqzt_tiny_write(&tiny, classifier);
    tiny.head = NULL;
    snprintf(source, sizeof source, "%s", sqzt_temporary("source.gguf"));
    sqzt_tiny_write(&tiny, source);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_within_its_budget_as_foretold_healed_and_judged),
        cmocka_unit_test(threads_change_no_byte),
        cmocka_unit_test(a_run_that_was_stopped_goes_on_to_the_same_bits),
        cmocka_unit_test(rows_are_judged_by_their_figure_and_below_the_score_nothing_is_written),
        cmocka_unit_test(the_smallest_file_that_holds_a_score_is_found),
        cmocka_unit_test(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
