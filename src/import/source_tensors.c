/* SPDX-License-Identifier: Apache-2.0 */
/* Which files of a folder hold its weights, and the list of their tensors by name. What lies there
 * instead of weights is named. */
#include "import/source_tensors.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "import/folder_contents.h"
#include "import/json_file.h"
#include "import/lfs_pointer.h"

enum { MAX_INDEXED = 65536 };

static sqz_status read_shard(sqzi_source *source, sqzi_source_shard *shard, sqz_error *error)
{
    const sqz_status status = sqzi_file_map_open(shard->path, &shard->map, error);
    if (status != SQZ_OK) return status;
    if (sqzi_is_lfs_pointer(shard->map.data, shard->map.bytes))
        return sqzi_lfs_pointer_fail(shard->path, error);
    const char *foreign = sqzi_foreign_weights(shard->map.data, shard->map.bytes);
    if (foreign) return sqzi_fail(error, SQZ_EFORMAT, 0, "%s is %s", shard->path, foreign);
    return sqzi_ends_with(shard->path, ".safetensors")
               ? sqzi_source_read_safetensors(source, shard, error)
               : sqzi_source_read_archive(source, shard, error);
}

static sqz_status add_shard(sqzi_source *source, const char *folder, const char *name,
                            sqz_error *error)
{
    char path[SQZI_JSON_PATH];
    const sqz_status status = sqzi_join_path(folder, name, path, error);
    if (status != SQZ_OK) return status;
    for (uint32_t i = 0; i < source->n_shards; i++)
        if (strcmp(source->shards[i].path, path) == 0) return SQZ_OK;
    if (source->n_shards == SQZI_MAX_SHARDS)
        return sqzi_fail(error, SQZ_ELIMIT, 0, "%s: more than %d files of weights", folder,
                         SQZI_MAX_SHARDS);
    sqzi_source_shard *shard = &source->shards[source->n_shards];
    shard->path = sqzi_allocate(source->allocator, strlen(path) + 1);
    if (!shard->path) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for a path");
    memcpy(shard->path, path, strlen(path) + 1);
    source->n_shards++;
    return read_shard(source, shard, error);
}

static int by_name(const void *a, const void *b)
{
    const sqzi_source_tensor *x = a, *y = b;
    return strcmp(x->name, y->name);
}

/* For sqzi_source_find; and no name may come twice, in one file or in two. */
static sqz_status sort_by_name(sqzi_source *source, sqz_error *error)
{
    const uint32_t n = sqzi_source_n(source);
    if (n == 0) return SQZ_OK;
    sqzi_source_tensor *tensors = sqzi_source_at(source, 0);
    qsort(tensors, n, sizeof *tensors, by_name);
    for (uint32_t i = 1; i < n; i++)
        if (strcmp(tensors[i - 1].name, tensors[i].name) == 0)
            return sqzi_fail(error, SQZ_EFORMAT, 0, "%s: tensor '%s' comes twice, here or in %s",
                             tensors[i].file, tensors[i].name, tensors[i - 1].file);
    return SQZ_OK;
}

/* The files that an index names, each once. A name must stay in the folder. */
static sqz_status add_indexed(sqzi_source *source, const char *folder, const char *index_name,
                              const json_t *index, sqz_error *error)
{
    json_t *map = json_object_get(index, "weight_map"), *file;
    const char *name;
    if (!json_is_object(map))
        return sqzi_fail(error, SQZ_EFORMAT, 0, "%s/%s: 'weight_map' is missing", folder,
                         index_name);
    if (json_object_size(map) > MAX_INDEXED)
        return sqzi_fail(error, SQZ_ELIMIT, 0, "%s/%s: %zu tensors, at most %d are read", folder,
                         index_name, json_object_size(map), MAX_INDEXED);
    json_object_foreach (map, name, file) {
        const char *text = json_string_value(file);
        if (!text || strchr(text, '/') || strcmp(text, "..") == 0)
            return sqzi_fail(error, SQZ_EFORMAT, 0,
                             "%s/%s: tensor '%s' is in no file of this folder", folder, index_name,
                             name);
        const sqz_status status = add_shard(source, folder, text, error);
        if (status != SQZ_OK) return status;
    }
    const sqz_status status = sort_by_name(source, error);
    if (status != SQZ_OK) return status;
    json_object_foreach (map, name, file) {
        if (!sqzi_source_find(source, name))
            return sqzi_fail(error, SQZ_EFORMAT, 0,
                             "%s/%s: the tensor '%s', which the index places there, is missing",
                             folder, json_string_value(file), name);
    }
    return SQZ_OK;
}

static sqz_status add_index(sqzi_source *source, const char *folder, const char *name,
                            sqz_error *error)
{
    json_t *index = NULL;
    sqz_status status = sqzi_json_load(folder, name, true, &index, error);
    if (status == SQZ_OK) status = add_indexed(source, folder, name, index, error);
    json_decref(index);
    return status;
}

/* One file, or those of an index. */
static sqz_status add_file(sqzi_source *source, const char *folder, const char *name,
                           sqz_error *error)
{
    if (sqzi_ends_with(name, ".index.json")) return add_index(source, folder, name, error);
    const sqz_status status = add_shard(source, folder, name, error);
    return status == SQZ_OK ? sort_by_name(source, error) : status;
}

/* The first that is there, in the order of Transformers. */
static sqz_status add_usual(sqzi_source *source, const char *folder, sqz_error *error)
{
    static const char *const usual[] = {"model.safetensors", "model.safetensors.index.json",
                                        "pytorch_model.bin", "pytorch_model.bin.index.json"};
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++) {
        char path[SQZI_JSON_PATH];
        const sqz_status status = sqzi_join_path(folder, usual[i], path, error);
        if (status != SQZ_OK) return status;
        if (sqzi_file_exists(path)) return add_file(source, folder, usual[i], error);
    }
    return sqzi_fail_no_weights(folder, error);
}

sqz_status sqzi_source_open(const sqz_allocator *allocator, const char *folder, const char *file,
                            sqzi_source *source, sqz_error *error)
{
    *source = (sqzi_source){.allocator = allocator,
                            .tensors = {.allocator = allocator, .limit = 64 << 20},
                            .json_spare = SQZI_JSON_SPARE};
    source->shards = sqzi_allocate_zeroed(allocator, SQZI_MAX_SHARDS, sizeof *source->shards);
    if (!source->shards) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for a list of files");
    return file ? add_file(source, folder, file, error) : add_usual(source, folder, error);
}

void sqzi_source_close(sqzi_source *source)
{
    for (uint32_t i = 0; i < source->n_shards; i++) {
        sqzi_source_shard *shard = &source->shards[i];
        sqzi_file_map_close(&shard->map);
        json_decref(shard->header);
        if (shard->names) sqzi_release(source->allocator, shard->names, shard->n_names);
        sqzi_release(source->allocator, shard->path, strlen(shard->path) + 1);
    }
    if (source->shards)
        sqzi_release(source->allocator, source->shards, SQZI_MAX_SHARDS * sizeof *source->shards);
    sqzi_buffer_free(&source->tensors);
}

uint32_t sqzi_source_n(const sqzi_source *source)
{
    return (uint32_t)(source->tensors.used / sizeof(sqzi_source_tensor));
}

sqzi_source_tensor *sqzi_source_at(const sqzi_source *source, uint32_t i)
{
    return (sqzi_source_tensor *)(void *)source->tensors.data + i;
}

sqzi_source_tensor *sqzi_source_find(const sqzi_source *source, const char *name)
{
    const sqzi_source_tensor wanted = {.name = name};
    return sqzi_source_n(source) ? bsearch(&wanted, sqzi_source_at(source, 0),
                                           sqzi_source_n(source), sizeof wanted, by_name)
                                 : NULL;
}
