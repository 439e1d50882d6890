/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of one call: taken piece by piece, given back all at once. Blocks never move, so results
 * may point into it. */
#ifndef SQZI_SLAB_H
#define SQZI_SLAB_H

#include "base/memory.h"

typedef struct sqzi_slab_block sqzi_slab_block;
typedef struct sqzi_slab {
    const sqz_allocator *allocator;
    sqzi_slab_block *newest;
} sqzi_slab;

/* n * item_bytes bytes (0 is a valid pointer) at a multiple of SQZI_ALIGNMENT, or NULL when there
 * is no memory or the product overflows. */
void *sqzi_slab_take(sqzi_slab *slab, size_t n, size_t item_bytes);
void *sqzi_slab_take_zeroed(sqzi_slab *slab, size_t n, size_t item_bytes);

/* A copy of n bytes with a NUL behind. */
char *sqzi_slab_text(sqzi_slab *slab, const char *bytes, size_t n);

/* Everything taken is invalid after; the newest block stays for the next call unless it is larger
 * than keep_bytes. */
void sqzi_slab_reset(sqzi_slab *slab, size_t keep_bytes);
void sqzi_slab_free(sqzi_slab *slab);

#endif
