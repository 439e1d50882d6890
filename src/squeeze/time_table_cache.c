/* SPDX-License-Identifier: Apache-2.0 */
/* Times in a file whose name says what they are of. */
#include <stdio.h>
#include <string.h>

#include <squeezebert/version.h>

#include "base/cpu.h"
#include "base/error.h"
#include "base/sha256.h"
#include "rewrite/keyed_file.h"
#include "squeeze/time_key.h"
#include "squeeze/time_table.h"

static const char kind[] = "times";
enum { FORM = 2 }; /* of what is measured how */

static void add_text(sqzi_sha256 *hash, const char *text)
{
    sqzi_sha256_update(hash, text, strlen(text) + 1);
}

static void add_numbers(sqzi_sha256 *hash, const uint32_t *numbers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const unsigned char bytes[] = {(unsigned char)numbers[i], (unsigned char)(numbers[i] >> 8),
                                       (unsigned char)(numbers[i] >> 16),
                                       (unsigned char)(numbers[i] >> 24)};
        sqzi_sha256_update(hash, bytes, sizeof bytes);
    }
}

/* What runs around the blocks. */
static void add_around(sqzi_sha256 *hash, const sqz_model *model)
{
    const sqzi_embedding *e = &model->encoder.embedding;
    const sqzi_head *head = &model->head;
    const uint32_t numbers[] = {model->encoder.width,
                                e->width,
                                e->word.type,
                                e->word.n_rows,
                                e->word.width,
                                e->position.type,
                                e->type.n_rows,
                                e->factorised,
                                e->projected,
                                head->kind,
                                head->pooling,
                                head->has_pooler,
                                head->has_dense,
                                head->has_norm,
                                head->tied,
                                head->classes,
                                head->n_steps,
                                head->embedding_width,
                                model->info.pooling,
                                model->info.dimensions,
                                (uint32_t)model->info.normalize};
    add_numbers(hash, numbers, sizeof numbers / sizeof *numbers);
}

void sqzi_time_hash_machine(sqzi_sha256 *hash, const sqz_context *context)
{
    const uint32_t numbers[] = {FORM, sqzi_thread_pool_size(context->pool)};
    add_text(hash, sqz_version_text());
    add_text(hash, sqzi_cpu_brand());
    add_text(hash, context->features_used);
    add_text(hash, context->kernels.gemm_f32->name);
    add_text(hash, context->kernels.gemm_s8 ? context->kernels.gemm_s8->name : "");
    add_numbers(hash, numbers, sizeof numbers / sizeof *numbers);
}

static void make_key(const sqzi_time_table *t, char key[SQZI_SHA256_HEX])
{
    const sqz_model *model = t->weights->model;
    const uint32_t numbers[] = {t->options.integers, t->options.n_sequences, t->options.length,
                                t->n};
    sqzi_sha256 hash;
    sqzi_sha256_init(&hash);
    sqzi_time_hash_machine(&hash, model->context);
    add_numbers(&hash, numbers, sizeof numbers / sizeof *numbers);
    add_around(&hash, model);
    for (uint32_t i = 0; i < t->n; i++) add_numbers(&hash, t->shapes[i].numbers, SQZI_BLOCK_SHAPE);
    sqzi_sha256_final(&hash, key);
}

static sqz_status make_path(const sqzi_time_table *t, const char *key, char path[SQZI_OUTPUT_PATH],
                            sqz_error *error)
{
    const int n = snprintf(path, SQZI_OUTPUT_PATH, "%s/times-%.16s.gguf", t->options.folder, key);
    if (n > 0 && n < SQZI_OUTPUT_PATH) return SQZ_OK;
    return sqzi_fail(error, SQZ_EINVAL, 0, "cache: '%s' is too long", t->options.folder);
}

sqz_status sqzi_time_table_load(sqzi_time_table *t, sqz_error *error)
{
    char key[SQZI_SHA256_HEX], path[SQZI_OUTPUT_PATH];
    sqz_error ignored = {0};
    sqzi_keyed_file file;
    sqzi_keyed_tensor times = {"ns", SQZI_F32, 1 + (uint64_t)t->n, 1, NULL};
    make_key(t, key);
    sqz_status status = make_path(t, key, path, error);
    if (status != SQZ_OK) return status;
    status = sqzi_keyed_open(&t->weights->model->context->allocator, path, kind, key, &times, 1,
                             &file, &ignored);
    t->cached = status == SQZ_OK;
    t->useless = file.map.data && !t->cached;
    if (t->cached) memcpy(t->ns, times.data, (1 + (size_t)t->n) * sizeof *t->ns);
    for (uint32_t i = 0; i <= t->n && t->cached; i++)
        if (!(t->ns[i] >= 0)) t->cached = false, t->useless = true;
    sqzi_keyed_close(&file);
    if (status != SQZ_ENOMEM && status != SQZ_EOUTPUT) return SQZ_OK;
    return sqzi_fail(error, status, 0, "cache: %s", ignored.text);
}

sqz_status sqzi_time_table_save(const sqzi_time_table *t, sqz_error *error)
{
    char key[SQZI_SHA256_HEX], path[SQZI_OUTPUT_PATH];
    sqz_error said = {0};
    const sqzi_keyed_tensor times = {"ns", SQZI_F32, 1 + (uint64_t)t->n, 1, t->ns};
    make_key(t, key);
    sqz_status status = make_path(t, key, path, error);
    if (status != SQZ_OK) return status;
    status = sqzi_keyed_save(&t->weights->model->context->allocator, path, kind, key, &times, 1,
                             &said);
    return status == SQZ_OK ? status : sqzi_fail(error, status, 0, "cache: %s", said.text);
}
