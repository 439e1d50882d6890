/* SPDX-License-Identifier: Apache-2.0 */
/* Batches in which no text stands twice. */
#ifndef SQZI_DISTINCT_H
#define SQZI_DISTINCT_H

#include "base/memory.h"
#include "nn/linear.h"

/*   numbers   [rows, texts] of each row's texts: equal numbers, equal texts
 *   stamp     [n_distinct] working memory
 *   waiting   [n] working memory
 */
typedef struct sqzi_distinct {
    const uint32_t *numbers;
    uint32_t texts, n_distinct;
    uint32_t *stamp, *waiting;
} sqzi_distinct;

/* How often the most frequent text stands in n rows, once a row. */
uint32_t sqzi_distinct_most(const sqzi_distinct *distinct, uint32_t n);

/* Rows order [n], as they come, to n_batches batches of at most `batch`: a row one of whose texts
 * is in the batch at hand waits for the next one, before those that follow. Batches are as even as
 * n allows, and where rows wait take up to `batch`. Batch b is order [begin[b], begin[b + 1]); rows
 * that no batch could take come behind begin[n_batches]. */
void sqzi_distinct_fill(const sqzi_distinct *distinct, uint32_t *order, uint32_t n, uint32_t batch,
                        uint32_t *begin, uint32_t n_batches);

#endif
