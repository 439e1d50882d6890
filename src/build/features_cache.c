/* SPDX-License-Identifier: Apache-2.0 */
/* Features in a file: a GGUF with the keys of its rows and checksums. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "build/features.h"
#include "io/checksum.h"

#define KEY "sqz.features.key"
enum { KEY_BYTES = SQZI_FEATURE_KEY * (int)sizeof(int32_t) };

sqz_status sqzi_features_save(const sqzi_features *f, const char *path, const char *key,
                              sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_gguf_writer *writer = NULL;
    sqzi_file_writer file = {0};
    TRY(sqzi_gguf_writer_open(f->allocator, &writer, error));
    sqzi_gguf_put_string(writer, "general.architecture", "sqz-features");
    sqzi_gguf_put_string(writer, KEY, key);
    sqzi_gguf_put_tensor(writer, "keys", SQZI_I32, 2, (uint64_t[]){f->n, SQZI_FEATURE_KEY},
                         f->keys);
    sqzi_gguf_put_tensor(writer, "rows", SQZI_F32, 2, (uint64_t[]){f->n, f->width}, f->rows);
    TRY(sqzi_file_writer_open(path, &file, error));
    TRY(sqzi_gguf_write(writer, &file, error));
    TRY(sqzi_file_writer_flush(&file, error));
    TRY(sqzi_checksum_put(f->allocator, &file, error));
    TRY(sqzi_file_writer_commit(&file, error));
fail:
    sqzi_file_writer_discard(&file);
    sqzi_gguf_writer_close(writer);
    return status;
}

/* Rows of the data set in the order of their keys, beside those of the file, whatever their
 * order. */
static void take(sqzi_features *f, const sqzi_gguf_tensor *keys, const sqzi_gguf_tensor *rows,
                 unsigned char *known)
{
    const int32_t *theirs = keys->data;
    const float *row = rows->data;
    for (uint64_t i = 0; i < keys->shape[0]; i++, theirs += SQZI_FEATURE_KEY, row += f->width) {
        uint32_t low = 0, high = f->n;
        while (low < high) {
            const uint32_t middle = low + (high - low) / 2;
            const int32_t *key = f->keys + (size_t)f->order[middle] * SQZI_FEATURE_KEY;
            if (memcmp(key, theirs, KEY_BYTES) < 0) low = middle + 1;
            else high = middle;
        }
        for (; low < f->n; low++) {
            const uint32_t at = f->order[low];
            if (memcmp(f->keys + (size_t)at * SQZI_FEATURE_KEY, theirs, KEY_BYTES) != 0) break;
            memcpy(f->rows + (size_t)at * f->width, row, f->width * sizeof *row);
            known[at] = 1;
        }
    }
}

static sqz_status read_file(sqzi_features *f, const sqzi_file_map *map, const sqzi_gguf *gguf,
                            const char *key, unsigned char *known, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_span found = {"", 0};
    bool there = false;
    TRY(sqzi_gguf_get_string(gguf, KEY, true, &found, error));
    const sqzi_gguf_tensor *keys = sqzi_gguf_find_tensor(gguf, "keys"),
                           *rows = sqzi_gguf_find_tensor(gguf, "rows");
    FAIL_IF(!sqzi_span_is(found, key) || !keys || !rows || keys->type != SQZI_I32 ||
                rows->type != SQZI_F32 || keys->shape[1] != SQZI_FEATURE_KEY ||
                rows->shape[1] != f->width || keys->shape[0] != rows->shape[0] ||
                keys->n_dims != 2 || rows->n_dims != 2,
            SQZ_EFORMAT, 0, "features of something else");
    TRY(sqzi_checksum_check(map, gguf, &there, error));
    FAIL_IF(!there, SQZ_EFORMAT, 0, "no checksums");
    FAIL_IF(sqzi_has_nonfinite(rows->data, (size_t)rows->n, SQZI_F32), SQZ_EFORMAT, 0,
            "a feature is not finite");
    take(f, keys, rows, known);
fail:
    return status;
}

/* Whether a file is one of these, whole or not: what else a name may hold is the user's. */
static bool is_cache(const sqzi_file_map *map)
{
    static const char architecture[] = "sqz-features";
    enum { LOOKED_AT = 512, BYTES = sizeof architecture - 1 };
    const unsigned char *data = map->data;
    if (map->bytes < 4 || memcmp(data, "GGUF", 4) != 0) return map->bytes == 0;
    for (size_t at = 4; at + BYTES <= map->bytes && at < LOOKED_AT; at++)
        if (memcmp(data + at, architecture, BYTES) == 0) return true;
    return false;
}

sqz_status sqzi_features_load(sqzi_features *f, const char *path, const char *key,
                              unsigned char *known, bool *damaged, sqz_error *error)
{
    sqzi_file_map map = {NULL, 0};
    sqzi_gguf *gguf = NULL;
    sqz_error ignored = {0};
    sqz_status status = sqzi_file_map_open(path, &map, &ignored);
    const bool there = status == SQZ_OK;
    if (there && !is_cache(&map)) {
        sqzi_file_map_close(&map);
        return sqzi_fail(error, SQZ_EOUTPUT, 0,
                         "%s: cannot write: it is no file of features; name another cache", path);
    }
    if (there) status = sqzi_gguf_open(f->allocator, path, map.data, map.bytes, &gguf, &ignored);
    if (status == SQZ_OK) status = read_file(f, &map, gguf, key, known, &ignored);
    *damaged = there && status != SQZ_OK;
    sqzi_gguf_close(gguf);
    sqzi_file_map_close(&map);
    return status == SQZ_ENOMEM ? sqzi_fail(error, status, 0, "%s", ignored.text) : SQZ_OK;
}
