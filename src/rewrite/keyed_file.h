/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers that are kept in a file to be found again: a GGUF that says by a key what they are of,
 * with checksums, written as every output is. */
#ifndef SQZI_KEYED_FILE_H
#define SQZI_KEYED_FILE_H

#include "io/gguf.h"

/* data [rows, width]: to be written, or what was found. rows 0, to be read: as many as there are */
typedef struct sqzi_keyed_tensor {
    const char *name;
    sqzi_type type; /* F32 or I32 */
    uint64_t rows, width;
    const void *data;
} sqzi_keyed_tensor;

typedef struct sqzi_keyed_file {
    sqzi_file_map map;
    sqzi_gguf *gguf;
} sqzi_keyed_file;

/* kind: "features", which makes general.architecture sqz-features and the key sqz.features.key. */
SQZ_NODISCARD sqz_status sqzi_keyed_save(const sqz_allocator *allocator, const char *path,
                                         const char *kind, const char *key,
                                         const sqzi_keyed_tensor *tensors, uint32_t n,
                                         sqz_error *error);

/* The same, found: data points into the file, until it is closed, in any case. SQZ_EIO: there is
 * none. SQZ_EOUTPUT: it is not of this kind, and not to be written over. SQZ_EFORMAT: damaged, with
 * another key or other tensors, or a number is not finite. */
SQZ_NODISCARD sqz_status sqzi_keyed_open(const sqz_allocator *allocator, const char *path,
                                         const char *kind, const char *key,
                                         sqzi_keyed_tensor *tensors, uint32_t n,
                                         sqzi_keyed_file *file, sqz_error *error);
void sqzi_keyed_close(sqzi_keyed_file *file);

#endif
