/* SPDX-License-Identifier: Apache-2.0 */
/* The folder of a compression: what stays in it and what is removed, and which runs go on in it. */
#define _DEFAULT_SOURCE /* truncate */
#include <dirent.h>
#include <squeezebert/compress.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rewrite/keyed_file.h"
#include "squeeze/dense_algebra.h"
#include "support/counting_memory.h"
#include "support/random.h"
#include "support/same_files.h"
#include "support/test.h"
#include "support/tiny_model.h"

enum { TEXTS = 300, TEXT_BYTES = 32, BUDGET = 24000 };

static sqz_text texts[TEXTS];
static char source[400], classifier[400], out[400], folder[400];

static sqz_context *context_of(const char *cpu)
{
    sqz_error error = {0};
    sqz_context *context = NULL;
    const sqz_context_options o = {.n_threads = 1, .cpu = cpu};
    sqzt_assert_ok(sqz_context_open(&o, &context, &error), &error);
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

static sqz_compress_options options_of(const char *of, stop *s)
{
    return (sqz_compress_options){.levers = {.budget = BUDGET, .texts = texts, .n_texts = TEXTS},
                                  .epochs = 2,
                                  .seed = 3,
                                  .minutes = 60,
                                  .folder = of,
                                  .progress = watch,
                                  .user = s};
}

/* Files of others, empty. */
static void put(const char *path)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
}

static void what_a_run_keeps_is_removed_and_nothing_else(void **state)
{
    (void)state;
    if (!sqzi_dense_algebra_built()) skip();
    char whole[400], small[440], mine[440];
    stop s = {0};
    sqz_compress_result r;
    snprintf(whole, sizeof whole, "%s", sqzt_temporary("several"));
    snprintf(small, sizeof small, "%s/small.1", whole);
    snprintf(mine, sizeof mine, "%s/mine", whole);
    assert_int_equal(mkdir(whole, 0777), 0);
    put(mine);
    sqz_compress_options o = options_of(small, &s);
    o.levers.cache = whole;
    o.minutes = -1;
    o.keep = 1;
    sqz_error error = {0};
    sqz_context *context = context_of(NULL);
    sqzt_assert_ok(sqz_compress(context, source, out, &o, &r, &error), &error);
    sqz_context_close(context);
    assert_int_equal(access(small, F_OK), 0);
    sqz_compress_remove(NULL);
    sqz_compress_remove(whole);
    assert_int_equal(access(mine, F_OK), 0);
    assert_int_not_equal(access(small, F_OK), 0);
    assert_int_equal(unlink(mine), 0);
    assert_int_equal(rmdir(whole), 0); /* so it was empty */
}

static void an_unfinished_run_is_not_thrown_away(void **state)
{
    (void)state;
    if (!sqzi_dense_algebra_built()) skip();
    stop s = {.after = 8};
    sqz_compress_result r;
    sqz_error error = {0};
    sqz_context *context = context_of(NULL);
    (void)remove(out);
    sqz_compress_options o = options_of(folder, &s);
    assert_int_equal(sqz_compress(context, source, out, &o, &r, &error), SQZ_ECANCELLED);
    s = (stop){0};
    assert_int_equal(sqz_compress(context, source, out, &o, &r, &error), SQZ_EINVAL);
    assert_non_null(strstr(error.text, "not finished"));
    o.resume = 1;
    sqzt_assert_ok(sqz_compress(context, source, out, &o, &r, &error), &error);
    sqz_context_close(context);
}

static void refuses(const char *model, const char *cpu, const sqz_compress_options *o,
                    const char *words)
{
    sqz_error error = {0};
    sqz_compress_result r;
    sqz_context *context = context_of(cpu);
    sqzt_assert_fails(sqz_compress(context, model, out, o, &r, &error), SQZ_EINVAL, &error, words);
    sqz_context_close(context);
}

static void what_differs_from_an_unfinished_run_is_named(void **state)
{
    (void)state;
    if (!sqzi_dense_algebra_built()) skip();
    stop s = {.after = 8};
    sqz_compress_result r;
    sqz_error error = {0};
    sqz_context *context = context_of(NULL);
    sqz_compress_options o = options_of(folder, &s);
    assert_int_equal(sqz_compress(context, source, out, &o, &r, &error), SQZ_ECANCELLED);
    s = (stop){.after = 1};
    o.resume = 1;
    refuses(classifier, NULL, &o, "a run of another model: it");
    refuses(source, "portable", &o, "a run of other kernels (--cpu chooses them): it");
    sqz_compress_options other = o;
    other.levers.n_texts--;
    refuses(source, NULL, &other, "a run of other data: it");
    other = o;
    other.seed = 4;
    refuses(source, NULL, &other, "a run of other options: it");
    other = o;
    other.teacher_type = SQZ_TEACHER_S8;
    refuses(source, NULL, &other, "a run of other options: it");
    s = (stop){0};
    sqzt_assert_ok(sqz_compress(context, source, out, &o, &r, &error), &error);
    sqz_context_close(context);
}

static void the_key_of_a_run_that_is_cut_short_is_said_to_be_damaged(void **state)
{
    (void)state;
    if (!sqzi_dense_algebra_built()) skip();
    char key[440];
    stop s = {.after = 8};
    sqz_compress_result r;
    sqz_context *context = context_of(NULL);
    snprintf(key, sizeof key, "%s/run.gguf", folder);
    sqz_compress_options o = options_of(folder, &s);
    assert_int_equal(sqz_compress(context, source, out, &o, &r, NULL), SQZ_ECANCELLED);
    s = (stop){0};
    o.resume = 1;
    struct stat file;
    assert_int_equal(stat(key, &file), 0);
    const off_t cuts[] = {file.st_size - 1, file.st_size / 2, 200, 0};
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        sqz_error error = {0};
        assert_int_equal(truncate(key, cuts[i]), 0);
        sqzt_assert_fails(sqz_compress(context, source, out, &o, &r, &error), SQZ_EFORMAT, &error,
                          "run.gguf is damaged");
        assert_non_null(strstr(error.text, "): remove the folder"));
        assert_null(strstr(strstr(error.text, "run.gguf") + 1, "run.gguf")); /* named once */
    }
    sqz_compress_remove(folder);
    sqz_context_close(context);
}

/* The table of a plan, as a row of it is in the file: three names and three numbers. */
enum { NAME = 48, NAMES = 48 + 80 + 80, ROW = NAMES + 24, ROWS = 200 };

/* Names from `begin` to `end` of each row lose their ends; checksums are right. */
static void leave_names_open(const char *path, size_t begin, size_t end)
{
    static char rows[ROWS * ROW];
    sqz_error error = {0};
    sqzi_file_map map = {0};
    sqzi_gguf *gguf = NULL;
    sqzi_span span;
    char key[80], result[1024];
    sqzt_memory memory = {0};
    const sqz_allocator allocator = sqzt_allocator(&memory);
    sqzt_assert_ok(sqzi_file_map_open(path, &map, &error), &error);
    sqzt_assert_ok(sqzi_gguf_open(&allocator, path, map.data, map.bytes, &gguf, &error), &error);
    sqzt_assert_ok(sqzi_gguf_get_string(gguf, "sqz.squeezed.key", true, &span, &error), &error);
    const sqzi_gguf_tensor *parts = sqzi_gguf_find_tensor(gguf, "parts"),
                           *found = sqzi_gguf_find_tensor(gguf, "result");
    assert_true(parts && found && parts->shape[1] == ROW / 4 && parts->bytes <= sizeof rows &&
                found->bytes <= sizeof result);
    snprintf(key, sizeof key, "%.*s", (int)span.n, span.bytes);
    memcpy(rows, parts->data, parts->bytes);
    memcpy(result, found->data, found->bytes);
    for (uint64_t i = 0; i < parts->shape[0]; i++) memset(rows + i * ROW + begin, 'x', end - begin);
    const sqzi_keyed_tensor tensors[] = {
        {"parts", SQZI_I32, parts->shape[0], parts->shape[1], rows},
        {"result", SQZI_I32, found->shape[0], found->shape[1], result}};
    sqzi_gguf_close(gguf);
    sqzi_file_map_close(&map);
    sqzt_assert_ok(sqzi_keyed_save(&allocator, path, "squeezed", key, tensors, 2, &error), &error);
}

/* Names that are told, and how many. */
typedef struct told {
    stop s;
    uint32_t n, known;
} told;

static void take_part(void *user, const sqz_squeezed_part *part)
{
    told *t = user;
    t->n++;
    t->known += strlen(part->name) < NAME && !strstr(part->name, "xxxx") &&
                !strstr(part->from, "xxxx") && !strstr(part->to, "xxxx");
}

static void a_table_whose_names_do_not_end_is_made_anew(void **state)
{
    (void)state;
    if (!sqzi_dense_algebra_built()) skip();
    static const size_t open[][2] = {{0, 48}, {48, 128}, {128, NAMES}, {0, NAMES}};
    char whole[400], path[800];
    sqz_compress_result r;
    sqz_error error = {0};
    snprintf(whole, sizeof whole, "%s", sqzt_temporary("whole.gguf"));
    sqz_context *context = context_of(NULL);
    told t = {0};
    sqz_compress_options o = options_of(folder, &t.s);
    o.part = take_part;
    o.minutes = -1;
    o.keep = 1;
    sqzt_assert_ok(sqz_compress(context, source, whole, &o, &r, &error), &error);
    const uint32_t n = t.n;
    o.resume = 1;
    for (size_t i = 0; i < sizeof open / sizeof *open; i++) {
        uint32_t n_damaged = 0;
        DIR *listed = opendir(folder);
        assert_non_null(listed);
        for (struct dirent *entry; (entry = readdir(listed));) {
            if (!strstr(entry->d_name, ".parts")) continue;
            snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
            leave_names_open(path, open[i][0], open[i][1]);
            n_damaged++;
        }
        assert_int_equal(closedir(listed), 0);
        assert_true(n_damaged > 0);
        t = (told){0};
        sqzt_assert_ok(sqz_compress(context, source, out, &o, &r, &error), &error);
        assert_true(t.n == n && t.known == n);
        sqzt_assert_same_files(whole, out);
    }
    sqz_compress_remove(folder);
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
    snprintf(out, sizeof out, "%s", sqzt_temporary("out.gguf"));
    snprintf(folder, sizeof folder, "%s", sqzt_temporary("work"));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_run_keeps_is_removed_and_nothing_else),
        cmocka_unit_test(an_unfinished_run_is_not_thrown_away),
        cmocka_unit_test(what_differs_from_an_unfinished_run_is_named),
        cmocka_unit_test(the_key_of_a_run_that_is_cut_short_is_said_to_be_damaged),
        cmocka_unit_test(a_table_whose_names_do_not_end_is_made_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
