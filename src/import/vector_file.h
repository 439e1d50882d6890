/* SPDX-License-Identifier: Apache-2.0 */
/* A .npz file of vectors (squeezebert/vectors.h): its arrays, checked against each other and
 * against the model. */
#ifndef SQZI_VECTOR_FILE_H
#define SQZI_VECTOR_FILE_H

#include <squeezebert/vectors.h>

#include "base/file_map.h"
#include "base/memory.h"
#include "import/npy_array.h"

enum { SQZI_IDS, SQZI_LENGTHS, SQZI_TYPES, SQZI_HIDDEN, SQZI_LOGITS, SQZI_VECTOR_ARRAYS };

typedef struct sqzi_vector_file {
    const sqz_allocator *allocator;
    const char *path;
    sqzi_file_map map;
    sqzi_npy_array arrays[SQZI_VECTOR_ARRAYS];     /* data NULL: not there */
    unsigned char *blocks[SQZI_VECTOR_ARRAYS];
    size_t block_bytes[SQZI_VECTOR_ARRAYS], unpacked_bytes;
    uint32_t n_sequences, longest;
    /* logits are those of sequences, not of tokens */
    bool whole;
} sqzi_vector_file;

/* Close in any case. The statuses of sqz_vectors_compare. */
SQZ_NODISCARD sqz_status sqzi_vector_file_open(const sqz_model *model, const char *path,
                                               sqzi_vector_file *file, sqz_error *error);
void sqzi_vector_file_close(sqzi_vector_file *file);

uint32_t sqzi_vector_length(const sqzi_vector_file *file, uint32_t sequence);

#endif
