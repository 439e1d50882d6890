/* SPDX-License-Identifier: Apache-2.0 */
/* The static end: a model without blocks whose vector of a text is the mean of its pieces' rows,
 * taught by the vectors that the whole model has of texts.
 *
 *   t = P v / |P v|     of a text: v its vector by the model, P [k, D] the first eigenvectors of
 *                       the sum of v v' over all texts, so that cosines keep what k numbers can
 *   a / (a + p) P (u - mean)
 *                       a row's start: u the vector of the piece alone between [CLS] and [SEP], p
 *                       its share of all pieces, a = 1e-3, mean weighed by p
 *
 * then sqzi_static_fit turns the means of rows to t. Rows of special tokens but [UNK] are zeros.
 */
#ifndef SQZI_STATIC_TABLE_H
#define SQZI_STATIC_TABLE_H

#include "squeeze/sequences.h"
#include "squeeze/weights.h"

enum {
    SQZI_STATIC_MOST = 1 << 21, /* pieces of texts; the first ones that reach so many are taken */
    SQZI_STATIC_SLICES = 16,
    SQZI_STATIC_EPOCHS = 4
};

/* The embedding becomes bare and `width` wide, what stands behind the blocks leaves, and blocks are
 * for the caller to take out.
 *
 *   path   the file of the weights' model, which is run in int8: a table follows vectors no nearer
 *          than that. NULL: a table of zeros, for what it costs in bytes
 *   place  beside which a temporary file can be written
 *   step   as in sqzi_static_task, called after each SQZI_STATIC_SLICES-th of the texts, and then
 *          after each of SQZI_STATIC_EPOCHS rounds over them
 *
 * width: at most the dimensions of the model's vectors. SQZ_EUNSUPPORTED: no LAPACK. SQZ_ENOMEM,
 * SQZ_ENUMERIC, SQZ_ECANCELLED, and as sqzi_quantized_open. */
SQZ_NODISCARD sqz_status sqzi_squeeze_static(sqzi_weights *weights, const char *path,
                                             const char *place, const sqzi_sequences *texts,
                                             uint32_t width, int (*step)(void *user), void *user,
                                             sqz_error *error);

#endif
