/* SPDX-License-Identifier: Apache-2.0 */
/* The weights of a folder: named tensors in mapped files, safetensors or PyTorch archives, and
 * which of them have been used. */
#ifndef SQZI_SOURCE_TENSORS_H
#define SQZI_SOURCE_TENSORS_H

#include <jansson.h>

#include "base/file_map.h"
#include "base/memory.h"
#include "base/real.h"

typedef struct sqzi_source_tensor {
    const char *name;   /* owned by the header it was read from */
    const char *file;
    sqzi_type type;     /* SQZI_F32, F16, BF16, F64; SQZI_I32 stands for every integer type */
    /* Why no number of it can be read, such as "its type is 'F8_E4M3'"; NULL where they can. type,
     * shape and data say nothing then: only a model that wants the tensor is refused. */
    const char *unread;
    uint32_t n_dims;
    uint64_t shape[4];
    uint64_t n;
    uint64_t bytes;            /* of the file that it has; 0 where strides place it */
    const unsigned char *data; /* of the first number */
    /* number [i, j, ..] lies at i * stride[0] + j * stride[1] + ..; else one behind the other */
    bool strided;
    uint64_t stride[4];
    bool used;
    sqzi_type target;   /* what it is written as */
} sqzi_source_tensor;

enum { SQZI_MAX_SHARDS = 1024 };

typedef struct sqzi_source_shard {
    char *path;
    sqzi_file_map map;
    json_t *header;     /* of safetensors */
    char *names;        /* of a PyTorch archive, n_names bytes */
    size_t n_names;
} sqzi_source_shard;

typedef struct sqzi_source {
    const sqz_allocator *allocator;
    sqzi_source_shard *shards;  /* [SQZI_MAX_SHARDS] */
    uint32_t n_shards;
    sqzi_buffer tensors;        /* sqzi_source_tensor, by name once all files are read */
    uint64_t json_spare;        /* what the headers may still take beyond 16 times their files */
} sqzi_source;

/* Map and read FOLDER's weights: `file` of it, or with NULL the first that is there of
 * model.safetensors, model.safetensors.index.json, pytorch_model.bin and
 * pytorch_model.bin.index.json. Close in any case. SQZ_EIO: there are none, and the text says what
 * is there instead. SQZ_EFORMAT with the file and tensor, SQZ_ELIMIT, SQZ_EUNSUPPORTED. */
SQZ_NODISCARD sqz_status sqzi_source_open(const sqz_allocator *allocator, const char *folder,
                                          const char *file, sqzi_source *source, sqz_error *error);
void sqzi_source_close(sqzi_source *source);

/* Read the tensors of a mapped safetensors file (safetensors.c); of a PyTorch archive
 * (torch_archive.c): a zip file, or the older row of pickles. */
SQZ_NODISCARD sqz_status sqzi_source_read_safetensors(sqzi_source *source, sqzi_source_shard *shard,
                                                      sqz_error *error);
SQZ_NODISCARD sqz_status sqzi_source_read_archive(sqzi_source *source, sqzi_source_shard *shard,
                                                  sqz_error *error);

uint32_t sqzi_source_n(const sqzi_source *source);
sqzi_source_tensor *sqzi_source_at(const sqzi_source *source, uint32_t i);
/* By name; NULL when there is none. */
sqzi_source_tensor *sqzi_source_find(const sqzi_source *source, const char *name);

#endif
