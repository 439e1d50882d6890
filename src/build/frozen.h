/* SPDX-License-Identifier: Apache-2.0 */
/* A head on features that stay as they are:
 *
 *     h = (x - mean) / deviation, each feature by itself      head.dense, a diagonal
 *     y = (h - mean of h) / deviation of h, a row by itself    head.norm
 *     z = W y + b                                              head.output
 *
 * Dividing each row by its own spread is what tells texts of another kind by their largest logit;
 * dividing each feature keeps a few large ones of some encoders from being all that a row has. */
#ifndef SQZI_FROZEN_H
#define SQZI_FROZEN_H

#include "build/features.h"
#include "io/gguf.h"
#include "train/fit_head.h"

enum { SQZI_STRENGTHS = 6 };
/* That of PyTorch's LayerNorm, which an exported head is made of. */
#define SQZI_FROZEN_EPSILON 1e-5

/* Rows and labels that heads are fitted to and judged by; rows [n] as sqz_dataset_split has them,
 * the first n_train to fit to. */
typedef struct sqzi_frozen {
    const sqz_context *context;
    const sqzi_features *features;
    const uint32_t *rows;
    uint32_t n, n_train, classes;
    float *mean, *deviation; /* [width] over all rows */
    float *x;                /* [n, width] y of the rows in this order */
    uint32_t *labels;        /* [n] in this order */
    float *logits;           /* [SQZI_STRENGTHS, n - n_train, classes] of those held out */
    double *w; /* [SQZI_STRENGTHS, classes, width + 1]; of the fit to all rows the first */
    void *block;
    size_t bytes;
} sqzi_frozen;

typedef struct sqzi_frozen_calls {
    int (*progress)(void *user, const char *what, size_t done, size_t total);
    void *user;
} sqzi_frozen_calls;

SQZ_NODISCARD sqz_status sqzi_frozen_open(const sqz_context *context, const sqzi_features *features,
                                          const sqz_example *examples, const uint32_t *rows,
                                          uint32_t n, uint32_t n_train, uint32_t classes,
                                          sqzi_frozen *frozen, sqz_error *error);
void sqzi_frozen_close(sqzi_frozen *frozen);

/* C of each strength, the strongest first. */
extern const double sqzi_strengths[SQZI_STRENGTHS];
/* Fit loosely with each strength to the rows trained on: logits. */
SQZ_NODISCARD sqz_status sqzi_frozen_try(sqzi_frozen *frozen, const sqzi_frozen_calls *calls,
                                         sqz_error *error);
/* Fit to all rows with a strength, from what was found with it: the first w. */
SQZ_NODISCARD sqz_status sqzi_frozen_fit(sqzi_frozen *frozen, const sqzi_frozen_calls *calls,
                                         uint32_t strength, sqzi_lbfgs_result *result,
                                         sqz_error *error);

/* ---- frozen_write.c ---- */

/* What a head's file holds besides. threshold -infinity: none. */
typedef struct sqzi_frozen_file {
    const sqz_model *base;
    sqz_pooling pooling;
    const char *const *labels;
    double c, temperature, threshold;
} sqzi_frozen_file;
/* As sqz_trainer_write. */
SQZ_NODISCARD sqz_status sqzi_frozen_write(const sqzi_frozen *frozen, const sqzi_frozen_file *file,
                                           const char *out, sqz_error *error);

#endif
