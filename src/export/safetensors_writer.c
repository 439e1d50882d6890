/* SPDX-License-Identifier: Apache-2.0 */
/* The header is JSON, padded with spaces to a multiple of 8; "format": "pt" is what Transformers
 * asks of it. Names are ours and need no escapes. */
#include "export/safetensors_writer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

enum { MAX_HEADER = 64 << 20 };

static uint64_t bytes_of(const sqzi_tensor_out *t)
{
    uint64_t n = t->type == SQZI_F32 ? 4 : 2;
    for (uint32_t d = 0; d < t->n_dims; d++) n *= t->shape[d];
    return n;
}

static const char *type_name(sqzi_type type)
{
    return type == SQZI_F32 ? "F32" : type == SQZI_F16 ? "F16" : "BF16";
}

static sqz_status describe(sqzi_buffer *header, const sqzi_tensor_out *t, uint64_t begin,
                           sqz_error *error)
{
    char text[512];
    int n = snprintf(text, sizeof text, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", t->name,
                     type_name(t->type));
    for (uint32_t d = 0; d < t->n_dims; d++)
        n += snprintf(text + n, sizeof text - (size_t)n, "%s%" PRIu64, d ? "," : "", t->shape[d]);
    n += snprintf(text + n, sizeof text - (size_t)n,
                  "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", begin, begin + bytes_of(t));
    return sqzi_buffer_append(header, text, (size_t)n, error);
}

static bool wide(const sqzi_tensor_out *t)
{
    return t->type == SQZI_F32;
}

sqz_status sqzi_safetensors_write(const sqz_allocator *allocator, const sqzi_tensor_out *tensors,
                                  size_t n, sqzi_file_writer *file, sqz_error *error)
{
    static const char begin[] = "{\"__metadata__\":{\"format\":\"pt\"}";
    sqz_status status = SQZ_OK;
    sqzi_buffer header = {.allocator = allocator, .limit = MAX_HEADER};
    uint64_t at = 0;
    TRY(sqzi_buffer_append(&header, begin, sizeof begin - 1, error));
    for (int pass = 1; pass >= 0; pass--)
        for (size_t i = 0; i < n; i++) {
            if (wide(&tensors[i]) != pass) continue;
            TRY(describe(&header, &tensors[i], at, error));
            at += bytes_of(&tensors[i]);
        }
    TRY(sqzi_buffer_append(&header, "}       ", 1 + 7 - header.used % 8, error));
    unsigned char length[8];
    for (int i = 0; i < 8; i++) length[i] = (unsigned char)((uint64_t)header.used >> (8 * i));
    TRY(sqzi_file_writer_put(file, length, sizeof length, error));
    TRY(sqzi_file_writer_put(file, header.data, header.used, error));
    for (int pass = 1; pass >= 0; pass--)
        for (size_t i = 0; i < n; i++)
            if (wide(&tensors[i]) == pass) TRY(tensors[i].emit(tensors[i].source, file, error));
fail:
    sqzi_buffer_free(&header);
    return status;
}
