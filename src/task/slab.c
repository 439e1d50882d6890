/* SPDX-License-Identifier: Apache-2.0 */
/* The slab: a list of blocks, each filled from its front. A request that does not fit opens a new
 * block of at least twice the last one's size, so the number of allocations grows with the
 * logarithm of what a call needs. */
#include "task/slab.h"

#include <string.h>

enum { FIRST_BLOCK_BYTES = 1 << 16, LARGEST_DOUBLED = 1 << 26 };

struct sqzi_slab_block {
    sqzi_slab_block *older;
    size_t bytes; /* of the block, this header included */
    size_t used;
};

static size_t round_up(size_t bytes)
{
    return (bytes + SQZI_ALIGNMENT - 1) / SQZI_ALIGNMENT * SQZI_ALIGNMENT;
}

static sqzi_slab_block *open_block(sqzi_slab *slab, size_t needed)
{
    const size_t header = round_up(sizeof(sqzi_slab_block));
    size_t bytes = slab->newest ? slab->newest->bytes : FIRST_BLOCK_BYTES / 2;
    if (bytes < LARGEST_DOUBLED) bytes *= 2;
    else bytes = LARGEST_DOUBLED;
    if (bytes < needed + header) bytes = needed + header;
    sqzi_slab_block *block = sqzi_allocate(slab->allocator, bytes);
    if (!block) return NULL;
    *block = (sqzi_slab_block){slab->newest, bytes, header};
    slab->newest = block;
    return block;
}

void *sqzi_slab_take(sqzi_slab *slab, size_t n, size_t item_bytes)
{
    size_t bytes;
    if (!sqzi_multiply(n, item_bytes, &bytes) || bytes > SIZE_MAX / 2) return NULL;
    bytes = round_up(bytes ? bytes : 1);
    sqzi_slab_block *block = slab->newest;
    if (!block || block->bytes - block->used < bytes) block = open_block(slab, bytes);
    if (!block) return NULL;
    void *memory = (unsigned char *)block + block->used;
    block->used += bytes;
    return memory;
}

void *sqzi_slab_take_zeroed(sqzi_slab *slab, size_t n, size_t item_bytes)
{
    void *memory = sqzi_slab_take(slab, n, item_bytes);
    if (memory) memset(memory, 0, n * item_bytes);
    return memory;
}

char *sqzi_slab_text(sqzi_slab *slab, const char *bytes, size_t n)
{
    char *text = n < SIZE_MAX ? sqzi_slab_take(slab, n + 1, 1) : NULL;
    if (!text) return NULL;
    if (n) memcpy(text, bytes, n);
    text[n] = '\0';
    return text;
}

void sqzi_slab_reset(sqzi_slab *slab, size_t keep_bytes)
{
    sqzi_slab_block *keep = slab->newest;
    if (!keep) return;
    for (sqzi_slab_block *block = keep->older; block;) {
        sqzi_slab_block *older = block->older;
        sqzi_release(slab->allocator, block, block->bytes);
        block = older;
    }
    keep->older = NULL;
    keep->used = round_up(sizeof *keep);
    if (keep->bytes > keep_bytes) {
        sqzi_release(slab->allocator, keep, keep->bytes);
        slab->newest = NULL;
    }
}

void sqzi_slab_free(sqzi_slab *slab)
{
    sqzi_slab_reset(slab, 0);
}
