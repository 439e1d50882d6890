/* SPDX-License-Identifier: Apache-2.0 */
/* GGUF v3: the container of a model file (doc/format.md), read from a mapping without copying, and
 * written.
 *
 * The reader checks everything a later access relies on (ranges, alignment, duplicates, UTF-8 of
 * keys and names, limits) once, in open; the accessors then cannot fail. Strings of the file are
 * not NUL-terminated: they are sqzi_span.
 */
#ifndef SQZI_GGUF_H
#define SQZI_GGUF_H

#include <stdbool.h>

#include "base/file_map.h"
#include "base/file_writer.h"
#include "base/memory.h"
#include "base/real.h"
#include "base/span.h"

typedef enum sqzi_gguf_type {
    SQZI_GGUF_U8,
    SQZI_GGUF_I8,
    SQZI_GGUF_U16,
    SQZI_GGUF_I16,
    SQZI_GGUF_U32,
    SQZI_GGUF_I32,
    SQZI_GGUF_F32,
    SQZI_GGUF_BOOL,
    SQZI_GGUF_STRING,
    SQZI_GGUF_ARRAY,
    SQZI_GGUF_U64,
    SQZI_GGUF_I64,
    SQZI_GGUF_F64
} sqzi_gguf_type; /* the numbers are GGUF's */

typedef struct sqzi_gguf_value {
    sqzi_span key;
    sqzi_gguf_type type;      /* of the value, or of the items where is_array */
    bool is_array;
    uint64_t n;               /* items; 1 for a scalar */
    /* first item in the file, unaligned; strings: u64 length, then bytes, one behind the other */
    const unsigned char *data;
    uint64_t offset;          /* of the value in the file */
} sqzi_gguf_value;

typedef struct sqzi_gguf_tensor {
    sqzi_span name;
    sqzi_type type;
    uint32_t n_dims;
    uint64_t shape[4];        /* slowest first; 1 beyond n_dims */
    uint64_t n;               /* numbers */
    uint64_t bytes;
    uint64_t offset;          /* in the file */
    const void *data;         /* aligned to 64 in the mapping */
} sqzi_gguf_tensor;

typedef struct sqzi_gguf sqzi_gguf;

/* Read a GGUF file from memory; `name` stands in error texts. The bytes must outlive the reader.
 * SQZ_EFORMAT with the byte offset, SQZ_ELIMIT, SQZ_EUNSUPPORTED (version, tensor type),
 * SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_gguf_open(const sqz_allocator *allocator, const char *name,
                                        const void *data, size_t bytes, sqzi_gguf **gguf,
                                        sqz_error *error);
void sqzi_gguf_close(sqzi_gguf *gguf);

uint32_t sqzi_gguf_n_values(const sqzi_gguf *gguf);
const sqzi_gguf_value *sqzi_gguf_value_at(const sqzi_gguf *gguf, uint32_t i);
/* NULL when absent */
const sqzi_gguf_value *sqzi_gguf_find(const sqzi_gguf *gguf, const char *key);
/* Where the data of the tensors begin, in the file. */
uint64_t sqzi_gguf_data_begin(const sqzi_gguf *gguf);
uint32_t sqzi_gguf_n_tensors(const sqzi_gguf *gguf);
const sqzi_gguf_tensor *sqzi_gguf_tensor_at(const sqzi_gguf *gguf, uint32_t i);
const sqzi_gguf_tensor *sqzi_gguf_find_tensor(const sqzi_gguf *gguf, const char *name);

/* Items of an array (or the scalar as item 0), converted; i < n. Integers come from any integer
 * type, floats from F32 or F64. */
uint64_t sqzi_gguf_uint(const sqzi_gguf_value *value, uint64_t i);
double sqzi_gguf_float(const sqzi_gguf_value *value, uint64_t i);
/* Walk the strings of an array: *cursor begins at value->data and is moved on. */
sqzi_span sqzi_gguf_next_string(const unsigned char **cursor);

/* Typed lookup with the error a reader gives. required = false: an absent key leaves *out as it is.
 * SQZ_EFORMAT names key, found type and expected type. */
SQZ_NODISCARD sqz_status sqzi_gguf_get_u32(const sqzi_gguf *gguf, const char *key, bool required,
                                           uint32_t *out, sqz_error *error);
SQZ_NODISCARD sqz_status sqzi_gguf_get_f64(const sqzi_gguf *gguf, const char *key, bool required,
                                           double *out, sqz_error *error);
SQZ_NODISCARD sqz_status sqzi_gguf_get_bool(const sqzi_gguf *gguf, const char *key, bool required,
                                            bool *out, sqz_error *error);
SQZ_NODISCARD sqz_status sqzi_gguf_get_string(const sqzi_gguf *gguf, const char *key, bool required,
                                              sqzi_span *out, sqz_error *error);
/* n: items demanded, or UINT64_MAX for any number. *out NULL when absent and not required. */
SQZ_NODISCARD sqz_status sqzi_gguf_get_array(const sqzi_gguf *gguf, const char *key,
                                             sqzi_gguf_type type, uint64_t n, bool required,
                                             const sqzi_gguf_value **out, sqz_error *error);

/* The writer collects metadata in memory and tensor descriptions with a function that produces
 * their bytes, then writes the file in one go. Keys and names are copied; array and tensor data are
 * read while writing and must live until then. Errors stick: check the status of _write. */
typedef struct sqzi_gguf_writer sqzi_gguf_writer;
SQZ_NODISCARD sqz_status sqzi_gguf_writer_open(const sqz_allocator *allocator,
                                               sqzi_gguf_writer **writer, sqz_error *error);
void sqzi_gguf_writer_close(sqzi_gguf_writer *writer);
void sqzi_gguf_put_u32(sqzi_gguf_writer *writer, const char *key, uint32_t value);
void sqzi_gguf_put_u64(sqzi_gguf_writer *writer, const char *key, uint64_t value);
void sqzi_gguf_put_f64(sqzi_gguf_writer *writer, const char *key, double value);
void sqzi_gguf_put_bool(sqzi_gguf_writer *writer, const char *key, bool value);
void sqzi_gguf_put_string(sqzi_gguf_writer *writer, const char *key, const char *value);
void sqzi_gguf_put_span(sqzi_gguf_writer *writer, const char *key, sqzi_span value);
void sqzi_gguf_put_u32s(sqzi_gguf_writer *writer, const char *key, const uint32_t *values,
                        size_t n);
void sqzi_gguf_put_f64s(sqzi_gguf_writer *writer, const char *key, const double *values, size_t n);
void sqzi_gguf_put_strings(sqzi_gguf_writer *writer, const char *key, const sqzi_span *values,
                           size_t n);
/* Copy a value of another file as it stands (later steps carry metadata over). */
void sqzi_gguf_put_value(sqzi_gguf_writer *writer, const sqzi_gguf_value *value);
/* Write `bytes` bytes of tensor data through sqzi_file_writer_put; `source` is what was given with
 * it. */
typedef sqz_status sqzi_gguf_emit(void *source, sqzi_file_writer *file, sqz_error *error);
void sqzi_gguf_put_tensor(sqzi_gguf_writer *writer, const char *name, sqzi_type type,
                          uint32_t n_dims, const uint64_t *shape, const void *data);
void sqzi_gguf_put_tensor_by(sqzi_gguf_writer *writer, const char *name, sqzi_type type,
                             uint32_t n_dims, const uint64_t *shape, sqzi_gguf_emit *emit,
                             void *source);
/* Once. The checksums of the file are left as zeros: sqzi_checksum_put (io/checksum.h) comes before
 * the commit. */
SQZ_NODISCARD sqz_status sqzi_gguf_write(sqzi_gguf_writer *writer, sqzi_file_writer *file,
                                         sqz_error *error);
/* In its place: bytes of the file that it would have written. */
SQZ_NODISCARD sqz_status sqzi_gguf_bytes(sqzi_gguf_writer *writer, uint64_t *bytes,
                                         sqz_error *error);

#endif
