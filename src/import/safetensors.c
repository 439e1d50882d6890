/* SPDX-License-Identifier: Apache-2.0 */
/* safetensors: eight bytes of header length, a JSON header of names to type, shape and range, then
 * the data. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "import/json_file.h"
#include "import/source_tensors.h"

enum { MAX_HEADER = 100 << 20 };

static const struct {
    const char *name;
    sqzi_type type;
    uint32_t bytes;
} types[] = {{"F32", SQZI_F32, 4}, {"F16", SQZI_F16, 2}, {"BF16", SQZI_BF16, 2},
             {"F64", SQZI_F64, 8}, {"I64", SQZI_I32, 8}, {"I32", SQZI_I32, 4},
             {"I16", SQZI_I32, 2}, {"I8", SQZI_I32, 1},  {"U8", SQZI_I32, 1},
             {"BOOL", SQZI_I32, 1}};

/* More dimensions than a tensor of these models has are counted and not kept. */
static sqz_status read_shape(const json_t *shape, const char *file, sqzi_source_tensor *tensor,
                             sqz_error *error)
{
    const size_t n_dims = json_array_size(shape);
    if (!json_is_array(shape))
        return sqzi_fail(error, SQZ_EFORMAT, 0, "%s: tensor '%s' has no shape", file, tensor->name);
    if (n_dims > 4) tensor->unread = "it has more than 4 dimensions";
    tensor->n_dims = n_dims > 4 ? 0 : (uint32_t)n_dims;
    tensor->n = 1;
    for (size_t d = 0; d < n_dims; d++) {
        const json_t *size = json_array_get(shape, d);
        const json_int_t value = json_integer_value(size);
        size_t product;
        if (!json_is_integer(size) || value < 0 ||
            !sqzi_multiply((size_t)tensor->n, (size_t)value, &product))
            return sqzi_fail(error, SQZ_EFORMAT, 0, "%s: dimension %zu of tensor '%s' is no size",
                             file, d, tensor->name);
        if (n_dims <= 4) tensor->shape[d] = (uint64_t)value;
        tensor->n = product;
    }
    return SQZ_OK;
}

/* Bytes of one number, 0 where the type is not known; the range tells then. */
static uint32_t read_type(const json_t *entry, sqzi_source_tensor *tensor)
{
    const char *type = json_string_value(json_object_get(entry, "dtype"));
    for (size_t t = 0; type && t < sizeof types / sizeof *types; t++)
        if (strcmp(type, types[t].name) == 0) {
            tensor->type = types[t].type;
            return types[t].bytes;
        }
    tensor->unread = "its type is none of F64, F32, F16, BF16 and the integers up to I64";
    return 0;
}

static sqz_status read_tensor(const sqzi_source_shard *shard, const char *name, const json_t *entry,
                              uint64_t data_begin, sqzi_source_tensor *tensor, sqz_error *error)
{
    const json_t *range = json_object_get(entry, "data_offsets");
    *tensor = (sqzi_source_tensor){.name = name, .file = shard->path};
    const uint32_t number_bytes = read_type(entry, tensor);
    sqz_status status = read_shape(json_object_get(entry, "shape"), shard->path, tensor, error);
    if (status != SQZ_OK) return status;
    const json_int_t begin = json_integer_value(json_array_get(range, 0)),
                     end = json_integer_value(json_array_get(range, 1));
    size_t bytes = 0;
    const bool sized = sqzi_multiply((size_t)tensor->n, number_bytes, &bytes);
    const uint64_t room = shard->map.bytes - data_begin;
    if (!json_is_array(range) || json_array_size(range) != 2 || begin < 0 || end < begin ||
        (uint64_t)end > room || (number_bytes && (!sized || (uint64_t)(end - begin) != bytes)))
        return sqzi_fail(error, SQZ_EFORMAT, data_begin,
                         "%s: tensor '%s' claims bytes %" JSON_INTEGER_FORMAT
                         " to %" JSON_INTEGER_FORMAT " of %" PRIu64 ", its shape needs %zu",
                         shard->path, name, begin, end, room, bytes);
    tensor->data = shard->map.data + data_begin + begin;
    tensor->bytes = (uint64_t)(end - begin);
    return SQZ_OK;
}

/* Of two at one place the shorter first: an empty one overlaps with nothing. */
static int by_place(const void *a, const void *b)
{
    const sqzi_source_tensor *x = a, *y = b;
    if (x->data != y->data) return x->data < y->data ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

/* Ranges of one file must not overlap: sorted by place, each must end before the next begins. */
static sqz_status check_overlap(sqzi_source_tensor *tensors, size_t n, sqz_error *error)
{
    qsort(tensors, n, sizeof *tensors, by_place);
    for (size_t i = 1; i < n; i++) {
        const sqzi_source_tensor *before = &tensors[i - 1];
        if (before->data + before->bytes > tensors[i].data)
            return sqzi_fail(error, SQZ_EFORMAT, 0, "%s: tensors '%s' and '%s' overlap",
                             before->file, before->name, tensors[i].name);
    }
    return SQZ_OK;
}

sqz_status sqzi_source_read_safetensors(sqzi_source *source, sqzi_source_shard *shard,
                                        sqz_error *error)
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
