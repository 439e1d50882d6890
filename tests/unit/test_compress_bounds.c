/* SPDX-License-Identifier: Apache-2.0 */
/* A compression between its bounds: what is tried beside the plan, what a search ends in, when
 * there is one, and what a time binds a run to. */
#include <squeezebert/compress.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "squeeze/dense_algebra.h"
#include "support/random.h"
#include "support/test.h"
#include "support/tiny_model.h"

enum { TEXTS = 300, TEXT_BYTES = 32, BUDGET = 24000 };

static sqz_text texts[TEXTS];
static char source[400], out[400], folder[400];

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

static sqz_context *context_of(uint32_t threads)
{
    sqz_error error = {0};
    sqz_context *context = NULL;
    sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = threads}, &context, &error),
                   &error);
    return context;
}

/* With one epoch many minutes are few steps. */
static sqz_compress_options options_of(sqz_squeeze_options levers)
{
    levers.texts = texts;
    levers.n_texts = TEXTS;
    return (sqz_compress_options){
        .levers = levers, .epochs = 1, .seed = 3, .minutes = 60, .folder = folder};
}

static sqz_status run(uint32_t threads, const sqz_compress_options *o, const char *to,
                      sqz_compress_result *r, sqz_error *error)
{
    sqz_context *context = context_of(threads);
    const sqz_status status = sqz_compress(context, source, to, o, r, error);
    sqz_context_close(context);
    return status;
}

static void a_search_ends_in_one_file_of_that_size_healed_in_full(void **state)
{
    (void)state;
    if (!sqzi_dense_algebra_built()) skip();
    sqz_error error = {0};
    sqz_compress_result r;
    sqz_compress_options o = options_of((sqz_squeeze_options){0});
    o.min_score = 0.5;
    sqzt_assert_ok(run(2, &o, out, &r, &error), &error);
    assert_true(r.met && r.n_trials > 3);
    const sqz_compress_trial *last = &r.trials[r.n_trials - 1];
    uint32_t n = 0; /* of the search, and what is written */
    for (uint32_t i = 0; i < r.n_trials; i++) n += r.trials[i].budget == last->budget;
    assert_int_equal(n, 2);
    assert_true(last->chosen && last->steps == r.steps);
}

static void without_a_budget_what_misses_the_score_starts_no_search(void **state)
{
    (void)state;
    if (!sqzi_dense_algebra_built()) skip();
    const sqz_squeeze_options levers[] = {{.bits = 4},
                                          {.bits = 4, .plain = 1},
                                          {.layers_first = 1}};
    for (int i = 0; i < 3; i++) {
        sqz_error error = {0};
        sqz_compress_result r;
        sqz_compress_options o = options_of(levers[i]);
        o.min_score = 0.9999999;
        o.minutes = -1;
        sqzt_assert_ok(run(2, &o, out, &r, &error), &error);
        assert_true(!r.met && r.n_trials == 1 && r.enough == 0);
    }
}

/* The least share of the time that so many blocks can be brought to, as the error has it. */
static double least_time(sqz_compress_options o, uint32_t depth)
{
    static const char words[] = "the least that can is ";
    sqz_error error = {0};
    sqz_compress_result r;
    o.levers.depth = depth;
    o.levers.time = 0.001;
    o.folder = NULL;
    sqzt_assert_fails(run(1, &o, NULL, &r, &error), SQZ_EINVAL, &error, words);
    return strtod(strstr(error.text, words) + strlen(words), NULL) / 100;
}

static void a_depth_that_misses_the_time_is_no_better(void **state)
{
    (void)state;
    if (!sqzi_dense_algebra_built()) skip();
    char cache[400];
    sqz_error error = {0};
    sqz_compress_result r;
    snprintf(cache, sizeof cache, "%s", sqzt_temporary("times"));
    assert_int_equal(mkdir(cache, 0777), 0);
    sqz_compress_options o = options_of(
        (sqz_squeeze_options){.budget = BUDGET, .at_batch = 8, .at_length = 40, .cache = cache});
    const double one = least_time(o, 1), two = least_time(o, 2);
    assert_true(one < two);
    o.levers.time = (one + two) / 2;
    sqzt_assert_ok(run(1, &o, out, &r, &error), &error);
    assert_true(r.met && r.after.bytes <= BUDGET);
    assert_int_equal(r.trials[r.n_trials - 1].layers, 1);
    assert_int_equal(access(out, F_OK), 0);
}

/* Stops at this call. */
static int watch(void *user, const char *what, size_t done, size_t total)
{
    uint32_t *left = user;
    (void)what, (void)done, (void)total;
    return *left && --*left == 0;
}

/* The first step of anything would stop it. */
static void a_budget_that_cannot_be_met_is_refused_before_anything_is_measured(void **state)
{
    (void)state;
    if (!sqzi_dense_algebra_built()) skip();
    uint32_t left = 1;
    sqz_error error = {0};
    sqz_compress_result r;
    sqz_compress_options o = options_of((sqz_squeeze_options){.budget = 100});
    o.progress = watch;
    o.user = &left;
    sqzt_assert_fails(run(1, &o, out, &r, &error), SQZ_EINVAL, &error,
                      "a budget of 100 bytes cannot be met: the least that can is ");
    assert_int_equal(left, 1);
    assert_int_not_equal(access(folder, F_OK), 0);
    const uint64_t least = error.offset;
    o.levers.budget = least - 1;
    assert_int_equal(run(1, &o, out, &r, &error), SQZ_EINVAL);
    assert_int_equal(left, 1);
    o.levers.budget = least;
    assert_int_equal(run(1, &o, out, &r, &error), SQZ_ECANCELLED);
    o.resume = 1;
    sqzt_assert_ok(run(1, &o, out, &r, &error), &error);
    assert_true(r.after.bytes <= least);
}

static void under_a_time_a_run_goes_on_with_its_threads_alone(void **state)
{
    (void)state;
    if (!sqzi_dense_algebra_built()) skip();
    for (int timed = 0; timed < 2; timed++) {
        uint32_t left = 12;
        sqz_error error = {0};
        sqz_compress_result r;
        sqz_compress_options o = options_of(
            (sqz_squeeze_options){.budget = BUDGET, .time = timed ? 1 : 0});
        o.progress = watch;
        o.user = &left;
        o.resume = 1;
        assert_int_equal(run(1, &o, out, &r, &error), SQZ_ECANCELLED);
        const sqz_status status = run(2, &o, out, &r, &error);
        if (timed) sqzt_assert_fails(status, SQZ_EINVAL, &error, "threads");
        else sqzt_assert_ok(status, &error);
        if (timed) sqzt_assert_ok(run(1, &o, out, &r, &error), &error);
    }
}

static void note(void *user, const char *text)
{
    if (strstr(text, "a block fewer or more")) ++*(int *)user;
}

static void a_forecast_says_where_another_depth_is_tried_too(void **state)
{
    (void)state;
    if (!sqzi_dense_algebra_built()) skip();
    const struct {
        sqz_squeeze_options levers;
        double minutes;
        int notes;
    } cases[] = {{{.budget = BUDGET}, 5, 1},
                 {{.budget = BUDGET}, 4.9, 0},
                 {{.budget = BUDGET}, -1, 0},
                 {{.budget = BUDGET, .depth = 2}, 5, 0},
                 {{.bits = 4}, 5, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int notes = 0;
        sqz_error error = {0};
        sqz_compress_result r;
        sqz_compress_options o = options_of(cases[i].levers);
        o.minutes = cases[i].minutes;
        o.note = note;
        o.user = &notes;
        sqzt_assert_ok(run(2, &o, NULL, &r, &error), &error);
        if (notes != cases[i].notes) fail_msg("%zu: %d notes", i, notes);
    }
}

int main(void)
{
    sqzt_tiny tiny = sqzt_tiny_forms[0].tiny;
    make_texts();
    tiny.ffn_width = 64; /* neurons leave in multiples of 32 */
    tiny.head = NULL;
    snprintf(source, sizeof source, "%s", sqzt_temporary("source.gguf"));
    snprintf(out, sizeof out, "%s", sqzt_temporary("out.gguf"));
    snprintf(folder, sizeof folder, "%s", sqzt_temporary("work"));
    sqzt_tiny_write(&tiny, source);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_search_ends_in_one_file_of_that_size_healed_in_full),
        cmocka_unit_test(without_a_budget_what_misses_the_score_starts_no_search),
        cmocka_unit_test(a_depth_that_misses_the_time_is_no_better),
        cmocka_unit_test(a_budget_that_cannot_be_met_is_refused_before_anything_is_measured),
        cmocka_unit_test(under_a_time_a_run_goes_on_with_its_threads_alone),
        cmocka_unit_test(a_forecast_says_where_another_depth_is_tried_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
