/* SPDX-License-Identifier: Apache-2.0 */
/* Writing safetensors: a list of tensors is collected with what produces their bytes, then the file
 * is written in one go. */
#ifndef SQZI_SAFETENSORS_WRITER_H
#define SQZI_SAFETENSORS_WRITER_H

#include "base/file_writer.h"
#include "base/memory.h"
#include "base/real.h"

/* Write the bytes of one tensor through sqzi_file_writer_put; `source` is that of the tensor. */
typedef sqz_status sqzi_tensor_emit(const void *source, sqzi_file_writer *file, sqz_error *error);

typedef struct sqzi_tensor_out {
    char name[128];
    sqzi_type type;      /* SQZI_F32, SQZI_F16 or SQZI_BF16 */
    uint32_t n_dims;
    uint64_t shape[3];
    sqzi_tensor_emit *emit;
    const void *source;
} sqzi_tensor_out;

/* The tensors of a type come together, those of 4 bytes first, so that every one lies at a multiple
 * of its numbers' size. */
SQZ_NODISCARD sqz_status sqzi_safetensors_write(const sqz_allocator *allocator,
                                                const sqzi_tensor_out *tensors, size_t n,
                                                sqzi_file_writer *file, sqz_error *error);

#endif
