/* SPDX-License-Identifier: Apache-2.0 */
/* safetensors: eight bytes of header length, a JSON header of names to type, shape and range, then
 * the data. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "import/json_file.h"
#include "import/source_tensors.h"

enum { MAX_HEADER = 100 << 20, MAX_INDEXED = 65536 };

static const struct {
    const char *name;
    sqzi_type type;
    uint32_t bytes;
} types[] = {{"F32", SQZI_F32, 4}, {"F16", SQZI_F16, 2}, {"BF16", SQZI_BF16, 2},
             {"F64", SQZI_F64, 8}, {"I64", SQZI_I32, 8}, {"I32", SQZI_I32, 4},
             {"I16", SQZI_I32, 2}, {"I8", SQZI_I32, 1},  {"U8", SQZI_I32, 1},
             {"BOOL", SQZI_I32, 1}};

static sqz_status read_shape(const json_t *shape, const char *file, sqzi_source_tensor *tensor,
                             sqz_error *error)
{
    if (!json_is_array(shape) || json_array_size(shape) > 4)
        return sqzi_fail(error, SQZ_EFORMAT, 0,
                         "%s: tensor '%s' has no shape of at most 4 dimensions", file,
                         tensor->name);
    tensor->n_dims = (uint32_t)json_array_size(shape);
    tensor->n = 1;
    for (uint32_t d = 0; d < tensor->n_dims; d++) {
        const json_t *size = json_array_get(shape, d);
        const json_int_t value = json_integer_value(size);
        size_t product;
        if (!json_is_integer(size) || value < 0 ||
            !sqzi_multiply((size_t)tensor->n, (size_t)value, &product))
            return sqzi_fail(error, SQZ_EFORMAT, 0, "%s: dimension %u of tensor '%s' is no size",
                             file, d, tensor->name);
        tensor->shape[d] = (uint64_t)value;
        tensor->n = product;
    }
    return SQZ_OK;
}

static sqz_status read_tensor(const sqzi_source_shard *shard, const char *name, const json_t *entry,
                              uint64_t data_begin, sqzi_source_tensor *tensor, sqz_error *error)
{
    const char *type = json_string_value(json_object_get(entry, "dtype"));
    const json_t *range = json_object_get(entry, "data_offsets");
    *tensor = (sqzi_source_tensor){.name = name, .file = shard->path};
    size_t t = 0;
    while (t < sizeof types / sizeof *types && (!type || strcmp(type, types[t].name) != 0)) t++;
    if (t == sizeof types / sizeof *types)
        return sqzi_fail(error, SQZ_EUNSUPPORTED, 0,
                         "%s: tensor '%s' is of type '%s', which cannot be read", shard->path, name,
                         type ? type : "none");
    tensor->type = types[t].type;
    sqz_status status = read_shape(json_object_get(entry, "shape"), shard->path, tensor, error);
    if (status != SQZ_OK) return status;
    const json_int_t begin = json_integer_value(json_array_get(range, 0)),
                     end = json_integer_value(json_array_get(range, 1));
    size_t bytes;
    const bool sized = sqzi_multiply((size_t)tensor->n, types[t].bytes, &bytes);
    const uint64_t room = shard->map.bytes - data_begin;
    if (!json_is_array(range) || json_array_size(range) != 2 || begin < 0 || end < begin ||
        (uint64_t)end > room || !sized || (uint64_t)(end - begin) != bytes)
        return sqzi_fail(error, SQZ_EFORMAT, data_begin,
                         "%s: tensor '%s' claims bytes %" JSON_INTEGER_FORMAT
                         " to %" JSON_INTEGER_FORMAT " of %" PRIu64 ", its shape needs %zu",
                         shard->path, name, begin, end, room, bytes);
    tensor->data = shard->map.data + data_begin + begin;
    return SQZ_OK;
}

static int by_place(const void *a, const void *b)
{
    const sqzi_source_tensor *x = a, *y = b;
    return x->data < y->data ? -1 : x->data > y->data;
}

/* Ranges of one file must not overlap: sorted by place, each must end before the next begins. */
static sqz_status check_overlap(sqzi_source_tensor *tensors, size_t n, sqz_error *error)
{
    qsort(tensors, n, sizeof *tensors, by_place);
    for (size_t i = 1; i < n; i++) {
        const sqzi_source_tensor *before = &tensors[i - 1];
        const uint64_t size = before->type == SQZI_F64   ? 8
                              : before->type == SQZI_F32 ? 4
                              : before->type == SQZI_I32 ? 1
                                                         : 2;
        if (before->data + before->n * size > tensors[i].data)
            return sqzi_fail(error, SQZ_EFORMAT, 0, "%s: tensors '%s' and '%s' overlap",
                             before->file, before->name, tensors[i].name);
    }
    return SQZ_OK;
}

static sqz_status read_safetensors(sqzi_source *source, sqzi_source_shard *shard, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    uint64_t length = 0;
    const size_t before = source->tensors.used;
    FAIL_IF(shard->map.bytes < 8, SQZ_EFORMAT, 0,
            "%s: %zu bytes, a safetensors file begins with 8 bytes of header length", shard->path,
            shard->map.bytes);
    for (int i = 7; i >= 0; i--) length = length << 8 | shard->map.data[i];
    FAIL_IF(length > MAX_HEADER || length > shard->map.bytes - 8, SQZ_EFORMAT, 0,
            "%s: a header of %" PRIu64 " bytes in a file of %zu (at most %d are read)", shard->path,
            length, shard->map.bytes, MAX_HEADER);
    TRY(sqzi_json_parse((sqzi_json_text){shard->path, shard->map.data + 8, (size_t)length,
                                         shard->map.bytes, true},
                        &source->json_spare, &shard->header, error));
    FAIL_IF(!json_is_object(shard->header), SQZ_EFORMAT, 8, "%s: the header is no JSON object",
            shard->path);
    const char *name;
    json_t *entry;
    json_object_foreach(shard->header, name, entry)
    {
        if (strcmp(name, "__metadata__") == 0) continue;
        sqzi_source_tensor tensor;
        TRY(read_tensor(shard, name, entry, 8 + length, &tensor, error));
        TRY(sqzi_buffer_append(&source->tensors, &tensor, sizeof tensor, error));
    }
    if (source->tensors.used > before)
        TRY(check_overlap((sqzi_source_tensor *)(void *)(source->tensors.data + before),
                          (source->tensors.used - before) / sizeof(sqzi_source_tensor), error));
fail:
    return status;
}

static sqz_status read_shard(sqzi_source *source, sqzi_source_shard *shard, sqz_error *error)
{
    const size_t n = strlen(shard->path);
    const sqz_status status = sqzi_file_map_open(shard->path, &shard->map, error);
    if (status != SQZ_OK) return status;
    return n > 4 && strcmp(shard->path + n - 4, ".bin") == 0
               ? sqzi_source_read_archive(source, shard, error)
               : read_safetensors(source, shard, error);
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
    json_object_foreach(map, name, file)
    {
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
    json_object_foreach(map, name, file)
    {
        if (!sqzi_source_find(source, name))
            return sqzi_fail(error, SQZ_EFORMAT, 0,
                             "%s/%s: the tensor '%s', which the index places there, is missing",
                             folder, json_string_value(file), name);
    }
    return SQZ_OK;
}

/* The first that is there of: one file or the files of an index, safetensors before PyTorch
 * archives. */
static sqz_status add_files(sqzi_source *source, const char *folder, sqz_error *error)
{
    static const char *const whole[] = {"model.safetensors", "pytorch_model.bin"},
                             *const indexed[] = {"model.safetensors.index.json",
                                                 "pytorch_model.bin.index.json"};
    for (int i = 0; i < 2; i++) {
        char path[SQZI_JSON_PATH];
        json_t *index = NULL;
        sqz_status status = sqzi_join_path(folder, whole[i], path, error);
        if (status != SQZ_OK) return status;
        if (sqzi_file_exists(path)) {
            status = add_shard(source, folder, whole[i], error);
            return status == SQZ_OK ? sort_by_name(source, error) : status;
        }
        status = sqzi_json_load(folder, indexed[i], false, &index, error);
        if (status == SQZ_OK && !index) continue;
        if (status == SQZ_OK) status = add_indexed(source, folder, indexed[i], index, error);
        json_decref(index);
        return status;
    }
    return sqzi_fail(
        error, SQZ_EIO, 0,
        "%s holds neither model.safetensors nor pytorch_model.bin, nor an index of their parts",
        folder);
}

sqz_status sqzi_source_open(const sqz_allocator *allocator, const char *folder, sqzi_source *source,
                            sqz_error *error)
{
    *source = (sqzi_source){.allocator = allocator,
                            .tensors = {.allocator = allocator, .limit = 64 << 20},
                            .json_spare = SQZI_JSON_SPARE};
    source->shards = sqzi_allocate_zeroed(allocator, SQZI_MAX_SHARDS, sizeof *source->shards);
    return source->shards ? add_files(source, folder, error)
                          : sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for a list of files");
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
