/* SPDX-License-Identifier: Apache-2.0 */
/* Import and export while memory fails: a whole file or folder is written, or none. jansson's
 * memory fails too where JSON is made; where it is read, its lexer takes no notice when the buffer
 * of a token cannot grow, and loses a byte (2.14), so that there is no status to ask for:
 * sqzi_json_parse asks for the memory before. The program runs in the root of the source tree. */
#define _POSIX_C_SOURCE 200809L
#include <squeezebert/export.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "import/source_tensors.h"
#include "support/allocation_sweep.h"
#include "support/test.h"
#include "support/tiny_model.h"

static const char *output_folder(void)
{
    static char folder[256];
    if (folder[0]) return folder;
    snprintf(folder, sizeof folder, "%s", sqzt_temporary("output"));
    assert_int_equal(mkdir(folder, 0700), 0);
    return folder;
}

static sqz_import_options import_options;

static sqz_status import_folder(const sqzt_subject *s, sqz_error *error)
{
    char path[300];
    snprintf(path, sizeof path, "%s/model.gguf", output_folder());
    const sqz_status status = sqz_import(s->context, s->path, path, &import_options, error);
    assert_int_equal(sqzt_count_files(output_folder()), status == SQZ_OK);
    if (status == SQZ_OK) assert_int_equal(remove(path), 0);
    return status;
}

static const char *const golden[] = {"bert-masked", "squeezebert-sequence", "electra-token",
                                     "distilbert-masked"};
enum { N_GOLDEN = sizeof golden / sizeof *golden };

static const char *golden_folder(int i)
{
    static char path[128];
    snprintf(path, sizeof path, "tests/golden/models/%s", golden[i]);
    return path;
}

static void imports_write_a_whole_file_or_none(void **state)
{
    (void)state;
    sqzt_subject s = sqzt_sweep_begin();
    for (int i = 0; i < N_GOLDEN; i++) {
        s.path = golden_folder(i);
        assert_true(sqzt_sweep(golden[i], import_folder, &s) > 20);
    }
    import_options.type = SQZ_IMPORT_BF16;
    s.path = golden_folder(1);
    assert_true(sqzt_sweep("bf16", import_folder, &s) > 40); /* the folder is read twice */
    sqzt_sweep_end(&s);
}

static sqz_export_options export_options;

static sqz_status export_model(const sqzt_subject *s, sqz_error *error)
{
    char path[300], command[400];
    snprintf(path, sizeof path, "%s/exported", output_folder());
    const sqz_status status = sqz_export(s->model, path, &export_options, error);
    assert_int_equal(sqzt_count_files(output_folder()), status == SQZ_OK);
    if (status != SQZ_OK) return status;
    snprintf(command, sizeof command, "rm -r '%s'", path);
    assert_int_equal(system(command), 0);
    return SQZ_OK;
}

static uint64_t sweep_export(sqzt_subject *s, const char *name, const char *file)
{
    sqz_error error = {0};
    sqz_model *model;
    sqzt_assert_ok(sqz_model_open(s->context, file, &model, &error), &error);
    s->model = model;
    const uint64_t n = sqzt_sweep(name, export_model, s);
    sqz_model_close(model);
    return n;
}

static void exports_write_a_whole_folder_or_none(void **state)
{
    (void)state;
    sqz_error error = {0};
    sqzt_subject s = sqzt_sweep_begin();
    const char *file = sqzt_temporary("exported.gguf");
    import_options.type = SQZ_IMPORT_F32;
    for (int i = 0; i < N_GOLDEN; i++) {
        sqzt_assert_ok(sqz_import(s.context, golden_folder(i), file, &import_options, &error),
                       &error);
        assert_true(sweep_export(&s, golden[i], file) > 2);
    }
    sqzt_count_json(&sqzt_swept);
    /* they hold no config.json to be read */
    for (const sqzt_named_tiny *form = sqzt_tiny_forms; form->name; form++) {
        if (strcmp(form->name, "groups of squeezebert") != 0 &&
            strcmp(form->name, "low rank, s8") != 0)
            continue;
        sqzt_tiny_write(&form->tiny, file);
        assert_true(sweep_export(&s, form->name, file) > 300);
    }
    sqzt_count_json(NULL);
    sqzt_sweep_end(&s);
}

static const sqzt_tiny *tiny_of(const char *name)
{
    const sqzt_named_tiny *form = sqzt_tiny_forms;
    while (strcmp(form->name, name) != 0) form++;
    return &form->tiny;
}

static void squeezed_models_leave_whole_or_not_at_all(void **state)
{
    (void)state;
    sqz_error error = {0};
    char folder[256];
    sqz_model *model;
    sqzt_subject s = sqzt_sweep_begin();
    const char *file = sqzt_temporary("squeezed.gguf");
    sqzt_tiny tiny = *tiny_of("sum of groups and low rank, permuted, factorised");
    tiny.last_ffn_width = 24;
    sqzt_tiny_write(&tiny, file);
    export_options.dense = 1;
    sqzt_count_json(&sqzt_swept);
    assert_true(sweep_export(&s, "factorised and narrower", file) > 300);
    export_options.dense = 0;
    tiny = *tiny_of("dense");
    tiny.pool = "mean";
    sqzt_tiny_write(&tiny, file);
    assert_true(sweep_export(&s, "a head beside the encoder", file) > 300);
    sqzt_count_json(NULL);
    snprintf(folder, sizeof folder, "%s", sqzt_temporary("beside"));
    sqzt_assert_ok(sqz_model_open(s.context, file, &model, &error), &error);
    sqzt_assert_ok(sqz_export(model, folder, NULL, &error), &error);
    sqz_model_close(model);
    s.path = folder;
    assert_true(sqzt_sweep("a head of modules", import_folder, &s) > 20);
    sqzt_sweep_end(&s);
}

static sqz_status open_source(const sqzt_subject *s, sqz_error *error)
{
    sqzi_source source;
    const sqz_status status = sqzi_source_open(&s->allocator, s->path, NULL, &source, error);
    sqzi_source_close(&source);
    return status;
}

static void copy_file(const char *from, const char *to)
{
    char command[600];
    snprintf(command, sizeof command, "cp '%s' '%s'", from, to);
    assert_int_equal(system(command), 0);
}

static void archives_leave_nothing(void **state)
{
    (void)state;
    static const char *const archives[] = {"zip-plain", "legacy-opcodes"};
    char folder[256], from[128], to[300];
    sqzt_subject s = sqzt_sweep_begin();
    snprintf(folder, sizeof folder, "%s", sqzt_temporary("archive"));
    assert_int_equal(mkdir(folder, 0700), 0);
    s.path = folder;
    for (int i = 0; i < 2; i++) {
        snprintf(from, sizeof from, "tests/fuzz/corpus/torch_archive/%s", archives[i]);
        snprintf(to, sizeof to, "%s/pytorch_model.bin", folder);
        copy_file(from, to);
        assert_true(sqzt_sweep(archives[i], open_source, &s) >= 6);
    }
    sqzt_sweep_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(imports_write_a_whole_file_or_none),
        cmocka_unit_test(exports_write_a_whole_folder_or_none),
        cmocka_unit_test(squeezed_models_leave_whole_or_not_at_all),
        cmocka_unit_test(archives_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
