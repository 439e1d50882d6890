/* SPDX-License-Identifier: Apache-2.0 */
/* Memory: allocator wrappers, arena, buffer. */
#ifdef __linux__
#define _DEFAULT_SOURCE /* madvise */
#endif
#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

#include "base/error.h"

#define HUGE_PAGE ((size_t)2 << 20)

static void *default_allocate(void *user, size_t bytes, size_t alignment)
{
    (void)user;
    const bool huge = bytes >= HUGE_PAGE;
    if (huge && alignment < HUGE_PAGE) alignment = HUGE_PAGE;
    if (bytes > SIZE_MAX - alignment) return NULL;
    const size_t rounded = (bytes + alignment - 1) / alignment * alignment;
    void *memory = aligned_alloc(alignment, rounded);
#ifdef __linux__
    /* A hint, to the end of the last page unless what it has beyond is over an eighth of all. Page
     * faults of a model's weights cost more than packing them; columns of tiles in a session's rows
     * touch a page a row. */
    const bool wasteful = rounded - bytes > bytes / 8;
    if (memory && huge)
        (void)madvise(memory, wasteful ? bytes / HUGE_PAGE * HUGE_PAGE : rounded, MADV_HUGEPAGE);
#endif
    return memory;
}

static void default_release(void *user, void *memory, size_t bytes)
{
    (void)user;
    (void)bytes;
    free(memory);
}

const sqz_allocator sqzi_default_allocator = {.allocate = default_allocate,
                                              .release = default_release};

void *sqzi_allocate(const sqz_allocator *allocator, size_t bytes)
{
    return allocator->allocate(allocator->user, bytes ? bytes : 1, SQZI_ALIGNMENT);
}

void *sqzi_allocate_zeroed(const sqz_allocator *allocator, size_t n, size_t item_bytes)
{
    size_t bytes;
    if (!sqzi_multiply(n, item_bytes, &bytes)) return NULL;
    void *memory = sqzi_allocate(allocator, bytes);
    if (memory) memset(memory, 0, bytes);
    return memory;
}

void sqzi_release(const sqz_allocator *allocator, void *memory, size_t bytes)
{
    if (memory) allocator->release(allocator->user, memory, bytes ? bytes : 1);
}

bool sqzi_multiply(size_t a, size_t b, size_t *product)
{
    if (b != 0 && a > SIZE_MAX / b) return false;
    *product = a * b;
    return true;
}

sqzi_arena sqzi_arena_over(void *base, size_t capacity)
{
    return (sqzi_arena){base, capacity, 0};
}

void *sqzi_arena_take(sqzi_arena *arena, size_t n, size_t item_bytes)
{
    size_t bytes;
    const size_t start = (arena->used + SQZI_ALIGNMENT - 1) / SQZI_ALIGNMENT * SQZI_ALIGNMENT;
    if (arena->used > SIZE_MAX - SQZI_ALIGNMENT || !sqzi_multiply(n, item_bytes, &bytes) ||
        bytes > SIZE_MAX - start) {
        arena->used = SIZE_MAX;
        return NULL;
    }
    arena->used = start + bytes;
    if (!arena->base) return NULL;
    assert(arena->used <= arena->capacity);
    return arena->base + start;
}

sqz_status sqzi_buffer_reserve(sqzi_buffer *buffer, size_t bytes, sqz_error *error)
{
    if (bytes <= buffer->capacity - buffer->used) return SQZ_OK;
    if (buffer->used > buffer->limit || bytes > buffer->limit - buffer->used)
        return sqzi_fail(error, SQZ_ELIMIT, buffer->used,
                         "%zu more bytes after %zu exceed the limit of %zu", bytes, buffer->used,
                         buffer->limit);
    size_t capacity = buffer->capacity > buffer->limit / 2 ? buffer->limit : 2 * buffer->capacity;
    if (capacity < buffer->used + bytes) capacity = buffer->used + bytes;
    if (capacity < 64 && buffer->limit >= 64) capacity = 64;
    unsigned char *data = sqzi_allocate(buffer->allocator, capacity);
    if (!data)
        return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for a buffer of %zu bytes", capacity);
    if (buffer->used) memcpy(data, buffer->data, buffer->used);
    sqzi_release(buffer->allocator, buffer->data, buffer->capacity);
    buffer->data = data;
    buffer->capacity = capacity;
    return SQZ_OK;
}

sqz_status sqzi_buffer_append(sqzi_buffer *buffer, const void *data, size_t bytes, sqz_error *error)
{
    const sqz_status status = sqzi_buffer_reserve(buffer, bytes, error);
    if (status != SQZ_OK) return status;
    if (bytes) memcpy(buffer->data + buffer->used, data, bytes);
    buffer->used += bytes;
    return SQZ_OK;
}

void sqzi_buffer_free(sqzi_buffer *buffer)
{
    sqzi_release(buffer->allocator, buffer->data, buffer->capacity);
    buffer->data = NULL;
    buffer->used = buffer->capacity = 0;
}
