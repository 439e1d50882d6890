/* SPDX-License-Identifier: Apache-2.0 */
/* Memory for things of many sizes that are forgotten together. What was taken never moves. */
#ifndef SQZI_TEXT_STORE_H
#define SQZI_TEXT_STORE_H

#include "base/memory.h"

typedef struct sqzi_store_chunk sqzi_store_chunk;
/* Zero-initialise and set the allocator. */
typedef struct sqzi_text_store {
    const sqz_allocator *allocator;
    sqzi_store_chunk *last;
    size_t used; /* of the last chunk */
} sqzi_text_store;

/* Aligned for any type; NULL: no memory. */
void *sqzi_store_take(sqzi_text_store *store, size_t bytes);
/* Forget all; one chunk of common size is kept for what comes next. */
void sqzi_store_forget(sqzi_text_store *store);
void sqzi_store_free(sqzi_text_store *store);

#endif
