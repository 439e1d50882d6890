/* SPDX-License-Identifier: Apache-2.0 */
/* Statistics of what layers read: against sums in double over the rows that an observer sees; a
 * model run without a block is the model that has none; a cache gives the same bits or nothing. */
#include "squeeze/statistics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "squeeze/weights.h"
#include "support/opened.h"
#include "support/test.h"

enum { LENGTH = SQZI_CALIBRATION_LENGTH, TOKENS = SQZI_CALIBRATION_SEQUENCES * LENGTH };

static const sqzt_tiny *form(const char *name)
{
    for (const sqzt_named_tiny *f = sqzt_tiny_forms; f->name; f++)
        if (strcmp(f->name, name) == 0) return &f->tiny;
    fail_msg("no form '%s'", name);
    return NULL;
}

typedef struct subject {
    sqzt_opened opened;
    const sqz_model *model;
    sqzi_sequences sequences;
} subject;

static const sqz_session_options room = {.max_tokens = 8, .max_sequences = 1, .max_length = 8};

static subject open_subject(const sqzt_tiny *tiny)
{
    sqz_error error = {0};
    subject s = {0};
    s.opened = sqzt_open_tiny(tiny, 1, &room);
    s.model = s.opened.model;
    sqzt_assert_ok(sqzi_sequences_random(s.model, &s.sequences, &error), &error);
    return s;
}

static void close_subject(subject *s)
{
    sqzi_sequences_discard(&s->sequences);
    sqzt_close(&s->opened);
}

static sqzi_statistics statistics_of(const subject *s, const uint32_t *blocks, uint32_t n)
{
    sqz_error error = {0};
    sqzi_statistics made;
    sqzt_assert_ok(sqzi_statistics_make(s->model, &s->sequences, blocks, n, NULL, NULL, &made,
                                        &error),
                   &error);
    return made;
}

/* ---- against double ---- */

typedef struct reader {
    const sqzi_linear *linear;
    size_t n, rows;
    double *x; /* [TOKENS, n] */
} reader;

static void read_rows(void *user, const sqzi_linear *linear, size_t m, const sqzi_real *x,
                      size_t ldx)
{
    reader *r = user;
    if (linear != r->linear) return;
    assert_true(r->rows + m <= TOKENS);
    for (size_t i = 0; i < m; i++, r->rows++)
        for (size_t j = 0; j < r->n; j++) r->x[r->rows * r->n + j] = (double)x[i * ldx + j];
}

/* A product of 256 rows is off by some sqrt(256) roundings at most, relative to variances about a
 * mean of 256 rows, and each stored number by one of its own. */
static void check_input(const subject *s, const sqzi_linear *linear,
                        const sqzi_input_statistics *found)
{
    sqz_error error = {0};
    const size_t n = linear->n_in;
    reader r = {.linear = linear, .n = n, .x = calloc(TOKENS * n, sizeof(double))};
    double *mean = calloc(n, sizeof *mean);
    assert_true(r.x && mean);
    const sqzi_observer observer = {&r, NULL, read_rows, NULL};
    sqzt_assert_ok(sqzi_observe(s->model, &s->sequences, &observer, 1, &error), &error);
    assert_int_equal(found->n, n);
    assert_int_equal(found->rows, r.rows);
    for (size_t t = 0; t < r.rows; t++)
        for (size_t i = 0; i < n; i++) mean[i] += r.x[t * n + i] / (double)r.rows;
    for (size_t i = 0; i < n; i++)
        assert_true(fabs(mean[i] - (double)found->mean[i]) <= 0x1p-22 * (1 + fabs(mean[i])));
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = 0, squares[2] = {0, 0};
            for (size_t t = 0; t < r.rows; t++) {
                const double a = r.x[t * n + i] - mean[i], b = r.x[t * n + j] - mean[j];
                sum += a * b;
                squares[0] += a * a;
                squares[1] += b * b;
            }
            const double bound = 0x1p-20 * sqrt(squares[0] * squares[1]) / (double)r.rows;
            assert_true(fabs(sum / (double)r.rows - (double)found->covariance[i * n + j]) <=
                        bound + 0x1p-60);
        }
    free(r.x);
    free(mean);
}

static void means_and_covariances_are_those_of_the_rows_that_are_read(void **state)
{
    (void)state;
    static const char *const forms[] = {"projected embedding", "attention narrower than the width"};
    for (size_t f = 0; f < 2; f++) {
        subject s = open_subject(form(forms[f]));
        const sqzi_encoder *encoder = &s.model->encoder;
        sqzi_statistics made = statistics_of(&s, NULL, 0);
        for (uint32_t i = 0; i < encoder->n_blocks; i++)
            for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++)
                check_input(&s, sqzi_block_linear_of(&encoder->blocks[i], j),
                            &made.blocks[i][sqzi_block_input_of(j)]);
        if (encoder->embedding.projected)
            check_input(&s, &encoder->embedding.projection, &made.projection);
        else assert_int_equal(made.projection.n, 0);
        sqzi_statistics_discard(&made);
        close_subject(&s);
    }
}

static void words_are_counted(void **state)
{
    (void)state;
    subject s = open_subject(form("dense"));
    sqzi_statistics made = statistics_of(&s, NULL, 0);
    const uint32_t *ids = (const uint32_t *)(const void *)s.sequences.ids.data;
    uint64_t *counts = calloc(made.n_words, sizeof *counts);
    assert_non_null(counts);
    for (uint32_t i = 0; i < sqzi_sequences_tokens(&s.sequences); i++) counts[ids[i]]++;
    assert_memory_equal(counts, made.word_counts, made.n_words * sizeof *counts);
    free(counts);
    sqzi_statistics_discard(&made);
    close_subject(&s);
}

/* ---- without some blocks ---- */

static void check_same_input(const sqzi_input_statistics *a, const sqzi_input_statistics *b)
{
    const size_t n = a->n;
    assert_int_equal(n, b->n);
    assert_int_equal(a->rows, b->rows);
    if (n == 0) return;
    assert_memory_equal(a->mean, b->mean, n * sizeof *a->mean);
    assert_memory_equal(a->covariance, b->covariance, n * n * sizeof *a->covariance);
}

static void a_model_run_without_a_block_is_the_model_that_has_none(void **state)
{
    (void)state;
    sqz_error error = {0};
    static const uint32_t kept[] = {0, 2};
    sqzt_tiny tiny = *form("groups of squeezebert");
    tiny.blocks = 3;
    subject s = open_subject(&tiny);
    sqzi_weights weights;
    uint64_t bytes;
    char path[512];
    snprintf(path, sizeof path, "%s", sqzt_temporary("two_blocks.gguf"));
    sqzt_assert_ok(sqzi_weights_of(s.model, &weights, &error), &error);
    sqzi_weights_keep_blocks(&weights, kept, 2);
    sqzt_assert_ok(sqzi_weights_write(&weights, &(sqzi_step){.history = "two", .suffix = ""}, path,
                                      &bytes, &error),
                   &error);
    sqzi_weights_discard(&weights);
    subject two = {.sequences = s.sequences};
    two.opened = sqzt_open_file(path, NULL, 1, &room);
    two.model = two.opened.model;
    sqzi_statistics without = statistics_of(&s, kept, 2), of_two = statistics_of(&two, NULL, 0);
    for (uint32_t j = 0; j < SQZI_BLOCK_INPUTS; j++) {
        check_same_input(&without.blocks[0][j], &of_two.blocks[0][j]);
        assert_int_equal(without.blocks[1][j].n, 0);
        check_same_input(&without.blocks[2][j], &of_two.blocks[1][j]);
    }
    sqzi_statistics_discard(&without);
    sqzi_statistics_discard(&of_two);
    sqzt_close(&two.opened);
    close_subject(&s);
}

/* ---- the cache ---- */

static void check_same(const sqzi_statistics *a, const sqzi_statistics *b)
{
    assert_int_equal(a->n_blocks, b->n_blocks);
    assert_int_equal(a->n_words, b->n_words);
    for (uint32_t i = 0; i < a->n_blocks; i++)
        for (uint32_t j = 0; j < SQZI_BLOCK_INPUTS; j++)
            check_same_input(&a->blocks[i][j], &b->blocks[i][j]);
    check_same_input(&a->projection, &b->projection);
    assert_memory_equal(a->word_counts, b->word_counts, a->n_words * sizeof *a->word_counts);
}

static bool is_found(const subject *s, const char *key, const char *path)
{
    sqz_error error = {0};
    sqzi_statistics loaded;
    bool found = false;
    sqzt_assert_ok(sqzi_statistics_load(s->model, key, path, &loaded, &found, &error), &error);
    sqzi_statistics_discard(&loaded);
    return found;
}

static void damage(const char *path, long at)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, at, at < 0 ? SEEK_END : SEEK_SET), 0);
    const int was = fgetc(file);
    assert_int_equal(fseek(file, at, at < 0 ? SEEK_END : SEEK_SET), 0);
    assert_int_not_equal(fputc(was ^ 1, file), EOF);
    assert_int_equal(fclose(file), 0);
}

static void a_cache_gives_the_same_bits_or_nothing(void **state)
{
    (void)state;
    sqz_error error = {0};
    subject s = open_subject(form("projected embedding"));
    char key[SQZI_STATISTICS_KEY], path[512];
    snprintf(path, sizeof path, "%s", sqzt_temporary("statistics.gguf"));
    sqzi_statistics made = statistics_of(&s, NULL, 0), loaded;
    bool found = false;
    sqzi_statistics_key(s.model, &s.sequences, NULL, 0, key);
    assert_false(is_found(&s, key, path)); /* absent */
    sqzt_assert_ok(sqzi_statistics_save(&made, key, path, &error), &error);
    sqzt_assert_ok(sqzi_statistics_load(s.model, key, path, &loaded, &found, &error), &error);
    assert_true(found);
    check_same(&made, &loaded);
    sqzi_statistics_discard(&loaded);
    damage(path, -100); /* counts, at the end */
    assert_false(is_found(&s, key, path));
    sqzt_assert_ok(sqzi_statistics_save(&made, key, path, &error), &error);
    assert_true(is_found(&s, key, path));
    damage(path, 30);
    assert_false(is_found(&s, key, path));
    sqzi_statistics_discard(&made);
    close_subject(&s);
}

static void a_key_is_of_model_texts_and_blocks(void **state)
{
    (void)state;
    sqzt_tiny tiny = *form("dense");
    char keys[4][SQZI_STATISTICS_KEY], again[SQZI_STATISTICS_KEY];
    subject s = open_subject(&tiny);
    sqzi_statistics_key(s.model, &s.sequences, NULL, 0, keys[0]);
    sqzi_statistics_key(s.model, &s.sequences, (const uint32_t[]){0, 1}, 2, again);
    assert_string_equal(keys[0], again); /* all blocks are all blocks */
    sqzi_statistics_key(s.model, &s.sequences, (const uint32_t[]){1}, 1, keys[1]);
    s.sequences.ids.data[0] ^= 1;
    sqzi_statistics_key(s.model, &s.sequences, NULL, 0, keys[2]);
    close_subject(&s);
    tiny.seed++;
    s = open_subject(&tiny);
    sqzi_statistics_key(s.model, &s.sequences, NULL, 0, keys[3]);
    close_subject(&s);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < i; j++) assert_string_not_equal(keys[i], keys[j]);
}

static int stop_at_two(void *user, size_t done, size_t total)
{
    (void)user;
    assert_int_equal(total, 3);
    return done == 2;
}

static void a_run_can_be_stopped(void **state)
{
    (void)state;
    sqz_error error = {0};
    subject s = open_subject(form("dense"));
    sqzi_statistics made;
    sqzt_assert_fails(sqzi_statistics_make(s.model, &s.sequences, NULL, 0, stop_at_two, NULL, &made,
                                           &error),
                      SQZ_ECANCELLED, &error, "1 of 2 blocks");
    sqzi_statistics_discard(&made);
    close_subject(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(means_and_covariances_are_those_of_the_rows_that_are_read),
        cmocka_unit_test(words_are_counted),
        cmocka_unit_test(a_model_run_without_a_block_is_the_model_that_has_none),
        cmocka_unit_test(a_cache_gives_the_same_bits_or_nothing),
        cmocka_unit_test(a_key_is_of_model_texts_and_blocks),
        cmocka_unit_test(a_run_can_be_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
