/* SPDX-License-Identifier: Apache-2.0 */
/* Both ways of a kept file. */
#include "rewrite/keyed_file.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "io/checksum.h"
#include "model/loader.h"

enum { NAME_ROOM = 64 };

sqz_status sqzi_keyed_save(const sqz_allocator *allocator, const char *path, const char *kind,
                           const char *key, const sqzi_keyed_tensor *tensors, uint32_t n,
                           sqz_error *error)
{
    sqz_status status = SQZ_OK;
    char architecture[NAME_ROOM], name[NAME_ROOM];
    sqzi_gguf_writer *writer = NULL;
    sqzi_file_writer file = {0};
    snprintf(architecture, sizeof architecture, "sqz-%s", kind);
    snprintf(name, sizeof name, "sqz.%s.key", kind);
    TRY(sqzi_gguf_writer_open(allocator, &writer, error));
    sqzi_gguf_put_string(writer, "general.architecture", architecture);
    sqzi_gguf_put_string(writer, name, key);
    for (uint32_t i = 0; i < n; i++)
        sqzi_gguf_put_tensor(writer, tensors[i].name, tensors[i].type, 2,
                             (uint64_t[]){tensors[i].rows, tensors[i].width}, tensors[i].data);
    TRY(sqzi_file_writer_open(path, &file, error));
    TRY(sqzi_gguf_write(writer, &file, error));
    TRY(sqzi_file_writer_flush(&file, error));
    TRY(sqzi_checksum_put(allocator, &file, error));
    TRY(sqzi_file_writer_commit(&file, error));
fail:
    sqzi_file_writer_discard(&file);
    sqzi_gguf_writer_close(writer);
    return status;
}

static sqz_status find_tensor(const sqzi_gguf *gguf, sqzi_keyed_tensor *t, sqz_error *error)
{
    const sqzi_gguf_tensor *tensor = sqzi_gguf_find_tensor(gguf, t->name);
    if (!tensor || tensor->type != t->type || tensor->n_dims != 2 || tensor->shape[1] != t->width ||
        (t->rows && tensor->shape[0] != t->rows))
        return sqzi_fail(error, SQZ_EFORMAT, 0, "'%s' is missing, or of other sides", t->name);
    t->rows = tensor->shape[0];
    t->data = tensor->data;
    return SQZ_OK;
}

static sqz_status check(const sqzi_keyed_file *file, const char *kind, const char *key,
                        sqzi_keyed_tensor *tensors, uint32_t n, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    char name[NAME_ROOM];
    sqzi_span found = {"", 0};
    bool there = false;
    snprintf(name, sizeof name, "sqz.%s.key", kind);
    TRY(sqzi_gguf_get_string(file->gguf, name, true, &found, error));
    FAIL_IF(!sqzi_span_is(found, key), SQZ_EFORMAT, 0, "it is of something else");
    for (uint32_t i = 0; i < n; i++) TRY(find_tensor(file->gguf, &tensors[i], error));
    TRY(sqzi_checksum_check(&file->map, file->gguf, &there, error));
    FAIL_IF(!there, SQZ_EFORMAT, 0, "no checksums");
    for (uint32_t i = 0; i < n; i++)
        FAIL_IF(tensors[i].type == SQZI_F32 &&
                    sqzi_has_nonfinite(tensors[i].data, tensors[i].rows * tensors[i].width,
                                       SQZI_F32),
                SQZ_EFORMAT, 0, "a number of '%s' is not finite", tensors[i].name);
fail:
    return status;
}

/* Whether a file is one of these, whole or not: what else a name may hold is the user's. */
static bool is_of_kind(const sqzi_file_map *map, const char *kind)
{
    enum { LOOKED_AT = 512 };
    char architecture[NAME_ROOM];
    const unsigned char *data = map->data;
    const size_t n = (size_t)snprintf(architecture, sizeof architecture, "sqz-%s", kind);
    if (map->bytes < 4 || memcmp(data, "GGUF", 4) != 0) return map->bytes == 0;
    for (size_t at = 4; at + n <= map->bytes && at < LOOKED_AT; at++)
        if (memcmp(data + at, architecture, n) == 0) return true;
    return false;
}

sqz_status sqzi_keyed_open(const sqz_allocator *allocator, const char *path, const char *kind,
                           const char *key, sqzi_keyed_tensor *tensors, uint32_t n,
                           sqzi_keyed_file *file, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    *file = (sqzi_keyed_file){0};
    TRY(sqzi_file_map_open(path, &file->map, error));
    FAIL_IF(!is_of_kind(&file->map, kind), SQZ_EOUTPUT, 0,
            "%s: cannot write: it is no file of %s; name another cache", path, kind);
    TRY(sqzi_gguf_open(allocator, path, file->map.data, file->map.bytes, &file->gguf, error));
    TRY(check(file, kind, key, tensors, n, error));
fail:
    return status;
}

void sqzi_keyed_close(sqzi_keyed_file *file)
{
    sqzi_gguf_close(file->gguf);
    sqzi_file_map_close(&file->map);
}
