/* SPDX-License-Identifier: Apache-2.0 */
/* Chunks in a list, the newest first; something larger than a chunk gets one of its own. */
#include "data/text_store.h"

#include <stdalign.h>

enum { CHUNK_BYTES = 1 << 18 };

struct sqzi_store_chunk {
    sqzi_store_chunk *before;
    size_t bytes;
    alignas(max_align_t) unsigned char data[];
};

void *sqzi_store_take(sqzi_text_store *store, size_t bytes)
{
    const size_t step = alignof(max_align_t);
    if (bytes > SIZE_MAX / 2) return NULL;
    const size_t rounded = (bytes + step - 1) / step * step;
    if (!store->last || rounded > store->last->bytes - store->used) {
        const size_t room = rounded > CHUNK_BYTES ? rounded : CHUNK_BYTES;
        sqzi_store_chunk *chunk = sqzi_allocate(store->allocator, sizeof *chunk + room);
        if (!chunk) return NULL;
        chunk->before = store->last;
        chunk->bytes = room;
        store->last = chunk;
        store->used = 0;
    }
    void *taken = store->last->data + store->used;
    store->used += rounded;
    return taken;
}

static void drop_last(sqzi_text_store *store)
{
    sqzi_store_chunk *chunk = store->last;
    store->last = chunk->before;
    sqzi_release(store->allocator, chunk, sizeof *chunk + chunk->bytes);
}

void sqzi_store_forget(sqzi_text_store *store)
{
    while (store->last && (store->last->before || store->last->bytes > CHUNK_BYTES))
        drop_last(store);
    store->used = 0;
}

void sqzi_store_free(sqzi_text_store *store)
{
    while (store->last) drop_last(store);
    store->used = 0;
}
