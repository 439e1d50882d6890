/* SPDX-License-Identifier: Apache-2.0 */
/* Pickles of state dicts, read without executing anything: a stack machine with the opcodes and the
 * few globals that such a pickle needs. Any other opcode or global is an error that names it. */
#ifndef SQZI_PICKLE_H
#define SQZI_PICKLE_H

#include <stdbool.h>

#include "base/memory.h"
#include "base/span.h"

enum { SQZI_PICKLE_DIMS = 8 };

/* A tensor as the pickle describes it: numbers of the storage `key`. */
typedef struct sqzi_pickled_tensor {
    sqzi_span name, storage_type, key; /* storage_type such as "FloatStorage" */
    int64_t storage_n, offset;
    uint32_t n_dims, n_strides;
    int64_t shape[SQZI_PICKLE_DIMS], stride[SQZI_PICKLE_DIMS];
} sqzi_pickled_tensor;

/* Run the pickle at data; *used = its bytes. `put` is called for each entry of the dict that it
 * leaves, in order; entries that are no tensors are passed over. Where the dict holds none but a
 * state dict beside other things, as a training loop saves them, it is that one's. Where `storages`
 * is given, the pickle is a list of strings (the storage keys of a legacy file) and each goes
 * there. Memory: at most 64 MiB, freed before the return. SQZ_EFORMAT, SQZ_EUNSUPPORTED, SQZ_ELIMIT
 * with the offset, SQZ_ENOMEM. */
typedef struct sqzi_pickle_sink {
    sqz_status (*put)(void *user, const sqzi_pickled_tensor *tensor, sqz_error *error);
    sqz_status (*put_key)(void *user, sqzi_span key, sqz_error *error);
    void *user;
} sqzi_pickle_sink;
SQZ_NODISCARD sqz_status sqzi_pickle_run(const sqz_allocator *allocator, const char *file,
                                         const unsigned char *data, size_t bytes,
                                         const sqzi_pickle_sink *sink, size_t *used,
                                         sqz_error *error);

#endif
