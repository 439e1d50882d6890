/* SPDX-License-Identifier: Apache-2.0 */
/* Writing GGUF v3: metadata and tensor list are collected as bytes, then the file is written in one
 * go. */
#include "base/error.h"
#include "io/checksum.h"

enum { ALIGNMENT = 64 };

typedef struct pending {
    const void *data; /* or, where emit is set, what it is called with */
    void *source;
    sqzi_gguf_emit *emit;
    uint64_t bytes;
} pending;

struct sqzi_gguf_writer {
    sqz_allocator allocator;
    sqzi_buffer values, tensors, data; /* data: pending[n_tensors] */
    uint64_t n_values, n_tensors, data_bytes;
    sqz_status status;
    sqz_error error;
};

sqz_status sqzi_gguf_writer_open(const sqz_allocator *allocator, sqzi_gguf_writer **out,
                                 sqz_error *error)
{
    sqzi_gguf_writer *writer = sqzi_allocate_zeroed(allocator, 1, sizeof *writer);
    if (!writer) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory to write a model file");
    writer->allocator = *allocator;
    sqzi_buffer *buffers[] = {&writer->values, &writer->tensors, &writer->data};
    for (int i = 0; i < 3; i++) {
        buffers[i]->allocator = &writer->allocator;
        buffers[i]->limit = (size_t)256 << 20;
    }
    *out = writer;
    sqzi_gguf_put_u32(writer, "general.alignment", ALIGNMENT);
    return SQZ_OK;
}

void sqzi_gguf_writer_close(sqzi_gguf_writer *writer)
{
    if (!writer) return;
    const sqz_allocator allocator = writer->allocator;
    sqzi_buffer_free(&writer->values);
    sqzi_buffer_free(&writer->tensors);
    sqzi_buffer_free(&writer->data);
    sqzi_release(&allocator, writer, sizeof *writer);
}

static void append(sqzi_gguf_writer *writer, sqzi_buffer *buffer, const void *data, size_t bytes)
{
    if (writer->status == SQZ_OK)
        writer->status = sqzi_buffer_append(buffer, data, bytes, &writer->error);
}

static void append_uint(sqzi_gguf_writer *writer, sqzi_buffer *buffer, uint64_t x, size_t bytes)
{
    unsigned char little[8];
    for (size_t i = 0; i < bytes; i++) little[i] = (unsigned char)(x >> (8 * i));
    append(writer, buffer, little, bytes);
}

static void append_string(sqzi_gguf_writer *writer, sqzi_buffer *buffer, sqzi_span string)
{
    append_uint(writer, buffer, string.n, 8);
    append(writer, buffer, string.bytes, string.n);
}

static void begin_value(sqzi_gguf_writer *writer, const char *key, sqzi_gguf_type type)
{
    append_string(writer, &writer->values, sqzi_span_of(key));
    append_uint(writer, &writer->values, type, 4);
    writer->n_values++;
}

static void begin_array(sqzi_gguf_writer *writer, const char *key, sqzi_gguf_type type, size_t n)
{
    begin_value(writer, key, SQZI_GGUF_ARRAY);
    append_uint(writer, &writer->values, type, 4);
    append_uint(writer, &writer->values, n, 8);
}

static uint64_t bits_of(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

void sqzi_gguf_put_u32(sqzi_gguf_writer *writer, const char *key, uint32_t value)
{
    begin_value(writer, key, SQZI_GGUF_U32);
    append_uint(writer, &writer->values, value, 4);
}

void sqzi_gguf_put_u64(sqzi_gguf_writer *writer, const char *key, uint64_t value)
{
    begin_value(writer, key, SQZI_GGUF_U64);
    append_uint(writer, &writer->values, value, 8);
}

void sqzi_gguf_put_f64(sqzi_gguf_writer *writer, const char *key, double value)
{
    begin_value(writer, key, SQZI_GGUF_F64);
    append_uint(writer, &writer->values, bits_of(value), 8);
}

void sqzi_gguf_put_bool(sqzi_gguf_writer *writer, const char *key, bool value)
{
    begin_value(writer, key, SQZI_GGUF_BOOL);
    append_uint(writer, &writer->values, value, 1);
}

void sqzi_gguf_put_string(sqzi_gguf_writer *writer, const char *key, const char *value)
{
    sqzi_gguf_put_span(writer, key, sqzi_span_of(value));
}

void sqzi_gguf_put_span(sqzi_gguf_writer *writer, const char *key, sqzi_span value)
{
    begin_value(writer, key, SQZI_GGUF_STRING);
    append_string(writer, &writer->values, value);
}

void sqzi_gguf_put_u32s(sqzi_gguf_writer *writer, const char *key, const uint32_t *values, size_t n)
{
    begin_array(writer, key, SQZI_GGUF_U32, n);
    for (size_t i = 0; i < n; i++) append_uint(writer, &writer->values, values[i], 4);
}

void sqzi_gguf_put_f64s(sqzi_gguf_writer *writer, const char *key, const double *values, size_t n)
{
    begin_array(writer, key, SQZI_GGUF_F64, n);
    for (size_t i = 0; i < n; i++) append_uint(writer, &writer->values, bits_of(values[i]), 8);
}

void sqzi_gguf_put_strings(sqzi_gguf_writer *writer, const char *key, const sqzi_span *values,
                           size_t n)
{
    begin_array(writer, key, SQZI_GGUF_STRING, n);
    for (size_t i = 0; i < n; i++) append_string(writer, &writer->values, values[i]);
}

/* Where the last item ends tells how many bytes there are to copy. */
static size_t value_bytes(const sqzi_gguf_value *value)
{
    static const unsigned char scalar[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    if (value->type != SQZI_GGUF_STRING) return (size_t)value->n * scalar[value->type];
    const unsigned char *at = value->data;
    for (uint64_t i = 0; i < value->n; i++) (void)sqzi_gguf_next_string(&at);
    return (size_t)(at - value->data);
}

void sqzi_gguf_put_value(sqzi_gguf_writer *writer, const sqzi_gguf_value *value)
{
    append_string(writer, &writer->values, value->key);
    if (value->is_array) append_uint(writer, &writer->values, SQZI_GGUF_ARRAY, 4);
    append_uint(writer, &writer->values, value->type, 4);
    if (value->is_array) append_uint(writer, &writer->values, value->n, 8);
    append(writer, &writer->values, value->data, value_bytes(value));
    writer->n_values++;
}

static const struct {
    uint32_t number, bytes; /* GGML's */
} tensor_types[] = {
    [SQZI_F32] = {0, 4}, [SQZI_F16] = {1, 2},  [SQZI_BF16] = {30, 2},
    [SQZI_S8] = {24, 1}, [SQZI_I32] = {26, 4}, [SQZI_F64] = {28, 8},
};

static void put_tensor(sqzi_gguf_writer *writer, const char *name, sqzi_type type, uint32_t n_dims,
                       const uint64_t *shape, pending item)
{
    append_string(writer, &writer->tensors, sqzi_span_of(name));
    append_uint(writer, &writer->tensors, n_dims, 4);
    item.bytes = tensor_types[type].bytes;
    for (uint32_t i = n_dims; i-- > 0;) {
        append_uint(writer, &writer->tensors, shape[i], 8);
        item.bytes *= shape[i];
    }
    append_uint(writer, &writer->tensors, tensor_types[type].number, 4);
    append_uint(writer, &writer->tensors, writer->data_bytes, 8);
    append(writer, &writer->data, &item, sizeof item);
    writer->data_bytes += (item.bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    writer->n_tensors++;
}

void sqzi_gguf_put_tensor(sqzi_gguf_writer *writer, const char *name, sqzi_type type,
                          uint32_t n_dims, const uint64_t *shape, const void *data)
{
    put_tensor(writer, name, type, n_dims, shape, (pending){data, NULL, NULL, 0});
}

void sqzi_gguf_put_tensor_by(sqzi_gguf_writer *writer, const char *name, sqzi_type type,
                             uint32_t n_dims, const uint64_t *shape, sqzi_gguf_emit *emit,
                             void *source)
{
    put_tensor(writer, name, type, n_dims, shape, (pending){NULL, source, emit, 0});
}

static sqz_status pad(sqzi_file_writer *file, uint64_t bytes, sqz_error *error)
{
    static const unsigned char zeros[ALIGNMENT];
    return sqzi_file_writer_put(file, zeros, (size_t)((ALIGNMENT - bytes % ALIGNMENT) % ALIGNMENT),
                                error);
}

enum { HEAD = 24 }; /* bytes before the metadata */

static sqz_status write_header(sqzi_gguf_writer *writer, sqzi_file_writer *file, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_buffer head = {.allocator = &writer->allocator, .limit = HEAD};
    append(writer, &head, "GGUF\3\0\0\0", 8);
    append_uint(writer, &head, writer->n_tensors, 8);
    append_uint(writer, &head, writer->n_values, 8);
    FAIL_IF(writer->status != SQZ_OK, writer->status, writer->error.offset, "%s",
            writer->error.text);
    TRY(sqzi_file_writer_put(file, head.data, head.used, error));
    TRY(sqzi_file_writer_put(file, writer->values.data, writer->values.used, error));
    TRY(sqzi_file_writer_put(file, writer->tensors.data, writer->tensors.used, error));
    TRY(pad(file, HEAD + writer->values.used + writer->tensors.used, error));
fail:
    sqzi_buffer_free(&head);
    return status;
}

/* Room for the checksums, behind all other metadata. */
static void put_checksums(sqzi_gguf_writer *writer)
{
    static const char zeros[] = "0000000000000000000000000000000000000000000000000000000000000000";
    sqzi_gguf_put_string(writer, SQZI_CHECKSUM_HEADER, zeros);
    sqzi_gguf_put_string(writer, SQZI_CHECKSUM_TENSORS, zeros);
    begin_array(writer, SQZI_CHECKSUM_THROUGH, SQZI_GGUF_STRING, (size_t)writer->n_tensors);
    for (uint64_t i = 0; i < writer->n_tensors; i++)
        append_string(writer, &writer->values, sqzi_span_of(zeros));
}

sqz_status sqzi_gguf_write(sqzi_gguf_writer *writer, sqzi_file_writer *file, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    put_checksums(writer);
    TRY(write_header(writer, file, error));
    for (uint64_t i = 0; i < writer->n_tensors; i++) {
        pending item;
        memcpy(&item, writer->data.data + i * sizeof item, sizeof item);
        if (item.emit)
            TRY(item.emit(item.source, file, error));
        else
            TRY(sqzi_file_writer_put(file, item.data, (size_t)item.bytes, error));
        TRY(pad(file, item.bytes, error));
    }
fail:
    return status;
}

sqz_status sqzi_gguf_bytes(sqzi_gguf_writer *writer, uint64_t *bytes, sqz_error *error)
{
    put_checksums(writer);
    const uint64_t header = HEAD + writer->values.used + writer->tensors.used;
    *bytes = (header + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT + writer->data_bytes;
    return writer->status == SQZ_OK ? SQZ_OK
                                    : sqzi_fail(error, writer->status, writer->error.offset, "%s",
                                                writer->error.text);
}
