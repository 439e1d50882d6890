/* SPDX-License-Identifier: Apache-2.0 */
/* A table of words so that the mean of a text's rows points where the text's target does.
 *
 *   L = mean over a batch of 1 - cos(mean over the text's pieces of row, target)
 *
 * made small by Adam (0.9, 0.999), whose rate falls linearly to 0; a step moves the rows that its
 * batch reads and their moments, no others. One thread; sums in f32 in the order of the batch, so
 * the bits depend on nothing but what stands here.
 */
#ifndef SQZI_STATIC_FIT_H
#define SQZI_STATIC_FIT_H

#include "base/memory.h"

/* What is fitted.
 *
 *   n, first, ids   texts, as in sqz_batch; what is `absent` below is no piece of them
 *   row             [vocabulary] the row of each id, or SQZI_ABSENT: it has none
 *   target          [n, width], unit length or zeros: the text teaches nothing
 *   epochs, batch, rate, seed   of the order of texts
 *   step            called after each epoch; other than 0 stops with SQZ_ECANCELLED. May be NULL
 */
typedef struct sqzi_static_task {
    const sqz_allocator *allocator;
    uint32_t n, width, n_rows;
    const uint32_t *first, *ids, *row;
    const float *target;
    uint32_t epochs, batch;
    double rate;
    uint64_t seed;
    int (*step)(void *user);
    void *user;
} sqzi_static_task;

#define SQZI_ABSENT UINT32_MAX

/* table [n_rows, width], what it begins with and what it becomes; *loss: of the last epoch, before
 * each step. Memory: twice the table, and [n_rows] numbers. SQZ_ENOMEM, SQZ_ECANCELLED. */
SQZ_NODISCARD sqz_status sqzi_static_fit(const sqzi_static_task *task, float *table, double *loss,
                                         sqz_error *error);

#endif
