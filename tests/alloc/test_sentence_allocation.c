/* SPDX-License-Identifier: Apache-2.0 */
/* A folder of sentence-transformers with weights of its own behind the pooling, and lower case that
 * its tokenizer does not make, while memory fails: imported, opened and run, and exported, each
 * wholly or not at all. The program runs in the root of the source tree. */
#define _POSIX_C_SOURCE 200809L
#include <squeezebert/export.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/allocation_sweep.h"
#include "support/test.h"
#include "support/tiny_model.h"

enum { WIDTH = 21, KEPT = 5 }; /* of bert-sequence, and of what Dense makes of it */

static char folder[256], made[300], exported[300];

static void put_file(const char *name, const void *data, size_t n)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

static void put_text(const char *name, const char *text)
{
    put_file(name, text, strlen(text));
}

static void put_dense(void)
{
    static unsigned char data[1024];
    char header[256];
    enum { WEIGHTS = 4 * KEPT * WIDTH, ALL = WEIGHTS + 4 * KEPT };
    const int n = snprintf(header, sizeof header,
                           "{\"linear.weight\":{\"dtype\":\"F32\",\"shape\":[%d,%d],"
                           "\"data_offsets\":[0,%d]},\"linear.bias\":{\"dtype\":\"F32\","
                           "\"shape\":[%d],\"data_offsets\":[%d,%d]}}",
                           KEPT, WIDTH, WEIGHTS, KEPT, WEIGHTS, ALL);
    const float half = 0.5f;
    assert_in_range(n, 1, 255);
    data[0] = (unsigned char)n;
    memcpy(data + 8, header, (size_t)n);
    for (size_t i = 0; i < ALL; i += sizeof half) memcpy(data + 8 + n + i, &half, sizeof half);
    put_file("2_Dense/model.safetensors", data, 8 + (size_t)n + ALL);
}

static void make_folder(void)
{
    char command[900];
    snprintf(folder, sizeof folder, "%s", sqzt_temporary("sentence"));
    snprintf(made, sizeof made, "%s", sqzt_temporary("sentence.gguf"));
    snprintf(exported, sizeof exported, "%s", sqzt_temporary("sentence-out"));
    snprintf(command, sizeof command,
             "cp -r tests/golden/models/bert-sequence '%s' && mkdir '%s/1_Pooling' '%s/2_Dense'",
             folder, folder, folder);
    assert_int_equal(system(command), 0);
    put_text("modules.json",
             "[{\"type\":\"sentence_transformers.models.Transformer\",\"path\":\"\"},"
             "{\"type\":\"sentence_transformers.models.Pooling\",\"path\":\"1_Pooling\"},"
             "{\"type\":\"sentence_transformers.models.Dense\",\"path\":\"2_Dense\"}]");
    put_text("1_Pooling/config.json", "{\"embedding_dimension\":21,\"pooling_mode\":\"mean\"}");
    put_text("2_Dense/config.json",
             "{\"in_features\":21,\"out_features\":5,\"bias\":true,"
             "\"activation_function\":\"torch.nn.modules.activation.Tanh\"}");
    put_text("sentence_bert_config.json", "{\"max_seq_length\":20,\"do_lower_case\":true}");
    put_text("tokenizer_config.json", "{\"do_lower_case\":false}");
    put_text("config_sentence_transformers.json",
             "{\"prompts\":{\"query\":\"a \"},\"similarity_fn_name\":\"dot\"}");
    put_dense();
}

static sqz_status import_folder(const sqzt_subject *s, sqz_error *error)
{
    const sqz_status status = sqz_import(s->context, s->path, made, NULL, error);
    assert_int_equal(access(made, F_OK) == 0, status == SQZ_OK);
    if (status == SQZ_OK) assert_int_equal(remove(made), 0);
    return status;
}

static sqz_status embed(const sqzt_subject *s, sqz_error *error)
{
    sqz_status status;
    sqz_model *model = NULL;
    sqz_task *task = NULL;
    const sqz_input inputs[] = {{.text = {"THE a", 5}}, {.text = {"the a", 5}}};
    sqz_embedding results[2];
    status = sqz_model_open(s->context, s->path, &model, error);
    if (status == SQZ_OK) status = sqz_task_open(model, NULL, &task, error);
    if (status == SQZ_OK) status = sqz_embed_texts(task, inputs, 2, NULL, results, error);
    if (status == SQZ_OK) {
        assert_int_equal(results[0].dimensions, KEPT);
        assert_memory_equal(results[0].vectors, results[1].vectors, KEPT * sizeof(float));
    }
    sqz_task_close(task);
    sqz_model_close(model);
    return status;
}

static sqz_status export_model(const sqzt_subject *s, sqz_error *error)
{
    char command[400];
    const sqz_status status = sqz_export(s->model, exported, NULL, error);
    assert_int_equal(access(exported, F_OK) == 0, status == SQZ_OK);
    if (status != SQZ_OK) return status;
    snprintf(command, sizeof command, "rm -r '%s'", exported);
    assert_int_equal(system(command), 0);
    return SQZ_OK;
}

static void every_step_is_whole_or_not_at_all(void **state)
{
    (void)state;
    sqz_error error = {0};
    sqz_model *model;
    sqzt_subject s = sqzt_sweep_begin();
    make_folder();
    s.path = folder;
    assert_true(sqzt_sweep("import", import_folder, &s) > 40);
    sqzt_assert_ok(sqz_import(s.context, folder, made, NULL, &error), &error);
    s.path = made;
    assert_true(sqzt_sweep("embed", embed, &s) > 20);
    sqzt_assert_ok(sqz_model_open(s.context, made, &model, &error), &error);
    assert_int_equal(sqz_model_get_info(model)->embed_lowercase, 1);
    assert_ptr_not_equal(sqz_model_embed_tokenizer(model), sqz_model_tokenizer(model));
    s.model = model;
    assert_true(sqzt_sweep("export", export_model, &s) > 2);
    sqz_model_close(model);
    sqzt_sweep_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_step_is_whole_or_not_at_all)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
