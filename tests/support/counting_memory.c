/* SPDX-License-Identifier: Apache-2.0 */
#include "support/counting_memory.h"

#include <stdlib.h>

static void *allocate(void *user, size_t bytes, size_t alignment)
{
    sqzt_memory *memory = user;
    if (++memory->calls == memory->fail_at) return NULL;
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
    return (sqz_allocator){allocate, release, memory};
}
