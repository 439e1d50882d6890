/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks that are invented beside those of files, and what is kept of their times. No test here
 * says how long anything takes. */
#define _POSIX_C_SOURCE 200809L
#include "squeeze/time_table.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "squeeze/invented_block.h"
#include "squeeze/quantized_model.h"
#include "support/opened.h"
#include "support/test.h"

enum { LENGTH = 8 };

typedef struct subject {
    sqzt_opened opened;
    sqzi_weights weights;
    sqzi_squeeze_plan plan; /* the model as it is */
    char folder[256];
} subject;

static void open_subject(const sqzt_tiny *tiny, subject *s)
{
    sqz_error error = {0};
    s->opened = sqzt_open_tiny(tiny, 1,
                               &(sqz_session_options){.max_tokens = 1, .max_sequences = 1});
    sqzt_assert_ok(sqzi_weights_of(s->opened.model, &s->weights, &error), &error);
    sqzt_assert_ok(sqzi_squeeze_plan_make(s->opened.model, &s->plan, &error), &error);
    snprintf(s->folder, sizeof s->folder, "%s", sqzt_temporary("times"));
    (void)mkdir(s->folder, 0700);
}

static void close_subject(subject *s)
{
    sqzi_squeeze_plan_discard(&s->plan);
    sqzi_weights_discard(&s->weights);
    sqzt_close(&s->opened);
}

static void assert_like(const char *form, uint32_t j, const sqzi_matrix *a, const sqzi_matrix *b)
{
    if ((a->packed != NULL) != (b->packed != NULL)) fail_msg("%s, %u: a factor too many", form, j);
    if (!a->packed) return;
    if (a->n_in != b->n_in || a->n_out != b->n_out || a->groups != b->groups ||
        a->gemm != b->gemm || a->group_bytes != b->group_bytes ||
        a->unsigned_rows != b->unsigned_rows || a->zero_point != b->zero_point ||
        (a->gather != NULL) != (b->gather != NULL))
        fail_msg("%s, linear %u: a matrix of %u by %u in %u groups is none of %u by %u in %u", form,
                 j, a->n_out, a->n_in, a->groups, b->n_out, b->n_in, b->groups);
}

static void assert_block_like(const char *form, const sqzi_block *a, const sqzi_block *b)
{
    assert_int_equal(a->heads, b->heads);
    assert_int_equal(a->ffn_width, b->ffn_width);
    for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++) {
        const sqzi_linear *x = sqzi_block_linear_of(a, j), *y = sqzi_block_linear_of(b, j);
        assert_int_equal(x->n_terms, y->n_terms);
        assert_int_equal(x->from != NULL, y->from != NULL);
        for (uint32_t t = 0; t < x->n_terms; t++) {
            assert_like(form, j, &x->terms[t].a, &y->terms[t].a);
            assert_like(form, j, &x->terms[t].b, &y->terms[t].b);
        }
    }
}

/* Everything that its time depends on is that of the block in the file. */
static void invented_blocks_are_made_as_those_of_files_in_every_form(void **state)
{
    (void)state;
    uint32_t n = 0;
    for (const sqzt_named_tiny *form = sqzt_tiny_forms; form->name; form++) {
        subject s;
        sqz_error error = {0};
        sqz_model *rounded = NULL;
        char path[256], place[256];
        if (form->tiny.type != SQZI_F32 || form->tiny.parts) continue;
        open_subject(&form->tiny, &s);
        snprintf(path, sizeof path, "%s", sqzt_temporary("float.gguf"));
        snprintf(place, sizeof place, "%s", sqzt_temporary("place.gguf"));
        sqzt_tiny_write(&form->tiny, path);
        sqzt_assert_ok(sqzi_quantized_open(s.opened.context, path, SQZ_QUANTIZE_S8, place, &rounded,
                                           &error),
                       &error);
        for (uint32_t i = 0; i < s.plan.n_blocks; i++)
            for (int integers = 0; integers < 2; integers++) {
                sqzi_invented_block block;
                sqzt_assert_ok(sqzi_invented_block_make(&s.weights, &s.plan.blocks[i], integers,
                                                        &block, &error),
                               &error);
                assert_block_like(form->name, &block.block,
                                  &(integers ? rounded : s.opened.model)->encoder.blocks[i]);
                sqzi_invented_block_discard(&s.weights, &block);
            }
        sqz_model_close(rounded);
        close_subject(&s);
        n++;
    }
    assert_true(n > 5);
}

static void make(const subject *s, const sqzi_time_options *options, const sqzi_block_plan *blocks,
                 uint32_t n, sqzi_time_table *table)
{
    sqz_error error = {0};
    sqzt_assert_ok(sqzi_time_table_make(&s->weights, options, blocks, n, table, &error), &error);
}

static sqzi_time_options asked(const subject *s, bool integers, bool kept)
{
    return (sqzi_time_options){.integers = integers,
                               .n_sequences = 2,
                               .length = LENGTH,
                               .folder = kept ? s->folder : NULL};
}

static void equal_shapes_are_measured_once_and_others_are_not_known(void **state)
{
    (void)state;
    for (int integers = 0; integers < 2; integers++) {
        subject s;
        sqzi_time_table table;
        open_subject(&sqzt_tiny_forms[0].tiny, &s);
        const sqzi_time_options options = asked(&s, integers, false);
        sqzi_block_plan blocks[5];
        for (uint32_t i = 0; i < 5; i++) blocks[i] = s.plan.blocks[i % 2];
        blocks[4].heads = 1;
        blocks[3].linears[SQZI_FFN_UP].rank = 3;
        make(&s, &options, blocks, 5, &table);
        assert_int_equal(table.n, 3);
        for (uint32_t i = 0; i < 5; i++) assert_true(sqzi_time_of_block(&table, &blocks[i]) >= 0);
        assert_true(sqzi_time_of_block(&table, &blocks[0]) ==
                    sqzi_time_of_block(&table, &blocks[1]));
        assert_true(table.ns[0] > 0);
        assert_true(fabs(sqzi_time_of_blocks(&table, blocks, 3) -
                         (double)(table.ns[0] + 3 * table.ns[1])) < 1);
        blocks[4].heads = 2;
        blocks[4].linears[SQZI_FFN_DOWN].groups = 2;
        assert_true(isnan(sqzi_time_of_block(&table, &blocks[4])));
        sqzi_time_table_discard(&table);
        close_subject(&s);
    }
}

/* The one file of a folder. */
static void find_file(const char *folder, char path[600])
{
    DIR *entries = opendir(folder);
    assert_non_null(entries);
    path[0] = '\0';
    for (const struct dirent *entry; (entry = readdir(entries));)
        if (entry->d_name[0] != '.') snprintf(path, 600, "%s/%s", folder, entry->d_name);
    closedir(entries);
    assert_true(path[0] != '\0');
}

static void put_byte(const char *path, long at, char byte)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, at, at < 0 ? SEEK_END : SEEK_SET), 0);
    assert_int_equal(fwrite(&byte, 1, 1, file), 1);
    assert_int_equal(fclose(file), 0);
}

/* A second table has the numbers of the first; one at another length, of another type or of other
 * shapes has its own. */
static void times_are_found_again_and_damaged_ones_made_anew(void **state)
{
    (void)state;
    subject s;
    sqzi_time_table first, again;
    sqz_error error = {0};
    char path[600];
    open_subject(&sqzt_tiny_forms[0].tiny, &s);
    const sqzi_time_options options = asked(&s, true, true);
    make(&s, &options, s.plan.blocks, 1, &first);
    assert_false(first.cached || first.useless);
    make(&s, &options, s.plan.blocks, 1, &again);
    assert_true(again.cached && !again.useless);
    assert_memory_equal(again.ns, first.ns, 2 * sizeof *first.ns);
    sqzi_time_table_discard(&again);

    find_file(s.folder, path);
    put_byte(path, -1, 'x');
    make(&s, &options, s.plan.blocks, 1, &again);
    assert_true(!again.cached && again.useless);
    sqzi_time_table_discard(&again);
    make(&s, &options, s.plan.blocks, 1, &again);
    assert_true(again.cached);
    sqzi_time_table_discard(&again);

    sqzi_time_options other = options;
    for (int what = 0; what < 4; what++) {
        other = options;
        sqzi_block_plan block = s.plan.blocks[0];
        if (what == 0) other.length--;
        if (what == 1) other.n_sequences++;
        if (what == 2) other.integers = false;
        if (what == 3) block.heads--;
        make(&s, &other, &block, 1, &again);
        assert_false(again.cached || again.useless);
        sqzi_time_table_discard(&again);
    }
    assert_int_equal(sqzt_count_files(s.folder), 5);

    put_byte(path, 0, 'x'); /* no model file at all: somebody's own */
    sqzt_assert_fails(sqzi_time_table_make(&s.weights, &options, s.plan.blocks, 1, &again, &error),
                      SQZ_EOUTPUT, &error, "name another cache");
    sqzi_time_table_discard(&again);
    sqzi_time_table_discard(&first);
    close_subject(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(invented_blocks_are_made_as_those_of_files_in_every_form),
        cmocka_unit_test(equal_shapes_are_measured_once_and_others_are_not_known),
        cmocka_unit_test(times_are_found_again_and_damaged_ones_made_anew)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
