/* SPDX-License-Identifier: Apache-2.0 */
/* Statistics in a file: a GGUF whose one key says what they are of, with checksums. */
#include <stdio.h>
#include <string.h>

#include <squeezebert/version.h>

#include "base/error.h"
#include "base/sha256.h"
#include "io/checksum.h"
#include "squeeze/statistics.h"

#define KEY "sqz.statistics.key"
enum { FORM = 1 }; /* of the file, and of what is summed how */

static void add_text(sqzi_sha256 *hash, const char *text)
{
    sqzi_sha256_update(hash, text, strlen(text) + 1);
}

static void add_number(sqzi_sha256 *hash, uint64_t number)
{
    char text[32];
    snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    add_text(hash, text);
}

void sqzi_statistics_key(const sqz_model *model, const sqzi_sequences *sequences,
                         const uint32_t *blocks, uint32_t n, char key[SQZI_STATISTICS_KEY])
{
    sqzi_sha256 hash;
    const uint32_t n_run = blocks ? n : model->encoder.n_blocks;
    sqzi_sha256_init(&hash);
    add_number(&hash, FORM);
    add_text(&hash, sqz_version_text());
    add_text(&hash, model->context->features_used);
    add_text(&hash, model->context->kernels.gemm_f32->name);
    sqzi_sha256_update(&hash, model->map.data, model->map.bytes);
    add_number(&hash, sequences->n);
    sqzi_sha256_update(&hash, sequences->first.data, sequences->first.used);
    sqzi_sha256_update(&hash, sequences->ids.data, sequences->ids.used);
    add_number(&hash, n_run);
    for (uint32_t i = 0; i < n_run; i++) add_number(&hash, blocks ? blocks[i] : i);
    sqzi_sha256_final(&hash, key);
}

/* ---- names ---- */

static const char *const input_names[SQZI_BLOCK_INPUTS] = {"qkv", "attn_output", "ffn_up",
                                                           "ffn_down"};

/* The input of this number, its name in the file; NULL from the end on. */
static sqzi_input_statistics *input_at(const sqzi_statistics *s, uint32_t i, char name[64])
{
    const uint32_t block = i / SQZI_BLOCK_INPUTS, j = i % SQZI_BLOCK_INPUTS;
    if (block > s->n_blocks || (block == s->n_blocks && j > 0)) return NULL;
    if (block == s->n_blocks) {
        snprintf(name, 64, "embd_output");
        return (sqzi_input_statistics *)&s->projection;
    }
    snprintf(name, 64, "blk.%u.%s", (unsigned)block, input_names[j]);
    return &s->blocks[block][j];
}

/* ---- writing ---- */

static void put_input(sqzi_gguf_writer *writer, const char *name, const sqzi_input_statistics *s)
{
    char full[96];
    const uint64_t shape[] = {s->n, s->n};
    if (s->n == 0) return;
    snprintf(full, sizeof full, "%s.rows", name);
    sqzi_gguf_put_u64(writer, full, s->rows);
    snprintf(full, sizeof full, "%s.mean", name);
    sqzi_gguf_put_tensor(writer, full, SQZI_F32, 1, shape, s->mean);
    snprintf(full, sizeof full, "%s.covariance", name);
    sqzi_gguf_put_tensor(writer, full, SQZI_F32, 2, shape, s->covariance);
}

sqz_status sqzi_statistics_save(const sqzi_statistics *s, const char *key, const char *path,
                                sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_gguf_writer *writer = NULL;
    sqzi_file_writer file = {0};
    const sqzi_input_statistics *input;
    char name[64];
    TRY(sqzi_gguf_writer_open(s->allocator, &writer, error));
    sqzi_gguf_put_string(writer, "general.architecture", "sqz-statistics");
    sqzi_gguf_put_string(writer, KEY, key);
    for (uint32_t i = 0; (input = input_at(s, i, name)) != NULL; i++)
        put_input(writer, name, input);
    sqzi_gguf_put_tensor(writer, "word_counts", SQZI_I32, 2, (uint64_t[]){s->n_words, 2},
                         s->word_counts);
    TRY(sqzi_file_writer_open(path, &file, error));
    TRY(sqzi_gguf_write(writer, &file, error));
    TRY(sqzi_file_writer_flush(&file, error));
    TRY(sqzi_checksum_put(s->allocator, &file, error));
    TRY(sqzi_file_writer_commit(&file, error));
fail:
    sqzi_file_writer_discard(&file);
    sqzi_gguf_writer_close(writer);
    return status;
}

/* ---- reading ---- */

/* A tensor of F32 or I32 with these sides, or NULL. */
static const sqzi_gguf_tensor *find(const sqzi_gguf *gguf, const char *name, sqzi_type type,
                                    uint64_t rows, uint64_t columns)
{
    const sqzi_gguf_tensor *t = sqzi_gguf_find_tensor(gguf, name);
    return t && t->type == type && t->shape[0] == rows && t->shape[1] == columns ? t : NULL;
}

/* SQZ_EFORMAT: it is not what its key promises. */
static sqz_status get_input(const sqzi_gguf *gguf, const sqz_allocator *allocator, const char *name,
                            sqzi_input_statistics *s, sqz_error *error)
{
    char full[96];
    snprintf(full, sizeof full, "%s.mean", name);
    const sqzi_gguf_tensor *mean = sqzi_gguf_find_tensor(gguf, full);
    if (!mean) return SQZ_OK;
    const uint64_t n = mean->shape[0];
    snprintf(full, sizeof full, "%s.covariance", name);
    const sqzi_gguf_tensor *covariance = find(gguf, full, SQZI_F32, n, n);
    snprintf(full, sizeof full, "%s.rows", name);
    const sqzi_gguf_value *rows = sqzi_gguf_find(gguf, full);
    if (mean->type != SQZI_F32 || n > UINT32_MAX || !covariance || !rows || rows->is_array ||
        rows->type != SQZI_GGUF_U64)
        return sqzi_fail(error, SQZ_EFORMAT, 0, "statistics of '%s' are damaged", name);
    const sqz_status status = sqzi_input_statistics_make(allocator, (uint32_t)n, s, error);
    if (status != SQZ_OK) return status;
    s->rows = sqzi_gguf_uint(rows, 0);
    memcpy(s->mean, mean->data, (size_t)mean->bytes);
    memcpy(s->covariance, covariance->data, (size_t)covariance->bytes);
    return SQZ_OK;
}

static sqz_status get_all(const sqz_model *model, const sqzi_gguf *gguf, sqzi_statistics *s,
                          sqz_error *error)
{
    sqz_status status = SQZ_OK;
    char name[64];
    sqzi_input_statistics *input;
    TRY(sqzi_statistics_begin(model, s, error));
    for (uint32_t i = 0; (input = input_at(s, i, name)) != NULL; i++)
        TRY(get_input(gguf, s->allocator, name, input, error));
    const sqzi_gguf_tensor *counts = find(gguf, "word_counts", SQZI_I32, s->n_words, 2);
    FAIL_IF(!counts, SQZ_EFORMAT, 0, "statistics have no counts of words");
    memcpy(s->word_counts, counts->data, (size_t)counts->bytes);
fail:
    return status;
}

static sqz_status check(const sqzi_file_map *map, const sqzi_gguf *gguf, const char *key,
                        sqz_error *error)
{
    sqzi_span found = {"", 0};
    bool there = false;
    sqz_status status = sqzi_gguf_get_string(gguf, KEY, true, &found, error);
    if (status == SQZ_OK && !sqzi_span_is(found, key))
        status = sqzi_fail(error, SQZ_EFORMAT, 0, "statistics of something else");
    if (status == SQZ_OK) status = sqzi_checksum_check(map, gguf, &there, error);
    return status == SQZ_OK && !there ? sqzi_fail(error, SQZ_EFORMAT, 0, "no checksums") : status;
}

sqz_status sqzi_statistics_load(const sqz_model *model, const char *key, const char *path,
                                sqzi_statistics *s, bool *found, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_file_map map = {NULL, 0};
    sqzi_gguf *gguf = NULL;
    sqz_error ignored = {0};
    *s = (sqzi_statistics){0};
    status = sqzi_file_map_open(path, &map, &ignored);
    if (status == SQZ_OK)
        status = sqzi_gguf_open(&model->context->allocator, path, map.data, map.bytes, &gguf,
                                &ignored);
    if (status == SQZ_OK) status = check(&map, gguf, key, &ignored);
    if (status == SQZ_OK) status = get_all(model, gguf, s, &ignored);
    *found = status == SQZ_OK;
    if (status != SQZ_OK) sqzi_statistics_discard(s);
    sqzi_gguf_close(gguf);
    sqzi_file_map_close(&map);
    return status == SQZ_ENOMEM ? sqzi_fail(error, status, 0, "%s", ignored.text) : SQZ_OK;
}

sqz_status sqzi_statistics_find(const sqzi_statistics_run *run, sqzi_statistics *statistics,
                                bool *found, bool *useless, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqz_error not_kept = {0};
    char key[SQZI_STATISTICS_KEY], path[SQZI_OUTPUT_PATH];
    sqzi_file_map map = {NULL, 0};
    *found = *useless = false;
    if (run->folder) {
        sqzi_statistics_key(run->model, run->sequences, run->blocks, run->n, key);
        const int length = snprintf(path, sizeof path, "%s/statistics-%.16s.gguf", run->folder,
                                    key);
        FAIL_IF(length < 0 || (size_t)length >= sizeof path, SQZ_EINVAL, 0,
                "cache: '%s' is too long", run->folder);
        TRY(sqzi_statistics_load(run->model, key, path, statistics, found, error));
        *useless = !*found && sqzi_file_map_open(path, &map, &not_kept) == SQZ_OK;
        sqzi_file_map_close(&map);
    }
    if (*found) return SQZ_OK;
    TRY(sqzi_statistics_make(run->model, run->sequences, run->blocks, run->n, run->progress,
                             run->user, statistics, error));
    if (run->folder) status = sqzi_statistics_save(statistics, key, path, &not_kept);
    FAIL_IF(status != SQZ_OK, status, 0, "cache: %s", not_kept.text);
fail:
    return status;
}
