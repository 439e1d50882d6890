/* SPDX-License-Identifier: Apache-2.0 */
/* What a model's head reads of each example: the pooled state, computed once and kept in a file.
 *
 * A row's key is a hash of its pieces, the file's that of model, pooling and kernels: rows that are
 * added, relabelled or moved do not make the others be read again. */
#ifndef SQZI_FEATURES_H
#define SQZI_FEATURES_H

#include <squeezebert/dataset.h>

#include "model/loader.h"

enum { SQZI_FEATURE_KEY = 4 }; /* numbers of a row's key */

typedef struct sqzi_features {
    const sqz_allocator *allocator;
    uint32_t n, width;
    uint32_t n_read; /* rows that the model ran for; the others are from the file or repeats */
    float *rows;     /* [n, width] */
    int32_t *keys;   /* [n, SQZI_FEATURE_KEY] */
    uint32_t *order; /* [n] rows by rising key, then number */
    void *block;
    size_t bytes;
} sqzi_features;

/*   model     its sqz_embed pools and does nothing behind it
 *   dataset   tokenised by its tokenizer
 *   pooling   of the rows
 *   cache     NULL, or the file: read where it is there, written where rows were added. Where it
 *             cannot be used or written, note says so and the work goes on
 *   progress  other than 0 stops with SQZ_ECANCELLED */
typedef struct sqzi_features_from {
    const sqz_model *model;
    const sqz_dataset *dataset;
    sqz_pooling pooling;
    const char *cache;
    void (*note)(void *user, const char *text);
    int (*progress)(void *user, const char *what, size_t done, size_t total);
    void *user;
} sqzi_features_from;

/* SQZ_ENOMEM, and as sqz_embed. Discard in any case. */
SQZ_NODISCARD sqz_status sqzi_features_make(const sqzi_features_from *from, sqzi_features *features,
                                            sqz_error *error);
void sqzi_features_discard(sqzi_features *features);

/* ---- features_cache.c ---- */

/* Rows that the file holds: known[i] is set for them. damaged: it is there and is none that can be
 * used. SQZ_EOUTPUT: it holds something else than features, which saving would destroy. */
SQZ_NODISCARD sqz_status sqzi_features_load(sqzi_features *features, const char *path,
                                            const char *key, unsigned char *known, bool *damaged,
                                            sqz_error *error);
SQZ_NODISCARD sqz_status sqzi_features_save(const sqzi_features *features, const char *path,
                                            const char *key, sqz_error *error);

#endif
