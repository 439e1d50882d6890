/* SPDX-License-Identifier: Apache-2.0 */
/* Export: every form that a class of Transformers can express gives the same results after a way
 * through a folder; what none can express is refused by name and leaves nothing behind.
 * Transformers itself reads the folders in tests/reference/export_compare.py. */
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <math.h>
#include <squeezebert/export.h>
#include <squeezebert/import.h>
#include <squeezebert/session.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "support/counting_memory.h"
#include "support/random.h"
#include "support/test.h"
#include "support/tiny_model.h"

enum { TOKENS = 30, MAX_NUMBERS = TOKENS * SQZT_TINY_VOCABULARY };

static sqzt_tiny form(const char *name)
{
    const sqzt_named_tiny *f = sqzt_tiny_forms;
    while (f->name && strcmp(f->name, name) != 0) f++;
    assert_non_null(f->name);
    return f->tiny;
}

static sqz_context *open_context(const sqz_allocator *allocator)
{
    sqz_context *context;
    sqz_error error = {0};
    sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.allocator = allocator,
                                                           .n_threads = 1,
                                                           .cpu = "portable"},
                                    &context, &error),
                   &error);
    return context;
}

static sqz_model *open_model(sqz_context *context, const char *path)
{
    sqz_model *model;
    sqz_error error = {0};
    sqzt_assert_ok(sqz_model_open(context, path, &model, &error), &error);
    return model;
}

/* Logits, or hidden states where there is no head, of three sequences; how many numbers. */
static size_t run(const sqz_model *model, float *out)
{
    const uint32_t first[] = {0, 1, 8, TOKENS};
    uint32_t ids[TOKENS];
    uint8_t types[TOKENS];
    sqz_error error = {0};
    sqz_session *session;
    sqzt_random random = sqzt_random_of(3);
    const sqz_model_info *info = sqz_model_get_info(model);
    for (uint32_t i = 0; i < TOKENS; i++) {
        ids[i] = (uint32_t)sqzt_below(&random, info->vocabulary);
        const uint8_t type = (uint8_t)sqzt_below(&random, 2);
        types[i] = info->n_token_types > 1 ? type : 0;
    }
    const sqz_batch batch = {.n_sequences = 3, .first = first, .ids = ids, .types = types};
    const size_t columns = info->head == SQZ_HEAD_NONE ? info->width : info->n_labels,
                 rows = info->head == SQZ_HEAD_SEQUENCE ? 3 : TOKENS;
    sqzt_assert_ok(
        sqz_session_open(model, &(sqz_session_options){.max_tokens = TOKENS, .max_sequences = 3},
                         &session, &error),
        &error);
    if (info->head == SQZ_HEAD_NONE)
        sqzt_assert_ok(sqz_encode(session, &batch, out, columns, &error), &error);
    else sqzt_assert_ok(sqz_logits(session, &batch, NULL, 0, out, columns, &error), &error);
    sqz_session_close(session);
    return rows * columns;
}

/* Export the form, import what came out, run both. Weights that were copied give the same bits. A
 * product is rounded once where the factors are rounded after each sum: both are the same number
 * but for some 2^-24 a layer of the largest, and the thousand of those that import.c leaves between
 * levels. */
static void check_form(const char *name, const sqzt_tiny *tiny, int dense, bool copied)
{
    static float before[MAX_NUMBERS], after[MAX_NUMBERS];
    static char folder[256], back[256];
    static int turn;
    sqz_error error = {0};
    char file[32];
    snprintf(file, sizeof file, "folder-%d", turn++);
    snprintf(folder, sizeof folder, "%s", sqzt_temporary(file));
    snprintf(back, sizeof back, "%s", sqzt_temporary("back.gguf"));
    const char *path = sqzt_temporary("form.gguf");
    sqz_context *context = open_context(NULL);
    sqzt_tiny_write(tiny, path);
    sqz_model *model = open_model(context, path);
    const size_t n = run(model, before);
    sqzt_assert_ok(sqz_export(model, folder, &(sqz_export_options){.dense = dense}, &error),
                   &error);
    sqz_model_close(model);
    sqzt_assert_ok(sqz_import(context, folder, back, NULL, &error), &error);
    model = open_model(context, back);
    assert_int_equal(run(model, after), n);
    sqz_model_close(model);
    sqz_context_close(context);
    double largest = 1, off = 0;
    for (size_t i = 0; i < n; i++) {
        largest = fmax(largest, fabs((double)before[i]));
        const double difference = fabs((double)before[i] - (double)after[i]);
        if (!(difference <= off)) off = difference;
    }
    const double most = copied ? 0 : 1024 * 0x1p-24 * largest;
    printf("%-40s off by %.1e of %.1e\n", name, off, most);
    if (!(off <= most)) fail_msg("%s: off by %g, %g is allowed", name, off, most);
}

static void forms_give_the_same_results_after_a_way_through_a_folder(void **state)
{
    (void)state;
    sqzt_tiny tiny = form("dense");
    check_form("dense", &tiny, 0, true);
    tiny.head = NULL;
    check_form("dense, no head", &tiny, 0, true);
    tiny = form("groups of squeezebert");
    check_form("groups of squeezebert", &tiny, 0, true);
    check_form("groups written dense", &tiny, 1, false);
    tiny.last_groups = 2;
    check_form("groups that differ by block, dense", &tiny, 1, false);
    tiny = form("odd groups");
    check_form("odd groups", &tiny, 0, true);
    tiny = form("low rank");
    check_form("low rank", &tiny, 0, false);
    tiny = form("sum of groups and low rank, permuted, factorised");
    tiny.factorised = 0;
    check_form("sum of groups and low rank, permuted", &tiny, 0, false);
    tiny.rank = 0;
    tiny.sum = false;
    tiny.groups[4] = tiny.groups[5] = 0;
    check_form("permuted", &tiny, 0, false);
}

static void what_differs_by_block_is_filled_up_with_zeros(void **state)
{
    (void)state;
    sqzt_tiny tiny = form("sum of groups and low rank, permuted, factorised");
    check_form("sum, permuted, factorised", &tiny, 1, false);
    tiny.last_ffn_width = 24;
    check_form("sum, permuted, factorised, narrower at the end", &tiny, 1, false);
    tiny = form("dense");
    tiny.last_ffn_width = 56;
    check_form("one block wider", &tiny, 1, false);
    tiny.heads = 1; /* of as many as fill the width */
    check_form("heads removed", &tiny, 1, false);
    tiny = form("attention narrower than the width"); /* 2 heads of 9 become 3 of 10 */
    check_form("heads that do not divide the width", &tiny, 1, false);
}

/* A classifier that no class has goes through modules of sentence-transformers. */
static void heads_of_no_class_come_back_from_modules(void **state)
{
    static const char *const pools[] = {"cls",           "mean",          "max",
                                        "mean_sqrt_len", "weighted_mean", "last"};
    (void)state;
    sqzt_tiny tiny = form("dense");
    for (size_t i = 0; i < sizeof pools / sizeof *pools; i++) {
        tiny.pool = pools[i];
        check_form(pools[i], &tiny, 0, true);
    }
    tiny = form("projected embedding"); /* ELECTRA alone has that, and its head is another */
    check_form("a pooler beside ELECTRA", &tiny, 0, true);
}

static bool is_there(const char *path)
{
    struct stat facts;
    return stat(path, &facts) == 0;
}

/* Entries of the folder that holds `path`, so that a left-over temporary folder is seen. */
static int neighbours(const char *path)
{
    char folder[256];
    snprintf(folder, sizeof folder, "%s", path);
    *strrchr(folder, '/') = '\0';
    DIR *open = opendir(folder);
    assert_non_null(open);
    int n = 0;
    while (readdir(open)) n++;
    closedir(open);
    return n;
}

static void check_refusal(const sqzt_tiny *tiny, int dense, const char *text)
{
    sqz_error error = {0};
    sqz_context *context = open_context(NULL);
    const char *path = sqzt_temporary("refused.gguf"), *folder = sqzt_temporary("refused");
    sqzt_tiny_write(tiny, path);
    sqz_model *model = open_model(context, path);
    const int before = neighbours(folder);
    sqzt_assert_fails(sqz_export(model, folder, &(sqz_export_options){.dense = dense}, &error),
                      SQZ_EUNSUPPORTED, &error, text);
    assert_int_equal(neighbours(folder), before);
    sqz_model_close(model);
    sqz_context_close(context);
}

static void what_no_class_can_express_is_refused_by_name(void **state)
{
    (void)state;
    sqzt_tiny tiny = form("sum of groups and low rank, permuted, factorised");
    check_refusal(&tiny, 0,
                  "its embedding is factorised to 11 numbers a word, and no class projects words "
                  "before the sum: --dense writes the product");
    tiny = form("attention narrower than the width");
    check_refusal(&tiny, 0,
                  "block 0 has 2 heads of width 9, which do not fill the model's width of 30: "
                  "--dense fills it up with zeros");
    tiny = form("dense");
    tiny.last_ffn_width = 32;
    check_refusal(&tiny, 0,
                  "the feed-forward of block 1 is 32 wide and that of block 0 40: --dense");
    tiny = form("groups of squeezebert");
    tiny.last_groups = 2;
    check_refusal(&tiny, 0, "as squeezebert, blk.1.attn_q has 2 groups and blk.0.attn_q 4");
    tiny = form("projected embedding"); /* ELECTRA alone has that, and has no pooler */
    tiny.head = NULL;
    check_refusal(&tiny, 0, "its embedding is 16 wide and the model 40");
    tiny = form("attention narrower than the width");
    tiny.heads = 5;
    check_refusal(&tiny, 1,
                  "it has 5 heads in a block, and heads of width 9: equal heads that fill the "
                  "model's width of 30 cannot hold them");
}

static void a_folder_that_is_not_empty_is_left_alone(void **state)
{
    (void)state;
    sqz_error error = {0};
    char inside[280];
    const sqzt_tiny tiny = form("dense");
    sqz_context *context = open_context(NULL);
    const char *path = sqzt_temporary("full.gguf"), *folder = sqzt_temporary("full");
    sqzt_tiny_write(&tiny, path);
    sqz_model *model = open_model(context, path);
    assert_int_equal(mkdir(folder, 0777), 0);
    sqzt_assert_ok(sqz_export(model, folder, NULL, &error), &error); /* empty: taken */
    snprintf(inside, sizeof inside, "%s/config.json", folder);
    assert_true(is_there(inside));
    sqzt_assert_fails(sqz_export(model, folder, NULL, &error), SQZ_EOUTPUT, &error, "is not empty");
    sqzt_assert_fails(sqz_export(model, path, NULL, &error), SQZ_EOUTPUT, &error, "is no folder");
    assert_int_equal(sqz_export(model, NULL, NULL, &error), SQZ_EINVAL);
    sqz_model_close(model);
    sqz_context_close(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_give_the_same_results_after_a_way_through_a_folder),
        cmocka_unit_test(what_differs_by_block_is_filled_up_with_zeros),
        cmocka_unit_test(heads_of_no_class_come_back_from_modules),
        cmocka_unit_test(what_no_class_can_express_is_refused_by_name),
        cmocka_unit_test(a_folder_that_is_not_empty_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
