/* SPDX-License-Identifier: Apache-2.0 */
/* A file of batches that another program has trained on: a JSON array of arrays of row numbers. */
#ifndef SQZI_REPLAY_H
#define SQZI_REPLAY_H

#include "base/memory.h"

/* Batch i has rows[begin[i]] .. rows[begin[i + 1] - 1]. Zero-initialise and set the allocator. */
typedef struct sqzi_replay {
    const sqz_allocator *allocator;
    uint64_t n_batches, n_rows;
    uint64_t *begin; /* [n_batches + 1] */
    uint32_t *rows;  /* [n_rows] */
} sqzi_replay;

/* Rows are below `below`. SQZ_EIO, SQZ_EFORMAT, SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_replay_read(sqzi_replay *replay, const char *path, uint32_t below,
                                          sqz_error *error);
void sqzi_replay_free(sqzi_replay *replay);

#endif
