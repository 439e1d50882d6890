/* SPDX-License-Identifier: Apache-2.0 */
#include "support/counting_memory.h"

#include <jansson.h>
#include <stdlib.h>

static void *allocate(void *user, size_t bytes, size_t alignment)
{
    sqzt_memory *memory = user;
    if (++memory->calls == memory->fail_at) return NULL;
    if (memory->limit_bytes &&
        (bytes > memory->limit_bytes || memory->held_bytes > memory->limit_bytes - bytes)) {
        memory->refused++;
        return NULL;
    }
    void *block = aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
    if (!block) return NULL;
    memory->held_bytes += bytes;
    if (memory->held_bytes > memory->most_bytes) memory->most_bytes = memory->held_bytes;
    return block;
}

static void release(void *user, void *block, size_t bytes)
{
    sqzt_memory *memory = user;
    memory->held_bytes -= bytes;
    free(block);
}

sqz_allocator sqzt_allocator(sqzt_memory *memory)
{
    return (sqz_allocator){.allocate = allocate, .release = release, .user = memory};
}

/* jansson does not tell the size of what it gives back: it stands before the block. malloc's own
 * overhead counts as 16 bytes. */
enum { BEFORE = 16 };

static sqzt_memory *json_memory;

static void *allocate_json(size_t bytes)
{
    size_t *block = allocate(json_memory, BEFORE + bytes, BEFORE);
    if (!block) return NULL;
    *block = bytes;
    return (char *)block + BEFORE;
}

static void release_json(void *memory)
{
    if (!memory) return;
    size_t *block = (size_t *)(void *)((char *)memory - BEFORE);
    release(json_memory, block, BEFORE + *block);
}

void sqzt_count_json(sqzt_memory *memory)
{
    json_memory = memory;
    json_set_alloc_funcs(memory ? allocate_json : malloc, memory ? release_json : free);
}
